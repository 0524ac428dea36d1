"""Faults that only a node of its own can show: fees taken in silence, delegations, states that are really gone."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from eth_account import Account

from actp import artifacts
from actp.chain import AnvilProcess, DevAccount
from actp.deploy import deploy_contracts
from actp.deployments import AddressBook, Deployment
from actp.engine import Sender
from actp.engine.store import open_store
from actp.rpc import genesis_hash
from actp.signers import LocalSigner
from coordinator.store import verdicts
from coordinator.types import Stage
from tests.coordinator.lifecycle.hostile import (
    STRANGER,
    THIEF,
    Party,
    breach_stops,
    kinds,
    nothing_stops,
    proved,
    settle,
)
from tests.coordinator.lifecycle.support import PURSE, House

pytestmark = [pytest.mark.anvil, pytest.mark.slow]

L1_BLOCK = "0x4200000000000000000000000000000000000015"
"""The predeploy of the OP stack from which nodes take the prices of L1."""
NOBODY = "0x" + "00" * 20


def deployed_on(node: AnvilProcess, accounts: tuple[DevAccount, ...]) -> Deployment:
    """Our contracts on a node of its own."""
    book = AddressBook(node.chain_id, genesis_hash(node, node.chain_id), in_memory=True, development=True)
    return deploy_contracts(Sender(node, LocalSigner(accounts[0].private_key), chain_id=node.chain_id), book)


@contextmanager
def housed(node: AnvilProcess, accounts: tuple[DevAccount, ...], folder) -> Iterator[House]:
    """A treasury with a store in a file."""
    made = House(node, node, deployed_on(node, accounts), accounts[1], open_store(folder / "store.db"))
    yield made
    made.close()


@pytest.fixture
def house(anvil: AnvilProcess, accounts, tmp_path) -> Iterator[House]:
    with housed(anvil, accounts, tmp_path) as made:
        yield made


# ---------------------------------------------------------------- delegations (EIP-7702)


def delegate(house: House, to: str) -> None:
    """A stranger brings a delegation of our account to the chain, which our key has signed."""
    us, stranger = Account.from_key(house.account.private_key), Account.from_key(STRANGER.private_key)
    chain_id = house.chain.chain_id
    given = us.sign_authorization({"chainId": chain_id, "address": to, "nonce": Party(house, house.account).nonce()})
    fields = {
        "chainId": chain_id, "nonce": Party(house, STRANGER).nonce(), "to": STRANGER.address, "value": 0,
        "gas": 200_000, "maxFeePerGas": 10**11, "maxPriorityFeePerGas": 10**9, "data": "0x", "accessList": [],
        "authorizationList": [given],
    }  # fmt: skip
    raw = bytes(stranger.sign_transaction(fields).raw_transaction)
    house.chain.request("eth_sendRawTransaction", ["0x" + raw.hex()])


def test_a_delegation_of_our_account_stops_the_treasury(house):
    lifecycle = house.lifecycle()
    settle(lifecycle)
    delegate(house, house.usdc)
    breach_stops(house, lifecycle, ["code_changed", "key_used"])
    (changed,) = [one for one in house.findings(lifecycle) if one.kind == "code_changed"]
    assert house.usdc[2:].lower() in changed.detail["message"]
    # Ending it is done by hand, and is looked into by hand.
    delegate(house, NOBODY)
    settle(lifecycle)
    assert [one.agent for one in lifecycle.paused()] == [None]


def test_a_delegation_that_was_taken_back_before_anybody_looked_stops_the_treasury(house):
    lifecycle = house.lifecycle()
    settle(lifecycle)
    delegate(house, house.usdc)
    delegate(house, NOBODY)
    assert house.chain.request("eth_getCode", [house.wallet, "latest"]) == "0x"
    breach_stops(house, lifecycle, ["key_used", "key_used"])


# ---------------------------------------------------------------- fees that no receipt shows


@pytest.mark.usefixtures("session_anvil")
def test_an_l1_fee_that_no_receipt_shows_stops_the_treasury(accounts, tmp_path):
    with (
        AnvilProcess(chain_id=84_532, extra_args=["--network", "optimism"]) as node,
        housed(node, accounts, tmp_path) as house,
    ):
        lifecycle = house.lifecycle()
        settle(lifecycle)
        assert house.done(lifecycle, house.pay(lifecycle, 1)).stage is Stage.CONFIRMED
        prices = {1: 10**9, 3: (1_368 << 96) + (810_949 << 64), 7: 10**9}
        for slot, value in prices.items():
            node.request("anvil_setStorageAt", [L1_BLOCK, hex(slot), f"0x{value:064x}"])
        operation = house.pay(lifecycle, 7)
        done = house.done(lifecycle, operation)
        assert (done.stage, done.failed_at, done.code) == (Stage.FAILED, Stage.SUBMITTING, "delta_breach")
        assert "of ETH of" in done.reason
        assert "are gone without an explanation" in done.reason
        assert lifecycle.response(done)["data"]["deltaGuard"]["ok"] is False
        assert kinds(house, lifecycle) == ["unexplained_loss"]
        (pause,) = lifecycle.paused()
        assert (pause.agent, pause.by) == ("ann", "delta guard")
        assert "ETH" in pause.reason
        proved(house, lifecycle, done)


# ---------------------------------------------------------------- states that are gone


@pytest.mark.usefixtures("session_anvil")
@pytest.mark.parametrize("stolen", [False, True], ids=["nothing stolen", "stolen"])
def test_back_after_the_node_has_really_dropped_its_states_the_span_is_reconciled(accounts, tmp_path, stolen):
    with (
        AnvilProcess(extra_args=["--prune-history", "3"]) as node,
        housed(node, accounts, tmp_path) as house,
    ):
        Party(house, house.account).call(house.usdc, "approve", THIEF.address, 5)
        first = house.lifecycle()
        settle(first)
        operation = house.pay(first, 7)
        first.decide()
        for _ in range(200):
            first._worker.step()
            if house.paid() == 7:
                break
            time.sleep(0.01)
        first.close()
        if stolen:
            Party(house, THIEF).call(house.usdc, "transferFrom", house.wallet, THIEF.address, 5)
        node.request("anvil_mine", ["0x28"])
        lifecycle = house.lifecycle()
        if stolen:
            breach_stops(house, lifecycle, ["outflow"])
        done = house.done(lifecycle, operation)
        assert (done.stage, done.reason) == (Stage.CONFIRMED, None)
        with lifecycle.ledger.read() as connection:
            verdict = verdicts.latest(connection, [operation.id])[operation.id]
        assert (verdict.verdict, verdict.evidence["scope"]) == ("ok", "span")
        proved(house, lifecycle, done)
        if not stolen:
            nothing_stops(house, lifecycle)


# ---------------------------------------------------------------- reorganisations


def test_a_payment_that_fails_after_a_reorganisation_because_a_thief_was_faster_is_told_anew(house):
    Party(house, house.account).call(house.usdc, "approve", THIEF.address, 5)
    lifecycle = house.lifecycle()
    settle(lifecycle)
    snapshot = int(house.chain.request("eth_blockNumber", []), 16)
    operation = house.pay(lifecycle, PURSE)
    first = house.done(lifecycle, operation)
    assert first.stage is Stage.CONFIRMED
    taking = artifacts.load("TestUSDC").call_data("transferFrom", [house.wallet, THIEF.address, 5])
    theft = Party(house, THIEF).sign(house.usdc, taking)
    ours = house.chain.request("eth_getRawTransactionByHash", [first.tx_hash])
    depth = int(house.chain.request("eth_blockNumber", []), 16) - snapshot
    house.chain.request("anvil_reorg", [depth, [["0x" + theft.hex(), 0], [ours, 0]]])
    settle(lifecycle, 6)
    done = lifecycle.find(operation.id)
    assert (done.stage, done.code) == (Stage.FAILED, "reverted")
    assert "ERC20InsufficientBalance" in done.reason
    assert [one.kind for one in lifecycle.proofs_of(operation.id)] == ["proof", "reopened", "proof"]
    proved(house, lifecycle, done)
    assert kinds(house, lifecycle) == ["outflow"]
    assert [one.agent for one in lifecycle.paused()] == [None]
