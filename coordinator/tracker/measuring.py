"""What trackers tell those who measure: overruns as they happen, and how much is used when somebody asks."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from actp.observing import Reading
from coordinator import measures
from coordinator.measures import ScopeUse
from coordinator.tracker.naming import is_ended_grant
from coordinator.tracker.words import Committed, ReservationToken, Tracker, Unit

__all__ = ["counted", "readings"]

_MICRO = 1_000_000


def counted(token: ReservationToken, done: Committed) -> Committed:
    """A commit, which is counted for each of its scopes if it was dearer than its reservation."""
    if done.overrun_micros and not done.repeated:
        for scope in token.scopes:
            measures.overrun(scope)
    return done


def readings(tracker: Tracker) -> Iterator[Reading]:
    """What is used of every scope, those of grants that have ended left out. Raises TrackerUnavailable."""
    return measures.budget_readings(
        ScopeUse(
            one.scope,
            None if one.limit is None else _micros(one.limit, one.unit),
            _micros(one.spent, one.unit),
            _micros(one.reserved, one.unit),
        )
        for one in tracker.scopes()
        if not is_ended_grant(one)
    )


def _micros(amount: Decimal, unit: Unit) -> int:
    return int(amount * _MICRO) if unit is Unit.USD else int(amount)
