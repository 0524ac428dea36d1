"""What was planted, and what a treasury's database says of it."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field

from coordinator.guard import Kind
from coordinator.store import points
from coordinator.store.breaches import Found
from scripts.soak.siege.field import House

__all__ = ["Plant", "belongs", "guarded_up_to", "signed_while_paused", "watch_signatures"]


@dataclass(slots=True)
class Plant:
    """One breach. `must` kinds have to be found, `may` kinds can follow from it; `agent` is who has to be stopped, None
    for the whole treasury.
    """

    what: str
    house: House
    must: tuple[Kind, ...]
    may: tuple[Kind, ...] = ()
    agent: str | None = None
    hashes: list[str] = field(default_factory=list)
    """Its eth transactions, the repair among them."""
    blocks: list[int] = field(default_factory=list)
    """Where the kinds that name no eth transaction must be found."""
    operation_id: int | None = None
    found: bool = False
    held: int = 0


def belongs(plant: Plant, found: Found) -> bool:
    """Whether a finding is of this plant: of its eth transactions or its operation, or of its blocks and kinds."""
    if found.block is None or found.kind not in {one.value for one in (*plant.must, *plant.may)}:
        return False
    if found.detail["account"] != plant.house.wallet:
        return False
    if found.tx_hash is not None:
        return found.tx_hash in plant.hashes
    if found.operation_id is not None and plant.operation_id is not None:
        return found.operation_id == plant.operation_id
    return any(found.detail["since"] < block <= found.block.number for block in plant.blocks)


def guarded_up_to(house: House) -> int:
    """The number of the block up to which everything is explained; -1 before the guard begins."""
    with house.treasury.lifecycle.ledger.read() as connection:
        newest = points.newest(connection, house.treasury.account)
    return newest[0].block.number if newest else -1


_WATCH = """
CREATE TABLE soak_signed_while_paused (attempt INTEGER, intent INTEGER, nonce INTEGER, kind TEXT, earlier INTEGER);
CREATE TRIGGER soak_watch AFTER INSERT ON attempts
WHEN EXISTS (
    SELECT 1 FROM co_pauses p JOIN lanes l ON l.id = NEW.lane_id AND l.address = p.wallet
    WHERE p.agent = '' OR p.agent = (SELECT o.agent FROM co_operations o WHERE o.outbox_id = NEW.intent_id)
)
BEGIN
    INSERT INTO soak_signed_while_paused VALUES (
        NEW.id, NEW.intent_id, NEW.nonce, (SELECT kind FROM intents WHERE id = NEW.intent_id),
        (SELECT COUNT(*) FROM attempts a WHERE a.lane_id = NEW.lane_id AND a.nonce = NEW.nonce AND a.id <> NEW.id)
    );
END;
"""


def watch_signatures(house: House) -> None:
    """Lets the database itself note every signature that is stored while a pause holds: no clock could tell."""
    with sqlite3.connect(house.treasury.plan.database, timeout=30) as connection:
        connection.executescript(_WATCH)


def signed_while_paused(house: House) -> list[tuple[int, int, int, str, int]]:
    """(attempt, intent, nonce, kind, earlier signatures of the nonce) of each."""
    with sqlite3.connect(house.treasury.plan.database, timeout=30) as connection:
        return list(connection.execute("SELECT * FROM soak_signed_while_paused"))
