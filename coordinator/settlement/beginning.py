"""Beginning what is due: the operations' rows and the claims on their escrows are one commit."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection

from coordinator.crash import CrashPoint, point
from coordinator.errors import LedgerConflict
from coordinator.lifecycle import Lifecycle, Request
from coordinator.settlement.choosing import Group
from coordinator.settlement.served import Served
from coordinator.settlement.settings import SettlementSettings
from coordinator.store import index_actions, operations
from coordinator.store.accounts import Account
from coordinator.store.index_credits import Credit
from coordinator.store.index_words import Due
from coordinator.types import IntentType

__all__ = ["AGENT", "Beginning"]

AGENT = "settlement"
"""The agent in whose name a bot's operations are recorded."""

_log = logging.getLogger(__name__)
_HOUR = 3600
_TYPES: Mapping[Due, IntentType] = {
    Due.SETTLE: IntentType.RELEASE_ESCROW,
    Due.REFUND: IntentType.REFUND_ESCROW,
    Due.CLOSE: IntentType.CLOSE_DISPUTE,
}


class Beginning:
    """Hands operations to the lifecycle of one wallet. For one thread."""

    def __init__(self, lifecycle: Lifecycle, account: Account, settings: SettlementSettings) -> None:
        self._lifecycle = lifecycle
        self._account = account
        self._settings = settings

    def begin(self, served: Served, groups: Sequence[Group]) -> int:
        """Begins all of these groups, or none of them; how many escrows they are about. None if somebody else has begun
        any of it since it was looked at. Raises AgentPaused, StoreError.
        """
        if not groups:
            return 0
        ledger = self._lifecycle.ledger
        try:
            with ledger.write() as connection:
                made = self._lifecycle.submit_all([self._request(served, one) for one in groups], connection=connection)
                now = ledger.now()
                for group, operation in zip(groups, made, strict=True):
                    index_actions.claim(connection, served.kernel_id, group.kind, group.ids, operation.id, now)
                point(CrashPoint.BEFORE_CLAIM)
        except LedgerConflict as error:
            _log.info("%s", error)
            return 0
        point(CrashPoint.AFTER_CLAIM)
        return sum(len(one.members) for one in groups)

    def push(self, served: Served, credits: Sequence[Credit]) -> int:
        """Begins to push what the kernel owes, once an hour for the same amount at most: a token that refuses somebody
        goes on to do so for long. How many that are new. Raises AgentPaused, StoreError.
        """
        fields: list[tuple[IntentType, dict[str, Any], str]] = [
            (IntentType.WITHDRAW_CREDIT, {"payee": one.payee}, f"credit-{served}-{one.payee}-{one.amount}")
            for one in credits
        ]
        return self._withdraw(served, fields)

    def take_fees(self, served: Served) -> int:
        """Begins to take the fees that have accrued, once an hour at most; 0 if that was begun. Raises as `push`."""
        return self._withdraw(served, [(IntentType.WITHDRAW_FEES, {}, f"fees-{served}")])

    def _withdraw(self, served: Served, wanted: Sequence[tuple[IntentType, dict[str, Any], str]]) -> int:
        if not wanted:
            return 0
        ledger = self._lifecycle.ledger
        hour = int(ledger.now() // _HOUR)
        requests = [
            Request(kind, self._about(served, fields, 1), AGENT, f"{key}-{hour}") for kind, fields, key in wanted
        ]
        with ledger.write() as connection:
            fresh = self._fresh(connection, requests)
            if fresh:
                self._lifecycle.submit_all(fresh, connection=connection)
        return len(fresh)

    def _fresh(self, connection: Connection, requests: Sequence[Request]) -> list[Request]:
        known = operations.by_keys(connection, self._account, [(one.agent, one.key or "") for one in requests])
        return [one for one in requests if (one.agent, one.key or "") not in known]

    def _request(self, served: Served, group: Group) -> Request:
        if len(group.members) > 1:
            fields: dict[str, Any] = {"transaction_ids": list(group.ids)}
            kind = IntentType.SETTLE_ESCROW_BATCH
        else:
            # By itself, so that what speaks against it is told by name.
            fields, kind = {"transaction_id": group.ids[0]}, _TYPES[group.kind]
        return Request(kind, self._about(served, fields, len(group.members)), AGENT)

    def _about(self, served: Served, fields: Mapping[str, Any], escrows: int) -> dict[str, Any]:
        limit = self._settings.gas.per_escrow
        more = {} if limit is None else {"max_fee_wei": str(limit * escrows)}
        return {**fields, "kernel": served.client.kernel.address, **more}
