"""What only the embedded chain promises: its clock, its lock, its speed, and that callers cannot damage it."""

from __future__ import annotations

import contextlib
import itertools
import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from eth_account import Account

from actp.chain import DevAccount, EmbeddedChain, shared
from actp.chain.rpc import method_names
from actp.errors import InvalidInput, RpcError
from tests.chain.support import (
    EMITTER,
    GWEI,
    deploy,
    environment,
    latest,
    nonce,
    quantity,
    receipt_of,
    send,
    sign,
    word,
)

Accounts = tuple[DevAccount, ...]


class FakeClock:
    """Seconds that pass only when told to."""

    def __init__(self, start: float = 1_700_000_000.0) -> None:
        self.seconds = start

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def timed(clock: FakeClock) -> EmbeddedChain:
    """A chain of its own whose clock stands still."""
    return EmbeddedChain(clock=clock)


class TestClock:
    def test_deadlines_of_the_wall_clock_work_before_any_time_travel(self) -> None:
        fresh = EmbeddedChain()
        assert 0 <= fresh.now() - int(time.time()) <= 1

    def test_blocks_follow_the_clock(self, timed: EmbeddedChain, clock: FakeClock) -> None:
        clock.seconds += 500
        timed.mine()
        assert quantity(latest(timed)["timestamp"]) == 1_700_000_500

    def test_two_blocks_never_share_a_timestamp(self, timed: EmbeddedChain) -> None:
        timed.mine(3)
        assert quantity(latest(timed)["timestamp"]) == 1_700_000_003
        assert timed.now() == 1_700_000_004

    def test_a_clock_that_is_set_back_does_not_set_the_chain_back(self, timed: EmbeddedChain, clock: FakeClock) -> None:
        timed.mine()
        clock.seconds -= 10_000
        timed.mine()
        assert quantity(latest(timed)["timestamp"]) == 1_700_000_002

    def test_time_travel_is_exact_even_when_the_chain_runs_ahead_of_its_clock(
        self, timed: EmbeddedChain, clock: FakeClock
    ) -> None:
        timed.mine(50)
        before = timed.now()
        timed.time_travel(3_600)
        assert timed.now() == before + 3_600
        clock.seconds += 7
        assert timed.now() == before + 3_607

    def test_time_goes_on_from_a_timestamp_that_was_set(self, timed: EmbeddedChain, clock: FakeClock) -> None:
        timed.request("evm_setNextBlockTimestamp", [1_700_100_000])
        assert timed.now() == 1_700_100_000
        timed.mine()
        clock.seconds += 50
        assert timed.now() == 1_700_100_050

    def test_time_does_not_travel_back(self, timed: EmbeddedChain) -> None:
        with pytest.raises(InvalidInput):
            timed.time_travel(-1)

    @pytest.mark.parametrize("tag", ["latest", "pending"])
    def test_a_call_right_after_time_travel_sees_the_block_that_will_be_mined(
        self, timed: EmbeddedChain, tag: str
    ) -> None:
        timed.time_travel(86_400)
        seen = environment(timed, tag)
        timed.mine()
        assert seen == (quantity(latest(timed)["timestamp"]), quantity(latest(timed)["number"]))

    def test_a_call_at_a_number_sees_that_block(self, timed: EmbeddedChain) -> None:
        timed.mine(2)
        timed.time_travel(86_400)
        assert environment(timed, "0x1") == (1_700_000_001, 1)


