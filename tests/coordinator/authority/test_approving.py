"""A yes lifts the threshold and nothing else; while it is waited for the budget is held."""

from __future__ import annotations

import pytest

from actp.errors import InvalidInput
from coordinator.authority import Change
from coordinator.budget.words import ReservationState
from coordinator.errors import UnknownApproval
from coordinator.store import pauses
from tests.coordinator.authority.support import (
    DAY,
    USDC,
    ApprovalRules,
    Period,
    ScopeKind,
    agent,
    ask,
    book,
    cell,
    fund,
    total,
)
from tests.coordinator.authority.test_deciding import entries, rule_of, waiting

S = ReservationState
SENIOR = agent("sue", role="senior", spending_limit=70 * USDC)
JUNIOR = agent("jim", role="junior")


def asked(authority, **other):
    answer = authority.request(ask(**{"amount": 60 * USDC} | other))
    assert answer.state is S.PENDING_APPROVAL
    return answer


def with_rules(authority, **approvals):
    authority.apply(book(agent(), agent("bob"), SENIOR, JUNIOR, approvals=ApprovalRules(**approvals)), "test")


@pytest.mark.slow
def test_what_waits_holds_its_budget_and_is_not_handed_on(authority):
    """The seed's coordinator holds nothing, and so approves more than there is."""
    asked(authority)
    assert total(authority) == (0, 60 * USDC)
    assert waiting(authority) == []


@pytest.mark.slow
def test_ids_of_approvals_differ_within_a_second(authority):
    assert len({asked(authority).approval_id for _ in range(4)}) == 4


def test_a_yes_grants_and_a_second_one_changes_nothing(authority):
    one = asked(authority)
    answer = authority.approve(one.approval_id)
    assert (answer.state, answer.reservation_id, answer.replayed) == (S.HELD, one.reservation_id, False)
    assert waiting(authority) == [one.reservation_id]
    before = (authority.usage(), entries(authority))
    assert authority.approve(one.approval_id).replayed
    assert authority.reject(one.approval_id).state is S.HELD
    assert (authority.usage(), entries(authority)) == before
    assert total(authority) == (0, 60 * USDC)


def test_a_no_gives_the_budget_back_and_ends_it(authority):
    one = asked(authority)
    answer = authority.reject(one.approval_id, "eve", "too dear")
    assert (answer.state, answer.denial.rule) == (S.RELEASED, "rejected")
    assert answer.denial.message == "Rejected by eve: too dear"
    assert total(authority) == (0, 0)
    assert authority.approve(one.approval_id).state is S.RELEASED


@pytest.mark.parametrize(("approver", "counts"), [("eve", False), ("jim", False), ("bob", False), ("ann", False),
                                                  ("operator", False), ("ada", True), ("ADA", True), ("sue", True),
                                                  (None, True)])  # fmt: skip
def test_where_approvers_are_listed_nobody_else_says_no(authority, approver, counts):
    """Else anybody ends what somebody else has asked for."""
    with_rules(authority, approvers=("ada",))
    one = asked(authority, amount=90 * USDC)
    answer = authority.reject(one.approval_id, approver, "no")
    if counts:
        assert (answer.state, answer.denial.rule) == (S.RELEASED, "rejected")
        return
    assert (answer.state, answer.denial.rule, answer.replayed) == (S.PENDING_APPROVAL, "approver", False)
    assert total(authority) == (0, 90 * USDC)
    assert authority.approve(one.approval_id).state is S.HELD


@pytest.mark.parametrize("name", ["sue", "Sue "])
def test_an_agent_that_was_removed_has_no_vote(authority, name):
    """It would count as a person of that name, and for any amount."""
    with_rules(authority)
    one, two = asked(authority), asked(authority)
    authority.apply(book(agent(), approvals=ApprovalRules()), "test")
    answer = authority.approve(one.approval_id, name)
    assert (answer.state, rule_of(answer)) == (S.PENDING_APPROVAL, "approver")
    answer = authority.reject(two.approval_id, name, "no")
    assert (answer.state, rule_of(answer)) == (S.PENDING_APPROVAL, "approver")
    assert authority.approve(one.approval_id, "olga").state is S.HELD
    authority.apply(book(agent(), approvals=ApprovalRules(approvers=("sue",))), "test")
    assert authority.approve(two.approval_id, name).state is S.HELD


def test_a_yes_of_an_agent_that_was_removed_since_does_not_count(authority):
    with_rules(authority, required=2)
    one = asked(authority)
    authority.approve(one.approval_id, "sue")
    authority.apply(book(agent(), approvals=ApprovalRules(required=2)), "test")
    assert authority.approve(one.approval_id, "olga").state is S.PENDING_APPROVAL
    assert authority.approve(one.approval_id).state is S.HELD


