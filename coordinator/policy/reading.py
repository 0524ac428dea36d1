"""From what a file or a caller wrote to the value of one setting, or to a sentence that says which key is wrong.

Each reader takes (value, name of the setting) and is idempotent: it accepts what it returned.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from types import MappingProxyType
from typing import Any

from actp.errors import InvalidInput
from actp.units import require_address, shown
from coordinator.types import ETH, IntentType

__all__ = ["ANY", "RateCaps", "amount", "assets", "bps", "caps", "contracts", "flag", "intents", "parties", "seconds"]

ANY = "*"
"""In place of selectors: every call, the plain transfer included. In place of an agent: every agent not named."""

_LARGEST = 2**256 - 1
_ALL_OF_IT = 10_000
_LARGEST_COUNT = 2**40
_DIGITS = re.compile(r"[0-9]{1,78}\Z", re.ASCII)
_SELECTOR = re.compile(r"0x(?:[0-9a-fA-F]{8})?\Z", re.ASCII)
_LIST = (list, tuple, set, frozenset)


@dataclass(frozen=True, slots=True)
class RateCaps:
    """The most operations in the last 60 seconds, 60 minutes and 24 hours. None: no cap."""

    minute: int | None = None
    hour: int | None = None
    day: int | None = None


def amount(value: object, name: str) -> int:
    """Base units: an int, or its digits in quotes."""
    if isinstance(value, str) and _DIGITS.match(value):
        value = int(value)
    return _whole(value, name, _LARGEST, 'write base units as an int or as digits in quotes, such as "25000000"')


def seconds(value: object, name: str) -> int:
    return _whole(value, name, _LARGEST_COUNT, "write whole seconds")


def bps(value: object, name: str) -> int:
    """Hundredths of a percent, at most 10,000 (all of it)."""
    return _whole(value, name, _ALL_OF_IT, "write basis points as an int; 100 are one percent")


def flag(value: object, name: str) -> bool:
    if not isinstance(value, bool):
        raise _wrong(name, f"must be true or false, not {shown(value)}")
    return value


def assets(value: object, name: str) -> Mapping[str, int]:
    """Amounts by asset: "ETH" or the address of a token."""
    return _table(value, name, _asset, amount)


def parties(value: object, name: str) -> frozenset[str]:
    """A list of addresses."""
    return frozenset(_listed(value, name, _address))


def contracts(value: object, name: str) -> Mapping[str, frozenset[str]]:
    """Selectors by contract. "0x" is the plain transfer of ETH, "*" instead of a list any call."""
    return _table(value, name, _address, _selectors)


def intents(value: object, name: str) -> Mapping[str, frozenset[IntentType]]:
    """Types of intents by agent. The agent "*" stands for every agent that is not named."""
    return _table(value, name, _agent, lambda types, key: frozenset(_listed(types, key, _intent)))


def caps(value: object, name: str) -> RateCaps:
    """A table with any of minute, hour and day, each at least as large as the one before."""
    windows = ("minute", "hour", "day")
    if isinstance(value, RateCaps):
        value = {window: getattr(value, window) for window in windows if getattr(value, window) is not None}
    table = _table(
        value, name, lambda key, _: key, lambda count, key: _whole(count, key, _LARGEST_COUNT, "write a number")
    )
    for window in table:
        if window not in windows:
            raise _wrong(f"{name}.{window}", "unknown key; known keys are minute, hour, day")
    if not table:
        raise _wrong(name, "names no window; name minute, hour or day, or leave the table out")
    result = RateCaps(**table)
    given = [(window, table[window]) for window in windows if window in table]
    for (shorter, most), (longer, fewer) in pairwise(given):
        if most > fewer:
            raise _wrong(f"{name}.{shorter}", f"{most} can never be reached, as {longer} allows only {fewer}")
    return result


def _whole(value: object, name: str, largest: int, how: str) -> int:
    if type(value) is not int:
        raise _wrong(name, f"{how}, not {type(value).__name__} {shown(value)}")
    if value < 0:
        raise _wrong(name, f"must not be negative, and is {shown(value)}")
    if value > largest:
        raise _wrong(name, f"must be at most {largest:,}, and is {shown(value)}")
    return value


def _table(
    value: object, name: str, key_of: Callable[[str, str], str], read: Callable[[object, str], Any]
) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise _wrong(name, f"must be a table, not {type(value).__name__} {shown(value)}")
    result: dict[str, Any] = {}
    for written, inner in value.items():
        where = f"{name}.{written}"
        if not isinstance(written, str):
            raise _wrong(name, f"keys are texts, not {shown(written)}")
        key = key_of(written, where)
        if key in result:
            raise _wrong(where, "is there twice, in two spellings")
        result[key] = read(inner, where)
    return MappingProxyType(result)


def _listed(value: object, name: str, read: Callable[[object, str], Any]) -> Iterable[Any]:
    if not isinstance(value, _LIST):
        raise _wrong(name, f"must be a list, not {type(value).__name__} {shown(value)}")
    result: dict[Any, None] = {}
    for position, item in enumerate(value):
        entry = read(item, f"{name}[{position}]")
        if entry in result:
            raise _wrong(f"{name}[{position}]", f"{entry} is there twice")
        result[entry] = None
    return result


def _selectors(value: object, name: str) -> frozenset[str]:
    if value == ANY or value == {ANY}:
        return frozenset({ANY})
    return frozenset(_listed(value, name, _selector))


def _selector(value: object, name: str) -> str:
    if not isinstance(value, str) or not _SELECTOR.match(value):
        raise _wrong(
            name, f'{shown(value)} is no selector: 0x and 8 hex digits, "0x" for a plain transfer, or "*" for the list'
        )
    return value.lower()


def _asset(value: str, name: str) -> str:
    return ETH if value == ETH else _address(value, name)


def _address(value: object, name: str) -> str:
    try:
        return require_address(value)
    except InvalidInput as error:
        raise _wrong(name, str(error)) from None


def _agent(value: str, name: str) -> str:
    if not value.strip():
        raise _wrong(name, "the name of an agent must not be empty")
    return value


def _intent(value: object, name: str) -> IntentType:
    known = [kind.value for kind in IntentType]
    if not isinstance(value, str) or value not in known:
        raise _wrong(name, f"{shown(value)} is no type of intent; known are {', '.join(known)}")
    return IntentType(value)


def _wrong(name: str, why: str) -> InvalidInput:
    return InvalidInput(f"{name}: {why}")
