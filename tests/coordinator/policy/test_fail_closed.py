"""Whatever a rule cannot judge is denied, by name."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

import pytest

from coordinator.policy import RULES, Counts, Facts, PolicySettings, evaluate
from coordinator.types import Effects, IntentType, Reason, RiskTier, Ruling
from tests.coordinator.policy.support import ESCROW, NOW, PROVIDER, USDC, about, granting

BIG = {USDC: 10**9, "ETH": 10**9}
QUOTED = replace(ESCROW, quoted_amount=1_000, quoted_at=NOW, reference_amount=1_000)
PAYMENT = replace(about(locks=False), type=IntentType.TRANSFER_ERC20)

# Facts in which one is not known, and the one rule that needs it.
UNKNOWN: Mapping[str, tuple[Facts, dict[str, Any], str]] = {
    "counterparty of a payment": (about(counterparty=None), {"allowed_providers": [PROVIDER]}, "counterparty"),
    "counterparty of an escrow": (about(counterparty=None), {"max_counterparty_exposure": BIG}, "counterparty"),
    "what an allowance is": (
        replace(granting(PROVIDER), effects=Effects()),
        {"allowed_spenders": [PROVIDER]},
        "effects.allowances",
    ),
    "fee": (replace(ESCROW, max_fee_wei=None), {"max_fee_wei": 10**9}, "max_fee_wei"),
    "fee as a loss": (replace(ESCROW, max_fee_wei=None), {"max_daily_loss": BIG}, "max_fee_wei"),
    "losses": (replace(ESCROW, lost_today=None), {"max_daily_loss": BIG}, "lost_today"),
    "a loss": (replace(ESCROW, lost_today={USDC: cast(int, None)}), {"max_daily_loss": BIG}, "lost_today"),
    "balances": (replace(ESCROW, balances=None), {"max_concentration_bps": 10_000}, "balances"),
    "balance": (replace(ESCROW, balances={}), {"max_concentration_bps": 10_000}, f"balances[{USDC}]"),
    "balance for a drawdown": (replace(PAYMENT, balances={}), {"max_drawdown_bps": 10_000}, f"balances[{USDC}]"),
    "peaks": (replace(ESCROW, peaks=None), {"max_drawdown_bps": 10_000}, "peaks"),
    "peak": (replace(ESCROW, peaks={}), {"max_drawdown_bps": 10_000}, f"peaks[{USDC}]"),
    "escrows for a drawdown": (replace(ESCROW, locked=None), {"max_drawdown_bps": 10_000}, "locked"),
    "escrows": (replace(ESCROW, locked=None), {"max_token_exposure": BIG}, "locked"),
    "escrows of a contract": (replace(ESCROW, locked_at=None), {"max_contract_exposure": BIG}, "locked_at"),
    "escrows with a party": (replace(ESCROW, locked_with=None), {"max_counterparty_exposure": BIG}, "locked_with"),
    "amount of a quote": (replace(QUOTED, quoted_amount=None), {"max_slippage_bps": 10_000}, "quoted_amount"),
    "time of a quote": (replace(QUOTED, quoted_at=None), {"max_quote_age_seconds": 10**9}, "quoted_at"),
    "time": (replace(QUOTED, now=None), {"max_quote_age_seconds": 10**9}, "now"),
    "counts of the agent": (replace(ESCROW, agent_counts=None), {"agent_rate": {"day": 10**9}}, "agent_counts"),
    "count of the agent": (
        replace(ESCROW, agent_counts=Counts(minute=1)),
        {"agent_rate": {"day": 10**9}},
        "agent_counts.day",
    ),
    "counts of the wallet": (replace(ESCROW, wallet_counts=None), {"wallet_rate": {"minute": 9}}, "wallet_counts"),
}


@pytest.mark.parametrize("case", UNKNOWN)
def test_a_fact_that_is_not_known_denies_by_the_name_of_rule_and_fact(case: str) -> None:
    facts, settings, name = UNKNOWN[case]
    for judged in (facts, replace(facts, approved_by="ann")):
        decision = evaluate(judged, PolicySettings(**settings))
        assert (decision.ruling, decision.risk_tier) == (Ruling.DENY, RiskTier.HIGH)
        (reason,) = decision.reasons
        assert (reason.rule, reason.message) == (next(iter(settings)), f"missing_fact: {name} is not known.")


def test_an_allowance_is_denied_while_the_vault_is_not_known() -> None:
    (reason,) = evaluate(replace(granting(PROVIDER), vault=None), PolicySettings()).reasons
    assert (reason.rule, reason.ruling) == ("allowed_spenders", Ruling.DENY)


@pytest.mark.parametrize("value", [-1, 1.0, math.nan, "1000", True, None], ids=repr)
def test_what_is_no_amount_is_denied_even_without_any_limit(value: Any) -> None:
    decision = evaluate(about(amount=value), PolicySettings())
    assert (decision.ruling, decision.reasons[0].rule) == (Ruling.DENY, "amount_is_sound")


@pytest.mark.parametrize("value", [-1, 1.0, math.nan, "7", True], ids=repr)
@pytest.mark.parametrize(
    ("fact", "settings"),
    [
        ("max_fee_wei", {"max_fee_wei": 10**18}),
        ("quoted_amount", {"max_slippage_bps": 10_000}),
        ("quoted_at", {"max_quote_age_seconds": 2**40}),
        ("now", {"max_quote_age_seconds": 2**40}),
        ("reference_amount", {"oracle_deviation_bps": 10_000}),
    ],
)
def test_a_fact_that_is_no_number_never_passes_for_a_small_one(fact: str, settings: dict[str, Any], value: Any) -> None:
    facts: Facts = replace(QUOTED, **{fact: value})
    (reason,) = evaluate(facts, PolicySettings(**settings)).reasons
    assert (reason.ruling, reason.rule) == (Ruling.DENY, next(iter(settings)))
    assert reason.message == "rule_failed: the rule raised ValueError."


@pytest.mark.parametrize("mapping", ["balances", "locked", "peaks"])
def test_a_negative_entry_never_makes_room(mapping: str) -> None:
    negative: Any = {mapping: {USDC: -1}}
    facts = replace(ESCROW, **negative)
    settings = PolicySettings(max_concentration_bps=10_000, max_token_exposure=BIG, max_drawdown_bps=10_000)
    assert evaluate(facts, settings).ruling is Ruling.DENY


class Broken(Exception):
    """Not known to anybody."""


@pytest.mark.parametrize("error", [Broken, KeyError, ZeroDivisionError, RecursionError, MemoryError])
def test_a_rule_that_raises_denies_whoever_approved(error: type[Exception]) -> None:
    def fragile(facts: Facts, settings: PolicySettings) -> Reason | None:
        raise error("a secret that no reason may repeat")

    decision = evaluate(replace(ESCROW, approved_by="ann"), PolicySettings(), rules=(*RULES, fragile))
    assert (decision.ruling, decision.risk_tier) == (Ruling.DENY, RiskTier.HIGH)
    assert decision.reasons == (Reason("fragile", f"rule_failed: the rule raised {error.__name__}.", Ruling.DENY),)


def test_the_rules_after_one_that_raises_are_asked_too() -> None:
    def fragile(facts: Facts, settings: PolicySettings) -> Reason | None:
        raise Broken

    rules = [r.rule for r in evaluate(ESCROW, PolicySettings(max_fee_wei=1), rules=(fragile, *RULES)).reasons]
    assert rules == ["fragile", "max_fee_wei"]


@pytest.mark.parametrize("answer", [True, False, "deny", Ruling.DENY, Reason("x", "", Ruling.ALLOW)], ids=repr)
def test_an_answer_that_is_no_reason_denies(answer: Any) -> None:
    class Odd:
        def __call__(self, facts: Facts, settings: PolicySettings) -> Reason | None:
            return cast(Reason, answer)

    decision = evaluate(ESCROW, PolicySettings(), rules=(Odd(),))
    assert (decision.ruling, decision.reasons[0].rule) == (Ruling.DENY, "Odd")


def test_the_end_of_the_process_is_not_swallowed() -> None:
    def interrupted(facts: Facts, settings: PolicySettings) -> Reason | None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate(ESCROW, PolicySettings(), rules=(interrupted,))
