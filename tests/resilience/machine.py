"""A tracker beside a model of it in plain integers: whatever order calls come in, both must say the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal

import hypothesis.strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from coordinator.tracker import (
    BudgetExceededError,
    Reason,
    ReservationToken,
    TokenState,
    TokenUsed,
    Tracker,
    Unit,
    UnitMismatch,
)

SCOPES = ("session", "workflow:a", "workflow b", "step/1")
OPEN, EXPIRED = "open", "expired"


@dataclass
class Cell:
    unit: Unit
    limit: int | None = None
    spent: int = 0
    reserved: int = 0
    overruns: int = 0
    late: int = 0


@dataclass
class Held:
    token: ReservationToken
    state: str | TokenState = OPEN
    actual: int | None = None


@dataclass
class Model:
    cells: dict[str, Cell] = field(default_factory=dict)
    held: list[Held] = field(default_factory=list)

    def objection(self, names: list[str], micros: int, unit: Unit) -> tuple[str, object] | None:
        """The scope that stands in the way, and how: the unit that it counts, or the reason of a denial."""
        bounded = False
        for name in names:
            cell = self.cells.get(name)
            if cell is not None and cell.unit is not unit:
                return name, cell.unit
            bounded = bounded or (cell is not None and cell.limit is not None)
            if not bounded:
                return name, Reason.NO_LIMIT
            if cell is not None and cell.limit is not None and cell.spent + cell.reserved + micros > cell.limit:
                return name, Reason.OVERRUN if cell.spent > cell.limit else Reason.LIMIT
        return None


def amount(micros: int, unit: Unit) -> Decimal | int:
    """Micros as an argument."""
    return micros if unit is Unit.USDC else Decimal(micros) / 1_000_000


def answer(micros: int, unit: Unit) -> Decimal:
    """Micros as an answer."""
    return Decimal(micros) if unit is Unit.USDC else Decimal(micros) / 1_000_000


NAMES = st.lists(st.sampled_from(SCOPES), min_size=1, max_size=4, unique=True)
MICROS = st.sampled_from([1, 999_999, 1_000_000, 1_000_001, 2_500_000, 7_000_000])
UNITS = st.sampled_from([Unit.USD] * 6 + [Unit.USDC])
PICK = st.integers(min_value=0, max_value=10_000)


class TrackerMachine(RuleBasedStateMachine):
    """Rules call the tracker and the model; invariants compare everything that can be read."""

    def __init__(self, tracker: Tracker, wait: Callable[[float], None]) -> None:
        super().__init__()
        self.tracker = tracker
        self.wait = wait
        self.model = Model()

    @rule(name=st.sampled_from(SCOPES), micros=st.none() | MICROS.map(lambda one: one * 2), unit=UNITS)
    def set_budget(self, name: str, micros: int | None, unit: Unit) -> None:
        cell = self.model.cells.get(name)
        used = cell is not None and bool(cell.spent or cell.reserved)
        if micros is None:
            self.tracker.set_budget(name, None, unit=unit)
            if cell is not None and used:
                cell.limit = None
            else:
                self.model.cells.pop(name, None)
            return
        if cell is not None and used and cell.unit is not unit:
            self._refused(lambda: self.tracker.set_budget(name, amount(micros, unit), unit=unit), UnitMismatch)
            return
        self.tracker.set_budget(name, amount(micros, unit), unit=unit)
        if cell is None:
            cell = self.model.cells[name] = Cell(unit)
        if cell.unit is not unit:
            cell.overruns = cell.late = 0
        cell.unit, cell.limit = unit, micros

    @rule(names=NAMES, micros=MICROS, unit=UNITS)
    def reserve(self, names: list[str], micros: int, unit: Unit) -> None:
        token = self._reserve(names, micros, unit, None)
        if token is not None:
            self._hold(token)

    @rule(names=NAMES, micros=MICROS, unit=UNITS)
    def reserve_and_let_it_expire(self, names: list[str], micros: int, unit: Unit) -> None:
        token = self._reserve(names, micros, unit, 0.001)
        if token is not None:
            self.wait(0.003)
            self._hold(token, EXPIRED)

    @precondition(lambda self: self.model.held)
    @rule(pick=PICK, micros=st.just(0) | MICROS)
    def commit(self, pick: int, micros: int) -> None:
        self._commit(self._pick(pick), micros)

    @precondition(lambda self: self.model.held)
    @rule(pick=PICK)
    def commit_the_estimate(self, pick: int) -> None:
        held = self._pick(pick)
        self._commit(held, held.token.micros)

    @precondition(lambda self: any(one.actual is not None for one in self.model.held))
    @rule(pick=PICK)
    def commit_again(self, pick: int) -> None:
        held = [one for one in self.model.held if one.actual is not None]
        again = held[pick % len(held)]
        assert again.actual is not None
        done = self.tracker.commit(again.token, amount(again.actual, again.token.unit))
        assert done.repeated
        assert done.micros == again.actual

    @precondition(lambda self: self.model.held)
    @rule(pick=PICK)
    def release(self, pick: int) -> None:
        held = self._pick(pick)
        if held.state is TokenState.COMMITTED:
            self._refused(lambda: self.tracker.release(held.token), TokenUsed)
            return
        self.tracker.release(held.token)
        if held.state == OPEN:
            for name in held.token.scopes:
                self.model.cells[name].reserved -= held.token.micros
        held.state = TokenState.RELEASED

    @invariant()
    def every_scope_agrees(self) -> None:
        found = {one.scope: one for one in self.tracker.scopes()}
        assert found.keys() == self.model.cells.keys()
        for name, cell in self.model.cells.items():
            one = found[name]
            assert one.unit is cell.unit
            assert one.limit == (None if cell.limit is None else answer(cell.limit, cell.unit))
            assert (one.spent, one.reserved) == (answer(cell.spent, cell.unit), answer(cell.reserved, cell.unit))
            assert (one.overruns, one.late) == (cell.overruns, cell.late)

    @invariant()
    def what_is_reserved_is_the_sum_of_what_is_open(self) -> None:
        opened = {one.token for one in self.model.held if one.state == OPEN}
        assert {one.token for one in self.tracker.reservations()} == opened
        for name, cell in self.model.cells.items():
            assert cell.reserved == sum(one.micros for one in opened if name in one.scopes)

    def _pick(self, pick: int) -> Held:
        return self.model.held[-1 - pick % len(self.model.held)]

    def _reserve(self, names: list[str], micros: int, unit: Unit, ttl: float | None) -> ReservationToken | None:
        scope = names[0] if len(names) == 1 and micros % 2 else names
        objection = self.model.objection(names, micros, unit)
        denial: BudgetExceededError | UnitMismatch
        try:
            token = self.tracker.reserve(scope, amount(micros, unit), unit=unit, ttl_seconds=ttl)
        except (BudgetExceededError, UnitMismatch) as error:
            denial = error
        else:
            assert objection is None
            return token
        if isinstance(denial, UnitMismatch):
            assert (denial.scope, denial.expected) == objection
            return None
        cell = self.model.cells.get(denial.scope, Cell(unit))
        assert (denial.scope, denial.reason) == objection
        assert (denial.spent, denial.reserved) == (answer(cell.spent, unit), answer(cell.reserved, unit))
        return None

    def _hold(self, token: ReservationToken, state: str = OPEN) -> None:
        for name in token.scopes:
            cell = self.model.cells.setdefault(name, Cell(token.unit))
            cell.reserved += token.micros if state == OPEN else 0
            assert cell.limit is None or cell.spent + cell.reserved <= cell.limit
        self.model.held.append(Held(token, state))

    def _commit(self, held: Held, micros: int) -> None:
        token, cells = held.token, self.model.cells
        if isinstance(held.state, TokenState):
            if held.actual != micros:
                self._refused(lambda: self.tracker.commit(token, amount(micros, token.unit)), TokenUsed)
            return
        if any(name in cells and cells[name].unit is not token.unit for name in token.scopes):
            self._refused(lambda: self.tracker.commit(token, amount(micros, token.unit)), UnitMismatch)
            return
        late = held.state == EXPIRED
        done = self.tracker.commit(token, amount(micros, token.unit))
        assert (done.micros, done.late, done.repeated) == (micros, late, False)
        assert done.overrun_micros == max(0, micros - token.micros)
        assert done.returned_micros == (0 if late else max(0, token.micros - micros))
        for name in token.scopes:
            cell = cells.setdefault(name, Cell(token.unit))
            cell.spent += micros
            cell.reserved -= 0 if late else token.micros
            cell.overruns += micros > token.micros
            cell.late += late
        held.state, held.actual = TokenState.COMMITTED, micros

    def _refused(self, call: Callable[[], object], error: type[Exception]) -> None:
        try:
            call()
        except error:
            return
        raise AssertionError(f"{error.__name__} was not raised")
