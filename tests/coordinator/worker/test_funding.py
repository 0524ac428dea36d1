"""A grant becomes a funded escrow exactly once, and its budget follows what the chain says."""

from __future__ import annotations

import pytest

from actp.errors import RpcUnavailable
from actp.testing import drop_before
from coordinator.budget.requests import escrow_number
from coordinator.budget.rules import GasRules
from coordinator.budget.words import LARGEST, ReservationState, ScopeKind
from coordinator.policy import PolicySettings
from coordinator.store import seals
from coordinator.types import ETH, IntentType, Stage
from coordinator.worker import dispatching
from coordinator.worker.following import shares
from tests.coordinator.worker.support import COMMITTED, HELD, ON_CHAIN, PURSE, RELEASED, USDC, State, agent, book


def test_a_grant_is_funded_with_the_terms_that_were_asked_for_and_booked_as_spent(firm):
    worker = firm.worker()
    worker.look()
    answer = firm.request(25 * USDC, deadline_seconds=9_000, dispute_window=4_000, terms="as agreed")
    assert answer.state is HELD
    row = worker.wait(answer.reservation_id, 20)
    assert row.state in (ON_CHAIN, COMMITTED)
    record = firm.provider.kernel.get_transaction(answer.transaction_id)
    assert (record.state, record.amount, record.provider) == (State.COMMITTED, 25 * USDC, firm.provider.address)
    assert record.dispute_window == 4_000
    assert 8_900 <= record.deadline - record.created_at <= 9_000
    (spent,) = firm.funded(worker, answer)
    assert (spent.actual, spent.operation_id) == (25 * USDC, firm.operations()[-1].id)
    assert firm.cell() == (25 * USDC, 0)
    assert firm.cell(ScopeKind.AGENT, "ann") == (25 * USDC, 0)
    assert firm.treasury() == (PURSE - 25 * USDC, 0)
    firm.sound()


def test_the_same_key_is_funded_once(firm):
    worker = firm.worker()
    worker.look()
    first = firm.request(key="k")
    worker.wait(first.reservation_id, 20)
    again = firm.request(key="k")
    firm.rounds(worker)
    assert (again.replayed, again.transaction_id) == (True, first.transaction_id)
    assert firm.client.token.balance_of() == PURSE - 10 * USDC
    firm.sound()


@pytest.mark.slow
def test_what_waits_of_one_agent_is_one_eth_transaction_whose_fee_is_shared_to_the_last_wei(firm):
    firm.authority.apply(book(gas=GasRules(10**18)), "test")
    worker = firm.worker()
    worker.look()
    mine = [firm.request(amount * USDC) for amount in (1, 2, 4)]
    other = firm.request(8 * USDC, who="bob")
    firm.funded(worker, *mine, other)
    batches = [one for one in firm.operations() if one.type is IntentType.CREATE_ESCROW_BATCH]
    single = [one for one in firm.operations() if one.type is IntentType.CREATE_ESCROW]
    assert [(one.agent, len(one.intent["orders"])) for one in batches] == [("ann", 3)]
    assert [one.agent for one in single] == ["bob"]
    paid = 0
    for one in (*batches, *single):
        receipt = firm.chain.request("eth_getTransactionReceipt", [one.tx_hash])
        paid += int(receipt["gasUsed"], 16) * int(receipt["effectiveGasPrice"], 16)
    assert firm.cell(ScopeKind.GAS, unit=ETH) == (paid, 0)
    assert {firm.find(one).state for one in mine} == {COMMITTED}
    firm.sound()


@pytest.mark.parametrize(("amount", "number"), [(0, 3), (7, 3), (100, 1), (10**18 + 1, 97)])
def test_shares_of_a_fee_are_equal_and_sum_to_it(amount, number):
    parts = shares(amount, number)
    assert sum(parts) == amount
    assert max(parts) - min(parts) <= 1


def test_where_rules_look_at_single_purchases_none_is_put_into_a_batch(firm):
    # Together they would need somebody's yes.
    policy = PolicySettings(max_amount={firm.usdc: 20 * USDC}, approval_over={firm.usdc: 4 * USDC})
    worker = firm.worker(policy=policy)
    worker.look()
    fine, more = firm.request(3 * USDC), firm.request(2 * USDC)
    firm.funded(worker, fine, more)
    denied = firm.request(21 * USDC)
    firm.funded(worker, denied)
    assert [firm.find(one).state for one in (fine, more, denied)] == [COMMITTED, COMMITTED, RELEASED]
    assert firm.find(denied).denial.rule == ReservationState.RELEASED
    assert firm.cell() == (5 * USDC, 0)
    firm.sound()


