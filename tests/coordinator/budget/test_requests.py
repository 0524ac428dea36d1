"""What is refused before any rule is asked, and what follows from an idempotency key."""

from __future__ import annotations

from dataclasses import replace

import pytest

from actp.errors import InvalidInput
from actp.orders import salt_of, salted_id
from actp.terms import Limits
from coordinator.budget.requests import Payer, SpendingRequest, ask_of, escrow_number
from coordinator.intents import parse
from tests.coordinator.budget.support import OTHER_PROVIDER, PROVIDER, TOKEN, USDC, WALLET

KERNEL = "0x" + "09" * 20
LIMITS = Limits(50_000, 10**15, 31_536_000, 3_600, 2_592_000, 172_800)
PAYER = Payer(31337, WALLET, KERNEL, LIMITS, {KERNEL: "the kernel", TOKEN: "the token"})
REQUEST = SpendingRequest("ann", 25 * USDC, PROVIDER, "A thing", idempotency_key="one")


@pytest.mark.parametrize(
    "amount", [0, -1, 49_999, 10**15 + 1, 2**63, 2**300, 1.0, float("nan"), "25000000", True, None]
)
def test_an_amount_that_is_none_is_refused(amount):
    with pytest.raises(InvalidInput, match="amount"):
        ask_of(replace(REQUEST, amount=amount), PAYER)


@pytest.mark.parametrize(
    ("provider", "said"),
    [
        ("0x1111...", "not an address"),
        ("0x" + "00" * 20, "zero address"),
        ("0xAbcd" + "05" * 18, "wrong checksum"),
        (KERNEL, "is the kernel"),
        (TOKEN, "is the token"),
        (None, "not an address"),
    ],
)
def test_who_can_provide_nothing_is_refused(provider, said):
    with pytest.raises(InvalidInput, match=said):
        ask_of(replace(REQUEST, provider=provider), PAYER)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"agent_id": ""}, "agent_id"),
        ({"agent_id": None}, "agent_id"),
        ({"agent_id": "a\0"}, "agent_id"),
        ({"purpose": None}, "purpose"),
        ({"purpose": "x" * 1_025}, "purpose"),
        ({"purpose": "\udc00"}, "purpose"),
        ({"category": ""}, "category"),
        ({"category": 1}, "category"),
        ({"idempotency_key": ""}, "key"),
        ({"idempotency_key": 1}, "key"),
        ({"idempotency_key": "k" * 201}, "key"),
        ({"deadline_seconds": 0}, "deadline_seconds"),
        ({"deadline_seconds": 31_536_001}, "deadline_seconds"),
        ({"deadline_seconds": 3_601.0}, "deadline_seconds"),
        ({"dispute_window": 60}, "dispute_window"),
        ({"terms": "x" * 16_385}, "terms"),
        ({"quoted_amount": 0}, "quoted_amount"),
        ({"quoted_at": 1.5}, "quoted_at"),
        ({"quoted_at": 1_700_000_000_000}, "milliseconds|9999"),
        ({"service": ""}, "service"),
        ({"require_approval": 1}, "require_approval"),
    ],
)
def test_a_field_that_no_request_can_have_is_refused_by_name(change, said):
    with pytest.raises(InvalidInput, match=said):
        ask_of(replace(REQUEST, **change), PAYER)


def test_a_window_that_ends_after_the_deadline_is_refused():
    with pytest.raises(InvalidInput, match="not shorter"):
        ask_of(replace(REQUEST, deadline_seconds=3_600, dispute_window=3_600), PAYER)
    usual = ask_of(REQUEST, PAYER).terms
    assert usual["dispute_window"] < usual["deadline_seconds"]


def test_the_same_key_of_an_agent_is_the_same_escrow_and_of_another_agent_another_one():
    first, again, other = (ask_of(replace(REQUEST, agent_id=agent), PAYER) for agent in ("ann", "ann", "bob"))
    assert (first.number, first.transaction_id, first.body_hash) == (
        again.number,
        again.transaction_id,
        again.body_hash,
    )
    assert first.number != other.number
    assert first.transaction_id == salted_id(31337, KERNEL, WALLET, salt_of(str(first.number)))


def test_a_request_without_a_key_is_a_new_purchase_each_time():
    keys = {ask_of(replace(REQUEST, idempotency_key=None), PAYER).key for _ in range(3)}
    assert len(keys) == 3


@pytest.mark.parametrize(
    "change",
    [
        {"amount": 26 * USDC},
        {"provider": OTHER_PROVIDER},
        {"category": "data"},
        {"deadline_seconds": 90_000},
        {"dispute_window": 7_200},
        {"terms": "as agreed"},
        {"quoted_amount": 25 * USDC},
        {"quoted_at": 1_700_000_000},
        {"service": "papers"},
        {"require_approval": True},
    ],
)
def test_whatever_changes_what_is_bought_changes_the_body(change):
    assert ask_of(replace(REQUEST, **change), PAYER).body_hash != ask_of(REQUEST, PAYER).body_hash


def test_the_spelling_of_an_address_does_not():
    spelt = [ask_of(replace(REQUEST, provider="0x" + digits * 20), PAYER).body_hash for digits in ("ab", "AB")]
    assert spelt[0] == spelt[1]


def test_a_purpose_cannot_be_guessed_from_the_body():
    other = ask_of(replace(REQUEST, purpose="Another thing"), PAYER)
    assert other.body_hash == ask_of(REQUEST, PAYER).body_hash


def test_agent_and_key_cannot_be_split_in_two_ways():
    assert escrow_number("a", "bc") != escrow_number("ab", "c")


def test_every_number_is_one_that_an_escrow_can_have():
    numbers = [escrow_number("ann", str(index)) for index in range(200)]
    assert max(numbers) > 2**120
    for number in (*numbers, 2**128 - 1):
        parse(
            "create_escrow",
            {"escrow_numeric_id": str(number), "provider": PROVIDER, "amount": 1, "deadline": 4_102_444_800},
        )
