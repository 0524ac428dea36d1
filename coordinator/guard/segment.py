"""The time between two blocks whose states are known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from coordinator.guard.evidence import Finding, Holding, Kind, Scope
from coordinator.guard.happenings import Happened
from coordinator.types import BlockRef

__all__ = ["Segment"]


@dataclass(slots=True)
class Segment:
    """What happened after block `since` up to and including `until`, in its order, and the balances at both.

    In a segment of one block, balances of accounts that we paid are there too, unless their states are `lost`.
    """

    since: BlockRef
    until: BlockRef
    before: Mapping[Holding, int]
    after: dict[Holding, int]
    happened: list[Happened] = field(default_factory=list)
    lost: bool = False

    @property
    def scope(self) -> Scope:
        return Scope.BLOCK if self.until.number - self.since.number == 1 and not self.lost else Scope.SPAN

    def finding(
        self, kind: Kind, text: str, account: str, asset: str | None, amount: int | None, cause: Happened
    ) -> Finding:
        """What was found of one eth transaction in it."""
        operation_id = None if cause.sent is None else cause.sent.operation_id
        return Finding(kind, text, account, cause.block, self.since.number, asset, amount, cause.tx_hash, operation_id)
