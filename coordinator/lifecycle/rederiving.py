"""What an operation had to do, as of the block before the one that mined it: others may have been faster."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from actp.client import ACTPClient
from actp.errors import ActpError, RpcError, RpcUnavailable
from actp.rpc import Transport
from coordinator.intents import World, build, parse
from coordinator.intents.models import OfEscrow
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

    def of(self, decided: Decided) -> Callable[[BlockRef], Effects]:
        """A function from a block to what the operation had to do on its state; see `guard.Sent.rederive`."""

        def rederive(block: BlockRef) -> Effects:
            return self._effects(decided, block)

        return rederive

    def _effects(self, decided: Decided, block: BlockRef) -> Effects:
        desk = self._desk
        with desk.ledger.read() as connection:
            operation = operations.by_id(connection, decided.operation_id)
        assert operation is not None
        intent = parse(operation.type, operation.intent)
        if not isinstance(intent, OfEscrow):
            return decided.effects  # no state changes what it does
        self._then.block = block
        if self._client is None:
            self._client = ACTPClient(replace(desk.client.endpoint, transport=self._then), desk.client.signer)
        try:
            return build(intent, World(self._client)).effects
        except (RpcError, RpcUnavailable):
            raise
        except ActpError:
            return decided.effects  # it could not have done anything else


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
