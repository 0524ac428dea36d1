"""Reading tables of a TOML file: every value by its key's path, and every problem noted, not only the first."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeVar

from actp.errors import InvalidInput
from actp.units import require_address, shown
from coordinator.budget.checks import a_name, an_amount
from coordinator.budget.words import Period

__all__ = ["Table", "address_list", "amount", "count", "flag", "name_list", "period", "text", "usdc", "wei"]

_DIGITS = re.compile(r"[0-9]{1,19}\Z", re.ASCII)
_DECIMAL = re.compile(r"([0-9]{1,13})(?:\.([0-9]{1,18}))? (USDC|ETH)\Z", re.ASCII)
_PLACES = {"USDC": 6, "ETH": 18}
_T = TypeVar("_T")


class Table:
    """One table. `where` is its path, "" for the file itself; `problems` collects lines that begin with a path."""

    def __init__(self, value: object, where: str, problems: list[str], known: Collection[str] | None) -> None:
        self.where = where
        self.problems = problems
        self.values: Mapping[str, Any] = {}
        if not isinstance(value, Mapping):
            self.note("", f"must be a table, not {type(value).__name__} {shown(value)}")
            return
        self.values = value
        for key in value:
            if known is not None and key not in known:
                near = difflib.get_close_matches(str(key), known, n=1)
                advice = f", did you mean {near[0]}?" if near else f"; known keys are {', '.join(known)}"
                self.note(key, f"unknown key{advice}")

    def __contains__(self, key: str) -> bool:
        return key in self.values

    def path(self, key: str) -> str:
        """The key as messages name it."""
        return ".".join(part for part in (self.where, key) if part) or "the file"

    def note(self, key: str, why: str) -> None:
        """Something is wrong with this key."""
        self.problems.append(f"{self.path(key)}: {why}")

    def get(self, key: str, read: Callable[[object], _T], otherwise: _T) -> _T:
        """The key's value as `read` understands it; `otherwise` if it is not there, or wrong, which is noted."""
        if key not in self.values:
            return otherwise
        try:
            return read(self.values[key])
        except InvalidInput as error:
            self.note(key, error.message)
            return otherwise

    def table(self, key: str, known: Collection[str] | None) -> Table:
        """The table of this key, an empty one if there is none."""
        return Table(self.values.get(key, {}), self.path(key), self.problems, known)


def amount(value: object, unit: str) -> int:
    """Base units: an int, its digits in quotes, or whole ones with their unit, such as "25.50 USDC"."""
    if isinstance(value, str):
        match = _DECIMAL.match(value)
        if match is not None and match[3] == unit:
            fraction, places = match[2] or "", _PLACES[unit]
            if len(fraction) > places:
                raise InvalidInput(f"{shown(value)} has more than {places} decimals")
            return an_amount(int(match[1]) * 10**places + int(fraction.ljust(places, "0") or "0"), "it")
        if not _DIGITS.match(value):
            raise InvalidInput(f'{shown(value)} is no amount: write base units, or "25.50 {unit}"')
        value = int(value)
    if type(value) is not int:
        raise InvalidInput(f'write base units as an int, or "25.50 {unit}", not {type(value).__name__} {shown(value)}')
    return an_amount(value, "it")


def usdc(value: object) -> int:
    return amount(value, "USDC")


def wei(value: object) -> int:
    return amount(value, "ETH")


def count(value: object) -> int:
    """A number of things, from 1 on."""
    if type(value) is not int or not 1 <= value <= 2**40:
        raise InvalidInput(f"must be a whole number from 1 on, not {shown(value)}")
    return value


def flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise InvalidInput(f"must be true or false, not {shown(value)}")
    return value


def text(value: object) -> str:
    return a_name(value, "it")


def period(value: object) -> Period:
    """One of the periods by its name."""
    for one in Period:
        if value == one:
            return one
    raise InvalidInput(f"{shown(value)} is no period; those are {', '.join(Period)}")


def address_list(value: object) -> frozenset[str]:
    """Addresses, each once."""
    return frozenset(_each(value, lambda one: require_address(one)))


def name_list(value: object) -> tuple[str, ...]:
    """Names, each once."""
    return _each(value, text)


def _each(value: object, read: Callable[[object], str]) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise InvalidInput(f"must be a list, not {type(value).__name__} {shown(value)}")
    entries: list[str] = []
    for position, item in enumerate(value):
        entry = read(item)
        if entry in entries:
            raise InvalidInput(f"entry {position + 1} is there twice: {entry}")
        entries.append(entry)
    return tuple(entries)
