"""Requests that wait for a yes: they hold their budget, and every answer to them is clear."""

from __future__ import annotations

from dataclasses import replace

import pytest

from actp.errors import InvalidInput
from coordinator.budget.rulebook import ApprovalRules
from coordinator.budget.words import Period, Scope, ScopeKind
from tests.coordinator.api.support import BOSS, USDC, want

DAY = 86_400


@pytest.fixture
def crew(office, clock):
    return office.deciding(clock=clock)


def wait_for(crew, amount=60 * USDC, agent="ann", **more):
    return crew.request_spending(want(amount, agent, **more), wait=False).approval_id


def yes(crew, approval_id, approver=None):
    return crew.approve_spending(approval_id, approver, wait=False)


def test_what_waits_is_listed_as_it_was_asked_for_and_holds_its_budget(crew):
    request = want(60 * USDC, category="data", idempotency_key="k", terms="as agreed")
    approval_id = crew.request_spending(request, wait=False).approval_id
    assert crew.pending_approvals == {approval_id: request}
    report = crew.get_report()
    assert (report["reserved"], report["remaining"]) == (60 * USDC, 540 * USDC)
    assert report["pending_approvals"] == [approval_id]


def test_approvals_of_one_second_have_different_names(crew):
    names = {wait_for(crew) for _ in range(3)}
    assert len(names) == 3


def test_the_operator_approves_and_the_request_is_granted(crew):
    approval_id = wait_for(crew)
    answer = yes(crew, approval_id)
    assert (answer.approved, answer.state) == (True, "held")
    assert answer.tx_id.startswith("0x")
    assert crew.pending_approvals == {}


def test_an_approval_that_nobody_knows_is_told(crew):
    for answer in (yes(crew, "approval-1"), crew.reject_spending("approval-1", "no"), yes(crew, "")):
        assert (answer.approved, answer.reason, answer.rule) == (False, "Approval not found", "unknown_approval")


def test_an_approval_counts_once(crew):
    approval_id = wait_for(crew)
    first = yes(crew, approval_id)
    again = yes(crew, approval_id)
    assert (again.approved, again.rule, again.tx_id) == (False, "not_waiting", first.tx_id)
    assert again.reason == f"Already approved. Transaction: {first.tx_id}"
    no = crew.reject_spending(approval_id, "too late")
    assert (no.approved, no.rule) == (False, "not_waiting")
    assert crew.get_report()["reserved"] == 60 * USDC


def test_nobody_approves_its_own_request(crew):
    approval_id = wait_for(crew)
    answer = yes(crew, approval_id, "ann")
    assert (answer.approved, answer.rule) == (False, "approver")
    assert (answer.requires_approval, answer.reason) == (True, "ann cannot approve its own request")
    assert list(crew.pending_approvals) == [approval_id]


def test_a_senior_agent_approves_up_to_its_own_limit(crew):
    assert yes(crew, wait_for(crew), "boss").approved
    crew.register_agent(replace(BOSS, spending_limit=59 * USDC))
    answer = yes(crew, wait_for(crew), "boss")
    assert (answer.approved, answer.limit) == (False, 59 * USDC)


def test_an_approval_that_nobody_gave_in_time_is_over(crew, clock):
    approval_id = wait_for(crew)
    clock.sleep(DAY + 1)
    assert crew.pending_approvals == {}
    answer = yes(crew, approval_id)
    assert (answer.approved, answer.state, answer.reason) == (False, "expired", "Nobody has approved it in time")
    assert crew.get_report()["reserved"] == 0


def test_a_no_gives_the_budget_back_and_is_final(crew):
    approval_id = wait_for(crew)
    answer = crew.reject_spending(approval_id, "Too dear", "ada")
    assert (answer.approved, answer.reason, answer.rule) == (False, "Rejected by ada: Too dear", "rejected")
    assert crew.get_report()["reserved"] == 0
    again = yes(crew, approval_id)
    assert (again.approved, again.reason) == (False, "Rejected by ada: Too dear")


def test_an_approval_is_no_way_around_a_limit_that_is_lower_by_now(crew):
    approval_id = wait_for(crew)
    crew.total_budget = 59 * USDC
    answer = yes(crew, approval_id)
    assert (answer.approved, answer.rule) == (False, "total_budget")
    assert answer.reason == "Would exceed total budget. Spent: 0.0, Budget: 59.0"
    assert crew.get_report()["reserved"] == 0


