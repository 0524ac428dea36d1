"""What is refused before anything is sent: a typed error that says what to do, and never a key."""

from __future__ import annotations

import re
import time
from functools import partial
from typing import Any

import pytest

from actp.chain import DevAccount
from actp.client import ACTPClient
from actp.errors import ActpError, InsufficientFunds, InvalidInput, Reverted, UnknownTransaction
from actp.networks import Endpoint
from actp.signers import LocalSigner
from actp.token import MissingAllowance
from actp.types import State
from actp.units import usdc
from tests.client.support import (
    DAY,
    HOUR,
    NOBODY,
    PRICE,
    PURSE,
    assert_no_secret,
    delivered,
    funded,
    in_threads,
    nonce,
    open_transaction,
    refused,
    state,
)

YEAR = 365 * DAY


class TestTerms:
    @pytest.mark.parametrize(
        ("terms", "says"),
        [
            ({"amount": 25.0}, 'write usdc("25.0")'),
            ({"amount": "25"}, 'write usdc("25")'),
            ({"amount": "25 USDC"}, "1 USDC is 1_000_000"),
            ({"amount": True}, "int of base units"),
            ({"amount": None}, "int of base units"),
            ({"amount": -1}, "between 0"),
            ({"amount": 25}, "25 base units (0.000025 USDC)"),
            ({"amount": 10**15 + 1}, "50,000 base units (0.05 USDC) to 1,000,000,000,000,000 base units"),
            ({"amount": 10**15 + 1}, "(1,000,000,000.00 USDC)"),
            ({"provider": "0x1111..."}, "0x and 40 hex digits"),
            ({"provider": "1" * 40}, "put 0x in front"),
            ({"provider": None}, "0x and 40 hex digits"),
            ({"provider": "0x7E5F4552091A69125d5DfCb7b8C2659029395BDf"}, "checksum"),
            ({"provider": "0x" + "0" * 40}, "zero address"),
            ({"deadline": 1_699_876_543}, "client.now() + 3600"),
            ({"deadline": 1_999_999_999_999}, "not milliseconds"),
            ({"deadline": 4e9}, "int of seconds"),
            ({"deadline": "tomorrow"}, "int of seconds"),
            ({"deadline": True}, "int of seconds"),
            ({"dispute_window": HOUR - 1}, "duration in seconds"),
            ({"dispute_window": 30 * DAY + 1}, "duration in seconds"),
            ({"dispute_window": 3600.0}, "int of seconds"),
            ({"dispute_window": -1}, "outside 3600 to 2592000 seconds"),
            ({"deadline": -1}, "client.now() + 3600"),
            ({"metadata": 7}, "must be text, 0x hex or bytes"),
            ({"agent_id": "me"}, "agent_id must be an int"),
            ({"requester_agent_id": -1}, "requester_agent_id must be an int"),
        ],
    )
    def test_terms_that_make_no_sense_are_not_sent(
        self, requester: ACTPClient, provider: ACTPClient, endpoint: Endpoint, terms: dict[str, Any], says: str
    ) -> None:
        with refused(InvalidInput, requester, endpoint) as refusal:
            open_transaction(requester, provider, **terms)
        assert says in str(refusal.error)
        assert requester.events.since(names="TransactionCreated").events == ()

    def test_a_deadline_is_measured_by_the_chains_clock(
        self, requester: ACTPClient, provider: ACTPClient, endpoint: Endpoint
    ) -> None:
        deadline = requester.now() + DAY
        requester.chain.time_travel(DAY)
        with refused(InvalidInput, requester, endpoint) as refusal:
            open_transaction(requester, provider, deadline=deadline)
        named = re.search(r"the chain's time is (\d+)", str(refusal.error))
        assert named is not None
        # The clock may tick between the refusal and this line.
        assert deadline <= int(named[1]) <= requester.now()
        open_transaction(requester, provider, deadline=requester.now() + 60)

    def test_only_the_account_that_signs_can_be_the_requester(
        self, requester: ACTPClient, provider: ACTPClient, endpoint: Endpoint
    ) -> None:
        with refused(InvalidInput, requester, endpoint) as refusal:
            open_transaction(requester, provider, requester=provider.address)
        assert "client.address" in refusal.error.hint

    @pytest.mark.parametrize("payee", ["requester", "vault", "kernel", "token"])
    def test_the_provider_is_neither_requester_nor_one_of_the_contracts(
        self, requester: ACTPClient, endpoint: Endpoint, payee: str
    ) -> None:
        address = {
            "requester": requester.address,
            "vault": requester.escrow.address,
            "kernel": requester.kernel.address,
            "token": requester.token.address,
        }[payee]
        with refused(InvalidInput, requester, endpoint) as refusal:
            open_transaction(requester, requester, provider=address)
        assert f"is the {payee}" in str(refusal.error)

    def test_lower_case_addresses_are_accepted_as_they_are(self, requester: ACTPClient, provider: ACTPClient) -> None:
        tx_id = requester.kernel.create_transaction(
            requester=requester.address.lower(),
            provider=provider.address.lower(),
            amount=PRICE,
            deadline=requester.now() + YEAR,
        )
        assert requester.kernel.get_transaction(tx_id).provider == provider.address


