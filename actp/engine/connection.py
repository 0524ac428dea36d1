"""Which chain the node serves, and so which lane an account uses there."""

from __future__ import annotations

import threading
import time

from actp.engine.lane import Lane, lane_of
from actp.engine.store import Store, memory_store
from actp.rpc import LIVE_GENESIS, Transport, genesis_hash, require_chain

__all__ = ["Connection"]

RECHECK_AFTER = 0.25
_RECHECK_STORE_AFTER = 10.0


class Connection:
    """An account on the chain behind a transport. The node is asked on first use only, and must then answer.

    Without a `store` each chain has one in memory.
    """

    def __init__(self, transport: Transport, chain_id: int, address: str, store: Store | None = None) -> None:
        self._transport = transport
        self._chain_id = chain_id
        self._address = address
        self._store = store
        self._lock = threading.Lock()
        self._lane: Lane | None = None
        self._asked_at = 0.0

    def lane(self, *, check: bool = False) -> Lane:
        """The lane of the account. Raises WrongChain, OtherChain, StoreError, RpcError, RpcUnavailable.

        Development chains are restarted at the same URL with the same id, so they are asked again from time to time,
        and whenever something surprising makes a caller `check`. With a store of one's own that is rarer, because
        another chain is an error there, and nothing that was stored goes to it.
        """
        with self._lock:
            if self._lane is None:
                require_chain(self._transport, self._chain_id)
                self._lane = self._ask()
            elif self._may_be_replaced(self._lane):
                patience = RECHECK_AFTER if self._store is None else _RECHECK_STORE_AFTER
                if check or time.monotonic() - self._asked_at >= patience:
                    self._lane = self._ask()
            return self._lane

    def lane_on(self, genesis: str) -> Lane:
        """The lane of the account on the chain with this first block, whatever the node serves now."""
        store = memory_store(self._chain_id, genesis) if self._store is None else self._store
        return lane_of(store, self._chain_id, self._address, genesis)

    def _may_be_replaced(self, lane: Lane) -> bool:
        return lane.genesis != LIVE_GENESIS.get(self._chain_id)

    def _ask(self) -> Lane:
        lane = self.lane_on(genesis_hash(self._transport, self._chain_id))
        self._asked_at = time.monotonic()
        return lane
