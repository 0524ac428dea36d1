"""The worker of one treasury: hands on what is granted, follows it, books what comes back, and keeps the books."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from actp.client import ACTPClient
from actp.engine.running import run_rounds, run_until
from actp.errors import RpcError, RpcUnavailable
from coordinator.alerts import notice
from coordinator.alerts.telling import telling
from coordinator.authority import Authority
from coordinator.budget.words import Reservation, ReservationState
from coordinator.errors import LedgerConflict
from coordinator.lifecycle import Lifecycle
from coordinator.store import seals
from coordinator.worker.dispatching import Dispatching
from coordinator.worker.disputes import Disputes
from coordinator.worker.following import Following
from coordinator.worker.reconciling import Reconciling
from coordinator.worker.returns import Returns
from coordinator.worker.sessions import Session
from coordinator.worker.treasury import Treasury

if TYPE_CHECKING:
    from coordinator.alerts.addresses import Address

__all__ = ["Worker"]

_log = logging.getLogger(__name__)

_UNFUNDED = frozenset({ReservationState.HELD, ReservationState.SUBMITTING})
_LONGEST_PAUSE = 0.25
_CHORES_EVERY = 1.0
_RECONCILE_SECONDS = 300.0


class Worker:
    """Works for one treasury. Any number of them may, in as many processes: any hands on and books, one signs.

    `lifecycle` is over the ledger of `authority`, which from then on asks this worker to look at the treasury before it
    denies something for want of money. `addresses` are told of alerts while `run` runs. Ledger and chain are compared
    every `reconcile_seconds`. With a `session`, a grant is handed on once the session has reserved its amount; give it
    to every worker of the treasury.
    """

    def __init__(
        self,
        client: ACTPClient,
        authority: Authority,
        lifecycle: Lifecycle,
        *,
        addresses: Sequence[Address] = (),
        reconcile_seconds: float = _RECONCILE_SECONDS,
        session: Session | None = None,
    ) -> None:
        self._authority = authority
        self._lifecycle = lifecycle
        self._addresses = tuple(addresses)
        self._session = session
        self._dispatching = Dispatching(client, authority, lifecycle, session)
        self._following = Following(authority)
        self._treasury = Treasury(client, authority, lifecycle)
        self._returns = Returns(client, authority)
        self._disputes = Disputes(client, authority)
        self._reconciling = Reconciling(client, authority, every=reconcile_seconds)
        self._chores_at = float("-inf")
        self._turn = threading.Lock()
        authority.look = self.look

    def look(self) -> None:
        """Lets the authority see what lies in the treasury now. A node that does not answer is waited for by nobody:
        then what was seen before counts. Raises StoreError.
        """
        try:
            self._once(self._lifecycle.follow)
            self._once(self._following.round)
            self._once(self._treasury.round)
        except (RpcError, RpcUnavailable) as error:
            _log.warning("The treasury was not looked at: %s", error)

    def step(self) -> bool:
        """One bounded round; whether there was anything to do. Raises RpcError, RpcUnavailable, StoreError with nothing
        lost: the next round goes on. Raises ConfigError.
        """
        with self._turn:
            try:
                busy = self._once(self._dispatching.round)
                busy |= self._lifecycle.step()
                busy |= self._once(self._following.round)
                busy |= self._once(self._treasury.round)
                busy |= self._once(self._returns.round)
                busy |= self._once(self._disputes.round)
                self._once(self._reconciling.round)
            finally:
                # Needs no node, and goes on without one.
                self._chores()
            return busy

    def run(self, stop: threading.Event) -> None:
        """Works until `stop` is set. Trouble with node or store is waited out; raises ConfigError."""
        with telling(self._authority.ledger, self._authority.account, self._addresses):
            try:
                run_rounds(self.step, stop, longest=_LONGEST_PAUSE, log=_log)
            finally:
                self._lifecycle.close()

    def wait(self, reservation_id: int, timeout: float = 60.0) -> Reservation:
        """Works until what was granted is funded or has failed, or the time is over; how far it is then. Trouble with
        node or store is waited out. Raises KeyError if there is no such reservation, ConfigError.
        """

        def look() -> Reservation:
            found = self._authority.find(reservation_id)
            if found is None:
                raise KeyError(reservation_id)
            return found

        return run_until(self.step, look, lambda one: one.state not in _UNFUNDED, timeout=timeout, log=_log)

    def _once(self, work: Callable[[], bool]) -> bool:
        try:
            return work()
        except LedgerConflict as error:
            _log.info("%s", error)  # whoever was faster has done it; what is left is read again
            return True

    def _chores(self) -> None:
        authority = self._authority
        now = authority.ledger.store.clock.monotonic()
        if now - self._chores_at < _CHORES_EVERY:
            return
        self._chores_at = now
        if self._session is not None:
            self._session.round()
        with suppress(LedgerConflict):
            expired = authority.expire()
            if expired:
                _log.info("expired, as nobody has answered in time: %d", expired)
            seals.seal_all(authority.ledger, authority.account)
            notice(authority.ledger, authority.account)
