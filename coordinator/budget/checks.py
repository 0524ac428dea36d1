"""What may stand in a field of rules and requests. Nothing is converted silently."""

from __future__ import annotations

import re
import unicodedata

from actp.errors import InvalidInput
from actp.units import require_address, shown
from coordinator.budget.words import LARGEST

__all__ = ["RESERVED_NAMES", "a_name", "an_amount", "folded", "some_text", "tracked_address"]

RESERVED_NAMES = frozenset({"treasury", "operator"})
"""What an agent cannot be called: the lifecycle's own agent, and whoever runs this process."""

_LONGEST_NAME = 200
_ADDRESS_LIKE = re.compile(r"0x[0-9a-fA-F]{40}\Z")


def an_amount(value: object, name: str, *, smallest: int = 0) -> int:
    """`value` if it is an int of base units that a 64-bit column holds. Raises InvalidInput."""
    if type(value) is not int:
        raise InvalidInput(
            f"{name} must be an int of base units, not {type(value).__name__} {shown(value)}.",
            hint="1 USDC is 1_000_000 base units.",
        )
    if not smallest <= value <= LARGEST:
        raise InvalidInput(f"{name} must be from {smallest} to 2**63 - 1, not {shown(value)}.")
    return value


def a_name(value: object, name: str) -> str:
    """`value` if it can name something: 1 to 200 characters that every database takes. Raises InvalidInput."""
    text = some_text(value, name, _LONGEST_NAME)
    if not text.strip():
        raise InvalidInput(f"{name} is empty.", hint="Give it a name.")
    return text


def folded(name: str) -> str:
    """What is left of a name without case, width, blanks and what is invisible: one person has one name, however it is
    spelled.
    """
    text = unicodedata.normalize("NFKC", name).casefold()
    return "".join(one for one in text if not one.isspace() and unicodedata.category(one) != "Cf")


def some_text(value: object, name: str, longest: int) -> str:
    """`value` if it is text that every database takes. Raises InvalidInput."""
    if not isinstance(value, str):
        raise InvalidInput(f"{name} must be text, not {type(value).__name__} {shown(value)}.")
    if len(value) > longest:
        raise InvalidInput(f"{name} has {len(value)} characters, and may have {longest}.")
    if "\0" in value or any("\ud800" <= one <= "\udfff" for one in value):
        raise InvalidInput(f"{name} has a character that is none: NUL, or half a surrogate pair.")
    return value


def tracked_address(value: object, name: str) -> str:
    """An address that nothing is ever paid to: any text, but what looks like a whole address must be a right one."""
    text = some_text(value, name, _LONGEST_NAME)
    return require_address(text, name) if _ADDRESS_LIKE.match(text) else text
