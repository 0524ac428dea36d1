"""How long after the end of its window an escrow was settled. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["Lateness", "lateness_of"]


@dataclass(frozen=True, slots=True)
class Lateness:
    """Seconds of the chain's clock, over `count` escrows."""

    count: int
    p50: int
    highest: int

    def __str__(self) -> str:
        return f"late p50 {self.p50} s, max {self.highest} s"


def lateness_of(seconds: Iterable[int]) -> Lateness | None:
    """None where nothing was settled."""
    ordered = sorted(seconds)
    if not ordered:
        return None
    return Lateness(len(ordered), ordered[(len(ordered) - 1) // 2], ordered[-1])
