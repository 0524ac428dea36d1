"""What had to happen where an eth transaction was mined: others may have been faster, in that block too. For our
operations, and for what others do to our escrows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from actp.client import ACTPClient
from actp.decoding import Event, EventDecoder
from actp.engine.receipts import parse_log
from actp.errors import ActpError, RpcError, RpcUnavailable
from actp.pool.capabilities import Capability, supports
from actp.rpc import Transport
from coordinator.guard import Place
from coordinator.intents import World, build, parse
from coordinator.intents.models import OfEscrow
from coordinator.intents.terms import payments_due
from coordinator.lifecycle.desk import Desk
from coordinator.store import operations
from coordinator.store.decisions import Decided
from coordinator.types import BlockRef, Effects

__all__ = ["Rederiving"]


class Rederiving:
    """Builds operations again on older states. For one thread."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._then = _Then(desk.transport)
        self._client: ACTPClient | None = None

    def of(self, decided: Decided) -> Callable[[Place], Effects]:
        """A function from a place to what the operation had to do there; see `guard.Sent.rederive`."""

        def rederive(place: Place) -> Effects:
            return self._effects(decided, place)

        return rederive

    def _effects(self, decided: Decided, place: Place) -> Effects:
        desk = self._desk
        with desk.ledger.read() as connection:
            operation = operations.by_id(connection, decided.operation_id)
        assert operation is not None
        intent = parse(operation.type, operation.intent)
        if not isinstance(intent, OfEscrow):
            return decided.effects  # no state changes what it does
        before, _ = self._around(place)
        try:
            return build(intent, self._world(place, before)).effects
        except (RpcError, RpcUnavailable):
            raise
        except ActpError:
            return decided.effects  # it could not have done anything else

    def due(self, place: Place) -> Effects | None:
        """What the eth transaction at that place had to pay by the terms of the escrows that it ended, or paid a part
        of; None where terms do not say it. See `guard.Due`.
        """
        before, during = self._around(place)
        payments = payments_due(self._world(place, before), during) if during else None
        return None if payments is None else Effects(payments)

    def _world(self, place: Place, before: Sequence[Event]) -> World:
        """As it was just before that place."""
        desk = self._desk
        self._then.block = place.parent
        if self._client is None:
            self._client = ACTPClient(replace(desk.client.endpoint, transport=self._then), desk.client.signer)
        world = World(self._client)
        world.bring_up(before)
        return world

    def _around(self, place: Place) -> tuple[tuple[Event, ...], tuple[Event, ...]]:
        """The kernel's events in the block: those before the eth transaction at that place, and its own."""
        transport, block = self._desk.transport, place.block
        kernel = self._desk.client.kernel.address
        where: dict[str, Any] = {"blockHash": block.hash}
        if not supports(transport, Capability.READS_BY_HASH):
            where = {"fromBlock": hex(block.number), "toBlock": hex(block.number)}
        logs = transport.request("eth_getLogs", [{"address": kernel, **where}])
        if not isinstance(logs, list):
            raise RpcUnavailable(f"{transport.label} does not show the logs of block {block.number}.")
        logs.sort(key=lambda log: int(log["logIndex"], 16))
        decoder = EventDecoder({kernel: "ACTPKernel"})
        before = [parse_log(log) for log in logs if int(log["transactionIndex"], 16) < place.index]
        own = [parse_log(log) for log in logs if int(log["transactionIndex"], 16) == place.index]
        return decoder.decode_all(before), decoder.decode_all(own)


class _Then:
    """A transport to which the newest block is one that was given."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self.block = BlockRef(0, "")

    @property
    def label(self) -> str:
        """See Transport."""
        return self._transport.label

    def request(self, method: str, params: list[Any]) -> Any:
        """See Transport."""
        return self._transport.request(method, self._as_of(params))

    def batch(self, calls: Sequence[tuple[str, list[Any]]]) -> list[Any]:
        """See Transport."""
        return self._transport.batch([(method, self._as_of(params)) for method, params in calls])

    def _as_of(self, params: list[Any]) -> list[Any]:
        number = hex(self.block.number)
        return [number if one in ("latest", "pending") else one for one in params]
