"""Sends of a pool: signed eth transactions go to every healthy endpoint, all else that changes something to one."""

from __future__ import annotations

from functools import partial
from queue import SimpleQueue
from typing import Any

from actp.errors import RpcError, RpcUnavailable
from actp.pool import merging
from actp.pool.capabilities import Capability, supports
from actp.pool.endpoint import Endpoint
from actp.pool.members import Members
from actp.pool.routing import Call, is_limit

__all__ = ["broadcast", "each_once", "once", "send_all"]


def once(members: Members, method: str, params: list[Any]) -> Any:
    """One endpoint, and no second one: the first may have done it though its answer was lost."""
    endpoint = members.usable()[0]
    try:
        answer = endpoint.transport.request(method, params)
    except (RpcError, RpcUnavailable) as error:
        if isinstance(error, RpcUnavailable) or is_limit(error, method):
            members.failed(endpoint, error)
        raise
    if not method.startswith("eth_"):
        # Development nodes are set back by such methods.
        members.forget_blocks()
    return answer


def each_once(members: Members, calls: list[Call]) -> list[Any]:
    """As `once` for the calls of a batch, with errors as values."""
    answers: list[Any] = []
    for method, params in calls:
        try:
            answers.append(once(members, method, params))
        except (RpcError, RpcUnavailable) as error:
            answers.append(merging.as_value(error))
    return answers


def send_all(members: Members, calls: list[Call]) -> list[Any]:
    """As `broadcast` for the calls of a batch. Raises RpcUnavailable if no endpoint has an answer to any of them."""
    answers = broadcast(members, calls)
    if all(isinstance(answer, RpcUnavailable) for answer in answers):
        raise merging.merged(answers)
    return [merging.as_value(answer) for answer in answers]


def broadcast(members: Members, calls: list[Call]) -> list[Any]:
    """For each signed eth transaction its result, its RpcError, or the RpcUnavailable that leaves it open.

    Comes back as soon as each was accepted by somebody; endpoints that have not answered by then get the bytes anyway.
    """
    arrived: SimpleQueue[list[Any]] = SimpleQueue()
    healthy = members.healthy()
    asked = 0
    if len(healthy) > 1:
        asked = sum(one.courier.submit(partial(_deliver, members, one, calls, arrived)) for one in healthy)
    if not asked:
        _deliver(members, healthy[0], calls, arrived)
        asked = 1
    columns: list[list[Any]] = [[] for _ in calls]
    for _ in range(asked):
        for column, answer in zip(columns, arrived.get(), strict=True):
            column.append(answer)
        if all(any(merging.accepted(answer) for answer in column) for column in columns):
            break
    return [merging.merged(column) for column in columns]


def _deliver(members: Members, endpoint: Endpoint, calls: list[Call], arrived: SimpleQueue[list[Any]]) -> None:
    # Whatever happens here, somebody waits for an answer; and what has none may have been taken.
    answers: list[Any] = [RpcUnavailable(f"{endpoint.label} gave no answer.", outcome="unknown")] * len(calls)
    try:
        answers = _ask(endpoint, calls)
    finally:
        arrived.put(answers)
    failure = next((one for one in answers if isinstance(one, RpcUnavailable) or is_limit(one, calls[0][0])), None)
    if failure is not None:
        members.failed(endpoint, failure)


def _ask(endpoint: Endpoint, calls: list[Call]) -> list[Any]:
    """What one endpoint says to each call: results, RpcErrors, RpcUnavailables."""
    if len(calls) > 1:
        try:
            together = supports(endpoint.transport, Capability.BATCH)
        except RpcUnavailable as error:
            unsent = RpcUnavailable(error.message, code=error.code, outcome="not_sent", retryable=error.retryable)
            return [unsent] * len(calls)
        if together:
            try:
                return endpoint.transport.batch(calls)
            except RpcUnavailable as error:
                return [error] * len(calls)
    answers: list[Any] = []
    for method, params in calls:
        try:
            answers.append(endpoint.transport.request(method, params))
        except (RpcError, RpcUnavailable) as error:
            answers.append(error)
    return answers
