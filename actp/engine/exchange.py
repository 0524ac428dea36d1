"""Many JSON-RPC calls at once, and what a node says about an account."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from actp.engine.intents import Submission
from actp.engine.replies import Reply, classify
from actp.errors import RpcError, RpcUnavailable
from actp.rpc import Transport, quantity

__all__ = ["as_quantity", "ask_all", "broadcast", "broadcast_all", "mined_count", "understanding"]

_QUANTITY = re.compile("0x[0-9a-fA-F]{1,64}")
_INTERNAL_ERROR = -32603


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
    return quantity(transport, "eth_getTransactionCount", [address, "latest"])


def as_quantity(answer: Any, method: str) -> int:
    """The number that an answer to `method` is. Raises it if it is an RpcError, and RpcError if it is anything else."""
    if isinstance(answer, RpcError):
        raise answer
    if isinstance(answer, str) and _QUANTITY.fullmatch(answer):
        return int(answer, 16)
    raise _nonsense(method)


@contextmanager
def understanding(method: str) -> Iterator[None]:
    """Raises RpcError where what a node answered to `method` has not the shape that it should have."""
    try:
        yield
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise _nonsense(method) from error


def _nonsense(method: str) -> RpcError:
    # The answer is not shown: a gateway may quote the endpoint's key in it.
    return RpcError(
        _INTERNAL_ERROR,
        f"The node answered {method} with something that cannot be understood.",
        hint="Check that the RPC URL is that of an Ethereum JSON-RPC endpoint.",
    )
