"""Which chain the node serves, and so which lane an account uses there."""

from __future__ import annotations

import threading
import time

from actp.engine.lanes import Lane, lane_for
from actp.rpc import LIVE_GENESIS, Transport, genesis_hash, require_chain

__all__ = ["Connection"]

RECHECK_AFTER = 0.25


class Connection:
    """An account on the chain behind a transport. The node is asked on first use only, and must then answer."""

    def __init__(self, transport: Transport, chain_id: int, address: str) -> None:
        self._transport = transport
        self._chain_id = chain_id
        self._address = address
        self._lock = threading.Lock()
        self._lane: Lane | None = None
        self._asked_at = 0.0

    def lane(self) -> Lane:
        """The lane of the account. Raises WrongChain, RpcError, RpcUnavailable.

        Development chains are restarted at the same URL with the same id, so they are asked again from time to time.
        """
        with self._lock:
            if self._lane is None:
                require_chain(self._transport, self._chain_id)
                self._lane = self._ask()
            elif self._may_be_replaced(self._lane) and time.monotonic() - self._asked_at >= RECHECK_AFTER:
                self._lane = self._ask()
            return self._lane

    def _may_be_replaced(self, lane: Lane) -> bool:
        return lane.genesis != LIVE_GENESIS.get(self._chain_id)

    def _ask(self) -> Lane:
        lane = lane_for(genesis_hash(self._transport, self._chain_id), self._chain_id, self._address)
        self._asked_at = time.monotonic()
        return lane
