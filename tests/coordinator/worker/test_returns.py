"""What comes back out of escrows returns to the budget that it came from, once, and when that is final."""

from __future__ import annotations

import pytest

from actp.chain import dev_accounts
from coordinator.budget.words import ScopeKind
from coordinator.store import journal
from coordinator.store.journal import DISPUTE_OPENED
from tests.coordinator.worker.support import COMMITTED, HELD, PURSE, USDC, State

DAY = 86_400


@pytest.fixture
def bought(firm):
    """(firm, worker, a purchase of 100 USDC whose funding is final)."""
    worker = firm.worker()
    worker.look()
    answer = firm.request(100 * USDC)
    firm.funded(worker, answer)
    return firm, worker, answer


@pytest.mark.slow
def test_a_cancellation_of_the_provider_returns_all_of_it(bought):
    firm, worker, answer = bought
    firm.provider.kernel.cancel(answer.transaction_id)
    firm.rounds(worker)
    found = firm.find(answer)
    assert (found.state, found.returned, found.settled) == (COMMITTED, 100 * USDC, True)
    assert firm.cell() == (0, 0)
    assert firm.cell(ScopeKind.AGENT, "ann") == (0, 0)
    assert firm.treasury() == (PURSE, 0)
    firm.sound()


def test_what_was_paid_out_returns_nothing_and_is_looked_at_no_more(bought):
    firm, worker, answer = bought
    firm.provider.kernel.deliver(answer.transaction_id)
    firm.chain.request("evm_increaseTime", [2 * DAY])
    firm.chain.request("evm_mine", [])
    firm.provider.kernel.settle(answer.transaction_id)
    firm.rounds(worker)
    found = firm.find(answer)
    assert (found.returned, found.settled) == (0, True)
    assert firm.cell() == (100 * USDC, 0)
    firm.sound()


@pytest.mark.slow
def test_a_split_returns_the_part_of_the_treasury_and_not_its_bond(bought):
    firm, worker, answer = bought
    firm.provider.kernel.deliver(answer.transaction_id)
    kernel = firm.provider.kernel
    firm.provider.token.mint(100 * USDC)
    firm.provider.token.approve(firm.client.escrow.address, 100 * USDC)
    kernel.dispute(answer.transaction_id, b"not so")
    admin = firm.client_of(dev_accounts()[0])
    admin.kernel.resolve(
        answer.transaction_id, requester_amount=30 * USDC, provider_amount=70 * USDC, provider_at_fault=True
    )
    firm.rounds(worker)
    found = firm.find(answer)
    assert (found.returned, found.settled) == (30 * USDC, True)
    assert firm.cell() == (70 * USDC, 0)
    firm.sound()


@pytest.mark.slow
def test_what_came_back_can_be_spent_again(bought):
    firm, worker, answer = bought
    before = [firm.request(500 * USDC), firm.request(400 * USDC)]
    assert {one.state for one in before} == {HELD}
    assert firm.request(100 * USDC).denial is not None
    firm.provider.kernel.cancel(answer.transaction_id)
    firm.rounds(worker)
    assert firm.request(100 * USDC).state is HELD


@pytest.mark.slow
def test_nothing_returns_before_it_is_final(bought, faulty):
    firm, worker, answer = bought
    height = firm.chain.request("eth_getBlockByNumber", ["latest", False])["number"]
    far = {"on": True}

    def finality(forward, params):
        if params[0] == "finalized" and far["on"]:
            return firm.chain.request("eth_getBlockByNumber", [height, False])
        return forward()

    faulty.always("eth_getBlockByNumber", finality)
    firm.provider.kernel.cancel(answer.transaction_id)
    firm.rounds(worker)
    assert (firm.find(answer).returned, firm.find(answer).settled) == (0, False)
    assert firm.cell() == (100 * USDC, 0)
    far["on"] = False
    firm.rounds(worker)
    assert firm.find(answer).returned == 100 * USDC
    firm.sound()


def test_what_ends_while_the_events_are_read_is_not_final_yet(bought, faulty):
    firm, worker, answer = bought
    height = firm.chain.request("eth_getBlockByNumber", ["latest", False])["number"]

    def finality(forward, params):
        return firm.chain.request("eth_getBlockByNumber", [height, False]) if params[0] == "finalized" else forward()

    def ends_meanwhile(forward, params):
        newest = forward()
        firm.provider.kernel.cancel(answer.transaction_id)
        return newest

    with firm.ledger.write() as connection:
        connection.exec_driver_sql("UPDATE co_escrows SET open = false")
    faulty.always("eth_getBlockByNumber", finality)
    faulty.once("eth_blockNumber", ends_meanwhile)
    worker._returns._at = float("-inf")
    worker._returns.round()
    assert firm.escrow(answer) is State.CANCELLED
    assert (firm.find(answer).returned, firm.find(answer).settled) == (0, False)


@pytest.mark.slow
def test_it_returns_once_however_many_look_and_however_often(bought):
    firm, worker, answer = bought
    second = firm.worker(authority=firm.new_authority())
    firm.provider.kernel.cancel(answer.transaction_id)
    for _ in range(3):
        firm.rounds(worker, 1)
        firm.rounds(second, 1)
    assert firm.find(answer).returned == 100 * USDC
    events = [one.entry.event for one in _journal(firm, answer)]
    assert events.count("returned") == 1
    firm.sound()


@pytest.mark.slow
def test_what_ends_after_others_were_looked_at_at_the_same_final_block_is_looked_at_too(bought):
    firm, worker, answer = bought
    other = firm.request(50 * USDC)
    firm.funded(worker, other)
    firm.provider.kernel.cancel(answer.transaction_id)
    firm.provider.kernel.cancel(other.transaction_id)
    for one in (answer, other):
        # No block comes meanwhile.
        worker._returns._at = float("-inf")
        with firm.ledger.write() as connection:
            statement = "UPDATE co_escrows SET open = ? WHERE transaction_id = ?"
            connection.exec_driver_sql(statement, (False, one.transaction_id))
        assert worker._returns.round()
        assert not worker._returns.round()
    assert [firm.find(one).returned for one in (answer, other)] == [100 * USDC, 50 * USDC]


@pytest.mark.slow
def test_a_dispute_of_anybody_is_in_the_journal_once(bought):
    firm, worker, answer = bought
    firm.provider.kernel.deliver(answer.transaction_id)
    firm.provider.token.mint(100 * USDC)
    firm.provider.token.approve(firm.client.escrow.address, 100 * USDC)
    firm.provider.kernel.dispute(answer.transaction_id, b"not so")
    assert firm.escrow(answer) is State.DISPUTED
    second = firm.worker(authority=firm.new_authority())
    for one in (worker, second, worker):
        firm.rounds(one, 2)
    found = [one.entry for one in _journal(firm, answer) if one.entry.event == DISPUTE_OPENED]
    assert [one.detail for one in found] == [{"transactionId": answer.transaction_id, "by": firm.provider.address}]


def _journal(firm, answer):
    with firm.ledger.read() as connection:
        return journal.listed(connection, firm.key, reservation_id=answer.reservation_id)