class TestSnapshots:
    def test_time_travel_is_undone(self, timed: EmbeddedChain) -> None:
        before = timed.now()
        snapshot = timed.snapshot()
        timed.time_travel(10**6)
        timed.mine(2)
        timed.revert(snapshot)
        assert timed.now() == before

    def test_waiting_transactions_are_as_they_were(self, chain: EmbeddedChain, accounts: Accounts) -> None:
        kept = chain.request(
            "eth_sendRawTransaction", [sign(chain, accounts[0], nonce=nonce(chain, accounts[0].address) + 1)]
        )
        snapshot = chain.snapshot()
        send(chain, accounts[0])
        assert receipt_of(chain, kept)["status"] == "0x1"
        chain.revert(snapshot)
        assert chain.request("eth_getTransactionByHash", [kept])["blockHash"] is None
        send(chain, accounts[0])
        assert receipt_of(chain, kept)["status"] == "0x1"

    def test_an_unknown_snapshot_is_an_error_in_python(self, chain: EmbeddedChain) -> None:
        with pytest.raises(InvalidInput):
            chain.revert("0xffffff")

    def test_another_history_can_grow_where_one_was_undone(self, chain: EmbeddedChain, accounts: Accounts) -> None:
        """Old and new blocks share numbers and transactions, so anything left over would be found."""
        raw = sign(chain, accounts[0])
        snapshot = chain.snapshot()
        first = receipt_of(chain, chain.request("eth_sendRawTransaction", [raw]))
        chain.mine(5)
        chain.revert(snapshot)
        chain.time_travel(60)
        second = receipt_of(chain, chain.request("eth_sendRawTransaction", [raw]))
        chain.mine(20)
        assert first["transactionHash"] == second["transactionHash"]
        assert first["blockHash"] != second["blockHash"]
        assert chain.request("eth_getBlockByHash", [first["blockHash"], False]) is None
        height = quantity(latest(chain)["number"])
        blocks = [chain.request("eth_getBlockByNumber", [hex(number), False]) for number in range(height + 1)]
        assert all(child["parentHash"] == parent["hash"] for parent, child in itertools.pairwise(blocks))


class TestIdentity:
    def test_no_two_chains_have_the_same_genesis(self, clock: FakeClock) -> None:
        hashes = {EmbeddedChain(clock=clock).request("eth_getBlockByNumber", ["0x0", False])["hash"] for _ in range(3)}
        assert len(hashes) == 3

    def test_chains_of_one_process_keep_their_own_ids(self) -> None:
        one, two = EmbeddedChain(chain_id=31_337), EmbeddedChain(chain_id=84_532)
        assert [quantity(each.request("eth_chainId", [])) for each in (one, two)] == [31_337, 84_532]
        # What the CHAINID opcode says inside of contracts.
        assert [quantity(each.request("eth_call", [{"data": "0x465f5260205ff3"}])) for each in (one, two)] == [
            31_337, 84_532,
        ]  # fmt: skip
        assert one.request("net_version", []) == "31337"

    def test_a_process_shares_one_chain(self) -> None:
        with ThreadPoolExecutor(8) as pool:
            assert len({id(chain) for chain in pool.map(lambda _: shared(), range(8))}) == 1

    def test_a_development_key_is_not_in_its_repr(self, accounts: Accounts) -> None:
        assert accounts[0].private_key not in repr(accounts)