class TestArguments:
    @pytest.mark.parametrize(
        "step",
        [
            lambda client, tx: client.kernel.transition_state(tx, State.COMMITTED, "0x"),
            lambda client, tx: client.kernel.transition_state(tx, State.INITIATED),
            lambda client, tx: client.kernel.transition_state(tx, 7, "0x"),
            lambda client, tx: client.kernel.transition_state(tx, "CANCELLED", "0x"),
            lambda client, tx: client.kernel.transition_state(tx, State.CANCELLED, "proof"),
            lambda client, tx: client.kernel.transition_state(tx, State.CANCELLED, "0xabc"),
            lambda client, tx: client.kernel.dispute(tx, evidence="a sentence"),
            lambda client, tx: client.kernel.deliver(tx, 3600.0),
            lambda client, tx: client.kernel.accept_quote(tx, 120.0),
            lambda client, tx: client.kernel.release_milestone(tx, "40"),
            lambda client, tx: client.kernel.anchor_attestation(tx, "0xabcd"),
            lambda client, tx: client.kernel.link_escrow(tx, vault="0x12"),
            lambda client, tx: client.kernel.post_bond(tx, "0x12"),
            lambda client, tx: client.kernel.resolve(tx, 1),
            lambda client, tx: client.kernel.resolve(tx, provider_at_fault=True),
            lambda client, tx: client.kernel.resolve(tx, 1, 1, mediator_amount=1),
            lambda client, tx: client.kernel.resolve(tx, 1.5, 1),
            lambda client, tx: client.kernel.resolve(tx, 1, 1, provider_at_fault=1),
            lambda client, tx: client.kernel.resolve(tx, outcome=State.DELIVERED),
            lambda client, tx: client.kernel.withdraw_credit("nobody"),
            lambda client, tx: client.token.approve(client.escrow.address, 1.0),
            lambda client, tx: client.token.transfer("0x12", 1),
            lambda client, tx: client.balances("0x12"),
        ],
    )
    def test_malformed_arguments_are_not_sent(
        self, requester: ACTPClient, provider: ACTPClient, endpoint: Endpoint, step: Any
    ) -> None:
        tx_id = open_transaction(requester, provider)
        with refused(InvalidInput, requester, endpoint):
            step(requester, tx_id)
        assert state(requester, tx_id) is State.INITIATED

    @pytest.mark.parametrize("tx_id", ["", "0x", "0x1234", "ab" * 32, 7, None, b"short"])
    def test_a_malformed_transaction_id_is_not_sent(
        self, requester: ACTPClient, endpoint: Endpoint, tx_id: Any
    ) -> None:
        with refused(InvalidInput, requester, endpoint) as refusal:
            requester.fund_transaction(tx_id)
        assert "transaction_id" in str(refusal.error)

    def test_a_transaction_id_without_0x_says_that_only_that_is_missing(
        self, requester: ACTPClient, provider: ACTPClient, endpoint: Endpoint
    ) -> None:
        tx_id = open_transaction(requester, provider)
        with refused(InvalidInput, requester, endpoint) as refusal:
            requester.fund_transaction(tx_id.removeprefix("0x"))
        assert "64 hex digits without 0x: put 0x in front" in refusal.error.hint


