"""Batches on PostgreSQL: many decisions in one commit and two round trips, by whoever leads.

One connection is kept for them, as they never overlap.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, IntegrityError

from actp.engine.store.errors import translated
from coordinator.authority.deciding import Item, Outcome, decide_all
from coordinator.budget.words import Answer, Scope
from coordinator.errors import LedgerConflict
from coordinator.store import Ledger, writers
from coordinator.store.accounts import Account
from coordinator.store.asking import Question, pipelined

__all__ = ["Batches", "Deposed"]

_TRIES = 8


class Deposed(Exception):
    """Another process decides in batches."""


class Batches:
    """Decides requests together. Only one thread at a time may."""

    def __init__(self, ledger: Ledger, account: Account, numbers: dict[Scope, int]) -> None:
        """`numbers` has those of all scopes that will be charged to."""
        self._ledger = ledger
        self._account = account
        self._numbers = numbers
        self._connection: Connection | None = None
        self._ahead = 0.0
        """How far the database's clock was ahead of this process's when it was read last."""
        self._repeats = False
        """Whether keys that were used before come in. Nearly always none does, and then nobody has to look."""

    def decide(self, items: Sequence[Item], epoch: int | None) -> list[Outcome]:
        """What becomes of each. Raises Deposed unless this epoch is still that of the writer, LedgerConflict if others
        were faster again and again, StoreError.
        """
        for left in reversed(range(_TRIES)):
            try:
                outcomes = self._commit(items, epoch)
            except IntegrityError as error:
                self._repeats = True
                if not left:
                    raise LedgerConflict(
                        "Others were faster again and again.", hint="Nothing was decided. Try again.", retryable=True
                    ) from error.orig
            except LedgerConflict:
                if not left:
                    raise
            else:
                self._repeats = any(not isinstance(one, Answer) or one.replayed for one in outcomes)
                return outcomes
        raise AssertionError("unreachable")

    def close(self) -> None:
        """Closes the connection that is kept."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _commit(self, items: Sequence[Item], epoch: int | None) -> list[Outcome]:
        ledger = self._ledger
        with translated(ledger.store.label):
            if self._connection is None:
                self._connection = ledger.store.engine.connect().execution_options(isolation_level="AUTOCOMMIT")
                self._connection.detach()
            try:
                with pipelined(self._connection):
                    outcomes = decide_all(
                        self._connection,
                        self._account,
                        items,
                        ledger.now() + self._ahead,
                        self._numbers,
                        self._clock(epoch),
                        fresh=not self._repeats,
                    )
                    if not self._repeats and any(not isinstance(one, Answer) for one in outcomes):
                        self._repeats = True  # one that is not written down may have been decided before
                        raise LedgerConflict("A key may have been used before.", hint="Look.", retryable=True)
                return outcomes
            except IntegrityError:
                raise
            except DBAPIError:
                self.close()
                raise

    def _clock(self, epoch: int | None) -> Question[float]:
        """The time of a batch that this process may write: nobody else has taken over, or will before its commit."""

        def meaning(held: int | None, now: float) -> float:
            if held != epoch:
                raise Deposed
            if not self._ledger.shares_clock:
                return self._ledger.now()
            self._ahead = now - self._ledger.now()
            return now

        return writers.holding(self._account, meaning)
