"""What somebody may do to make the index slow, wrong or silent, and what a node may say at a bad moment."""

from __future__ import annotations

import threading
from dataclasses import replace

from actp.errors import RpcError
from coordinator.index import Index
from coordinator.index import index as index_module
from coordinator.index.looking import Looking
from coordinator.store.index_words import Due
from tests.client.support import FEE, HOUR, act, delivered, funded, open_transaction, started
from tests.coordinator.index.support import assert_is_the_chain, kernel_of, rows_of


def test_ids_that_nobody_created_cost_the_index_no_question(ledger, endpoint, index, requester, stranger, monkeypatch):
    asked = []
    states = Looking.states
    monkeypatch.setattr(Looking, "states", lambda self, ids, at: asked.extend(ids) or states(self, ids, at))
    invented = [number.to_bytes(32, "big") for number in range(1, 40)]
    act(endpoint, 5, "ACTPKernel", "settleBatch", invented)
    act(endpoint, 5, "ACTPKernel", "deliverBatch", invented)
    index.catch_up()
    assert asked == []


def test_one_error_of_a_node_does_not_end_the_index(ledger, endpoint, faulty, requester, provider):
    index = Index(ledger, replace(endpoint, transport=faulty))
    tx_id = funded(requester, provider)
    stop = threading.Event()

    def refuse(real, params):
        raise RpcError(-32603, "Internal error")

    faulty.once("eth_getBlockByNumber", *[refuse] * 4)
    runner = threading.Thread(target=index.run, args=(stop,), kwargs={"every": 0.01})
    runner.start()
    for _ in range(500):
        if tx_id in rows_of(ledger):
            break
        stop.wait(0.01)
    alive = runner.is_alive()
    stop.set()
    runner.join(10)
    assert alive
    assert tx_id in rows_of(ledger)


def test_a_window_that_a_node_did_not_show_is_asked_for_before_rows_that_were_never_compared(
    ledger, endpoint, faulty, requester, provider
):
    index = Index(ledger, replace(endpoint, transport=faulty))
    first = started(requester, provider)
    for _ in range(3):
        funded(requester, provider)
    index.catch_up()
    provider.kernel.deliver(first)
    old = hex(index.kernel.block.number)
    faulty.always("eth_call", lambda real, params: endpoint.transport.request("eth_call", [params[0], old]))
    index.catch_up()
    faulty.clear()
    for _ in range(3):
        funded(requester, provider)
    index.catch_up()
    index.verify(most=1)
    assert rows_of(ledger)[first].due_kind is Due.SETTLE


def test_fees_that_were_put_right_stay_so_when_later_blocks_go(ledger, endpoint, index, requester, provider):
    chain = requester.chain
    requester.kernel.settle(delivered(requester, provider))
    index.catch_up()
    with ledger.write() as connection:
        connection.exec_driver_sql("UPDATE co_index_kernels SET fees = '2'")
        connection.exec_driver_sql("UPDATE co_index_points SET fees = '2'")
    assert index.verify()
    snapshot = chain.snapshot()
    chain.mine()
    index.catch_up()
    chain.revert(snapshot)
    chain.time_travel(HOUR)
    for _ in range(3):
        chain.mine()
    assert index.catch_up().rewinds == 1
    assert kernel_of(ledger, index).fees == FEE


def test_what_an_escrow_that_looks_ended_at_the_head_was_is_not_believed_from_a_block_that_goes(
    ledger, endpoint, requester, provider, monkeypatch
):
    chain = requester.chain
    monkeypatch.setattr(index_module, "_KEPT_BLOCKS", 3)
    monkeypatch.setattr(index_module, "_MOST_BLOCKS", 1)
    before = started(requester, provider)
    index = Index(ledger, endpoint, requester.events.since().cursor.block + 1)
    provider.kernel.deliver(before)
    for _ in range(8):
        chain.mine()
    snapshot = chain.snapshot()
    requester.kernel.settle(before)
    index.catch_up(limit=2)  # far behind: it looks at a newer state
    chain.revert(snapshot)
    chain.time_travel(HOUR)
    for _ in range(3):
        chain.mine()
    index.catch_up()
    assert rows_of(ledger)[before].open, "the settlement is gone, so it is still to be settled"
    index.verify()
    assert_is_the_chain(ledger, endpoint, index)


def test_an_index_that_began_at_the_newest_block_survives_its_reorganisation(ledger, endpoint, requester, provider):
    chain = requester.chain
    snapshot = chain.snapshot()
    chain.mine()
    index = Index(ledger, endpoint, requester.events.since().cursor.block + 1)
    index.catch_up()
    chain.revert(snapshot)
    chain.time_travel(HOUR)
    for _ in range(3):
        chain.mine()
    tx_id = funded(requester, provider)
    index.catch_up()
    assert tx_id in rows_of(ledger)


def test_endpoints_on_two_forks_do_not_make_one_page(ledger, endpoint, faulty, requester, provider):
    chain = requester.chain
    index = Index(ledger, replace(endpoint, transport=faulty))
    snapshot = chain.snapshot()
    chain.mine()
    index.catch_up()
    newest = hex(index.kernel.block.number)
    gone = chain.request("eth_getBlockByNumber", [newest, False])
    chain.revert(snapshot)
    chain.time_travel(HOUR)
    tx_id = open_transaction(requester, provider)
    chain.mine()

    def behind(real, params):
        return gone if params[0] == newest else real()

    faulty.once("eth_getBlockByNumber", *[behind] * 4)
    index.catch_up()
    index.catch_up()
    assert tx_id in rows_of(ledger)
