"""The budget authority of one treasury: decides, holds, approves, books. Thread-safe, and many processes may serve one.

Which way a decision takes is seen here and nowhere else: SQLite and, on PostgreSQL, the leader decide what comes in at
the same time in one commit; everybody else on PostgreSQL calls the database's own function.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self, TypeVar

from sqlalchemy import Connection

from actp.engine.store import StoreBusy, StoreFull
from actp.errors import ActpError
from coordinator.authority import applying, approving, ending, expiring, freezing, measuring, observing
from coordinator.authority.batching import Batches, Deposed
from coordinator.authority.deciding import Item, KeyTaken, Outcome, Unfunded, decide_all
from coordinator.authority.direct import Direct
from coordinator.authority.ending import Change
from coordinator.authority.leading import Leadership
from coordinator.authority.shelf import Shelf, Standing
from coordinator.budget.judging import Treasury, rule
from coordinator.budget.rulebook import RuleBook
from coordinator.budget.words import Answer, Ask, Reservation, Scope
from coordinator.combining import Combiner
from coordinator.crash import CrashPoint, point
from coordinator.errors import LedgerConflict, RulesChanged
from coordinator.store import Ledger, reservations, treasuries, usage
from coordinator.store.accounts import Account
from coordinator.store.usage import Usage
from coordinator.types import BlockRef

__all__ = ["Authority", "AuthoritySettings"]

_T = TypeVar("_T")
_TRIES = 8


@dataclass(frozen=True, slots=True)
class AuthoritySettings:
    """`batch` is the most decisions of one commit, `connections` the most that decide alone at a time on PostgreSQL.
    All of them want the same rows: with two, one is decided while the next is made ready, and more only queue.
    Where several processes serve one of those, one of them leads: whoever does says so every `heartbeat_seconds`, and
    is taken for gone after `silent_seconds`.
    """

    batch: int = 256
    connections: int = 2
    heartbeat_seconds: float = 2.0
    silent_seconds: float = 10.0
    leading: bool = True
    """Whether this process may lead."""


class Authority:
    """Everything that may change a budget of `account` goes through one of these."""

    def __init__(
        self,
        ledger: Ledger,
        account: Account,
        *,
        token: str,
        settings: AuthoritySettings | None = None,
        look: Callable[[], object] | None = None,
    ) -> None:
        """The authority over `account`, whose budgets are in `token`. `look` is called, at most once for each request,
        when only the balance that was seen last is in the way: it is to `observe` a newer one, if there is one.
        """
        self.ledger = ledger
        self.account = account
        self.token = token
        self.look = look
        self._settings = settings or AuthoritySettings()
        self._shelf = Shelf(account, token)
        with ledger.write() as connection:
            treasuries.require(connection, account, token)
            self._shelf.read(connection)
        self._numbers: dict[Scope, int] = {}
        shared = ledger.store.engine.dialect.name == "postgresql"
        self._direct = (
            Direct(ledger, account, self._numbers, connections=self._settings.connections) if shared else None
        )
        self._batches = Batches(ledger, account, self._numbers)
        self._leadership: Leadership | None = None
        if shared and self._settings.leading:
            self._leadership = Leadership(
                ledger,
                account,
                heartbeat_seconds=self._settings.heartbeat_seconds,
                silent_seconds=self._settings.silent_seconds,
            )
        self._deciding = 0
        self._combiner: Combiner[Item, Outcome] = Combiner(self._decide_batch, most=self._settings.batch)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Lets go of what it holds open. The ledger stays open: it belongs to the caller."""
        if self._leadership is not None:
            self._leadership.close()
        if self._direct is not None:
            self._direct.close()
        self._batches.close()

    def request(self, ask: Ask) -> Answer:
        """Decides a request, in one commit. The same key gives the stored answer. Raises KeyTaken, StoreError."""
        (answer,) = self.request_all([ask])
        return answer

    def request_all(self, asks: Sequence[Ask]) -> list[Answer]:
        """The answers to these requests, in order, each decided by itself: KeyTaken is raised when all others are
        decided. Raises StoreError; then it is safe to ask again.
        """
        found: dict[int, Answer] = {}
        taken: KeyTaken | None = None
        left = list(range(len(asks)))
        may_look = self.look is not None
        for _ in range(_TRIES):
            standing = self._known()
            items = [
                Item(asks[index], rule(asks[index], standing.book, standing.treasury), not may_look) for index in left
            ]
            undecided: list[int] = []
            unfunded = False
            for index, outcome in zip(left, self._decide(items), strict=True):
                if isinstance(outcome, Answer):
                    found[index] = outcome
                elif isinstance(outcome, KeyTaken):
                    taken = outcome
                elif isinstance(outcome, RulesChanged | Unfunded):
                    undecided.append(index)
                    unfunded = unfunded or isinstance(outcome, Unfunded)
                else:
                    raise outcome
            left = undecided
            if not left:
                break
            if unfunded and self.look is not None:
                self.look()
                may_look = False
            self._refresh()
        else:
            raise RulesChanged(
                "The rules changed again and again while this was decided.", hint="Try again.", retryable=True
            )
        if taken is not None:
            raise taken
        return [found[index] for index in range(len(asks))]

    def approve(self, approval_id: str, approver: str | None = None, reason: str = "") -> Answer:
        """Counts a yes of an approver, None for the operator of this process. With the last one that is needed the
        request is decided again. See `authority.approving`. Raises UnknownApproval, InvalidInput, StoreError.
        """

        def vote(final: bool) -> Answer:
            try:
                return self._commit(
                    lambda connection, now: approving.approve(
                        connection, self.account, self._shelf, approval_id, approver, reason, now, final=final
                    )
                )
            except approving.StillWaits as error:
                return error.answer

        try:
            answer = vote(final=self.look is None)
        except approving.Unseen:
            assert self.look is not None
            self.look()
            answer = vote(final=True)
        point(CrashPoint.AFTER_VOTE)
        return answer

    def reject(self, approval_id: str, approver: str | None = None, reason: str = "") -> Answer:
        """Says no to a request that waits; its budget is free again. Raises as `approve`."""
        return self._commit(
            lambda connection, now: approving.reject(
                connection, self.account, self._shelf, approval_id, approver, reason, now
            )
        )

    def withdraw(self, approval_id: str, reason: str = "") -> Answer:
        """Takes back a request that waits, in the name of its agent. See `authority.approving`. Raises as `approve`."""
        return self._commit(
            lambda connection, now: approving.withdraw(connection, self.account, approval_id, reason, now)
        )

    def expire(self) -> int:
        """Ends approvals that nobody has given in time; how many those were, at most a few hundred at a time."""
        expired = self._commit(lambda connection, now: expiring.expire(connection, self.account, now))
        if expired:
            point(CrashPoint.AFTER_EXPIRY)
        return expired

    def move(self, changes: Sequence[Change]) -> list[Reservation]:
        """Moves reservations on, in a commit of its own. See `authority.ending`."""
        return self._commit(lambda connection, now: ending.move_all(connection, self.account, changes, now))

    def book(self) -> RuleBook:
        """The rules that hold now."""
        return self._refresh().book

    def treasury(self) -> Treasury:
        """Who pays, and what is known of what that costs."""
        return self._refresh().treasury

    @property
    def leads(self) -> bool:
        """Whether this process decides in batches, of all that serve the same PostgreSQL."""
        return self._leadership is not None and self._leadership.epoch is not None

    def apply(self, book: RuleBook, by: str) -> int:
        """Makes rules hold, and their limits; the version that they have. The same rules again change nothing."""
        version = self._commit(
            lambda connection, now: applying.apply(connection, self.account, book, self.token, by, now)
        )
        self._refresh()
        return version

    def observe(self, token_balance: int, eth_balance: int, block: BlockRef, gas_estimate: int) -> bool:
        """Notes what lies in the treasury after a block. See `authority.observing`."""
        seen = self._commit(
            lambda connection, now: observing.observe(
                connection,
                self.account,
                token_balance=token_balance,
                eth_balance=eth_balance,
                block=block,
                gas_estimate=gas_estimate,
                now=now,
            )
        )
        self._refresh()
        return seen

    def usage(self) -> list[Usage]:
        """Every cell, with its scope."""
        with self.ledger.read() as connection:
            return usage.of_wallet(connection, self.account)

    def find(self, reservation_id: int) -> Reservation | None:
        """The reservation of this number, if it is one of this treasury."""
        with self.ledger.read() as connection:
            found = reservations.by_ids(connection, [reservation_id]).get(reservation_id)
        if found is None or (found.chain_id, found.wallet) != (self.account.chain_id, self.account.wallet):
            return None
        return found

    def freeze(self, scope: Scope, reason: str) -> bool:
        """Lets nothing more be charged to a scope; False if that is so already."""
        return self._commit(lambda connection, now: freezing.freeze(connection, self.account, scope, reason, now))

    def unfreeze(self, scope: Scope, reason: str) -> bool:
        """Lets requests charge a scope again; False if they could."""
        return self._commit(lambda connection, now: freezing.unfreeze(connection, self.account, scope, reason, now))

    def _known(self) -> Standing:
        known = self._shelf.known
        return self._refresh() if known is None else known

    def _refresh(self) -> Standing:
        with self.ledger.read() as connection:
            return self._shelf.read(connection)

    def _commit(self, work: Callable[[Connection, float], _T]) -> _T:
        """Runs something in a commit, again if another process was faster."""
        for left in reversed(range(_TRIES)):
            try:
                with self.ledger.write() as connection:
                    return work(connection, self.ledger.now_by(connection))
            except LedgerConflict:
                if not left:
                    raise
        raise AssertionError("unreachable")

    def _decide(self, items: Sequence[Item]) -> list[Outcome | Exception]:
        started = time.time()
        if self._direct is None or self._leads(len(items)):
            outcomes = self._combiner.submit(items)
        else:
            outcomes = [self._alone(item) for item in items]
        measuring.decided(items, outcomes, started)
        point(CrashPoint.AFTER_RESERVE)
        return outcomes

    def _leads(self, number: int) -> bool:
        """Whether this process decides in batches now. It tries to as soon as there is something for a batch."""
        leadership = self._leadership
        if leadership is None:
            return False
        if number > 1 or self._deciding > 1:
            leadership.start()
        return leadership.epoch is not None

    def _alone(self, item: Item) -> Outcome | Exception:
        assert self._direct is not None
        self._deciding += 1  # not exact among threads, and need not be
        try:
            return self._direct.decide(item)
        except (ActpError, ValueError, OverflowError) as error:
            return error
        finally:
            self._deciding -= 1

    def _decide_batch(self, items: Sequence[Item]) -> list[Outcome | Exception]:
        if self._direct is None:
            return self._one_by_one(items)
        if len(items) == 1:
            return [self._alone(items[0])]
        epoch = None if self._leadership is None else self._leadership.epoch
        try:
            self._direct.learn(items)
            return list(self._batches.decide(items, epoch))
        except Deposed:
            assert self._leadership is not None
            self._leadership.lose(epoch)
        except (StoreBusy, StoreFull) as error:
            return [error] * len(items)
        except (ActpError, ValueError, OverflowError):
            pass  # one of them cannot be decided: each alone shows which
        return [self._alone(item) for item in items]

    def _one_by_one(self, items: Sequence[Item]) -> list[Outcome | Exception]:
        """All at once, and if that fails each alone, so that the others do not suffer from the one that cannot be."""
        try:
            return list(self._decide_all(items))
        except (ActpError, ValueError, OverflowError) as error:
            if len(items) == 1 or isinstance(error, StoreBusy | StoreFull):
                return [error] * len(items)
        return [outcome for item in items for outcome in self._one_by_one([item])]

    def _decide_all(self, items: Sequence[Item]) -> list[Outcome]:
        return self._commit(lambda connection, now: decide_all(connection, self.account, items, now, self._numbers))
