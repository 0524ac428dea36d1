"""What a ledger says of a tracker's scopes and reservations, in the tracker's words. Nothing is changed by looking."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection

from coordinator.store import Ledger
from coordinator.store import tracker_holds as holds
from coordinator.store import tracker_scopes as scopes
from coordinator.store.accounts import Account
from coordinator.store.tracker_holds import Hold
from coordinator.store.tracker_scopes import ScopeState
from coordinator.tracker.money import amount_of
from coordinator.tracker.words import Reservation, ReservationToken, Unit, Usage

__all__ = ["Reading", "durability_warnings"]


class Reading:
    """Reads what belongs to a root. What has expired counts as free, whoever may write that down later."""

    def __init__(self, ledger: Ledger, owner: Account, name: str) -> None:
        self._ledger = ledger
        self._owner = owner
        self._name = name

    def scope(self, name: str, key: str) -> Usage:
        """One scope, without its counts of reservations. Raises StoreError."""
        with self._ledger.snapshot() as connection:
            found = scopes.by_keys(connection, self._owner, [key]).get(key)
            if found is None or not found.known:
                return _usage(ScopeState(key, name), 0, 0)
            due = holds.due(connection, self._owner, self._ledger.now_by(connection)) if found.reserved else []
        return _usage(found, sum(one.amount for one in due if found.id in one.scope_ids), 0)

    def scopes(self) -> tuple[Usage, ...]:
        """All that have a limit or a history. Raises StoreError."""
        with self._ledger.snapshot() as connection:
            known = scopes.known(connection, self._owner)
            opened, now = holds.open_ones(connection, self._owner), self._ledger.now_by(connection)
        expired = _by_scope(one for one in opened if one.expires_at <= now)
        held = _by_scope(one for one in opened if one.expires_at > now)
        found = [_usage(one, sum(expired.get(one.id or 0, ())), len(held.get(one.id or 0, ()))) for one in known]
        return tuple(sorted(found, key=lambda one: one.scope))

    def reservations(self) -> tuple[Reservation, ...]:
        """All that are open. Raises StoreError."""
        with self._ledger.snapshot() as connection:
            opened, now = holds.open_ones(connection, self._owner), self._ledger.now_by(connection)
            held = [one for one in opened if one.expires_at > now]
            names = self._names(connection, held)
        return tuple(
            Reservation(self._token(one, names), amount_of(one.amount, Unit(one.unit)), one.expires_at - now)
            for one in held
        )

    def _names(self, connection: Connection, held: Iterable[Hold]) -> dict[int, str]:
        ids = {scope_id for one in held for scope_id in one.scope_ids}
        return {one.id: one.name for one in scopes.by_ids(connection, self._owner, ids) if one.id is not None}

    def _token(self, one: Hold, names: dict[int, str]) -> ReservationToken:
        scope = tuple(names[scope_id] for scope_id in one.scope_ids)
        return ReservationToken(one.token, self._name, scope, one.amount, Unit(one.unit), one.expires_at)


def durability_warnings(ledger: Ledger) -> tuple[str, ...]:
    """What is wrong with a database that counts money: sentences. Raises StoreError."""
    if not ledger.store.durable:
        return ("This ledger is in memory: no other process sees it, and it is gone with this one.",)
    if ledger.store.engine.dialect.name != "postgresql":
        return ()
    with ledger.read() as connection:
        settings = {
            name: str(connection.exec_driver_sql(f"SHOW {name}").scalar_one())
            for name in ("fsync", "synchronous_commit")
        }
    off = " and ".join(f"{name} off" for name, value in settings.items() if value == "off")
    if not off:
        return ()
    return (f"PostgreSQL answers before it has written to disk ({off}): if it stops, the last spending is forgotten.",)


def _by_scope(found: Iterable[Hold]) -> dict[int, list[int]]:
    amounts: dict[int, list[int]] = {}
    for one in found:
        for scope_id in one.scope_ids:
            amounts.setdefault(scope_id, []).append(one.amount)
    return amounts


def _usage(one: ScopeState, expired: int, reservations: int) -> Usage:
    unit = Unit(one.unit or Unit.USD)
    return Usage(
        scope=one.name,
        unit=unit,
        limit=None if one.limit is None else amount_of(one.limit, unit),
        spent=amount_of(one.spent, unit),
        reserved=amount_of(one.reserved - expired, unit),
        reservations=reservations,
        overruns=one.overruns,
        late=one.late,
    )
