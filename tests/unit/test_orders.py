"""Ids, nonces and terms of payments, without a chain."""

from __future__ import annotations

from dataclasses import fields, replace
from inspect import signature

import pytest
from eth_abi.abi import encode

from actp.errors import InvalidInput
from actp.intents import Intents
from actp.orders import (
    Acceptance,
    AgreedClauses,
    Clauses,
    Milestone,
    Order,
    authorization_nonce,
    bound_service_hash,
    salt_of,
    salted_id,
)
from actp.signed import PaymentAuthorization, SplitConsent
from actp.typed_data import Domain
from actp.units import keccak
from actp.verbs import Verbs

SOMEONE, OTHER, JUDGE = ("0x" + digits * 20 for digits in ("11", "22", "33"))
ORDER = Order(OTHER, 5_000_000, 2_000_000_000, 3_600, "0x" + "5e" * 32, salt_of("order 4711"))
CLAUSES = Clauses(JUDGE, 4_000, 7, 8, (Milestone(5_000_000, 1_999_999_999, "0x" + "c0" * 32),))


def test_the_salt_of_a_key_never_changes() -> None:
    assert salt_of("order 4711") == "0x" + keccak(b"actp.idempotency-key.v1\x00order 4711").hex()
    assert (
        bound_service_hash(ORDER.salt, ORDER.service_hash)
        == "0x" + keccak(b"actp.idempotent-service.v1\x00" + bytes.fromhex(ORDER.salt[2:]) + b"\x5e" * 32).hex()
    )


def test_the_id_binds_chain_kernel_requester_and_salt() -> None:
    words = encode(["uint256", "address", "address", "bytes32"], [5, SOMEONE, OTHER, bytes.fromhex(ORDER.salt[2:])])
    assert salted_id(5, SOMEONE, OTHER, ORDER.salt) == "0x" + keccak(words).hex()
    ids = {
        salted_id(5, SOMEONE, OTHER, ORDER.salt),
        salted_id(6, SOMEONE, OTHER, ORDER.salt),
        salted_id(5, JUDGE, OTHER, ORDER.salt),
        salted_id(5, SOMEONE, JUDGE, ORDER.salt),
        salted_id(5, SOMEONE, OTHER, salt_of("another")),
    }
    assert len(ids) == 5


def test_every_term_is_part_of_the_nonce_that_a_payer_signs() -> None:
    def nonce(order: Order = ORDER, clauses: Clauses = CLAUSES) -> str:
        return authorization_nonce(5, SOMEONE, OTHER, order, clauses)

    part = CLAUSES.milestones[0]
    changed = [
        nonce(replace(ORDER, provider=JUDGE)),
        nonce(replace(ORDER, amount=1)),
        nonce(replace(ORDER, deadline=1)),
        nonce(replace(ORDER, dispute_window=1)),
        nonce(replace(ORDER, service_hash="0x" + "00" * 32)),
        nonce(replace(ORDER, salt="0x" + "00" * 32)),
        nonce(clauses=replace(CLAUSES, arbiter=OTHER)),
        nonce(clauses=replace(CLAUSES, timeout_requester_bps=1)),
        nonce(clauses=replace(CLAUSES, agent_id=1)),
        nonce(clauses=replace(CLAUSES, requester_agent_id=1)),
        nonce(clauses=replace(CLAUSES, milestones=())),
        nonce(clauses=replace(CLAUSES, milestones=(replace(part, amount=1),))),
        nonce(clauses=replace(CLAUSES, milestones=(replace(part, deadline=1),))),
        nonce(clauses=replace(CLAUSES, milestones=(replace(part, condition="0x" + "00" * 32),))),
    ]
    assert len({*changed, nonce()}) == len(fields(Order)) + len(fields(Clauses)) + 3 + 1


def test_what_was_signed_survives_its_json() -> None:
    signed = PaymentAuthorization(5, SOMEONE, OTHER, JUDGE, SOMEONE, ORDER, CLAUSES, 0, 2**64, "0x" + "ab" * 65)
    checksummed = PaymentAuthorization.from_json(signed.to_json())
    assert checksummed.nonce == signed.nonce
    assert PaymentAuthorization.from_json(checksummed.to_json()) == checksummed
    assert checksummed.order.amount == 5_000_000
    consent = SplitConsent(5, SOMEONE, "0x" + "ab" * 32, 1, 2**255, 3, OTHER, "0x")
    assert SplitConsent.from_json(consent.to_json()) == consent
    with pytest.raises(InvalidInput):
        SplitConsent.from_json(signed.to_json())


def test_the_digest_is_that_of_the_standard() -> None:
    """The domain separator and a digest of the example in EIP-712's own style, put together by hand."""
    domain = Domain("Token", "2", 5, SOMEONE)
    kind = b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
    words = [keccak(kind), keccak(b"Token"), keccak(b"2"), 5, SOMEONE]
    assert domain.separator() == keccak(encode(["bytes32", "bytes32", "bytes32", "uint256", "address"], words))


@pytest.mark.parametrize(
    ("accepted", "arbiter", "share", "expected"),
    [
        (Acceptance(), None, 5_000, True),
        (Acceptance(), None, 0, True),
        (Acceptance(), None, 5_001, False),
        (Acceptance(), JUDGE, 5_000, False),
        (Acceptance.of([JUDGE], 5_000), JUDGE, 5_000, True),
        (Acceptance.of([JUDGE], 5_000), OTHER, 5_000, False),
        (Acceptance.of("any", 10_000), OTHER, 10_000, True),
        (Acceptance.of("any", 9_999), OTHER, 10_000, False),
    ],
)
def test_which_clauses_a_provider_accepts(
    accepted: Acceptance, arbiter: str | None, share: int, expected: bool
) -> None:
    assert accepted.accepts(AgreedClauses(arbiter, share)) is expected


def test_the_verbs_that_take_terms_take_all_of_them() -> None:
    terms = {name for name in signature(Intents.build).parameters if name != "self"}
    for verb in (Verbs.pay, Verbs.open_payment, Verbs.authorize_payment):
        assert terms <= set(signature(verb).parameters), verb
