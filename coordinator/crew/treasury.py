"""The treasury's operations. Nothing else uses its key: whatever else that key signed would be a breach."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from actp.client import ACTPClient
from actp.errors import ActpError
from coordinator.crew.scenario import Purchase
from coordinator.crew.stage import LineCut, Stage
from coordinator.lifecycle import Lifecycle, Request
from coordinator.types import IntentType, Operation
from coordinator.types import Stage as OperationStage

__all__ = ["Treasury"]

_PATIENCE_SECONDS = 60.0
_MOST_ROUNDS = 100


class Treasury:
    """Sees one operation after the other through, and remembers which purchase it was for."""

    def __init__(self, stage: Stage, *, standing_allowance: int) -> None:
        """`standing_allowance` is what the vault may take in all, in base units. The delta guard begins here."""
        self._stage = stage
        self._standing = standing_allowance
        self._count: Counter[str] = Counter()
        self._unheard: dict[str, tuple[Request, Operation]] = {}
        self.purchases: dict[int, str] = {}
        """The purchase of each operation by its number; what the lifecycle asks for itself has none."""
        self.lifecycle = self._begin(stage.treasury)
        self.look()

    def look(self) -> None:
        """Lets the delta guard examine everything up to the newest block. Raises ActpError if it cannot."""
        for _ in range(_MOST_ROUNDS):
            if not self.lifecycle.step():
                return
        raise ActpError("There is always something left to do.", code="scenario")

    def carry_out(self, purchase: Purchase, type: IntentType, *intents: Mapping[str, Any]) -> list[Operation]:
        """The operations of these intents, all confirmed. Raises ActpError if one fails or is held up."""
        submitted = self.lifecycle.submit_all([self._request(purchase, type, intent) for intent in intents])
        self._note(purchase, *submitted)
        return [self._confirmed(one) for one in submitted]

    def break_off(self, purchase: Purchase, type: IntentType, intent: Mapping[str, Any]) -> None:
        """A process hands the intent in, and ends when its line breaks: right after the node has taken the call."""
        request = self._request(purchase, type, intent)
        self.lifecycle.close()
        breaking = self._begin(self._stage.treasury_on_a_bad_line())
        (operation,) = breaking.submit_all([request])
        try:
            breaking.wait(operation.id, _PATIENCE_SECONDS)
        except LineCut:
            pass
        else:
            raise ActpError("The line did not break.", code="scenario")
        finally:
            breaking.close()
        self._note(purchase, operation)
        self._unheard[purchase.id] = request, operation

    def ask_again(self, purchase: Purchase) -> Operation:
        """The next process hands the same intent in under the same key; the one operation that there is."""
        request, unheard = self._unheard[purchase.id]
        self.lifecycle = self._begin(self._stage.treasury)
        (again,) = self.lifecycle.submit_all([request])
        if again.id != unheard.id:
            raise ActpError(f"Purchase {purchase.id!r} was asked for a second time.", code="scenario")
        return self._confirmed(again)

    def _begin(self, client: ACTPClient) -> Lifecycle:
        stage = self._stage
        return Lifecycle(client, store=stage.store, standing_allowance=self._standing, proof_signer=stage.proof_key)

    def _request(self, purchase: Purchase, type: IntentType, intent: Mapping[str, Any]) -> Request:
        self._count[purchase.id] += 1
        return Request(type, intent, purchase.agent, f"{purchase.id}/{self._count[purchase.id]}")

    def _note(self, purchase: Purchase, *operations: Operation) -> None:
        self.purchases.update((one.id, purchase.id) for one in operations)

    def _confirmed(self, operation: Operation) -> Operation:
        done = self.lifecycle.wait(operation.id, _PATIENCE_SECONDS)
        if done.stage is not OperationStage.CONFIRMED:
            where = done.stage if done.failed_at is None else f"{done.stage} at {done.failed_at}"
            raise ActpError(
                f"Operation {done.id} ({done.type} for {done.agent}) is {where}: {done.reason or 'nothing is known.'}",
                code=done.code or "scenario",
            )
        return done
