"""What settling a thousand escrows asks of a node: every method is counted, those of batches too."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import replace

import pytest

from actp.chain import AnvilProcess, dev_accounts
from actp.engine.store import open_store
from actp.intents import PaymentOrder
from actp.testing import FaultyTransport
from actp.types import State
from coordinator.lifecycle import Request
from coordinator.types import Stage
from tests.coordinator.lifecycle.support import HASTY, House
from tests.coordinator.lifecycle.test_fault_anvil import deployed_on

pytestmark = [pytest.mark.anvil, pytest.mark.slow]

BATCHES, SIZE, AMOUNT, HOUR = 10, 100, 200_000, 3_600
NET = AMOUNT - 50_000


@pytest.mark.parametrize("payees", [1, 5])
def test_a_thousand_escrows_are_settled_and_proved_with_less_than_a_hundred_calls(
    anvil: AnvilProcess, accounts, tmp_path, payees
):
    counting = FaultyTransport(anvil)
    house = House(anvil, counting, deployed_on(anvil, accounts), accounts[1], open_store(tmp_path / "store.db"))
    providers = [house.client_of(account) for account in dev_accounts()[2 : 2 + payees]]
    buyer = house.client_of(accounts[7])
    buyer.token.mint(BATCHES * SIZE * AMOUNT)
    buyer.token.approve(house.client.escrow.address, BATCHES * SIZE * AMOUNT)
    end = buyer.now() + 24 * HOUR
    orders = [PaymentOrder(providers[index % payees].address, AMOUNT, end, HOUR) for index in range(BATCHES * SIZE)]
    ids = [one.transaction_id for one in buyer.pay_many(orders, batch_size=SIZE)]
    for index, provider in enumerate(providers):
        provider.deliver_many(ids[index::payees], batch_size=SIZE)
    anvil.request("evm_increaseTime", [HOUR + 1])
    anvil.request("evm_mine", [])
    lifecycle = house.lifecycle(engine_policy=replace(HASTY, resend_after=60))  # however slow this machine is
    house.done(lifecycle, house.pay(lifecycle))  # whatever is asked once for each node
    counting.calls.clear()
    requests = [
        Request("settle_escrow_batch", {"transaction_ids": ids[start : start + SIZE]}, "bot", f"batch-{start}")
        for start in range(0, len(ids), SIZE)
    ]
    operations = lifecycle.submit_all(requests)
    anvil.request("evm_setAutomine", [False])
    give_up_at = time.monotonic() + 60
    while not all(lifecycle.find(one.id).stage is Stage.SUBMITTING for one in operations):
        lifecycle.step()
        assert time.monotonic() < give_up_at, [lifecycle.find(one.id) for one in operations]
    anvil.request("evm_mine", [])
    anvil.request("evm_setAutomine", [True])
    ended = [house.done(lifecycle, one, 60) for one in operations]
    assert {(one.stage, one.reason) for one in ended} == {(Stage.CONFIRMED, None)}
    assert len(counting.calls) < 100, Counter(counting.calls)
    assert sum(house.paid(one.address) for one in providers) == BATCHES * SIZE * NET
    assert {buyer.kernel.get_transaction(one).state for one in ids[::97]} == {State.SETTLED}
    house.close()
