"""Giving bytes to a node. The same bytes may be given any number of times."""

from __future__ import annotations

from contextlib import suppress

from actp.engine.lanes import Lane, Submission
from actp.engine.replies import Reply, classify
from actp.errors import RpcError, RpcUnavailable
from actp.rpc import Transport

__all__ = ["broadcast", "mined_count", "nudge"]


def broadcast(transport: Transport, submission: Submission) -> tuple[Reply, str]:
    """Gives the bytes to the node; what became of them, and the node's words if it did not just take them."""
    try:
        transport.request("eth_sendRawTransaction", ["0x" + submission.raw.hex()])
    except (RpcError, RpcUnavailable) as error:
        return classify(error), error.message
    return Reply.ACCEPTED, ""


def mined_count(transport: Transport, address: str) -> int:
    """How many eth transactions of the account the node has seen mined: its next nonce if none waits."""
    return int(transport.request("eth_getTransactionCount", [address, "latest"]), 16)


def nudge(transport: Transport, lane: Lane, waiting: Submission) -> None:
    """Broadcasts what `waiting` waits for, as the node may have lost it: the lowest nonce that is not mined.

    One is enough: when it is mined the next one is the lowest. The answer decides nothing; receipts do.
    """
    with suppress(RpcError, RpcUnavailable):
        lowest = lane.lowest(mined_count(transport, waiting.sender))
        if lowest is not None and lowest.nonce < waiting.nonce:
            broadcast(transport, lowest)
