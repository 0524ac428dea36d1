"""A transport that misbehaves as told, within the process."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from actp.errors import RpcError, RpcUnavailable
from actp.rpc import sends
from actp.testing.faults import Disconnect, HttpFailure
from actp.testing.script import Script

__all__ = ["FaultyTransport"]


class FaultyTransport(Script):
    """Passes requests on to a node, and strikes those that have a fault. A Transport, without HTTP: fast.

        faulty = FaultyTransport(EmbeddedChain())
        faulty.once("eth_sendRawTransaction", lose_reply())

    What ends without an answer is the RpcUnavailable that `HttpTransport` makes of the same fault in a `FaultProxy`.
    """

    label = "faulty"

    def request(self, method: str, params: list[Any]) -> Any:
        """See Transport."""
        (result,) = self.batch([(method, params)])
        if isinstance(result, RpcError):
            raise result
        return result

    def batch(self, calls: Sequence[tuple[str, list[Any]]]) -> list[Any]:
        """See Transport."""
        sending = any(sends(method) for method, _ in calls)
        try:
            return self.exchange(calls) if calls else []
        except Disconnect:
            failure = RpcUnavailable("The connection broke.", outcome="unknown")
        except HttpFailure as error:
            failure = _of_status(error.status)
        if not sending:
            failure.outcome = "none"
        raise failure


def _of_status(status: int) -> RpcUnavailable:
    message = f"The node answered HTTP {status}."
    if status == 429:
        return RpcUnavailable(message, code="rate_limited", outcome="not_sent")
    code = "timeout" if status in (408, 504, 524) else "too_large" if status == 413 else None
    return RpcUnavailable(message, code=code, retryable=status >= 500, outcome="unknown")
