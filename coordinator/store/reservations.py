"""Rows of reservations: every request once per key of an agent, and the budget that it holds.

Their states change in `coordinator.authority.ending` and `approving` alone.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Row, Select, TextualSelect, or_, select, text

from coordinator.budget.purposes import purpose_hash
from coordinator.budget.wording import EXCEEDABLE, exceeded
from coordinator.budget.words import Ask, Denial, Placed, Reservation, ReservationState
from coordinator.store.accounts import Account, owned
from coordinator.store.asking import Question, ask
from coordinator.store.budget_schema import reservations
from coordinator.store.bulk import among, insert_rows, is_postgresql, listed_in, update_rows
from coordinator.store.formats import text as json_text
from coordinator.store.schema import operations
from coordinator.types import Stage

__all__ = [
    "Draft",
    "Mined",
    "add",
    "by_ids",
    "by_keys",
    "by_operations",
    "by_transactions",
    "denial_columns",
    "in_states",
    "keyed",
    "listed",
    "mined",
    "placed_of",
    "placed_text",
    "write",
]

_COLUMNS = tuple(column for column in reservations.c if column.name not in ("purpose_salt", "purpose_hash"))
_REVERTED = "reverted"
_STATES = {one.value: one for one in ReservationState}


@dataclass(frozen=True, slots=True)
class Draft:
    """A reservation that is not a row yet. `placed` is the text of its column, `purpose_hash` stands for what it is for
    where that may be erased.
    """

    id: int
    ask: Ask
    purpose_salt: str
    rulebook: int
    state: ReservationState
    placed: str = "[]"
    gas: int = 0
    promised: bool = False
    denial: Denial | None = None
    purpose_hash: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "purpose_hash", purpose_hash(self.purpose_salt, self.ask.purpose))


@dataclass(frozen=True, slots=True)
class Mined:
    """A reservation whose operation is in a block. `reverted`: nothing but the fee has left the wallet."""

    reservation_id: int
    reverted: bool


def add(connection: Connection, account: Account, drafts: Sequence[Draft], now: float) -> None:
    """Writes new reservations. If one of the keys is taken meanwhile, `Ledger.write` raises LedgerConflict."""
    insert_rows(
        connection,
        reservations,
        [
            {
                "id": one.id,
                **account.columns,
                "agent": one.ask.agent,
                "key": one.ask.key,
                "body_hash": one.ask.body_hash,
                "provider": one.ask.provider,
                "category": one.ask.category,
                "amount": one.ask.amount,
                "purpose": one.ask.purpose,
                "purpose_salt": one.purpose_salt,
                "purpose_hash": one.purpose_hash,
                "terms": json_text(dict(one.ask.terms)),
                "number": str(one.ask.number),
                "transaction_id": one.ask.transaction_id,
                "rulebook": one.rulebook,
                "state": one.state.value,
                "placed": one.placed,
                "gas": one.gas,
                "promised": one.promised,
                **denial_columns(one.denial),
                "actual": None,
                "returned": 0,
                "operation_id": None,
                "settled": False,
                "created_at": now,
                "updated_at": now,
            }
            for one in drafts
        ],
    )


def write(connection: Connection, changed: Sequence[Reservation], now: float) -> None:
    """Writes all of these that may change: rows that were locked."""
    update_rows(
        connection,
        reservations,
        ("id",),
        [
            {
                "id": one.id,
                "state": one.state.value,
                "placed": placed_text(one.placed),
                "promised": one.promised,
                "rulebook": one.rulebook,
                "gas": one.gas,
                **denial_columns(one.denial),
                "actual": one.actual,
                "returned": one.returned,
                "operation_id": one.operation_id,
                "settled": one.settled,
                "updated_at": now,
            }
            for one in changed
        ],
    )


def by_keys(
    connection: Connection, account: Account, keys: Collection[tuple[str, str]]
) -> dict[tuple[str, str], Reservation]:
    """The reservations with these (agent, key)."""
    return ask(connection, keyed(is_postgresql(connection), account, keys))


def keyed(
    postgresql: bool, account: Account, keys: Collection[tuple[str, str]]
) -> Question[dict[tuple[str, str], Reservation]]:
    """As `by_keys`, to be asked together with others."""
    wanted = keys if isinstance(keys, set | frozenset) else set(keys)

    def meaning(rows: Sequence[Any]) -> dict[tuple[str, str], Reservation]:
        found = {(one.agent, one.key): one for one in map(_reservation, rows)}
        return {key: one for key, one in found.items() if key in wanted}

    if postgresql:
        lists = {"agents": sorted({agent for agent, _ in wanted}), "keys": sorted({key for _, key in wanted})}
        return Question(_by_lists(), account.columns | lists, meaning)
    return Question(_by_pairs(), account.columns | {"pairs": json_text(sorted(wanted))}, meaning)


@lru_cache(maxsize=1)
def _by_lists() -> Select[Any]:
    # Of a list of pairs PostgreSQL may make a join that reads the whole table.
    return select(*_COLUMNS).where(
        owned(reservations),
        listed_in(True, reservations.c.agent, "agents"),
        listed_in(True, reservations.c.key, "keys"),
    )


@lru_cache(maxsize=1)
def _by_pairs() -> TextualSelect:
    # Of two lists SQLite looks up every agent with every key.
    names = ", ".join(f"r.{column.name}" for column in _COLUMNS)
    return text(
        f"SELECT {names} FROM json_each(:pairs) AS p CROSS JOIN co_reservations AS r WHERE r.chain_id = :chain_id "
        "AND r.wallet = :wallet AND r.agent = p.value ->> 0 AND r.key = p.value ->> 1"
    ).columns(*_COLUMNS)


def by_ids(connection: Connection, ids: Collection[int], *, lock: bool = False) -> dict[int, Reservation]:
    """The reservations of these numbers; locked until the commit, in one order, if asked for."""
    query = select(*_COLUMNS).where(among(connection, reservations.c.id, sorted(set(ids)))).order_by(reservations.c.id)
    return {one.id: one for one in _read(connection, query.with_for_update() if lock else query)}


def by_operations(connection: Connection, operation_ids: Collection[int]) -> list[Reservation]:
    """The reservations that these operations carry out."""
    query = select(*_COLUMNS).where(among(connection, reservations.c.operation_id, sorted(set(operation_ids))))
    return _read(connection, query.order_by(reservations.c.id))


def by_transactions(connection: Connection, account: Account, transaction_ids: Collection[str]) -> list[Reservation]:
    """The reservations of these ACTP transactions."""
    query = select(*_COLUMNS).where(
        account.owns(reservations), among(connection, reservations.c.transaction_id, sorted(set(transaction_ids)))
    )
    return _read(connection, query.order_by(reservations.c.id))


def mined(connection: Connection, account: Account, number: int) -> list[Mined]:
    """Those whose operation was mined in blocks up to this number, and whose charges to the treasury are still held.
    What is not known to be on the chain yet is not among them, so that it is promised if that block is gone.
    """
    unknown = [ReservationState.HELD.value, ReservationState.SUBMITTING.value]
    query = (
        select(reservations.c.id, operations.c.stage, operations.c.code)
        .join(operations, operations.c.id == reservations.c.operation_id)
        .where(
            account.owns(reservations),
            # As a text, because that is what the index on them says.
            text("co_reservations.promised"),
            operations.c.stage.in_([Stage.CONFIRMED.value, Stage.FAILED.value]),
            operations.c.block_number <= number,
            or_(operations.c.code == _REVERTED, reservations.c.state.not_in(unknown)),
        )
        .order_by(reservations.c.id)
    )
    return [
        Mined(reservation_id, stage == Stage.FAILED.value and code == _REVERTED)
        for reservation_id, stage, code in connection.execute(query)
    ]


def in_states(
    connection: Connection,
    account: Account,
    states: Iterable[ReservationState],
    *,
    after: int = 0,
    settled: bool | None = None,
    limit: int = 1000,
) -> list[Reservation]:
    """The oldest in these states, of higher numbers than `after`."""
    query = (
        select(*_COLUMNS)
        .where(
            account.owns(reservations),
            reservations.c.state.in_([one.value for one in states]),
            reservations.c.id > after,
        )
        .order_by(reservations.c.id)
        .limit(limit)
    )
    if settled is not None:
        query = query.where(reservations.c.settled.is_(settled))
    return _read(connection, query)


def listed(
    connection: Connection,
    account: Account,
    *,
    agent: str | None = None,
    states: Collection[ReservationState] = (),
    categories: Collection[str] = (),
    since: float | None = None,
    before: int | None = None,
    limit: int = 100,
) -> list[Reservation]:
    """The newest; of an agent, in these states, of these categories, asked for since then, and of lower numbers than
    `before`, if those are given.
    """
    query = select(*_COLUMNS).where(account.owns(reservations)).order_by(reservations.c.id.desc()).limit(limit)
    if agent is not None:
        query = query.where(reservations.c.agent == agent)
    if states:
        query = query.where(reservations.c.state.in_([one.value for one in states]))
    if categories:
        query = query.where(reservations.c.category.in_(categories))
    if since is not None:
        query = query.where(reservations.c.created_at >= since)
    if before is not None:
        query = query.where(reservations.c.id < before)
    return _read(connection, query)


def placed_text(placed: Sequence[Placed]) -> str:
    """Charges as their column has them."""
    return json_text(placed)


def placed_of(written: str) -> tuple[Placed, ...]:
    """Charges of their column."""
    return tuple(Placed(*one) for one in json.loads(written))


def denial_columns(denial: Denial | None) -> dict[str, Any]:
    """A denial as its columns have it: the sentence only where rule and numbers do not say it all."""
    if denial is None:
        return {"rule": None, "message": None, "lim": None, "used": None}
    sentence = None if denial.message == _sentence(denial) else denial.message
    return {"rule": denial.rule, "message": sentence, "lim": denial.limit, "used": denial.used}


def _sentence(denial: Denial) -> str | None:
    if denial.rule not in EXCEEDABLE or denial.limit is None or denial.used is None:
        return None
    return exceeded(denial.rule, denial.used, denial.limit)


def _read(connection: Connection, query: Select[Any]) -> list[Reservation]:
    return [_reservation(row) for row in connection.execute(query)]


def _reservation(row: Row[Any]) -> Reservation:
    denial = None
    if row.rule is not None:
        message = row.message if row.message is not None else exceeded(row.rule, row.used, row.lim)
        denial = Denial(row.rule, message, row.lim, row.used)
    return Reservation(
        id=row.id,
        chain_id=row.chain_id,
        wallet=row.wallet,
        agent=row.agent,
        key=row.key,
        body_hash=row.body_hash,
        provider=row.provider,
        category=row.category,
        amount=row.amount,
        purpose=row.purpose,
        terms=json.loads(row.terms),
        number=int(row.number),
        transaction_id=row.transaction_id,
        rulebook=row.rulebook,
        state=_STATES[row.state],
        created_at=row.created_at,
        updated_at=row.updated_at,
        placed=placed_of(row.placed),
        denial=denial,
        actual=row.actual,
        returned=row.returned,
        gas=row.gas,
        promised=row.promised,
        operation_id=row.operation_id,
        settled=row.settled,
    )
