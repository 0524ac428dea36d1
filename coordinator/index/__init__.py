"""The escrow index: every escrow of a kernel from its events, in the coordinator's store."""

from coordinator.index.index import Index, Progress

__all__ = ["Index", "Progress"]