def test_it_takes_as_many_yeses_as_the_rules_ask_for(crew):
    crew.apply_rules(replace(crew.rules, approvals=ApprovalRules(required=2)))
    approval_id = wait_for(crew)
    first = yes(crew, approval_id, "ada")
    assert (first.approved, first.requires_approval) == (False, True)
    assert first.reason == f"More approvals are needed. Approval ID: {approval_id}"
    assert yes(crew, approval_id, "ada").approved is False
    assert yes(crew, approval_id).approved


def test_a_request_may_ask_for_a_yes_itself(crew):
    assert crew.request_spending(want(1 * USDC, require_approval=True), wait=False).requires_approval


def test_an_offer_above_what_was_reserved_is_decided_again(crew):
    denied = crew.accept_quote(wait_for(crew, 60 * USDC), 101 * USDC, wait=False)
    assert (denied.rule, crew.get_report()["reserved"]) == ("spending_limit", 0)
    dearer = crew.accept_quote(wait_for(crew, 60 * USDC), 90 * USDC, wait=False)
    assert (dearer.approved, dearer.requires_approval) == (False, True)
    assert (crew.pending_approvals[dearer.approval_id].amount, crew.get_report()["reserved"]) == (90 * USDC, 90 * USDC)
    cheaper = crew.accept_quote(dearer.approval_id, 20 * USDC, wait=False)
    assert (cheaper.approved, crew.get_report()["reserved"]) == (True, 20 * USDC)


def test_an_offer_is_no_way_around_a_yes_that_the_request_asked_for(crew):
    asked = crew.request_spending(want(10 * USDC, require_approval=True), wait=False)
    assert crew.pending_approvals[asked.approval_id].require_approval
    assert crew.accept_quote(asked.approval_id, 9 * USDC, wait=False).requires_approval


def test_an_offer_is_accepted_once_and_only_for_what_waits(crew):
    approval_id = wait_for(crew)
    first = crew.accept_quote(approval_id, 20 * USDC, wait=False)
    again = crew.accept_quote(approval_id, 20 * USDC, wait=False)
    assert (again.approved, again.tx_id, crew.get_report()["reserved"]) == (True, first.tx_id, 20 * USDC)
    other = crew.accept_quote(approval_id, 21 * USDC, wait=False)
    assert (other.approved, other.rule) == (False, "rejected")
    granted = wait_for(crew)
    yes(crew, granted)
    late = crew.accept_quote(granted, 20 * USDC, wait=False)
    assert (late.approved, late.rule) == (False, "not_waiting")
    assert crew.get_report()["reserved"] == 80 * USDC


@pytest.mark.parametrize("who", ["ann", None])
def test_an_offer_during_a_pause_leaves_the_request_waiting(crew, who):
    approval_id = wait_for(crew)
    crew.pause(who, reason="look first")
    answer = crew.accept_quote(approval_id, 20 * USDC, wait=False)
    assert (answer.approved, answer.requires_approval, answer.rule) == (False, True, "paused")
    assert answer.approval_id == approval_id
    assert (list(crew.pending_approvals), crew.get_report()["reserved"]) == ([approval_id], 60 * USDC)
    crew.resume(who, reason="looked")
    assert crew.accept_quote(approval_id, 20 * USDC, wait=False).approved


def test_an_offer_while_a_budget_is_frozen_leaves_the_request_waiting(crew):
    """Else looking into a drift ends what only had to wait for the end of it."""
    approval_id = wait_for(crew)
    token = crew._authority.token
    scope = Scope(ScopeKind.TOTAL, "", Period.EVER, token)
    crew._authority.freeze(scope, "drift")
    answer = crew.accept_quote(approval_id, 20 * USDC, wait=False)
    assert (answer.approved, answer.requires_approval, answer.rule) == (False, True, "scope_frozen")
    assert "drift" in answer.reason
    assert (list(crew.pending_approvals), crew.get_report()["reserved"]) == ([approval_id], 60 * USDC)
    crew._authority.unfreeze(scope, "looked")
    assert crew.accept_quote(approval_id, 20 * USDC, wait=False).approved


def test_an_offer_can_be_taken_where_only_some_may_say_no(crew):
    crew.apply_rules(replace(crew.rules, approvals=ApprovalRules(approvers=("ada",))))
    approval_id = wait_for(crew)
    no = crew.reject_spending(approval_id, "I am ann", "ann")
    assert (no.approved, no.requires_approval, no.rule) == (False, True, "approver")
    assert crew.accept_quote(approval_id, 20 * USDC, wait=False).approved


def test_an_offer_that_is_none_leaves_the_request_waiting(crew):
    approval_id = wait_for(crew)
    with pytest.raises(InvalidInput):
        crew.accept_quote(approval_id, 0)
    assert list(crew.pending_approvals) == [approval_id]
    assert crew.accept_quote("approval-1", 5 * USDC).reason == "Approval not found"