def test_what_is_taken_back_while_its_agent_is_paused_still_waits(authority):
    one = asked(authority)
    with authority.ledger.write() as connection:
        pauses.add(connection, authority.account, "ann", by="op", reason="why", now=1.0)
    answer = authority.withdraw(one.approval_id, "dearer")
    assert (answer.state, rule_of(answer)) == (S.PENDING_APPROVAL, "paused")
    with authority.ledger.write() as connection:
        pauses.remove(connection, authority.account, "ann", by="op", reason="", now=1.0)
    answer = authority.withdraw(one.approval_id, "dearer")
    assert (answer.state, answer.denial.message) == (S.RELEASED, "Rejected by ann: dearer")
    assert authority.withdraw(one.approval_id, "again").replayed


def test_an_unknown_approval_is_not_found(authority):
    with pytest.raises(UnknownApproval, match="Approval not found"):
        authority.approve("approval-1700000000")


@pytest.mark.parametrize("way", ["approve", "reject", "expire"])
def test_what_nobody_answers_in_time_gives_its_budget_back(authority, clock, way):
    one = asked(authority)
    clock.advance(DAY - 1)
    assert authority.expire() == 0
    clock.advance(1)
    if way == "expire":
        assert authority.expire() == 1
        assert authority.expire() == 0
        answer = authority.approve(one.approval_id)
    else:
        answer = getattr(authority, way)(one.approval_id)
    assert (answer.state, answer.denial.rule) == (S.EXPIRED, "approval_expired")
    assert total(authority) == (0, 0)


def test_expiry_takes_only_what_was_never_handed_to_a_chain(authority, clock):
    one = asked(authority)
    authority.approve(one.approval_id)
    authority.move([Change(one.reservation_id, S.SUBMITTING)])
    clock.advance(30 * DAY)
    assert authority.expire() == 0
    assert total(authority) == (0, 60 * USDC)


def test_nobody_approves_its_own_request(authority):
    with_rules(authority)
    one = asked(authority, agent="sue")
    answer = authority.approve(one.approval_id, "sue")
    assert (answer.state, answer.denial.rule) == (S.PENDING_APPROVAL, "approver")
    assert authority.approve(one.approval_id, "olga").state is S.HELD


@pytest.mark.parametrize(("approver", "amount"), [("jim", 60), ("bob", 60), ("sue", 71)])
def test_an_agent_approves_with_the_role_and_up_to_its_own_limit_only(authority, approver, amount):
    with_rules(authority)
    one = asked(authority, amount=amount * USDC)
    answer = authority.approve(one.approval_id, approver)
    assert (answer.state, answer.denial.rule) == (S.PENDING_APPROVAL, "approver")
    assert total(authority) == (0, amount * USDC)


def test_a_senior_agent_approves_what_it_could_spend_itself_unless_it_is_paused(authority):
    with_rules(authority)
    one = asked(authority, amount=70 * USDC)
    with authority.ledger.write() as connection:
        pauses.add(connection, authority.account, "sue", by="op", reason="why", now=1.0)
    assert rule_of(authority.approve(one.approval_id, "sue")) == "paused"
    with authority.ledger.write() as connection:
        pauses.remove(connection, authority.account, "sue", by="op", reason="", now=1.0)
    assert authority.approve(one.approval_id, "sue").state is S.HELD


def test_it_takes_as_many_different_people_as_the_rules_say(authority):
    with_rules(authority, required=2)
    one = asked(authority)
    assert authority.approve(one.approval_id, "olga").state is S.PENDING_APPROVAL
    assert authority.approve(one.approval_id, "olga").state is S.PENDING_APPROVAL, "one person has one vote"
    assert authority.approve(one.approval_id, "sue").state is S.HELD
    said = [one.detail for one in entries(authority) if one.event in ("voted", "approved")]
    assert [one["yes"] for one in said] == [["olga"], ["olga"], ["olga", "sue"]]


def test_a_yes_of_somebody_who_was_demoted_since_does_not_count(authority):
    with_rules(authority, required=2)
    one = asked(authority)
    authority.approve(one.approval_id, "sue")
    demoted = agent("sue", role="junior")
    authority.apply(book(agent(), demoted, approvals=ApprovalRules(required=2)), "test")
    assert authority.approve(one.approval_id, "olga").state is S.PENDING_APPROVAL
    assert authority.approve(one.approval_id, "omar").state is S.HELD


def test_an_approval_is_decided_again_under_the_limits_of_that_moment(authority):
    """The seed's coordinator checks no limit again."""
    one = asked(authority)
    authority.apply(book(agent(), total=59 * USDC), "test")
    answer = authority.approve(one.approval_id)
    assert answer.state is S.RELEASED
    assert answer.denial.message == "Would exceed total budget. Spent: 0.0, Budget: 59.0"
    assert total(authority) == (0, 0)
    assert authority.find(one.reservation_id).denial == answer.denial
    assert waiting(authority) == []


