"""From an answer of the authority, or a reservation, to the response that programs get."""

from __future__ import annotations

from dataclasses import replace

from coordinator.api.records import SpendingResponse
from coordinator.budget.words import Answer, Denial, Reservation, ReservationState

__all__ = ["GRANTED", "NOT_FOUND", "already_answered", "of_answer", "of_reservation"]

_S = ReservationState

GRANTED = frozenset({_S.HELD, _S.SUBMITTING, _S.ON_CHAIN, _S.COMMITTED})
"""States of requests that were granted, and have not failed."""

NOT_FOUND = SpendingResponse(False, reason="Approval not found", rule="unknown_approval")

_EXECUTION_FAILED = "execution_failed"


def of_answer(answer: Answer) -> SpendingResponse:
    """What became of a request when it was decided."""
    found = _response(answer.reservation_id, answer.state, answer.transaction_id, answer.denial)
    if answer.state is not _S.PENDING_APPROVAL:
        return found
    reason = f"Amount exceeds auto-approval threshold. Approval ID: {answer.approval_id}"
    return replace(found, requires_approval=True, approval_id=answer.approval_id, reason=found.reason or reason)


def of_reservation(row: Reservation) -> SpendingResponse:
    """What has become of a request since."""
    return _response(row.id, row.state, row.transaction_id, row.denial)


def already_answered(answer: Answer) -> SpendingResponse:
    """The response to somebody who answers what was answered before."""
    found = of_answer(answer)
    if not found.approved:
        return found
    return replace(
        found, approved=False, reason=f"Already approved. Transaction: {answer.transaction_id}", rule="not_waiting"
    )


def _response(number: int, state: ReservationState, transaction_id: str, denial: Denial | None) -> SpendingResponse:
    granted = state in GRANTED
    found = SpendingResponse(
        granted, tx_id=transaction_id if granted else None, state=str(state), reservation_id=number
    )
    if denial is None:
        return found
    if denial.rule == _S.RELEASED:
        # It was granted, and what was to carry it out could not.
        return replace(found, reason=f"Execution failed: {denial.message}", rule=_EXECUTION_FAILED)
    return replace(found, reason=denial.message, rule=str(denial.rule), limit=denial.limit, used=denial.used)
