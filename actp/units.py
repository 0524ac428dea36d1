"""Amounts, addresses and hashes: parsing that refuses what it does not understand. No I/O.

An amount is an int of base units everywhere; `usdc` and `format_usdc` translate for people.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Decimal, InvalidOperation
from functools import lru_cache

from actp.errors import InvalidInput

__all__ = [
    "USDC_DECIMALS",
    "ZERO_ADDRESS",
    "ZERO_HASH",
    "describe_base_units",
    "format_ether",
    "format_usdc",
    "hash_or_keccak",
    "keccak",
    "require_address",
    "require_base_units",
    "require_bytes32",
    "shown",
    "to_checksum",
    "usdc",
]

USDC_DECIMALS = 6
ZERO_ADDRESS = "0x" + "00" * 20
ZERO_HASH = "0x" + "00" * 32
_MAX_UINT256 = 2**256 - 1
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}\Z")
_BYTES32 = re.compile(r"0x[0-9a-fA-F]{64}\Z")
_BARE_HEX = re.compile(r"[0-9a-fA-F]+\Z")
_HEX = re.compile(r"0x(?:[0-9a-fA-F]{2})*\Z")
_LONGEST_SHOWN = 44
_LEVELS_SHOWN = 4
_CONTAINERS = (list, tuple, set, frozenset, dict)
_AMOUNT = re.compile(r"[0-9]+(\.[0-9]+)?\Z", re.ASCII)


def shown(value: object, longest: int = _LONGEST_SHOWN) -> str:
    """A refused argument as an error message may show it: what is long enough to be a key, a phrase or a URL with a key
    in it is only named by its type and length, and so is what lies too deep in itself for any repr. An address with its
    quotes still fits.
    """
    if isinstance(value, (bytes, bytearray)):
        return f"<{len(value)} bytes>"
    if _is_deep(value):
        return f"<{type(value).__name__}>"
    try:
        text = repr(value)
    except ValueError:  # an int of more digits than Python writes
        return f"<{type(value).__name__}>"
    if len(text) <= longest and "://" not in text:
        return text
    return f"<{len(value)} characters>" if isinstance(value, str) else f"<{type(value).__name__}>"


def _is_deep(value: object) -> bool:
    """Whether there are lists in lists in lists: Python's repr would go down into them until its stack is used up."""
    level = [value]
    for _ in range(_LEVELS_SHOWN):
        level = [inner for one in level if isinstance(one, _CONTAINERS) for inner in _within(one)]
        if not level:
            return False
    return True


def _within(container: object) -> Iterable[object]:
    assert isinstance(container, _CONTAINERS)
    return (*container, *container.values()) if isinstance(container, dict) else container


def usdc(amount: str | int | Decimal) -> int:
    """Base units of an amount of whole USDC: `usdc("25.5")` is 25_500_000.

    Takes a decimal string, a whole number or a Decimal. Floats are refused because they cannot hold most amounts, and
    so are bools, negatives, exponents, NaN and more than six decimals: nothing is ever rounded.
    Raises InvalidInput.
    """
    hint = 'Write the amount as a decimal string such as usdc("25.50").'
    if isinstance(amount, bool) or not isinstance(amount, (str, int, Decimal)):
        raise InvalidInput(f"{shown(amount)} is not an amount of USDC ({type(amount).__name__}).", hint=hint)
    text = format(amount, "f") if isinstance(amount, Decimal) else str(amount).strip()
    if not _AMOUNT.match(text):
        raise InvalidInput(f"{shown(text)} is not an amount of USDC.", hint=hint)
    whole, _, fraction = text.partition(".")
    fraction = fraction.rstrip("0")
    if len(fraction) > USDC_DECIMALS:
        raise InvalidInput(f"{shown(text)} has more than {USDC_DECIMALS} decimals.", hint="USDC has no smaller unit.")
    return require_base_units(int(whole) * 10**USDC_DECIMALS + int(fraction.ljust(USDC_DECIMALS, "0")), "amount")


def format_usdc(amount: int) -> str:
    """`25_500_000` as "25.50": at least two decimals, thousands separated, nothing rounded. May be negative."""
    whole, fraction = divmod(abs(amount), 10**USDC_DECIMALS)
    decimals = f"{fraction:06d}".rstrip("0").ljust(2, "0")
    return f"{'-' if amount < 0 else ''}{whole:,}.{decimals}"


def describe_base_units(amount: int) -> str:
    """An amount as error messages show it: "50,000 base units (0.05 USDC)"."""
    return f"{amount:,} base units ({format_usdc(amount)} USDC)"