def test_an_approval_of_an_agent_that_may_no_longer_spend_that_much_is_released(authority):
    one = asked(authority)
    authority.apply(book(agent(spending_limit=50 * USDC)), "test")
    assert authority.approve(one.approval_id).denial.rule == "spending_limit"
    assert total(authority) == (0, 0)


def test_after_midnight_the_hold_moves_to_the_new_day(authority, clock):
    one = asked(authority)
    clock.advance(DAY / 2)
    authority.approve(one.approval_id)
    days = sorted(
        (one.cell.window_start, one.cell.reserved) for one in authority.usage() if one.scope.period is Period.DAY
    )
    assert [reserved for _, reserved in days] == [0, 60 * USDC]
    assert total(authority) == (0, 60 * USDC)
    authority.move([Change(one.reservation_id, S.COMMITTED)])
    assert cell(authority, ScopeKind.AGENT, "ann", Period.DAY)[:2] == (60 * USDC, 0)


def test_a_request_that_charges_a_frozen_scope_still_waits(authority):
    """Whoever looks may find that nothing is wrong: until then nobody loses what was asked for."""
    one = asked(authority)
    scope = next(one.scope for one in authority.usage() if one.scope.kind is ScopeKind.TOTAL)
    authority.freeze(scope, "drift")
    before = (authority.usage(), entries(authority))
    answer = authority.approve(one.approval_id)
    assert (answer.state, rule_of(answer), answer.approval_id) == (S.PENDING_APPROVAL, "scope_frozen", one.approval_id)
    assert (authority.usage(), entries(authority)) == before
    authority.unfreeze(scope, "looked at")
    assert authority.approve(one.approval_id).state is S.HELD


def test_a_request_whose_agent_is_paused_still_waits(authority):
    one = asked(authority)
    with authority.ledger.write() as connection:
        pauses.add(connection, authority.account, None, by="op", reason="why", now=1.0)
    answer = authority.approve(one.approval_id)
    assert (answer.state, rule_of(answer)) == (S.PENDING_APPROVAL, "paused")
    assert total(authority) == (0, 60 * USDC)


@pytest.mark.parametrize("name", ["Ann", "ann ", " a n n", "\uff41nn", "a\u200bnn"])
def test_another_spelling_of_the_own_name_is_the_own_name(authority, name):
    answer = authority.approve(asked(authority).approval_id, name)
    assert (answer.state, answer.denial.message) == (S.PENDING_APPROVAL, "ann cannot approve its own request")


@pytest.mark.parametrize("name", ["Olga", "olga ", "OLGA"])
def test_one_person_has_one_vote_however_the_name_is_spelled(authority, name):
    with_rules(authority, required=2)
    one = asked(authority)
    authority.approve(one.approval_id, "olga")
    assert authority.approve(one.approval_id, name).state is S.PENDING_APPROVAL
    assert authority.approve(one.approval_id, "omar").state is S.HELD


@pytest.mark.parametrize("name", ["operator", "Operator", "treasury"])
def test_nobody_is_called_as_those_are_who_need_no_name(authority, name):
    """A yes of "operator" would count as that of whoever runs the process, also under rules that list approvers."""
    assert rule_of(authority.approve(asked(authority).approval_id, name)) == "approver"


def test_what_has_ended_in_another_way_is_not_granted_by_a_late_yes(authority):
    one = asked(authority)
    authority.move([Change(one.reservation_id, S.RELEASED, reason="no longer wanted")])
    assert authority.approve(one.approval_id).state is S.RELEASED
    assert authority.reject(one.approval_id).state is S.RELEASED
    assert total(authority) == (0, 0)
    assert waiting(authority) == []


def test_an_approval_that_only_the_balance_seen_last_denies_looks_once_more(authority):
    one = asked(authority)
    fund(authority, usdc=10, number=2)
    authority.look = lambda: fund(authority, number=3)
    assert authority.approve(one.approval_id).state is S.HELD
    two = asked(authority)
    fund(authority, usdc=10, number=4)
    authority.look = lambda: None
    answer = authority.approve(two.approval_id)
    assert (answer.state, rule_of(answer)) == (S.RELEASED, "treasury_balance")
    assert total(authority) == (0, 60 * USDC)


@pytest.mark.parametrize("name", ["", " ", "half\0", "x" * 201])
def test_who_answers_has_a_name(authority, name):
    with pytest.raises(InvalidInput):
        authority.approve(asked(authority).approval_id, name)


def test_a_demanded_approval_waits_whatever_the_amount(authority):
    one = asked(authority, amount=1, approval_demanded=True)
    assert authority.approve(one.approval_id).state is S.HELD


def test_the_answer_of_a_key_that_waits_names_its_approval(authority):
    one = asked(authority, key="one")
    again = authority.request(ask(amount=60 * USDC, key="one"))
    assert (again.approval_id, again.replayed) == (one.approval_id, True)
    fund(authority, number=2)
