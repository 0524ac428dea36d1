"""Rows of escrows in the index: the questions that lists, bots and positions ask, and how pages are written."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, delete, func, or_, select, tuple_, update

from actp.errors import InvalidInput
from actp.types import State
from actp.units import shown
from coordinator.store.bulk import among, insert_rows, update_rows
from coordinator.store.index_schema import actions, escrows
from coordinator.store.index_words import ActionState, Due, Ending

__all__ = [
    "Escrow",
    "Filters",
    "add",
    "changed",
    "columns_of",
    "count_due",
    "drop",
    "due",
    "find",
    "from_columns",
    "get",
    "listed",
    "note_checked",
    "oldest_checked",
    "write",
]


@dataclass(slots=True)
class Escrow:
    """One escrow: the columns of its row, in their order. Addresses carry their checksum, times are the chain's,
    amounts are base units. `paid_*` is what has left the price so far, the platform's fee apart; `bond_*` what is held,
    and `bond_owed` what the initiator of a dispute has yet to post. Once it is `repaired`, what was paid to whom before
    is not known.

    It is not frozen because folding a page changes each many times, and copies would take longer than all else.
    """

    kernel_id: int
    transaction_id: str
    escrow_id: str | None
    requester: str
    provider: str
    state: State
    open: bool
    amount: int
    deadline: int
    created_at: int
    created_block: int
    funded: int = 0
    remaining: int = 0
    paid_provider: int = 0
    paid_requester: int = 0
    paid_fee: int = 0
    paid_mediator: int = 0
    operation: str = ""
    last_event: str = ""
    last_block: int = 0
    last_tx: str = ""
    last_at: int | None = None
    delivered_at: int | None = None
    window_ends_at: int | None = None
    disputed_at: int | None = None
    dispute_initiator: str | None = None
    dispute_ends_at: int | None = None
    arbiter: str | None = None
    timeout_requester_bps: int = 5_000
    bond_requester: int = 0
    bond_requester_poster: str | None = None
    bond_provider: int = 0
    bond_provider_poster: str | None = None
    bond_owed: int = 0
    bond_paid: int = 0
    parts: int = 0
    parts_paid: int = 0
    parts_paid_amount: int = 0
    parts_refunded: int = 0
    parts_refunded_amount: int = 0
    cancellation_at: int | None = None
    ended_at: int | None = None
    ending: Ending | None = None
    due_kind: Due | None = None
    due_at: int | None = None
    known_block: int | None = None
    look: bool = False
    repaired: bool = False
    checked_at: float = 0.0

    @property
    def place(self) -> str:
        """Where it stands in a list: what `listed` goes on after."""
        return f"{self.created_at}:{self.kernel_id}:{self.transaction_id}"

    @property
    def paid(self) -> int:
        """Base units of the price that have left the vault."""
        return self.paid_provider + self.paid_requester + self.paid_fee + self.paid_mediator


@dataclass(frozen=True, slots=True)
class Filters:
    """Which escrows: of these kernels, in these states, with this wallet as a party, on which anybody may do something
    by `due_by` (the chain's time), created at `since` or later; empty and None for all.
    """

    kernel_ids: tuple[int, ...] = ()
    states: tuple[State, ...] = ()
    party: str | None = None
    due_by: int | None = None
    since: int | None = None


_NAMES = tuple(one.name for one in fields(Escrow))
_VALUES = attrgetter(*_NAMES)
_COLUMNS = tuple(escrows.c[name] for name in _NAMES)
_STATES = {one.value: one for one in State}


def get(connection: Connection, kernel_id: int, transaction_ids: Collection[str]) -> dict[str, Escrow]:
    """Those of these escrows of a kernel that are in the index, by id."""
    if not transaction_ids:
        return {}
    query = select(*_COLUMNS).where(
        escrows.c.kernel_id == kernel_id, among(connection, escrows.c.transaction_id, transaction_ids)
    )
    return {row.transaction_id: _escrow(row) for row in connection.execute(query)}


def find(connection: Connection, transaction_id: str, kernel_ids: Collection[int]) -> list[Escrow]:
    """The escrow of this id, in whichever of these kernels."""
    query = select(*_COLUMNS).where(
        escrows.c.kernel_id.in_(list(kernel_ids)), escrows.c.transaction_id == transaction_id
    )
    return [_escrow(row) for row in connection.execute(query)]


def listed(connection: Connection, filters: Filters, *, after: str | None = None, limit: int = 50) -> list[Escrow]:
    """At most so many, the newest first; `after` is the `place` of the last one that was seen. Raises InvalidInput."""
    where = _conditions(filters)
    if after is not None:
        where.append(tuple_(*_ORDER) < tuple_(*_place(after)))
    if filters.party is None:
        return _newest(connection, where, limit)
    # Each of these follows an index in the order of the list, however many escrows a party has.
    found: list[Escrow] = []
    for column in (escrows.c.requester, escrows.c.provider):
        for is_open in (True, False):
            if any(state.final is not is_open for state in filters.states) or not filters.states:
                mine = [column == filters.party, escrows.c.open.is_(is_open)]
                found += _newest(connection, [*mine, *where], limit)
    found.sort(key=lambda one: (one.created_at, one.kernel_id, one.transaction_id), reverse=True)
    return found[:limit]


def due(
    connection: Connection,
    kernel_id: int,
    kinds: Iterable[Due],
    *,
    chain_now: int,
    now: float = 0.0,
    parties: Collection[str] | None = None,
    limit: int = 100,
    taken: bool = False,
    tried: bool | None = None,
) -> list[Escrow]:
    """Escrows about which anybody may do one of these at `chain_now` (the chain's time), those first that are due for
    the longest: all, or those with one of `parties`. What somebody is doing already, what failed and has to wait until
    after `now` (the store's time), and what was done a moment ago is left out, unless they are wanted too (`taken`).
    With `tried` only what has failed since it was done last, or only what has not.
    """
    busy = _acted_on(or_(actions.c.state == ActionState.CLAIMED.value, actions.c.next_at > now))
    failed = _acted_on(actions.c.attempts > 0)
    found: list[Escrow] = []
    for kind in dict.fromkeys(kinds):
        query = select(*_COLUMNS).where(*_due(kernel_id, kind, chain_now))
        if not taken:
            query = query.where(~busy)
        if tried is not None:
            query = query.where(failed if tried else ~failed)
        if parties is not None:
            of_requester = among(connection, escrows.c.requester, parties)
            query = query.where(or_(of_requester, among(connection, escrows.c.provider, parties)))
        query = query.order_by(escrows.c.due_at, escrows.c.transaction_id).limit(limit)
        found += [_escrow(row) for row in connection.execute(query)]
    found.sort(key=lambda one: (one.due_at or 0, one.transaction_id))
    return found[:limit]


def count_due(connection: Connection, kernel_id: int, kinds: Iterable[Due], *, chain_now: int) -> int:
    """How many escrows are due, whoever does something about them."""
    counts = (
        connection.execute(
            select(func.count()).select_from(escrows).where(*_due(kernel_id, kind, chain_now))
        ).scalar_one()
        for kind in dict.fromkeys(kinds)
    )
    return sum(int(one) for one in counts)


def changed(
    connection: Connection,
    kernel_id: int,
    after: tuple[int, str],
    *,
    among_ids: Collection[str] = (),
    limit: int = 100,
) -> list[Escrow]:
    """Escrows that something has happened to after (block, transaction id) of the one that was seen last, in order:
    all, or those among some.
    """
    place = (escrows.c.last_block, escrows.c.transaction_id)
    query = (
        select(*_COLUMNS)
        .where(escrows.c.kernel_id == kernel_id, tuple_(*place) > tuple_(*after))
        .order_by(*place)
        .limit(limit)
    )
    if among_ids:
        query = query.where(among(connection, escrows.c.transaction_id, among_ids))
    return [_escrow(row) for row in connection.execute(query)]


# ---------------------------------------------------------------- for the index itself


def columns_of(escrow: Escrow) -> dict[str, Any]:
    """The row of an escrow: plain values, which also JSON can hold."""
    return dict(zip(_NAMES, _VALUES(escrow), strict=True))


def from_columns(row: dict[str, Any]) -> Escrow:
    """The escrow of such a row."""
    return _typed(Escrow(**row))


def add(connection: Connection, made: Sequence[Escrow]) -> None:
    """Writes escrows that have no rows yet."""
    insert_rows(connection, escrows, [columns_of(one) for one in made])


def write(connection: Connection, touched: Sequence[Escrow]) -> None:
    """Writes escrows over their rows."""
    update_rows(connection, escrows, ("kernel_id", "transaction_id"), [columns_of(one) for one in touched])


def drop(connection: Connection, kernel_id: int, transaction_ids: Collection[str]) -> None:
    """Deletes rows."""
    if transaction_ids:
        mine = among(connection, escrows.c.transaction_id, transaction_ids)
        connection.execute(delete(escrows).where(escrows.c.kernel_id == kernel_id, mine))


def oldest_checked(connection: Connection, kernel_id: int, *, limit: int = 100) -> list[Escrow]:
    """Open escrows, those first that were not compared with the chain's state for the longest."""
    query = (
        select(*_COLUMNS)
        .where(escrows.c.kernel_id == kernel_id, escrows.c.open)
        .order_by(escrows.c.checked_at)
        .limit(limit)
    )
    return [_escrow(row) for row in connection.execute(query)]


def note_checked(connection: Connection, kernel_id: int, transaction_ids: Collection[str], now: float) -> None:
    """They are what the chain's state says."""
    if transaction_ids:
        mine = among(connection, escrows.c.transaction_id, transaction_ids)
        connection.execute(update(escrows).where(escrows.c.kernel_id == kernel_id, mine).values(checked_at=now))


# ---------------------------------------------------------------- internals

_ORDER = (escrows.c.created_at, escrows.c.kernel_id, escrows.c.transaction_id)


def _newest(connection: Connection, where: Sequence[ColumnElement[bool]], limit: int) -> list[Escrow]:
    query = select(*_COLUMNS).where(*where).order_by(*(one.desc() for one in _ORDER)).limit(limit)
    return [_escrow(row) for row in connection.execute(query)]


def _conditions(filters: Filters) -> list[ColumnElement[bool]]:
    where: list[ColumnElement[bool]] = []
    if filters.kernel_ids:
        where.append(escrows.c.kernel_id.in_(filters.kernel_ids))
    if filters.states:
        where.append(escrows.c.state.in_([state.value for state in filters.states]))
    if filters.due_by is not None:
        where.append(and_(escrows.c.due_kind.is_not(None), escrows.c.due_at <= filters.due_by))
    if filters.since is not None:
        where.append(escrows.c.created_at >= filters.since)
    return where


def _due(kernel_id: int, kind: Due, chain_now: int) -> tuple[ColumnElement[bool], ...]:
    # The first says what the partial index says, so that the database sees that it fits.
    return (
        escrows.c.due_kind.is_not(None),
        escrows.c.kernel_id == kernel_id,
        escrows.c.due_kind == kind.value,
        escrows.c.due_at <= chain_now,
    )


def _acted_on(condition: ColumnElement[bool]) -> ColumnElement[bool]:
    """Whether what is due about an escrow has an action for which this holds."""
    mine = (
        actions.c.kernel_id == escrows.c.kernel_id,
        actions.c.transaction_id == escrows.c.transaction_id,
        actions.c.kind == escrows.c.due_kind,
    )
    return select(actions.c.kernel_id).where(*mine, condition).exists()


def _place(text: str) -> tuple[int, int, str]:
    created_at, _, rest = text.partition(":")
    kernel_id, _, transaction_id = rest.partition(":")
    if not (created_at.isascii() and created_at.isdigit() and kernel_id.isascii() and kernel_id.isdigit()):
        raise InvalidInput(f"{shown(text)} is no place in a list.", hint="Give what the last page ended with.")
    return int(created_at), int(kernel_id), transaction_id


def _escrow(row: Row[Any]) -> Escrow:
    return _typed(Escrow(*tuple(row)))


def _typed(escrow: Escrow) -> Escrow:
    escrow.state = _STATES[escrow.state]
    if escrow.ending is not None:
        escrow.ending = Ending(escrow.ending)
    if escrow.due_kind is not None:
        escrow.due_kind = Due(escrow.due_kind)
    return escrow
