"""Handing grants to the lifecycle: each becomes an operation once, whatever crashes and however many hand on."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from sqlalchemy import Connection

from actp.client import ACTPClient
from actp.errors import ActpError, InvalidInput
from actp.payments import MAX_BATCH
from coordinator.authority import Authority, Change, move_all
from coordinator.budget.words import Reservation, ReservationState
from coordinator.crash import CrashPoint, point
from coordinator.errors import InvalidIntent
from coordinator.intents import parse
from coordinator.lifecycle import Lifecycle, Request
from coordinator.policy import PolicySettings
from coordinator.store import dispatches, operations, pauses, reservations
from coordinator.store.dispatches import WAITING, Dispatch
from coordinator.types import IntentType
from coordinator.worker import measuring, saying
from coordinator.worker.sessions import Session

__all__ = ["Dispatching"]

_log = logging.getLogger(__name__)

_MOST = 500
"""How many grants are handed on in one commit."""

_JUDGED = ("quoted_amount", "quoted_at", "service")
"""What rules look at, and orders of a batch do not have."""

_Granted = tuple[Dispatch, Reservation]


class Dispatching:
    """Hands on the grants of one treasury, in a session only what fits into it. For one thread."""

    def __init__(
        self, client: ACTPClient, authority: Authority, lifecycle: Lifecycle, session: Session | None = None
    ) -> None:
        self._client = client
        self._authority = authority
        self._session = session
        self._lifecycle = lifecycle
        # A batch is judged as a whole, so several are put into one only where no rule looks at single ones: whether a
        # purchase is allowed must not depend on what else waits.
        self._batches = lifecycle.policy == PolicySettings()

    def round(self) -> bool:
        """Hands on what waits, but not that of whoever is paused; whether there was anything. The operation, and the
        note that it carries out the grant, are one commit.

        Raises RpcUnavailable, AgentPaused (if somebody is just being paused), LedgerConflict, StoreError with nothing
        changed.
        """
        authority = self._authority
        with authority.ledger.read() as connection:
            due = self._due(connection)
        if due and self._session is not None:
            due = self._session.admit(due)
        if not due:
            return False
        now = self._client.now()
        with authority.ledger.write() as connection:
            # Whoever else hands on waits here, and then finds that these wait no more.
            ids = [one.reservation_id for one in due]
            held = reservations.by_ids(connection, ids, lock=True)
            still = dispatches.by_reservations(connection, ids)
            granted = [
                (one, held[one.reservation_id])
                for one in sorted(still.values(), key=lambda one: one.id)
                if one.state == WAITING and held[one.reservation_id].state is ReservationState.HELD
            ]
            lines = self._hand(connection, granted, now)
            point(CrashPoint.BEFORE_DISPATCH)
        point(CrashPoint.AFTER_DISPATCH)
        for line in lines:
            _log.info("%s", line)
        measuring.dispatched(granted, authority.ledger.now())
        return bool(granted)

    def _due(self, connection: Connection) -> list[Dispatch]:
        account = self._authority.account
        paused = pauses.active(connection, account)
        if pauses.TREASURY in paused:
            return []
        return dispatches.waiting(connection, account, without_agents=tuple(paused), limit=_MOST)

    def _hand(self, connection: Connection, granted: Sequence[_Granted], now: int) -> list[str]:
        """Hands these on; what the log is to say of it once it is committed."""
        account = self._authority.account
        changes, possible, lines = [], [], []
        for one in granted:
            refusal = _refusal(_request([one], now))
            if refusal is None:
                possible.append(one)
            else:
                _log.error("A grant of %s can never be carried out: %s", one[1].agent, refusal.message)
                changes.append(Change(one[1].id, ReservationState.RELEASED, reason=refusal.message))
        carried = self._groups(possible)
        requests = [_request(group, now) for group in carried]
        known = operations.by_keys(connection, account, [(one.agent, one.key or "") for one in requests])
        fresh = [one for one in requests if (one.agent, one.key) not in known]
        made = self._lifecycle.submit_all(fresh, connection=connection) if fresh else []
        known |= {(one.agent, one.key): one for one in made}
        numbers: dict[int, int] = {}
        for request, group in zip(requests, carried, strict=True):
            operation = known[request.agent, request.key or ""]
            numbers |= {dispatch.id: operation.id for dispatch, _ in group}
            changes += [Change(row.id, row.state, operation_id=operation.id) for _, row in group]
            lines.append(saying.handed_on(request.agent, operation.id, [row.id for _, row in group]))
        dispatches.hand(connection, numbers)
        moved = move_all(connection, account, changes, self._authority.ledger.now_by(connection))
        return [*lines, *saying.changes({row.id: row.state for _, row in granted}, moved)]

    def _groups(self, granted: Sequence[_Granted]) -> list[list[_Granted]]:
        """What becomes one operation each: several of one agent, or one."""
        together: list[list[_Granted]] = []
        single: list[list[_Granted]] = []
        by_agent = sorted(granted, key=lambda one: one[0].agent)
        for _, mine in groupby(by_agent, key=lambda one: one[0].agent):
            batch: list[_Granted] = []
            for one in mine:
                if self._batches and not one[0].alone and not any(name in one[1].terms for name in _JUDGED):
                    batch.append(one)
                else:
                    single.append([one])
            together += [batch[start : start + MAX_BATCH] for start in range(0, len(batch), MAX_BATCH)]
        return sorted([*together, *single], key=lambda group: group[0][0].id)


def _request(group: Sequence[_Granted], now: int) -> Request:
    """The intent that carries out these grants of one agent. Its key follows from them, so that it is one operation
    however often this is done.
    """
    first = group[0][1]
    if len(group) == 1:
        intent = _order(first, now) | {name: first.terms[name] for name in _JUDGED if name in first.terms}
        return Request(IntentType.CREATE_ESCROW, intent, first.agent, f"grant-{first.transaction_id}")
    orders = [_order(row, now) for _, row in group]
    return Request(
        IntentType.CREATE_ESCROW_BATCH, {"orders": orders}, first.agent, f"grants-{first.transaction_id}-{len(group)}"
    )


def _order(row: Reservation, now: int) -> dict[str, Any]:
    terms: Mapping[str, Any] = row.terms
    order = {
        "escrow_numeric_id": str(row.number),
        "provider": row.provider,
        "amount": str(row.amount),
        "deadline": now + int(terms["deadline_seconds"]),
        "dispute_window": int(terms["dispute_window"]),
    }
    if "terms" in terms:
        order["terms"] = terms["terms"]
    return order


def _refusal(request: Request) -> ActpError | None:
    try:
        parse(request.type, request.intent)
    except (InvalidIntent, InvalidInput) as error:
        return error
    return None