def test_of_a_batch_that_cannot_be_mined_only_what_is_wrong_with_it_fails(firm):
    # The number was used before there was this ledger: the kernel refuses to use it twice.
    plain = firm.client_of(firm.account)
    number = str(escrow_number("ann", "bad"))
    plain.pay(provider=firm.provider.address, amount=USDC, deadline=plain.now() + 9_000, idempotency_key=number)
    worker = firm.worker()
    worker.look()
    good, bad = firm.request(key="good"), firm.request(key="bad")
    firm.funded(worker, good, bad)
    assert firm.find(good).state is COMMITTED
    released = firm.find(bad)
    assert (released.state, released.denial.rule) == (RELEASED, ReservationState.RELEASED)
    assert firm.cell() == (10 * USDC, 0)
    kinds = sorted((one.type, one.stage) for one in firm.operations() if one.agent == "ann")
    assert kinds == sorted(
        [
            (IntentType.CREATE_ESCROW_BATCH, Stage.FAILED),
            (IntentType.CREATE_ESCROW, Stage.CONFIRMED),
            (IntentType.CREATE_ESCROW, Stage.FAILED),
        ]
    )
    firm.sound()


@pytest.mark.slow
def test_of_a_batch_that_reverts_in_its_block_only_what_is_wrong_with_it_fails(firm, monkeypatch):
    firm.authority.apply(book(gas=GasRules(10**18)), "test")
    worker = firm.worker(auto_pause_on_breach=False, standing_allowance=PURSE)
    worker.look()
    firm.funded(worker, firm.request(1 * USDC))  # from now on the vault has its allowance
    good, bad, fine = (firm.request(amount * USDC, key=str(amount)) for amount in (10, 300, 20))
    worker._dispatching.round()
    monkeypatch.setattr("coordinator.lifecycle.cases.gas_limit", lambda simulation: 900_000)
    worker._lifecycle.decide()
    # It is not simulated again so soon, and most of the money goes elsewhere in a block before it.
    firm.client_of(firm.account).token.transfer("0x" + "06" * 20, PURSE - 101 * USDC)
    firm.rounds(worker, 1)
    monkeypatch.undo()
    firm.funded(worker, good, bad, fine)
    (batch,) = [one for one in firm.operations() if one.type is IntentType.CREATE_ESCROW_BATCH]
    assert (batch.stage, batch.code) == (Stage.FAILED, "reverted")
    assert [firm.find(one).state for one in (good, bad, fine)] == [COMMITTED, RELEASED, COMMITTED]
    assert firm.cell() == (31 * USDC, 0)
    firm.rounds(worker)
    assert firm.treasury() == (70 * USDC, 0)
    assert firm.treasury(ETH)[1] == 0
    assert firm.cell(ScopeKind.GAS, unit=ETH) == (_fees(firm), 0)
    assert firm.request(key="10").state is COMMITTED
    firm.sound()


def _fees(firm) -> int:
    """What all that agents have asked for has cost in fees."""
    mined = [one.tx_hash for one in firm.operations() if one.agent != "treasury" and one.tx_hash is not None]
    receipts = [firm.chain.request("eth_getTransactionReceipt", [one]) for one in mined]
    return sum(int(one["gasUsed"], 16) * int(one["effectiveGasPrice"], 16) for one in receipts)


def test_two_workers_hand_a_grant_on_once(anywhere):
    firm = anywhere
    first, second = firm.worker(), firm.worker(authority=firm.new_authority())
    first.look()
    answers = [firm.request(3 * USDC), firm.request(4 * USDC), firm.request(5 * USDC, who="bob")]
    now = firm.client.now

    def meanwhile() -> int:
        first._dispatching._client.now = now
        firm.chain.request("evm_mine", [])  # another time of the chain: another deadline
        assert second._dispatching.round()
        return now()

    first._dispatching._client.now = meanwhile
    assert not first._dispatching.round()
    firm.funded(first, *answers)
    funded = {one.type: one for one in firm.operations() if one.agent != "treasury"}
    assert set(funded) == {IntentType.CREATE_ESCROW, IntentType.CREATE_ESCROW_BATCH}
    assert firm.client.token.balance_of() == PURSE - 12 * USDC
    firm.sound()


