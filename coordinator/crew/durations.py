"""Durations as people write them: "90m", "2h", "1d 12h". Pure."""

from __future__ import annotations

import re

__all__ = ["format_duration", "parse_duration"]

_DURATION = re.compile(r"(?:(\d{1,5})d)?\s*(?:(\d{1,5})h)?\s*(?:(\d{1,5})m)?", re.ASCII)
_DAY, _HOUR, _MINUTE = 86_400, 3_600, 60


def parse_duration(text: str) -> int:
    """Seconds of "30m", "2h", "1d" or a sum of them, largest unit first ("1d 12h"). Raises ValueError."""
    match = _DURATION.fullmatch(text.strip())
    if match is None or not any(match.groups()):
        raise ValueError(f"{text!r} is not a duration")
    days, hours, minutes = (int(group or 0) for group in match.groups())
    return days * _DAY + hours * _HOUR + minutes * _MINUTE


def format_duration(seconds: int) -> str:
    """`93_600` as "1 day 2 hours": the two largest units, rounded to the nearest minute below a day."""
    minutes = max(1, round(seconds / _MINUTE))
    parts = ((minutes // 1440, "day"), (minutes // 60 % 24, "hour"), (minutes % 60, "minute"))
    named = [f"{count} {unit}{'' if count == 1 else 's'}" for count, unit in parts if count]
    return " ".join(named[:2])
