"""The vault's allowance: what would exceed it waits until the treasury's own operation has raised it."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from coordinator.canonical import canonical, sha256
from coordinator.intents import Built, body, parse
from coordinator.lifecycle.desk import TREASURY_AGENT, Desk
from coordinator.lifecycle.submitting import record
from coordinator.lifecycle.treasury import Book
from coordinator.store import operations
from coordinator.store.operations import Draft
from coordinator.types import IntentType, Operation, Stage

__all__ = ["WAITING", "Allowances", "draws"]

WAITING = "waiting_for_allowance"
"""The code of an operation that waits for the vault's allowance."""
_MOST = 2**63 - 1


def draws(desk: Desk, built: Built) -> int:
    """How much of the vault's allowance the call uses up."""
    return sum(
        change.used
        for change in built.effects.allowances
        if change.to is None and (change.token, change.owner, change.spender) == (desk.token, desk.wallet, desk.vault)
    )


@dataclass(frozen=True, slots=True)
class Allowances:
    """The treasury's newest operation that sets the allowance."""

    newest: Operation | None

    @classmethod
    def read(cls, connection: Connection, desk: Desk) -> Allowances:
        """As the store has it."""
        return cls(operations.newest_of(connection, desk.account, TREASURY_AGENT, IntentType.APPROVE_ERC20))

    @property
    def pending(self) -> bool:
        """Whether one is on its way."""
        return self.newest is not None and self.newest.stage not in (Stage.CONFIRMED, Stage.FAILED)

    def refused(self, operation: Operation) -> bool:
        """Whether this operation has waited for one that has failed."""
        return operation.code == WAITING and self.newest is not None and self.newest.stage is Stage.FAILED

    def ask(self, connection: Connection, desk: Desk, book: Book, needs: Sequence[int], standing: int) -> Operation:
        """The operation that raises the allowance to what is needed besides what is on its way, or to `standing`.

        Of several processes that ask at once one does it: they all choose the same key.
        """
        amount = min(max(standing, book.drawn + sum(needs)), _MOST)
        intent = parse(IntentType.APPROVE_ERC20, {"amount": amount})
        written = canonical(body(intent))
        draft = Draft(
            str(uuid.uuid4()),
            TREASURY_AGENT,
            f"allowance-{0 if self.newest is None else self.newest.id}",
            intent.type,
            written.decode(),
            sha256(written),
        )
        known = operations.by_keys(connection, desk.account, [(draft.agent, draft.key)])
        return next(iter(known.values()), None) or record(connection, desk, [draft])[0]
