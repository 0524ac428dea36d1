"""A transaction's whole life through the client, every verb once, balances to the last unit."""

from __future__ import annotations

from threading import Thread

import pytest

from actp.binding import TxResult
from actp.client import ACTPClient
from actp.errors import Reverted
from actp.networks import Endpoint
from actp.types import State
from actp.units import ZERO_HASH, keccak, usdc
from tests.client.support import (
    BOND,
    DAY,
    FEE,
    HOUR,
    PRICE,
    PURSE,
    act,
    delivered,
    disputed,
    funded,
    open_transaction,
    started,
    state,
)


def purses(*clients: ACTPClient) -> tuple[int, ...]:
    return tuple(client.balances().usdc for client in clients)


class TestPaidWork:
    def test_from_creation_to_settlement_by_the_requester(self, requester: ACTPClient, provider: ACTPClient) -> None:
        tx_id = open_transaction(requester, provider, metadata="ten papers")
        assert state(requester, tx_id) is State.INITIATED
        requester.fund_transaction(tx_id)
        assert state(requester, tx_id) is State.COMMITTED
        assert requester.escrow.remaining(tx_id) == PRICE
        provider.kernel.start(tx_id)
        assert state(requester, tx_id) is State.IN_PROGRESS
        provider.kernel.deliver(tx_id)
        assert state(requester, tx_id) is State.DELIVERED
        result = requester.release_escrow(tx_id)
        assert state(requester, tx_id) is State.SETTLED
        assert [event.name for event in result.events if event.transaction_id == tx_id] == [
            "StateTransitioned", "PlatformFeeAccrued", "EscrowReleased", "EscrowPayout", "EscrowCompleted",
        ]  # fmt: skip
        assert purses(requester, provider) == (PURSE - PRICE, PURSE + PRICE - FEE)
        assert requester.escrow.remaining(tx_id) == 0
        assert requester.kernel.accrued_fees() == FEE

    def test_a_third_party_settles_once_the_window_is_over(
        self, requester: ACTPClient, provider: ACTPClient, stranger: ACTPClient
    ) -> None:
        tx_id = delivered(requester, provider)
        with pytest.raises(Reverted) as caught:
            stranger.kernel.settle(tx_id)
        ends = requester.kernel.get_transaction(tx_id).window_ends
        assert (caught.value.name, caught.value.arguments["windowEnd"]) == ("WindowOpen", ends)
        requester.chain.time_travel(HOUR + 1)
        stranger.kernel.settle(tx_id)
        assert purses(requester, provider, stranger) == (PURSE - PRICE, PURSE + PRICE - FEE, PURSE)

    def test_quote_and_acceptance_change_the_price(self, requester: ACTPClient, provider: ACTPClient) -> None:
        tx_id = open_transaction(requester, provider)
        provider.kernel.submit_quote(tx_id, "120 USDC, tomorrow")
        record = requester.kernel.get_transaction(tx_id)
        assert record.state is State.QUOTED
        assert record.metadata == "0x" + keccak(b"120 USDC, tomorrow").hex()
        requester.kernel.accept_quote(tx_id, usdc(120))
        requester.fund_transaction(tx_id)
        assert requester.escrow.remaining(tx_id) == usdc(120)
        assert requester.token.balance_of() == PURSE - usdc(120)

    def test_a_quote_needs_no_text(self, requester: ACTPClient, provider: ACTPClient) -> None:
        tx_id = open_transaction(requester, provider)
        provider.kernel.submit_quote(tx_id)
        assert requester.kernel.get_transaction(tx_id).metadata == ZERO_HASH

    def test_milestones_pay_in_parts(self, requester: ACTPClient, provider: ACTPClient) -> None:
        tx_id = started(requester, provider)
        requester.kernel.release_milestone(tx_id, usdc(40))
        assert requester.escrow.get_escrow(tx_id).released_amount == usdc(40)
        provider.kernel.deliver(tx_id)
        requester.kernel.settle(tx_id)
        assert purses(requester, provider) == (PURSE - PRICE, PURSE + PRICE - FEE)

    def test_a_delivery_may_lengthen_the_window_and_never_shortens_it(
        self, requester: ACTPClient, provider: ACTPClient
    ) -> None:
        for wanted, given in ((None, 2 * HOUR), (HOUR, 2 * HOUR), (DAY, DAY)):
            tx_id = started(requester, provider, dispute_window=2 * HOUR)
            provider.kernel.deliver(tx_id, wanted)
            record = requester.kernel.get_transaction(tx_id)
            assert record.window_ends == record.updated_at + given

    def test_an_attestation_is_anchored_to_a_delivery(self, requester: ACTPClient, provider: ACTPClient) -> None:
        tx_id = delivered(requester, provider)
        provider.kernel.anchor_attestation(tx_id, "0x" + "cd" * 32)
        assert requester.kernel.get_transaction(tx_id).attestation_uid == "0x" + "cd" * 32

    def test_the_plain_transition_of_the_protocol_does_the_same(
        self, requester: ACTPClient, provider: ACTPClient
    ) -> None:
        tx_id = open_transaction(requester, provider)
        requester.escrow.fund(tx_id)
        provider.kernel.transition_state(tx_id, State.IN_PROGRESS, "0x")
        provider.kernel.transition_state(tx_id, State.DELIVERED, (DAY).to_bytes(32, "big"))
        record = requester.kernel.get_transaction(tx_id)
        assert record.window_ends == record.updated_at + DAY
        requester.kernel.transition_state(tx_id, State.SETTLED, "0x")
        assert state(requester, tx_id) is State.SETTLED

    def test_the_fee_recipient_takes_the_fees(
        self, requester: ACTPClient, provider: ACTPClient, resolver: ACTPClient
    ) -> None:
        requester.kernel.settle(delivered(requester, provider))
        resolver.kernel.withdraw_fees()
        assert resolver.balances().usdc == FEE
        assert resolver.kernel.accrued_fees() == 0


