"""What an intent may say, and that nothing else passes."""

from __future__ import annotations

from typing import Any

import pytest

from coordinator.canonical import digest
from coordinator.errors import InvalidIntent, UnsupportedProtocol
from coordinator.intents import MODELS, body, parse
from coordinator.types import IntentType

WHO = "0x" + "33" * 20
CHECKED = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
ID = "0x" + "ab" * 32
SIGNATURE = "0x" + "1b" * 65
CREATE = {"escrow_numeric_id": 900_001, "provider": WHO, "amount": 10_000_000, "deadline": 4_102_444_800}
SPLIT = {"transaction_id": ID, "requester_amount": 1, "provider_amount": 1, "valid_until": 4_102_444_800}
PARTS = [{"amount": "4000000", "deadline": 4_102_444_700, "condition": "a draft"}, {"amount": 6_000_000}]

GOOD: dict[str, dict[str, Any]] = {
    "transfer_eth": {"to": WHO, "amount": 2**96 - 1, "memo": "rent", "require_approval": True},
    "transfer_erc20": {"to": WHO, "amount": 2**63 - 1, "token": CHECKED, "service": "hosting", "quoted_amount": 5},
    "approve_erc20": {"amount": 0},
    "create_escrow": {**CREATE, "arbiter": CHECKED, "terms": "a report", "quoted_at": 1_800_000_000},
    "create_escrow_batch": {"orders": [{**CREATE, "terms": "a report"}, {**CREATE, "escrow_numeric_id": "900002"}]},
    "create_milestone_escrow": {**CREATE, "milestones": PARTS},
    "accept_escrow": {"transaction_id": ID},
    "deliver_escrow": {"transaction_id": ID, "dispute_window": 86_400},
    "release_escrow": {"creator": WHO, "escrow_numeric_id": 0},
    "refund_escrow": {"transaction_id": ID, "provider": WHO},
    "dispute_escrow": {"transaction_id": ID, "evidence": "nothing came"},
    "resolve_dispute": {
        "transaction_id": ID,
        "decision": "split",
        "requester_amount": 0,
        "provider_amount": "7",
        "provider_at_fault": False,
    },
    "settle_by_consent": {
        "transaction_id": ID,
        "requester_amount": 0,
        "provider_amount": "7",
        "valid_until": 4_102_444_800,
        "provider_signature": SIGNATURE,
    },
    "release_milestone": {"transaction_id": ID, "index": 0},
    "settle_escrow_batch": {"transaction_ids": [ID, "0x" + "cd" * 32]},
    "close_dispute": {"transaction_id": ID, "provider": WHO},
    "withdraw_credit": {"payee": WHO},
    "withdraw_fees": {"memo": "monthly"},
    "query_balance": {"tokens": [CHECKED]},
    "query_positions": {"limit": 5, "include_ended": True},
}


def test_every_type_has_an_example_and_a_model() -> None:
    assert set(GOOD) == {kind.value for kind in IntentType} == {kind.value for kind in MODELS}


@pytest.mark.parametrize("type", GOOD)
def test_what_is_stored_reads_back_as_the_same_intent(type: str) -> None:
    intent = parse(type, GOOD[type])
    plain = body(intent)
    assert parse(type, plain) == intent
    assert parse(IntentType(type), plain) == intent
    assert body(parse(type, plain)) == plain
    assert digest(plain)  # canonical JSON takes it


@pytest.mark.parametrize("type", GOOD)
def test_no_type_ignores_an_unknown_key(type: str) -> None:
    with pytest.raises(InvalidIntent, match="unexpected"):
        parse(type, {**GOOD[type], "unexpected": 1})


@pytest.mark.parametrize("type", GOOD)
def test_an_intent_never_changes(type: str) -> None:
    intent = parse(type, GOOD[type])
    with pytest.raises(ValueError, match="frozen"):
        intent.amount = 1  # type: ignore[attr-defined]


