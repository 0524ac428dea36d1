"""Batches on PostgreSQL: many decisions in one commit, by whoever leads, in one round trip if nobody else writes, and
otherwise in two.

One connection is kept for them, as they never overlap.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, IntegrityError

from actp.engine.store.errors import translated
from coordinator.authority.counters import Counters
from coordinator.authority.deciding import Decisions, Item, Outcome, decide_all
from coordinator.authority.remembering import Memory
from coordinator.budget.words import Answer, Scope
from coordinator.crash import CrashPoint, point
from coordinator.errors import LedgerConflict
from coordinator.store import Ledger, writers
from coordinator.store.accounts import Account
from coordinator.store.asking import Question, pipelined
from coordinator.store.booking import Expected, book_if, expected

__all__ = ["Batches", "Deposed"]

_TRIES = 8
_AHEAD = 2
"""How many numbers for reservations are kept, in batches of the last one's size."""


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
        self._memory: Memory | None = None
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
                memory, self._memory = self._memory or Memory(), None
                outcomes = self._remembered(self._connection, items, epoch, memory)
                if outcomes is None:
                    outcomes = self._read(self._connection, items, epoch, memory)
                self._memory = memory
                return outcomes
            except IntegrityError:
                raise
            except DBAPIError:
                self.close()
                raise

    def _read(self, connection: Connection, items: Sequence[Item], epoch: int | None, memory: Memory) -> list[Outcome]:
        """Decides by what it locks and reads, in two round trips."""
        with pipelined(connection):
            outcomes = decide_all(
                connection,
                self._account,
                items,
                self._ledger.now() + self._ahead,
                self._numbers,
                self._clock(epoch),
                fresh=not self._repeats,
                memory=memory,
            )
            self._require_answers(outcomes)
        return outcomes

    def _remembered(
        self, connection: Connection, items: Sequence[Item], epoch: int | None, memory: Memory
    ) -> list[Outcome] | None:
        """Decides by what the last batch left, in one round trip; None if that cannot be tried. Raises LedgerConflict
        if something is no longer so.
        """
        if self._repeats or not memory.serves(len(items), time.monotonic()):
            return None
        now = self._ledger.now() + self._ahead
        charged = {charge.scope for one in items for charge in one.ruled.charges}
        counters = Counters(connection, self._account, now, charged=charged, numbers=self._numbers, known=memory.cells)
        keys = sorted(counters.keys)
        if not memory.knows(keys):
            return None
        before = expected(keys, memory.cells)
        decisions = Decisions(self._account, counters, memory.rulebook, {}, memory.ids, now)
        outcomes = decisions.decide_all(items, {})
        self._require_answers(outcomes)
        changed, made = counters.changes()
        if made:
            raise LedgerConflict("A cell has to be made.", hint="Read them.", retryable=True)
        point(CrashPoint.BEFORE_RESERVE)
        clock = self._clock(epoch)
        wanted = Expected(
            before,
            memory.rulebook,
            epoch,
            now,
            None if self._ledger.shares_clock else self._ledger.now(),
            max(0, _AHEAD * len(items) - len(decisions.ids)),
        )
        found = book_if(connection, self._account, decisions.decided, changed, wanted)
        clock.meaning([found])
        if not found.done:
            raise LedgerConflict("Others have written meanwhile.", hint="Read it.", retryable=True)
        memory.keep(counters, [*decisions.ids, *found.ids], time.monotonic())
        return outcomes

    def _require_answers(self, outcomes: Sequence[Outcome]) -> None:
        """One that is not written down may have been decided before: then its key has to be looked for."""
        if not self._repeats and any(not isinstance(one, Answer) for one in outcomes):
            self._repeats = True
            raise LedgerConflict("A key may have been used before.", hint="Look.", retryable=True)

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
