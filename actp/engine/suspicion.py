"""Noticing that blocks are gone from what is read anyway, so that a sender need not ask whether they still are.

A suspicion is no proof: nodes lag behind. It only makes a sender look at the blocks themselves.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Any

from actp.engine.intents import Settled

__all__ = ["Suspicion"]

_REMEMBERED = 64


class Suspicion:
    """What one lane has seen of the chain lately. Any number of threads may tell it more.

    It is never `raised` where blocks are taken away on purpose (`reopens` is false).
    """

    def __init__(self, *, reopens: bool) -> None:
        self._reopens = reopens
        self._lock = threading.Lock()
        self._blocks: dict[int, str] = {}
        self._last = (-1, -1)
        """The highest nonce that was seen mined, and its block."""
        self.raised = False
        """Whether something did not fit what was seen before."""

    def clear(self) -> None:
        """The blocks were looked at: begins anew."""
        with self._lock:
            self._blocks.clear()
            self._last = (-1, -1)
            self.raised = False

    def saw_mined(self, found: Iterable[Settled]) -> None:
        """Receipts: a height has one block, and nonces are mined in order."""
        with self._lock:
            for one in found:
                block_hash = one.block_hash.lower()
                known = self._blocks.setdefault(one.block_number, block_hash)
                if known != block_hash or (one.nonce > self._last[0] and one.block_number < self._last[1]):
                    self.raised = self._reopens
                self._last = max(self._last, (one.nonce, one.block_number))
            while len(self._blocks) > _REMEMBERED:
                del self._blocks[min(self._blocks)]

    def saw_block(self, block: dict[str, Any]) -> None:
        """A block: the one before it is its parent."""
        with self._lock:
            known = self._blocks.get(int(block["number"], 16) - 1)
            if known is not None and known != str(block["parentHash"]).lower():
                self.raised = self._reopens

    def saw_count(self, count: int, last: tuple[int, str] | None) -> None:
        """How many nonces a node counts: not fewer than were seen mined, of which `last` is the newest."""
        if last is not None and count <= last[0]:
            self.raised = self._reopens
