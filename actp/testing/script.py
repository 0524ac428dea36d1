"""Which fault strikes which request: the part that a faulty transport and a fault proxy share."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Sequence
from typing import Any

from actp.errors import RpcError
from actp.rpc import Transport
from actp.testing.faults import Disconnect, Drop, Fault, HttpFailure
from actp.testing.views import View

__all__ = ["Script"]


class Script:
    """Faults per method in front of a node, and views that change what the node seems to be. Thread-safe."""

    def __init__(self, node: Transport) -> None:
        self._node = node
        self._lock = threading.Lock()
        self._next: dict[str, deque[Fault]] = {}
        self._always: dict[str, Fault] = {}
        self._views: tuple[View, ...] = ()
        self._counts: Counter[str] = Counter()
        self.calls: list[str] = []
        """The methods that were asked for, in their order."""
        self.exchanges = 0
        """How many requests and batches that were."""

    def once(self, method: str, *faults: Fault) -> None:
        """The next requests of `method` meet one fault each, in place of what was set for them before."""
        with self._lock:
            self._next[method] = deque(faults)

    def always(self, method: str, fault: Fault) -> None:
        """Every request of `method` meets this fault, once those of `once` are used up."""
        with self._lock:
            self._always[method] = fault

    def clear(self) -> None:
        """No more faults and views; the counts stay."""
        with self._lock:
            self._next.clear()
            self._always.clear()
            self._views = ()

    def show(self, *views: View) -> None:
        """From now on the node is seen through these views, and no others. The first one is next to the client."""
        with self._lock:
            self._views = views

    def becomes(self, node: Transport) -> None:
        """Another node answers from now on, without faults and views: a restart, or a switch of endpoints."""
        self.clear()
        with self._lock:
            self._node = node

    def count(self, method: str) -> int:
        """How many requests of this method there were."""
        with self._lock:
            return self._counts[method]

    def exchange(self, calls: Sequence[tuple[str, list[Any]]]) -> list[Any]:
        """The answers to the calls of one exchange; a call that the node refuses is answered with its RpcError.

        Raises Disconnect or HttpFailure if the exchange ends without answers, and whatever else faults raise.
        """
        with self._lock:
            self.exchanges += 1
            struck = [(method, params, self._take(method)) for method, params in calls]
            views, node = self._views, self._node
        for _, _, fault in struck:
            if isinstance(fault, Drop):
                raise fault.failure
        if not views and not any(fault for _, _, fault in struck):
            return node.batch(calls) if len(calls) > 1 else [self._answer(node, views, *struck[0])]
        answers, ending = [], None
        for one in struck:
            try:
                answers.append(self._answer(node, views, *one))
            except (Disconnect, HttpFailure) as failure:
                # The node has the whole batch by now: only the way back fails.
                ending = failure
        if ending is not None:
            raise ending
        return answers

    def _take(self, method: str) -> Fault | None:
        self.calls.append(method)
        self._counts[method] += 1
        waiting = self._next.get(method)
        return waiting.popleft() if waiting else self._always.get(method)

    def _answer(
        self, node: Transport, views: tuple[View, ...], method: str, params: list[Any], fault: Fault | None
    ) -> Any:
        def forward() -> Any:
            return _through(node, views, method, params)

        try:
            return forward() if fault is None else fault(forward, params)
        except RpcError as error:
            return error


def _through(node: Transport, views: tuple[View, ...], method: str, params: list[Any]) -> Any:
    if not views:
        return node.request(method, params)
    return views[0].request(lambda name, values: _through(node, views[1:], name, values), method, params)
