"""A wallet that settles for others: nothing of its own moves but the fee, and a stranger who is faster is no breach."""

from __future__ import annotations

import pytest

from actp.chain import dev_accounts
from actp.client import ACTPClient
from actp.orders import salt_of, salted_id
from actp.types import State
from coordinator.policy import PolicySettings
from coordinator.store import escrows
from coordinator.types import Stage
from tests.client.support import BOND, FEE, HOUR, NOBODY, PRICE, act, delivered, disputed, started, state
from tests.coordinator.lifecycle.support import DAY, House
from tests.coordinator.lifecycle.test_same_block import explained, in_one_block, rich

pytestmark = pytest.mark.slow

STRANGER = dev_accounts()[5]


@pytest.fixture
def buyer(house: House) -> ACTPClient:
    return rich(house, dev_accounts()[3])


@pytest.fixture
def seller(house: House) -> ACTPClient:
    return rich(house, dev_accounts()[2])


def later(house: House, seconds: int = HOUR + 1) -> None:
    house.chain.time_travel(seconds)
    house.chain.mine()


def begun(house: House):
    """A lifecycle that takes everything up to now as it is."""
    lifecycle = house.lifecycle()
    lifecycle.step()
    return lifecycle


def batch(lifecycle, ids):
    return lifecycle.submit("settle_escrow_batch", {"transaction_ids": ids}, agent="bot")


def raw(number: str) -> bytes:
    return bytes.fromhex(number[2:])


def test_what_others_are_owed_is_paid_and_costs_the_wallet_its_fee_only(house, buyer, seller):
    ids = [delivered(buyer, seller) for _ in range(3)]
    later(house)
    lifecycle, before = begun(house), house.paid(house.wallet)
    done = house.done(lifecycle, batch(lifecycle, ids))
    paid = explained(house, lifecycle, done, derived_again=False)
    net = 3 * (PRICE - FEE)
    assert paid == {buyer.escrow.address: str(-net), seller.address: str(net)}
    assert house.paid(house.wallet) == before
    assert {state(buyer, one) for one in ids} == {State.SETTLED}


def test_a_stranger_who_settles_some_of_it_first_in_the_same_block_is_no_breach(house, buyer, seller):
    ids = [delivered(buyer, seller) for _ in range(3)]
    later(house)
    lifecycle = begun(house)
    done = in_one_block(house, lifecycle, batch(lifecycle, ids), STRANGER, "settleBatch", [raw(one) for one in ids[:2]])
    net = PRICE - FEE
    assert explained(house, lifecycle, done) == {buyer.escrow.address: str(-net), seller.address: str(net)}


def test_a_stranger_who_settles_all_of_it_first_costs_the_fee_and_is_no_breach(house, buyer, seller):
    ids = [delivered(buyer, seller) for _ in range(2)]
    later(house)
    lifecycle = begun(house)
    operation = batch(lifecycle, ids)
    done = in_one_block(house, lifecycle, operation, STRANGER, "settleBatch", [raw(one) for one in ids])
    assert explained(house, lifecycle, done) == {}


def test_a_dispute_just_before_keeps_an_escrow_of_the_requester_out_of_its_batch(house, seller):
    """The requester may settle before the window is over, and so may the provider dispute."""
    owner = house.client_of(house.account)
    owner.token.approve(owner.escrow.address, 5 * PRICE)
    ids = [delivered(owner, seller) for _ in range(2)]
    lifecycle = begun(house)
    done = in_one_block(
        house, lifecycle, batch(lifecycle, ids), dev_accounts()[2], "transitionState", raw(ids[0]), State.DISPUTED, b""
    )
    assert explained(house, lifecycle, done)[seller.address] == str(PRICE - FEE)
    assert [state(owner, one) for one in ids] == [State.DISPUTED, State.SETTLED]


