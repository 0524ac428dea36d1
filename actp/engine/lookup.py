"""Finding an eth transaction by what is known of it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from actp.errors import RpcError, RpcUnavailable
from actp.rpc import Transport

__all__ = ["is_known", "used_by_another", "who_used"]

_BLOCKS_BACK = 64
"""How far back to look: nodes that keep no archive still have the state of this many blocks."""


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
    """Hash of the recently mined eth transaction with this nonce of `address`, None if it is not found.

    Found by bisection over the account's transaction count, because nodes keep no index of nonces.
    """

    def count(block: int) -> int:
        return int(transport.request("eth_getTransactionCount", [address, hex(block)]), 16)

    high = int(transport.request("eth_blockNumber", []), 16)
    low = max(high - _BLOCKS_BACK, 0)
    if count(high) <= nonce or count(low) > nonce:
        return None
    while high - low > 1:
        middle = (low + high) // 2
        if count(middle) > nonce:
            high = middle
        else:
            low = middle
    block = transport.request("eth_getBlockByNumber", [hex(high), True])
    # A node that lags behind the one that counted does not have the block.
    for mined in block["transactions"] if block is not None else ():
        if mined["from"].lower() == address.lower() and int(mined["nonce"], 16) == nonce:
            return str(mined["hash"])
    return None
