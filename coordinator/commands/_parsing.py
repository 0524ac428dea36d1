"""What stands on a command line: amounts and times, with errors that say how they are written."""

from __future__ import annotations

import argparse
import re
import time
from datetime import UTC, datetime

from actp.errors import InvalidInput
from coordinator.budget import tables
from coordinator.budget.checks import a_name

__all__ = ["NEVER", "amount", "moment", "moment_ahead", "person", "threshold"]

NEVER = "never"
"""What stands for no threshold at all."""

_SPANS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}


def amount(text: str) -> int:
    """An argparse type: an amount as files of rules have it, "25.50 USDC" or base units."""
    try:
        return tables.usdc(text)
    except InvalidInput as error:
        raise argparse.ArgumentTypeError(error.message) from None


def threshold(text: str) -> int | str:
    """An argparse type: an amount, or NEVER."""
    return NEVER if text == NEVER else amount(text)


def person(text: str) -> str:
    """An argparse type: the name of whoever does something."""
    try:
        return a_name(text, "it")
    except InvalidInput as error:
        raise argparse.ArgumentTypeError(error.message) from None


def moment(text: str) -> float:
    """An argparse type: a time as `2026-11-21`, `2026-11-21T18:00` (UTC, unless it says otherwise) or `7d` ago."""
    return _moment(text, -1, "for so long ago")


def moment_ahead(text: str) -> float:
    """As `moment`, but `7d` is that long from now."""
    return _moment(text, 1, "for so long from now")


def _moment(text: str, direction: int, meaning: str) -> float:
    span = re.fullmatch(r"([0-9]{1,6})([smhdw])", text)
    if span is not None:
        return time.time() + direction * int(span[1]) * _SPANS[span[2]]
    try:
        found = datetime.fromisoformat(text)
        return (found if found.tzinfo is not None else found.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        raise argparse.ArgumentTypeError(
            f"{text[:40]!r} is no time: write 2026-11-21, 2026-11-21T18:00, or 90m, 24h, 7d {meaning}"
        ) from None
