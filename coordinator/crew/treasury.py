"""The treasury's worker and its operations. Nothing else uses its key: whatever else it signed would be a breach."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from actp.client import ACTPClient
from actp.errors import ActpError
from coordinator.api import SpendingResponse
from coordinator.authority import Authority
from coordinator.budget.words import Reservation, ReservationState
from coordinator.crew.scenario import Purchase
from coordinator.crew.stage import LineCut, Stage
from coordinator.lifecycle import Lifecycle, Request
from coordinator.store import open_ledger
from coordinator.store.accounts import Account
from coordinator.types import IntentType, Operation
from coordinator.types import Stage as OperationStage
from coordinator.worker import Worker

__all__ = ["Treasury"]

_PATIENCE_SECONDS = 60.0
_MOST_ROUNDS = 100
_FUNDED = (ReservationState.ON_CHAIN, ReservationState.COMMITTED)


class Treasury:
    """Funds what was granted, sees one operation after the other through, and remembers which purchase it was for."""

    def __init__(self, stage: Stage, *, standing_allowance: int) -> None:
        """`standing_allowance` is what the vault may take in all, in base units. The delta guard begins here."""
        self._stage = stage
        self._standing = standing_allowance
        self._count: Counter[str] = Counter()
        self.account = Account(stage.endpoint.chain_id, stage.treasury.address)
        self.authority = Authority(open_ledger(stage.store), self.account, token=stage.token_address)
        self.purchases: dict[int, str] = {}
        """The purchase of each operation by its number; what the lifecycle asks for itself has none."""
        self._begin(stage.treasury)
        self.look()

    def close(self) -> None:
        """Lets go of the ledger."""
        self._lifecycle.close()
        self.authority.close()

    def look(self) -> None:
        """Lets the worker do what there is to do: the delta guard examines everything up to the newest block, what came
        back returns to the budget, what waits for too long expires. Raises ActpError if it cannot.
        """
        for _ in range(_MOST_ROUNDS):
            if not self._worker.step():
                return
        raise ActpError("There is always something left to do.", code="scenario")

    def fund(self, purchase: Purchase, granted: Sequence[SpendingResponse]) -> list[Reservation]:
        """Works until every grant of a purchase lies in escrow. Raises ActpError if one fails."""
        rows = [self._worker.wait(_number(one), _PATIENCE_SECONDS) for one in granted]
        for row in rows:
            if row.state not in _FUNDED:
                why = "nothing is known" if row.denial is None else row.denial.message
                raise ActpError(f"Purchase {purchase.id!r} is {row.state} and not funded: {why}", code="scenario")
            self._note(purchase, row.operation_id)
        return rows

    def break_off(self, purchase: Purchase, granted: SpendingResponse) -> None:
        """Another worker funds a grant, and ends when its line breaks: right after the node has taken the call."""
        self._lifecycle.close()
        self._begin(self._stage.treasury_on_a_bad_line())
        try:
            self._worker.wait(_number(granted), _PATIENCE_SECONDS)
        except LineCut:
            pass
        else:
            raise ActpError("The line did not break.", code="scenario")
        finally:
            self._lifecycle.close()
        row = self.authority.find(_number(granted))
        self._note(purchase, None if row is None else row.operation_id)

    def begin_again(self) -> None:
        """The next worker, which knows what is in the ledger."""
        self._begin(self._stage.treasury)

    def carry_out(self, purchase: Purchase, type: IntentType, *intents: Mapping[str, Any]) -> list[Operation]:
        """The operations of these intents, all confirmed. Raises ActpError if one fails or is held up."""
        submitted = self._lifecycle.submit_all([self._request(purchase, type, intent) for intent in intents])
        for one in submitted:
            self._note(purchase, one.id)
        return [self._confirmed(one) for one in submitted]

    def _begin(self, client: ACTPClient) -> None:
        stage = self._stage
        self._lifecycle = Lifecycle(
            client, store=stage.store, standing_allowance=self._standing, proof_signer=stage.proof_key
        )
        # Whoever wants ledger and chain compared asks for it: in a story of days every round would do it.
        self._worker = Worker(client, self.authority, self._lifecycle, reconcile_seconds=float("inf"))

    def _request(self, purchase: Purchase, type: IntentType, intent: Mapping[str, Any]) -> Request:
        self._count[purchase.id] += 1
        return Request(type, intent, purchase.agent, f"{purchase.id}/{self._count[purchase.id]}")

    def _note(self, purchase: Purchase, operation_id: int | None) -> None:
        if operation_id is not None:
            self.purchases[operation_id] = purchase.id

    def _confirmed(self, operation: Operation) -> Operation:
        done = self._lifecycle.wait(operation.id, _PATIENCE_SECONDS)
        if done.stage is not OperationStage.CONFIRMED:
            where = done.stage if done.failed_at is None else f"{done.stage} at {done.failed_at}"
            raise ActpError(
                f"Operation {done.id} ({done.type} for {done.agent}) is {where}: {done.reason or 'nothing is known.'}",
                code=done.code or "scenario",
            )
        return done


def _number(response: SpendingResponse) -> int:
    assert response.reservation_id is not None
    return response.reservation_id
