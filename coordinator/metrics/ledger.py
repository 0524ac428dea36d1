"""The gauges of a ledger: read when somebody asks, by a fixed number of queries, and then kept for some seconds."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from actp.errors import ActpError
from actp.observing import Gauge, Reading
from actp.units import to_checksum
from coordinator import measures
from coordinator.authority.measuring import label_of
from coordinator.authority.shelf import Shelf, Standing
from coordinator.budget.cells import Cell
from coordinator.budget.limits import limits
from coordinator.budget.words import ScopeKind
from coordinator.measures import ScopeUse
from coordinator.store import Ledger, figures, treasuries
from coordinator.store.accounts import Account
from coordinator.store.figures import Cells, Kernel
from coordinator.store.treasuries import TreasuryRow
from coordinator.store.usage import Usage
from coordinator.types import ETH

__all__ = ["LedgerReadings"]

_log = logging.getLogger(__name__)

_WEI = 10**18
_MICRO = 10**6
_KEPT_SECONDS = 5.0
_COUNTED = {
    measures.REQUESTS: "requests",
    measures.OPERATIONS: "operations",
    measures.ALERTS: "alerts",
    measures.PAUSES: "pauses",
    measures.ENGINE_INTENTS: "intents",
    measures.SETTLEMENT_DUE: "due",
}
_ASKED = (("request", "asks"), ("operation", "approvals"))
_STATES: Mapping[Gauge, tuple[str, ...]] = {
    measures.REQUESTS: ("pending_approval", "held", "submitting", "on_chain"),
    measures.OPERATIONS: ("pending", "simulating", "policy_eval", "approval_gate", "signing", "submitting"),
    measures.ALERTS: ("waiting", "dead"),
    measures.PAUSES: ("treasury", "agent"),
    measures.ENGINE_INTENTS: ("queued", "held", "open", "dead", "unknown"),
}
"""What is shown even if there is none: a line that is missing is no zero."""
_ANSWERS = ("approved", "rejected", "expired")


@dataclass(frozen=True, slots=True)
class _Figures:
    """What one read has found."""

    standing: Standing
    treasury: TreasuryRow | None
    cells: Cells
    own: tuple[Usage, ...]
    counts: Mapping[str, Mapping[str, int]]
    drift: int | None
    kernels: tuple[Kernel, ...]
    now: float


class LedgerReadings:
    """Reads a treasury's gauges, at most once in `kept_seconds`, whoever asks and however often. Thread-safe."""

    def __init__(
        self,
        ledger: Ledger,
        account: Account,
        *,
        kept_seconds: float = _KEPT_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ledger = ledger
        self._account = account
        self._kept_seconds = kept_seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._shelf: Shelf | None = None
        self._kept: tuple[Reading, ...] = ()
        self._kept_until = float("-inf")

    def __call__(self) -> tuple[Reading, ...]:
        """The gauges. A ledger that cannot be read is one of them, and no error."""
        with self._lock:
            if self._clock() >= self._kept_until:
                self._kept = self._read()
                self._kept_until = self._clock() + self._kept_seconds
            return self._kept

    def _read(self) -> tuple[Reading, ...]:
        try:
            found = self._figures()
        except ActpError as error:
            _log.warning("The ledger cannot be read for metrics: %s", error)
            return (Reading(measures.STORE_UP, 0.0),)
        return (Reading(measures.STORE_UP, 1.0), *_readings(found))

    def _figures(self) -> _Figures:
        account = self._account
        with self._ledger.snapshot() as connection:
            now = self._ledger.now_by(connection)
            treasury = treasuries.read(connection, account)
            token = "" if treasury is None else treasury.token
            if self._shelf is None or not token:
                self._shelf = Shelf(account, token)
            counts = figures.counts(connection, account)
            return _Figures(
                self._shelf.read(connection),
                treasury,
                figures.busiest_cells(connection, account, token, now, limit=measures.MOST_SCOPES),
                tuple(figures.cells_of_kinds(connection, account, (ScopeKind.TREASURY, ScopeKind.GAS), now)),
                counts | {"due": figures.due(connection, account.chain_id, now)},
                figures.drift(connection, account),
                tuple(figures.kernels(connection, account.chain_id)),
                now,
            )


def _readings(found: _Figures) -> Iterator[Reading]:
    yield from _of_budgets(found)
    yield from _of_treasury(found)
    for gauge, name in _COUNTED.items():
        states = dict.fromkeys(_STATES.get(gauge, ()), 0) | dict(found.counts[name])
        yield from (Reading(gauge, number, (state,)) for state, number in states.items())
    for about, name in _ASKED:
        counted = found.counts[name]
        yield Reading(measures.APPROVALS_WAITING, counted.get("waiting", 0), (about,))
        for answer in _ANSWERS:
            yield Reading(measures.APPROVALS_ANSWERED, counted.get(answer, 0), (about, answer))
    yield Reading(measures.FROZEN_SCOPES, sum(found.counts["frozen"].values()))
    if found.drift is not None:
        yield Reading(measures.LEDGER_DRIFT, found.drift / _MICRO)
    for kernel in found.kernels:
        if kernel.block is not None:
            yield Reading(measures.INDEX_BLOCK, kernel.block, (to_checksum(kernel.address),))


def _of_budgets(found: _Figures) -> Iterator[Reading]:
    used = {one.scope: _use(one, found.now) for one in found.cells.busiest}
    if found.cells.all and found.treasury is not None:
        # Nothing was charged to these in the windows of now.
        token = found.treasury.token
        for limit in limits(found.standing.book, token):
            if limit.scope.unit == token and limit.limit is not None:
                used.setdefault(limit.scope, ScopeUse(label_of(limit.scope), limit.limit, 0, 0))
    yield from measures.budget_readings(used.values(), found.cells.other_remaining, found.cells.other_reserved)


def _use(one: Usage, now: float) -> ScopeUse:
    """A cell by now: of a rolling window without the hours that are over."""
    cell, reserved = one.cell, one.cell.reserved
    if cell.buckets:
        copy = Cell(cell.scope_id, cell.window_start, cell.lim, cell.cap, cell.spent, cell.reserved, dict(cell.buckets))
        copy.roll(now)
        cell, reserved = copy, copy.reserved
    return ScopeUse(label_of(one.scope), cell.lim, cell.spent, reserved)


def _of_treasury(found: _Figures) -> Iterator[Reading]:
    row = found.treasury
    if row is not None and row.observed_at is not None:
        yield Reading(measures.TREASURY_OBSERVED, row.observed_at)
    for one in found.own:
        cell = one.cell
        if one.scope.kind is ScopeKind.GAS:
            if cell.lim is not None:
                yield Reading(measures.GAS_REMAINING, (cell.lim - cell.used_at(found.now)) / _WEI)
            yield Reading(measures.GAS_RESERVED, cell.reserved / _WEI)
        elif one.scope.unit == ETH:
            yield Reading(measures.TREASURY_ETH, (cell.lim or 0) / _WEI)
        elif row is not None and one.scope.unit == row.token:
            yield Reading(measures.TREASURY_BALANCE, (cell.lim or 0) / _MICRO)
            yield Reading(measures.TREASURY_PROMISED, cell.reserved / _MICRO)
