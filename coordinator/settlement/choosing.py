"""Which of the escrows that are due go into one eth transaction. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from coordinator.store.index_words import Due

__all__ = ["Candidate", "Group", "grouped"]


@dataclass(frozen=True, slots=True)
class Candidate:
    """An escrow about which something is due, and how often that has failed before."""

    transaction_id: str
    kind: Due
    payee: str
    due_at: int
    attempts: int = 0


@dataclass(frozen=True, slots=True)
class Group:
    """What one eth transaction is to do."""

    kind: Due
    members: tuple[Candidate, ...]

    @property
    def ids(self) -> tuple[str, ...]:
        return tuple(one.transaction_id for one in self.members)


def grouped(candidates: Sequence[Candidate], batch: int) -> list[Group]:
    """Groups, those first that are due for the longest. Up to `batch` are settled together (1: the kernel has no
    batches), and what the same provider is paid for stays together, as the kernel then pays it once. Refunds and
    disputes are ended one by one.

    What has failed `n` times is tried in groups that are half as large each time, with others that failed as often:
    one escrow that makes its batch fail is alone in the end, and the others are settled without it.
    """
    single = [Group(one.kind, (one,)) for one in candidates if one.kind is not Due.SETTLE]
    by_attempts: dict[int, list[Candidate]] = defaultdict(list)
    for one in candidates:
        if one.kind is Due.SETTLE:
            by_attempts[one.attempts].append(one)
    groups = [
        Group(Due.SETTLE, tuple(members))
        for attempts, found in by_attempts.items()
        for members in _packed(found, max(1, batch >> min(attempts, batch.bit_length())))
    ]
    return sorted([*single, *groups], key=lambda group: min(one.due_at for one in group.members))


def _packed(candidates: Sequence[Candidate], size: int) -> list[list[Candidate]]:
    """Full groups of one payee first, then what is left of each payee: whole where there is room, the largest first."""
    by_payee: dict[str, list[Candidate]] = defaultdict(list)
    for one in sorted(candidates, key=lambda one: (one.due_at, one.transaction_id)):
        by_payee[one.payee].append(one)
    full, left = [], []
    for mine in by_payee.values():
        whole = len(mine) - len(mine) % size
        full += [mine[start : start + size] for start in range(0, whole, size)]
        if whole < len(mine):
            left.append(mine[whole:])
    packs: list[list[Candidate]] = []
    room: dict[int, list[int]] = defaultdict(list)
    for mine in sorted(left, key=len, reverse=True):
        # The fullest group with room, so that many small ones cost no search through all groups.
        best = next((free for free in range(len(mine), size + 1) if room[free]), None)
        if best is None:
            packs.append(list(mine))
            index = len(packs) - 1
            room[size - len(mine)].append(index)
        else:
            index = room[best].pop()
            packs[index] += mine
            room[best - len(mine)].append(index)
    return full + packs
