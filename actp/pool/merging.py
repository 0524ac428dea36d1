"""One answer from those of several endpoints that got the same signed eth transaction.

Accepted by any is accepted. A refusal proves something only if nobody may have taken the bytes, so an answer that
leaves that open outweighs every refusal.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from actp.engine.replies import Reply, classify
from actp.errors import RpcError, RpcUnavailable

__all__ = ["accepted", "as_value", "merged"]

# What says most about the chain comes first; who only asks for patience outweighs a refusal for good, which may be
# that of an endpoint which is behind, or which takes no eth transactions at all.
_WEIGHT = (
    Reply.UNKNOWN,
    Reply.NONCE_USED,
    Reply.NONCE_WAITING,
    Reply.UNDERPRICED,
    Reply.NONCE_AHEAD,
    Reply.RATE_LIMITED,
    Reply.NO_FUNDS,
    Reply.REJECTED,
    Reply.NOT_DELIVERED,
)
_INTERNAL_ERROR, _TOO_MANY = -32603, 429


def accepted(answer: Any) -> bool:
    """Whether an endpoint has the eth transaction; `answer` is its result or its error."""
    if isinstance(answer, RpcError | RpcUnavailable):
        return classify(answer) is Reply.ACCEPTED
    return True


def merged(answers: Iterable[Any]) -> Any:
    """The answer that counts, of results and errors of at least one endpoint."""
    found = list(answers)
    taken = [answer for answer in found if accepted(answer)]
    if taken:
        return next((answer for answer in taken if not isinstance(answer, RpcError)), taken[0])
    return min(found, key=lambda error: _WEIGHT.index(classify(error)))


def as_value(answer: Any) -> Any:
    """An answer as a part of a batch's: there, only RpcError stands for a failure. It means the same to the engine."""
    if not isinstance(answer, RpcUnavailable):
        return answer
    if classify(answer) is Reply.RATE_LIMITED:
        return RpcError(_TOO_MANY, answer.message, retryable=True)
    # In words that no rule takes for a refusal.
    return RpcError(_INTERNAL_ERROR, "An endpoint gave no answer, and may have taken it.", retryable=True)
