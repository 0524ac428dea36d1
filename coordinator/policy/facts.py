"""What is known about one operation when the rules look at it. Whoever collects it reads store and chain; the rules do
not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from coordinator.types import Call, Effects, IntentType, Subject

__all__ = ["Counts", "Facts"]


@dataclass(frozen=True, slots=True)
class Counts:
    """Operations in the last 60 seconds, 60 minutes and 24 hours, without the one that is judged. None: not known."""

    minute: int | None = None
    hour: int | None = None
    day: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """One operation, and the treasury around it. Addresses carry their checksum, amounts are base units.

    None means "not known": a rule that needs such a fact denies. In `balances` and `peaks` an asset that is absent is
    not known either. The other mappings are sums over everything there is, so what is absent from them is 0. They hold
    what is already decided and on its way, and not this operation; one dict may serve a whole batch and grow with it.
    """

    type: IntentType
    agent: str
    wallet: str
    subject: Subject
    call: Call
    effects: Effects

    now: int | None = None
    """The chain's clock, unix seconds."""
    vault: str | None = None
    """The vault of the kernel in use: the one spender of allowances, unless the settings name others."""
    max_fee_wei: int | None = None
    """The most that the eth transaction may cost in fees."""
    fee_limit: int | None = None
    """The most that it may cost by the request itself; None if it says nothing of that."""

    quoted_amount: int | None = None
    quoted_at: int | None = None
    service: str | None = None
    reference_amount: int | None = None
    """What the service usually costs, in the asset of the subject."""

    balances: Mapping[str, int] | None = None
    """What the wallet holds, by asset, less what is on its way out of it."""
    locked: Mapping[str, int] | None = None
    """What of it is in open escrows, by asset."""
    locked_at: Mapping[tuple[str, str], int] | None = None
    """... by (contract that was called, asset)."""
    locked_with: Mapping[tuple[str, str], int] | None = None
    """... by (counterparty, asset)."""
    peaks: Mapping[str, int] | None = None
    """The most that balance and open escrows ever were together, by asset."""
    lost_today: Mapping[str, int] | None = None
    """Bonds, penalties and fees lost since the day began, by asset; fees are ETH."""

    agent_counts: Counts | None = None
    wallet_counts: Counts | None = None

    approval_demanded: bool = False
    """The request itself asks for an approval."""
    approved_by: str | None = None
    """Who approved this very operation, once somebody has."""
