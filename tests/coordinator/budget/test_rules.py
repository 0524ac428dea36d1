"""What the rules say that need no cell, and what a request is charged to."""

from __future__ import annotations

import pytest

from coordinator.budget.judging import Treasury, may_approve, rule
from coordinator.budget.rulebook import AgentRules, ApprovalRules, CategoryRules, GasRules, Tier
from coordinator.budget.words import Period
from tests.coordinator.budget.support import (
    ANN,
    BOOK,
    OTHER_PROVIDER,
    PROVIDER,
    TOKEN,
    TREASURY,
    USDC,
    WALLET,
    ask,
    book,
    charged,
)  # fmt: skip


def test_a_request_is_charged_to_every_scope_that_it_touches_and_the_treasury_comes_last():
    ruled = rule(ask(category="data"), BOOK, TREASURY)
    assert (ruled.denial, ruled.rulebook, ruled.approvals) == (None, 7, 0)
    assert charged(ruled.charges) == [
        ("agent", "ann", "day", "USDC", 10 * USDC, 300 * USDC, "daily_limit"),
        ("agent", "ann", "ever", "USDC", 10 * USDC, None, "agent_budget"),
        ("category", "data", "ever", "USDC", 10 * USDC, 300 * USDC, "category_budget"),
        ("total", "", "ever", "USDC", 10 * USDC, 1_000 * USDC, "total_budget"),
        ("treasury", "", "ever", "USDC", 10 * USDC, 0, "treasury_balance"),
        ("treasury", "", "ever", "ETH", 21_000, 0, "treasury_gas"),
    ]


def test_periods_rates_and_gas_are_charged_where_there_are_such_limits():
    rules = book(
        ann={
            "daily_period": Period.ROLLING_DAY,
            "weekly_limit": 5,
            "monthly_limit": 6,
            "budget": 7,
            "rate": {Period.HOUR: 2},
        },
        gas=GasRules(10**17, Period.DAY),
        rate={Period.DAY: 9},
    )
    ruled = rule(ask(category="api"), rules, TREASURY)
    assert charged(ruled.charges) == [
        ("agent", "ann", "rolling_day", "USDC", 10 * USDC, 300 * USDC, "daily_limit"),
        ("agent", "ann", "week", "USDC", 10 * USDC, 5, "weekly_limit"),
        ("agent", "ann", "month", "USDC", 10 * USDC, 6, "monthly_limit"),
        ("agent", "ann", "ever", "USDC", 10 * USDC, 7, "agent_budget"),
        ("category", "api", "month", "USDC", 10 * USDC, 200 * USDC, "category_budget"),
        ("category", "api", "ever", "USDC", 10 * USDC, None, "category_budget"),
        ("total", "", "ever", "USDC", 10 * USDC, 1_000 * USDC, "total_budget"),
        ("agent", "ann", "hour", "requests", 1, 2, "agent_rate"),
        ("total", "", "day", "requests", 1, 9, "total_rate"),
        ("gas", "", "day", "ETH", 21_000, 10**17, "gas_budget"),
        ("treasury", "", "ever", "USDC", 10 * USDC, 0, "treasury_balance"),
        ("treasury", "", "ever", "ETH", 21_000, 0, "treasury_gas"),
    ]


def test_a_request_that_names_no_category_is_counted_for_itself_and_limited_by_no_category():
    charges = charged(rule(ask(90 * USDC, category=""), BOOK, TREASURY).charges)
    assert [one for one in charges if one[0] == "category"] == [
        ("category", "", "ever", "USDC", 90 * USDC, None, "category_budget")
    ]


def test_where_the_rules_say_so_what_names_no_category_is_one_of_other_in_everything():
    """Else leaving the category out gets around its budget."""
    named = book(default_category="other", categories={"data": CategoryRules(), "other": CategoryRules(100 * USDC)})
    charges = charged(rule(ask(90 * USDC, category=""), named, TREASURY).charges)
    assert charges == charged(rule(ask(90 * USDC, category="other"), named, TREASURY).charges)
    assert ("category", "other", "ever", "USDC", 90 * USDC, 100 * USDC, "category_budget") in charges


