"""Which window of a period a time lies in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from coordinator.budget.words import FOR_EVER, Period

__all__ = ["BUCKET_SECONDS", "ROLLING_BUCKETS", "bucket_of", "oldest_bucket", "window_start"]

BUCKET_SECONDS = 3600
ROLLING_BUCKETS = 25
"""Hourly buckets that count: 24 full hours ago lies within the oldest, which counts in full, against the spender."""


def window_start(period: Period, at: float) -> int:
    """Unix seconds at which the window begins that `at` lies in; FOR_EVER for windows that never begin again."""
    if period in (Period.EVER, Period.ROLLING_DAY):
        return FOR_EVER
    time = datetime.fromtimestamp(at, UTC)
    hour = time.replace(minute=0, second=0, microsecond=0)
    if period is Period.HOUR:
        return int(hour.timestamp())
    day = hour.replace(hour=0)
    if period is Period.WEEK:
        day -= timedelta(days=day.weekday())
    elif period is Period.MONTH:
        day = day.replace(day=1)
    return int(day.timestamp())


def bucket_of(period: Period, at: float) -> int:
    """The hour of a rolling window that `at` lies in, in unix seconds; 0 for other periods."""
    return int(at // BUCKET_SECONDS) * BUCKET_SECONDS if period is Period.ROLLING_DAY else 0


def oldest_bucket(at: float) -> int:
    """The oldest hour that still counts at a time, in unix seconds."""
    return (int(at // BUCKET_SECONDS) - (ROLLING_BUCKETS - 1)) * BUCKET_SECONDS
