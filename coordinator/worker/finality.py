"""The newest block that no reorganisation can take back."""

from __future__ import annotations

from actp.errors import RpcError
from actp.rpc import Transport
from coordinator.types import BlockRef

__all__ = ["final_block"]


def final_block(transport: Transport) -> BlockRef | None:
    """The newest final block; None where the node does not know of any. Raises RpcUnavailable."""
    try:
        found = transport.request("eth_getBlockByNumber", ["finalized", False])
    except RpcError:
        return None  # it does not know the tag
    if not isinstance(found, dict):
        return None
    return BlockRef(int(found["number"], 16), str(found["hash"]))