DENIALS = [
    ({"agent": "bob"}, {}, "unknown_agent", "Agent not registered"),
    ({}, {"providers": {OTHER_PROVIDER}}, "provider_allow_list", "Provider not whitelisted"),
    ({}, {"providers": set()}, "provider_allow_list", "Provider not whitelisted"),
    ({"agent": "bob"}, {"providers": set()}, "provider_allow_list", "Provider not whitelisted"),
    ({}, {"ann": {"providers": {OTHER_PROVIDER}}}, "provider_allow_list", "Provider not whitelisted"),
    ({"provider": WALLET}, {}, "own_treasury", "Provider is the treasury itself"),
    ({"category": "toys"}, {}, "unknown_category", "Unknown category: toys"),
    ({"category": "data"}, {"ann": {"categories": {"api"}}}, "category_allow_list", "Category not allowed: data"),
    ({}, {"ann": {"categories": {"api"}}}, "category_allow_list", "Request names no category"),
    ({}, {"require_category": True}, "category_allow_list", "Request names no category"),
    ({}, {"require_category": True, "default_category": "other"}, "category_allow_list", "Request names no category"),
    ({}, {"default_category": "other"}, "unknown_category", "Unknown category: other"),
    ({}, {"ann": {"spending_limit": None}}, "no_limit", "Agent has no spending limit or no daily limit"),
    ({}, {"ann": {"daily_limit": None}}, "no_limit", "Agent has no spending limit or no daily limit"),
    ({}, {"total_budget": None}, "no_limit", "There is no total budget"),
    ({"amount": 150 * USDC}, {}, "spending_limit", "Amount 150.0 exceeds per-tx limit 100.0"),
    ({"amount": 100 * USDC + 1}, {}, "spending_limit", "Amount 100.000001 exceeds per-tx limit 100.0"),
]


@pytest.mark.parametrize(("request_", "rules", "name", "sentence"), DENIALS)
def test_a_denial_names_its_rule_and_charges_nothing(request_, rules, name, sentence):
    ruled = rule(ask(**request_), book(**rules), TREASURY)
    assert (ruled.denial.rule, ruled.denial.message, ruled.charges) == (name, sentence, ())


def test_a_denial_by_the_limit_of_one_request_has_its_number():
    assert rule(ask(101 * USDC), BOOK, TREASURY).denial.limit == 100 * USDC


def test_limits_are_inclusive():
    ruled = rule(ask(100 * USDC), BOOK, TREASURY)
    assert ruled.denial is None
    assert rule(ask(50 * USDC), BOOK, TREASURY).approvals == 0


def test_what_is_above_the_threshold_needs_a_yes_and_more_of_them_above_a_tier():
    rules = book(approvals=ApprovalRules(required=2, tiers=(Tier(80 * USDC, 3), Tier(20 * USDC, 1)), seconds=60))
    needed = {amount: rule(ask(amount * USDC), rules, TREASURY).approvals for amount in (20, 21, 50, 51, 80, 81)}
    assert needed == {20: 0, 21: 1, 50: 1, 51: 2, 80: 2, 81: 3}
    assert rule(ask(81 * USDC), rules, TREASURY).approval_seconds == 60.0


def test_a_request_may_demand_an_approval_and_an_agent_without_a_threshold_needs_none():
    assert rule(ask(1, approval_demanded=True), BOOK, TREASURY).approvals == 1
    assert rule(ask(100 * USDC), book(ann={"requires_approval": None}), TREASURY).approvals == 0


def test_a_treasury_that_was_never_looked_at_can_pay_nothing():
    ruled = rule(ask(), BOOK, Treasury(WALLET, TOKEN))
    assert charged(ruled.charges)[-2:] == [
        ("treasury", "", "ever", "USDC", 10 * USDC, 0, "treasury_balance"),
        ("treasury", "", "ever", "ETH", 0, 0, "treasury_gas"),
    ]


SEN = AgentRules(id="sen", name="Sen", spending_limit=60 * USDC, daily_limit=60 * USDC, role="senior")
JUN = AgentRules(id="jun", name="Jun", spending_limit=60 * USDC, daily_limit=60 * USDC, role="junior")
CREW = book(agents={"ann": ANN, "sen": SEN, "jun": JUN})


@pytest.mark.parametrize(
    ("approvers", "approver", "amount", "said"),
    [
        ((), None, 10**15, None),
        (("ada",), None, 10**15, None),
        ((), "ada", 10**15, None),
        (("ada",), "ada", 10**15, None),
        (("ada",), "bob", 1, "bob is not an approver"),
        ((), "ann", 1, "ann cannot approve its own request"),
        (("ann",), "ann", 1, "ann cannot approve its own request"),
        (("ada",), "sen", 60 * USDC, None),
        ((), "sen", 61 * USDC, "sen may not approve that much: Amount 61.0 exceeds per-tx limit 60.0"),
        (("sen",), "sen", 61 * USDC, None),
        ((), "jun", 1, "jun is an agent without the right to approve"),
    ],
)
def test_who_may_say_yes(approvers, approver, amount, said):
    rules = book(agents=CREW.agents, approvals=ApprovalRules(approvers=approvers))
    denial = may_approve(rules, approver, "ann", amount)
    assert (denial.message if denial else None) == said


def test_a_category_without_a_budget_is_known_and_counted():
    rules = book(categories={"data": CategoryRules()})
    charges = charged(rule(ask(category="data"), rules, TREASURY).charges)
    assert ("category", "data", "ever", "USDC", 10 * USDC, None, "category_budget") in charges


def test_the_providers_of_an_agent_narrow_those_of_all():
    rules = book(providers={PROVIDER, OTHER_PROVIDER}, ann={"providers": {PROVIDER}})
    assert rule(ask(), rules, TREASURY).denial is None
    assert rule(ask(provider=OTHER_PROVIDER), rules, TREASURY).denial.rule == "provider_allow_list"
