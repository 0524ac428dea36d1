"""From the journal's entries to the cells that they must have left behind. No I/O."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from coordinator.store.usage import Usage

__all__ = ["Replay"]


@dataclass
class _Cell:
    spent: int = 0
    reserved: int = 0
    limits: tuple[int | None, int] | None = None
    """(lim, cap), None as long as nothing was said about them."""
    buckets: dict[int, list[int]] = field(default_factory=dict)


class Replay:
    """Cells, built from what entries say about them, in the order of the chain: sums do not depend on it, but of limits
    the last one counts. Those of one cell are in the order of their commits, as each held the cell's row.
    """

    def __init__(self) -> None:
        self._cells: dict[tuple[int, int], _Cell] = {}

    def take(self, detail: Mapping[str, Any]) -> None:
        """Applies an entry's detail. Raises AttributeError, TypeError or ValueError if it is none."""
        for scope_id, window, spent, reserved, bucket in detail.get("cells", ()):
            cell = self._cells.setdefault((scope_id, window), _Cell())
            cell.spent += spent
            cell.reserved += reserved
            if bucket:
                pair = cell.buckets.setdefault(bucket, [0, 0])
                pair[0] += spent
                pair[1] += reserved
                if pair == [0, 0]:
                    del cell.buckets[bucket]
        for scope_id, window, lim, cap in detail.get("limits", ()):
            self._cells.setdefault((scope_id, window), _Cell()).limits = lim, cap

    def differences(self, usages: Sequence[Usage]) -> Iterator[str]:
        """Sentences about cells that are other than these."""
        left = dict(self._cells)
        for one in usages:
            stored = one.cell
            made = left.pop((stored.scope_id, stored.window_start), None) or _Cell()
            lim, cap = made.limits or (None, None)
            for what, here, replayed in (
                ("spent", stored.spent, made.spent),
                ("reserved", stored.reserved, made.reserved),
                ("hours", stored.buckets or {}, made.buckets),
                ("limit", stored.lim, lim),
                ("cap", stored.cap, cap),
            ):
                if here != replayed:
                    yield f"{_name(one)}: {what} is {here}, and by the journal {replayed}."
        for (scope_id, window), cell in left.items():
            if cell.spent or cell.reserved or cell.limits is not None:
                yield f"Scope {scope_id}, window {window}: there is no such cell, and by the journal there is one."


def _name(one: Usage) -> str:
    scope = one.scope
    return f"{scope.kind.value} {scope.key!r}, {scope.period.value} from {one.cell.window_start}, {scope.unit}"
