"""Rows of alerts: what people are to be told, once each."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Row, select, update

from actp.engine.store.conflicts import insert_or_ignore
from coordinator.store.accounts import Account
from coordinator.store.budget_schema import alerts
from coordinator.store.formats import text

__all__ = [
    "Alert",
    "AlertKind",
    "AlertState",
    "Draft",
    "add",
    "claim",
    "due",
    "finish",
    "known",
    "listed",
    "note_sent",
    "put_off",
    "revive",
]

_CHUNK = 500
_MOST_TEXT = 500


class AlertKind(StrEnum):
    """What an alert is about."""

    BUDGET = "budget"
    """A budget is used up to one of the thresholds."""
    APPROVAL = "approval"
    """Somebody's yes is waited for."""
    DISPUTE = "dispute"
    """A dispute was opened, which the arbiter has to rule on."""
    BREACH = "breach"
    """The delta guard found what nobody ordered."""
    DRIFT = "drift"
    """Ledger and chain do not agree."""
    SETTLEMENT = "settlement"
    """An escrow is due and cannot be ended, or the settlement bot cannot work."""


class AlertState(StrEnum):
    WAITING = "waiting"
    SENT = "sent"
    DEAD = "dead"
    """Nobody could be told; `revive` tries again."""


@dataclass(frozen=True, slots=True)
class Draft:
    """An alert that is not a row yet. There is one per kind and reference, for ever."""

    kind: AlertKind
    reference: str
    title: str
    body: str


@dataclass(frozen=True, slots=True)
class Alert:
    """An alert, and how far it is. `sent_to` has a digest of each address that has it; `error` says why the last
    attempt was not enough.
    """

    id: int
    kind: AlertKind
    reference: str
    title: str
    body: str
    state: AlertState
    attempts: int
    at: float
    next_at: float
    sent_at: float | None
    sent_to: tuple[str, ...]
    error: str | None


def add(connection: Connection, account: Account, drafts: Sequence[Draft], now: float) -> None:
    """Puts alerts into the outbox, except those that were there before."""
    if drafts:
        insert_or_ignore(
            connection,
            alerts,
            [
                {
                    **account.columns,
                    "kind": one.kind.value,
                    "reference": one.reference,
                    "title": one.title,
                    "body": one.body,
                    "state": AlertState.WAITING.value,
                    "attempts": 0,
                    "at": now,
                    "next_at": now,
                    "sent_to": "[]",
                }
                for one in drafts
            ],
        )


def known(connection: Connection, account: Account, kind: AlertKind, references: Collection[str]) -> set[str]:
    """Which of these references have had their alert."""
    found: set[str] = set()
    ordered = sorted(references)
    for start in range(0, len(ordered), _CHUNK):
        query = select(alerts.c.reference).where(
            account.owns(alerts), alerts.c.kind == kind.value, alerts.c.reference.in_(ordered[start : start + _CHUNK])
        )
        found.update(connection.execute(query).scalars())
    return found


def due(connection: Connection, account: Account, now: float, *, limit: int) -> list[Alert]:
    """Alerts to be told now, those that wait longest first."""
    query = (
        select(alerts)
        .where(account.owns(alerts), alerts.c.state == AlertState.WAITING.value, alerts.c.next_at <= now)
        .order_by(alerts.c.next_at, alerts.c.id)
        .limit(limit)
    )
    return [_alert(row) for row in connection.execute(query)]


def claim(connection: Connection, alert: Alert, *, until: float) -> bool:
    """Counts an attempt, and keeps others from the alert until this time; False if another was faster."""
    query = (
        update(alerts)
        .where(
            alerts.c.id == alert.id,
            alerts.c.state == AlertState.WAITING.value,
            alerts.c.attempts == alert.attempts,
            alerts.c.next_at == alert.next_at,
        )
        .values(attempts=alert.attempts + 1, next_at=until)
    )
    return connection.execute(query).rowcount == 1


def note_sent(connection: Connection, alert: Alert, sent_to: Sequence[str], *, until: float) -> None:
    """Notes who has it by now, and keeps others from the alert until this time."""
    connection.execute(update(alerts).where(alerts.c.id == alert.id).values(sent_to=text(list(sent_to)), next_at=until))


def finish(connection: Connection, alert: Alert, state: AlertState, *, now: float, error: str | None = None) -> None:
    """Ends the attempts."""
    sent_at = now if state is AlertState.SENT else None
    connection.execute(
        update(alerts).where(alerts.c.id == alert.id).values(state=state.value, sent_at=sent_at, error=_short(error))
    )


def put_off(connection: Connection, alert: Alert, *, until: float, error: str) -> None:
    """Tries again then."""
    connection.execute(update(alerts).where(alerts.c.id == alert.id).values(next_at=until, error=_short(error)))


def listed(
    connection: Connection, account: Account, *, state: AlertState | None = None, limit: int = 100
) -> list[Alert]:
    """The newest alerts, in one state if it is named."""
    query = select(alerts).where(account.owns(alerts)).order_by(alerts.c.id.desc()).limit(limit)
    if state is not None:
        query = query.where(alerts.c.state == state.value)
    return [_alert(row) for row in connection.execute(query)]


def revive(connection: Connection, account: Account, alert_id: int, now: float) -> bool:
    """Tries a dead alert again from its first attempt, where it was not told; False if it is not dead."""
    query = (
        update(alerts)
        .where(account.owns(alerts), alerts.c.id == alert_id, alerts.c.state == AlertState.DEAD.value)
        .values(state=AlertState.WAITING.value, attempts=0, next_at=now, error=None)
    )
    return connection.execute(query).rowcount == 1


def _short(error: str | None) -> str | None:
    return None if error is None else error[:_MOST_TEXT]


def _alert(row: Row[Any]) -> Alert:
    return Alert(
        row.id,
        AlertKind(row.kind),
        row.reference,
        row.title,
        row.body,
        AlertState(row.state),
        row.attempts,
        row.at,
        row.next_at,
        row.sent_at,
        tuple(json.loads(row.sent_to)),
        row.error,
    )
