"""Several endpoints as one transport."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from actp import measures, observing
from actp.errors import ConfigError, RpcError, RpcUnavailable
from actp.pool import reading, routing, sending
from actp.pool.endpoint import EndpointStatus
from actp.pool.members import Members
from actp.pool.routing import Call, Kind
from actp.rpc import Transport

__all__ = ["Pool"]

_INTERNAL_ERROR = -32603


# Sends first: what is read in the same batch may be about them.
_BY_KIND = ((Kind.RAW, sending.send_all), (Kind.ONCE, sending.each_once), (Kind.READ, reading.read))


class Pool:
    """A Transport over several endpoints of one chain. Any number of threads may share it.

    Scores start at 100; a transport failure or a rate limit costs 20, a probe adds or takes 10. What a contract or a
    node says against a call costs nothing. `chain_id` and `genesis` are those that every endpoint must serve; what is
    left out, the first endpoint that answers decides. Nothing is asked before the first call.
    """

    def __init__(
        self,
        transports: Sequence[Transport],
        *,
        chain_id: int | None = None,
        genesis: str | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if not transports:
            raise ConfigError("A pool needs at least one endpoint.", hint="Name one in ACTP_RPC_POOL_URLS.")
        self._members = Members(transports, chain=chain_id, genesis=genesis, clock=clock)
        labels = ", ".join(transport.label for transport in transports)
        self.label = f"pool of {labels}" if len(transports) > 1 else labels
        observing.watch(self, _readings)

    def __repr__(self) -> str:
        return f"Pool({self.label!r})"

    def request(self, method: str, params: list[Any]) -> Any:
        """See Transport. Raises WrongChain or WrongGenesis if every endpoint serves another chain."""
        self._members.connect()
        kind = routing.kind(method)
        if kind is Kind.ONCE:
            return sending.once(self._members, method, params)
        ask = sending.broadcast if kind is Kind.RAW else reading.read
        answer = ask(self._members, [(method, params)])[0]
        if isinstance(answer, RpcError | RpcUnavailable):
            raise answer
        return answer

    def batch(self, calls: Sequence[Call]) -> list[Any]:
        """See Transport. Signed eth transactions go to all healthy endpoints, the rest of the batch to one."""
        if not calls:
            return []
        self._members.connect()
        kinds = [routing.kind(method) for method, _ in calls]
        answers: dict[int, Any] = {}
        for kind, ask in _BY_KIND:
            places = [place for place, found in enumerate(kinds) if found is kind]
            if not places:
                continue
            try:
                answers |= zip(places, ask(self._members, [calls[place] for place in places]), strict=True)
            except RpcUnavailable as error:
                if len(places) == len(calls):
                    raise
                # The other parts have their answers, which must not be lost.
                answers |= dict.fromkeys(places, RpcError(_INTERNAL_ERROR, error.message, retryable=error.retryable))
        return [answers[place] for place in range(len(calls))]

    def probe(self) -> tuple[EndpointStatus, ...]:
        """Asks every endpoint how it is, now, and says what came out."""
        return self._members.probe()

    def endpoints(self) -> tuple[EndpointStatus, ...]:
        """Every endpoint as it was last seen; asks nobody."""
        return self._members.statuses()

    def close(self) -> None:
        """Ends the pool's threads, which end by themselves half a minute after its last use."""
        self._members.close()


def _readings(pool: Pool) -> Iterator[observing.Reading]:
    """Health of every endpoint, as it was last seen."""
    for one in pool.endpoints():
        labels = (measures.endpoint_of(one.label),)
        yield observing.Reading(measures.RPC_SCORE, one.score, labels)
        yield observing.Reading(measures.RPC_LAG, one.behind, labels)
