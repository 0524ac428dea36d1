"""What a wallet has locked, and what it lost in disputes, as the policy gets to see it."""

from __future__ import annotations

import pytest

from actp.chain import dev_accounts
from coordinator.lifecycle import Lifecycle, keeping
from coordinator.policy import PolicySettings
from coordinator.store import escrows, losses
from coordinator.store.accounts import Account
from coordinator.store.escrows import Locked
from coordinator.types import ETH, Stage
from tests.coordinator.lifecycle.support import DAY

PRICE = 100_000_000


def locked(house, lifecycle):
    lifecycle._keeping._escrows_at = float("-inf")  # a second later
    lifecycle._keeping.round()
    with lifecycle.ledger.read() as connection:
        account = Account(house.key.chain_id, lifecycle.wallet)
        return [(one.locked, one.open) for one in escrows.listed(connection, account)]


def lost(house, lifecycle):
    with lifecycle.ledger.read() as connection:
        account = Account(house.key.chain_id, lifecycle.wallet)
        return losses.since(connection, account, 0).get(house.usdc, 0)


@pytest.fixture
def provider(house):
    return Lifecycle(house.client_of(dev_accounts()[2]))


def step(house, who, kind, body=None, number="1", **more):
    name = {"escrowNumericId": number, "creator": house.wallet}
    done = house.done(who, who.submit(kind, body or {**name, **more}, agent="ann"))
    assert (done.stage, done.reason) == (Stage.CONFIRMED, None)
    return done


def opened(house, lifecycle, provider, number="1"):
    terms = {
        "escrowNumericId": number,
        "counterparty": provider.wallet,
        "amount": str(PRICE),
        "deadlineUnixSec": house.client.now() + DAY,
    }
    return step(house, lifecycle, "create_escrow", terms)