class TestMiningOnDemand:
    def test_without_automine_blocks_hold_what_waits_in_order_of_arrival(
        self, chain: EmbeddedChain, accounts: Accounts
    ) -> None:
        chain.request("evm_setAutomine", [False])
        hashes = [
            chain.request(
                "eth_sendRawTransaction",
                [sign(chain, sender, nonce=nonce(chain, sender.address, "pending"), maxPriorityFeePerGas=tip)],
            )
            for sender, tip in ((accounts[0], GWEI), (accounts[1], 2 * GWEI), (accounts[0], 3 * GWEI))
        ]
        pending = chain.request("eth_getBlockByNumber", ["pending", False])
        assert pending["transactions"] == hashes
        chain.mine()
        mined = latest(chain)
        assert (mined["transactions"], mined["number"]) == (hashes, pending["number"])
        assert [receipt_of(chain, tx_hash)["transactionIndex"] for tx_hash in hashes] == ["0x0", "0x1", "0x2"]
        assert quantity(receipt_of(chain, hashes[2])["cumulativeGasUsed"]) == 63_000
        chain.request("evm_setAutomine", [True])

    def test_a_full_block_leaves_the_rest_for_the_next(self, chain: EmbeddedChain, accounts: Accounts) -> None:
        chain.request("evm_setAutomine", [False])
        first = nonce(chain, accounts[0].address)
        burning = {"to": None, "value": 0, "data": "0xfe", "gas": 14_000_000}
        for index in range(3):
            chain.request("eth_sendRawTransaction", [sign(chain, accounts[0], nonce=first + index, **burning)])
        before = quantity(latest(chain)["number"])
        chain.request("evm_setAutomine", [True])
        blocks = [chain.request("eth_getBlockByNumber", [hex(before + step), False]) for step in (1, 2, 3)]
        assert [len(block["transactions"]) if block else None for block in blocks] == [2, 1, None]

    def test_what_cannot_be_paid_any_more_is_dropped_and_what_follows_it_waits_on(self, chain: EmbeddedChain) -> None:
        fresh = Account.create()
        payer = DevAccount(fresh.address, fresh.key.to_0x_hex())
        chain.request("anvil_setBalance", [payer.address, hex(10**18)])
        held = chain.request("eth_sendRawTransaction", [sign(chain, payer, nonce=1, value=6 * 10**17)])
        following = chain.request("eth_sendRawTransaction", [sign(chain, payer, nonce=2)])
        send(chain, payer, nonce=0, value=6 * 10**17)
        assert chain.request("eth_getTransactionByHash", [held]) is None
        assert send(chain, payer, nonce=1)["status"] == "0x1"
        assert receipt_of(chain, following)["status"] == "0x1"

    def test_a_waiting_transaction_stays_while_the_base_fee_is_too_high_for_it(
        self, chain: EmbeddedChain, accounts: Accounts
    ) -> None:
        chain.request("evm_setAutomine", [False])
        low = quantity(latest(chain)["baseFeePerGas"]) // 2
        raw = sign(chain, accounts[0], maxFeePerGas=low, maxPriorityFeePerGas=0)
        tx_hash = chain.request("eth_sendRawTransaction", [raw])
        chain.mine()
        assert chain.request("eth_getTransactionReceipt", [tx_hash]) is None
        chain.mine(10)
        assert receipt_of(chain, tx_hash)["status"] == "0x1"
        chain.request("evm_setAutomine", [True])


class TestRefusals:
    def test_call_data_below_its_floor_is_refused(self, chain: EmbeddedChain, accounts: Accounts) -> None:
        raw = sign(chain, accounts[0], data="0x" + "01" * 1_000, gas=60_999)
        with pytest.raises(RpcError, match="intrinsic gas too low: gas 60999, minimum needed 61000"):
            chain.request("eth_sendRawTransaction", [raw])

    def test_a_transaction_of_no_chain_is_refused(self, chain: EmbeddedChain, accounts: Accounts) -> None:
        raw = sign(chain, accounts[0], chainId=None, gasPrice=5 * GWEI)
        with pytest.raises(RpcError, match="only replay-protected"):
            chain.request("eth_sendRawTransaction", [raw])

    def test_overrides_are_refused_and_not_ignored(self, chain: EmbeddedChain, accounts: Accounts) -> None:
        override = {accounts[0].address: {"balance": "0x0"}}
        with pytest.raises(RpcError, match="overrides"):
            chain.request("eth_call", [{"to": accounts[0].address}, "latest", override])

    @pytest.mark.parametrize(
        "damage",
        [
            lambda raw, dice: raw[: dice.randrange(len(raw))],
            lambda raw, dice: bytes([*raw[:-1], dice.randrange(256)]),
            lambda raw, dice: bytes(byte ^ (dice.random() < 0.02) for byte in raw),
            lambda raw, dice: raw + dice.randbytes(3),
            lambda raw, dice: dice.randbytes(len(raw)),
        ],
        ids=["cut", "last byte", "flipped bits", "longer", "noise"],
    )
    def test_damaged_transactions_are_answered_with_an_rpc_error_or_are_somebody_elses(
        self, chain: EmbeddedChain, accounts: Accounts, damage: Callable[[bytes, random.Random], bytes]
    ) -> None:
        """A changed signature may be another account's valid one; that account has no money."""
        dice = random.Random(5)
        raw = bytes.fromhex(sign(chain, accounts[0])[2:])
        for _ in range(40):
            damaged = damage(raw, dice)
            if damaged == raw:
                continue
            with pytest.raises(RpcError):
                chain.request("eth_sendRawTransaction", ["0x" + damaged.hex()])
        assert chain.request("eth_sendRawTransaction", ["0x" + raw.hex()])


