"""How much of what there is, for gauges: a fixed number of queries, each over an index or over rows that nobody adds to
with every request.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, case, func, or_, select

from actp.engine.store.schema import IntentStatus, intents, lanes
from coordinator.budget.periods import window_start
from coordinator.budget.words import OPEN_STATES, Period, ScopeKind
from coordinator.store import index_schema as index
from coordinator.store.accounts import Account
from coordinator.store.alerts import AlertState
from coordinator.store.budget_schema import alerts, asks, cells, reconciliations, reservations, scopes
from coordinator.store.schema import approvals, operations, pauses
from coordinator.store.usage import Usage, selecting, usage_of
from coordinator.types import Stage

__all__ = ["Cells", "Kernel", "busiest_cells", "cells_of_kinds", "counts", "drift", "due", "kernels"]

_WAITING = (IntentStatus.QUEUED, IntentStatus.HELD, IntentStatus.OPEN, IntentStatus.DEAD, IntentStatus.UNKNOWN)
_ENDED = (Stage.CONFIRMED, Stage.FAILED)
_OF_TREASURY = (ScopeKind.TREASURY.value, ScopeKind.GAS.value)


@dataclass(frozen=True, slots=True)
class Cells:
    """The cells that are used most, and what remains and is reserved in all others together."""

    busiest: tuple[Usage, ...]
    other_remaining: int
    other_reserved: int
    all: bool
    """Whether there are no others."""


@dataclass(frozen=True, slots=True)
class Kernel:
    """How far the index of a kernel is."""

    address: str
    block: int | None


def busiest_cells(connection: Connection, account: Account, unit: str, now: float, *, limit: int) -> Cells:
    """The cells of the windows of now in a unit, without the treasury's own: two queries."""
    mine = and_(account.owns(scopes), scopes.c.unit == unit, scopes.c.kind.not_in(_OF_TREASURY), _current(now))
    free = case((cells.c.lim.is_not(None), cells.c.lim - cells.c.spent - cells.c.reserved), else_=0)
    busiest = (cells.c.spent + cells.c.reserved).desc()
    query = selecting(account, mine).order_by(busiest, cells.c.scope_id, cells.c.window_start).limit(limit)
    found = tuple(usage_of(row) for row in connection.execute(query))
    totals = select(func.count(), func.sum(free), func.sum(cells.c.reserved))
    row = connection.execute(totals.select_from(cells).join(scopes, scopes.c.id == cells.c.scope_id).where(mine)).one()
    number, remaining, reserved = (int(value or 0) for value in row)
    limited = [one.cell for one in found if one.cell.lim is not None]
    remaining -= sum((one.lim or 0) - one.used for one in limited)
    reserved -= sum(one.cell.reserved for one in found)
    return Cells(found, remaining, reserved, number <= len(found))


def cells_of_kinds(connection: Connection, account: Account, kinds: Collection[ScopeKind], now: float) -> list[Usage]:
    """The cells of the windows of now of these kinds, in all units."""
    query = selecting(account, scopes.c.kind.in_(_values(kinds)), _current(now))
    return [usage_of(row) for row in connection.execute(query)]


def counts(connection: Connection, account: Account) -> dict[str, Mapping[str, int]]:
    """How many there are of everything that has states, by name and state; one query for each name."""
    mine = account.owns
    lane = and_(lanes.c.chain_id == account.chain_id, lanes.c.address == account.wallet)
    found: dict[str, Mapping[str, int]] = {
        "requests": _by(
            connection, reservations.c.state, mine(reservations), reservations.c.state.in_(_values(OPEN_STATES))
        ),
        "asks": _by(connection, asks.c.state, mine(asks)),
        "approvals": _by(connection, approvals.c.state, mine(approvals)),
        "operations": _by(
            connection,
            operations.c.stage,
            mine(operations),
            operations.c.stage.in_(_values(one for one in Stage if one not in _ENDED)),
        ),
        "alerts": _by(
            connection,
            alerts.c.state,
            mine(alerts),
            alerts.c.state.in_([AlertState.WAITING.value, AlertState.DEAD.value]),
        ),
        "pauses": _by(connection, case((pauses.c.agent == "", "treasury"), else_="agent"), mine(pauses)),
        "frozen": _by(connection, scopes.c.kind, mine(scopes), scopes.c.frozen.is_not(None)),
    }
    query = (
        select(intents.c.status, func.count())
        .join(lanes, lanes.c.id == intents.c.lane_id)
        .where(lane, intents.c.status.in_(_values(_WAITING)))
        .group_by(intents.c.status)
    )
    found["intents"] = {status: int(number) for status, number in connection.execute(query)}
    return found


def drift(connection: Connection, account: Account) -> int | None:
    """By how many base units ledger and chain differed when they were compared last, None if they never were."""
    query = (
        select(reconciliations.c.drift)
        .where(account.owns(reconciliations))
        .order_by(reconciliations.c.id.desc())
        .limit(1)
    )
    found = connection.execute(query).scalar()
    return None if found is None else int(found)


def kernels(connection: Connection, chain_id: int) -> list[Kernel]:
    """The kernels of a chain that are indexed."""
    query = select(index.kernels.c.kernel, index.kernels.c.block_number).where(index.kernels.c.chain_id == chain_id)
    return [Kernel(address, block) for address, block in connection.execute(query.order_by(index.kernels.c.id))]


def due(connection: Connection, chain_id: int, now: float) -> Mapping[str, int]:
    """How many indexed escrows of a chain something may be done about by now, by what."""
    escrows = index.escrows
    query = (
        select(escrows.c.due_kind, func.count())
        .join(index.kernels, index.kernels.c.id == escrows.c.kernel_id)
        .where(index.kernels.c.chain_id == chain_id, escrows.c.due_kind.is_not(None), escrows.c.due_at <= int(now))
        .group_by(escrows.c.due_kind)
    )
    return {kind: int(number) for kind, number in connection.execute(query)}


def _by(connection: Connection, column: ColumnElement[Any], *conditions: ColumnElement[bool]) -> dict[str, int]:
    query = select(column, func.count()).where(*conditions).group_by(column)
    return {state: int(number) for state, number in connection.execute(query)}


def _values(states: Any) -> list[str]:
    return [one.value for one in states]


def _current(now: float) -> ColumnElement[bool]:
    """Whether a cell is of the window that is now."""
    return or_(
        *(and_(scopes.c.period == period.value, cells.c.window_start == window_start(period, now)) for period in Period)
    )
