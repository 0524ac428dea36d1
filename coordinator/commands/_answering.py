"""Answers to what waits for a yes, of either kind: requests at the budget authority, operations at the lifecycle."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from actp.command_line import ExitCode
from actp.errors import ConfigError
from coordinator.budget.words import Answer, ReservationState
from coordinator.commands._opening import authority
from coordinator.errors import LedgerConflict

if TYPE_CHECKING:
    from coordinator.lifecycle.approving import Approving
    from coordinator.store import Ledger
    from coordinator.store.accounts import Account
    from coordinator.types import Operation

__all__ = ["Said", "approve", "operation_named", "reject"]

_OPERATION = re.compile(r"operation-([1-9][0-9]{0,17})\Z")
_TRIES = 5
_GRANTED = (
    ReservationState.HELD, ReservationState.SUBMITTING, ReservationState.ON_CHAIN, ReservationState.COMMITTED,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Said:
    """What became of an answer: a sentence, the same for programs, and the exit code."""

    sentence: str
    content: dict[str, Any]
    code: ExitCode


@dataclass(frozen=True, slots=True)
class _Records:
    """What the lifecycle needs to write an answer down."""

    ledger: Ledger
    account: Account
    genesis: str
    transport: None = None


def operation_named(approval_id: str) -> int | None:
    """The operation that is meant by `operation-12`, None if it is a request's approval."""
    named = _OPERATION.match(approval_id)
    return None if named is None else int(named[1])


def approve(ledger: Ledger, account: Account, approval_id: str, by: str | None, reason: str) -> Said:
    """Says yes. Raises UnknownApproval, UnknownOperation, NotWaiting, OwnApproval, InvalidInput, StoreError."""
    number = operation_named(approval_id)
    if number is not None:
        name = by or "operator"
        return _of_operation(_retried(lambda: _approving(ledger, account).approve(number, name, reason)))
    with authority(ledger, account) as made:
        answer = made.approve(approval_id, by, reason)
    return _of_answer(answer, _yes(ledger, account, approval_id))


def reject(ledger: Ledger, account: Account, approval_id: str, by: str | None, reason: str) -> Said:
    """Says no, which ends it. Raises as `approve`."""
    number = operation_named(approval_id)
    if number is not None:
        name = by or "operator"
        operation = _retried(lambda: _approving(ledger, account).reject(number, name, reason))
        return Said(f"Operation {number} is rejected.", _operation_json(operation), ExitCode.OK)
    with authority(ledger, account) as made:
        answer = made.reject(approval_id, by, reason)
    if answer.state is ReservationState.RELEASED and not answer.replayed:
        content = _answer_json(answer)
        return Said(f"Request {answer.reservation_id} is rejected, and its budget is free.", content, ExitCode.OK)
    return _of_answer(answer, _yes(ledger, account, approval_id))


def _yes(ledger: Ledger, account: Account, approval_id: str) -> dict[str, int]:
    """How many have said yes, and how many have to."""
    from coordinator.store import asks

    with ledger.read() as connection:
        asked = asks.by_approval(connection, account, approval_id)
        if asked is None:
            return {}
        votes = asks.votes_of(connection, asked.reservation_id)
    return {"yes": sum(one.yes for one in votes), "required": asked.required}


def _of_answer(answer: Answer, counted: dict[str, int]) -> Said:
    content, number = _answer_json(answer) | counted, answer.reservation_id
    because = "" if answer.denial is None else f": {answer.denial.message}"
    if answer.state in _GRANTED:
        how = "was granted before" if answer.replayed else "is granted; the worker funds it"
        return Said(f"Request {number} {how}. Transaction {answer.transaction_id}", content, ExitCode.OK)
    if answer.state is not ReservationState.PENDING_APPROVAL:
        return Said(f"Request {number} is {answer.state.value}{because}", content, ExitCode.DENIED)
    if answer.denial is not None:
        return Said(f"This does not count{because}. Request {number} still waits.", content, ExitCode.DENIED)
    given = f"{counted.get('yes', 0)} of {counted.get('required', 1)}"
    return Said(
        f"Noted. Request {number} has {given} approvals, and needs all of them.", content, ExitCode.WAITS_FOR_APPROVAL
    )


def _of_operation(operation: Operation) -> Said:
    sentence = f"Operation {operation.id} is approved; the worker judges it again and carries it out."
    return Said(sentence, _operation_json(operation), ExitCode.OK)


def _answer_json(answer: Answer) -> dict[str, Any]:
    denial = answer.denial
    return {
        "approval_id": answer.approval_id,
        "request": answer.reservation_id,
        "state": answer.state.value,
        "transaction_id": answer.transaction_id,
        "answered_before": answer.replayed,
        "rule": None if denial is None else denial.rule,
        "reason": None if denial is None else denial.message,
    }


def _operation_json(operation: Operation) -> dict[str, Any]:
    return {"approval_id": f"operation-{operation.id}", "operation": operation.id, "stage": operation.stage.value}


def _approving(ledger: Ledger, account: Account) -> Approving:
    from coordinator.lifecycle.approving import Approving
    from coordinator.proofs import ProofKey

    genesis = ledger.store.genesis(account.chain_id)
    if genesis is None:
        raise ConfigError(
            f"The store does not know chain {account.chain_id}.", hint="Nothing was ever carried out in it."
        )
    return Approving(_Records(ledger, account, genesis), ProofKey.for_store(ledger.store.engine.url))


def _retried(answer: Callable[[], Operation]) -> Operation:
    """The worker writes all the time: what it was faster with is read again."""
    for left in reversed(range(_TRIES)):
        try:
            return answer()
        except LedgerConflict:
            if not left:
                raise
    raise AssertionError("unreachable")
