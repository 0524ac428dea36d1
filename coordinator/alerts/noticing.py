"""Noticing what people are to be told, and putting it into the outbox: once each, whatever crashes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, String, cast, exists, select

from coordinator.alerts import wording
from coordinator.alerts.budgets import Touched, budget_drafts
from coordinator.store import Ledger, alerts, rulebooks, seals, treasuries, usage
from coordinator.store.accounts import Account
from coordinator.store.alerts import AlertKind, Draft
from coordinator.store.budget_schema import alerts as alert_rows
from coordinator.store.budget_schema import asks, reconciliations, reservations
from coordinator.store.bulk import among
from coordinator.store.journal import DISPUTE_OPENED
from coordinator.store.schema import approvals, breaches, operations
from coordinator.store.seals import Row
from coordinator.types import IntentType, Stage

__all__ = ["THRESHOLDS", "notice"]

THRESHOLDS = (80, 90, 100)
"""Percentages of a budget at which people are told, as long as there are no rules that say so."""

_PAGE = 2000
_MOST = 200


def notice(ledger: Ledger, account: Account) -> int:
    """Puts into the outbox what has happened since the last time; how many alerts that may be. Goes along the sealed
    journal, so seal first. Any number of processes may do so at the same time. Raises StoreError.

    A budget that was used up to a threshold for a moment only is noticed too, unless more than two thousand entries
    have come since.
    """
    noticed = 0
    while True:
        with ledger.snapshot() as connection:
            before = seals.alerted(connection, account)
            entries = seals.numbered(connection, account, after=before, limit=_PAGE)
            full = len(entries) == _PAGE
            drafts = _budgets(connection, account, entries, full, ledger.now_by(connection))
            drafts += _disputes(connection, account, entries)
            if not full:
                drafts += _asked(connection, account) + _approvals(connection, account)
                drafts += _breaches(connection, account) + _drifts(connection, account)
        if drafts or entries:
            with ledger.write() as connection:
                until = entries[-1]["number"] if entries else before
                if not seals.note_alerted(connection, account, before, until) and entries:
                    return noticed  # another process is at it
                alerts.add(connection, account, drafts, ledger.now())
        noticed += len(drafts)
        if not full:
            return noticed


def _budgets(connection: Connection, account: Account, entries: Sequence[Row], full: bool, now: float) -> list[Draft]:
    touched = Touched(exact=not full)
    for entry in entries:
        touched.take(_detail(entry))
    if not full:
        # What the cells have of these entries is not in the past yet.
        seq = 0
        while later := seals.unsealed(connection, account, after=seq, limit=_PAGE):
            for entry in later:
                touched.take_later(_detail(entry))
            seq = later[-1]["seq"]
    if not touched.cells:
        return []
    usages = usage.of_cells(connection, account, touched.cells)
    treasury = treasuries.read(connection, account)
    enacted = None if treasury is None else rulebooks.read(connection, account, treasury.rulebook)
    found = budget_drafts(usages, touched, THRESHOLDS if enacted is None else enacted.book.alerts_at, now)
    told = alerts.known(connection, account, AlertKind.BUDGET, {name for one in found for name in one.covered_by})
    return [one.draft for one in found if not told & one.covered_by]


def _detail(entry: Row) -> dict[str, Any]:
    """What an entry says; nothing if that cannot be read, which `authority.verifying` finds: others wait to be told."""
    try:
        detail = json.loads(entry["detail"])
    except ValueError:
        return {}
    return detail if isinstance(detail, dict) else {}


def _disputes(connection: Connection, account: Account, entries: Sequence[Row]) -> list[Draft]:
    drafts = []
    confirmed = []
    for entry in entries:
        if entry["event"] == DISPUTE_OPENED:
            detail = _detail(entry)
            by = str(detail["by"]) if "by" in detail else None
            drafts.append(wording.dispute(account, str(detail["transactionId"]), by, entry["agent"], None))
        elif entry["after"] == Stage.CONFIRMED.value and entry["operation_id"] is not None:
            confirmed.append(entry["operation_id"])
    if confirmed:
        query = select(operations.c.id, operations.c.agent, operations.c.transaction_id).where(
            among(connection, operations.c.id, confirmed),
            operations.c.type == IntentType.DISPUTE_ESCROW.value,
            operations.c.transaction_id.is_not(None),
        )
        for number, agent, transaction_id in connection.execute(query):
            drafts.append(wording.dispute(account, transaction_id, account.wallet, agent, number))
    return drafts


def _untold(account: Account, kind: AlertKind, reference: ColumnElement[str]) -> ColumnElement[bool]:
    told = (
        account.owns(alert_rows),
        alert_rows.c.kind == kind.value,
        alert_rows.c.reference == reference,
    )
    return ~exists().where(*told)


def _asked(connection: Connection, account: Account) -> list[Draft]:
    """Requests that wait for a yes."""
    columns = (reservations.c.agent, reservations.c.amount, reservations.c.provider, reservations.c.category)
    query = (
        select(asks.c.approval_id, asks.c.required, asks.c.expires_at, *columns)
        .join(reservations, reservations.c.id == asks.c.reservation_id)
        .where(account.owns(asks), asks.c.state == "waiting", _untold(account, AlertKind.APPROVAL, asks.c.approval_id))
        .order_by(asks.c.reservation_id)
        .limit(_MOST)
    )
    return [wording.asked(*row) for row in connection.execute(query)]


def _approvals(connection: Connection, account: Account) -> list[Draft]:
    """Operations that wait for a yes."""
    reference = "operation-" + cast(approvals.c.operation_id, String)
    query = (
        select(operations.c.id, operations.c.agent, operations.c.type, approvals.c.expires_at)
        .join(operations, operations.c.id == approvals.c.operation_id)
        .where(
            account.owns(approvals),
            approvals.c.state == "waiting",
            _untold(account, AlertKind.APPROVAL, reference),
        )
        .order_by(operations.c.id)
        .limit(_MOST)
    )
    return [wording.operation_waits(*row) for row in connection.execute(query)]


def _breaches(connection: Connection, account: Account) -> list[Draft]:
    columns = (breaches.c.id, breaches.c.kind, breaches.c.operation_id, breaches.c.tx_hash, breaches.c.block_number)
    query = (
        select(*columns)
        .where(
            account.owns(breaches),
            breaches.c.severity == "breach",
            _untold(account, AlertKind.BREACH, cast(breaches.c.id, String)),
        )
        .order_by(breaches.c.id)
        .limit(_MOST)
    )
    return [wording.breach(account, *row) for row in connection.execute(query)]


def _drifts(connection: Connection, account: Account) -> list[Draft]:
    """Drifts that are not those of the reconciliation before."""
    columns = (reconciliations.c.id, reconciliations.c.drift, reconciliations.c.action, reconciliations.c.block_number)
    query = select(*columns).where(account.owns(reconciliations)).order_by(reconciliations.c.id.desc()).limit(_MOST)
    newest = list(connection.execute(query))
    drafts = []
    for index, one in enumerate(newest):
        before = newest[index + 1] if index + 1 < len(newest) else None
        if before is None and len(newest) == _MOST:
            continue  # what was before it is not here; it had its turn
        if one.drift != "0" and (before is None or one.drift != before.drift):
            drafts.append(wording.drift(account, one.id, one.drift, one.action, one.block_number))
    told = alerts.known(connection, account, AlertKind.DRIFT, {one.reference for one in drafts})
    return [one for one in reversed(drafts) if one.reference not in told]
