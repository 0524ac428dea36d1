"""Freezing a scope: nothing more may be charged to it until somebody has looked."""

from __future__ import annotations

from sqlalchemy import Connection

from coordinator.budget.words import Scope
from coordinator.store import journal, scopes
from coordinator.store.accounts import Account

__all__ = ["freeze", "unfreeze"]


def freeze(connection: Connection, account: Account, scope: Scope, reason: str, now: float) -> bool:
    """Freezes a scope; False if it is frozen already."""
    row = scopes.require(connection, account, [scope])[scope]
    if not scopes.freeze(connection, [row.id], reason):
        return False
    detail = {"scope": _parts(scope), "reason": reason}
    journal.add(connection, account, [journal.Entry("frozen", "", detail=detail)], now)
    return True


def unfreeze(connection: Connection, account: Account, scope: Scope, reason: str, now: float) -> bool:
    """Lets requests charge a scope again; False if they could."""
    row = scopes.find(connection, account, [scope]).get(scope)
    if row is None or not scopes.unfreeze(connection, row.id):
        return False
    detail = {"scope": _parts(scope), "reason": reason}
    journal.add(connection, account, [journal.Entry("unfrozen", "", detail=detail)], now)
    return True


def _parts(scope: Scope) -> list[str]:
    return [scope.kind.value, scope.key, scope.period.value, scope.unit]
