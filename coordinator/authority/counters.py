"""The cells that one commit looks at and changes: locked once, counted on in memory, written once."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection

from coordinator.budget.cells import Cell, Delta, LimitChange
from coordinator.budget.periods import window_start
from coordinator.budget.wording import exceeded
from coordinator.budget.words import LARGEST, Charge, Denial, Placed, Scope, ScopeKind
from coordinator.errors import LedgerConflict
from coordinator.store import cells, scopes
from coordinator.store.accounts import Account
from coordinator.store.asking import Question, ask_together
from coordinator.store.bulk import is_postgresql
from coordinator.store.cells import CellKey
from coordinator.store.formats import text
from coordinator.types import ETH

__all__ = ["FROZEN", "Booked", "Counters", "frozen_denial", "name_of"]

FROZEN = "scope_frozen"
"""The rule of a denial because nothing may be charged to a scope until somebody has looked at it."""


@dataclass(slots=True)
class Booked:
    """What one step did to cells, for its entry in the journal. `held` are changes that followed those of `cells`, each
    as the text of a Delta: of all that a batch does, most is to write them.
    """

    cells: list[Delta] = field(default_factory=list)
    held: list[str] = field(default_factory=list)
    limits: list[LimitChange] = field(default_factory=list)
    frozen: list[int] = field(default_factory=list)

    @property
    def detail(self) -> dict[str, Any]:
        """As it stands in the journal."""
        cells = [*self.cells, *map(json.loads, self.held)]
        found = {"cells": cells, "limits": self.limits, "frozen": self.frozen}
        return {name: value for name, value in found.items() if value}

    @property
    def text(self) -> str:
        """The text of `detail`, without braces, of a step that did nothing but hold."""
        cells = f'"cells":[{",".join(self.held)}]' if self.held else ""
        limits = f'"limits":{text(self.limits)}' if self.limits else ""
        return f"{cells},{limits}" if cells and limits else cells or limits


class Counters:
    """Cells of one wallet within one commit. Each step on them is told to the journal by its caller.

    `at` is when, by the clock that decides; the cells are those of its windows, besides those of `placed` charges.
    `numbers` keeps the numbers of scopes for the next commit. `beside` is asked as soon as the cells are locked, in the
    same round trip; `answers` is what it was answered. With `known` cells nothing is asked or locked: they are counted
    on, and no scope is taken for frozen.
    """

    def __init__(
        self,
        connection: Connection,
        account: Account,
        at: float,
        *,
        charged: Iterable[Scope] = (),
        placed: Iterable[Placed] = (),
        numbers: dict[Scope, int] | None = None,
        beside: Sequence[Question[Any]] = (),
        known: dict[CellKey, Cell] | None = None,
    ) -> None:
        self._connection = connection
        self._at = at
        wanted = set(charged)
        ids = _numbers(connection, account, wanted, numbers)
        windows = {period: window_start(period, at) for period in {scope.period for scope in wanted}}
        self.places = {scope: (ids[scope], windows[scope.period]) for scope in wanted}
        self.keys = set(self.places.values()) | {(one.scope_id, one.window_start) for one in placed}
        if known is None:
            postgresql = is_postgresql(connection)
            locking = cells.locking(postgresql, self.keys)
            # After the cells: who freezes a scope holds none of them.
            freezes = scopes.freezes(postgresql, [ids[scope] for scope in wanted])
            answers = ask_together(connection, [*locking, freezes, *beside])
            self._cells = cells.locked(answers[: len(locking)])
            self._frozen: dict[int, str] = answers[len(locking)]
            self.answers = answers[len(locking) + 1 :]
        else:
            self._cells, self._frozen, self.answers = known, {}, []
        self._scopes = {scope_id: scope for scope, (scope_id, _) in self.places.items()}
        others = {scope_id for scope_id, _ in self.keys} - self._scopes.keys()
        if others:
            self._scopes |= {row.id: row.scope for row in scopes.by_ids(connection, others).values()}
        self._made: set[CellKey] = set()
        self._changed: set[CellKey] = set()

    def keep_time(self, at: float) -> None:
        """The time was a guess, and is this one. Raises LedgerConflict if other cells are those of this time's windows:
        with this time as the guess it will be right.
        """
        periods = {scope.period: window for scope, (_, window) in self.places.items()}
        if any(window_start(period, at) != window for period, window in periods.items()):
            raise LedgerConflict("Another window has begun.", hint="Nothing was changed. Try again.", retryable=True)
        self._at = at

    def scope(self, scope_id: int) -> Scope:
        """The scope of this number, of those that were asked for."""
        return self._scopes[scope_id]

    def objection(self, charges: Collection[Charge]) -> Denial | None:
        """The first of these charges that does not fit, in their order."""
        places, known, frozen = self.places, self._cells, self._frozen
        for scope, amount, limit, rule in charges:
            key = places[scope]
            if frozen and key[0] in frozen:
                return frozen_denial(scope, frozen[key[0]])
            cell = known.get(key)
            if cell is None:
                used = 0
            elif cell.buckets:
                used = cell.used_at(self._at)
            else:
                used = cell.spent + cell.reserved
            if scope.kind is ScopeKind.TREASURY:
                limit = 0 if cell is None else cell.lim
            most = LARGEST if limit is None else limit
            if used + amount > most:
                return Denial(rule, exceeded(rule, used, most), most, used)
        return None

    def reserve(self, charges: Collection[Charge], booked: Booked) -> str:
        """Holds charges to which there is no objection: where, as the text that a reservation remembers."""
        places, known, held, changed = self.places, self._cells, booked.held, self._changed
        placed = []
        for scope, amount, limit, _ in charges:
            if not amount:
                continue
            key = places[scope]
            cell = known.get(key)
            if cell is None or cell.lim != limit:
                cell = self._cell(key, scope, limit, booked)
            changed.add(key)
            place = f"[{key[0]},{key[1]},"
            if cell.buckets is None:
                # Nearly every charge; this is the inner loop of a batch.
                cell.reserved += amount
                held.append(f"{place}0,{amount},0]")
                placed.append(f"{place}{amount},0]")
            else:
                bucket, deltas = cell.reserve(amount, self._at)
                held += map(text, deltas)
                placed.append(f"{place}{amount},{bucket}]")
        return f"[{','.join(placed)}]"

    def change(self, one: Placed, spent: int, reserved: int, booked: Booked) -> None:
        """Adds to what is spent and reserved where a charge was placed. What is a fact is booked: above the cap it
        raises it, and nothing more may be charged to that scope.
        """
        key = (one.scope_id, one.window_start)
        cell = self._cells[key]
        delta = cell.change(spent, reserved, one.bucket)
        if delta is None or not (spent or reserved):
            return
        booked.cells.append(delta)
        self._changed.add(key)
        stretched = cell.stretch()
        if stretched is not None:
            booked.limits.append(stretched)
            if self.scope(one.scope_id).kind is not ScopeKind.TREASURY:
                booked.frozen.append(one.scope_id)

    def room(self, one: Placed) -> int | None:
        """How much more fits where a charge was placed; None where nothing of it counts any more."""
        cell = self._cells[one.scope_id, one.window_start]
        if cell.buckets is not None and one.bucket not in cell.buckets:
            return None
        return cell.cap - cell.used

    def set_limit(self, scope: Scope, limit: int | None, booked: Booked) -> None:
        """Gives a scope's cell of now another limit, if there is such a cell."""
        key = self.places[scope]
        cell = self._cells.get(key)
        changed = None if cell is None else cell.set_limit(limit)
        if changed is not None:
            booked.limits.append(changed)
            self._changed.add(key)

    def make(self, scope: Scope, limit: int | None, booked: Booked) -> None:
        """As `set_limit`, and makes the cell if there is none."""
        if self.places[scope] in self._cells:
            self.set_limit(scope, limit, booked)
        else:
            self._make(scope, limit, booked)

    def write(self) -> None:
        """Writes what has changed, each cell once."""
        changed, made = self.changes()
        cells.write(self._connection, changed)
        cells.insert(self._connection, made)

    def changes(self) -> tuple[list[Cell], list[Cell]]:
        """The cells that have changed, without those that are new, and those, for the caller to write."""
        changed = [self._cells[key] for key in sorted(self._changed - self._made)]
        made = [self._cells[key] for key in sorted(self._made)]
        self._changed.clear()
        self._made.clear()
        return changed, made

    @property
    def found(self) -> dict[CellKey, Cell]:
        """The cells that there are."""
        return self._cells

    @property
    def any_frozen(self) -> bool:
        """Whether one of the scopes is frozen."""
        return bool(self._frozen)

    def _cell(self, key: CellKey, scope: Scope, limit: int | None, booked: Booked) -> Cell:
        cell = self._cells.get(key)
        if cell is None:
            return self._make(scope, limit, booked)
        if limit != cell.lim and scope.kind is not ScopeKind.TREASURY:
            # A window that came back, by a clock that was set back, may still have the limit of earlier rules.
            changed = cell.set_limit(limit)
            if changed is not None:
                booked.limits.append(changed)
        return cell

    def _make(self, scope: Scope, limit: int | None, booked: Booked) -> Cell:
        key = self.places[scope]
        cell = self._cells[key] = Cell.empty(*key, scope.period, limit)
        booked.limits.append(cell.limits)
        self._made.add(key)
        return cell


def _numbers(
    connection: Connection, account: Account, wanted: set[Scope], known: dict[Scope, int] | None
) -> Mapping[Scope, int]:
    """The numbers of scopes. `known` is what a caller keeps of them: what is made in this commit is not yet there."""
    if known is not None and wanted <= known.keys():
        return known
    found = scopes.find(connection, account, wanted)
    if len(found) < len(wanted):
        found = scopes.require(connection, account, wanted)
    elif known is not None:
        known.update({scope: row.id for scope, row in found.items()})
    return {scope: row.id for scope, row in found.items()}


def frozen_denial(scope: Scope, reason: str) -> Denial:
    """The denial of what would charge a frozen scope."""
    return Denial(FROZEN, f"Nothing may be charged to {name_of(scope)}: {reason}")


def name_of(scope: Scope) -> str:
    """What to call a scope in a sentence."""
    unit = "" if scope.unit != ETH else " in ETH"
    return f"{scope.kind.value}{f' {scope.key}' if scope.key else ''} ({scope.period.value}){unit}"