def test_names_of_other_systems_and_notations_make_the_same_body() -> None:
    theirs = {
        "escrowNumericId": "900001",
        "counterparty": WHO,
        "amount": "10000000",
        "deadlineUnixSec": 4_102_444_800,
        "feeRecipient": CHECKED.lower(),
        "quotedAmount": "9999999",
        "quoteTimestamp": 1_800_000_000,
        "requireApprovalOnDemand": True,
        "timeoutRequesterBps": 5_000,
    }
    ours = {
        **CREATE,
        "fee_recipient": CHECKED,
        "quoted_amount": 9_999_999,
        "quoted_at": 1_800_000_000,
        "require_approval": True,
    }
    assert body(parse("create_escrow", theirs)) == body(parse("create_escrow", ours))
    parts = [{"amount": 10_000_000, "deadlineUnixSec": 4_102_444_800}]
    assert parse("create_milestone_escrow", {**CREATE, "milestones": parts})


def test_two_types_with_the_same_fields_have_different_bodies() -> None:
    fields = {"transaction_id": ID}
    assert digest(body(parse("accept_escrow", fields))) != digest(body(parse("release_escrow", fields)))


@pytest.mark.parametrize(
    "amount",
    [0, -1, 2**63, 1.0, float("nan"), float("inf"), True, None, "", "1.5", "1e6", "0x10", "01", " 7", "٣", b"7"],
)
def test_amounts_of_tokens_that_are_refused(amount: object) -> None:
    for type, fields in (("transfer_erc20", {"to": WHO}), ("create_escrow", {**CREATE})):
        with pytest.raises(InvalidIntent, match="amount"):
            parse(type, {**fields, "amount": amount})


@pytest.mark.parametrize("amount", [0, -1, 2**96, 1.0, True, "1.0"])
def test_amounts_of_ether_that_are_refused(amount: object) -> None:
    with pytest.raises(InvalidIntent, match="amount"):
        parse("transfer_eth", {"to": WHO, "amount": amount})


@pytest.mark.parametrize(
    "address", [None, 5, "", WHO[2:], WHO + "0", "0x" + "00" * 20, CHECKED.replace("C", "c"), WHO.upper(), b"3" * 20]
)
def test_addresses_that_are_refused(address: object) -> None:
    with pytest.raises(InvalidIntent, match="to"):
        parse("transfer_eth", {"to": address, "amount": 1})


