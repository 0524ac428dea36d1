"""Which endpoints serve the pool's chain: by chain id, and by the hash of the first block."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Sequence
from copy import copy

from actp.errors import ConfigError, RpcUnavailable, WrongChain
from actp.pool.endpoint import Endpoint, EndpointDropped, WrongGenesis
from actp.rpc import LIVE_GENESIS, chain_id, genesis_hash

__all__ = ["Admission"]


class Admission:
    """Admits and drops the endpoints of one pool, whose lock it shares."""

    def __init__(
        self, endpoints: Sequence[Endpoint], lock: threading.Lock, *, chain: int | None, genesis: str | None
    ) -> None:
        self._all = endpoints
        self._lock = lock
        self._chain_id = chain
        self._genesis = genesis
        self._notices: list[ConfigError] = []

    def asks(self, endpoint: Endpoint) -> bool:
        """Asks an endpoint which chain it serves, unless that cannot have changed; whether it was asked. Raises
        RpcError, RpcUnavailable.
        """
        live = self._genesis is not None and self._genesis == LIVE_GENESIS.get(self._chain_id or 0)
        if endpoint.identity is not None and live:
            return False
        # Development chains are started again at the same URL with the same id.
        chain = chain_id(endpoint.transport)
        foreign = self._chain_id is not None and chain != self._chain_id
        endpoint.identity = (chain, "" if foreign else genesis_hash(endpoint.transport, chain))
        return True

    def settle(self, *, final: bool) -> None:
        """Admits or drops every endpoint that has told who it is. What the caller left open is decided by the first
        one of the list that answers: all others are waited for, until `final`.
        """
        with self._lock:
            members = [one for one in self._all if one.dropped is None]
            if self._genesis is None or self._chain_id is None:
                if not final and any(one.identity is None for one in members):
                    return
                for one in members:
                    if one.identity is not None and self._chain_id in (None, one.identity[0]):
                        self._chain_id = one.identity[0]
                        self._genesis = self._genesis or one.identity[1]
                        break
            for one in members:
                if one.identity is not None:
                    self._judge(one, *one.identity)

    def drop_if_other(self, endpoint: Endpoint, genesis: str) -> bool:
        """Whether this first block, which an endpoint just showed, is not the pool's: then it is not used any more."""
        with self._lock:
            if self._genesis is None or genesis == self._genesis:
                return False
            self._drop(endpoint, WrongGenesis(self._genesis, genesis, endpoint=endpoint.label))
        self.announce()
        return True

    def announce(self) -> None:
        """Warns of what was dropped since the last time, in the thread of whoever calls."""
        with self._lock:
            notices, self._notices = self._notices, []
            left = any(one.dropped is None for one in self._all)
        # With none left there is an error instead.
        for notice in notices if left else ():
            warnings.warn(EndpointDropped(f"{notice.message} It is not used any more."), stacklevel=5)

    def failure(self) -> ConfigError | RpcUnavailable:
        """Why no endpoint can be used."""
        with self._lock:
            dropped = [one.dropped for one in self._all if one.dropped is not None]
            silent = [one for one in self._all if one.dropped is None]
        if not silent:
            return copy(dropped[0])  # several threads may raise it at the same time
        return RpcUnavailable(
            f"None of the {len(self._all)} endpoints of the pool can be used: "
            + " ".join(one.problem or f"{one.label} did not answer." for one in silent),
            hint="Check the RPC URLs and that the nodes run.",
            outcome="not_sent",
        )

    def _judge(self, endpoint: Endpoint, chain: int, genesis: str) -> None:
        if self._chain_id is not None and chain != self._chain_id:
            self._drop(endpoint, WrongChain(self._chain_id, chain, endpoint=endpoint.label))
        elif self._genesis is not None and genesis != self._genesis:
            self._drop(endpoint, WrongGenesis(self._genesis, genesis, endpoint=endpoint.label))
        elif self._chain_id is not None and self._genesis is not None:
            endpoint.admitted = True

    def _drop(self, endpoint: Endpoint, why: ConfigError) -> None:
        if endpoint.dropped is None:
            endpoint.dropped, endpoint.admitted, endpoint.head = why, False, None
            self._notices.append(why)