@pytest.mark.slow
def test_an_escrow_counts_until_it_is_released_also_by_others(house, provider):
    lifecycle = house.lifecycle()
    opened(house, lifecycle, provider)
    assert locked(house, lifecycle) == [(PRICE, True)]
    step(house, provider, "accept_escrow")
    step(house, lifecycle, "release_milestone", amount=str(PRICE // 4))
    assert locked(house, lifecycle) == [(PRICE * 3 // 4, True)]
    step(house, provider, "refund_escrow")
    with lifecycle.ledger.write() as connection:
        connection.exec_driver_sql("UPDATE co_escrows SET due_at = 0")  # a minute later
    assert locked(house, lifecycle) == [(0, False)]
    assert lost(house, lifecycle) == 0


@pytest.mark.slow
def test_what_is_locked_with_somebody_counts_against_the_limit(house, provider):
    settings = PolicySettings(max_counterparty_exposure={house.usdc: PRICE + 10**6})
    lifecycle = house.lifecycle(policy=settings)
    opened(house, lifecycle, provider)
    more = {
        "escrowNumericId": "2",
        "counterparty": provider.wallet,
        "amount": str(2 * 10**6),
        "deadlineUnixSec": house.client.now() + DAY,
    }
    done = house.done(lifecycle, lifecycle.submit("create_escrow", more, agent="ann"))
    assert (done.stage, done.code) == (Stage.FAILED, "max_counterparty_exposure")


@pytest.mark.parametrize(("decision", "ours"), [("refund", True), ("release", False)])
@pytest.mark.slow
def test_a_bond_that_does_not_come_back_is_a_loss_of_the_day(house, provider, decision, ours):
    lifecycle = house.lifecycle()
    judge = Lifecycle(house.client_of(dev_accounts()[0]))
    opened(house, lifecycle, provider)
    step(house, provider, "accept_escrow")
    step(house, provider, "deliver_escrow")
    step(house, lifecycle, "dispute_escrow", evidence="empty")
    ((held, open_),) = locked(house, lifecycle)
    bond = held - PRICE
    assert (bond > 0, open_) == (True, True)
    step(house, judge, "resolve_dispute", decision=decision)
    with lifecycle.ledger.write() as connection:
        connection.exec_driver_sql("UPDATE co_escrows SET due_at = 0")
    assert locked(house, lifecycle) == [(0, False)]
    assert lost(house, lifecycle) == (0 if ours else bond)
    assert house.findings(lifecycle) == []


@pytest.mark.slow
def test_a_bond_counts_as_lost_until_its_dispute_is_decided(house, provider):
    bond = PRICE // 20
    lifecycle = house.lifecycle(policy=PolicySettings(max_daily_loss={house.usdc: bond, ETH: 10**18}))
    judge = Lifecycle(house.client_of(dev_accounts()[0]))
    for number in ("1", "2", "3"):
        opened(house, lifecycle, provider, number)
        step(house, provider, "deliver_escrow", number=number)
    step(house, lifecycle, "dispute_escrow", evidence="empty")
    assert lost(house, lifecycle) == 0
    body = {"escrowNumericId": "2", "creator": house.wallet, "evidence": "empty"}
    denied = house.done(lifecycle, lifecycle.submit("dispute_escrow", body, agent="ann"))
    assert (denied.stage, denied.code) == (Stage.FAILED, "max_daily_loss")
    step(house, judge, "resolve_dispute", decision="refund")
    with lifecycle.ledger.write() as connection:
        connection.exec_driver_sql("UPDATE co_escrows SET due_at = 0")
    locked(house, lifecycle)
    step(house, lifecycle, "dispute_escrow", number="3", evidence="empty")


@pytest.mark.slow
def test_every_escrow_of_a_batch_counts_and_is_a_position(house, provider):
    lifecycle = house.lifecycle()
    orders = [
        {
            "escrowNumericId": str(number),
            "provider": provider.wallet,
            "amount": str(PRICE),
            "deadline": house.client.now() + DAY,
        }
        for number in (1, 2)
    ]
    step(house, lifecycle, "create_escrow_batch", {"orders": orders})
    assert locked(house, lifecycle) == [(PRICE, True)] * 2
    positions = lifecycle.query("query_positions", {}, agent="ann").result["escrows"]
    assert [one["remaining"] for one in positions] == [str(PRICE)] * 2


@pytest.mark.slow
def test_both_parties_of_an_escrow_may_be_wallets_of_one_store(house):
    other = Lifecycle(house.client_of(dev_accounts()[2], house.store))
    house.client_of(dev_accounts()[4]).token.mint(PRICE, other.wallet)
    lifecycle = house.lifecycle()
    opened(house, lifecycle, other)
    step(house, other, "accept_escrow")
    step(house, other, "deliver_escrow")
    step(house, other, "dispute_escrow", evidence="unpaid")
    with lifecycle.ledger.read() as connection:
        (paid,) = escrows.all_open(connection, house.key)
        (posted,) = escrows.all_open(connection, Account(house.key.chain_id, other.wallet))
    assert paid.transaction_id == posted.transaction_id
    assert (paid.locked, 0 < posted.locked < PRICE) == (PRICE, True)
    step(house, Lifecycle(house.client_of(dev_accounts()[0])), "resolve_dispute", decision="refund")
    with lifecycle.ledger.write() as connection:
        connection.exec_driver_sql("UPDATE co_escrows SET due_at = 0")
    assert locked(house, lifecycle) == locked(house, other) == [(0, False)]
    assert (lost(house, lifecycle), lost(house, other)) == (0, 0)


@pytest.mark.slow
def test_escrows_that_the_chain_does_not_know_keep_no_other_waiting(house, provider, monkeypatch):
    monkeypatch.setattr(keeping, "_MANY", 3)
    lifecycle = house.lifecycle()
    opened(house, lifecycle, provider)
    unknown = [
        Locked(f"0x{number:064x}", 1, house.usdc, house.client.kernel.address, None, 1, 1, True, 1.0)
        for number in range(1, 6)
    ]
    with lifecycle.ledger.write() as connection:
        escrows.add(connection, house.key, unknown)
    step(house, provider, "refund_escrow")
    with lifecycle.ledger.write() as connection:
        connection.exec_driver_sql("UPDATE co_escrows SET due_at = 100 WHERE due_at > 100")  # the last of the queue
    for _ in range(2):
        seen = locked(house, lifecycle)
    assert (0, False) in seen
    with lifecycle.ledger.read() as connection:
        assert [one.locked for one in escrows.all_open(connection, house.key)] == [1] * len(unknown)
