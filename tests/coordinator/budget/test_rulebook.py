"""Rules as data: checked when they are made, the same after a round through JSON, and as sentences."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actp.errors import InvalidInput
from coordinator.budget.limits import Rule, limits, limits_of
from coordinator.budget.roles import AgentLimits, get_limits_for_role
from coordinator.budget.rulebook import AgentRules, ApprovalRules, CategoryRules, GasRules, RuleBook, Tier
from coordinator.budget.wording import decimals, exceeded
from coordinator.budget.words import Period
from tests.coordinator.budget.support import ANN, BOOK, OTHER_PROVIDER, PROVIDER, TOKEN, USDC, book

FULL = book(
    ann={
        "address": "0x1111...",
        "role": "senior",
        "daily_period": Period.ROLLING_DAY,
        "weekly_limit": 1,
        "monthly_limit": 2,
        "budget": 3,
        "providers": {PROVIDER},
        "categories": {"data"},
        "rate": {Period.HOUR: 4, Period.DAY: 5},
    },
    providers={PROVIDER, OTHER_PROVIDER},
    require_category=True,
    default_category="other",
    roles={"intern": AgentLimits(1, 2, 0)},
    approvals=ApprovalRules(2, ("bob", "ada"), 60, (Tier(9, 3), Tier(5, 2)), frozenset({"intern"})),
    gas=GasRules(10**17, Period.MONTH),
    rate={Period.DAY: 6},
    alerts_at=(100, 50),
)


@pytest.mark.parametrize("rules", [RuleBook(), BOOK, FULL])
def test_rules_are_the_same_after_a_round_through_json(rules):
    again = RuleBook.from_json(json.loads(json.dumps(rules.to_json())), version=9)
    assert again == rules
    assert (again.content_hash, again.version) == (rules.content_hash, 9)


def test_no_field_of_the_rules_is_left_out_of_their_hash():
    fields = set(FULL.to_json()) - {"form"}
    assert fields == set(RuleBook.__dataclass_fields__) - {"version"}
    assert set(FULL.to_json()["agents"][0]) == set(AgentRules.__dataclass_fields__)
    default = RuleBook().to_json()
    assert [name for name in fields if FULL.to_json()[name] == default.get(name)] == []


def test_rules_of_before_there_was_a_default_category_keep_their_hash():
    assert "default_category" not in RuleBook().to_json()
    assert RuleBook.from_json(RuleBook().to_json()).default_category is None
    with pytest.raises(InvalidInput, match="default_category must be 'other' or None"):
        replace(BOOK, default_category="data")


def test_rules_that_differ_in_one_field_have_another_hash():
    changed = [replace(FULL, total_budget=1), book(ann={"budget": 1}), replace(FULL, alerts_at=(50,))]
    assert len({one.content_hash for one in (FULL, *changed)}) == 4


def test_the_version_and_the_order_of_lists_are_no_part_of_the_content():
    other = replace(FULL, version=1, alerts_at=(50, 100), approvals=replace(FULL.approvals, approvers=("ada", "bob")))
    assert other.content_hash == FULL.content_hash


def test_rules_of_another_form_are_refused():
    with pytest.raises(InvalidInput, match="of the form 2"):
        RuleBook.from_json({**FULL.to_json(), "form": 2})


@pytest.mark.parametrize("value", [-1, 2**63, 1.0, float("nan"), "1", True])
@pytest.mark.parametrize("name", ["spending_limit", "daily_limit", "requires_approval", "budget", "weekly_limit"])
def test_limits_of_agents_are_ints_of_base_units(name, value):
    with pytest.raises(InvalidInput, match=name):
        replace(ANN, **{name: value})


BAD = [
    (lambda: replace(ANN, id=""), "id"),
    (lambda: replace(ANN, id="treasury"), "treasury"),
    (lambda: replace(ANN, id="operator"), "operator"),
    (lambda: replace(ANN, id=7), "id"),
    (lambda: replace(ANN, id="a\0b"), "NUL"),
    (lambda: replace(ANN, id="\ud800"), "surrogate"),
    (lambda: replace(ANN, id="x" * 201), "201"),
    (lambda: replace(ANN, name=" "), "name"),
    (lambda: replace(ANN, address="0xAbcd" + "05" * 18), "checksum"),
    (lambda: replace(ANN, daily_period=Period.WEEK), "daily_period"),
    (lambda: replace(ANN, rate={Period.WEEK: 1}), "rate"),
    (lambda: replace(ANN, rate={Period.DAY: -1}), "rate.day"),
    (lambda: replace(ANN, providers={"0x1"}), "providers"),
    (lambda: replace(ANN, categories={""}), "categories"),
    (lambda: RuleBook(total_budget=2**63), "total_budget"),
    (lambda: RuleBook(agents={"bob": ANN}), "listed as 'bob'"),
    (lambda: RuleBook(categories={"": CategoryRules()}), "categories"),
    (lambda: RuleBook(alerts_at=(0,)), "alerts_at"),
    (lambda: RuleBook(alerts_at=(101,)), "alerts_at"),
    (lambda: ApprovalRules(required=0), "required"),
    (lambda: ApprovalRules(seconds=0), "seconds"),
    (lambda: ApprovalRules(tiers=(Tier(1, 0),)), "tiers.required"),
    (lambda: ApprovalRules(tiers=(Tier(-1, 1),)), "tiers.over"),
    (lambda: CategoryRules(budget=-1), "budget"),
    (lambda: GasRules(budget=1.5), "budget"),
]


@pytest.mark.parametrize(("make", "named"), BAD)
def test_what_no_rule_can_be_is_refused_by_name(make, named):
    with pytest.raises(InvalidInput, match=named):
        make()


def test_roles_are_the_presets_of_the_page():
    limits_by_role = {role: get_limits_for_role(role) for role in ("junior", "senior", "admin")}
    usdc = {
        role: (one.spending_limit // USDC, one.daily_limit // USDC, one.requires_approval // USDC)
        for role, one in limits_by_role.items()
    }
    assert usdc == {"junior": (50, 100, 25), "senior": (500, 1_000, 200), "admin": (10_000, 50_000, 5_000)}


@pytest.mark.parametrize("role", ["boss", "", None, []])
def test_an_unknown_role_is_refused(role):
    with pytest.raises(InvalidInput, match="no role"):
        get_limits_for_role(role)


@pytest.mark.parametrize("rules", [BOOK, FULL])
@pytest.mark.parametrize("category", ["data", "api", ""])
def test_what_a_request_is_charged_to_is_part_of_all_limits(rules, category):
    everything = list(limits(rules, TOKEN))
    assert len({one.scope for one in everything}) == len(everything)
    assert set(limits_of(rules, rules.agents["ann"], category, TOKEN)) <= set(everything)


@given(st.integers(100, 10**15 - 1) | st.just(0))
def test_amounts_in_sentences_look_as_python_prints_them(amount):
    assert decimals(amount) == str(amount / 1e6)


def test_amounts_in_sentences_are_exact_where_a_float_is_not():
    assert decimals(1) == "0.000001"
    assert decimals(2**63 - 1) == "9223372036854.775807"
    assert decimals(10**17, 18) == "0.1"
    assert decimals(3, 0) == "3"


def test_sentences_of_denials_keep_their_wording():
    assert exceeded("daily_limit", 250 * USDC, 300 * USDC) == "Would exceed daily limit. Spent: 250.0, Limit: 300.0"
    assert exceeded("total_budget", 25 * USDC, 10**9) == "Would exceed total budget. Spent: 25.0, Budget: 1000.0"
    assert exceeded("treasury_gas", 0, 10**15).endswith("Promised: 0.0 ETH, Balance: 0.001 ETH")
    assert exceeded("agent_rate", 3, 3).endswith("Made: 3, Limit: 3")


def test_every_rule_with_a_limit_has_a_sentence():
    named = {one.rule for one in limits(FULL, TOKEN)} | {Rule.TREASURY_BALANCE, Rule.TREASURY_GAS}
    assert all("{" not in exceeded(one, 1, 2) for one in named)
