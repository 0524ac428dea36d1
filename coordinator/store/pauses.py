"""Rows of pauses: who may sign nothing until somebody says so."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, delete, select

from actp.engine.store.conflicts import insert_or_ignore
from actp.engine.store.schema import lanes
from coordinator.store import journal
from coordinator.store.accounts import Account
from coordinator.store.schema import pauses

__all__ = ["TREASURY", "Pause", "active", "add", "remove"]

TREASURY = ""
"""The name under which everything of a wallet is paused."""


@dataclass(frozen=True, slots=True)
class Pause:
    """A pause that holds. `agent` is None for the whole treasury."""

    agent: str | None
    at: float
    by: str
    reason: str


def active(connection: Connection, account: Account) -> dict[str, Pause]:
    """The pauses that hold, by agent, TREASURY among them."""
    query = (
        select(pauses.c.agent, pauses.c.at, pauses.c.by, pauses.c.reason)
        .where(account.owns(pauses))
        .order_by(pauses.c.agent)
    )
    return {agent: Pause(agent or None, at, by, reason) for agent, at, by, reason in connection.execute(query)}


def add(connection: Connection, account: Account, agent: str | None, *, by: str, reason: str, now: float) -> bool:
    """Pauses an agent, or without one the treasury; False if it is paused already, which changes nothing.

    What was signed before this commit is with the nodes already; nothing is signed after it.
    """
    _wait_for_signatures(connection, account)
    name = agent or TREASURY
    if name in active(connection, account):
        return False
    insert_or_ignore(connection, pauses, [{**account.columns, "agent": name, "at": now, "by": by, "reason": reason}])
    detail = {"by": by, "reason": reason}
    journal.add(connection, account, [journal.Entry("paused", name, detail=detail)], now)
    return True


def remove(connection: Connection, account: Account, agent: str | None, *, by: str, reason: str, now: float) -> bool:
    """Ends a pause; False if there is none."""
    name = agent or TREASURY
    gone = connection.execute(delete(pauses).where(account.owns(pauses), pauses.c.agent == name)).rowcount == 1
    if gone:
        detail = {"by": by, "reason": reason}
        journal.add(connection, account, [journal.Entry("resumed", name, detail=detail)], now)
    return gone


def _wait_for_signatures(connection: Connection, account: Account) -> None:
    """The engine's commit of signatures holds the lane's row, and has looked for pauses before it is done: this waits
    until it is. SQLite has one writer at a time anyway.
    """
    connection.execute(
        select(lanes.c.id)
        .where(lanes.c.chain_id == account.chain_id, lanes.c.address == account.wallet)
        .with_for_update()
    )
