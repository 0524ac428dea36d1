"""What lies in the treasury: looked at after each block, because nothing may be promised that is not there."""

from __future__ import annotations

import json
import logging
import threading
from dataclasses import dataclass

from actp.client import ACTPClient
from actp.engine import fees
from actp.engine.exchange import as_quantity, ask_all
from actp.engine.fees import FeePolicy
from actp.errors import FeeTooHigh, RpcError, RpcUnavailable
from actp.reads import Read, head, read_all
from coordinator.authority import Authority
from coordinator.guard import Point
from coordinator.lifecycle import Lifecycle
from coordinator.store import points, reservations, treasuries
from coordinator.types import ETH, BlockRef

__all__ = ["Treasury"]

_log = logging.getLogger(__name__)

FUNDING_GAS = 300_000
"""The most gas that funding one escrow is given: what it uses, and half more."""
_CALL_BYTES = 4 + 6 * 32
_ESTIMATE_FOR = 10.0


@dataclass(frozen=True, slots=True)
class _Seen:
    block: BlockRef
    token: int
    ether: int


class Treasury:
    """Looks at one treasury's balances. Thread-safe."""

    def __init__(
        self, client: ACTPClient, authority: Authority, lifecycle: Lifecycle, fee_policy: FeePolicy | None = None
    ) -> None:
        self._client = client
        self._authority = authority
        self._guarded = lifecycle.guards
        self._caps = FeePolicy.from_environment() if fee_policy is None else fee_policy
        self._lock = threading.Lock()
        self._estimate = 0
        self._estimated_at = float("-inf")

    def round(self) -> bool:
        """Tells the authority of the newest block, if there is anything new; whether there was. Where there is a delta
        guard the block is that up to which it has explained everything: what operations have ended by then is written
        in the same commit. Raises RpcError, RpcUnavailable, StoreError.
        """
        with self._lock:
            authority = self._authority
            with authority.ledger.read() as connection:
                known = treasuries.read(connection, authority.account)
            seen = self._at_point() if self._guarded else self._at_head()
            if seen is None:
                return False
            if known is not None and known.block == seen.block and not self._funded(seen.block):
                return False
            return authority.observe(seen.token, seen.ether, seen.block, self._most_gas())

    def _funded(self, block: BlockRef) -> bool:
        """Whether it became known only now that something was mined up to this block."""
        authority = self._authority
        with authority.ledger.read() as connection:
            mined = reservations.mined(connection, authority.account, block.number)
            # The fee of what reverted is off the promise already; its amount stays until that is final.
            return any(not one.reverted for one in mined)

    def _at_point(self) -> _Seen | None:
        authority = self._authority
        with authority.ledger.read() as connection:
            newest = points.newest(connection, authority.account)
        if not newest:
            return None
        balances = Point.from_json(json.loads(newest[0].content)).state.balances
        wallet = authority.account.wallet
        token, ether = balances.get((wallet, authority.token)), balances.get((wallet, ETH))
        return None if token is None or ether is None else _Seen(newest[0].block, token, ether)

    def _at_head(self) -> _Seen | None:
        transport, wallet = self._client.transport, self._authority.account.wallet
        before = head(transport)
        (token,) = read_all(transport, [Read("TestUSDC", self._authority.token, "balanceOf", (wallet,))], before.at)
        (ether,) = ask_all(transport, [("eth_getBalance", [wallet, before.at])])
        if isinstance(ether, RpcError):
            raise RpcUnavailable(f"{transport.label} does not tell the wallet's ether.") from ether
        if not isinstance(token, int) or head(transport).hash != before.hash:
            return None  # a node that cannot be asked by hash may have answered from another block
        return _Seen(BlockRef(before.number, before.hash), token, as_quantity(ether, "eth_getBalance"))

    def _most_gas(self) -> int:
        """What one funding may cost in fees at most, in wei, today; never 0, as then nothing would be reserved."""
        clock = self._authority.ledger.store.clock
        if clock.monotonic() - self._estimated_at < _ESTIMATE_FOR:
            return self._estimate
        try:
            offered = fees.suggest(self._client.transport, self._caps)
            raw = fees.stand_in(b"\xff" * _CALL_BYTES)
            cost = fees.total_cost(
                self._client.transport, offered, FUNDING_GAS, raw, chain_id=self._client.chain_id
            ).total
        except FeeTooHigh as error:
            _log.warning("%s", error)
            cost = self._caps.max_total_wei
        self._estimate, self._estimated_at = max(min(cost, self._caps.max_total_wei), 1), clock.monotonic()
        return self._estimate
