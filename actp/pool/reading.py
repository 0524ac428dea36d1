"""Reads of a pool: the healthiest endpoint that is not behind answers, and if it cannot, the next one."""

from __future__ import annotations

import time
from collections.abc import Iterator
from enum import Enum, auto
from typing import Any

from actp import measures
from actp.errors import RpcError, RpcUnavailable
from actp.pool import members, routing
from actp.pool.capabilities import Capability, supports
from actp.pool.endpoint import Endpoint
from actp.pool.members import Members
from actp.pool.routing import Call

__all__ = ["read"]

_FIRST_PAUSE = 0.05
_INTERNAL_ERROR = -32603


def read(pool: Members, calls: list[Call]) -> list[Any]:
    """For each call its result or its RpcError. Raises RpcUnavailable if no endpoint answers any of them."""
    return _Reading(pool, calls).run()


class _Weight(Enum):
    """What an answer is worth."""

    FINAL = auto()
    ELSEWHERE = auto()
    """This endpoint does not have it. It is the answer if no other one has it either."""
    FAILED = auto()
    """The endpoint's fault."""
    BEHIND = auto()
    """True once, but something newer was seen before it was asked for."""
    FOREIGN = auto()
    """From another chain."""


class _Reading:
    """One read, of one call or of several at once, until it is answered."""

    def __init__(self, pool: Members, calls: list[Call]) -> None:
        self._pool = pool
        self._calls = calls
        # Blocks that others see while this read runs must not make its answers old.
        self._newest = pool.newest
        self._block = max(self._needed(*call) for call in calls)
        self._open = list(range(len(calls)))
        self._found: dict[int, Any] = {}
        self._failure: RpcError | RpcUnavailable | None = None
        self._tried: set[int] = set()

    def run(self) -> list[Any]:
        for endpoint in self._endpoints():
            if endpoint is None:
                if all(place in self._found for place in self._open):
                    break
                continue
            try:
                answers = self._ask(endpoint)
            except RpcUnavailable as error:
                if error.code == "too_large":
                    raise
                self._fail(endpoint, error)
                continue
            self._take(endpoint, answers)
            if not self._open:
                break
        return self._complete()

    def _needed(self, method: str, params: list[Any]) -> int:
        block = routing.needed_block(method, params)
        if block is None:
            return self._newest
        # Asking for a block that is not there yet is how one waits for it: no reason to wait here.
        return min(block, self._newest) if routing.is_lookup(method) else block

    def _endpoints(self) -> Iterator[Endpoint | None]:
        """Endpoints to ask, one after the other. None before it waits for those that are a little behind."""
        wanted = {found for call in self._calls if (found := routing.capability(*call)) is not None}
        until = time.monotonic() + members.PATIENCE
        pause = 0.0
        while True:
            incapable = []
            for endpoint in self._pool.ranked():
                if endpoint.index in self._tried:
                    continue
                try:
                    if not self._pool.has(endpoint, self._block, ask=pause > 0):
                        continue
                    self._tried.add(endpoint.index)
                    if not self._capable(endpoint, wanted):
                        incapable.append(endpoint)
                        continue
                except (RpcError, RpcUnavailable) as error:
                    self._tried.add(endpoint.index)
                    self._fail(endpoint, error)
                    continue
                yield endpoint
            # Better the node's own words than none.
            yield from incapable
            if all(one.index in self._tried for one in self._pool.ranked()) or time.monotonic() >= until:
                return
            yield None
            pause = min(2 * pause, members.PATIENCE / 4) or _FIRST_PAUSE
            time.sleep(pause)

    def _capable(self, endpoint: Endpoint, wanted: set[Capability]) -> bool:
        if not wanted or len(self._pool.ranked()) == 1:
            return True
        return all(supports(endpoint.transport, capability) for capability in wanted)

    def _ask(self, endpoint: Endpoint) -> list[Any]:
        calls = [self._calls[place] for place in self._open]
        measures.RPC_CHOSEN.add(len(calls), measures.endpoint_of(endpoint.label))
        if len(calls) > 1 and supports(endpoint.transport, Capability.BATCH):
            return endpoint.transport.batch(calls)
        answers: list[Any] = []
        for method, params in calls:
            try:
                answers.append(endpoint.transport.request(method, params))
            except RpcError as error:
                answers.append(error)
        return answers

    def _take(self, endpoint: Endpoint, answers: list[Any]) -> None:
        left = []
        failures: list[RpcError | RpcUnavailable] = []
        for place, answer in zip(self._open, answers, strict=True):
            weight = self._weigh(endpoint, *self._calls[place], answer)
            if weight is _Weight.FINAL:
                self._found[place] = answer
                continue
            left.append(place)
            if weight is _Weight.ELSEWHERE:
                self._found.setdefault(place, answer)
            elif weight is _Weight.BEHIND:
                self._tried.discard(endpoint.index)  # it may catch up while this read lasts
            elif weight is _Weight.FAILED:
                failures.append(answer if isinstance(answer, RpcError) else RpcUnavailable(endpoint.problem))
        self._open = left
        if failures:
            # One exchange is one failure, however many calls it carried.
            self._fail(endpoint, failures[0])

    def _weigh(self, endpoint: Endpoint, method: str, params: list[Any], answer: Any) -> _Weight:
        """What an answer is worth, after learning from it what it tells of its endpoint."""
        if isinstance(answer, RpcError):
            if routing.is_limit(answer, method):
                return _Weight.FAILED
            return _Weight.ELSEWHERE if routing.lacks_data(answer) else _Weight.FINAL
        if answer is None and routing.is_lookup(method):
            return _Weight.ELSEWHERE
        if method == "eth_getBlockByNumber" and params[:1] == ["0x0"]:
            return _Weight.FOREIGN if self._pool.drop_if_foreign(endpoint, answer) else _Weight.FINAL
        head = routing.head_in(method, params, answer)
        if head is not None:
            parent = answer.get("parentHash") if isinstance(answer, dict) else None
            if not self._believed(endpoint, head, parent):
                return _Weight.FAILED
            return _Weight.BEHIND if head < self._newest else _Weight.FINAL
        if method == "eth_getTransactionReceipt" and isinstance(answer, dict):
            block = routing.head_in("eth_blockNumber", [], answer.get("blockNumber"))
            if block is not None and block > self._newest:
                # What this one has seen mined, the next answer must not deny.
                self._believed(endpoint, block, None)
        return _Weight.FINAL

    def _believed(self, endpoint: Endpoint, head: int, parent: str | None) -> bool:
        try:
            return self._pool.learn(endpoint, head, parent, seen_before=self._newest)
        except RpcUnavailable as error:
            endpoint.problem = error.message
            return False

    def _fail(self, endpoint: Endpoint, error: RpcError | RpcUnavailable) -> None:
        self._pool.failed(endpoint, error)
        self._failure = self._failure or error

    def _complete(self) -> list[Any]:
        missing = [place for place in range(len(self._calls)) if place not in self._found]
        if missing:
            self._pool.connect()  # the last endpoint may just have turned out to serve another chain
            reason = self._failure or RpcUnavailable(
                f"No endpoint of the pool has block {self._block}, which was seen or is asked for.",
                code="behind",
                hint="Wait, or check whether the endpoints are in sync.",
            )
            if isinstance(reason, RpcUnavailable):
                if len(missing) == len(self._calls):
                    raise reason
                reason = RpcError(_INTERNAL_ERROR, reason.message, hint=reason.hint, retryable=True)
            self._found |= dict.fromkeys(missing, reason)
        return [self._found[place] for place in range(len(self._calls))]
