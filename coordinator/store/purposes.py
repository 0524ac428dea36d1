"""Erasing what a request was for. The journal keeps a salted hash of it, and so it still verifies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, LargeBinary, cast, select, update

from coordinator.store import journal
from coordinator.store.accounts import Account
from coordinator.store.budget_schema import reservations
from coordinator.store.seals import as_text

__all__ = ["ERASED", "Purpose", "erase", "of"]

_CHUNK = 500

ERASED = "purpose_erased"
"""The event that the journal has of it."""


def erase(connection: Connection, account: Account, reservation_id: int, *, by: str, now: float) -> bool:
    """Erases a request's purpose together with its salt, and says in the journal who has done so; False if there is no
    such request of this wallet, or it is erased already.

    The text may remain for a while where databases keep old pages (until VACUUM), and in copies of them.
    """
    mine = (account.owns(reservations), reservations.c.id == reservation_id, reservations.c.purpose.is_not(None))
    agent = connection.execute(select(reservations.c.agent).where(*mine)).scalar_one_or_none()
    if agent is None:
        return False
    # Two who erase at once: the second waits for the first one's commit, and then changes nothing.
    if not connection.execute(update(reservations).where(*mine).values(purpose=None, purpose_salt="")).rowcount:
        return False
    entry = journal.Entry(ERASED, agent, reservation_id=reservation_id, detail={"by": by})
    journal.add(connection, account, [entry], now)
    return True


@dataclass(frozen=True, slots=True)
class Purpose:
    """What a request was for, None once it is erased, and what stands for it. Bytes that are no text stay bytes."""

    text: str | bytes | None
    salt: str
    hash: str


def of(connection: Connection, account: Account, reservation_ids: Sequence[int]) -> dict[int, Purpose]:
    """The purposes of these requests."""
    found = {}
    raw = connection.dialect.name == "sqlite"  # where a text may have become something else
    text = cast(reservations.c.purpose, LargeBinary) if raw else reservations.c.purpose
    for start in range(0, len(reservation_ids), _CHUNK):
        query = select(reservations.c.id, text, reservations.c.purpose_salt, reservations.c.purpose_hash).where(
            account.owns(reservations), reservations.c.id.in_(reservation_ids[start : start + _CHUNK])
        )
        for number, purpose, salt, hashed in connection.execute(query):
            found[number] = Purpose(as_text(purpose), salt, hashed)
    return found
