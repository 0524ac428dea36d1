"""Which byte was changed: found from what is known to be right about it, a hash."""

from __future__ import annotations

import hashlib

__all__ = ["changed_byte"]

_MOST_BYTES = 8_192
_PRINTABLE = tuple(bytes([code]) for code in range(0x20, 0x7F))


def changed_byte(text: bytes, wanted: str) -> int | None:
    """The position at which another printable character gives `text` the SHA-256 `wanted` (0x hex).

    None if more than one byte was changed, or if there are too many to try.
    """
    if len(text) > _MOST_BYTES:
        return None
    try:
        target = bytes.fromhex(wanted[2:])
    except ValueError:
        return None
    before = hashlib.sha256()
    for position in range(len(text)):
        after = text[position + 1 :]
        for candidate in _PRINTABLE:
            trial = before.copy()
            trial.update(candidate + after)
            if trial.digest() == target:
                return position
        before.update(text[position : position + 1])
    return None
