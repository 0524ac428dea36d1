"""A sender without a worker notices blocks that are gone while it holds the lease, and asks nothing more for that."""

import pytest

from actp.chain import AnvilProcess
from actp.engine import Outbox, Policy, Sender
from actp.engine.intents import Settled
from actp.engine.store.schema import AttemptState
from actp.engine.suspicion import Suspicion
from actp.errors import RpcError
from actp.rpc import HttpTransport
from actp.signers import LocalSigner
from actp.testing import FaultyTransport, JammedPool
from tests.engine.helpers import raises
from tests.engine.worker_support import PAYEE, nonces, paid


def sender_over(node, store, accounts, **options):
    return Sender(node, LocalSigner(accounts[0].private_key), chain_id=31337, store=store, timeout=15, **options)


def take_back(chain, before, blocks=2):
    """Everything since `before` is gone, and as many other blocks are there instead."""
    chain.revert(before)
    chain.mine(blocks)


@pytest.mark.slow
def test_a_payment_that_a_reorganisation_took_is_made_again_while_a_later_one_waits(chain, accounts, file_store):
    pool = JammedPool(chain)
    pool.jammed = False
    sender = sender_over(pool, file_store, accounts)
    before = chain.snapshot()
    first = sender.send(PAYEE, value=1)
    take_back(chain, before)
    pool.jammed = True
    second = sender.submit(PAYEE, value=2)  # waits for the nonce before it, as in any node's pool
    pool.jammed = False
    assert sender.wait(second).succeeded
    assert paid(chain) == [0, 1]
    assert nonces(chain, sender.address) == 2
    box = Outbox(file_store, 31337, sender.address)
    with file_store.read() as connection:
        keys = [row[0] for row in connection.exec_driver_sql("SELECT idempotency_key FROM intents ORDER BY id")]
    (again,) = box.attempts_of(box.find(keys[0]))
    assert (again.tx_hash, again.state) == (first.tx_hash, AttemptState.SEALED)


@pytest.mark.parametrize("words", ["nonce too high", "gapped-nonce tx from delegated accounts: nonce gap"])
def test_a_node_that_misses_the_nonce_before_makes_the_sender_look_before_it_goes_on(
    chain, accounts, file_store, words
):
    node = FaultyTransport(chain)
    sender = sender_over(node, file_store, accounts)
    before = chain.snapshot()
    sender.send(PAYEE, value=1)
    take_back(chain, before)
    node.once("eth_sendRawTransaction", raises(RpcError(-32000, words)))
    second = sender.submit(PAYEE, value=2)
    assert paid(chain) == [0, 1]
    assert sender.wait(second).succeeded
    assert nonces(chain, sender.address) == 2


def test_a_suspicion_is_looked_into_before_the_next_call_is_signed(chain, accounts, file_store):
    node = FaultyTransport(chain)
    sender = sender_over(node, file_store, accounts)
    before = chain.snapshot()
    sender.send(PAYEE, value=1)
    take_back(chain, before)
    sender._connection.lane().suspicion.raised = True
    sender.submit(PAYEE, value=2)
    assert paid(chain) == [0, 1]
    assert node.count("eth_sendRawTransaction") == 3


def test_a_suspicion_without_a_reason_changes_nothing(chain, accounts, file_store):
    """A node that lags behind counts fewer nonces, too."""
    node = FaultyTransport(chain)
    sender = sender_over(node, file_store, accounts)
    sender.send(PAYEE, value=1)
    lane = sender._connection.lane()
    lane.suspicion.raised = True
    sender.submit(PAYEE, value=2)
    assert lane.suspicion.raised is False
    assert paid(chain) == [0, 1]
    assert node.count("eth_sendRawTransaction") == 2


@pytest.mark.parametrize("blocks", [0, 2])
def test_a_development_chain_that_is_set_back_is_none_of_its_business(chain, accounts, blocks):
    node = FaultyTransport(chain)
    sender = sender_over(node, None, accounts)
    before = chain.snapshot()
    sender.send(PAYEE, value=1)
    take_back(chain, before, blocks)
    asked = []
    node.always("eth_getBlockByNumber", lambda go_on, params: asked.append(params[0]) or go_on())
    assert sender.send(PAYEE, value=2).succeeded
    assert paid(chain) == [1]
    assert set(asked) <= {"0x0"}  # which chain it is


@pytest.mark.anvil
def test_a_receipt_in_a_block_with_another_parent_shows_that_an_earlier_one_moved(session_anvil, accounts, file_store):
    """The first payment is mined again by the reorganisation itself, so that nothing ever waits for it."""
    del session_anvil
    with AnvilProcess(extra_args=["--no-mining"]) as anvil:
        node = HttpTransport(anvil.url)
        sender = sender_over(node, file_store, accounts, policy=Policy(check_seal=True))
        first = sender.submit(PAYEE, value=1)
        node.request("anvil_mine", ["0x1"])
        old = sender.wait(first)
        node.request("anvil_reorg", [1, [["0x" + first.raw.hex(), 0]]])
        new = node.request("eth_getTransactionReceipt", [first.tx_hash])
        assert new["blockHash"] != old.block_hash
        second = sender.submit(PAYEE, value=2)
        node.request("anvil_mine", ["0x1"])
        sender.wait(second)
        with file_store.read() as connection:
            rows = connection.exec_driver_sql("SELECT tx_hash, block_hash, state FROM attempts ORDER BY nonce").all()
        assert tuple(rows[0]) == (first.tx_hash, new["blockHash"], AttemptState.SEALED)
        assert paid(node) == [0, 1]


class TestSuspicion:
    @pytest.fixture
    def suspicion(self):
        found = Suspicion(reopens=True)
        found.saw_mined([Settled(1, 4, "0x01", 10, "0xAA", True), Settled(2, 5, "0x02", 10, "0xaa", True)])
        assert not found.raised
        return found

    def test_another_block_of_the_same_height(self, suspicion):
        suspicion.saw_mined([Settled(3, 6, "0x03", 10, "0xbb", True)])
        assert suspicion.raised

    def test_a_later_nonce_in_an_earlier_block(self, suspicion):
        suspicion.saw_mined([Settled(3, 6, "0x03", 9, "0xbb", True)])
        assert suspicion.raised

    def test_another_parent(self, suspicion):
        suspicion.saw_block({"number": "0xb", "parentHash": "0xaa"})
        suspicion.saw_block({"number": "0xd", "parentHash": "0xdd"})
        assert not suspicion.raised
        suspicion.saw_block({"number": "0xb", "parentHash": "0xab"})
        assert suspicion.raised

    def test_fewer_nonces_than_were_mined(self, suspicion):
        suspicion.saw_count(6, (5, "0x02"))
        suspicion.saw_count(0, None)
        assert not suspicion.raised
        suspicion.saw_count(5, (5, "0x02"))
        assert suspicion.raised

    def test_what_fits_is_no_suspicion_and_fills_no_memory(self, suspicion):
        for index in range(1_000):
            suspicion.saw_mined([Settled(9 + index, 6 + index, "0x", 11 + index, f"0x{index}", True)])
        assert not suspicion.raised
        assert len(suspicion._blocks) <= 65
