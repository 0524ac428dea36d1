"""A session's budget over all that a treasury funds: what does not fit waits, and is handed on once it does."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence

from actp.units import format_usdc
from coordinator.authority import Authority
from coordinator.budget.words import Reservation, ReservationState
from coordinator.store import alerts, reservations
from coordinator.store.alerts import AlertKind, Draft
from coordinator.store.dispatches import Dispatch
from coordinator.tracker import BudgetExceededError, ReservationToken, TokenUsed, Tracker, TrackerError
from coordinator.tracker.errors import shown_scope
from coordinator.tracker.money import amount_of
from coordinator.tracker.naming import grant_of, grant_scope
from coordinator.tracker.words import LONGEST_TTL_SECONDS

__all__ = ["Session"]

_log = logging.getLogger(__name__)
_ENDED = frozenset({ReservationState.COMMITTED, ReservationState.RELEASED})
_AGAIN_SECONDS = 2.0
_LOOK_SECONDS = 60.0
"""How soon what a worker has left behind, which has died, is ended by another."""


class Session:
    """One base unit of USDC counts as a millionth of a dollar, so that a session may be one of models' calls, too.

    Each grant is a scope of its own within the session, and its amount that scope's limit: so it is reserved once,
    however many workers try, and a worker that begins anew finds what it had reserved in the tracker. A reservation is
    committed when the funding is final, and released if it has failed for good. While the tracker is away, nothing that
    is not reserved yet is handed on.
    """

    def __init__(self, authority: Authority, tracker: Tracker, scope: str) -> None:
        self.scope = scope
        self._authority = authority
        self._tracker = tracker
        self._lock = threading.RLock()
        self._held: dict[str, ReservationToken] | None = None
        self._asks_at = self._looks_at = float("-inf")

    def admit(self, due: Sequence[Dispatch]) -> list[Dispatch]:
        """Those of these grants for which the session has reserved. The others are asked for again later. Raises
        StoreError.
        """
        with self._lock:
            held = self._known()
            if held is None:
                return []
            with self._authority.ledger.read() as connection:
                rows = reservations.by_ids(connection, [one.reservation_id for one in due])
            asks = self._authority.ledger.store.clock.monotonic() >= self._asks_at
            return [one for one in due if self._fits(rows[one.reservation_id], held, asks)]

    def round(self) -> bool:
        """Ends what has ended; whether anything had. Raises StoreError."""
        with self._lock:
            held = self._known()
            if not held:
                return False
            ledger, account = self._authority.ledger, self._authority.account
            with ledger.read() as connection:
                rows = reservations.by_transactions(connection, account, list(held))
            ended = [one for one in rows if one.state in _ENDED]
            return bool([one for one in ended if self._end(one, held)])

    def _known(self) -> dict[str, ReservationToken] | None:
        """What is reserved for grants, by the ids of their transactions; None as long as nobody could say."""
        now = self._authority.ledger.store.clock.monotonic()
        if now >= max(self._asks_at, self._looks_at):
            try:
                found = self._tracker.reservations(self.scope)
            except TrackerError as error:
                self._put_off(error)
                return self._held
            self._looks_at = now + _LOOK_SECONDS
            grants = [(grant_of(one.token.scopes[-1]), one.token) for one in found]
            self._held = {grant: token for grant, token in grants if grant is not None}
        return self._held

    def _fits(self, row: Reservation, held: dict[str, ReservationToken], asks: bool) -> bool:
        if row.transaction_id in held:
            return True
        if not asks or row.state is not ReservationState.HELD:
            return False
        name = grant_scope(row.transaction_id)
        amount = amount_of(row.amount)
        try:
            self._tracker.set_budget(name, amount)
            try:
                token = self._tracker.reserve([self.scope, name], amount, ttl_seconds=LONGEST_TTL_SECONDS)
            except BudgetExceededError as denial:
                # Perhaps it is this very grant for which it is reserved, by another worker.
                theirs = self._tracker.reservations(name)
                if not theirs:
                    self._refused(row, denial)
                    return False
                token = theirs[0].token
        except TrackerError as error:
            self._put_off(error)
            return False
        held[row.transaction_id] = token
        return True

    def _end(self, row: Reservation, held: dict[str, ReservationToken]) -> bool:
        token = held[row.transaction_id]
        try:
            if row.state is ReservationState.COMMITTED:
                self._tracker.commit(token, amount_of(row.amount if row.actual is None else row.actual))
            else:
                self._tracker.release(token)
            self._tracker.set_budget(token.scopes[-1], None)
        except TokenUsed as error:
            _log.error("The session's budget is not right for request %d: %s", row.id, error)
        except TrackerError as error:
            self._put_off(error)
            return False
        del held[row.transaction_id]
        return True

    def _refused(self, row: Reservation, denial: BudgetExceededError) -> None:
        self._asks_at = self._authority.ledger.store.clock.monotonic() + _AGAIN_SECONDS
        title = f"The budget of {shown_scope(self.scope)} holds up what was granted"
        body = f"{format_usdc(row.amount)} USDC for agent {row.agent} wait. {denial}"
        ledger = self._authority.ledger
        with ledger.write() as connection:
            draft = Draft(AlertKind.BUDGET, f"{shown_scope(self.scope)} {denial.limit}"[:200], title, body)
            alerts.add(connection, self._authority.account, [draft], ledger.now())
        _log.warning("request %d of %s waits for the session's budget: %s", row.id, row.agent, denial)

    def _put_off(self, error: TrackerError) -> None:
        self._asks_at = self._authority.ledger.store.clock.monotonic() + _AGAIN_SECONDS
        _log.warning("The session's budget cannot be asked, and nothing new is handed on meanwhile: %s", error)
