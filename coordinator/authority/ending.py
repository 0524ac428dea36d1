"""What becomes of reservations after the decision: the only writer of their states, and of what they give back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Connection

from actp.errors import InvalidInput
from coordinator.authority.counters import Booked, Counters
from coordinator.budget.limits import treasury_scope
from coordinator.budget.words import (
    OPEN_STATES,
    REQUESTS,
    STATE_CHANGES,
    Denial,
    Placed,
    Reservation,
    ReservationState,
    Scope,
    ScopeKind,
)
from coordinator.errors import ForbiddenChange
from coordinator.store import dispatches, journal, reservations, scopes, treasuries
from coordinator.store.accounts import Account
from coordinator.types import ETH

__all__ = ["Change", "move_all"]

_S = ReservationState
_NOTHING_SPENT = frozenset({_S.RELEASED, _S.EXPIRED})


@dataclass(frozen=True, slots=True)
class Change:
    """What is known of a reservation now. What is None is as it was.

    `state` may be the one that it has. `actual` is what was spent, in base units of the token (the whole amount if it
    is not told when it is COMMITTED), `gas_actual` what the fee was, in wei, also of what was released. `returned` is
    all that came back until now, and may be less than before: a reorganisation takes a refund back. `settled`: nothing
    more will come back.
    """

    reservation_id: int
    state: ReservationState
    actual: int | None = None
    gas_actual: int | None = None
    returned: int | None = None
    settled: bool | None = None
    reason: str | None = None
    operation_id: int | None = None
    rule: str | None = None
    """What a denial because of `reason` names; the state if it is not told."""
    again: bool = False
    """All that it may cost is promised once more: the block that showed otherwise is gone, or, if it is HELD, what was
    signed for it has ended in vain and no operation carries it out now. Then `gas_actual` is booked besides what it
    holds for the next try, for which the budget of gas must have room: else it is RELEASED."""


def move_all(connection: Connection, account: Account, changes: Sequence[Change], now: float) -> list[Reservation]:
    """Moves reservations along STATE_CHANGES, and their charges with them: what each of them is after it, in order.

    What is where it should be stays as it is, and what has ended otherwise too: of commit, release and expiry the first
    wins, and which one that was is in what is returned. Facts are booked even above a limit: then the cap is raised and
    the scope frozen. Raises ForbiddenChange, InvalidInput, with nothing written.
    """
    if not changes:
        return []
    found = reservations.by_ids(connection, [one.reservation_id for one in changes], lock=True)
    missing = {one.reservation_id for one in changes} - found.keys()
    if missing:
        raise InvalidInput(f"There is no reservation {min(missing)}.")
    treasury = treasuries.read(connection, account)
    token = None if treasury is None else treasury.token
    placed = [one for reservation in found.values() for one in reservation.placed]
    anew = any(
        one.again or (found[one.reservation_id].state is _S.ON_CHAIN and one.state is _S.SUBMITTING) for one in changes
    )
    both = [treasury_scope(token), treasury_scope(ETH)] if anew and token is not None else []
    counters = Counters(connection, account, now, charged=both, placed=placed)
    moving = _Moving(counters, both)
    after, changed, entries = [], {}, []
    for change in changes:
        before = found[change.reservation_id]
        booked = Booked()
        change = moving.possible(before, change)
        one = moving.move(before, change, booked)
        after.append(one)
        if one == before:
            continue
        found[one.id] = changed[one.id] = one
        event = _event(before, one)
        detail = _detail(before, one, change) | booked.detail
        entries.append(journal.Entry(event, one.agent, None, before.state, one.state, detail, one.id))
        if booked.frozen:
            scopes.freeze(connection, booked.frozen, f"more was spent than its limit (reservation {one.id})")
    if changed:
        reservations.write(connection, list(changed.values()), now)
        journal.add(connection, account, entries, now)
        counters.write()
        over = [one.id for one in changed.values() if one.state in _NOTHING_SPENT]
        if over:
            dispatches.drop(connection, over)
    return after


class _Moving:
    def __init__(self, counters: Counters, treasury: Sequence[Scope]) -> None:
        self._counters = counters
        self._treasury = treasury

    def possible(self, before: Reservation, change: Change) -> Change:
        """The change, or the end of what cannot be tried again: a hold is no fact, and stretches no budget of gas."""
        gas = change.gas_actual or 0
        if change.state is not _S.HELD or not change.again or not gas:
            return change
        rooms = [self._counters.room(one) for one in before.placed if self._is_gas_budget(one)]
        if all(room is None or room >= gas for room in rooms):
            return change
        reason = f"{change.reason or 'It was mined in vain.'} The budget of gas has no room for another try."
        return replace(change, state=_S.RELEASED, again=False, reason=reason)

    def move(self, before: Reservation, change: Change, booked: Booked) -> Reservation:
        """The reservation after a change; the same one if that changes nothing."""
        state = self._state(before, change)
        if state is None:
            return before
        one = before
        if change.operation_id is not None:
            one = replace(one, operation_id=change.operation_id)
        if state is not before.state:
            one = replace(one, state=state)
            if state is _S.COMMITTED:
                one = self._commit(one, change, booked)
            elif state in _NOTHING_SPENT:
                one = self._release(one, change, booked)
            elif state is _S.SUBMITTING and before.state is _S.ON_CHAIN:
                one = self._promise_again(one, booked)
        if change.again and one.state is _S.HELD:
            one = self._try_again(one, change, booked)
        elif change.again and one.state is _S.SUBMITTING:
            one = self._promise_again(one, booked)
        if change.returned is not None and change.returned != one.returned:
            one = self._return(one, change.returned, booked)
        if change.settled is not None:
            one = replace(one, settled=change.settled)
        return one

    def _state(self, before: Reservation, change: Change) -> ReservationState | None:
        """Where it goes; None if it has ended, and otherwise."""
        if change.state is before.state or change.state in STATE_CHANGES[before.state]:
            return change.state
        if before.state not in OPEN_STATES and before.state is not _S.DENIED:
            return None
        raise ForbiddenChange(f"A reservation cannot go from {before.state.value} to {change.state.value}.")

    def _commit(self, one: Reservation, change: Change, booked: Booked) -> Reservation:
        actual = one.amount if change.actual is None else change.actual
        if actual < 0:
            raise InvalidInput("What was spent cannot be negative.")
        for placed in one.placed:
            scope = self._counters.scope(placed.scope_id)
            if scope.kind is ScopeKind.TREASURY:
                continue
            spent = actual
            if scope.unit == REQUESTS:
                spent = placed.amount
            elif scope.unit == ETH:
                spent = placed.amount if change.gas_actual is None else change.gas_actual
            self._counters.change(placed, spent, -placed.amount, booked)
        return replace(one, actual=actual)

    def _release(self, one: Reservation, change: Change, booked: Booked) -> Reservation:
        gas = change.gas_actual or 0
        left = []
        for placed in one.placed:
            scope = self._counters.scope(placed.scope_id)
            fee = scope.unit == ETH and gas > 0
            if fee and scope.kind is ScopeKind.TREASURY:
                left.append(placed)  # the observed balance does not show the fee yet
                continue
            self._counters.change(placed, gas if fee else 0, -placed.amount, booked)
            if fee:
                left.append(placed)
        denial = one.denial
        if change.reason is not None and denial is None:
            denial = Denial(change.rule or one.state.value, change.reason)
        promised = any(self._counters.scope(each.scope_id).kind is ScopeKind.TREASURY for each in left)
        return replace(one, placed=tuple(left), promised=promised, denial=denial)

    def _promise_again(self, one: Reservation, booked: Booked) -> Reservation:
        """What left the wallet for it is there again, or has to be once more: what is not promised of it is now."""
        placed = list(one.placed)
        held = {self._counters.scope(each.scope_id) for each in placed}
        for scope, amount in zip(self._treasury, (one.amount, one.gas), strict=False):
            if amount and scope not in held:
                again = Placed(*self._counters.places[scope], amount)
                self._counters.change(again, 0, amount, booked)
                placed.append(again)
        return replace(one, placed=tuple(placed), promised=True)

    def _try_again(self, one: Reservation, change: Change, booked: Booked) -> Reservation:
        """It was mined in vain, or not at all, and is to be handed on once more; the fee of that is gone."""
        if one.operation_id is None:
            return one  # it waits already, and the fee is booked
        if change.gas_actual:
            for placed in one.placed:
                if self._is_gas_budget(placed) and self._counters.room(placed) is not None:
                    self._counters.change(placed, change.gas_actual, 0, booked)
        return replace(self._promise_again(one, booked), operation_id=None)

    def _is_gas_budget(self, placed: Placed) -> bool:
        scope = self._counters.scope(placed.scope_id)
        return scope.unit == ETH and scope.kind is not ScopeKind.TREASURY

    def _return(self, one: Reservation, returned: int, booked: Booked) -> Reservation:
        if one.state is not _S.COMMITTED:
            raise ForbiddenChange(f"Nothing can come back from a reservation that is {one.state.value}.")
        if not 0 <= returned <= (one.actual or 0):
            raise InvalidInput(f"Of {one.actual} that were spent, {returned} cannot come back.")
        less = returned - one.returned
        for placed in one.placed:
            scope = self._counters.scope(placed.scope_id)
            if scope.kind is not ScopeKind.TREASURY and scope.unit not in (ETH, REQUESTS):
                self._counters.change(placed, -less, 0, booked)
        return replace(one, returned=returned)


def _event(before: Reservation, after: Reservation) -> str:
    if before.state is not after.state:
        return after.state.value
    return "returned" if before.returned != after.returned else "noted"


def _detail(before: Reservation, after: Reservation, change: Change) -> dict[str, object]:
    found: dict[str, object] = {}
    for name in ("actual", "returned", "settled", "operation_id"):
        if getattr(before, name) != getattr(after, name):
            found[name] = getattr(after, name)
    if change.gas_actual is not None:
        found["gas_actual"] = change.gas_actual
    if change.reason is not None:
        found["reason"] = change.reason
    return found
