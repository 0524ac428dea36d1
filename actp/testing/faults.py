"""What may happen to one request on its way to a node and back.

A fault is a function `(forward, params) -> result`: `forward()` is the real request. It may call it any number of
times, change what it returns, or raise: RpcError is an answer of the node, `Disconnect` and `HttpFailure` end the
exchange without one.
"""

from __future__ import annotations

import copy
import random
import threading
from collections.abc import Callable
from typing import Any

from actp.errors import RpcError

__all__ = [
    "Disconnect",
    "Drop",
    "Fault",
    "HttpFailure",
    "answer",
    "delay",
    "drop_before",
    "duplicate",
    "fail",
    "http_error",
    "lose_reply",
    "pass_on",
    "rate_limited",
    "sometimes",
]

Fault = Callable[[Callable[[], Any], list[Any]], Any]
"""Gets the real request as a function, and its parameters; returns the result or raises."""


class Disconnect(Exception):
    """The connection ends without an answer."""


class HttpFailure(Exception):
    """The answer is an HTTP status without JSON-RPC, as gateways give it."""

    def __init__(self, status: int) -> None:
        super().__init__(f"HTTP {status}")
        self.status = status


class Drop:
    """A fault that keeps the whole exchange from the node: also the other calls of a batch."""

    def __init__(self, failure: Exception) -> None:
        self.failure = failure

    def __call__(self, forward: Callable[[], Any], params: list[Any]) -> Any:
        raise self.failure


def pass_on(forward: Callable[[], Any], params: list[Any]) -> Any:
    """No fault: for the requests of a series that go well."""
    return forward()


def lose_reply() -> Fault:
    """The node does it, and the connection breaks before the answer. In a batch all answers are lost."""

    def fault(forward: Callable[[], Any], params: list[Any]) -> Any:
        forward()
        raise Disconnect

    return fault


def drop_before() -> Fault:
    """The connection breaks before the node sees anything. The client cannot tell it from a lost reply."""
    return Drop(Disconnect())


def duplicate() -> Fault:
    """The request reaches the node twice, as a gateway that retries does it; the second answer counts."""

    def fault(forward: Callable[[], Any], params: list[Any]) -> Any:
        forward()
        return forward()

    return fault


def delay(seconds: float, *, after: bool = False) -> Fault:
    """The request reaches the node late, or (`after`) its answer reaches the client late."""
    waiting = threading.Event()

    def fault(forward: Callable[[], Any], params: list[Any]) -> Any:
        if not after:
            waiting.wait(seconds)
        result = forward()
        if after:
            waiting.wait(seconds)
        return result

    return fault


def rate_limited() -> Fault:
    """The node says -32016, as Base's public endpoint does, and does nothing."""
    return fail(RpcError(-32016, "over rate limit", retryable=True))


def http_error(status: int = 502, *, accepted: bool = True) -> Fault:
    """A gateway answers with an HTTP status: after the node did it, or (not `accepted`) instead."""
    if not accepted:
        return Drop(HttpFailure(status))

    def fault(forward: Callable[[], Any], params: list[Any]) -> Any:
        forward()
        raise HttpFailure(status)

    return fault


def fail(error: BaseException, *, accepted: bool = False) -> Fault:
    """The node answers with this error, and does nothing (or has done it, with `accepted`)."""

    def fault(forward: Callable[[], Any], params: list[Any]) -> Any:
        if accepted:
            forward()
        # A copy: what catches it may add to it, and other requests meet the same fault.
        raise copy.copy(error)

    return fault


def answer(value: Any) -> Fault:
    """The node returns this and does nothing: `answer("0x" + "00" * 32)` is a send that it took and lost."""
    return lambda forward, params: value


def sometimes(fault: Fault, chance: float, source: random.Random) -> Fault:
    """`fault` with this probability, else none. `source` is seeded by the caller, so that a run can be repeated."""
    lock = threading.Lock()

    def either(forward: Callable[[], Any], params: list[Any]) -> Any:
        with lock:
            strikes = source.random() < chance
        return fault(forward, params) if strikes else forward()

    return either
