"""A transport in front of a real chain that misbehaves as told."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from actp.rpc import Transport

Handler = Callable[[Callable[[], Any], list[Any]], Any]


class FaultyTransport:
    """Passes requests on, except for the methods that have a handler: it gets the real request as a function."""

    label = "faulty"

    def __init__(self, inner: Transport) -> None:
        self._inner = inner
        self._handlers: dict[str, list[Handler]] = {}
        self._lock = threading.Lock()
        self.calls: list[str] = []

    def always(self, method: str, handler: Handler) -> None:
        """From now on, every request of `method` goes to `handler`."""
        self._handlers[method] = [handler] * 1_000

    def once(self, method: str, *handlers: Handler) -> None:
        """The next requests of `method` go to one handler each, later ones to the chain."""
        self._handlers[method] = list(handlers)

    def count(self, method: str) -> int:
        return self.calls.count(method)

    def request(self, method: str, params: list[Any]) -> Any:
        with self._lock:
            self.calls.append(method)
            waiting = self._handlers.get(method)
            handler = waiting.pop(0) if waiting else None
        if handler is None:
            return self._inner.request(method, params)
        return handler(lambda: self._inner.request(method, params), params)

    def becomes(self, other: Transport) -> None:
        """The node is replaced by another one, without faults."""
        self._inner = other
        self._handlers.clear()