def test_what_a_caller_does_to_an_answer_changes_no_other_answer(chain: EmbeddedChain, accounts: Accounts) -> None:
    emitter = deploy(chain, accounts[0], EMITTER)
    tx_hash = send(chain, accounts[0], to=emitter, value=0, data=word(1), gas=100_000)["transactionHash"]
    questions = [
        ("eth_getTransactionReceipt", [tx_hash]),
        ("eth_getLogs", [{"address": emitter}]),
        ("eth_getBlockByNumber", ["latest", True]),
        ("eth_getTransactionByHash", [tx_hash]),
        ("eth_getBlockReceipts", ["latest"]),
    ]
    before = [repr(chain.request(*question)) for question in questions]
    for question in questions:
        _spoil(chain.request(*question))
    assert [repr(chain.request(*question)) for question in questions] == before


def _spoil(value: object) -> None:
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        _spoil(part)
    if isinstance(value, dict | list):
        value.clear()


def test_fifty_threads_read_and_send_while_time_travels(chain: EmbeddedChain, accounts: Accounts) -> None:
    first = {account.address: nonce(chain, account.address) for account in accounts}
    raws = [sign(chain, account, nonce=first[account.address] + index) for account in accounts for index in range(3)]
    jobs: list[tuple[str, list[object]]] = [("eth_sendRawTransaction", [raw]) for raw in raws]
    jobs += [("eth_getLogs", [{"fromBlock": "0x0"}]), ("evm_increaseTime", [60]), ("evm_mine", [])] * 10
    jobs += [("eth_estimateGas", [{"from": accounts[0].address, "to": accounts[1].address}])] * 10
    random.Random(3).shuffle(jobs)
    with ThreadPoolExecutor(50) as pool:
        list(pool.map(lambda job: chain.request(*job), jobs))
    assert [nonce(chain, account.address) - first[account.address] for account in accounts] == [3] * 10


def test_two_thousand_logs_are_found_without_a_search_through_every_transaction(
    chain: EmbeddedChain, accounts: Accounts
) -> None:
    emitter = deploy(chain, accounts[0], EMITTER)
    for _ in range(5):
        send(chain, accounts[0], to=emitter, value=0, data=word(400), gas=2_000_000)
    started = time.perf_counter()
    everything = chain.request("eth_getLogs", [{"fromBlock": "0x0", "address": emitter}])
    chosen = chain.request("eth_getLogs", [{"fromBlock": "0x0", "topics": [None, [word(7), word(399)]]}])
    elapsed = time.perf_counter() - started
    assert (len(everything), len(chosen)) == (2_000, 10)
    # About 4 ms; a search that is quadratic, or that reads receipts from the trie, takes seconds.
    assert elapsed < 1.0


JUNK: list[object] = [
    None, True, -1, 1, 1.5, "", "0x", "0x1", "0xzz", "latest", "nonsense", [], {}, [[]], [None], "0x" + "11" * 20,
    "0x" + "11" * 32, 2**300, {"from": 5}, {"topics": 7}, {"accessList": 3}, {"blockHash": []}, {"data": "0x0"},
    {"accessList": [{"address": "0x" + "11" * 20, "storageKeys": 3}]}, {"address": {}}, {"fromBlock": {}},
    {"blocks": "x"}, {"value": [1]}, {"maxFeePerGas": {}}, {"chainId": "0x1", "from": "0x" + "11" * 20},
]  # fmt: skip


@pytest.mark.parametrize("method", method_names())
def test_junk_is_answered_with_an_rpc_error_or_a_result_and_nothing_else(method: str) -> None:
    mine = EmbeddedChain()
    dice = random.Random(method)
    for _ in range(150):
        params = [dice.choice(JUNK) for _ in range(dice.randrange(4))]
        with contextlib.suppress(RpcError):
            mine.request(method, params)


def test_a_contract_that_calls_itself_for_ever_is_stopped_and_not_the_process(
    chain: EmbeddedChain, accounts: Accounts
) -> None:
    # call(gas, address, 0, 0, 0, 0, 0), and on failure nothing.
    runtime = "5f5f5f5f5f305af100"
    looping = deploy(chain, accounts[0], f"0x60{len(runtime) // 2:02x}8060095f395ff3{runtime}")
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(chain.request, "eth_call", [{"to": looping}, "latest"]).result() == "0x"
