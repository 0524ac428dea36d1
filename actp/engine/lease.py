"""The lease on an account: taking it, keeping it, and telling whether its holder is dead.

Whether a holder is dead is a guess, and a wrong one does no harm: every write names the fencing token, so whoever was
overtaken writes nothing any more, and bytes are only broadcast after they were written.
"""

from __future__ import annotations

import os
import socket
import uuid
from enum import Enum, auto

from sqlalchemy import Connection

from actp.engine.store import Store, leases
from actp.engine.store.leases import LaneRow, LeaseLost
from actp.errors import SendError

__all__ = ["Grip", "Lease", "LeaseBusy"]

SECONDS = 30.0
"""A holder that has not written for so long is taken for dead."""


class LeaseBusy(SendError):
    """Another process sends for the account."""

    default_code = "lease_busy"


class Grip(Enum):
    """What an attempt to get the lease led to."""

    KEPT = auto()
    """Nobody else had it since this process did: what is in memory still holds."""
    FRESH = auto()
    """Somebody else may have written in between."""
    BUSY = auto()
    """Another process has it."""


class Lease:
    """The lease of one process (or of one store object in it) on one account."""

    def __init__(self, store: Store, lane_id: int, chain_id: int, address: str, *, seconds: float = SECONDS) -> None:
        self._store = store
        self._chain_id = chain_id
        self._address = address
        self._lane_id = lane_id
        self._seconds = seconds
        self.holder = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:12]}"[-120:]
        self.token = -1
        self._beat_at = float("-inf")
        self._held = False
        self._watched: tuple[int, int] | None = None
        self._watched_since = 0.0

    def try_take(self) -> Grip:
        """Gets or keeps the lease if it is free."""
        if self._held and self.idle < self._seconds / 3:
            return Grip.KEPT
        with self._store.read() as connection:
            row = leases.find_lane(connection, self._chain_id, self._address)
        assert row is not None
        if row.holder not in (None, self.holder) and not self._is_dead(row):
            return Grip.BUSY
        # A token that is still ours means that nobody has written since. One that this process does not know under its
        # own name is from a commit whose answer was lost.
        kept = row.token == self.token and row.holder in (None, self.holder)
        token = row.token if kept else row.token + 1
        with self._store.write() as connection:
            if not leases.take(connection, row, self.holder, token, self._store.clock.time()):
                return Grip.BUSY
        self.token = token
        self._held = True
        self._beat_at = self._store.clock.monotonic()
        return Grip.KEPT if kept else Grip.FRESH

    def fence(self, connection: Connection) -> None:
        """Makes the write of this transaction conditional on the token, and keeps the lease. Raises LeaseLost."""
        try:
            leases.beat(connection, self._lane_id, self.holder, self.token, self._store.clock.time())
        except LeaseLost:
            self._held = False
            raise
        self._beat_at = self._store.clock.monotonic()

    def release(self, connection: Connection) -> None:
        """Lets others have it at once."""
        leases.release(connection, self._lane_id, self.token)
        self._held = False

    @property
    def idle(self) -> float:
        """Seconds since the last write that kept it, as this process counts them."""
        return self._store.clock.monotonic() - self._beat_at

    def _is_dead(self, row: LaneRow) -> bool:
        clock = self._store.clock
        # By what this process has seen itself: no write for the whole time, whatever any wall clock says.
        if self._watched != (row.token, row.beats):
            self._watched, self._watched_since = (row.token, row.beats), clock.monotonic()
        elif clock.monotonic() - self._watched_since >= self._seconds:
            return True
        # By what is written down: twice the time, so that two clocks that differ a little do not matter. A time in the
        # future is a clock that was set back, and says nothing.
        return clock.time() - row.beat_at >= 2 * self._seconds or self._ended(row.holder or "")

    def _ended(self, holder: str) -> bool:
        """Whether the holder was a process of this machine that is no more."""
        host, _, rest = holder.rpartition(":")[0].rpartition(":")
        if host != socket.gethostname() or not rest.isdigit() or int(rest) == os.getpid():
            return False
        try:
            os.kill(int(rest), 0)
        except ProcessLookupError:
            return True
        except OSError:
            return False
        return False
