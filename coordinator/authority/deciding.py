"""Deciding requests: all of a batch in one commit, each of them by itself.

This is the decision in Python: for SQLite, and for batches on PostgreSQL. `store/co_decide.sql` is the same decision of
one request in one round trip; the same tests run over both.
"""

from __future__ import annotations

import secrets
import time
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from sqlalchemy import Connection

from actp.errors import ActpError, IdempotencyConflict
from coordinator.authority.counters import Booked, Counters
from coordinator.authority.remembering import Memory
from coordinator.budget.judging import TREASURY_RULES
from coordinator.budget.words import Answer, Ask, Denial, Reservation, ReservationState, Ruled, Scope
from coordinator.crash import CrashPoint, point
from coordinator.errors import RulesChanged
from coordinator.store import asks, cells, pauses, reservations, treasuries
from coordinator.store.accounts import Account
from coordinator.store.asking import Question
from coordinator.store.asks import AskRow, AskState
from coordinator.store.booking import Decided, book
from coordinator.store.budget_schema import reservations as reservations_table
from coordinator.store.bulk import drawing, is_postgresql
from coordinator.store.journal import Entry
from coordinator.store.reservations import Draft
from coordinator.types import ETH

__all__ = [
    "EVENTS",
    "PAUSED",
    "Decisions",
    "Item",
    "KeyTaken",
    "Outcome",
    "Unfunded",
    "answer_of",
    "decide_all",
    "decided_detail",
    "gas_of",
    "new_approval_id",
    "pause_denial",
    "rules_changed",
]

PAUSED = "paused"
"""The rule of a denial because the agent, or everything, is paused."""

EVENTS = {
    ReservationState.DENIED: "denied",
    ReservationState.PENDING_APPROVAL: "approval_wanted",
    ReservationState.HELD: "granted",
}
"""What the journal calls a decision."""


class Item(NamedTuple):
    """A request, and what the rules say of it. If it is not `final`, a denial that a newer look at the wallet may turn
    is not written down.
    """

    ask: Ask
    ruled: Ruled
    final: bool = True

    @property
    def identity(self) -> tuple[str, str]:
        """Agent and key."""
        return self.ask.agent, self.ask.key


@dataclass(frozen=True, slots=True)
class Unfunded:
    """Only the treasury's balance that was seen last is in the way. Nothing was decided."""

    denial: Denial


class KeyTaken(IdempotencyConflict):
    """The agent's key stands for another request."""

    def __init__(self, ask: Ask, transaction_id: str) -> None:
        ActpError.__init__(
            self,
            f"The key {ask.key!r} of {ask.agent} stands for another request.",
            hint="Use a new key for a new request, and the same key only to ask again for the same one.",
        )
        self.transaction_id = transaction_id
        self.differing = ()


Outcome = Answer | KeyTaken | RulesChanged | Unfunded


def decide_all(
    connection: Connection,
    account: Account,
    items: Sequence[Item],
    now: float,
    numbers: dict[Scope, int] | None = None,
    clock: Question[float] | None = None,
    *,
    fresh: bool = False,
    memory: Memory | None = None,
) -> list[Outcome]:
    """What becomes of each of these requests, in their order: one commit, in which each distinct cell is read and
    written once. What is denied changes no cell; what is no Answer changes nothing at all.

    `numbers` keeps the numbers of scopes for the next commit. With a `clock`, which is asked when the cells are locked,
    `now` need only be close. If they are said to be `fresh`, nobody looks whether a key was used before: one that was
    fails as a whole when it is written. A `memory` is told what the next commit needs to know. Raises LedgerConflict,
    also if `now` was not close enough, and what the clock raises.
    """
    postgresql = is_postgresql(connection)
    counters = Counters(
        connection,
        account,
        now,
        charged={charge.scope for one in items for charge in one.ruled.charges},
        numbers=numbers,
        beside=(
            treasuries.reading(account),
            pauses.standing(account),
            drawing(postgresql, reservations_table, len(items) * (1 if memory is None else 3)),
            *(() if fresh else (reservations.keyed(postgresql, account, {one.identity for one in items}),)),
            *(() if clock is None else (clock,)),
        ),
    )
    treasury, paused, ids, *others = counters.answers
    if clock is not None:
        now = others.pop()
        counters.keep_time(now)
    known = {} if fresh else others.pop()
    rulebook = 0 if treasury is None else treasury.rulebook
    decisions = Decisions(account, counters, rulebook, paused, ids, now)
    if memory is not None:
        memory.compare(counters, rulebook, undisturbed=not paused and not counters.any_frozen)
    outcomes = decisions.decide_all(items, _replays(connection, known))
    changed, made = counters.changes()
    book(connection, account, decisions.decided, changed, now)
    cells.insert(connection, made)
    if memory is not None:
        memory.keep(counters, decisions.ids, time.monotonic())
    point(CrashPoint.BEFORE_RESERVE)
    return outcomes