class TestRefunds:
    def test_unfunded_work_is_cancelled_for_nothing(self, requester: ACTPClient, provider: ACTPClient) -> None:
        tx_id = open_transaction(requester, provider)
        requester.kernel.transition_state(tx_id, State.CANCELLED, "0x")
        assert state(requester, tx_id) is State.CANCELLED
        assert purses(requester) == (PURSE,)

    def test_a_provider_who_cancels_gives_everything_back(self, requester: ACTPClient, provider: ACTPClient) -> None:
        tx_id = started(requester, provider)
        provider.kernel.cancel(tx_id)
        assert purses(requester, provider) == (PURSE, PURSE)

    def test_a_silent_provider_is_not_paid(self, requester: ACTPClient, provider: ACTPClient) -> None:
        tx_id = started(requester, provider)
        requester.chain.time_travel(DAY + 1)
        requester.kernel.cancel(tx_id)
        assert purses(requester, provider) == (PURSE, PURSE)

    def test_walking_away_early_takes_a_notice_and_costs_the_penalty(
        self, requester: ACTPClient, provider: ACTPClient
    ) -> None:
        tx_id = funded(requester, provider)
        requester.kernel.announce_cancellation(tx_id)
        effective_at = requester.kernel.cancellation_effective_at(tx_id)
        with pytest.raises(Reverted, match="NoticeRunning") as caught:
            requester.kernel.cancel_early(tx_id)
        assert caught.value.arguments["effectiveAt"] == effective_at
        requester.chain.time_travel(effective_at - requester.now())
        requester.kernel.cancel_early(tx_id)
        assert purses(requester, provider) == (PURSE - usdc(5), PURSE + usdc(5))


