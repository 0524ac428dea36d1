"""One payment in one step, found again by its idempotency key."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from actp.client import ACTPClient
from actp.errors import (
    IdempotencyConflict,
    InsufficientFunds,
    InvalidInput,
    Reverted,
    UnknownTransaction,
    UnsupportedByToken,
)
from actp.networks import Endpoint
from actp.orders import Milestone, salt_of, salted_id
from actp.types import State
from actp.units import keccak, usdc
from tests.client.support import DAY, FEE, HOUR, PRICE, PURSE, nonce, refused, state
from tests.client.support import terms as usual_terms

KEY = "order 4711"


@pytest.fixture
def terms(requester: ACTPClient, provider: ACTPClient) -> dict[str, Any]:
    return usual_terms(requester, provider)


def test_a_payment_is_created_and_funded_in_one_eth_transaction(
    requester: ACTPClient, provider: ACTPClient, terms: dict[str, Any]
) -> None:
    payment = requester.pay(**terms, standing_allowance=usdc(500))
    assert (payment.found, payment.state) == (False, State.COMMITTED)
    assert payment.result is not None
    assert len(payment.result.prior) == 1, "an approval"
    before = nonce(requester.chain, requester.address)
    second = requester.pay(**terms)
    assert second.result is not None
    assert second.result.prior == ()
    assert nonce(requester.chain, requester.address) == before + 1
    assert second.transaction_id != payment.transaction_id, "without a key every call pays"
    assert requester.token.allowance(requester.escrow.address) == usdc(500) - 2 * PRICE
    provider.kernel.deliver(payment.transaction_id)
    requester.release_escrow(payment.transaction_id)
    assert provider.balances().usdc == PURSE + PRICE - FEE


def test_exactly_what_is_missing_is_approved(requester: ACTPClient, terms: dict[str, Any]) -> None:
    payment = requester.pay(**terms)
    assert payment.result is not None
    assert len(payment.result.prior) == 1
    assert requester.token.allowance(requester.escrow.address) == 0
    assert requester.balances().usdc == PURSE - PRICE


def test_a_permit_takes_the_place_of_the_approval(requester: ACTPClient, terms: dict[str, Any]) -> None:
    before = nonce(requester.chain, requester.address)
    payment = requester.pay(**terms, funding="permit")
    assert payment.state is State.COMMITTED
    assert nonce(requester.chain, requester.address) == before + 1
    assert requester.token.allowance(requester.escrow.address) == 0
    assert state(requester, payment.transaction_id) is State.COMMITTED
    again = requester.pay(**terms, funding="permit")
    assert again.transaction_id != payment.transaction_id


def test_a_permit_is_not_signed_where_the_allowance_stands(requester: ACTPClient, terms: dict[str, Any]) -> None:
    requester.token.approve(requester.escrow.address, PRICE)
    requester.pay(**terms, funding="permit")
    assert requester.token.signing._read("nonces", requester.address) == 0
    assert requester.token.allowance(requester.escrow.address) == 0


def test_a_token_with_another_domain_gets_no_permit(
    requester: ACTPClient, endpoint: Endpoint, terms: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    signing = requester.token.signing
    real = signing._read
    monkeypatch.setattr(signing, "_read", lambda view, *a: "3" if view == "version" else real(view, *a))
    with refused(UnsupportedByToken, requester, endpoint):
        requester.pay(**terms, funding="permit")


def test_the_same_key_finds_the_first_payment(requester: ACTPClient, endpoint: Endpoint, terms: dict[str, Any]) -> None:
    first = requester.pay(**terms, idempotency_key=KEY)
    before = nonce(requester.chain, requester.address)
    again = ACTPClient(endpoint, requester._session.sender.signer).pay(**terms, idempotency_key=KEY.encode())
    assert (again.transaction_id, again.found, again.result) == (first.transaction_id, True, None)
    assert again.state is State.COMMITTED
    assert nonce(requester.chain, requester.address) == before
    assert requester.balances().usdc == PURSE - PRICE
    assert first.transaction_id == salted_id(
        requester.chain_id, requester.kernel.address, requester.address, salt_of(KEY)
    )


def test_it_is_found_whatever_became_of_it(requester: ACTPClient, provider: ACTPClient, terms: dict[str, Any]) -> None:
    tx_id = requester.pay(**terms, idempotency_key=KEY).transaction_id
    provider.kernel.deliver(tx_id, 2 * HOUR)
    assert requester.pay(**terms, idempotency_key=KEY).state is State.DELIVERED
    requester.kernel.settle(tx_id)
    requester.chain.time_travel(2 * DAY)
    found = requester.pay(**terms, idempotency_key=KEY)
    assert (found.transaction_id, found.state, found.found) == (tx_id, State.SETTLED, True)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"amount": PRICE + 1}, "amount"),
        ({"provider": "0x" + "77" * 20}, "provider"),
        ({"dispute_window": HOUR + 1}, "dispute_window"),
        ({"metadata": "something else"}, "metadata"),
        ({"agent_id": 7}, "agent_id"),
        ({"requester_agent_id": 7}, "requester_agent_id"),
        ({"arbiter": "0x" + "88" * 20}, "arbiter"),
        ({"timeout_requester_bps": 4_999}, "timeout_requester_bps"),
    ],
)
def test_the_same_key_with_other_terms_is_a_conflict(
    requester: ACTPClient, endpoint: Endpoint, terms: dict[str, Any], change: dict[str, Any], field: str
) -> None:
    first = requester.pay(**terms, idempotency_key=KEY)
    with refused(IdempotencyConflict, requester, endpoint) as refusal:
        requester.pay(**{**terms, **change}, idempotency_key=KEY)
    assert isinstance(refusal.error, IdempotencyConflict)
    assert (refusal.error.transaction_id, refusal.error.differing) == (first.transaction_id, (field,))
    assert field in refusal.error.message


def test_deadline_and_schedule_are_terms_too(requester: ACTPClient, endpoint: Endpoint, terms: dict[str, Any]) -> None:
    requester.pay(**terms, idempotency_key=KEY)
    other = {**terms, "deadline": terms["deadline"] + 1}
    with refused(IdempotencyConflict, requester, endpoint) as refusal:
        requester.pay(**other, milestones=[Milestone(PRICE, terms["deadline"])], idempotency_key=KEY)
    assert isinstance(refusal.error, IdempotencyConflict)
    assert refusal.error.differing == ("deadline", "milestones")


def test_all_clauses_are_recorded_and_found(requester: ACTPClient, stranger: ACTPClient, terms: dict[str, Any]) -> None:
    clauses: dict[str, Any] = {
        "arbiter": stranger.address,
        "timeout_requester_bps": 3_000,
        "agent_id": 5,
        "requester_agent_id": 6,
        "milestones": [Milestone(usdc(60), terms["deadline"] - 5, "draft"), Milestone(usdc(40), terms["deadline"])],
        "metadata": "a report",
    }
    tx_id = requester.pay(**terms, **clauses, idempotency_key=KEY).transaction_id
    record, agreed = requester.kernel.get_transaction(tx_id), requester.clauses(tx_id)
    assert (record.agent_id, record.requester_agent_id) == (5, 6)
    assert (agreed.arbiter, agreed.timeout_requester_bps) == (stranger.address, 3_000)
    assert [part.condition_hash for part in requester.milestones(tx_id)] == [
        "0x" + keccak(b"draft").hex(), "0x" + "00" * 32,
    ]  # fmt: skip
    assert requester.pay(**terms, **clauses, idempotency_key=KEY).found


def test_an_open_payment_is_funded_by_paying_it(requester: ACTPClient, terms: dict[str, Any]) -> None:
    opened = requester.open_payment(**terms, idempotency_key=KEY)
    assert (opened.found, opened.state) == (False, State.INITIATED)
    assert requester.open_payment(**terms, idempotency_key=KEY).found
    paid = requester.pay(**terms, idempotency_key=KEY)
    assert (paid.transaction_id, paid.found, paid.state) == (opened.transaction_id, True, State.COMMITTED)
    assert paid.result is not None
    assert state(requester, opened.transaction_id) is State.COMMITTED
    assert requester.balances().usdc == PURSE - PRICE


def test_keys_are_separated_from_everything_else_that_is_hashed() -> None:
    assert salt_of("a") == "0x" + keccak(b"actp.idempotency-key.v1\x00a").hex()
    assert salt_of("ä") == salt_of("ä".encode())
    assert salt_of("a") != salt_of("A")


@pytest.mark.parametrize(
    "bad",
    [
        {"idempotency_key": ""},
        {"idempotency_key": b""},
        {"idempotency_key": 5},
        {"idempotency_key": "\ud800"},
        {"amount": 25.0},
        {"amount": "25"},
        {"amount": 1},
        {"provider": "0x" + "00" * 20},
        {"deadline": 1},
        {"deadline": "tomorrow"},
        {"dispute_window": 5},
        {"timeout_requester_bps": 10_001},
        {"timeout_requester_bps": True},
        {"timeout_requester_bps": 0.5},
        {"arbiter": "somebody"},
        {"milestones": [(PRICE, 1)]},
        {"milestones": "all of it"},
        {"milestones": 5},
        {"funding": "cash"},
        {"standing_allowance": PRICE - 1},
        {"standing_allowance": 2.0},
        {"agent_id": -1},
    ],
)
@pytest.mark.parametrize("key", [{}, {"idempotency_key": KEY}])
def test_bad_input_is_refused_before_anything_is_sent(
    requester: ACTPClient, endpoint: Endpoint, terms: dict[str, Any], bad: dict[str, Any], key: dict[str, Any]
) -> None:
    with refused(InvalidInput, requester, endpoint):
        requester.pay(**{**terms, **key, **bad})


def test_bad_schedules_and_arbiters_are_refused(
    requester: ACTPClient, provider: ACTPClient, endpoint: Endpoint, terms: dict[str, Any]
) -> None:
    end = terms["deadline"]
    for milestones in (
        [Milestone(PRICE - 1, end)],
        [Milestone(PRICE, end + 1)],
        [Milestone(PRICE, requester.now() - 1)],
        [Milestone(PRICE - 1, end), Milestone(1, end)],
        [Milestone(PRICE, 5.0)],  # type: ignore[arg-type]
        [Milestone(usdc(1), end)] * 65,
    ):
        with refused(InvalidInput, requester, endpoint):
            requester.pay(**{**terms, "amount": usdc(65) if len(milestones) > 2 else PRICE}, milestones=milestones)
    for party in (requester.address, provider.address):
        with refused(InvalidInput, requester, endpoint):
            requester.pay(**terms, arbiter=party)


def test_an_empty_purse_is_found_out_before_the_approval(
    requester: ACTPClient, endpoint: Endpoint, terms: dict[str, Any]
) -> None:
    requester.token.transfer(terms["provider"], PURSE - 1)
    for funding in ("allowance", "permit"):
        with refused(InsufficientFunds, requester, endpoint) as refusal:
            requester.pay(**terms, funding=funding)  # type: ignore[arg-type]
        assert isinstance(refusal.error, InsufficientFunds)
        assert (refusal.error.asset, refusal.error.has) == ("USDC", 1)


def test_what_the_kernel_refuses_is_named(
    requester: ACTPClient, resolver: ACTPClient, endpoint: Endpoint, terms: dict[str, Any]
) -> None:
    resolver.kernel._binding.send("pause")
    with refused(Reverted, requester, endpoint) as refusal:
        requester.pay(**terms)
    assert isinstance(refusal.error, Reverted)
    assert refusal.error.name == "KernelIsPaused"
    with pytest.raises(UnknownTransaction):
        requester.clauses("0x" + "ab" * 32)


def test_two_requesters_with_one_key_make_two_payments(
    requester: ACTPClient, stranger: ACTPClient, terms: dict[str, Any]
) -> None:
    ids = {client.pay(**terms, idempotency_key=KEY).transaction_id for client in (requester, stranger)}
    assert len(ids) == 2


def test_a_client_of_another_deployment_derives_another_id(requester: ACTPClient, endpoint: Endpoint) -> None:
    kernel = requester.kernel.address
    ids = {
        salted_id(requester.chain_id, kernel, requester.address, salt_of(KEY)),
        salted_id(requester.chain_id + 1, kernel, requester.address, salt_of(KEY)),
        salted_id(requester.chain_id, replace(endpoint).deployment.vault, requester.address, salt_of(KEY)),
    }
    assert len(ids) == 3
