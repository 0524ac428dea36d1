"""One decision in one round trip: the database's own function `co_decide`, on PostgreSQL.

Connections are kept for this alone: taking one from the store's pool costs a question of its own.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, IntegrityError

from actp.engine.store.errors import translated
from coordinator.authority.deciding import Item, KeyTaken, Outcome, Unfunded, gas_of, new_approval_id, rules_changed
from coordinator.budget.purposes import purpose_hash
from coordinator.budget.wording import exceeded
from coordinator.budget.words import Answer, Denial, ReservationState, Scope
from coordinator.errors import LedgerConflict
from coordinator.store import Ledger, scopes
from coordinator.store.accounts import Account
from coordinator.store.asking import call
from coordinator.store.formats import text
from coordinator.store.reservations import denial_columns

__all__ = ["CALL", "Direct", "request_text"]

CALL = "SELECT * FROM co_decide(%s, %s, %s, %s)"
"""The statement: chain id, wallet, the request as `request_text` writes it, and None or a test's time."""

_TRIES = 8


class _Row(NamedTuple):
    """What the function answers, in its order."""

    o_outcome: str
    o_id: int
    o_state: str
    o_transaction_id: str
    o_body_hash: str
    o_rule: str | None
    o_message: str | None
    o_lim: Any
    o_used: Any
    o_approval_id: str | None


class Direct:
    """Decides requests one by one. Thread-safe: each call has a connection of its own, of at most `connections`, which
    is then kept. All of them wait for the same few rows, so that more of them are no faster.
    """

    def __init__(self, ledger: Ledger, account: Account, numbers: dict[Scope, int], *, connections: int) -> None:
        self._free = threading.BoundedSemaphore(connections)
        self._ledger = ledger
        self._account = account
        self._lock = threading.Lock()
        self._idle: list[Connection] = []
        self._scopes = numbers
        self._closed = False

    def decide(self, item: Item) -> Outcome:
        """What becomes of a request. Raises LedgerConflict, StoreError."""
        self.learn([item])
        written = request_text(item, [self._scopes[charge.scope] for charge in item.ruled.charges])
        for _ in range(_TRIES):
            row = self._call(written)
            if row is not None and row.o_outcome != "again":
                return _outcome(item, row)
        raise LedgerConflict(
            "Others were faster again and again.", hint="Nothing was decided. Try again.", retryable=True
        )

    def learn(self, items: Sequence[Item]) -> None:
        """Sees to it that the scopes that are charged to have numbers. They never change, and so are read once."""
        known = self._scopes
        if any(charge.scope not in known for item in items for charge in item.ruled.charges):
            wanted = {charge.scope for item in items for charge in item.ruled.charges}
            with self._ledger.write() as connection:
                found = scopes.require(connection, self._account, wanted)
            self._scopes |= {scope: row.id for scope, row in found.items()}

    def close(self) -> None:
        """Closes the connections that are kept."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _call(self, written: str) -> _Row | None:
        """The function's row; None if a cell was made by somebody else at the same moment."""
        ledger = self._ledger
        now = None if ledger.shares_clock else ledger.now()
        with self._free, translated(ledger.store.label):
            connection = self._take()
            try:
                parameters = (self._account.chain_id, self._account.wallet, written, now)
                row = _Row(*call(connection, CALL, parameters))
            except IntegrityError:
                row = None
            except DBAPIError:
                connection.close()
                raise
            except BaseException:
                connection.invalidate()
                connection.close()
                raise
            self._keep(connection)
        return row

    def _take(self) -> Connection:
        with self._lock:
            if self._idle:
                return self._idle.pop()
        connection = self._ledger.store.engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        connection.detach()
        return connection

    def _keep(self, connection: Connection) -> None:
        with self._lock:
            if not self._closed:
                self._idle.append(connection)
                return
        connection.close()


def request_text(item: Item, scope_ids: Sequence[int]) -> str:
    """A request as the function reads it: JSON."""
    ask, ruled, final = item
    salt = secrets.token_hex(16)
    return text(
        {
            "agent": ask.agent,
            "key": ask.key,
            "body_hash": ask.body_hash,
            "provider": ask.provider,
            "category": ask.category,
            "amount": ask.amount,
            "purpose": ask.purpose,
            "purpose_salt": salt,
            "purpose_hash": purpose_hash(salt, ask.purpose),
            "terms": text(dict(ask.terms)),
            "number": str(ask.number),
            "transaction_id": ask.transaction_id,
            "gas": gas_of(ruled),
            "rulebook": ruled.rulebook,
            "approvals": ruled.approvals,
            "approval_seconds": ruled.approval_seconds,
            "approval_id": new_approval_id() if ruled.approvals else None,
            "final": final,
            **denial_columns(ruled.denial),
            "scopes": list(scope_ids),
            "amounts": [charge.amount for charge in ruled.charges],
            "limits": [charge.limit for charge in ruled.charges],
            "rules": [charge.rule for charge in ruled.charges],
        }
    )


def _outcome(item: Item, row: _Row) -> Outcome:
    denial = None
    if row.o_rule is not None:
        message = row.o_message if row.o_message is not None else exceeded(row.o_rule, row.o_used, row.o_lim)
        denial = Denial(row.o_rule, message, row.o_lim, row.o_used)
    if row.o_outcome == "rules":
        return rules_changed()
    if row.o_outcome == "unfunded":
        assert denial is not None
        return Unfunded(denial)
    known = row.o_outcome == "known"
    if known and row.o_body_hash != item.ask.body_hash:
        return KeyTaken(item.ask, row.o_transaction_id)
    state = ReservationState(row.o_state)
    return Answer(row.o_id, state, row.o_transaction_id, denial, row.o_approval_id, replayed=known)
