"""Answers of views that consist of words of 32 bytes only, read several times faster than a general decoder does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from actp.units import to_checksum

__all__ = ["Shape", "read_words", "shape_of"]

Shape = tuple[Any, ...]
"""For each value a pair of kind and size in bytes ("uint", "address", "bytes", "bool"), or the Shape of a tuple."""

_WORD = 32


def shape_of(parts: Sequence[dict[str, Any]]) -> Shape | None:
    """The shape of these ABI outputs; None if one of them is of another kind, or of variable length."""
    shape: list[Any] = []
    for part in parts:
        kind = str(part["type"])
        inner = shape_of(part["components"]) if kind == "tuple" else _word(kind)
        if inner is None:
            return None
        shape.append(inner)
    return tuple(shape)


def read_words(shape: Shape, data: bytes) -> tuple[Any, ...] | None:
    """The values; addresses are checksummed. None if the data is too short, or has bits where its types have none."""
    values, end = _read(shape, data, 0)
    return values if end <= len(data) else None


def _word(kind: str) -> tuple[str, int] | None:
    if kind in ("address", "bool"):
        return kind, 20 if kind == "address" else 1
    if kind.startswith("uint") and kind[4:].isdigit():
        return "uint", int(kind[4:]) // 8
    if kind.startswith("bytes") and kind[5:].isdigit():
        return "bytes", int(kind[5:])
    return None


def _hex(word: bytes) -> str:
    return "0x" + word[12:].hex()


def _read(shape: Shape, data: bytes, at: int) -> tuple[tuple[Any, ...] | None, int]:
    values: list[Any] = []
    for kind, *rest in shape:
        if isinstance(kind, tuple):
            inner, at = _read((kind, *rest), data, at)
            if inner is None:
                return None, at
            values.append(inner)
            continue
        word, size = data[at : at + _WORD], rest[0]
        at += _WORD
        if kind == "bytes":
            if any(word[size:]):
                return None, at
            values.append(word[:size])
            continue
        if any(word[: _WORD - size]):
            return None, at
        number = int.from_bytes(word, "big")
        if kind == "bool" and number > 1:
            return None, at
        values.append(number if kind == "uint" else bool(number) if kind == "bool" else to_checksum(_hex(word)))
    return tuple(values), at
