"""Rows of credits: what each kernel owes to whom."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, select

from coordinator.store.bulk import among, insert_rows, update_rows
from coordinator.store.index_schema import credits

__all__ = ["Credit", "get", "owed", "write"]


@dataclass(frozen=True, slots=True)
class Credit:
    """Base units that a kernel owes to an account."""

    kernel_id: int
    payee: str
    amount: int


def get(connection: Connection, kernel_id: int, payees: Collection[str]) -> dict[str, int]:
    """What is owed to these, as far as there are rows of them."""
    if not payees:
        return {}
    query = select(credits.c.payee, credits.c.amount).where(
        credits.c.kernel_id == kernel_id, among(connection, credits.c.payee, payees)
    )
    return {payee: int(amount) for payee, amount in connection.execute(query)}


def owed(
    connection: Connection, kernel_id: int, *, payees: Collection[str] | None = None, limit: int = 100
) -> list[Credit]:
    """Credits that are not nothing: all, or those of some accounts."""
    query = select(credits).where(credits.c.amount != "0", credits.c.kernel_id == kernel_id)
    if payees is not None:
        query = query.where(among(connection, credits.c.payee, payees))
    query = query.order_by(credits.c.payee).limit(limit)
    return [Credit(row.kernel_id, row.payee, int(row.amount)) for row in connection.execute(query)]


def write(connection: Connection, kernel_id: int, amounts: Mapping[str, int]) -> None:
    """Writes what is owed, by payee."""
    known = get(connection, kernel_id, list(amounts))
    rows = {payee: {"payee": payee, "kernel_id": kernel_id, "amount": str(one)} for payee, one in amounts.items()}
    insert_rows(connection, credits, [row for payee, row in rows.items() if payee not in known])
    update_rows(connection, credits, ("payee", "kernel_id"), [row for payee, row in rows.items() if payee in known])
