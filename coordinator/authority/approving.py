"""Answers to requests that wait for a yes.

Such a request holds its budget. With the last yes that it needs the hold moves to today's cells, and is decided again
under the rules of that moment: an approval lifts the threshold, and no limit.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from sqlalchemy import Connection

from actp.errors import InvalidInput
from coordinator.authority.counters import FROZEN, Booked, Counters, frozen_denial
from coordinator.authority.deciding import answer_of, gas_of, pause_denial
from coordinator.authority.ending import Change, move_all
from coordinator.authority.expiring import expire_one
from coordinator.authority.shelf import Shelf, Standing
from coordinator.budget.checks import a_name, folded
from coordinator.budget.judging import TREASURY_RULES, called, may_approve, may_reject, rule
from coordinator.budget.words import Answer, Ask, Denial, Reservation, ReservationState, Ruled
from coordinator.crash import CrashPoint, point
from coordinator.errors import LedgerConflict, UnknownApproval
from coordinator.store import asks, dispatches, journal, pauses, reservations, scopes, treasuries
from coordinator.store.accounts import Account
from coordinator.store.asks import AskRow, AskState, Vote

__all__ = ["OPERATOR", "REJECTED", "StillWaits", "Unseen", "approve", "reject", "withdraw"]

OPERATOR = "operator"
"""Who answers without a name: whoever runs this process."""

REJECTED = "rejected"
"""The rule of a denial because somebody said no."""

_LONGEST_REASON = 2_000


class Unseen(Exception):
    """A newer look at the treasury may find what is missing. Nothing was decided."""


class StillWaits(Exception):
    """Somebody has to look at a scope first. Nothing was decided, and as during a pause no yes was counted."""

    def __init__(self, answer: Answer) -> None:
        super().__init__()
        self.answer = answer


def approve(
    connection: Connection,
    account: Account,
    shelf: Shelf,
    approval_id: str,
    approver: str | None,
    reason: str,
    now: float,
    *,
    final: bool = True,
) -> Answer:
    """Counts a yes, and with the last one that is needed decides again.

    A yes that does not count is answered with the reason as denial, and the request still waits. One that was answered
    before is answered in the same way. Raises UnknownApproval, InvalidInput; Unseen, unless it is `final`, if only the
    balance of the treasury that was seen last is in the way; StillWaits while a scope is frozen.
    """
    asked, before = _find(connection, account, approval_id, approver, reason)
    if asked.state is not AskState.WAITING or before.state is not ReservationState.PENDING_APPROVAL:
        return answer_of(before, approval_id)
    if asked.expires_at <= now:
        return _expired(connection, account, asked, now)
    standing = shelf.read(connection)
    paused = pauses.active(connection, account)
    former = shelf.former(connection)
    approver = None if approver is None else called(standing.book, approver)
    objection = _objection(standing, paused, approver, before, former)
    if objection is not None:
        return replace(answer_of(before, approval_id), denial=objection, replayed=False)
    said = asks.votes_of(connection, before.id)
    name = approver or OPERATOR
    if folded(name) not in {folded(one.approver) for one in said}:
        vote = Vote(before.id, name, True, reason, now)
        asks.vote(connection, vote)
        said.append(vote)
    ruled = rule(_ask_of(before), standing.book, standing.treasury)
    required = max(asked.required, ruled.approvals)
    counted = [one.approver for one in said if one.yes and _counts(standing, paused, one.approver, before, former)]
    detail = {"by": name, "reason": reason, "yes": sorted(counted), "required": required}
    if len(counted) < required:
        if len(said) > 0 and required != asked.required:
            asks.close(connection, [before.id], AskState.WAITING, required=required)
        entry = journal.Entry("voted", before.agent, None, before.state, before.state, detail, before.id)
        journal.add(connection, account, [entry], now)
        return replace(answer_of(before, approval_id), replayed=False)
    after = _decide_again(connection, account, before, approval_id, ruled, detail, now, final=final)
    asks.close(connection, [before.id], AskState.APPROVED)
    point(CrashPoint.BEFORE_VOTE)
    return replace(answer_of(after, approval_id), replayed=False)


def reject(
    connection: Connection,
    account: Account,
    shelf: Shelf,
    approval_id: str,
    approver: str | None,
    reason: str,
    now: float,
) -> Answer:
    """Says no, which ends it: one no is enough. Answers and raises as `approve`; a no counts during a pause too."""
    asked, before = _find(connection, account, approval_id, approver, reason)
    if asked.state is not AskState.WAITING or before.state is not ReservationState.PENDING_APPROVAL:
        return answer_of(before, approval_id)
    if asked.expires_at <= now:
        return _expired(connection, account, asked, now)
    book = shelf.read(connection).book
    approver = None if approver is None else called(book, approver)
    objection = may_reject(book, approver, shelf.former(connection))
    if objection is not None:
        return replace(answer_of(before, approval_id), denial=objection, replayed=False)
    return _no(connection, account, asked, before, approver or OPERATOR, reason, now)


def withdraw(connection: Connection, account: Account, approval_id: str, reason: str, now: float) -> Answer:
    """Takes a request that waits back, in the name of its agent: not while that agent, or everything, is paused, or a
    scope that it holds budget of is frozen. Then that is the answer's denial, and it still waits. Answers and raises as
    `approve`.
    """
    asked, before = _find(connection, account, approval_id, None, reason)
    if asked.state is not AskState.WAITING or before.state is not ReservationState.PENDING_APPROVAL:
        return answer_of(before, approval_id)
    if asked.expires_at <= now:
        return _expired(connection, account, asked, now)
    held_up = pause_denial(pauses.active(connection, account), before.agent) or _frozen(connection, before)
    if held_up is not None:
        return replace(answer_of(before, approval_id), denial=held_up, replayed=False)
    return _no(connection, account, asked, before, before.agent, reason, now)


def _frozen(connection: Connection, before: Reservation) -> Denial | None:
    """Why somebody has to look at what it holds budget of first."""
    rows = scopes.by_ids(connection, {one.scope_id for one in before.placed})
    return next((frozen_denial(row.scope, row.frozen) for row in rows.values() if row.frozen is not None), None)


def _no(
    connection: Connection, account: Account, asked: AskRow, before: Reservation, name: str, reason: str, now: float
) -> Answer:
    if name not in {one.approver for one in asks.votes_of(connection, before.id)}:
        asks.vote(connection, Vote(before.id, name, False, reason, now))
    sentence = f"Rejected by {name}" + (f": {reason}" if reason else "")
    change = Change(before.id, ReservationState.RELEASED, reason=sentence, rule=REJECTED)
    (after,) = move_all(connection, account, [change], now)
    asks.close(connection, [before.id], AskState.REJECTED)
    return replace(answer_of(after, asked.approval_id), replayed=False)


def _find(
    connection: Connection, account: Account, approval_id: str, approver: str | None, reason: str
) -> tuple[AskRow, Reservation]:
    if approver is not None:
        a_name(approver, "approver")
    if len(reason) > _LONGEST_REASON:
        raise InvalidInput(f"A reason has at most {_LONGEST_REASON} characters.")
    asked = asks.by_approval(connection, account, approval_id, lock=True)
    if asked is None:
        raise UnknownApproval("Approval not found", hint="Look at the names of those that wait.")
    (before,) = reservations.by_ids(connection, [asked.reservation_id], lock=True).values()
    return asked, before


def _expired(connection: Connection, account: Account, asked: AskRow, now: float) -> Answer:
    expire_one(connection, account, asked.reservation_id, now)
    (after,) = reservations.by_ids(connection, [asked.reservation_id]).values()
    return replace(answer_of(after, asked.approval_id), replayed=False)


def _objection(
    standing: Standing,
    paused: dict[str, pauses.Pause],
    approver: str | None,
    before: Reservation,
    former: Collection[str],
) -> Denial | None:
    """Why this yes cannot count now."""
    held_up = pause_denial(paused, before.agent)
    if held_up is None and approver is not None:
        held_up = pause_denial(paused, approver)
    return held_up or may_approve(standing.book, approver, before.agent, before.amount, former)


def _counts(
    standing: Standing, paused: dict[str, pauses.Pause], name: str, before: Reservation, former: Collection[str]
) -> bool:
    """Whether a yes that was given earlier still counts: who gave it may be paused, demoted or removed by now."""
    return _objection(standing, paused, None if name == OPERATOR else name, before, former) is None


def _ask_of(before: Reservation) -> Ask:
    return Ask(
        before.agent,
        before.key,
        before.provider,
        before.amount,
        before.category,
        before.purpose or "",
        before.body_hash,
        before.number,
        before.transaction_id,
        before.terms,
        approval_demanded=True,
    )


def _decide_again(
    connection: Connection,
    account: Account,
    before: Reservation,
    approval_id: str,
    ruled: Ruled,
    detail: dict[str, object],
    now: float,
    *,
    final: bool,
) -> Reservation:
    charged = {charge.scope for charge in ruled.charges}
    counters = Counters(connection, account, now, charged=charged, placed=before.placed)
    treasury = treasuries.read(connection, account)
    if treasury is None or treasury.rulebook != ruled.rulebook:
        # Whoever changes the rules holds the cells, which are ours only now.
        raise LedgerConflict("The rules have changed.", hint="Nothing was changed. Try again.", retryable=True)
    booked = Booked()
    for one in before.placed:
        counters.change(one, 0, -one.amount, booked)
    denial = ruled.denial or counters.objection(ruled.charges)
    if denial is not None and denial.rule in TREASURY_RULES and not final:
        raise Unseen
    if denial is not None and denial.rule == FROZEN:
        raise StillWaits(replace(answer_of(before, approval_id), denial=denial, replayed=False))
    placed = () if denial is not None else reservations.placed_of(counters.reserve(ruled.charges, booked))
    after = replace(
        before,
        state=ReservationState.HELD if denial is None else ReservationState.RELEASED,
        placed=placed,
        promised=denial is None,
        rulebook=ruled.rulebook,
        gas=0 if denial is not None else gas_of(ruled),
        denial=denial,
    )
    counters.write()
    reservations.write(connection, [after], now)
    said = detail | {"rulebook": after.rulebook, "gas": after.gas}
    if denial is None:
        dispatches.add(connection, account, [(after.id, after.agent)], now)
    else:
        said["denial"] = [denial.rule, denial.limit, denial.used]
    event = "approved" if denial is None else after.state.value
    entry = journal.Entry(event, after.agent, None, before.state, after.state, said | booked.detail, after.id)
    journal.add(connection, account, [entry], now)
    return after
