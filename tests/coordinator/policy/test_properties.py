"""What holds for all facts and settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from coordinator.policy import RULES, Counts, Facts, PolicySettings, Rule, evaluate
from coordinator.types import AllowanceChange, Call, Decision, Effects, IntentType, Reason, RiskTier, Ruling, Subject
from tests.coordinator.policy.support import KERNEL, NOW, PROVIDER, STRANGER, USDC, VAULT, WALLET

STRICTNESS = {Ruling.ALLOW: 0, Ruling.REQUIRE_APPROVAL: 1, Ruling.DENY: 2}
NOT_RESTRICTING_FROM_NONE = {"allowed_spenders", "require_approval_on_demand"}
"""Their absence is a rule as well: only the vault, and every demand is met."""

amounts = st.integers(0, 40)
known_amounts = st.none() | amounts
assets = st.sampled_from([USDC, "ETH"])
parties = st.sampled_from([PROVIDER, STRANGER])
contracts = st.sampled_from([KERNEL, USDC])
types = st.sampled_from([kind for kind in IntentType if not kind.query])
bps = st.integers(0, 10_000)
counts = st.none() | st.builds(Counts, minute=st.none() | amounts, hour=st.none() | amounts, day=st.none() | amounts)
allowances = st.builds(
    AllowanceChange,
    token=st.just(USDC),
    owner=st.just(WALLET),
    spender=st.sampled_from([VAULT, STRANGER]),
    to=known_amounts,
    used=amounts,
)


def by_asset(values: st.SearchStrategy[int] = amounts) -> st.SearchStrategy[dict[str, int]]:
    return st.dictionaries(assets, values)


facts_of_any_kind: st.SearchStrategy[Facts] = st.builds(
    Facts,
    type=types,
    agent=st.sampled_from(["research", "treasury"]),
    wallet=st.just(WALLET),
    subject=st.builds(Subject, asset=assets, amount=amounts, counterparty=st.none() | parties, locks=st.booleans()),
    call=st.builds(Call, to=contracts, data=st.sampled_from([b"", b"\x12\x34\x56\x78" + bytes(32)])),
    effects=st.builds(Effects, allowances=st.lists(allowances, max_size=2).map(tuple)),
    now=st.none() | st.just(NOW),
    vault=st.none() | st.just(VAULT),
    max_fee_wei=known_amounts,
    quoted_amount=known_amounts,
    quoted_at=st.none() | st.integers(NOW - 20, NOW + 20),
    service=st.none() | st.just("translation"),
    reference_amount=known_amounts,
    balances=st.none() | by_asset(),
    locked=st.none() | by_asset(),
    locked_at=st.none() | st.dictionaries(st.tuples(contracts, assets), amounts),
    locked_with=st.none() | st.dictionaries(st.tuples(parties, assets), amounts),
    peaks=st.none() | by_asset(st.integers(0, 100)),
    lost_today=st.none() | by_asset(),
    agent_counts=counts,
    wallet_counts=counts,
    approval_demanded=st.booleans(),
    approved_by=st.none() | st.just("ann"),
)

single: Mapping[str, st.SearchStrategy[Any]] = {
    "allowed_intents": st.dictionaries(st.sampled_from(["research", "*"]), st.lists(types, unique=True)),
    "allowed_contracts": st.dictionaries(contracts, st.sampled_from(["*", [], ["0x"], ["0x12345678"]])),
    "allowed_providers": st.lists(parties, unique=True),
    "allowed_spenders": st.lists(st.sampled_from([VAULT, STRANGER]), unique=True),
    "max_amount": by_asset(),
    "approval_over": by_asset(),
    "max_concentration_bps": bps,
    "max_fee_wei": amounts,
    "max_slippage_bps": bps,
    "max_quote_age_seconds": st.integers(0, 30),
    "oracle_deviation_bps": bps,
    "max_token_exposure": by_asset(),
    "max_contract_exposure": by_asset(),
    "max_counterparty_exposure": by_asset(),
    "max_daily_loss": by_asset(st.integers(0, 80)),
    "max_drawdown_bps": bps,
    "agent_rate": st.fixed_dictionaries({"hour": amounts}),
    "wallet_rate": st.fixed_dictionaries({"day": amounts}),
    "require_approval_on_demand": st.booleans(),
}


def consistent(drawn: dict[str, Any]) -> dict[str, Any]:
    """The same with inner limits no larger than the outer ones."""
    for inner, outer in (
        ("approval_over", "max_amount"),
        ("max_contract_exposure", "max_token_exposure"),
        ("max_counterparty_exposure", "max_token_exposure"),
    ):
        if inner in drawn and outer in drawn:
            drawn[inner] = {asset: min(most, drawn[outer].get(asset, 0)) for asset, most in drawn[inner].items()}
    return drawn


mappings = st.fixed_dictionaries({}, optional=dict(single)).map(consistent)
settings_of_any_kind = mappings.map(PolicySettings.from_mapping)


def denying(facts: Facts, settings: PolicySettings) -> Reason | None:
    return Reason("denying", "Never.", Ruling.DENY)


def asking(facts: Facts, settings: PolicySettings) -> Reason | None:
    return Reason("asking", "Ask.", Ruling.REQUIRE_APPROVAL)


def strictness(decision: Decision) -> int:
    return STRICTNESS[decision.ruling]


def test_the_strategies_know_every_setting_and_every_fact() -> None:
    assert set(single) == {each.name for each in fields(PolicySettings)} - {"version"}


@given(facts_of_any_kind, settings_of_any_kind)
def test_the_ruling_follows_from_the_reasons(facts: Facts, settings: PolicySettings) -> None:
    decision = evaluate(facts, settings)
    rulings = {reason.ruling for reason in decision.reasons}
    if Ruling.DENY in rulings:
        assert (decision.ruling, decision.risk_tier) == (Ruling.DENY, RiskTier.HIGH)
    elif rulings:
        expected = Ruling.ALLOW if facts.approved_by else Ruling.REQUIRE_APPROVAL
        assert (decision.ruling, decision.risk_tier) == (expected, RiskTier.MEDIUM)
    else:
        assert (decision.ruling, decision.risk_tier) == (Ruling.ALLOW, RiskTier.LOW)
    for reason in decision.reasons:
        assert reason.used is None or (reason.limit is not None and reason.used > reason.limit)
        assert not reason.message.startswith("rule_failed")


@given(facts_of_any_kind, settings_of_any_kind, st.permutations(RULES), st.integers(0, len(RULES)))
def test_deny_dominates_wherever_it_stands(
    facts: Facts, settings: PolicySettings, rules: list[Rule], place: int
) -> None:
    assert evaluate(facts, settings, rules=rules).ruling is evaluate(facts, settings).ruling
    with_denial = [*rules[:place], denying, *rules[place:]]
    assert evaluate(facts, settings, rules=with_denial).ruling is Ruling.DENY
    assert strictness(evaluate(facts, settings, rules=[*rules, asking])) >= strictness(evaluate(facts, settings))


@given(facts_of_any_kind, mappings, st.data())
def test_setting_one_more_rule_never_loosens(facts: Facts, mapping: dict[str, Any], data: st.DataObject) -> None:
    restricting = sorted(set(mapping) - NOT_RESTRICTING_FROM_NONE)
    name = data.draw(st.sampled_from(restricting)) if restricting else None
    fewer = {key: value for key, value in mapping.items() if key != name}
    more, less = PolicySettings.from_mapping(mapping), PolicySettings.from_mapping(fewer)
    assert strictness(evaluate(facts, more)) >= strictness(evaluate(facts, less))
    assert set(evaluate(facts, more).reasons) >= set(evaluate(facts, less).reasons)


@given(facts_of_any_kind, settings_of_any_kind, st.integers(1, 40))
def test_a_larger_amount_is_never_judged_more_kindly(facts: Facts, settings: PolicySettings, more: int) -> None:
    # A price below its reference is suspicious as well, so that rule alone may be happier with a larger amount.
    settings = replace(settings, oracle_deviation_bps=None)
    larger = replace(facts, subject=replace(facts.subject, amount=facts.subject.amount + more))
    assert strictness(evaluate(larger, settings)) >= strictness(evaluate(facts, settings))


@given(facts_of_any_kind, settings_of_any_kind)
def test_the_order_of_entries_changes_nothing(facts: Facts, settings: PolicySettings) -> None:
    turned: dict[str, Any] = {}
    for each in fields(Facts):
        value = getattr(facts, each.name)
        turned[each.name] = dict(reversed(value.items())) if isinstance(value, dict) else value
    backwards = PolicySettings.from_mapping(dict(reversed(settings.as_json().items())))
    assert evaluate(Facts(**turned), backwards) == evaluate(facts, settings)


@given(facts_of_any_kind, settings_of_any_kind)
def test_an_approval_only_turns_questions_into_yes(facts: Facts, settings: PolicySettings) -> None:
    without = evaluate(replace(facts, approved_by=None), settings)
    with_it = evaluate(replace(facts, approved_by="ann"), settings)
    assert with_it.ruling is (Ruling.ALLOW if without.ruling is Ruling.REQUIRE_APPROVAL else without.ruling)
    assert with_it.reasons == without.reasons


@given(facts_of_any_kind, settings_of_any_kind, st.data())
def test_losing_a_fact_never_loosens(facts: Facts, settings: PolicySettings, data: st.DataObject) -> None:
    forgettable = [
        "now", "vault", "max_fee_wei", "balances", "locked", "locked_at", "locked_with", "peaks", "lost_today",
        "agent_counts", "wallet_counts",
    ]  # fmt: skip
    forgotten: Any = {data.draw(st.sampled_from(forgettable)): None}
    assert strictness(evaluate(replace(facts, **forgotten), settings)) >= strictness(evaluate(facts, settings))