def test_a_window_that_ends_on_the_way_is_settled_too_and_is_no_breach(house, buyer, seller):
    first = delivered(buyer, seller)
    later(house, HOUR // 2)
    second = delivered(buyer, seller)
    later(house, HOUR // 2 + 1)
    lifecycle = begun(house)
    operation = batch(lifecycle, [first, second])
    lifecycle.decide()
    assert lifecycle.find(operation.id).stage is Stage.SIGNING
    assert len(house.decided(lifecycle, operation).effects.movements) == 1
    ends = buyer.kernel.get_transaction(second).window_ends
    house.chain.request("evm_setNextBlockTimestamp", [ends + 1])
    done = house.done(lifecycle, operation)
    net = 2 * (PRICE - FEE)
    assert explained(house, lifecycle, done) == {buyer.escrow.address: str(-net), seller.address: str(net)}


def test_a_provider_whom_the_token_refuses_gets_a_credit_which_is_withdrawn_later(house, buyer, seller):
    ids = [delivered(buyer, seller) for _ in range(2)]
    later(house)
    act(house.client.endpoint, 0, "TestUSDC", "blacklist", seller.address)
    lifecycle = begun(house)
    done = house.done(lifecycle, batch(lifecycle, ids))
    assert explained(house, lifecycle, done, derived_again=False) == {}
    owed = 2 * (PRICE - FEE)
    assert buyer.kernel.credits(seller.address) == owed
    act(house.client.endpoint, 0, "TestUSDC", "unBlacklist", seller.address)
    done = house.done(lifecycle, lifecycle.submit("withdraw_credit", {"payee": seller.address}, agent="bot"))
    assert explained(house, lifecycle, done, derived_again=False)[seller.address] == str(owed)


def test_a_credit_that_the_token_still_refuses_is_not_sent(house, buyer, seller):
    number = delivered(buyer, seller)
    act(house.client.endpoint, 0, "TestUSDC", "blacklist", seller.address)
    buyer.kernel.settle(number)
    lifecycle = begun(house)
    refused = house.done(lifecycle, lifecycle.submit("withdraw_credit", {"payee": seller.address}, agent="bot"))
    assert (refused.stage, refused.failed_at, refused.code) == (Stage.FAILED, Stage.SIMULATING, "PushRefused")


def test_a_credit_that_grows_just_before_it_is_withdrawn_is_paid_whole(house, buyer, seller):
    """A bond that was posted ahead becomes a credit of its poster when the escrow is settled."""
    stranger = rich(house, dev_accounts()[6])
    ids = [delivered(buyer, seller) for _ in range(2)]
    for one in ids:
        stranger.kernel.post_bond(one, buyer.address)
    later(house)
    buyer.kernel.settle(ids[0])
    lifecycle = begun(house)
    withdrawal = lifecycle.submit("withdraw_credit", {"payee": stranger.address}, agent="bot")
    done = in_one_block(house, lifecycle, withdrawal, STRANGER, "settleBatch", [raw(ids[1])])
    assert explained(house, lifecycle, done)[stranger.address] == str(2 * BOND)


def test_fees_that_accrue_just_before_are_withdrawn_too(house, buyer, seller):
    ids = [delivered(buyer, seller) for _ in range(2)]
    later(house)
    buyer.kernel.settle(ids[0])
    collector = house.lifecycle(house.client_of(dev_accounts()[0], house.store))
    collector.step()
    withdrawal = collector.submit("withdraw_fees", {}, agent="bot")
    done = in_one_block(house, collector, withdrawal, STRANGER, "settleBatch", [raw(ids[1])])
    assert (done.stage, done.reason, collector.paused()) == (Stage.CONFIRMED, None, [])
    assert house.client.kernel.accrued_fees() == 0
    assert house.paid(collector.wallet) == 2 * FEE


def test_a_dispute_on_which_nobody_ruled_is_closed_by_anyone(house, buyer, seller):
    number = disputed(buyer, seller)
    lifecycle = begun(house)
    later(house, 30 * DAY + 1)
    done = house.done(lifecycle, lifecycle.submit("close_dispute", {"transaction_id": number}, agent="bot"))
    half = PRICE // 2
    paid = explained(house, lifecycle, done, derived_again=False)
    assert (paid[buyer.address], paid[seller.address]) == (str(half + BOND), str(half - half // 100))


def test_undelivered_work_is_refunded_by_anyone_a_week_after_its_deadline(house, buyer, seller):
    number = started(buyer, seller)
    lifecycle = begun(house)
    later(house, 8 * DAY + 2)
    done = house.done(lifecycle, lifecycle.submit("refund_escrow", {"transaction_id": number}, agent="bot"))
    assert explained(house, lifecycle, done, derived_again=False)[buyer.address] == str(PRICE)


def test_a_batch_of_which_nothing_is_due_is_not_sent(house, buyer, seller):
    ids = [delivered(buyer, seller), NOBODY]
    lifecycle = begun(house)
    done = house.done(lifecycle, batch(lifecycle, ids))
    assert (done.stage, done.failed_at, done.code) == (Stage.FAILED, Stage.SIMULATING, "nothing_to_settle")
    assert house.jobs() == {}


def test_what_leaves_no_wallet_meets_no_limit_on_amounts_and_payees(house, buyer, seller):
    """Paying others out of the vault is no spending: only the fee, the rate, and what may be asked for count."""
    nothing = {house.usdc: 0}
    settings = PolicySettings(
        max_amount=nothing, approval_over=nothing, max_concentration_bps=0, max_token_exposure=nothing,
        max_contract_exposure=nothing, max_counterparty_exposure=nothing, max_drawdown_bps=0,
        allowed_providers=frozenset(), allowed_spenders=frozenset(),
    )  # fmt: skip
    stranger = rich(house, dev_accounts()[6])
    ids = [delivered(buyer, seller), delivered(buyer, stranger)]
    quarrel = disputed(buyer, seller)
    later(house)
    lifecycle = house.lifecycle(policy=settings)
    lifecycle.step()
    for type, fields in (
        ("settle_escrow_batch", {"transaction_ids": ids}),
        ("close_dispute", {"transaction_id": quarrel}),
    ):
        done = house.done(lifecycle, lifecycle.submit(type, fields, agent="bot"))
        assert (done.stage, done.reason) == (Stage.CONFIRMED, None), type
        later(house, 30 * DAY + 1)


def test_escrows_of_the_wallet_that_its_batch_settled_are_not_locked_any_more(house, seller):
    """Exposure is known at once, and not when somebody looks at the escrows the next time."""
    lifecycle = house.lifecycle()
    house.done(lifecycle, lifecycle.submit("approve_erc20", {"amount": str(3 * PRICE)}, agent="ann"))
    end = house.client.now() + DAY
    terms = {"provider": seller.address, "amount": str(PRICE), "deadline": end, "dispute_window": HOUR}
    orders = [{"escrow_numeric_id": number, **terms} for number in (1, 2)]
    house.done(lifecycle, lifecycle.submit("create_escrow_batch", {"orders": orders}, agent="ann"))
    kernel = house.client.kernel.address
    ids = [salted_id(house.chain.chain_id, kernel, house.wallet, salt_of(str(number))) for number in (1, 2)]
    lifecycle.step()
    assert locked(house, lifecycle) == 2 * PRICE
    for one in ids:
        seller.kernel.deliver(one)
    house.done(lifecycle, batch(lifecycle, ids))
    with lifecycle.ledger.read() as connection:
        known = [one.checked_at for one in escrows.all_open(connection, house.key)]
    assert not any(known), "they are to be looked at, or have been"


def locked(house, lifecycle) -> int:
    """What the wallet is known to have in escrows."""
    with lifecycle.ledger.read() as connection:
        return sum(one.locked for one in escrows.all_open(connection, house.key))