class TestUnknownTransaction:
    @pytest.mark.parametrize(
        "verb",
        [
            "get_transaction", "link_escrow", "submit_quote", "start", "deliver", "settle", "dispute", "resolve",
            "cancel", "announce_cancellation", "cancel_early", "close_timed_out_dispute", "post_bond", "bonds_of",
            "required_bond", "cancellation_effective_at",
        ],
    )  # fmt: skip
    def test_every_verb_names_it(self, requester: ACTPClient, endpoint: Endpoint, verb: str) -> None:
        with refused(UnknownTransaction, requester, endpoint) as refusal:
            getattr(requester.kernel, verb)(NOBODY)
        assert NOBODY in str(refusal.error)
        assert "network" in refusal.error.hint

    def test_it_cannot_be_funded_or_released(self, requester: ACTPClient, endpoint: Endpoint) -> None:
        for step in (requester.fund_transaction, requester.escrow.fund, requester.release_escrow):
            with refused(UnknownTransaction, requester, endpoint):
                step(NOBODY)


class TestMoney:
    def test_a_bare_link_names_the_missing_allowance(
        self, requester: ACTPClient, provider: ACTPClient, endpoint: Endpoint
    ) -> None:
        tx_id = open_transaction(requester, provider)
        requester.token.approve(requester.escrow.address, PRICE - 1)
        with refused(MissingAllowance, requester, endpoint) as refusal:
            requester.kernel.link_escrow(tx_id)
        assert requester.escrow.address in str(refusal.error)
        assert str(PRICE - 1) in str(refusal.error)
        assert str(PRICE) in str(refusal.error)
        assert "fund_transaction" in refusal.error.hint
        assert isinstance(refusal.error, InsufficientFunds)

    def test_an_account_without_enough_usdc_does_not_approve_first(
        self, requester: ACTPClient, provider: ACTPClient, endpoint: Endpoint
    ) -> None:
        tx_id = open_transaction(requester, provider, amount=PURSE + 1)
        with refused(InsufficientFunds, requester, endpoint) as refusal:
            requester.fund_transaction(tx_id)
        assert "Send at least 1 base units of USDC" in refusal.error.hint

    def test_an_account_with_an_allowance_and_too_little_usdc_is_told_so(
        self, requester: ACTPClient, provider: ACTPClient, endpoint: Endpoint
    ) -> None:
        tx_id = open_transaction(requester, provider, amount=PURSE + 1)
        requester.token.approve(requester.escrow.address, PURSE + 1)
        with refused(InsufficientFunds, requester, endpoint):
            requester.fund_transaction(tx_id)

    def test_a_disputer_without_the_bond_does_not_approve_first(
        self, requester: ACTPClient, provider: ACTPClient, endpoint: Endpoint
    ) -> None:
        tx_id = delivered(requester, provider)
        provider.token.transfer(requester.address, PURSE)
        with refused(InsufficientFunds, provider, endpoint) as refusal:
            provider.kernel.dispute(tx_id)
        assert "USDC" in refusal.error.hint
        provider.token.approve(provider.escrow.address, usdc(5))
        with refused(InsufficientFunds, provider, endpoint):
            provider.kernel.dispute(tx_id)

    def test_an_account_without_ether_is_told_so(
        self, provider: ACTPClient, endpoint: Endpoint, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level("DEBUG")
        key = "0x" + "5a" * 32
        poor = ACTPClient(endpoint, LocalSigner(key))
        with refused(InsufficientFunds, poor, endpoint) as refusal:
            open_transaction(poor, provider)
        assert "of ETH to" in refusal.error.hint
        assert_no_secret([key], caplog, refusal.error, poor, poor.kernel, poor.token, poor.escrow)


class TestStateMachine:
    """What the kernel refuses is found out before it is sent, and arrives with its values."""

    @pytest.mark.parametrize(
        ("step", "name"),
        [
            (lambda r, p, s, tx: s.fund_transaction(tx), "NotRequester"),
            (lambda r, p, s, tx: s.kernel.cancel(tx), "NotRequester"),
            (lambda r, p, s, tx: s.kernel.submit_quote(tx), "NotProvider"),
            (lambda r, p, s, tx: r.kernel.accept_quote(tx, PRICE), "WrongState"),
            (lambda r, p, s, tx: p.kernel.start(tx), "InvalidTransition"),
            (lambda r, p, s, tx: p.kernel.deliver(tx), "InvalidTransition"),
            (lambda r, p, s, tx: r.kernel.settle(tx), "InvalidTransition"),
            (lambda r, p, s, tx: r.kernel.dispute(tx), "InvalidTransition"),
            (lambda r, p, s, tx: r.kernel.resolve(tx), "InvalidTransition"),
            (lambda r, p, s, tx: r.kernel.release_milestone(tx, PRICE), "WrongState"),
            (lambda r, p, s, tx: r.kernel.anchor_attestation(tx, NOBODY), "WrongState"),
            (lambda r, p, s, tx: r.kernel.post_bond(tx), "WrongState"),
            (lambda r, p, s, tx: r.kernel.announce_cancellation(tx), "WrongState"),
            (lambda r, p, s, tx: r.kernel.cancel_early(tx), "WrongState"),
            (lambda r, p, s, tx: r.kernel.close_timed_out_dispute(tx), "WrongState"),
            (lambda r, p, s, tx: r.kernel.withdraw_fees(), "NotFeeRecipient"),
            (lambda r, p, s, tx: r.kernel.withdraw_credit(), "NothingToWithdraw"),
        ],
    )
    def test_a_step_at_the_wrong_time_or_by_the_wrong_account_is_not_sent(
        self,
        requester: ACTPClient,
        provider: ACTPClient,
        stranger: ACTPClient,
        endpoint: Endpoint,
        step: Any,
        name: str,
    ) -> None:
        tx_id = open_transaction(requester, provider)
        head = endpoint.transport.request("eth_blockNumber", [])
        with pytest.raises(Reverted) as caught:
            step(requester, provider, stranger, tx_id)
        assert (caught.value.name, caught.value.outcome) == (name, "not_sent")
        assert caught.value.arguments
        assert endpoint.transport.request("eth_blockNumber", []) == head, "something was sent"

    def test_a_second_funding_is_refused_before_it_approves(
        self, requester: ACTPClient, provider: ACTPClient, endpoint: Endpoint
    ) -> None:
        tx_id = funded(requester, provider)
        with refused(Reverted, requester, endpoint) as refusal:
            requester.fund_transaction(tx_id)
        assert isinstance(refusal.error, Reverted)
        assert refusal.error.arguments == {"from": "COMMITTED", "to": "COMMITTED"}
        assert requester.token.allowance(requester.escrow.address) == 0

    def test_the_values_of_a_refusal_are_decoded(self, requester: ACTPClient, provider: ACTPClient) -> None:
        tx_id = funded(requester, provider)
        deadline = requester.kernel.get_transaction(tx_id).deadline
        requester.chain.time_travel(2 * DAY)
        with pytest.raises(Reverted) as caught:
            provider.kernel.start(tx_id)
        assert caught.value.name == "DeadlinePassed"
        assert caught.value.arguments["deadline"] == deadline
        with pytest.raises(Reverted) as caught:
            provider.kernel.settle(tx_id)
        assert caught.value.state == "COMMITTED"

    def test_a_step_that_somebody_else_took_first_fails_with_its_reason(
        self, requester: ACTPClient, provider: ACTPClient
    ) -> None:
        tx_id = funded(requester, provider)
        chain = requester.chain
        chain.request("evm_setAutomine", [False])

        def mine_once_both_wait() -> None:
            until = time.monotonic() + 20
            while (
                nonce(chain, provider.address)
                < int(chain.request("eth_getTransactionCount", [provider.address, "latest"]), 16) + 2
                and time.monotonic() < until
            ):
                time.sleep(0.02)
            chain.request("evm_setAutomine", [True])

        start = partial(provider.kernel.start, tx_id)
        (lost,) = in_threads([start, start, mine_once_both_wait])
        assert isinstance(lost, Reverted)
        assert (lost.name, lost.outcome) == ("InvalidTransition", "reverted")
        assert lost.arguments == {"from": "IN_PROGRESS", "to": "IN_PROGRESS"}
        assert lost.tx_hash is not None


def test_a_mistyped_key_is_shown_nowhere(accounts: tuple[DevAccount, ...], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    key = accounts[1].private_key
    for wrong in (key[:-1], key + "00", key.replace("0x", "0y"), "zz" + key[4:]):
        with pytest.raises(ActpError) as caught:
            ACTPClient.create(private_key=wrong)
        assert "64 hex digits" in caught.value.hint
        assert_no_secret([wrong, key[:40]], caplog, caught.value)
