"""Every rule just below, at and just above its limit, and every permission with and without it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from coordinator.policy import RULES, Counts, Facts, PolicySettings, RateCaps, evaluate
from coordinator.types import Call, IntentType, RiskTier, Ruling
from tests.coordinator.policy.support import (
    CREATE,
    ESCROW,
    KERNEL,
    NOW,
    PROVIDER,
    STRANGER,
    USDC,
    VAULT,
    about,
    granting,
)

DENY, ASK = Ruling.DENY, Ruling.REQUIRE_APPROVAL
DISPUTE = replace(about(amount=30), type=IntentType.DISPUTE_ESCROW)
REFUND = replace(about(amount=0, locks=False), type=IntentType.REFUND_ESCROW)
SPLIT = replace(about(amount=0, locks=False), type=IntentType.SETTLE_BY_CONSENT)
BATCH = replace(ESCROW, type=IntentType.CREATE_ESCROW_BATCH)
TRANSFER = replace(about(locks=False), type=IntentType.TRANSFER_ERC20)
ETHER = replace(about(asset="ETH", locks=False), type=IntentType.TRANSFER_ETH, call=Call(PROVIDER, value=1_000))


def quoted(amount: int | None, at: int | None = NOW, **more: Any) -> Facts:
    return replace(ESCROW, quoted_amount=amount, quoted_at=at, **more)


# What each rule makes of the facts ("used"), so that the limits used - 1, used and used + 1 can be tried.
NUMBERS: Mapping[str, tuple[Facts, str, Callable[[int], Any], int, Ruling]] = {
    "amount": (ESCROW, "max_amount", lambda n: {USDC: n}, 1_000, DENY),
    "amount of ether": (ETHER, "max_amount", lambda n: {"ETH": n, USDC: 1}, 1_000, DENY),
    "approval": (ESCROW, "approval_over", lambda n: {USDC: n}, 1_000, ASK),
    "concentration": (ESCROW, "max_concentration_bps", int, 1_000, DENY),
    "concentration, rounded up": (about(amount=1_001), "max_concentration_bps", int, 1_001, DENY),
    "concentration, a unit over": (
        replace(about(amount=1), balances={USDC: 9_999}),
        "max_concentration_bps",
        int,
        2,
        DENY,
    ),
    "fee": (ESCROW, "max_fee_wei", int, 700, DENY),
    "slippage": (quoted(800), "max_slippage_bps", int, 2_500, DENY),
    "slippage, rounded up": (quoted(999), "max_slippage_bps", int, 11, DENY),
    "age of a quote": (quoted(1_000, NOW - 60), "max_quote_age_seconds", int, 60, DENY),
    "a quote from the future": (quoted(1_000, NOW + 60), "max_quote_age_seconds", int, 60, DENY),
    "deviation upwards": (quoted(1_000, reference_amount=800), "oracle_deviation_bps", int, 2_500, ASK),
    "deviation downwards": (quoted(1_000, reference_amount=1_250), "oracle_deviation_bps", int, 2_000, ASK),
    "deviation, rounded up": (quoted(1_000, reference_amount=999), "oracle_deviation_bps", int, 11, ASK),
    "deviation of a quote": (quoted(600, reference_amount=1_000), "oracle_deviation_bps", int, 4_000, ASK),
    "deviation of a named service": (
        replace(ESCROW, service="translation", reference_amount=800),
        "oracle_deviation_bps",
        int,
        2_500,
        ASK,
    ),
    "token exposure": (ESCROW, "max_token_exposure", lambda n: {USDC: n}, 6_000, DENY),
    "contract exposure": (ESCROW, "max_contract_exposure", lambda n: {USDC: n}, 5_000, DENY),
    "counterparty exposure": (ESCROW, "max_counterparty_exposure", lambda n: {USDC: n}, 4_000, DENY),
    "first exposure": (replace(ESCROW, locked={}), "max_token_exposure", lambda n: {USDC: n}, 1_000, DENY),
    "daily loss of a token": (ESCROW, "max_daily_loss", lambda n: {USDC: n}, 50, DENY),
    "daily loss with a bond": (DISPUTE, "max_daily_loss", lambda n: {USDC: n}, 80, DENY),
    "daily loss with the fee": (ESCROW, "max_daily_loss", lambda n: {"ETH": n}, 1_000, DENY),
    "daily loss of a refund": (REFUND, "max_daily_loss", lambda n: {"ETH": n}, 1_000, DENY),
    "drawdown before a lock": (ESCROW, "max_drawdown_bps", int, 2_500, DENY),
    "drawdown by a payment": (TRANSFER, "max_drawdown_bps", int, 3_000, DENY),
    "drawdown, rounded up": (about(TRANSFER, amount=1_001), "max_drawdown_bps", int, 3_001, DENY),
    "drawdown from a peak that was not noted": (
        replace(TRANSFER, peaks={USDC: 1}),
        "max_drawdown_bps",
        int,
        667,
        DENY,
    ),
    "agent per minute": (ESCROW, "agent_rate", lambda n: RateCaps(minute=n), 2, DENY),
    "agent per hour": (ESCROW, "agent_rate", lambda n: RateCaps(hour=n), 11, DENY),
    "agent per day": (ESCROW, "agent_rate", lambda n: RateCaps(day=n), 101, DENY),
    "wallet per minute": (ESCROW, "wallet_rate", lambda n: {"minute": n}, 3, DENY),
    "wallet per hour": (ESCROW, "wallet_rate", lambda n: {"hour": n}, 21, DENY),
    "wallet per day": (ESCROW, "wallet_rate", lambda n: {"minute": 3, "day": n}, 201, DENY),
}


@pytest.mark.parametrize("case", NUMBERS)
def test_limits_are_inclusive_and_reasons_carry_both_numbers(case: str) -> None:
    facts, setting, shape, used, ruling = NUMBERS[case]
    for limit in (used, used + 1):
        decision = evaluate(facts, PolicySettings(**{setting: shape(limit)}))
        assert (decision.ruling, decision.risk_tier, decision.reasons) == (Ruling.ALLOW, RiskTier.LOW, ())
    settings = PolicySettings(**{setting: shape(used - 1)})
    decision = evaluate(facts, settings)
    (reason,) = decision.reasons
    assert (decision.ruling, reason.ruling, reason.rule) == (ruling, ruling, setting)
    assert (reason.limit, reason.used) == (used - 1, used)
    assert decision.risk_tier is (RiskTier.HIGH if ruling is DENY else RiskTier.MEDIUM)
    assert decision.policy_version == settings.version


# Without numbers: (facts, settings, whether they pass).
PERMISSIONS: Mapping[str, tuple[Facts, dict[str, Any], Ruling]] = {
    "intent named": (ESCROW, {"allowed_intents": {"research": ["create_escrow"]}}, Ruling.ALLOW),
    "intent of another agent": (ESCROW, {"allowed_intents": {"other": ["create_escrow"]}}, DENY),
    "other intent": (ESCROW, {"allowed_intents": {"research": ["release_escrow"]}}, DENY),
    "intent of everybody": (ESCROW, {"allowed_intents": {"*": ["create_escrow"]}}, Ruling.ALLOW),
    "everybody does not widen a named agent": (
        ESCROW,
        {"allowed_intents": {"research": [], "*": ["create_escrow"]}},
        DENY,
    ),
    "contract with selector": (ESCROW, {"allowed_contracts": {KERNEL: ["0x12345678"]}}, Ruling.ALLOW),
    "contract with other selector": (ESCROW, {"allowed_contracts": {KERNEL: ["0x12345679", "0x"]}}, DENY),
    "contract with any selector": (ESCROW, {"allowed_contracts": {KERNEL: "*"}}, Ruling.ALLOW),
    "other contract": (ESCROW, {"allowed_contracts": {VAULT: "*"}}, DENY),
    "no contract at all": (ESCROW, {"allowed_contracts": {}}, DENY),
    "plain transfer": (ETHER, {"allowed_contracts": {PROVIDER: ["0x"]}}, Ruling.ALLOW),
    "plain transfer where calls are allowed": (ETHER, {"allowed_contracts": {PROVIDER: ["0x12345678"]}}, DENY),
    "call with data too short for a selector": (
        replace(ESCROW, call=Call(KERNEL, b"\x12\x34")),
        {"allowed_contracts": {KERNEL: ["0x", "0x12345678"]}},
        DENY,
    ),
    "provider": (ESCROW, {"allowed_providers": [PROVIDER]}, Ruling.ALLOW),
    "stranger as provider": (about(counterparty=STRANGER), {"allowed_providers": [PROVIDER]}, DENY),
    "nobody may be paid": (ESCROW, {"allowed_providers": []}, DENY),
    "transfer to a stranger": (about(TRANSFER, counterparty=STRANGER), {"allowed_providers": [PROVIDER]}, DENY),
    "dispute with a provider of before": (DISPUTE, {"allowed_providers": [STRANGER]}, Ruling.ALLOW),
    "split with a provider of before": (SPLIT, {"allowed_providers": [STRANGER]}, Ruling.ALLOW),
    "batch for one provider": (BATCH, {"allowed_providers": [PROVIDER]}, Ruling.ALLOW),
    "batch for several": (about(BATCH, counterparty=None), {"allowed_providers": [PROVIDER]}, DENY),
    "allowance to the vault": (granting(VAULT), {}, Ruling.ALLOW),
    "allowance to a stranger": (granting(STRANGER), {}, DENY),
    "allowance to a named spender": (granting(STRANGER), {"allowed_spenders": [STRANGER]}, Ruling.ALLOW),
    "allowance to the vault where others are named": (granting(VAULT), {"allowed_spenders": [STRANGER]}, DENY),
    "allowance taken back": (granting(STRANGER, 0), {}, Ruling.ALLOW),
    "allowance given along the way": (replace(ESCROW, effects=granting(STRANGER).effects), {}, DENY),
    "asset that is not named": (ETHER, {"max_amount": {USDC: 10**9}}, DENY),
    "asset that is not named, approval": (ETHER, {"approval_over": {USDC: 10**9}}, ASK),
    "asset that is not named, exposure": (about(asset="ETH"), {"max_token_exposure": {USDC: 10**9}}, DENY),
    "asset that is not named, loss": (ESCROW, {"max_daily_loss": {STRANGER: 0}}, Ruling.ALLOW),
    "refund after too great a loss of a token": (REFUND, {"max_daily_loss": {USDC: 10}}, Ruling.ALLOW),
    "another asset after too great a loss": (ETHER, {"max_daily_loss": {USDC: 10}}, DENY),
    "refund with a drawdown": (REFUND, {"max_drawdown_bps": 0}, Ruling.ALLOW),
    "transfer is no exposure": (TRANSFER, {"max_token_exposure": {USDC: 0}}, Ruling.ALLOW),
    "wallet that holds nothing": (replace(ESCROW, balances={USDC: 0}), {"max_concentration_bps": 10_000}, DENY),
    "treasury that never had anything": (
        replace(TRANSFER, balances={USDC: 0}, locked={}, peaks={USDC: 0}),
        {"max_drawdown_bps": 10_000},
        DENY,
    ),
    "nothing quoted": (ESCROW, {"max_slippage_bps": 0, "max_quote_age_seconds": 0}, Ruling.ALLOW),
    "cheaper than quoted": (quoted(2_000), {"max_slippage_bps": 0}, Ruling.ALLOW),
    "quoted as free": (quoted(0), {"max_slippage_bps": 10_000}, DENY),
    "quote without time": (quoted(1_000, None), {"max_quote_age_seconds": 60}, DENY),
    "quote without amount": (quoted(None), {"max_slippage_bps": 60}, DENY),
    "quote without reference": (quoted(1_000), {"oracle_deviation_bps": 10_000}, ASK),
    "service without reference": (replace(ESCROW, service="x"), {"oracle_deviation_bps": 10_000}, ASK),
    "service that should be free": (quoted(1, reference_amount=0), {"oracle_deviation_bps": 10_000}, ASK),
    "neither quote nor service": (ESCROW, {"oracle_deviation_bps": 0}, Ruling.ALLOW),
    "approval demanded": (replace(ESCROW, approval_demanded=True), {}, ASK),
    "approval demanded in vain": (
        replace(ESCROW, approval_demanded=True),
        {"require_approval_on_demand": False},
        DENY,
    ),
    "approval not demanded": (ESCROW, {"require_approval_on_demand": False}, Ruling.ALLOW),
}


@pytest.mark.parametrize("case", PERMISSIONS)
def test_permissions(case: str) -> None:
    facts, settings, ruling = PERMISSIONS[case]
    decision = evaluate(facts, PolicySettings(**settings))
    assert decision.ruling is ruling, decision.reasons
    assert (decision.reasons == ()) is (ruling is Ruling.ALLOW)


def test_every_rule_is_in_one_of_the_tables() -> None:
    settings = {row[1] for row in NUMBERS.values()} | {name for row in PERMISSIONS.values() for name in row[1]}
    assert {rule.__name__ for rule in RULES} - {"amount_is_sound"} == settings


def test_no_rule_but_spenders_and_demand_is_on_by_default() -> None:
    bare = Facts(
        type=IntentType.CREATE_ESCROW,
        agent="a",
        wallet=ESCROW.wallet,
        subject=ESCROW.subject,
        call=Call(KERNEL, CREATE),
        effects=ESCROW.effects,
    )
    assert evaluate(bare, PolicySettings()).ruling is Ruling.ALLOW


def test_an_approval_satisfies_what_asks_and_nothing_that_denies() -> None:
    asking = PolicySettings(approval_over={USDC: 0})
    approved = replace(ESCROW, approved_by="ann", approval_demanded=True)
    decision = evaluate(approved, asking)
    assert (decision.ruling, decision.risk_tier) == (Ruling.ALLOW, RiskTier.MEDIUM)
    assert [reason.rule for reason in decision.reasons] == ["approval_over", "require_approval_on_demand"]
    assert evaluate(replace(approved, approved_by=""), asking).ruling is ASK
    assert evaluate(approved, PolicySettings(approval_over={USDC: 0}, max_fee_wei=699)).ruling is DENY


def test_a_decision_holds_every_reason() -> None:
    settings = PolicySettings(max_amount={USDC: 1}, max_fee_wei=1, agent_rate=RateCaps(minute=0))
    rules = [reason.rule for reason in evaluate(ESCROW, settings).reasons]
    assert rules == ["max_amount", "max_fee_wei", "agent_rate"]


def test_one_count_that_is_over_is_enough() -> None:
    caps = RateCaps(minute=2, hour=11, day=100)
    (reason,) = evaluate(ESCROW, PolicySettings(agent_rate=caps)).reasons
    assert "day" in reason.message
    assert evaluate(replace(ESCROW, agent_counts=Counts(1, 10, 99)), PolicySettings(agent_rate=caps)).reasons == ()