BAD: list[tuple[str, dict[str, Any], str]] = [
    ("create_escrow", {**CREATE, "deadline": 4_102_444_800_000}, "milliseconds"),
    ("create_escrow", {**CREATE, "deadline": True}, "deadline"),
    ("create_escrow", {**CREATE, "deadline": "4102444800"}, "deadline"),
    ("create_escrow", {**CREATE, "escrow_numeric_id": 2**128}, "escrow_numeric_id"),
    ("create_escrow", {**CREATE, "escrow_numeric_id": -1}, "escrow_numeric_id"),
    ("create_escrow", {**CREATE, "escrow_numeric_id": 1.0}, "escrow_numeric_id"),
    ("create_escrow", {**CREATE, "counterparty": WHO}, "given twice"),
    ("create_escrow", {**CREATE, "terms": 7}, "terms"),
    ("create_escrow", {**CREATE, "terms": "x" * 16_385}, "terms"),
    ("create_escrow", {**CREATE, "memo": "\ud800"}, "memo"),
    ("create_escrow", {**CREATE, "require_approval": "yes"}, "require_approval"),
    ("create_escrow", {**CREATE, "require_approval": 1}, "require_approval"),
    ("create_escrow", {**CREATE, "timeout_requester_bps": 10_001}, "timeout_requester_bps"),
    ("create_escrow", {**CREATE, "dispute_window": 3600.0}, "dispute_window"),
    ("create_escrow", {**CREATE, "milestones": PARTS}, "milestones"),
    ("create_escrow", {**CREATE, "type": "transfer_eth"}, "transfer_eth"),
    ("create_milestone_escrow", CREATE, "milestones"),
    ("create_milestone_escrow", {**CREATE, "milestones": []}, "milestones"),
    ("create_milestone_escrow", {**CREATE, "milestones": [{"amount": 9_999_999}]}, "sum to 9999999"),
    ("create_milestone_escrow", {**CREATE, "milestones": [{"amount": 1}] * 65}, "milestones"),
    ("create_milestone_escrow", {**CREATE, "milestones": [{"amount": True}]}, "amount"),
    ("create_milestone_escrow", {**CREATE, "milestones": [{"amount": 10_000_000, "paid": 1}]}, "paid"),
    ("create_milestone_escrow", {**CREATE, "milestones": [7]}, "milestones"),
    ("create_escrow_batch", {"orders": []}, "orders"),
    ("create_escrow_batch", {"orders": [CREATE] * 2}, "same escrow_numeric_id"),
    ("create_escrow_batch", {"orders": [{**CREATE, "escrow_numeric_id": n} for n in range(101)]}, "orders"),
    ("create_escrow_batch", {"orders": [{**CREATE, "arbiter": WHO}]}, "arbiter"),
    (
        "create_escrow_batch",
        {"orders": [{**CREATE, "escrow_numeric_id": n, "amount": 2**62} for n in range(2)]},
        "worth more",
    ),
    ("settle_by_consent", {**SPLIT, "provider_signature": "0x" + "1b" * 64}, "signature"),
    ("settle_by_consent", {**SPLIT, "requester_signature": "1b" * 65}, "signature"),
    ("settle_by_consent", {**SPLIT, "requester_amount": -1}, "requester_amount"),
    ("settle_by_consent", {**SPLIT, "valid_until": True}, "valid_until"),
    ("accept_escrow", {}, "transaction_id"),
    ("accept_escrow", {"transaction_id": "0xab"}, "transaction_id"),
    ("accept_escrow", {"transaction_id": b"a" * 32}, "transaction_id"),
    ("accept_escrow", {"escrow_numeric_id": 1}, "creator"),
    ("accept_escrow", {"transaction_id": ID, "creator": WHO, "escrow_numeric_id": 1}, "transaction_id"),
    ("resolve_dispute", {"transaction_id": ID, "decision": "both"}, "decision"),
    ("resolve_dispute", {"transaction_id": ID, "decision": "split"}, "requester_amount"),
    ("resolve_dispute", {"transaction_id": ID, "decision": "release", "provider_amount": 1}, "split"),
    ("release_milestone", {"transaction_id": ID}, "index"),
    ("release_milestone", {"transaction_id": ID, "index": 1, "amount": 5}, "index"),
    ("release_milestone", {"transaction_id": ID, "index": 64}, "index"),
    ("release_milestone", {"transaction_id": ID, "index": True}, "index"),
    ("approve_erc20", {"amount": -1}, "amount"),
    ("approve_erc20", {"amount": 2**256 - 1}, "amount"),
    ("query_balance", {"tokens": [7]}, "tokens"),
    ("query_positions", {"limit": 0}, "limit"),
    ("query_positions", {"limit": True}, "limit"),
]


@pytest.mark.parametrize(("type", "fields", "said"), BAD)
def test_bad_fields_are_refused_with_their_name(type: str, fields: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidIntent, match=said) as caught:
        parse(type, fields)
    assert caught.value.code == "invalid_intent"
    assert caught.value.outcome == "not_sent"


@pytest.mark.parametrize("given", [None, [], "text", 7])
def test_a_body_that_is_no_object_is_refused(given: Any) -> None:
    with pytest.raises(InvalidIntent):
        parse("transfer_eth", given)


def test_a_key_that_was_sent_by_mistake_is_not_repeated() -> None:
    secret = "0x" + "5e" * 32
    for fields in ({"to": secret, "amount": 1}, {"to": WHO, "amount": secret}, {secret: 1}):
        with pytest.raises(InvalidIntent) as caught:
            parse("transfer_eth", fields)
        assert secret not in str(caught.value)
        assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    "type", ["swap", "stake", "unstake", "lend", "x402_pay", "transfer_sol", "", "TRANSFER_ETH", None, 7]
)
def test_what_is_not_served_says_so(type: Any) -> None:
    with pytest.raises(UnsupportedProtocol) as caught:
        parse(type, {"amount": 1})
    assert caught.value.code == "unsupported_protocol"
    assert caught.value.hint


def test_x402_is_announced() -> None:
    with pytest.raises(UnsupportedProtocol, match="come later"):
        parse("x402_pay", {})
