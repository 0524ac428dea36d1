"""A whole chain inside this process, spoken to in JSON-RPC."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from actp.chain.dev import DevAccount, dev_accounts
from actp.chain.node import Node
from actp.chain.rpc import dispatch
from actp.errors import InvalidInput, RpcError

__all__ = ["EmbeddedChain"]


class EmbeddedChain:
    """An Ethereum chain (Prague rules) in memory; every method may be called from any thread.

    Each transaction is mined at once, in a block of its own; with `automine=False` it waits for `mine`. Time follows
    `clock` (seconds since 1970) plus an offset that time travel raises; two blocks never share a timestamp, so a
    chain that mines more than one block a second runs ahead of its clock.
    """

    def __init__(
        self, *, chain_id: int = 31_337, clock: Callable[[], float] = time.time, automine: bool = True
    ) -> None:
        self.chain_id = chain_id
        self._lock = threading.RLock()
        self._node = Node(chain_id=chain_id, clock=clock, automine=automine)

    def __repr__(self) -> str:
        return f"EmbeddedChain(chain_id={self.chain_id})"

    @property
    def label(self) -> str:
        """What messages call this chain."""
        return f"embedded chain {self.chain_id}"

    @property
    def accounts(self) -> tuple[DevAccount, ...]:
        """The ten well-known development accounts, 10,000 ETH each; `eth_sendTransaction` signs for them."""
        return dev_accounts()

    def request(self, method: str, params: Sequence[Any] = ()) -> Any:
        """The result of a JSON-RPC call in a node's format; raises RpcError with a node's code, text and data."""
        with self._lock:
            return dispatch(self._node, method, params)

    def batch(self, calls: Sequence[tuple[str, Sequence[Any]]]) -> list[Any]:
        """The results of several calls, in their order; for a call that fails its RpcError, as a value. Other threads
        may come in between.
        """
        return [self._answer(method, params) for method, params in calls]

    def _answer(self, method: str, params: Sequence[Any]) -> Any:
        try:
            return self.request(method, params)
        except RpcError as error:
            return error

    def now(self) -> int:
        """The timestamp that the next block will carry, in seconds since 1970."""
        with self._lock:
            return self._node.now()

    def time_travel(self, seconds: int) -> None:
        """Moves `now()` ahead by `seconds`, without mining a block."""
        if seconds < 0:
            raise InvalidInput(f"Time travel goes forward only, not by {seconds} seconds.")
        with self._lock:
            self._node.time_travel(seconds)

    def mine(self, blocks: int = 1) -> None:
        """Mines blocks; the first ones take what waits."""
        with self._lock:
            for _ in range(blocks):
                self._node.mine_block()

    def snapshot(self) -> str:
        """Remembers the chain as it is; returns an id for one `revert`."""
        with self._lock:
            return self._node.snapshot()

    def revert(self, snapshot_id: str) -> None:
        """Goes back to a snapshot, and forgets it and all later ones; raises InvalidInput for an unknown id."""
        with self._lock:
            if not self._node.revert(snapshot_id):
                raise InvalidInput(f"There is no snapshot {snapshot_id!r}.", hint="Each can be reverted to once.")
