"""Payments that their requester signs and somebody else sends."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from actp import artifacts
from actp.client import ACTPClient
from actp.errors import IdempotencyConflict, InvalidInput, Reverted, SignatureRefused
from actp.networks import Endpoint
from actp.orders import Milestone
from actp.signed import PaymentAuthorization
from actp.signers import LocalSigner
from actp.types import State
from actp.units import usdc
from tests.client.support import DAY, HOUR, PRICE, act, nonce, refused, state, terms

KEY = "order 4711"
POOR = LocalSigner("0x" + "5a" * 32)
"""An account without any ETH."""


@pytest.fixture
def payer(endpoint: Endpoint) -> ACTPClient:
    act(endpoint, 4, "TestUSDC", "mint", POOR.address, usdc(1_000))
    return ACTPClient(endpoint, POOR)


@pytest.fixture
def signed(payer: ACTPClient, provider: ACTPClient, stranger: ACTPClient) -> PaymentAuthorization:
    end = payer.now() + DAY
    schedule = [Milestone(usdc(30), end - HOUR, "draft"), Milestone(usdc(70), end)]
    return payer.authorize_payment(
        **terms(payer, provider), arbiter=stranger.address, milestones=schedule, metadata="x", idempotency_key=KEY
    )


def test_a_payer_without_ether_pays_through_a_relayer(
    payer: ACTPClient, stranger: ACTPClient, signed: PaymentAuthorization
) -> None:
    assert payer.balances().eth == 0
    passed_on = PaymentAuthorization.from_json(signed.to_json())
    assert passed_on == signed
    payment = stranger.submit_authorization(passed_on)
    assert (payment.found, payment.state, payment.transaction_id) == (False, State.COMMITTED, signed.transaction_id)
    record = payer.kernel.get_transaction(payment.transaction_id)
    assert (record.requester, record.amount) == (payer.address, PRICE)
    assert payer.clauses(payment.transaction_id).arbiter == stranger.address
    assert payer.balances().usdc == usdc(1_000) - PRICE
    assert nonce(payer.chain, payer.address) == 0


def test_a_second_submission_finds_the_first(
    payer: ACTPClient, requester: ACTPClient, stranger: ACTPClient, signed: PaymentAuthorization
) -> None:
    first = stranger.submit_authorization(signed)
    before = nonce(requester.chain, requester.address)
    again = requester.submit_authorization(signed)
    assert (again.found, again.transaction_id) == (True, first.transaction_id)
    assert nonce(requester.chain, requester.address) == before
    assert payer.balances().usdc == usdc(1_000) - PRICE


def test_a_relayer_that_loses_a_race_finds_the_payment(
    requester: ACTPClient, stranger: ACTPClient, signed: PaymentAuthorization, monkeypatch: pytest.MonkeyPatch
) -> None:
    stranger.submit_authorization(signed)
    intents, looks = requester._relays._intents, iter([True])
    real = intents.find
    monkeypatch.setattr(intents, "find", lambda intent: None if next(looks, False) else real(intent))
    monkeypatch.setattr(requester.token.signing, "is_used", lambda payer, nonce: False)
    assert requester.submit_authorization(signed).found


def test_a_key_that_was_signed_for_is_the_payers_key(
    payer: ACTPClient, provider: ACTPClient, stranger: ACTPClient, endpoint: Endpoint
) -> None:
    wanted = terms(payer, provider)
    payment = stranger.submit_authorization(payer.authorize_payment(**wanted, idempotency_key=KEY))
    payer.chain.request("anvil_setBalance", [payer.address, hex(10**18)])
    assert payer.pay(**wanted, idempotency_key=KEY).transaction_id == payment.transaction_id
    with refused(IdempotencyConflict, payer, endpoint):
        payer.authorize_payment(**{**wanted, "amount": PRICE + 1}, idempotency_key=KEY)


@pytest.mark.parametrize(
    "change",
    [
        {"amount": PRICE + 1},
        {"amount": PRICE - 1},
        {"provider": "0x" + "77" * 20},
        {"deadline": 1},
        {"dispute_window": DAY},
        {"service_hash": "0x" + "11" * 32},
        {"salt": "0x" + "11" * 32},
    ],
)
def test_a_changed_term_is_found_out_here_and_on_the_chain(
    stranger: ACTPClient, endpoint: Endpoint, signed: PaymentAuthorization, change: dict[str, Any]
) -> None:
    value = {"deadline": signed.order.deadline + 1}.get(next(iter(change)))
    forged = replace(signed, order=replace(signed.order, **(change if value is None else {"deadline": value})))
    with refused(SignatureRefused, stranger, endpoint) as refusal:
        stranger.submit_authorization(forged)
    assert refusal.error.code == "wrong_signer"
    proof = (forged.valid_after, forged.valid_before, bytes.fromhex(forged.signature[2:]))
    with pytest.raises(Reverted):
        stranger._relays._binding.simulate(
            "createFundedWithAuthorization", forged.requester, forged.order.fields(), forged.clauses.fields(), proof
        )


@pytest.mark.parametrize(
    "change",
    [
        {"arbiter": "0x" + "88" * 20},
        {"timeout_requester_bps": 1},
        {"agent_id": 1},
        {"requester_agent_id": 1},
        {"milestones": ()},
    ],
)
def test_a_changed_clause_is_found_out(
    stranger: ACTPClient, endpoint: Endpoint, signed: PaymentAuthorization, change: dict[str, Any]
) -> None:
    with refused(SignatureRefused, stranger, endpoint) as refusal:
        stranger.submit_authorization(replace(signed, clauses=replace(signed.clauses, **change)))
    assert refusal.error.code == "wrong_signer"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"chain_id": 1}, "other_chain"),
        ({"kernel": "0x" + "11" * 20}, "other_kernel"),
        ({"vault": "0x" + "11" * 20}, "other_vault"),
        ({"token": "0x" + "11" * 20}, "other_token"),
        ({"valid_before": 1}, "expired"),
        ({"valid_after": 2**40}, "not_yet_valid"),
        ({"requester": "0x" + "11" * 20}, "wrong_signer"),
        ({"signature": "0x"}, "wrong_signer"),
        ({"signature": "0x" + "00" * 65}, "wrong_signer"),
        ({"signature": "0x" + "ff" * 65}, "wrong_signer"),
    ],
)
def test_what_is_not_for_here_and_now_is_not_sent(
    stranger: ACTPClient, endpoint: Endpoint, signed: PaymentAuthorization, change: dict[str, Any], code: str
) -> None:
    with refused(SignatureRefused, stranger, endpoint) as refusal:
        stranger.submit_authorization(replace(signed, **change))
    assert refusal.error.code == code


def test_the_second_signature_that_follows_from_the_first_is_refused(
    stranger: ACTPClient, endpoint: Endpoint, signed: PaymentAuthorization
) -> None:
    raw = bytes.fromhex(signed.signature[2:])
    order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
    flipped = order - int.from_bytes(raw[32:64], "big")
    twin = raw[:32] + flipped.to_bytes(32, "big") + bytes([55 - raw[64]])
    with refused(SignatureRefused, stranger, endpoint):
        stranger.submit_authorization(replace(signed, signature="0x" + twin.hex()))


def test_it_expires(payer: ACTPClient, provider: ACTPClient, stranger: ACTPClient, endpoint: Endpoint) -> None:
    short = payer.authorize_payment(**terms(payer, provider), valid_for=60)
    payer.chain.time_travel(61)
    with refused(SignatureRefused, stranger, endpoint) as refusal:
        stranger.submit_authorization(short)
    assert refusal.error.code == "expired"
    for seconds in (0, -1, 1.5):
        with refused(InvalidInput, payer, endpoint):
            payer.authorize_payment(**terms(payer, provider), valid_for=seconds)  # type: ignore[arg-type]


def test_one_that_its_payer_cancelled_is_not_sent(
    payer: ACTPClient, stranger: ACTPClient, endpoint: Endpoint, signed: PaymentAuthorization
) -> None:
    domain = payer.token.signing.domain
    cancel = {
        "types": {
            "EIP712Domain": [
                {"name": "name", "type": "string"},
                {"name": "version", "type": "string"},
                {"name": "chainId", "type": "uint256"},
                {"name": "verifyingContract", "type": "address"},
            ],
            "CancelAuthorization": [
                {"name": "authorizer", "type": "address"},
                {"name": "nonce", "type": "bytes32"},
            ],
        },
        "primaryType": "CancelAuthorization",
        "domain": domain.fields(),
        "message": {"authorizer": payer.address, "nonce": signed.nonce},
    }
    raw = POOR.sign_typed_data(cancel)
    overload = next(
        entry
        for entry in artifacts.load("TestUSDC").abi
        if entry.get("name") == "cancelAuthorization" and len(entry["inputs"]) == 3
    )
    token = replace(artifacts.load("TestUSDC"), abi=(overload,))
    data = token.call_data("cancelAuthorization", [payer.address, bytes.fromhex(signed.nonce[2:]), raw])
    stranger._session.sender.send(payer.token.address, data)
    with refused(SignatureRefused, stranger, endpoint) as refusal:
        stranger.submit_authorization(signed)
    assert refusal.error.code == "used"


def test_its_json_is_read_strictly(stranger: ACTPClient, endpoint: Endpoint, signed: PaymentAuthorization) -> None:
    good = json.loads(signed.to_json())
    broken: list[str] = ["", "[]", "{}", "[" * 100_000, json.dumps({**good, "format": "actp-split-consent/1"})]
    for change in (
        {"chainId": 31337},
        {"chainId": "-1"},
        {"chainId": "1e3"},
        {"chainId": str(2**256)},
        {"kernel": "0x12"},
        {"signature": "zz"},
        {"order": None},
        {"order": {**good["order"], "salt": "0x12"}},
        {"order": {**good["order"], "amount": None}},
        {"clauses": {**good["clauses"], "milestones": "none"}},
        {"clauses": {**good["clauses"], "milestones": [5]}},
    ):
        broken.append(json.dumps({**good, **change}))
    for text in broken:
        with pytest.raises(InvalidInput):
            PaymentAuthorization.from_json(text)
    with refused(InvalidInput, stranger, endpoint):
        stranger.submit_authorization(signed.to_json())  # type: ignore[arg-type]
    assert state(stranger, stranger.submit_authorization(signed).transaction_id) is State.COMMITTED
