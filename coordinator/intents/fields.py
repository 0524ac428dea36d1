"""What a field of an intent may hold. Nothing is converted silently: an amount is an int or its decimal digits, never a
float, a bool or a formatted number.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Any

from pydantic import PlainSerializer, PlainValidator, StringConstraints

from actp.errors import InvalidInput
from actp.units import require_address, require_bytes32, shown

__all__ = [
    "Account",
    "Allowance",
    "AnyAmount",
    "Bps",
    "Index",
    "LongText",
    "Name",
    "NumericId",
    "Seconds",
    "Share",
    "Signature",
    "Text",
    "Time",
    "TokenAmount",
    "TransactionId",
    "Wei",
]

_DIGITS = re.compile(r"(?:0|[1-9][0-9]{0,38})\Z", re.ASCII)
_HEX = re.compile(r"0x(?:[0-9a-fA-F]{2}){65,2048}\Z", re.ASCII)
_LARGEST_TOKENS = 2**63 - 1
_LARGEST_WEI = 2**96 - 1
_LARGEST_ID = 2**128 - 1
# The first second of the year 10000. Milliseconds of today are far above.
_LAST_TIME = 253_402_300_800


def _digits(smallest: int, largest: int, what: str) -> Callable[[Any], int]:
    """Reads an int, or a string of decimal digits."""

    def read(value: Any) -> int:
        if isinstance(value, str) and _DIGITS.match(value):
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            raise InvalidInput(f"{shown(value)} is not {what}.", hint="Give an int, or its decimal digits as a string.")
        if not smallest <= value <= largest:
            raise InvalidInput(f"{shown(value)} is outside {smallest} to {largest}.")
        return int(value)

    return read


def _whole(smallest: int, largest: int, what: str) -> Callable[[Any], int]:
    """Reads an int."""

    def read(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not smallest <= value <= largest:
            raise InvalidInput(f"{shown(value)} is not {what}, an int from {smallest} to {largest}.")
        return int(value)

    return read


def _transaction_id(value: Any) -> str:
    if not isinstance(value, str):
        raise InvalidInput(f"{shown(value)} is not 32 bytes in 0x hex.")
    return require_bytes32(value, "transaction_id")


def _signature(value: Any) -> str:
    if not isinstance(value, str) or not _HEX.match(value):
        raise InvalidInput("It is no signature in 0x hex.", hint="Give what the party has signed, as it is.")
    return value.lower()


_as_digits = PlainSerializer(str, return_type=str)

TokenAmount = Annotated[
    int, PlainValidator(_digits(1, _LARGEST_TOKENS, "an amount in base units of the token")), _as_digits
]
"""Base units of a token, at least one; below 2**63, so that every database can hold sums of them."""
Allowance = Annotated[
    int, PlainValidator(_digits(0, _LARGEST_TOKENS, "an amount in base units of the token")), _as_digits
]
"""As TokenAmount, and 0, which ends it."""
Share = Annotated[int, PlainValidator(_digits(0, _LARGEST_TOKENS, "an amount in base units of the token")), _as_digits]
"""As TokenAmount, and 0: a part of a split."""
Wei = Annotated[int, PlainValidator(_digits(1, _LARGEST_WEI, "an amount in wei")), _as_digits]
AnyAmount = Annotated[int, PlainValidator(_digits(1, _LARGEST_WEI, "an amount in base units")), _as_digits]
"""Base units of the intent's asset, whichever that is."""
NumericId = Annotated[int, PlainValidator(_digits(0, _LARGEST_ID, "a number of an escrow")), _as_digits]
"""The caller's number for an escrow, within the account that creates it."""

Time = Annotated[int, PlainValidator(_whole(1, _LAST_TIME, "a time in unix seconds (not milliseconds)"))]
Seconds = Annotated[int, PlainValidator(_whole(0, 2**32, "a number of seconds"))]
Bps = Annotated[int, PlainValidator(_whole(0, 10_000, "a share in basis points"))]
Index = Annotated[int, PlainValidator(_whole(0, 63, "an index of a milestone"))]

Account = Annotated[str, PlainValidator(require_address)]
"""An address with its EIP-55 checksum; never the zero address."""
TransactionId = Annotated[str, PlainValidator(_transaction_id)]
Signature = Annotated[str, PlainValidator(_signature)]
"""An account's 65 bytes, or what a contract takes for a signature, in 0x hex."""

Name = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=64)]
Text = Annotated[str, StringConstraints(strict=True, max_length=1_024)]
LongText = Annotated[str, StringConstraints(strict=True, max_length=16_384)]
