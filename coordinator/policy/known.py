"""How rules read facts: a fact that is not known, or that is no number at all, never passes for a small number."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from coordinator.policy.facts import Facts

__all__ = ["MissingFact", "amount_of", "counterparty_of", "leaving", "number", "share_bps", "total_of"]

_Key = TypeVar("_Key")


class MissingFact(Exception):
    """A rule needs this fact, and it is not known. Never leaves the room: it becomes a denial."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


def number(value: int | None, name: str) -> int:
    """The fact, if it is an int of at least 0. Raises MissingFact if it is None, ValueError if it is anything else:
    a NaN is not above any limit, and a negative amount is below all of them.
    """
    if value is None:
        raise MissingFact(name)
    if type(value) is not int or value < 0:
        raise ValueError(name)
    return value


def amount_of(facts: Mapping[str, int] | None, asset: str, name: str) -> int:
    """The entry of this asset; not known if it is absent."""
    if facts is None:
        raise MissingFact(name)
    return number(facts.get(asset), f"{name}[{asset}]")


def total_of(facts: Mapping[_Key, int] | None, key: _Key, name: str) -> int:
    """The entry of a sum over everything there is; 0 if it is absent."""
    if facts is None:
        raise MissingFact(name)
    return number(facts.get(key, 0), name)


def leaving(facts: Facts) -> int:
    """What leaves the wallet. Raises ValueError unless it is an amount."""
    return number(facts.subject.amount, "amount")


def counterparty_of(facts: Facts) -> str:
    """Whom it goes to in the end. Raises MissingFact."""
    if facts.subject.counterparty is None:
        raise MissingFact("counterparty")
    return facts.subject.counterparty


def share_bps(part: int, whole: int) -> int | None:
    """`part` of `whole` in basis points, rounded up, against the spender; None if it is a share of nothing."""
    if part == 0:
        return 0
    return None if whole == 0 else -(-part * 10_000 // whole)
