"""Paying on kernels without salts: create, then link, in two eth transactions.

Such a kernel makes a new payment of every call. An idempotency key is therefore bound into the service hash (see
`actp.orders.bound_service_hash`), and before anything is created the account's own events are searched for it. Of
several payments with one key, only the first that the chain has is ever funded: an account's eth transactions are mined
in the order of their nonces, so which one is the first can never change once a later one is mined.
"""

from __future__ import annotations

import threading
import time
from dataclasses import replace

from actp.binding import Session
from actp.errors import ActpError, RpcUnavailable
from actp.events import Cursor, Event, Events, StaleCursor
from actp.intents import Intent, Intents, Payment
from actp.kernel import Kernel
from actp.orders import bound_service_hash
from actp.types import State, Transaction
from actp.vault import EscrowVault

__all__ = ["StepwisePayments"]

_LAG_SECONDS = 10.0
_POLL_SECONDS = 0.25


class StepwisePayments:
    """The payments that one account makes at a kernel of G1, or of the version actp-escrow/1."""

    def __init__(
        self, session: Session, *, kernel: Kernel, vault: EscrowVault, events: Events, intents: Intents
    ) -> None:
        self._session = session
        self._kernel = kernel
        self._vault = vault
        self._events = events
        self._intents = intents
        self._created: list[Event] = []
        self._cursor: Cursor | None = None

    def pay(self, intent: Intent, allow: int | None) -> Payment:
        """Pays, or finds what was paid, or continues what was only created."""
        if not intent.keyed:
            self._intents.check_times([intent])
            return self._fund(self._create(intent), False, allow)
        bound = bound_service_hash(intent.order.salt, intent.order.service_hash)
        wanted = replace(intent, order=replace(intent.order, service_hash=bound))
        with _lock_of((self._session.genesis, self._kernel.address, self._session.address)):
            first, own = self._first(wanted), None
            if first is None:
                self._intents.check_times([intent])
                own = self._create(wanted)
                # An earlier call whose outcome was unknown may have been mined just before this one, which then stays
                # without money.
                first = self._first(wanted, including=own) or own
            return self._fund(first, first != own, allow)

    def _create(self, intent: Intent) -> str:
        order, clauses = intent.order, intent.clauses
        return self._kernel.create_transaction(
            requester=intent.requester,
            provider=order.provider,
            amount=order.amount,
            deadline=order.deadline,
            dispute_window=order.dispute_window,
            metadata=order.service_hash,
            agent_id=clauses.agent_id,
            requester_agent_id=clauses.requester_agent_id,
        )

    def _fund(self, transaction_id: str, found: bool, allow: int | None) -> Payment:
        record = self._record(transaction_id)
        if record.state not in (State.INITIATED, State.QUOTED):
            return Payment(transaction_id, found, record.state)
        try:
            result = self._vault.fund_once(transaction_id, standing_allowance=allow)
        except ActpError as error:
            error.hint = (
                f"{error.hint} The transaction {transaction_id} is created and "
                f"{'may be' if error.outcome == 'unknown' else 'not'} funded."
            ).lstrip()
            raise
        if result is None:
            return Payment(transaction_id, True, self._record(transaction_id).state)
        return Payment(transaction_id, found, State.COMMITTED, result)

    def _record(self, transaction_id: str) -> Transaction:
        return self._kernel.get_transaction(transaction_id)

    def _first(self, intent: Intent, including: str | None = None) -> str | None:
        """The first payment that the chain has with this key; its terms are compared. `including` must be seen."""
        for event in self._own(including):
            if event.args["serviceHash"] == intent.order.service_hash and event.transaction_id is not None:
                self._intents.require_same(intent, self._record(event.transaction_id))
                return event.transaction_id
        return None

    def _own(self, including: str | None) -> list[Event]:
        """Everything that this account has created, in chain order. Raises RpcUnavailable if the node does not show all
        of it, because what is not seen would be paid again.
        """
        until = time.monotonic() + _LAG_SECONDS
        while True:
            expected = self._kernel.requester_nonce()
            events = self._read_on()
            seen = including is None or any(event.transaction_id == including for event in events)
            if seen and len(events) >= expected:
                return events
            if time.monotonic() > until:
                raise RpcUnavailable(
                    f"{self._session.transport.label} shows {len(events)} of {expected} transactions that "
                    f"{self._session.address} created, so an earlier payment with this key might be overlooked.",
                    hint="Try again, or use an endpoint that keeps all logs.",
                    outcome="not_sent" if including is None else "none",
                )
            time.sleep(_POLL_SECONDS)

    def _read_on(self) -> list[Event]:
        """Reads what is new since the last time."""
        try:
            page = self._events.created_by(self._session.address, self._cursor)
        except StaleCursor:
            self._created, self._cursor = [], None
            page = self._events.created_by(self._session.address)
        self._created = [*self._created, *page.events]
        self._cursor = page.cursor
        return self._created


_locks: dict[tuple[str, str, str], threading.Lock] = {}
_locks_lock = threading.Lock()


def _lock_of(key: tuple[str, str, str]) -> threading.Lock:
    # Per process and not per client: several clients may have the account's key.
    with _locks_lock:
        return _locks.setdefault(key, threading.Lock())