class TestDisputes:
    def test_a_split_with_the_provider_at_fault(
        self, requester: ACTPClient, provider: ACTPClient, resolver: ACTPClient
    ) -> None:
        tx_id = disputed(requester, provider)
        assert requester.kernel.bonds_of(tx_id).requester.amount == BOND
        assert purses(requester) == (PURSE - PRICE - BOND,)
        resolver.kernel.resolve(tx_id, usdc(60), usdc(40), True)
        assert state(requester, tx_id) is State.SETTLED
        assert purses(requester, provider) == (PURSE - usdc(40), PURSE + usdc(40) - usdc("0.4"))

    def test_a_split_with_the_requester_at_fault_forfeits_its_bond(
        self, requester: ACTPClient, provider: ACTPClient, resolver: ACTPClient
    ) -> None:
        tx_id = disputed(requester, provider)
        resolver.kernel.resolve(tx_id, usdc(60), usdc(40), provider_at_fault=False)
        assert purses(requester, provider) == (PURSE - usdc(40) - BOND, PURSE + usdc(40) - usdc("0.4") + BOND)

    @pytest.mark.slow
    def test_a_ruling_without_amounts_gives_all_to_one_side(
        self, requester: ACTPClient, provider: ACTPClient, resolver: ACTPClient
    ) -> None:
        resolver.kernel.resolve(disputed(requester, provider), outcome=State.CANCELLED)
        assert purses(requester, provider) == (PURSE, PURSE)
        resolver.kernel.resolve(disputed(requester, provider))
        assert purses(requester, provider) == (PURSE - PRICE - BOND, PURSE + PRICE - FEE + BOND)

    def test_a_mediator_is_paid_out_of_the_escrow(
        self,
        requester: ACTPClient,
        provider: ACTPClient,
        resolver: ACTPClient,
        stranger: ACTPClient,
        endpoint: Endpoint,
    ) -> None:
        act(endpoint, 0, "ACTPKernel", "approveMediator", stranger.address, True)
        requester.chain.time_travel(2 * DAY)
        tx_id = disputed(requester, provider)
        resolver.kernel.resolve(tx_id, usdc(50), usdc(40), True, stranger.address, usdc(10))
        assert stranger.balances().usdc == PURSE + usdc(10)

    def test_a_dispute_without_a_ruling_is_closed_by_anyone(
        self, requester: ACTPClient, provider: ACTPClient, stranger: ACTPClient
    ) -> None:
        tx_id = disputed(requester, provider)
        requester.chain.time_travel(30 * DAY + 1)
        stranger.kernel.close_timed_out_dispute(tx_id)
        assert purses(requester, provider) == (PURSE - usdc(50), PURSE + usdc(50) - usdc("0.5"))

    def test_a_posted_bond_is_not_taken_twice(
        self, requester: ACTPClient, provider: ACTPClient, stranger: ACTPClient
    ) -> None:
        tx_id = delivered(requester, provider)
        result = stranger.kernel.post_bond(tx_id, provider.address)
        assert len(result.prior) == 1
        bonds = provider.kernel.bonds_of(tx_id)
        assert (bonds.provider.poster, bonds.provider.amount) == (stranger.address, BOND)
        assert provider.kernel.dispute(tx_id, "0x" + b"unfair".hex()).prior == ()
        assert purses(provider, stranger) == (PURSE, PURSE - BOND)

    @pytest.mark.parametrize("refusal", [("pause",), ("blacklist", "requester")])
    def test_a_token_that_refuses_the_bond_does_not_cost_the_dispute(
        self, requester: ACTPClient, provider: ACTPClient, endpoint: Endpoint, refusal: tuple[str, ...]
    ) -> None:
        tx_id = delivered(requester, provider)
        act(endpoint, 0, "TestUSDC", refusal[0], *([requester.address] if refusal[1:] else []))
        result = requester.kernel.dispute(tx_id)
        assert result.prior == ()
        assert state(requester, tx_id) is State.DISPUTED
        assert requester.kernel.bonds_of(tx_id).owed == BOND


class TestCredits:
    def test_a_blocked_payee_gets_a_credit_that_anyone_can_push_to_it(
        self, requester: ACTPClient, provider: ACTPClient, stranger: ACTPClient, endpoint: Endpoint
    ) -> None:
        tx_id = delivered(requester, provider)
        act(endpoint, 0, "TestUSDC", "blacklist", provider.address)
        result = requester.kernel.settle(tx_id)
        assert "CreditAccrued" in [event.name for event in result.events]
        assert provider.balances().credit == PRICE - FEE
        with pytest.raises(Reverted, match="PushRefused"):
            stranger.kernel.withdraw_credit(provider.address)
        act(endpoint, 0, "TestUSDC", "unBlacklist", provider.address)
        stranger.kernel.withdraw_credit(provider.address)
        balances = provider.balances()
        assert (balances.usdc, balances.credit) == (PURSE + PRICE - FEE, 0)
        with pytest.raises(Reverted, match="NothingToWithdraw"):
            provider.kernel.withdraw_credit()


