"""What traces say of operations and is written anyway: asked for only while somebody traces."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from actp.engine.store.schema import attempts, intents
from coordinator.store.budget_schema import reservations
from coordinator.store.bulk import among
from coordinator.store.schema import operations

__all__ = ["Sent", "sent", "transactions"]


@dataclass(frozen=True, slots=True)
class Sent:
    """When an operation was allowed, first signed, and found in a block, by the store's clock; `signatures` of it."""

    decided_at: float | None
    signed_at: float
    sealed_at: float
    signatures: int


def transactions(connection: Connection, operation_ids: Collection[int]) -> Mapping[int, list[str]]:
    """The ACTP transactions that these operations carry out: several where grants were put together."""
    query = (
        select(reservations.c.operation_id, reservations.c.transaction_id)
        .where(among(connection, reservations.c.operation_id, sorted(operation_ids)))
        .order_by(reservations.c.id)
    )
    found: dict[int, list[str]] = {}
    for operation_id, transaction_id in connection.execute(query):
        found.setdefault(operation_id, []).append(transaction_id)
    return found


def sent(connection: Connection, operation_ids: Collection[int]) -> Mapping[int, Sent]:
    """How the engine went about those that it has signed."""
    query = (
        select(
            operations.c.id,
            operations.c.decided_at,
            func.min(attempts.c.signed_at),
            intents.c.updated_at,
            func.count(),
        )
        .join(intents, intents.c.id == operations.c.outbox_id)
        .join(attempts, attempts.c.intent_id == intents.c.id)
        .where(among(connection, operations.c.id, sorted(operation_ids)))
        .group_by(operations.c.id, operations.c.decided_at, intents.c.updated_at)
    )
    return {number: Sent(*times) for number, *times in connection.execute(query)}
