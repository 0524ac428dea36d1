"""Questions: answered at once, without simulation, policy or signature."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import suppress

from sqlalchemy import Connection

from actp.errors import ActpError
from actp.types import State
from coordinator.errors import LedgerConflict
from coordinator.intents import World, parse, queries
from coordinator.intents.queries import EscrowPosition, Indexed
from coordinator.lifecycle.desk import Desk
from coordinator.store import escrows, index_escrows, index_kernels, index_positions, moving, operations
from coordinator.store.formats import text
from coordinator.store.index_escrows import Escrow, Filters
from coordinator.store.index_kernels import IndexedKernel
from coordinator.store.moving import Move, Step
from coordinator.types import BlockRef, Operation, Stage

__all__ = ["Querying"]

_FUNDED = (State.COMMITTED, State.IN_PROGRESS, State.DELIVERED, State.DISPUTED)


class Querying:
    """Answers questions about one wallet. Thread-safe."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._lock = threading.Lock()
        self._world: World | None = None

    def answer(self, operation: Operation) -> Operation:
        """The operation with its result. What has one already keeps it. Raises RpcUnavailable with nothing moved."""
        if operation.stage is not Stage.PENDING:
            return operation
        desk = self._desk
        try:
            with self._lock:
                if self._world is None:
                    self._world = World(desk.client)
                result = queries.run(parse(operation.type, operation.intent), self._world, self)
        except ActpError as error:
            if error.retryable:
                raise
            self._move(operation, _failing(operation, error))
        else:
            now = desk.ledger.now()
            values = {"result": text(result), "confirmed_at": now, "final": True}
            self._move(operation, Move(operation, (Step(Stage.CONFIRMED, "answered"),), values))
        with desk.ledger.read() as connection:
            found = operations.by_id(connection, operation.id)
        assert found is not None
        return found

    def round(self) -> bool:
        """Answers what was handed in and not asked here; whether there was anything. Raises RpcUnavailable."""
        with self._desk.ledger.read() as connection:
            asked = operations.unanswered(connection, self._desk.account)
        for one in asked:
            self.answer(one)
        return bool(asked)

    def transaction_ids(self, wallet: str, limit: int) -> Sequence[str]:
        """See `queries.Positions`: the escrows that operations were about, those of batches, and those that an index
        knows, however old it is.
        """
        with self._desk.ledger.read() as connection:
            steps = operations.transaction_ids(connection, self._desk.account, limit)
            funded = escrows.listed(connection, self._desk.account, limit=limit)
            kernel = self._kernel(connection)
            known = () if kernel is None else index_escrows.listed(connection, _of(kernel, wallet), limit=limit)
        return list(dict.fromkeys([*steps, *(one.transaction_id for one in (*funded, *known))]))

    def indexed(self, wallet: str, newest: BlockRef, limit: int, include_ended: bool) -> Indexed | None:
        """See `queries.Positions`."""
        with self._desk.ledger.snapshot() as connection:
            kernel = self._kernel(connection)
            if kernel is None or kernel.block.number < newest.number:
                return None
            if kernel.block.number == newest.number and kernel.block != newest:
                return None  # it has yet to hear of a reorganisation
            states = () if include_ended else _FUNDED
            rows = index_escrows.listed(connection, _of(kernel, wallet, states), limit=limit)
            (sums,) = index_positions.of(connection, wallet, [kernel.id])
        found = [_position(row) for row in rows if include_ended or row.remaining]
        return Indexed(kernel.block, found, sums.locked, sums.receivable, sums.bonds, sums.credit)

    def _kernel(self, connection: Connection) -> IndexedKernel | None:
        return index_kernels.find(connection, self._desk.account.chain_id, self._desk.client.kernel.address)

    def _move(self, operation: Operation, move: Move) -> None:
        with suppress(LedgerConflict), self._desk.ledger.write() as connection:  # then somebody else has answered
            moving.move(connection, self._desk.account, [move], self._desk.ledger.now())


def _of(kernel: IndexedKernel, wallet: str, states: tuple[State, ...] = ()) -> Filters:
    return Filters(kernel_ids=(kernel.id,), party=wallet, states=states)


def _position(row: Escrow) -> EscrowPosition:
    return EscrowPosition(
        transaction_id=row.transaction_id,
        state=row.state.name,
        requester=row.requester,
        provider=row.provider,
        amount=row.amount,
        remaining=row.remaining,
        deadline=row.deadline,
        window_ends=row.window_ends_at,
    )


def _failing(operation: Operation, error: ActpError) -> Move:
    values = {"code": error.code, "reason": error.message, "failed_at": Stage.PENDING.value, "final": True}
    return Move(operation, (Step(Stage.FAILED, "failed", {"code": error.code}),), values)
