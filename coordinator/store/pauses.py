"""Rows of pauses: who may sign nothing until somebody says so."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, delete, select

from actp.engine.store import outbox
from actp.engine.store.conflicts import insert_or_ignore
from actp.engine.store.schema import lanes
from coordinator.store import journal, operations
from coordinator.store.accounts import Account, owned
from coordinator.store.asking import Question, ask
from coordinator.store.schema import pauses
from coordinator.types import Stage

__all__ = ["TREASURY", "Pause", "active", "add", "remove", "standing"]

TREASURY = ""
"""The name under which everything of a wallet is paused."""

_ACTIVE = (
    select(pauses.c.agent, pauses.c.at, pauses.c.by, pauses.c.reason).where(owned(pauses)).order_by(pauses.c.agent)
)


@dataclass(frozen=True, slots=True)
class Pause:
    """A pause that holds. `agent` is None for the whole treasury."""

    agent: str | None
    at: float
    by: str
    reason: str


def active(connection: Connection, account: Account) -> dict[str, Pause]:
    """The pauses that hold, by agent, TREASURY among them."""
    return ask(connection, standing(account))


def standing(account: Account) -> Question[dict[str, Pause]]:
    """As `active`, to be asked together with others."""
    return Question(
        _ACTIVE,
        account.columns,
        lambda rows: {row.agent: Pause(row.agent or None, row.at, row.by, row.reason) for row in rows},
    )


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
    """Ends a pause; False if there is none. What was held by it goes on at once."""
    name = agent or TREASURY
    gone = connection.execute(delete(pauses).where(account.owns(pauses), pauses.c.agent == name)).rowcount == 1
    if gone:
        detail = {"by": by, "reason": reason}
        journal.add(connection, account, [journal.Entry("resumed", name, detail=detail)], now)
        for one in operations.in_stages(connection, account, [Stage.SIGNING]):
            if one.outbox_id is not None and agent in (None, one.agent):
                outbox.hasten(connection, one.outbox_id, now)
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
