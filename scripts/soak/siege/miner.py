"""A block every second, and reorganisations in between: one at a time, as anvil loses blocks if it mines by itself
while it is reorganised.
"""

from __future__ import annotations

import threading
from types import TracebackType

from actp.rpc import HttpTransport

__all__ = ["Miner"]

_SECONDS = 1.0


class Miner:
    """Mines from the start to the end of a `with` block, unless it is frozen. Thread-safe."""

    def __init__(self, url: str) -> None:
        self._node = HttpTransport(url)
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._frozen = False
        self._thread = threading.Thread(target=self._work, daemon=True)

    def __enter__(self) -> Miner:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def mine(self, blocks: int) -> None:
        """So many blocks at once."""
        with self._lock:
            self._node.request("anvil_mine", [hex(blocks)])

    def reorganise(self, depth: int) -> None:
        """Replaces so many blocks by empty ones: what they held is in no pool any more."""
        with self._lock:
            self._node.request("anvil_reorg", [depth, []])

    def freeze(self, frozen: bool = True) -> None:
        """While it is frozen the chain does not grow by itself."""
        with self._lock:
            self._frozen = frozen

    def _work(self) -> None:
        while not self._stop.wait(_SECONDS):
            with self._lock:
                if not self._frozen:
                    self._node.request("evm_mine", [])
