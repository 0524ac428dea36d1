"""Amounts, names of scopes and durations: read strictly, nothing is ever rounded. No I/O."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal
from functools import lru_cache

from actp.errors import InvalidInput
from actp.units import shown
from coordinator.tracker.words import (
    LARGEST,
    LONGEST_NAME,
    LONGEST_TTL_SECONDS,
    MOST_SCOPES,
    Unit,
)

__all__ = ["amount_of", "checked_scope", "checked_scopes", "checked_ttl", "micros_of", "unit_of"]

_DECIMALS = 6
_MICROS = 1_000_000
_DOLLARS = re.compile(r"([0-9]{1,40})(?:\.([0-9]{1,40}))?\Z", re.ASCII)
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_HINT = 'Write dollars as a decimal string such as "0.25", a Decimal, or an int of whole dollars.'


def unit_of(unit: Unit | str) -> Unit:
    """The unit of this name. Raises InvalidInput."""
    try:
        return Unit(unit)
    except ValueError as error:
        raise InvalidInput(f"{shown(unit)} is no unit.", hint='Say "usd" or "usdc".') from error


def micros_of(amount: object, unit: Unit = Unit.USD, *, name: str = "amount", positive: bool = False) -> int:
    """An amount as micros (0 to `LARGEST`): dollars as Decimal, str or int, or base units of USDC as int.

    With `positive`, 0 is refused. Raises InvalidInput for anything else: floats, bools, negatives, NaN, more than six
    decimals.
    """
    if unit is Unit.USDC:
        micros = _base_units(amount, name)
    elif type(amount) is int:
        micros = amount * _MICROS
    elif type(amount) is str:
        micros = _from_text(amount, name)
    elif type(amount) is Decimal and amount.is_finite():
        micros = _from_decimal(amount, name)
    else:
        micros = _from_number(amount, name)
    if not 0 <= micros <= LARGEST:
        what = "is negative" if micros < 0 else f"is more than a tracker can count ({LARGEST} millionths)"
        raise InvalidInput(f"{name} {shown(amount)} {what}.")
    if positive and not micros:
        raise InvalidInput(f"{name} is 0.", hint="Reserve what the call may cost, or do not reserve at all.")
    return micros


def amount_of(micros: int, unit: Unit = Unit.USD) -> Decimal:
    """Micros in their unit: dollars with at least two decimals, or a whole number of base units. Exact."""
    if unit is Unit.USDC:
        return Decimal(micros)
    whole, fraction = divmod(abs(micros), _MICROS)
    decimals = f"{fraction:06d}".rstrip("0").ljust(2, "0")
    return Decimal(f"{'-' if micros < 0 else ''}{whole}.{decimals}")


def checked_scope(name: object) -> str:
    """The name of a scope: any text of 1 to `LONGEST_NAME` characters, without control characters and lone surrogates.
    Nothing in it means anything. Raises InvalidInput.
    """
    if type(name) is not str:
        raise InvalidInput(f"A scope is named by a text, not by {shown(name)}.")
    return _checked_name(name)


def checked_scopes(scope: object) -> tuple[str, ...]:
    """The names of the scopes of one reservation, outermost first. Raises InvalidInput."""
    if type(scope) is str:
        return (_checked_name(scope),)
    # Other texts are sequences as well, of letters.
    if not isinstance(scope, Sequence) or isinstance(scope, (str, bytes, bytearray, memoryview)):
        raise InvalidInput(
            f"{shown(scope)} names no scopes.", hint="Give one name, or a list of names with the outermost first."
        )
    if not 1 <= len(scope) <= MOST_SCOPES:
        raise InvalidInput(f"A reservation is in 1 to {MOST_SCOPES} scopes, not in {len(scope)}.")
    names = tuple(checked_scope(name) for name in scope)
    if len(set(names)) < len(names):
        raise InvalidInput("A scope is named twice in one reservation.", hint="Name each scope once.")
    return names


def checked_ttl(seconds: object) -> float:
    """How long a reservation holds. Raises InvalidInput unless it is more than 0 and at most `LONGEST_TTL_SECONDS`."""
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or seconds != seconds:
        raise InvalidInput(f"ttl_seconds must be a number of seconds, not {shown(seconds)}.")
    if not 0.001 <= seconds <= LONGEST_TTL_SECONDS:
        raise InvalidInput(f"ttl_seconds must be between 0.001 and {LONGEST_TTL_SECONDS:.0f}, not {shown(seconds)}.")
    return float(seconds)


@lru_cache(maxsize=1024)
def _checked_name(name: str) -> str:
    if not 1 <= len(name) <= LONGEST_NAME:
        raise InvalidInput(f"A scope's name has 1 to {LONGEST_NAME:,} characters, not {len(name):,}.")
    if _UNPRINTABLE.search(name):
        raise InvalidInput("A scope's name has a control character or half a surrogate pair in it.")
    return name


@lru_cache(maxsize=4096)
def _from_text(text: str, name: str) -> int:
    match = _DOLLARS.match(text.strip())
    if match is None:
        raise InvalidInput(f"{name} {shown(text)} is no amount of dollars.", hint=_HINT)
    fraction = (match[2] or "").rstrip("0")
    if len(fraction) > _DECIMALS:
        raise InvalidInput(f"{name} {shown(text)} has more than {_DECIMALS} decimals.", hint="Round it up yourself.")
    return int(match[1]) * _MICROS + int(fraction.ljust(_DECIMALS, "0"))


@lru_cache(maxsize=4096)
def _from_decimal(amount: Decimal, name: str) -> int:
    # Some Decimals are a few characters here and a gigabyte when they are written out.
    if amount.is_zero():
        return 0
    if abs(amount.adjusted()) > 40 or len(amount.as_tuple().digits) > 80:
        raise InvalidInput(f"{name} {shown(amount)} is no amount of dollars.", hint=_HINT)
    return _from_text(format(amount, "f"), name)


def _from_number(amount: object, name: str) -> int:
    if isinstance(amount, int) and not isinstance(amount, bool):
        return int(amount) * _MICROS
    if isinstance(amount, str):
        return _from_text(str(amount), name)
    if isinstance(amount, Decimal) and amount.is_finite():
        return _from_decimal(Decimal(amount), name)
    raise InvalidInput(f"{name} must be dollars, not {type(amount).__name__} {shown(amount)}.", hint=_HINT)


def _base_units(amount: object, name: str) -> int:
    if isinstance(amount, bool) or not isinstance(amount, int):
        raise InvalidInput(
            f"{name} must be an int of base units of USDC, not {type(amount).__name__} {shown(amount)}.",
            hint='1 USDC is 1_000_000 base units: actp.units.usdc("0.25") gives them.',
        )
    return int(amount)