class TestTerms:
    @pytest.mark.parametrize(
        ("metadata", "service_hash"),
        [
            ("0x", ZERO_HASH),
            ("0x" + "cd" * 32, "0x" + "cd" * 32),
            (bytes.fromhex("cd" * 32), "0x" + "cd" * 32),
            ("a dataset", "0x" + keccak(b"a dataset").hex()),
            (b"a dataset", "0x" + keccak(b"a dataset").hex()),
            ("0xabcd", "0x" + keccak(b"\xab\xcd").hex()),
        ],
    )
    def test_metadata_becomes_the_service_hash(
        self, requester: ACTPClient, provider: ACTPClient, metadata: str | bytes, service_hash: str
    ) -> None:
        tx_id = open_transaction(requester, provider, metadata=metadata)
        assert requester.kernel.get_transaction(tx_id).service_hash == service_hash

    def test_what_was_agreed_is_what_can_be_read(self, requester: ACTPClient, provider: ACTPClient) -> None:
        deadline = requester.now() + 5 * DAY
        tx_id = open_transaction(
            requester, provider, deadline=deadline, dispute_window=None, agent_id=7, requester_agent_id=9
        )
        record = provider.kernel.get_transaction(tx_id)
        assert (record.transaction_id, record.requester, record.provider) == (
            tx_id,
            requester.address,
            provider.address,
        )
        assert (record.amount, record.deadline, record.dispute_window) == (PRICE, deadline, 2 * DAY)
        assert (record.agent_id, record.requester_agent_id) == (7, 9)
        assert (record.platform_fee_bps_locked, record.dispute_bond_bps_locked) == (100, 500)
        assert record.window_ends is None

    def test_a_provider_can_verify_the_escrow_before_it_works(
        self, requester: ACTPClient, provider: ACTPClient
    ) -> None:
        tx_id = funded(requester, provider)
        parties = {"requester": requester.address, "provider": provider.address}
        assert provider.escrow.verify(tx_id, amount=PRICE, **parties)
        assert not provider.escrow.verify(tx_id, amount=PRICE + 1, **parties)


class TestAllowances:
    def test_funding_approves_exactly_what_is_missing(self, requester: ACTPClient, provider: ACTPClient) -> None:
        tx_id = open_transaction(requester, provider)
        requester.token.approve(requester.escrow.address, usdc(30))
        result = requester.fund_transaction(tx_id)
        assert len(result.prior) == 1
        assert requester.token.allowance(requester.escrow.address) == 0

    def test_a_standing_allowance_is_used_and_not_replaced(self, requester: ACTPClient, provider: ACTPClient) -> None:
        requester.token.approve(requester.escrow.address, usdc(500))
        tx_id = funded(requester, provider)
        assert requester.token.allowance(requester.escrow.address) == usdc(400)
        provider.kernel.start(tx_id)
        provider.kernel.deliver(tx_id)
        requester.kernel.dispute(tx_id)
        assert requester.token.allowance(requester.escrow.address) == usdc(395)

    def test_a_dispute_approves_exactly_its_bond(self, requester: ACTPClient, provider: ACTPClient) -> None:
        tx_id = delivered(requester, provider)
        result = provider.kernel.dispute(tx_id, b"paid too late")
        assert len(result.prior) == 1
        assert provider.token.allowance(provider.escrow.address) == 0
        assert provider.token.balance_of() == PURSE - BOND

    def test_a_bare_link_uses_an_allowance_and_an_escrow_id_of_ones_own(
        self, requester: ACTPClient, provider: ACTPClient
    ) -> None:
        tx_id = open_transaction(requester, provider)
        requester.token.approve(requester.escrow.address, PRICE)
        alias = "0x" + "11" * 32
        requester.kernel.link_escrow(tx_id, vault=requester.escrow.address, escrow_id=alias)
        assert requester.kernel.get_transaction(tx_id).escrow_id == alias
        assert requester.escrow.remaining(alias) == PRICE

    @pytest.mark.slow
    def test_an_allowance_that_is_about_to_be_used_up_is_not_counted_on(
        self, requester: ACTPClient, provider: ACTPClient
    ) -> None:
        """Another thread's funding waits for the allowance that this one holds, and then makes its own."""
        first, second = open_transaction(requester, provider), open_transaction(requester, provider)
        vault = requester.escrow.address
        requester.token.approve(vault, PRICE + PRICE // 2)
        other = Thread(target=requester.fund_transaction, args=(second,))

        def link() -> TxResult:
            other.start()
            other.join(0.5)
            assert state(requester, second) is State.INITIATED
            return requester.kernel.link_escrow(first)

        assert requester.token.spend(vault, lambda: PRICE, lambda: None, link).prior == ()
        other.join(60)
        assert [state(requester, tx_id) for tx_id in (first, second)] == [State.COMMITTED] * 2
        assert requester.token.allowance(vault) == 0
