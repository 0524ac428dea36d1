"""What becomes of calls, over rows that were read: on SQLite, where one transaction at a time writes. No I/O.

PostgreSQL does the same by itself, in `coordinator/store/co_track.sql`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from coordinator.budget.words import LARGEST
from coordinator.store.tracker_calls import Answered, Call, Kind
from coordinator.store.tracker_holds import COMMITTED, EXPIRED, OPEN, RELEASED, Hold
from coordinator.store.tracker_scopes import ScopeState

__all__ = ["Books"]


class Books:
    """Scopes and reservations as they are read, and, one call later, as they are to be written."""

    def __init__(self, states: Iterable[ScopeState], holds: dict[str, Hold], now: float) -> None:
        self._now = now
        self._states: dict[str, ScopeState] = {one.key: one for one in states}
        self._holds = holds
        self.changed: dict[str, ScopeState] = {}
        """Scopes to be written, by key."""
        self.ended: dict[str, Hold] = {}
        """Reservations that were there and are to be written, by token."""
        self.made: list[tuple[Hold, Sequence[ScopeState]]] = []
        """New reservations, each with its scopes: those may not have numbers yet."""

    def expire(self, due: Iterable[Hold]) -> None:
        """Frees what these hold, whose time is up. All of their scopes were read."""
        by_id = {one.id: one for one in self._states.values()}
        for hold in due:
            known = self._holds.setdefault(hold.token, hold)
            known.state = EXPIRED
            self.ended[known.token] = known
            for scope_id in known.scope_ids:
                state = by_id[scope_id]
                state.reserved -= known.amount
                self.changed[state.key] = state

    def judge(self, call: Call) -> Answered:
        """What becomes of a call, and all that follows from it."""
        states = [
            self._states.get(key) or self._states.setdefault(key, ScopeState(key, name))
            for key, name in zip(call.keys, call.names, strict=True)
        ]
        for state, name in zip(states, call.names, strict=True):
            state.name = name
        if call.kind is Kind.LIMIT:
            return self._limit(states[0], call.amount, call.unit)
        hold = self._holds.get(call.token or "")
        if call.kind is Kind.RESERVE:
            return self._reserve(call, states) if hold is None else Answered("granted", expires_at=hold.expires_at)
        if hold is None:
            return Answered("unknown")
        given = (tuple(one.id for one in states), call.amount, call.unit, call.seconds)
        if given != (hold.scope_ids, hold.amount, hold.unit, hold.expires_at):
            return Answered("foreign")
        return self._commit(hold, states, call.actual) if call.actual is not None else self._release(hold, states)

    def _limit(self, state: ScopeState, limit: int | None, unit: str) -> Answered:
        used = bool(state.spent or state.reserved)
        if limit is None:
            if state.known:
                state.limit, state.cap, state.known = None, LARGEST, used
                state.retold = state.retold or not used
                self.changed[state.key] = state
            return Answered("set")
        if state.known and used and state.unit != unit:
            return Answered("unit", state.name, unit=state.unit)
        if not state.known or state.unit != unit:
            _begin(state, unit)
        state.limit, state.cap = limit, max(limit, state.spent + state.reserved)
        self.changed[state.key] = state
        return Answered("set")

    def _reserve(self, call: Call, states: Sequence[ScopeState]) -> Answered:
        assert call.token is not None
        assert call.amount is not None
        assert call.seconds is not None
        bounded = False
        for state in states:
            if state.known and state.unit != call.unit:
                return Answered("unit", state.name, unit=state.unit)
            bounded = bounded or state.limit is not None
            most = LARGEST if state.limit is None else state.limit
            if not bounded or call.amount > most - state.spent - state.reserved:
                limit = most if bounded else None
                return Answered("denied", state.name, limit=limit, spent=state.spent, reserved=state.reserved)
        for state in states:
            if not state.known:
                _begin(state, call.unit)
            state.reserved += call.amount
            self.changed[state.key] = state
        expires_at = self._now + call.seconds
        hold = Hold(call.token, (), call.amount, call.unit, expires_at, expires_at)
        self.made.append((hold, states))
        return Answered("granted", expires_at=hold.expires_at)

    def _commit(self, hold: Hold, states: Sequence[ScopeState], actual: int) -> Answered:
        if hold.state == COMMITTED and hold.actual == actual:
            return Answered("committed", repeated=True, late=hold.late)
        if hold.state in (COMMITTED, RELEASED):
            return Answered("used", state=hold.state, actual=hold.actual)
        held = hold.amount if hold.state == OPEN else 0
        for state in states:
            if state.known and state.unit != hold.unit:
                return Answered("unit", state.name, unit=state.unit)
            if actual > LARGEST - state.spent - (state.reserved - held):
                return Answered("overflow", state.name)
        late = hold.state == EXPIRED
        for state in states:
            if not state.known:
                _begin(state, hold.unit)
            state.reserved -= held
            state.spent += actual
            state.cap = max(state.cap, state.spent + state.reserved)
            state.overruns += actual > hold.amount
            state.late += late
            state.retold = state.retold or late or actual > hold.amount
            self.changed[state.key] = state
        self._end(hold, COMMITTED, actual)
        return Answered("committed", late=late)

    def _release(self, hold: Hold, states: Sequence[ScopeState]) -> Answered:
        if hold.state == COMMITTED:
            return Answered("used", state=hold.state, actual=hold.actual)
        if hold.state == OPEN:
            for state in states:
                state.reserved -= hold.amount
                self.changed[state.key] = state
        if hold.state != RELEASED:
            self._end(hold, RELEASED, None)
        return Answered("released")

    def _end(self, hold: Hold, state: str, actual: int | None) -> None:
        hold.late = hold.state == EXPIRED
        hold.state, hold.actual, hold.over_at = state, actual, max(hold.over_at, self._now)
        self.ended[hold.token] = hold


def _begin(state: ScopeState, unit: str) -> None:
    """From now on it has a limit or a history, in this unit."""
    state.known, state.retold, state.unit = True, True, unit
    state.overruns = state.late = 0
