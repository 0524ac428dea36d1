"""What may stand in the fields of a scenario's tables. Amounts are base units (ints) once read, times are seconds."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from actp.errors import InvalidInput
from actp.units import format_usdc, usdc
from coordinator.crew.durations import parse_duration

__all__ = ["Amount", "Contradiction", "Duration", "Funding", "Id", "Line", "Name", "Price", "Table"]

_MIN_AMOUNT = usdc("0.05")
_MAX_AMOUNT = usdc("1000000000")
_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,15}", re.ASCII)


class Contradiction(ValueError):
    """Something in a scenario that cannot be. `at` is the key path of the culprit, below the table that was read."""

    def __init__(self, text: str, *, at: str = "") -> None:
        super().__init__(text)
        self.at = at


def _amount(value: object) -> int:
    if not isinstance(value, str):
        shown = f', for example "{value}"' if isinstance(value, (int, float)) and not isinstance(value, bool) else ""
        raise Contradiction(f"write an amount of USDC as a string in quotes{shown or ', for example ' + repr('0.05')}")
    try:
        return usdc(value)
    except InvalidInput as error:
        raise Contradiction(
            f'{error.message} Allowed: digits with up to six decimals, for example "150" or "0.05"'
        ) from None


def _price(amount: int) -> int:
    if not _MIN_AMOUNT <= amount <= _MAX_AMOUNT:
        raise Contradiction(
            f"{format_usdc(amount)} USDC is not allowed: a purchase is worth {format_usdc(_MIN_AMOUNT)} to "
            f"{format_usdc(_MAX_AMOUNT)} USDC"
        )
    return amount


def _funding(amount: int) -> int:
    if amount > _MAX_AMOUNT:
        raise Contradiction(f"must be at most {format_usdc(_MAX_AMOUNT)} USDC")
    return amount


def _duration(value: object) -> int:
    if not isinstance(value, str):
        raise Contradiction('write a duration as a string in quotes, for example "30m", "2h" or "1d 12h"')
    try:
        return parse_duration(value)
    except ValueError as error:
        raise Contradiction(f'{error}. Allowed: minutes, hours and days, for example "30m", "2h" or "1d 12h"') from None


def _printable(text: str) -> str:
    if not text.isprintable() or not text.strip():
        raise Contradiction("must be one line of printable text")
    return text.strip()


def _id(text: str) -> str:
    if not _ID.fullmatch(text):
        raise Contradiction(
            f"{text!r} is no id: lower-case letters, digits and hyphens, at most 16, for example 'gpu-1'"
        )
    return text


Amount = Annotated[int, BeforeValidator(_amount)]
Funding = Annotated[Amount, AfterValidator(_funding)]
Price = Annotated[Amount, AfterValidator(_price)]
Duration = Annotated[int, BeforeValidator(_duration)]
Id = Annotated[str, AfterValidator(_id)]
Name = Annotated[str, Field(max_length=32), AfterValidator(_printable)]
Line = Annotated[str, Field(max_length=120), AfterValidator(_printable)]


class Table(BaseModel):
    """One table of the file. A key that nobody reads is a mistake of whoever wrote it, so it is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    @classmethod
    def keys(cls) -> tuple[str, ...]:
        """The keys that the table may have in a file."""
        return tuple(field.alias or name for name, field in cls.model_fields.items())
