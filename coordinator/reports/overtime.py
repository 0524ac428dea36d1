"""What each agent has spent when."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, Integer, and_, case, cast, func, select

from actp.errors import InvalidInput
from coordinator.budget.words import ReservationState
from coordinator.store import Ledger
from coordinator.store.accounts import Account
from coordinator.store.budget_schema import reservations

__all__ = ["DAY", "HOUR", "MOST_STEPS", "WEEK", "Timeline", "over_time"]

HOUR = 3600
DAY = 24 * HOUR
WEEK = 7 * DAY
MOST_STEPS = 2000
"""The most steps that a timeline may have."""

_GOOD = 60
"""No finer than for so many steps."""

_STEPS = (HOUR, DAY, WEEK, 4 * WEEK)
_MONDAY = 4 * DAY
"""1970 began on a Thursday; weeks begin on Mondays."""

_S = ReservationState
_SPENT = (_S.HELD, _S.SUBMITTING, _S.ON_CHAIN, _S.COMMITTED)


@dataclass(frozen=True, slots=True)
class Timeline:
    """What agents have spent in steps of `seconds`, the first of which begins at `start` (unix seconds, whole hours,
    days or weeks from Monday, in UTC). `amounts` has base units for each step, of who has spent most first.
    """

    start: int
    seconds: int
    steps: int
    amounts: Mapping[str, tuple[int, ...]]

    def starts(self) -> tuple[int, ...]:
        """When each step begins."""
        return tuple(self.start + index * self.seconds for index in range(self.steps))


def over_time(
    ledger: Ledger,
    account: Account,
    *,
    since: float | None = None,
    until: float | None = None,
    seconds: int | None = None,
) -> Timeline:
    """What agents have spent, by when they asked for it: everything that was granted, without what came back. From the
    first request until now, or until the last one if that was asked for by a clock that is ahead of this one, in steps
    that give a readable picture, unless told otherwise. Reads every request of the time. Raises InvalidInput,
    StoreError.
    """
    if seconds is not None and seconds < 1:
        raise InvalidInput(f"A step of {seconds} seconds is none.")
    with ledger.read() as connection:
        earliest, latest = _ends(connection, account)
        end = max(ledger.now_by(connection), latest + 1) if until is None else until
        first = earliest if since is None else since
        if first is None or first >= end:
            return Timeline(int(end), seconds or DAY, 0, {})
        step = seconds or _step(end - first)
        start = _aligned(first, step)
        steps = int(-((start - end) // step))
        if steps > MOST_STEPS:
            raise InvalidInput(
                f"These would be {steps:,} steps of {step:,} seconds, and {MOST_STEPS:,} is the most.",
                hint="Take longer steps, or a shorter time.",
            )
        amounts = _amounts(connection, account, start, end, step, steps)
    ordered = sorted(amounts, key=lambda agent: (-sum(amounts[agent]), agent))
    return Timeline(start, step, steps, {agent: tuple(amounts[agent]) for agent in ordered})


def _ends(connection: Connection, account: Account) -> tuple[float | None, float]:
    """When the first and the last of what was spent was asked for; None and the beginning of time if nothing was."""
    at = reservations.c.created_at
    query = select(func.min(at), func.max(at)).where(
        account.owns(reservations), reservations.c.state.in_([one.value for one in _SPENT])
    )
    first, last = connection.execute(query).one()
    return first, 0.0 if last is None else last


def _step(seconds: float) -> int:
    return next((one for one in _STEPS if seconds <= one * _GOOD), _STEPS[-1])


def _aligned(at: float, step: int) -> int:
    offset = _MONDAY if step % WEEK == 0 else 0
    return int((at - offset) // step) * step + offset


def _amounts(
    connection: Connection, account: Account, start: int, end: float, step: int, steps: int
) -> dict[str, list[int]]:
    r = reservations.c
    since = (r.created_at - start) / step
    # Casting rounds on PostgreSQL, and not every SQLite can `floor`, where casting does.
    index = func.floor(since) if connection.dialect.name == "postgresql" else cast(since, Integer)
    paid = case(
        (r.state == _S.COMMITTED.value, func.coalesce(r.actual, r.amount) - r.returned),
        else_=r.amount,
    )
    query = (
        select(r.agent, index.label("index"), func.sum(paid))
        .where(
            and_(
                account.owns(reservations),
                r.state.in_([one.value for one in _SPENT]),
                r.created_at >= start,
                r.created_at < end,
            )
        )
        .group_by(r.agent, index)
    )
    found: dict[str, list[int]] = {}
    for agent, position, amount in connection.execute(query):
        found.setdefault(agent, [0] * steps)[int(position)] += int(amount)
    return {agent: amounts for agent, amounts in found.items() if any(amounts)}
