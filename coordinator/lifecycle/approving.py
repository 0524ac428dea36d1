"""The approval gate: a yes sends an operation back to be simulated and judged again, a no or no answer ends it."""

from __future__ import annotations

import unicodedata

from coordinator.errors import NotWaiting, OwnApproval, UnknownOperation
from coordinator.lifecycle.desk import Records
from coordinator.lifecycle.handing import take_out
from coordinator.lifecycle.naming import require_name, require_text
from coordinator.lifecycle.proving import Ended, Links, after
from coordinator.proofs import ProofKey
from coordinator.store import approvals, decisions, moving, operations
from coordinator.store.approvals import Approval, ApprovalState
from coordinator.store.moving import Move, Step
from coordinator.types import Operation, Stage

__all__ = ["Approving"]

_EXPIRED = "approval_expired"


class Approving:
    """Answers for one wallet, wherever they are given: neither its client nor a node is needed. Thread-safe."""

    def __init__(self, desk: Records, key: ProofKey) -> None:
        self._desk = desk
        self._key = key

    def approve(self, operation_id: int, by: str, reason: str = "") -> Operation:
        """Says yes. It is simulated and judged again before anything is signed. A second yes of the same person
        changes nothing. Raises InvalidInput, UnknownOperation, OwnApproval (by the agent who asked for it), NotWaiting,
        LedgerConflict, StoreError.
        """
        operation, known = self._find(operation_id, by, reason)
        if _same(by, operation.agent):
            raise OwnApproval(
                f"Operation {operation.id} was asked for by {operation.agent}, who may not approve it.",
                hint="Let somebody else look at it.",
            )
        if known is not None and known.state is ApprovalState.APPROVED and known.by == by:
            return operation
        self._require_waiting(operation, known)
        desk = self._desk
        now = desk.ledger.now()
        detail = {"by": by, "reason": reason}
        move = Move(operation, (Step(Stage.SIMULATING, "approved", detail),), {"code": None, "reason": None})
        with desk.ledger.write() as connection:
            if not approvals.answer(connection, operation_id, ApprovalState.APPROVED, by=by, reason=reason, now=now):
                raise _not_waiting(operation, "Somebody else has answered meanwhile")
            moving.move(connection, desk.account, [move], now)
        return after(move, now)

    def reject(self, operation_id: int, by: str, reason: str) -> Operation:
        """Says no, which ends it. Raises as `approve`."""
        operation, known = self._find(operation_id, by, reason)
        if known is not None and known.state is ApprovalState.REJECTED and known.by == by:
            return operation
        self._require_waiting(operation, known)
        desk = self._desk
        now = desk.ledger.now()
        move = _ending(operation, "rejected", f"{by} said no: {reason}", {"by": by, "reason": reason})
        links = self._prove([move], now)
        with desk.ledger.write() as connection:
            if not approvals.answer(connection, operation_id, ApprovalState.REJECTED, by=by, reason=reason, now=now):
                raise _not_waiting(operation, "Somebody else has answered meanwhile")
            moving.move(connection, desk.account, [move], now)
            take_out(connection, [after(move, now)], now)
            links.write(connection, now)
        return after(move, now)

    def expire(self) -> bool:
        """Ends what nobody has answered in time; whether there was anything. Raises LedgerConflict, StoreError."""
        desk = self._desk
        now = desk.ledger.now()
        with desk.ledger.read() as connection:
            overdue = approvals.overdue(connection, desk.account, now)
            found = operations.by_ids(connection, overdue)
        late = [one for one in found.values() if one.stage is Stage.APPROVAL_GATE]
        if not late:
            return False
        moves = [_ending(one, _EXPIRED, "Nobody has answered in time.", {}) for one in late]
        links = self._prove(moves, now)
        with desk.ledger.write() as connection:
            approvals.expire(connection, [one.id for one in late], now)
            moving.move(connection, desk.account, moves, now)
            take_out(connection, [after(move, now) for move in moves], now)
            links.write(connection, now)
        return True

    def waiting(self) -> list[tuple[Operation, Approval]]:
        """What waits for an answer, the most urgent first."""
        with self._desk.ledger.read() as connection:
            asked = approvals.waiting(connection, self._desk.account)
            found = operations.by_ids(connection, [one.operation_id for one in asked])
        return [(found[one.operation_id], one) for one in asked]

    def _prove(self, moves: list[Move], now: float) -> Links:
        with self._desk.ledger.read() as connection:
            decided = decisions.latest(connection, [move.operation.id for move in moves])
        links = Links.at_end(self._desk, self._key)
        links.prove([Ended(after(move, now), decided.get(move.operation.id)) for move in moves])
        return links

    def _find(self, operation_id: int, by: str, reason: str) -> tuple[Operation, Approval | None]:
        require_name(by, "The name of whoever answers")
        require_text(reason, "A reason")
        with self._desk.ledger.read() as connection:
            operation = operations.by_id(connection, operation_id)
            known = approvals.by_operation(connection, [operation_id]).get(operation_id)
        account = self._desk.account
        if operation is None or (operation.chain_id, operation.wallet) != (account.chain_id, account.wallet):
            raise UnknownOperation(f"There is no operation {operation_id} of {account.wallet}.")
        return operation, known

    def _require_waiting(self, operation: Operation, known: Approval | None) -> None:
        if known is None or operation.stage is not Stage.APPROVAL_GATE or known.state is not ApprovalState.WAITING:
            raise _not_waiting(operation, f"It is {operation.stage.value}")
        if known.expires_at <= self._desk.ledger.now():
            raise _not_waiting(operation, "Its approval has expired")


def _same(one: str, other: str) -> bool:
    """Whether two names are one, however they are written: a person would not see the difference."""
    return _plain(one) == _plain(other)


def _plain(name: str) -> str:
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold()).strip()


def _not_waiting(operation: Operation, why: str) -> NotWaiting:
    return NotWaiting(f"Operation {operation.id} waits for no approval. {why}.", hint="Nothing was changed.")


def _ending(operation: Operation, code: str, reason: str, detail: dict[str, str]) -> Move:
    values = {"code": code, "reason": reason, "failed_at": Stage.APPROVAL_GATE.value, "final": True}
    return Move(operation, (Step(Stage.FAILED, code, {"code": code, **detail}),), values)
