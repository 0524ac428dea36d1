"""Places where a process of the coordinator may be killed, for tests of what a restart makes of it.

As `actp.engine.crash`, and beside its places: COORDINATOR_CRASH_AT names one of these.
"""

from __future__ import annotations

from enum import Enum

from actp.engine.crash import Trap

__all__ = ["CRASH_VARIABLE", "CrashPoint", "point"]

CRASH_VARIABLE = "COORDINATOR_CRASH_AT"


class CrashPoint(Enum):
    """Where a request can be when its process dies, in the order in which it gets there."""

    BEFORE_RESERVE = "before_reserve"
    """It is decided, and nothing is committed."""
    AFTER_RESERVE = "after_reserve"
    """The decision is committed, and nobody was told."""
    BEFORE_VOTE = "before_vote"
    """An answer to a request that waits is written, and not committed."""
    AFTER_VOTE = "after_vote"
    """It is committed."""
    BEFORE_EXPIRY = "before_expiry"
    """Approvals that nobody has given are ended, and that is not committed."""
    AFTER_EXPIRY = "after_expiry"
    """It is committed."""
    BEFORE_DISPATCH = "before_dispatch"
    """The operation of a grant is written, and not committed."""
    AFTER_DISPATCH = "after_dispatch"
    """It is committed, and nobody has begun to work on it."""
    BEFORE_FOLLOW = "before_follow"
    """What became of an operation is written into its reservation, and not committed."""
    AFTER_FOLLOW = "after_follow"
    """It is committed."""
    BEFORE_CLAIM = "before_claim"
    """The operations of a settlement bot and their claims on escrows are written, and not committed."""
    AFTER_CLAIM = "after_claim"
    """They are committed, and nobody has begun to work on them."""
    BEFORE_OUTCOME = "before_outcome"
    """What became of claimed escrows is written, and not committed."""
    AFTER_OUTCOME = "after_outcome"
    """It is committed, and nobody was told."""


_trap = Trap(CRASH_VARIABLE, CrashPoint)

point = _trap.pass_by
"""Ends the process if this place is armed. Raises ConfigError if COORDINATOR_CRASH_AT names no place."""