@pytest.mark.slow
def test_who_is_paused_keeps_its_grants_and_nobody_else_waits_for_it(firm, monkeypatch):
    monkeypatch.setattr(dispatching, "_MOST", 1)
    worker = firm.worker()
    worker.look()
    held, other = firm.request(), firm.request(who="bob")
    worker._lifecycle.pause("ann", by="boss", reason="look first")
    firm.funded(worker, other)
    assert firm.find(held).state is HELD
    assert [one.agent for one in firm.operations() if one.agent != "treasury"] == ["bob"]
    worker._lifecycle.resume("ann", by="boss", reason="looked")
    firm.funded(worker, held)
    firm.sound()


def test_nothing_is_handed_on_while_everything_is_stopped(firm):
    worker = firm.worker()
    worker.look()
    held = firm.request()
    worker._lifecycle.pause(by="boss", reason="stop")
    firm.rounds(worker)
    assert (firm.find(held).state, firm.operations()) == (HELD, [])


def test_a_grant_whose_terms_became_impossible_fails_alone(firm):
    worker = firm.worker()
    worker.look()
    good, bad = firm.request(key="good"), firm.request(key="bad")
    with firm.ledger.write() as connection:
        connection.exec_driver_sql(
            "UPDATE co_reservations SET provider = ? WHERE id = ?", ("nobody", bad.reservation_id)
        )
    firm.funded(worker, good, bad)
    assert [firm.find(one).state for one in (good, bad)] == [COMMITTED, RELEASED]
    firm.sound()


@pytest.mark.slow
def test_without_a_node_nothing_is_decided_differently_and_the_books_are_kept(firm, faulty):
    worker = firm.worker()
    worker.look()
    answer = firm.request()
    faulty.always("eth_getBlockByNumber", drop_before())
    faulty.always("eth_blockNumber", drop_before())
    worker.look()
    worker._chores_at = float("-inf")
    with pytest.raises(RpcUnavailable):
        worker.step()
    with firm.ledger.read() as connection:
        assert seals.end(connection, firm.key).number > 0
    assert firm.find(answer).state is HELD
    faulty.clear()
    firm.funded(worker, answer)
    firm.sound()


def test_a_treasury_without_money_denies_until_there_is_some(firm):
    firm.authority.apply(book(10_000 * USDC, agent("ann", spending_limit=5_000 * USDC, daily_limit=9_000 * USDC)), "x")
    worker = firm.worker()
    assert firm.request(PURSE).state is HELD  # the first request looks
    denied = firm.request(1 * USDC)
    assert (denied.denial.rule, denied.denial.limit, denied.denial.used) == ("treasury_balance", PURSE, PURSE)
    firm.minter.token.mint(1 * USDC, firm.wallet)
    assert firm.request(1 * USDC).state is HELD
    assert firm.request(1 * USDC).denial.rule == "treasury_balance"
    firm.rounds(worker, 6)
    assert firm.client.token.balance_of() == 0
    assert firm.treasury() == (0, 0)
    firm.sound()


def test_a_treasury_without_ether_denies_for_want_of_gas(firm):
    worker = firm.worker()
    worker.look()
    _, promised = firm.treasury(ETH)
    assert promised == 0
    most = worker._treasury._estimate
    firm.authority.observe(PURSE, most - 1, worker._treasury._at_point().block, most)
    firm.authority.look = None
    denied = firm.request()
    assert (denied.denial.rule, denied.denial.limit) == ("treasury_gas", most - 1)
    firm.authority.look = worker.look
    firm.chain.request("evm_mine", [])
    assert firm.request().state is HELD
    assert firm.treasury(ETH) == (LARGEST, most)  # it has 10,000 ETH, and a cell holds nine


def test_without_a_guard_the_newest_block_counts(firm):
    worker = firm.worker(guard=False)
    worker.look()
    answer = firm.request(25 * USDC)
    firm.funded(worker, answer)
    assert firm.treasury() == (PURSE - 25 * USDC, 0)
    assert firm.cell() == (25 * USDC, 0)
    firm.sound()