def format_ether(wei: int) -> str:
    """Wei as a decimal number of ETH, nothing rounded: "0.0105"."""
    whole, fraction = divmod(abs(wei), 10**18)
    decimals = f"{fraction:018d}".rstrip("0") or "0"
    return f"{'-' if wei < 0 else ''}{whole}.{decimals}"


def require_base_units(value: object, name: str = "amount") -> int:
    """`value` if it is an int of base units (0 .. 2^256-1), else InvalidInput that says how to write it."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidInput(
            f"{name} must be an int of base units, not {type(value).__name__} {shown(value)}.",
            hint=f"1 USDC is 1_000_000 base units{_suggestion(value)}.",
        )
    if not 0 <= value <= _MAX_UINT256:
        raise InvalidInput(f"{name} must be between 0 and 2**256 - 1, not {shown(value)}.")
    return value


def _suggestion(value: object) -> str:
    if isinstance(value, (str, float)) and len(str(value)) <= _LONGEST_SHOWN:
        try:
            number = Decimal(str(value))
        except InvalidOperation:
            return ""
        if number.is_finite() and number >= 0:
            return f'; for {number:f} USDC write usdc("{number:f}")'
    return ""


def keccak(data: bytes) -> bytes:
    """Keccak-256, the hash of the EVM: 32 bytes."""
    from eth_hash.auto import keccak as digest  # loads a C library, which `import actp` must not wait for

    return digest(data)


@lru_cache(maxsize=8192)
def to_checksum(address: str) -> str:
    """The EIP-55 spelling of 0x and 40 hex digits."""
    digits = address[2:].lower()
    marks = keccak(digits.encode("ascii")).hex()
    return "0x" + "".join(c.upper() if int(m, 16) >= 8 else c for c, m in zip(digits, marks, strict=False))


def require_address(value: object, name: str = "address", *, allow_zero: bool = False) -> str:
    """`value` in its EIP-55 spelling. Mixed case must carry the right checksum. Raises InvalidInput."""
    if not isinstance(value, str) or not _ADDRESS.match(value):
        raise InvalidInput(
            f"{name} {shown(value)} is not an address.",
            hint=_prefix_hint(value, 40) or "An address is 0x and 40 hex digits.",
        )
    checked = to_checksum(value)
    digits = value[2:]
    if digits not in (digits.lower(), digits.upper()) and value != checked:
        raise InvalidInput(
            f"{name} {value} has a wrong checksum, so at least one character is mistyped.",
            hint="Copy the address again.",
        )
    if not allow_zero and int(value, 16) == 0:
        raise InvalidInput(f"{name} is the zero address.")
    return checked


def require_bytes32(value: object, name: str) -> str:
    """0x hex of 32 bytes, in lower case, from such a string or from 32 bytes. Raises InvalidInput."""
    if isinstance(value, (bytes, bytearray)) and len(value) == 32:
        return "0x" + bytes(value).hex()
    if isinstance(value, str) and _BYTES32.match(value):
        return value.lower()
    raise InvalidInput(
        f"{name} {shown(value)} is not 32 bytes in 0x hex.",
        hint=_prefix_hint(value, 64) or "Give 0x and 64 hex digits, or 32 bytes.",
    )


def _prefix_hint(value: object, digits: int) -> str:
    """What to do about hex digits that lack nothing but 0x, else nothing."""
    if isinstance(value, str) and len(value) == digits and _BARE_HEX.match(value):
        return f"These are {digits} hex digits without 0x: put 0x in front of them."
    return ""


def hash_or_keccak(value: str | bytes, name: str = "metadata") -> str:
    """The bytes32 that stands for free data: empty ("0x", "" or b"") is the zero hash, 32 bytes pass as they are,
    anything else is hashed: 0x hex as the bytes that it spells, other text as UTF-8. Raises InvalidInput.
    """
    if isinstance(value, (bytes, bytearray)):
        data, is_text = bytes(value), False
    elif not isinstance(value, str):
        raise InvalidInput(f"{name} must be text, 0x hex or bytes, not {type(value).__name__}.")
    elif _HEX.match(value):
        data, is_text = bytes.fromhex(value[2:]), False
    else:
        data, is_text = value.encode("utf-8"), True
    if not data:
        return ZERO_HASH
    # A sentence of 32 characters is text to be hashed, not a hash.
    return "0x" + (data if len(data) == 32 and not is_text else keccak(data)).hex()
