"""Names and texts that people and programs hand in: what every database can store, or a typed error at once."""

from __future__ import annotations

from actp.errors import InvalidInput

__all__ = ["LONGEST_NAME", "require_name", "require_text"]

LONGEST_NAME = 200
_LONGEST_TEXT = 2_000
_HINT = "NUL and half surrogates are none."


def require_name(value: object, what: str) -> str:
    """`value`, if it is a name: 1 to 200 characters. `what` begins the error. Raises InvalidInput."""
    if not isinstance(value, str) or not 0 < len(value) <= LONGEST_NAME or not _storable(value):
        raise InvalidInput(f"{what} has 1 to {LONGEST_NAME} characters.", hint=_HINT)
    return value


def require_text(value: object, what: str) -> str:
    """`value`, if it is a text of at most 2,000 characters. Raises InvalidInput."""
    if not isinstance(value, str) or len(value) > _LONGEST_TEXT or not _storable(value):
        raise InvalidInput(f"{what} has at most {_LONGEST_TEXT:,} characters.", hint=_HINT)
    return value


def _storable(text: str) -> bool:
    return "\0" not in text and not any("\ud800" <= one <= "\udfff" for one in text)