class Decisions:
    """The decisions of one commit, and the rows that they become (`decided`)."""

    def __init__(
        self,
        account: Account,
        counters: Counters,
        rulebook: int,
        paused: dict[str, pauses.Pause],
        ids: Iterable[int],
        now: float,
    ) -> None:
        """`ids` are numbers for new rows, of which it takes the first ones."""
        self._account = account
        self._counters = counters
        self._rulebook = rulebook
        self._paused = paused
        self.ids = deque(ids)
        self._now = now
        self.decided: list[Decided] = []

    def decide_all(self, items: Sequence[Item], repeated: dict[tuple[str, str], tuple[str, Answer]]) -> list[Outcome]:
        """What becomes of each, where `repeated` is what was answered under keys before, and to which body."""
        outcomes: list[Outcome] = []
        for ask, ruled, final in items:
            before = repeated.get((ask.agent, ask.key))
            if before is not None:
                outcomes.append(_replay(ask, *before))
                continue
            outcome = self._decide(ask, ruled, final)
            outcomes.append(outcome)
            if isinstance(outcome, Answer):
                repeated[ask.agent, ask.key] = (ask.body_hash, outcome)
        return outcomes

    def _decide(self, ask: Ask, ruled: Ruled, final: bool) -> Outcome:
        denial = pause_denial(self._paused, ask.agent)
        if denial is None and ruled.rulebook != self._rulebook:
            return rules_changed()
        denial = denial or ruled.denial or self._counters.objection(ruled.charges)
        if denial is not None and denial.rule in TREASURY_RULES and not final:
            return Unfunded(denial)
        booked = Booked()
        placed = "[]" if denial is not None else self._counters.reserve(ruled.charges, booked)
        state = ReservationState.PENDING_APPROVAL if ruled.approvals else ReservationState.HELD
        draft = Draft(
            self.ids.popleft(),
            ask,
            secrets.token_hex(16),
            self._rulebook,
            state if denial is None else ReservationState.DENIED,
            placed,
            0 if denial is not None else gas_of(ruled),
            denial is None,
            denial,
        )
        question = None
        approval_id = new_approval_id() if draft.state is ReservationState.PENDING_APPROVAL else None
        if approval_id is not None:
            expires_at = self._now + ruled.approval_seconds
            question = AskRow(draft.id, approval_id, ruled.approvals, AskState.WAITING, self._now, expires_at)
        entry = Entry(
            EVENTS[draft.state], ask.agent, None, None, draft.state, decided_detail(draft), draft.id, booked.text
        )
        self.decided.append(Decided(draft, entry, question))
        return Answer(draft.id, draft.state, ask.transaction_id, denial, approval_id)


def decided_detail(draft: Draft) -> dict[str, Any]:
    """What the journal says of a decision, besides its cells."""
    ask = draft.ask
    denial = draft.denial
    return {
        "key": ask.key,
        "body_hash": ask.body_hash,
        "provider": ask.provider,
        "category": ask.category,
        "amount": ask.amount,
        "gas": draft.gas,
        "transaction_id": ask.transaction_id,
        "purpose_hash": draft.purpose_hash,
        "rulebook": draft.rulebook,
    } | ({} if denial is None else {"denial": [denial.rule, denial.limit, denial.used]})


def pause_denial(paused: dict[str, pauses.Pause], agent: str) -> Denial | None:
    """The denial while an agent or everything is paused."""
    found = paused.get(pauses.TREASURY) or paused.get(agent)
    if found is None:
        return None
    who = "Everything" if found.agent is None else "Agent"
    return Denial(PAUSED, f"{who} is paused: {found.reason}")


def rules_changed() -> RulesChanged:
    """What is raised where rules were applied that no longer hold."""
    return RulesChanged("The rules have changed.", hint="Nothing was decided. Apply the new ones.", retryable=True)


def new_approval_id() -> str:
    """A name for an approval that nobody else has, and nobody can guess."""
    return f"approval-{secrets.token_hex(12)}"


def answer_of(reservation: Reservation, approval_id: str | None) -> Answer:
    """The answer to a request that was decided before."""
    return Answer(
        reservation.id, reservation.state, reservation.transaction_id, reservation.denial, approval_id, replayed=True
    )


def gas_of(ruled: Ruled) -> int:
    """What is reserved for fees, in wei."""
    return max((charge.amount for charge in ruled.charges if charge.scope.unit == ETH), default=0)


def _replays(
    connection: Connection, known: dict[tuple[str, str], Reservation]
) -> dict[tuple[str, str], tuple[str, Answer]]:
    """What was answered under these keys before, and to which body."""
    asked = asks.by_reservations(connection, [one.id for one in known.values()]) if known else {}
    return {
        key: (one.body_hash, answer_of(one, asked[one.id].approval_id if one.id in asked else None))
        for key, one in known.items()
    }


def _replay(ask: Ask, body_hash: str, answer: Answer) -> Outcome:
    return replace(answer, replayed=True) if body_hash == ask.body_hash else KeyTaken(ask, answer.transaction_id)
