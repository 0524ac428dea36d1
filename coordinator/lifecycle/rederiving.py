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
from actp.errors import RpcUnavailable
from actp.pool.capabilities import Capability, supports
from actp.rpc import Transport
from coordinator.guard import Place
from coordinator.intents import World, effects_then, parse
from coordinator.intents.terms import payments_due
from coordinator.intents.views import changes_with_others
from coordinator.lifecycle.desk import Desk
from coordinator.lifecycle.kernels import client_of
from coordinator.store import operations
from coordinator.store.decisions import Decided
from coordinator.types import BlockRef, Effects

__all__ = ["Rederiving"]


class Rederiving:
    """Builds operations again on older states. For one thread."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._then = _Then(desk.transport)
        self._clients: dict[str, ACTPClient] = {}
        """By kernel: each sees the chain as it was."""

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
        if not changes_with_others(intent):
            return decided.effects
        client = client_of(desk.clients, intent)
        before, _ = self._around(client, place)
        then = effects_then(intent, self._world(client, place, before))
        return decided.effects if then is None else then

    def due(self, place: Place) -> Effects | None:
        """What the eth transaction at that place had to pay by the terms of the escrows that it ended, or paid a part
        of; None where terms do not say it. See `guard.Due`.
        """
        client = self._desk.client  # whose vault is watched
        before, during = self._around(client, place)
        payments = payments_due(self._world(client, place, before), during) if during else None
        return None if payments is None else Effects(payments)

    def _world(self, client: ACTPClient, place: Place, before: Sequence[Event]) -> World:
        """As it was just before that place."""
        self._then.place = place
        kernel = client.kernel.address
        if kernel not in self._clients:
            self._clients[kernel] = ACTPClient(replace(client.endpoint, transport=self._then), client.signer)
        world = World(self._clients[kernel])
        world.bring_up(before)
        return world

    def _around(self, client: ACTPClient, place: Place) -> tuple[tuple[Event, ...], tuple[Event, ...]]:
        """The kernel's events in the block: those before the eth transaction at that place, and its own."""
        transport, block = self._desk.transport, place.block
        kernel = client.kernel.address
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
    """A transport to which the newest block is the parent of a place, and the pending one that of the place: its time
    is what the eth transactions in it saw.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        nowhere = BlockRef(0, "")
        self.place = Place(nowhere, nowhere, 0)

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
        tags = {"latest": hex(self.place.parent.number), "pending": hex(self.place.block.number)}
        return [tags.get(one, one) if isinstance(one, str) else one for one in params]
