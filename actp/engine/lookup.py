"""Finding an eth transaction by what is known of it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from actp.engine.exchange import as_quantity, understanding
from actp.errors import RpcError, RpcUnavailable
from actp.rpc import Transport, is_rate_limit, quantity

__all__ = ["Use", "is_known", "used_by_another", "where_used", "who_used"]

_BLOCKS_BACK = 64
"""Where the search begins: nodes that keep no archive still have the state of this many blocks."""
_FURTHER = 4
"""How many times as far each further step goes back: thirteen reach the first of a thousand million blocks."""


@dataclass(frozen=True, slots=True)
class Use:
    """Where a nonce was used up. `tx_hash` is None where it was not by an eth transaction: signed delegations
    (EIP-7702) use nonces too. `block` is None where the node does not keep states so old that they would tell.
    """

    tx_hash: str | None
    block: int | None


def is_known(transport: Transport, tx_hash: str) -> bool:
    """Whether the node has this eth transaction, mined or waiting."""
    return transport.request("eth_getTransactionByHash", [tx_hash]) is not None


def used_by_another(transport: Transport, address: str, nonce: int, ours: Sequence[str]) -> bool | None:
    """Whether a nonce was certainly used by other bytes than `ours`, so that none of these can ever be mined.

    None while that cannot be told. The first question is for our own hashes, because "nonce too low" after a lost
    reply usually means success.
    """
    with suppress(RpcError, RpcUnavailable):  # no answer is no proof
        if any(is_known(transport, tx_hash) for tx_hash in ours):
            return False
        user = who_used(transport, address, nonce)
        if user is not None:
            return user not in ours
    return None


def who_used(transport: Transport, address: str, nonce: int) -> str | None:
    """Hash of the mined eth transaction with this nonce of `address`, None if none is found. Raises as `where_used`."""
    use = where_used(transport, address, nonce)
    return None if use is None else use.tx_hash


def where_used(transport: Transport, address: str, nonce: int) -> Use | None:
    """Which mined eth transaction used this nonce of `address`, and in which block; None if none did, as far as this
    node tells. Raises RpcError, RpcUnavailable.

    Found by bisection over the account's transaction count, because nodes keep no index of nonces: about 20 questions
    for one of today, and never more than 50.
    """
    high = quantity(transport, "eth_blockNumber", [])
    counted = _count(transport, address, high)
    if counted is None or counted <= nonce:
        return None
    low, back = max(high - _BLOCKS_BACK, 0), _BLOCKS_BACK
    before = _count(transport, address, low)
    while before is not None and before > nonce and low > 0:
        high, back = low, back * _FURTHER
        low = max(high - back, 0)
        before = _count(transport, address, low)
    if before is not None and before > nonce:
        return Use(None, None)  # not even the first block is from before it: a development node was told so
    while high - low > 1:
        middle = (low + high) // 2
        counted = _count(transport, address, middle)
        # A state that is gone is taken for one from before the use: so the oldest one that is left comes out.
        if counted is not None and counted > nonce:
            high = middle
        else:
            low, before = middle, counted
    block = transport.request("eth_getBlockByNumber", [hex(high), True])
    if block is None:
        return None  # a node that lags behind the one that counted
    with understanding("eth_getBlockByNumber"):
        for mined in block["transactions"]:
            if mined["from"].lower() == address.lower() and int(mined["nonce"], 16) == nonce:
                return Use(str(mined["hash"]), high)
    return Use(None, None if before is None else high)


def _count(transport: Transport, address: str, block: int) -> int | None:
    """How many nonces of the account were used up to a block, None where the node does not keep its state."""
    try:
        answer = transport.request("eth_getTransactionCount", [address, hex(block)])
    except RpcError as error:
        if error.retryable or is_rate_limit(error):
            raise
        return None
    return as_quantity(answer, "eth_getTransactionCount")
