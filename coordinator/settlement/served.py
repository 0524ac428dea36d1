"""One kernel that a bot serves, and the index of its escrows."""

from __future__ import annotations

from dataclasses import dataclass

from actp.client import ACTPClient
from coordinator.index import Index

__all__ = ["Served"]


@dataclass(frozen=True, slots=True)
class Served:
    """A kernel as the bot's account sees it (a client that only watches is enough to look), and its index."""

    client: ACTPClient
    index: Index

    @property
    def kernel_id(self) -> int:
        """Its number in the store."""
        return self.index.kernel.id

    @property
    def batches(self) -> bool:
        """Whether many escrows can be settled in one eth transaction."""
        return self.client.kernel.has_salts

    @property
    def keeps(self) -> bool:
        """Whether it keeps fees and credits until somebody withdraws them."""
        return self.index.kernel.ours

    def __str__(self) -> str:
        return self.client.kernel.address
