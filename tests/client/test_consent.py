"""Ending a transaction by a split that both parties sign."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from eth_abi.abi import encode

from actp import artifacts
from actp.client import ACTPClient
from actp.errors import InvalidInput, SignatureRefused, UnknownTransaction
from actp.networks import Endpoint
from actp.signed import SplitConsent
from actp.types import State
from actp.units import usdc
from tests.client.support import BOND, HOUR, NOBODY, PRICE, PURSE, delivered, disputed, funded, refused, state

MINE, THEIRS = usdc(40), usdc(60)


def consent_of(client: ACTPClient, tx_id: str, mine: int = MINE, theirs: int = THEIRS) -> SplitConsent:
    return client.sign_split(tx_id, mine, theirs, client.now() + HOUR)


@pytest.mark.parametrize("life", [funded, delivered, disputed])
def test_one_party_signs_and_the_other_one_sends(requester: ACTPClient, provider: ACTPClient, life: Any) -> None:
    tx_id = life(requester, provider)
    consent = SplitConsent.from_json(consent_of(requester, tx_id).to_json())
    result = provider.settle_by_consent(consent)
    assert any(event.name == "SettledByConsent" for event in result.events)
    assert state(requester, tx_id) is State.SETTLED
    assert requester.balances().usdc == PURSE - THEIRS
    assert provider.balances().usdc == PURSE + THEIRS - usdc("0.6")


def test_a_bond_goes_back_to_its_poster(requester: ACTPClient, provider: ACTPClient) -> None:
    tx_id = disputed(requester, provider)
    assert requester.balances().usdc == PURSE - PRICE - BOND
    requester.settle_by_consent(consent_of(provider, tx_id))
    assert requester.balances().usdc == PURSE - THEIRS


def test_anyone_sends_what_both_have_signed(
    requester: ACTPClient, provider: ACTPClient, stranger: ACTPClient, endpoint: Endpoint
) -> None:
    tx_id = funded(requester, provider)
    until = requester.now() + HOUR
    both = [client.sign_split(tx_id, MINE, THEIRS, until) for client in (requester, provider)]
    for one in both:
        with refused(InvalidInput, stranger, endpoint) as refusal:
            stranger.settle_by_consent(one)
        assert "is missing" in refusal.error.message
    stranger.settle_by_consent(*reversed(both))
    assert state(requester, tx_id) is State.SETTLED


def test_ones_own_consent_is_not_enough(requester: ACTPClient, provider: ACTPClient, endpoint: Endpoint) -> None:
    tx_id = funded(requester, provider)
    with refused(InvalidInput, requester, endpoint):
        requester.settle_by_consent(consent_of(requester, tx_id))


def test_a_consent_counts_once_for_one_transaction(
    requester: ACTPClient, provider: ACTPClient, endpoint: Endpoint
) -> None:
    first, second = funded(requester, provider), funded(requester, provider)
    consent = consent_of(provider, first)
    with refused(SignatureRefused, requester, endpoint):
        requester.settle_by_consent(replace(consent, transaction_id=second))
    requester.settle_by_consent(consent)
    with refused(InvalidInput, requester, endpoint) as refusal:
        requester.settle_by_consent(consent)
    assert "SETTLED" in refusal.error.message


@pytest.mark.parametrize(
    ("change", "kind", "code"),
    [
        ({"chain_id": 1}, SignatureRefused, "other_chain"),
        ({"kernel": "0x" + "11" * 20}, SignatureRefused, "other_kernel"),
        ({"valid_until": 1}, SignatureRefused, "expired"),
        ({"valid_until": 2**40}, SignatureRefused, "wrong_signer"),
        ({"requester_amount": MINE + 1, "provider_amount": THEIRS - 1}, SignatureRefused, "wrong_signer"),
        ({"requester_amount": MINE + 1}, InvalidInput, "invalid_input"),
        ({"signer": "0x" + "11" * 20}, SignatureRefused, "wrong_signer"),
        ({"signature": "0x1234"}, SignatureRefused, "wrong_signer"),
        ({"transaction_id": NOBODY}, UnknownTransaction, "unknown_transaction"),
    ],
)
def test_what_does_not_count_is_not_sent(
    requester: ACTPClient, provider: ACTPClient, endpoint: Endpoint, change: dict[str, Any], kind: Any, code: str
) -> None:
    consent = consent_of(provider, funded(requester, provider))
    with refused(kind, requester, endpoint) as refusal:
        requester.settle_by_consent(replace(consent, **change))
    assert refusal.error.code == code


def test_different_splits_are_not_one(requester: ACTPClient, provider: ACTPClient, endpoint: Endpoint) -> None:
    tx_id = funded(requester, provider)
    until = requester.now() + HOUR
    mine = requester.sign_split(tx_id, MINE, THEIRS, until)
    for other in (provider.sign_split(tx_id, THEIRS, MINE, until), provider.sign_split(tx_id, MINE, THEIRS, until + 1)):
        with refused(InvalidInput, requester, endpoint):
            requester.settle_by_consent(mine, other)
    for nothing in ((), ("0x12",)):
        with refused(InvalidInput, requester, endpoint):
            requester.settle_by_consent(*nothing)  # type: ignore[arg-type]


def test_nothing_is_signed_that_could_not_be_carried_out(
    requester: ACTPClient, provider: ACTPClient, stranger: ACTPClient, endpoint: Endpoint
) -> None:
    tx_id = funded(requester, provider)
    until = requester.now() + HOUR
    for arguments in (
        (MINE, THEIRS + 1, until),
        (-1, PRICE + 1, until),
        (40.0, THEIRS, until),
        (MINE, THEIRS, "soon"),
    ):
        with refused(InvalidInput, requester, endpoint):
            requester.sign_split(tx_id, *arguments)  # type: ignore[arg-type]
    with refused(SignatureRefused, requester, endpoint):
        requester.sign_split(tx_id, MINE, THEIRS, requester.now() - 10)
    with refused(InvalidInput, stranger, endpoint):
        stranger.sign_split(tx_id, MINE, THEIRS, until)
    with refused(SignatureRefused, stranger, endpoint):
        stranger.sign_split(tx_id, MINE, THEIRS, until, party=requester.address)
    provider.kernel.cancel(tx_id)
    with refused(InvalidInput, requester, endpoint):
        requester.sign_split(tx_id, 0, 0, until)


def test_a_contract_wallet_consents_by_its_owners_signature(
    requester: ACTPClient, stranger: ACTPClient, endpoint: Endpoint
) -> None:
    wallet_artifact = artifacts.parse((artifacts.folder() / "test" / "ContractParty.json").read_text(), "ContractParty")
    code = wallet_artifact.creation_code((stranger.address,))
    wallet = stranger._session.sender.send(None, code).contract_address
    assert wallet is not None
    tx_id = requester.pay(
        provider=wallet, amount=PRICE, deadline=requester.now() + HOUR, dispute_window=HOUR
    ).transaction_id
    until = requester.now() + HOUR
    consent = stranger.sign_split(tx_id, MINE, THEIRS, until, party=wallet)
    assert consent.signer == wallet
    with refused(SignatureRefused, requester, endpoint):
        requester.settle_by_consent(
            replace(consent, signature=requester.sign_split(tx_id, MINE, THEIRS, until).signature)
        )
    requester.settle_by_consent(consent)
    assert requester.token.balance_of(wallet) == THEIRS - usdc("0.6")


def test_the_signed_bytes_are_those_of_the_contract(requester: ACTPClient, provider: ACTPClient) -> None:
    """A contract wallet is asked by the kernel about the very hash that is signed here."""
    from actp.typed_data import digest_of
    from actp.units import keccak

    consent = consent_of(requester, funded(requester, provider))
    kind = b"Split(bytes32 transactionId,uint256 requesterAmount,uint256 providerAmount,uint256 validUntil)"
    domain = keccak(
        encode(
            ["bytes32", "bytes32", "bytes32", "uint256", "address"],
            [
                keccak(b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
                keccak(b"ACTP Kernel"), keccak(b"1"), requester.chain_id, requester.kernel.address,
            ],
        )
    )  # fmt: skip
    values = [bytes.fromhex(consent.transaction_id[2:]), MINE, THEIRS, consent.valid_until]
    struct = keccak(encode(["bytes32", "bytes32", "uint256", "uint256", "uint256"], [keccak(kind), *values]))
    assert digest_of(consent.typed_data()) == keccak(b"\x19\x01" + domain + struct)
