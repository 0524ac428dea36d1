"""What does not get on says why in its row, and goes on by itself when it can: fees, caps, nonces used long ago."""

import json
from itertools import pairwise

import pytest

from actp.cli import main
from actp.engine import Sender
from actp.engine.fees import FeePolicy
from actp.engine.lookup import Use, used_by_another, where_used
from actp.engine.store.schema import AttemptState, IntentStatus
from actp.errors import OutcomeUnknown, RpcError, RpcUnavailable
from actp.testing import FaultyTransport, JammedPool
from tests.engine.helpers import SEND, raises
from tests.engine.worker_support import PAYEE, Bench, paid

GWEI = 10**9
PRUNED = RpcError(-32000, "missing trie node 12ab (path ) state is not available")


def shown(capsys, bench, *words):
    store = bench.store.engine.url.render_as_string()
    assert main(["outbox", *words, "--store", store, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def overtake(chain, bench, accounts):
    chain.request("eth_sendTransaction", [{"from": bench.signer.address, "to": accounts[5].address, "value": "0x1"}])


class TestCaps:
    @pytest.fixture
    def bench(self, faulty, file_store, accounts):
        return Bench(faulty, file_store, accounts[0].private_key)

    def test_a_fee_above_the_cap_keeps_it_queued_with_the_reason_until_fees_fall(self, chain, bench, faulty, capsys):
        def dear(go_on, params):
            return {"baseFeePerGas": [hex(900 * GWEI)], "reward": []}

        faulty.always("eth_feeHistory", dear)
        first, _ = bench.enqueue(2)
        for _ in range(10):
            bench.worker.step()
        assert faulty.count(SEND) == 0
        row = shown(capsys, bench, "show", str(first.id))
        assert (row["status"], row["code"], row["tries"], row["signatures"]) == ("queued", "fee_too_high", 0, [])
        assert "900.001 gwei per gas, and the cap is 500 gwei" in row["reason"]
        assert bench.job(1).code == "fee_too_high"
        faulty.always("eth_feeHistory", lambda go_on, params: go_on())
        bench.finish()
        assert paid(chain) == [0, 1]
        assert (bench.job(0).code, bench.job(0).reason) == (None, None)

    def test_a_cost_above_the_cap_is_no_dead_letter_however_often_it_is_tried(self, chain, bench, capsys):
        bench.worker._pricing.policy = FeePolicy(max_total_wei=1)
        bench.enqueue(1)
        bench.work(lambda: bench.job(0).code is not None)
        for _ in range(30):
            bench.worker.step()
            with bench.store.write() as connection:
                connection.exec_driver_sql("UPDATE intents SET due_at = 0")
        row = shown(capsys, bench, "list")
        assert (row["status"], row["code"], row["tries"]) == ("queued", "fee_too_high", 0)
        assert "the cap is 0.000000000000000001 ETH" in row["reason"]
        bench.worker._pricing.policy = FeePolicy()
        bench.finish()
        assert paid(chain) == [0]

    def test_fees_above_the_cap_are_asked_for_and_written_down_now_and_then_only(self, faulty, file_store, accounts):
        bench = Bench(faulty, file_store, accounts[0].private_key, fees_for=60.0)
        bench.worker._pricing.policy = FeePolicy(max_fee_per_gas=1)
        bench.enqueue(1)
        bench.worker.step()
        asked, noted = faulty.count("eth_feeHistory"), bench.job(0).updated_at
        for _ in range(5):
            assert bench.worker.step() is False
        assert (faulty.count("eth_feeHistory"), bench.job(0).updated_at) == (asked, noted)

    def test_a_gap_is_not_filled_above_the_cap_and_leaves_no_rows_behind(self, chain, bench, faulty):
        faulty.once(SEND, raises(RpcError(-32000, "sender is blocked by policy")))
        bench.enqueue(3)
        bench.worker.step()
        bench.worker._pricing.policy = FeePolicy(max_fee_per_gas=1)
        for _ in range(5):
            bench.worker.step()
        with bench.store.read() as connection:
            assert connection.exec_driver_sql("SELECT count(*) FROM intents WHERE kind = 'fill'").scalar() == 0
        bench.worker._pricing.policy = FeePolicy()
        bench.finish()
        assert paid(chain) == [1, 2]


class TestStuckByFee:
    def test_what_stays_stuck_at_the_cap_says_so_until_it_is_mined(self, chain, accounts, file_store, capsys):
        pool = JammedPool(chain)
        bench = Bench(pool, file_store, accounts[0].private_key, stuck_after=0.05)
        cap = bench.worker._pricing.fees().max_fee * 2
        bench.worker._pricing.policy = FeePolicy(max_fee_per_gas=cap)
        (job,) = bench.enqueue(1)
        bench.work(lambda: bench.job(0).code is not None)
        row = shown(capsys, bench, "show", str(job.id))
        assert (row["status"], row["code"]) == ("open", "fee_too_high")
        assert row["reason"].startswith("Not replaced with higher fees: The next fee would be ")
        assert int(row["signatures"][-1]["max_fee"]) == cap
        assert main(["outbox", "list", "--store", file_store.engine.url.render_as_string()]) == 0
        assert "fee_too_high: Not replaced" in capsys.readouterr().out
        pool.jammed = False
        pool.release()
        bench.finish()
        assert (paid(chain), bench.job(0).status, bench.job(0).code) == ([0], IntentStatus.MINED, None)

    def test_what_was_stuck_at_the_cap_is_replaced_once_the_cap_allows(self, chain, accounts, file_store):
        pool = JammedPool(chain)
        bench = Bench(pool, file_store, accounts[0].private_key, stuck_after=0.05)
        bench.worker._pricing.policy = FeePolicy(max_fee_per_gas=bench.worker._pricing.fees().max_fee)
        (job,) = bench.enqueue(1)
        bench.work(lambda: bench.job(0).code is not None)
        assert len(bench.box.attempts_of(job)) == 1
        bench.worker._pricing.policy = FeePolicy()
        bench.work(lambda: len(bench.box.attempts_of(job)) > 1)
        assert bench.job(0).code is None

    def test_a_chain_whose_fees_keep_rising_never_leaves_a_call_behind(self, chain, accounts, file_store):
        """The base fee rises at each look: more than four times the first tip must be possible then."""
        node = FaultyTransport(JammedPool(chain))
        base = [GWEI]

        def rising(go_on, params):
            base[0] = base[0] * 3 // 2
            return {"baseFeePerGas": [hex(base[0])], "reward": []}

        node.always("eth_feeHistory", rising)
        bench = Bench(node, file_store, accounts[0].private_key, stuck_after=0.02)
        (job,) = bench.enqueue(1)
        bench.work(lambda: len(bench.box.attempts_of(job)) >= 10)
        signed = bench.box.attempts_of(job)
        assert signed[-1].tip > 4 * signed[0].tip
        for lower, higher in pairwise(signed):
            assert higher.max_fee * 8 >= lower.max_fee * 9
            assert higher.tip * 8 >= lower.tip * 9


class TestNoncesOfLongAgo:
    def lost(self, chain, bench, pool, accounts, blocks):
        """A call of ours whose nonce another program used, so many blocks ago; its bytes are nowhere."""
        (job,) = bench.enqueue(1)
        bench.work(lambda: [one.state for one in bench.box.attempts_of(job)] == [AttemptState.ACCEPTED])
        overtake(chain, bench, accounts)
        chain.mine(blocks)
        pool.forget()
        pool.jammed = False
        return job

    def test_a_nonce_used_more_than_64_blocks_ago_is_found_and_the_call_is_sent_again(
        self, chain, accounts, file_store
    ):
        pool = JammedPool(chain)
        bench = Bench(pool, file_store, accounts[0].private_key)
        job = self.lost(chain, bench, pool, accounts, 300)
        bench.finish()
        assert paid(chain) == [0]
        assert [(one.nonce, one.state is AttemptState.REPLACED) for one in bench.box.attempts_of(job)] == [
            (0, True), (1, False),
        ]  # fmt: skip

    def test_the_search_is_short_also_over_a_long_chain(self, chain, accounts):
        chain.mine(5)
        sent = [
            chain.request(
                "eth_sendTransaction", [{"from": accounts[0].address, "to": accounts[5].address, "value": "0x1"}]
            )
            for _ in range(3)
        ]
        chain.mine(500)
        node = FaultyTransport(chain)
        assert where_used(node, accounts[0].address, 1) == Use(sent[1], 7)
        assert where_used(node, accounts[0].address, 3) is None
        assert len(node.calls) < 30

    def pruned(self, chain, oldest):
        """The node keeps the states of the newest blocks only."""

        def count(go_on, params):
            if params[1] != "latest" and int(params[1], 16) < oldest:
                raise PRUNED
            return go_on()

        node = FaultyTransport(chain)
        node.always("eth_getTransactionCount", count)
        return node

    @pytest.mark.parametrize("oldest", [6, 7])
    def test_the_last_state_that_a_node_keeps_may_just_be_old_enough(self, chain, accounts, oldest):
        chain.mine(5)
        request = {"from": accounts[0].address, "to": accounts[5].address, "value": "0x1"}
        sent = [chain.request("eth_sendTransaction", [request]) for _ in range(2)]
        chain.mine(80)
        assert where_used(self.pruned(chain, oldest), accounts[0].address, 1) == Use(sent[1], 7)
        assert where_used(self.pruned(chain, 9), accounts[0].address, 1) == Use(None, None)

    def test_a_nonce_that_no_eth_transaction_used_is_told_apart(self, chain, accounts):
        """A signed delegation (EIP-7702) uses one, too."""
        chain.request("eth_sendTransaction", [{"from": accounts[0].address, "to": accounts[5].address}])
        chain.mine(10)
        node = FaultyTransport(chain)
        node.always("eth_getBlockByNumber", lambda go_on, params: {**go_on(), "transactions": []})
        assert where_used(node, accounts[0].address, 0) == Use(None, 1)
        assert used_by_another(node, accounts[0].address, 0, []) is None
        node.always("eth_getBlockByNumber", lambda go_on, params: None)
        assert where_used(node, accounts[0].address, 0) is None

    def test_trouble_with_the_node_is_not_taken_for_a_lost_state(self, chain, accounts):
        chain.request("eth_sendTransaction", [{"from": accounts[0].address, "to": accounts[5].address}])
        chain.mine(80)
        for trouble in (RpcUnavailable("no answer"), RpcError(-32016, "over rate limit")):
            node = FaultyTransport(chain)
            node.once("eth_getTransactionCount", lambda go_on, params: go_on(), raises(trouble))
            with pytest.raises(type(trouble)):
                where_used(node, accounts[0].address, 0)

    @pytest.mark.slow
    def test_where_no_state_is_so_old_it_ends_unknown_and_only_a_person_sends_it_again(
        self, chain, accounts, file_store, capsys
    ):
        node = FaultyTransport(chain)
        pool = JammedPool(node)
        bench = Bench(pool, file_store, accounts[0].private_key)
        job = self.lost(chain, bench, pool, accounts, 80)

        def count(go_on, params):
            if params[1] != "latest" and int(params[1], 16) < 50:
                raise PRUNED
            return go_on()

        node.always("eth_getTransactionCount", count)
        bench.work(lambda: bench.job(0).status is not IntentStatus.OPEN)
        row = shown(capsys, bench, "show", str(job.id))
        assert (row["status"], row["code"], row["nonce"]) == ("unknown", "nonce_used", 0)
        assert f"retry --not-paid {job.id}" in row["reason"]
        bench.enqueue(1, start=1)
        bench.finish()
        assert paid(chain) == [1]
        sender = Sender(pool, bench.signer, chain_id=31337, store=file_store)
        with pytest.raises(OutcomeUnknown, match="Nonce 0 was used so long ago") as caught:
            sender.send(PAYEE, value=1, idempotency_key="k0")
        assert caught.value.tx_hashes == (bench.box.attempts_of(job)[0].tx_hash,)
        store = ["--store", file_store.engine.url.render_as_string()]
        assert main(["outbox", "retry", str(job.id), *store]) == 2
        assert "--not-paid" in capsys.readouterr().err
        assert main(["outbox", "cancel", str(job.id), *store]) == 2
        assert main(["outbox", "retry", "--not-paid", str(job.id), *store]) == 0
        bench.finish()
        assert paid(chain) == [0, 1]
        assert int(chain.request("eth_getBalance", [PAYEE, "latest"]), 16) == 3
