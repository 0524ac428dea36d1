"""One writer per (chain, key): the row that says who, and the token that every one of its writes names."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, select, update

from actp.engine.store.conflicts import insert_or_ignore
from actp.engine.store.errors import StoreError
from actp.engine.store.schema import lanes

__all__ = ["LaneRow", "LeaseLost", "beat", "demand_hold", "find_lane", "needs_hold", "release", "require_lane", "take"]


class LeaseLost(StoreError):
    """Another process has taken over the account while this one stood still; nothing was written."""

    default_code = "lease_lost"


@dataclass(frozen=True, slots=True)
class LaneRow:
    """Who writes for an account. `beats` counts the holder's writes: while it does not grow, the holder may be dead."""

    id: int
    holder: str | None
    token: int
    beats: int
    beat_at: float


def require_lane(connection: Connection, chain_id: int, address: str) -> LaneRow:
    """The lane of an account, made if there is none."""
    found = find_lane(connection, chain_id, address)
    if found is not None:
        return found
    row = {"chain_id": chain_id, "address": address, "token": 0, "beats": 0, "beat_at": 0.0}
    insert_or_ignore(connection, lanes, [row])
    made = find_lane(connection, chain_id, address)
    assert made is not None
    return made


def find_lane(connection: Connection, chain_id: int, address: str) -> LaneRow | None:
    """The lane of an account, None if nothing was ever sent from it."""
    row = connection.execute(
        select(lanes).where(lanes.c.chain_id == chain_id, lanes.c.address == address)
    ).one_or_none()
    if row is None:
        return None
    return LaneRow(row.id, row.holder, row.token, row.beats, row.beat_at)


def take(connection: Connection, seen: LaneRow, holder: str, token: int, now: float) -> bool:
    """Makes `holder` the writer, unless the row has changed since it was `seen`."""
    changed = connection.execute(
        update(lanes)
        .where(lanes.c.id == seen.id, lanes.c.token == seen.token, lanes.c.beats == seen.beats)
        .values(holder=holder, token=token, beats=seen.beats + 1, beat_at=now)
    )
    return changed.rowcount == 1


def beat(connection: Connection, lane_id: int, holder: str, token: int, now: float) -> None:
    """The first statement of every write of a holder: it keeps the lease, or raises LeaseLost.

    It also locks the row, so that a lease cannot change hands before the write is committed.
    """
    kept = connection.execute(
        update(lanes)
        .where(lanes.c.id == lane_id, lanes.c.token == token, lanes.c.holder == holder)
        .values(beats=lanes.c.beats + 1, beat_at=now)
    )
    if kept.rowcount != 1:
        raise LeaseLost(
            "Another process has taken over this account, because this one stood still for too long.",
            hint="Nothing was written: the other process goes on with what is stored.",
            retryable=True,
        )


def demand_hold(connection: Connection, lane_id: int) -> None:
    """From its commit on nobody signs for this lane who does not ask a hold. Nothing takes that back."""
    connection.execute(
        update(lanes).where(lanes.c.id == lane_id, lanes.c.needs_hold.is_(False)).values(needs_hold=True)
    )


def needs_hold(connection: Connection, lane_id: int) -> bool:
    """Whether who signs for this lane has to ask a hold."""
    return bool(connection.execute(select(lanes.c.needs_hold).where(lanes.c.id == lane_id)).scalar_one())


def release(connection: Connection, lane_id: int, token: int) -> None:
    """Gives the lease back; does nothing if somebody else has it."""
    connection.execute(
        update(lanes).where(lanes.c.id == lane_id, lanes.c.token == token).values(holder=None, beats=lanes.c.beats + 1)
    )
