"""The endpoints of a pool: which may be used, how healthy they are, and which blocks they have.

Probing needs no thread of its own: a call that finds the last round of probes old starts the next one in the
background. A pool that nobody uses asks nobody.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

from actp.errors import RpcError, RpcUnavailable
from actp.pool.admission import Admission
from actp.pool.endpoint import Courier, Endpoint, EndpointStatus
from actp.pool.routing import head_in
from actp.rpc import Transport

__all__ = ["Members"]

PROBE_EVERY = 15.0
"""Seconds between two rounds of probes."""
PATIENCE = 2.0
"""Seconds to wait for slow endpoints when others have answered, and for those that are a little behind."""
_FAILURE, _PROBE = 20, 10
_LEAD = 2
"""A newest block that is further than this beyond what was known has to be shown."""
_TOLERATED_LAG = 3
_REASK_AFTER = 1.0
_SETBACK_ROUNDS = 2


class _Round:
    def __init__(self, size: int) -> None:
        self.remaining = size
        self.answered = 0
        self.done = threading.Event()


class Members:
    """All endpoints of one pool. May be used from any number of threads."""

    def __init__(
        self,
        transports: Sequence[Transport],
        *,
        chain: int | None,
        genesis: str | None,
        clock: Callable[[], float],
    ) -> None:
        self._lock = threading.Lock()
        self._clock = clock
        self._all = tuple(
            Endpoint(transport, index, Courier(f"actp-pool-{index}")) for index, transport in enumerate(transports)
        )
        self._admission = Admission(self._all, self._lock, chain=chain, genesis=genesis)
        self._floor = 0
        self._setbacks = 0
        self._round: _Round | None = None
        self._started_at = self._finished_at = float("-inf")

    # ---------------------------------------------------------------- who may be used

    def connect(self) -> None:
        """Makes sure that some endpoint is known to serve the chain. Raises WrongChain or WrongGenesis if none does,
        RpcUnavailable if none that might answers.
        """
        with self._lock:
            connected = any(one.admitted for one in self._all)
            due = self._clock() - self._started_at >= PROBE_EVERY
            outdated = self._clock() - self._finished_at >= 3 * PROBE_EVERY
        running = self._begin() if due or not connected else None
        if running is not None and (outdated or not connected):
            running.done.wait(PATIENCE)
            self._settle(final=True)
            if not self.ranked():
                running.done.wait()
                self._settle(final=True)
        self._admission.announce()
        self.usable()

    def usable(self) -> list[Endpoint]:
        """As `ranked`, and raises as `connect` if there is none."""
        ranked = self.ranked()
        if not ranked:
            raise self._admission.failure()
        return ranked

    def ranked(self) -> list[Endpoint]:
        """Every endpoint that may be used, the healthiest first."""
        with self._lock:
            return sorted((one for one in self._all if one.admitted), key=lambda one: (-one.score, one.index))

    def healthy(self) -> list[Endpoint]:
        """Every endpoint with a score above 0; if there is none, the best anyway."""
        ranked = self.usable()
        return [one for one in ranked if one.score > 0] or ranked[:1]

    def drop_if_foreign(self, endpoint: Endpoint, first_block: Any) -> bool:
        """Whether the block 0 that an endpoint just gave is that of another chain: then it is not used any more."""
        shown = first_block.get("hash") if isinstance(first_block, dict) else None
        return isinstance(shown, str) and self._admission.drop_if_other(endpoint, shown)

    def _settle(self, *, final: bool = False) -> None:
        self._admission.settle(final=final)
        with self._lock:
            self._floor = max([self._floor, *(one.head or 0 for one in self._all if one.admitted)])

    # ---------------------------------------------------------------- health

    def failed(self, endpoint: Endpoint, error: RpcError | RpcUnavailable) -> None:
        """An exchange failed, and the call was not the reason."""
        with self._lock:
            endpoint.change(-_FAILURE)
            endpoint.problem = error.message

    def probe(self) -> tuple[EndpointStatus, ...]:
        """Runs a round of probes now, waits for it, and says how every endpoint is."""
        running = self._begin()
        running.done.wait()
        self._settle(final=True)
        self._admission.announce()
        return self.statuses()

    def statuses(self) -> tuple[EndpointStatus, ...]:
        """Every endpoint as it was last seen."""
        with self._lock:
            return tuple(
                EndpointStatus(
                    label=one.label,
                    score=one.score,
                    connected=one.admitted,
                    head=one.head,
                    behind=0 if one.head is None else max(0, self._floor - one.head),
                    dropped=one.dropped,
                    problem=one.problem,
                )
                for one in self._all
            )

    def close(self) -> None:
        """Lets the threads end."""
        for one in self._all:
            one.courier.close()

    def _begin(self) -> _Round:
        """The round of probes that is running, else a new one."""
        with self._lock:
            if self._round is not None and not self._round.done.is_set():
                return self._round
            # One that still hangs in an earlier round is not asked twice at the same time.
            asked = [one for one in self._all if one.dropped is None and not one.probing]
            self._round = running = _Round(len(asked))
            self._started_at = self._clock()
            for one in asked:
                one.probing = True
        for one in asked:
            if not one.courier.submit(lambda one=one: self._probe(one, running)):  # type: ignore[misc]
                self._probed(one, running, answered=False)
        if not asked:
            running.done.set()
        return running

    def _probe(self, endpoint: Endpoint, running: _Round) -> None:
        good = answered = False
        try:
            good = self._examine(endpoint)
            answered = True
        except (RpcError, RpcUnavailable) as error:
            endpoint.problem = error.message
        finally:
            with self._lock:
                endpoint.change(_PROBE if good else -_PROBE)
            self._probed(endpoint, running, answered=answered)

    def _examine(self, endpoint: Endpoint) -> bool:
        """Whether the endpoint is well. Raises RpcError, RpcUnavailable."""
        if self._admission.asks(endpoint):
            self._settle()
            if endpoint.dropped is not None:
                return False
        number = self._ask_newest(endpoint)
        if number is None:
            return False
        endpoint.problem = ""
        return number >= self._floor - _TOLERATED_LAG

    def _probed(self, endpoint: Endpoint, running: _Round, *, answered: bool) -> None:
        with self._lock:
            endpoint.probing = False
            running.answered += answered
            running.remaining -= 1
            if running.remaining:
                return
            self._finished_at = self._clock()
            self._notice_setback(running)
        running.done.set()

    # ---------------------------------------------------------------- blocks

    @property
    def newest(self) -> int:
        """The newest block that any endpoint was seen to have: no answer may come from before it."""
        return self._floor

    def learn(self, endpoint: Endpoint, number: int, parent: str | None, *, seen_before: int) -> bool:
        """An endpoint claims that block `number` is its newest; whether that is believed. `parent` is the hash of the
        one before. `seen_before` is the newest block seen when it was asked: an older claim replaces a newer one only
        if it is older than that. Raises RpcUnavailable.

        An endpoint that claims too much would make all others seem behind, so a leap has to be shown.
        """
        with self._lock:
            known = max(self._floor, endpoint.head or 0)
            alone = len(self._all) == 1
        if number > known + _LEAD and not alone and not self._shows(endpoint, number - 1, parent):
            endpoint.problem = f"{endpoint.label} claims to have block {number}, and does not have the one before it."
            return False
        with self._lock:
            endpoint.head = number if number < seen_before else max(number, endpoint.head or 0)
            endpoint.asked_at = self._clock()
            if endpoint.admitted:
                self._floor = max(self._floor, number)
        return True

    def has(self, endpoint: Endpoint, block: int, *, ask: bool = False) -> bool:
        """Whether an endpoint has a block. It is asked if that is not known: at most once a second, unless `ask`."""
        with self._lock:
            if (endpoint.head or 0) >= block:
                return True
            if not ask and self._clock() - endpoint.asked_at < _REASK_AFTER:
                return False
            endpoint.asked_at = self._clock()
        number = self._ask_newest(endpoint)
        return number is not None and number >= block

    def forget_blocks(self) -> None:
        """The chain may have been set back on purpose."""
        with self._lock:
            self._floor = 0
            for one in self._all:
                one.head = None

    def _ask_newest(self, endpoint: Endpoint) -> int | None:
        """The endpoint's newest block, None if it is not believed. Raises RpcError, RpcUnavailable."""
        seen_before = self._floor
        block = endpoint.transport.request("eth_getBlockByNumber", ["latest", False])
        number = head_in("eth_getBlockByNumber", ["latest"], block)
        if number is None:
            raise RpcUnavailable(f"The node {endpoint.label} does not tell its newest block.", retryable=False)
        believed = self.learn(endpoint, number, block.get("parentHash"), seen_before=seen_before)
        return number if believed else None

    @staticmethod
    def _shows(endpoint: Endpoint, number: int, block_hash: str | None) -> bool:
        try:
            block = endpoint.transport.request("eth_getBlockByNumber", [hex(number), False])
        except RpcError:
            return False
        if not isinstance(block, dict) or block.get("number") != hex(number):
            return False
        return block_hash is None or block.get("hash") == block_hash

    def _notice_setback(self, running: _Round) -> None:
        # One endpoint that is behind is stale. When every one of the pool says so, twice, the chain was set back.
        members = [one for one in self._all if one.dropped is None]
        heads = [one.head for one in members if one.admitted and one.head is not None]
        agreed = running.answered == len(members) == len(heads)
        self._setbacks = self._setbacks + 1 if agreed and heads and max(heads) < self._floor else 0
        if self._setbacks >= _SETBACK_ROUNDS:
            self._floor, self._setbacks = max(heads), 0
