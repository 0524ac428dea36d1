"""Many JSON-RPC calls at once, and what a node says about an account."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from actp.engine.intents import Submission
from actp.engine.replies import Reply, classify
from actp.errors import RpcError, RpcUnavailable
from actp.rpc import Transport

__all__ = ["ask_all", "broadcast", "broadcast_all", "mined_count"]


def ask_all(transport: Transport, calls: Sequence[tuple[str, list[Any]]]) -> list[Any]:
    """The results of many calls in one exchange if the transport can; an RpcError stands for its result.

    Raises RpcUnavailable if the whole exchange failed.
    """
    together = getattr(transport, "batch", None)
    if together is not None and len(calls) > 1:
        return list(together(calls))
    results: list[Any] = []
    for method, params in calls:
        try:
            results.append(transport.request(method, params))
        except RpcError as error:
            results.append(error)
    return results


def broadcast(transport: Transport, raw: bytes) -> tuple[Reply, str]:
    """Gives bytes to the node; what became of them, and the node's words if it did not just take them."""
    try:
        transport.request("eth_sendRawTransaction", ["0x" + raw.hex()])
    except (RpcError, RpcUnavailable) as error:
        return classify(error), error.message
    return Reply.ACCEPTED, ""


def broadcast_all(transport: Transport, submissions: Sequence[Submission]) -> list[tuple[Reply, str]]:
    """As `broadcast`, for many at once, in their order."""
    if len(submissions) == 1 or getattr(transport, "batch", None) is None:
        return [broadcast(transport, one.raw) for one in submissions]
    calls = [("eth_sendRawTransaction", ["0x" + one.raw.hex()]) for one in submissions]
    try:
        answers = ask_all(transport, calls)
    except (RpcError, RpcUnavailable) as error:
        return [(classify(error), error.message)] * len(calls)
    return [
        (classify(answer), answer.message) if isinstance(answer, RpcError) else (Reply.ACCEPTED, "")
        for answer in answers
    ]


def mined_count(transport: Transport, address: str) -> int:
    """How many eth transactions of the account the node has seen mined: its next nonce if none waits.

    Never asked at `pending`: on chains with preconfirmations that is a block that may not come to be.
    """
    return int(transport.request("eth_getTransactionCount", [address, "latest"]), 16)
