"""What a node can do beyond the common methods: asked once for each node, and remembered."""

from __future__ import annotations

import threading
from collections.abc import Callable
from enum import Enum
from typing import Any
from weakref import WeakKeyDictionary

from actp import many_views
from actp.errors import RpcError, RpcUnavailable
from actp.rpc import Transport, is_rate_limit

__all__ = ["Capability", "supports"]

_NOBODY = "0x" + "00" * 20


class Capability(Enum):
    """Something that not every node can do."""

    READS_BY_HASH = "reads by block hash"
    """State of a block that is named by its hash, so that a reorg cannot change what is read."""
    MANY_VIEWS = "calls without a receiver"
    """Many views in one call, whose creation code asks them."""
    BLOCK_RECEIPTS = "block receipts"
    BATCH = "batches"
    SIMULATE = "eth_simulateV1"
    FINALIZED = "finalized tag"
    FEE_REWARDS = "rewards in eth_feeHistory"


def supports(transport: Transport, capability: Capability) -> bool:
    """Whether the node can do this. Asks it on first use. Raises RpcUnavailable if it does not answer, also because of
    a rate limit; that is not remembered.
    """
    with _lock:
        known = _known.setdefault(transport, {})
    if capability not in known:
        known[capability] = _try(transport, capability)
    return known[capability]


_lock = threading.Lock()
_known: WeakKeyDictionary[Transport, dict[Capability, bool]] = WeakKeyDictionary()


def _try(transport: Transport, capability: Capability) -> bool:
    try:
        return _TRIALS[capability](transport)
    except RpcError as error:
        if is_rate_limit(error):
            raise RpcUnavailable(
                f"The node {transport.label} did not say whether it has {capability.value}: {error.message}",
                code="rate_limited",
            ) from error
        return False
    except RpcUnavailable as error:
        # Gateways without batches answer them with HTTP 400, for example; a node that is just away is asked again.
        if error.retryable or error.code == "rate_limited":
            raise
        return False


def _reads_by_hash(transport: Transport) -> bool:
    block = transport.request("eth_getBlockByNumber", ["latest", False])
    if not isinstance(block, dict):
        return False
    return isinstance(transport.request("eth_getBalance", [_NOBODY, {"blockHash": block.get("hash")}]), str)


def _many_views(transport: Transport) -> bool:
    try:
        transport.request("eth_call", [{"data": "0x" + many_views.longest().hex()}, "latest"])
    except RpcError as error:
        if many_views.answers_in(error, many_views.MOST) is None:
            raise
        return True
    return False  # the answers come as a refusal


def _block_receipts(transport: Transport) -> bool:
    return isinstance(transport.request("eth_getBlockReceipts", ["latest"]), list)


def _batch(transport: Transport) -> bool:
    answers = transport.batch([("eth_chainId", []), ("eth_blockNumber", [])])
    for answer in answers:
        if isinstance(answer, RpcError):
            raise answer
    return len(answers) == 2


def _simulate(transport: Transport) -> bool:
    return isinstance(transport.request("eth_simulateV1", [{"blockStateCalls": [{"calls": []}]}, "latest"]), list)


def _finalized(transport: Transport) -> bool:
    return isinstance(transport.request("eth_getBlockByNumber", ["finalized", False]), dict)


def _fee_rewards(transport: Transport) -> bool:
    history: Any = transport.request("eth_feeHistory", ["0x1", "latest", [50]])
    return isinstance(history, dict) and bool(history.get("reward"))


_TRIALS: dict[Capability, Callable[[Transport], bool]] = {
    Capability.READS_BY_HASH: _reads_by_hash,
    Capability.MANY_VIEWS: _many_views,
    Capability.BLOCK_RECEIPTS: _block_receipts,
    Capability.BATCH: _batch,
    Capability.SIMULATE: _simulate,
    Capability.FINALIZED: _finalized,
    Capability.FEE_REWARDS: _fee_rewards,
}
