"""Thefts and lies are seen before the next signature: a thief stops the treasury, a bad payment its agent."""

from __future__ import annotations

import time

import pytest
from eth_abi import encode

from actp.testing import OpStackFees
from actp.units import keccak
from coordinator.types import Stage
from tests.coordinator.lifecycle.hostile import (
    MINTER,
    STRANGER,
    THIEF,
    Party,
    breach_stops,
    goes_on,
    kinds,
    nothing_stops,
    proved,
    settle,
    signed,
)
from tests.coordinator.lifecycle.support import PURSE, House


@pytest.fixture
def ours(house):
    """Our key, in the hands of somebody else."""
    return Party(house, house.account)


@pytest.fixture
def thief(house):
    return Party(house, THIEF)


# ---------------------------------------------------------------- what a thief does


def spends_an_allowance(house, ours, thief):
    thief.call(house.usdc, "transferFrom", house.wallet, THIEF.address, 5)


def pays_itself_tokens(house, ours, thief):
    ours.call(house.usdc, "transfer", THIEF.address, 5)


def pays_itself_ether(house, ours, thief):
    ours.pay(THIEF.address, 5)


def wastes_our_gas(house, ours, thief):
    ours.pay(house.wallet, 0)


def prepares_a_drain(house, ours, thief):
    ours.call(house.usdc, "approve", THIEF.address, PURSE)


def widens_the_vaults_allowance(house, ours, thief):
    ours.call(house.usdc, "approve", house.client.escrow.address, PURSE)


def drains(house, ours, thief):
    prepares_a_drain(house, ours, thief)
    spends_an_allowance(house, ours, thief)


def permit(house, spender):
    """A call that makes an allowance of a signature of our key, which uses up no nonce of it."""
    given = house.client_of(house.account).token.signing.permit(spender, PURSE)
    kinds_ = ("address", "address", "uint256", "uint256", "bytes")
    values = (house.wallet, spender, given.value, given.deadline, given.signature)
    return keccak(f"permit({','.join(kinds_)})".encode())[:4] + encode(kinds_, values)


def carries_a_permit_out(house, ours, thief):
    thief.send(house.usdc, permit(house, THIEF.address))


def carries_a_permit_for_the_vault_out(house, ours, thief):
    thief.send(house.usdc, permit(house, house.client.escrow.address))


def drains_by_a_permit(house, ours, thief):
    carries_a_permit_out(house, ours, thief)
    spends_an_allowance(house, ours, thief)


THEFTS = {
    spends_an_allowance: ["outflow"],
    pays_itself_tokens: ["key_used", "outflow"],
    pays_itself_ether: ["key_used"],
    wastes_our_gas: ["key_used"],
    prepares_a_drain: ["approval", "key_used"],
    widens_the_vaults_allowance: ["allowance_changed", "approval", "key_used"],
    drains: ["approval", "key_used", "outflow"],
    carries_a_permit_out: ["approval"],
    carries_a_permit_for_the_vault_out: ["allowance_changed", "approval"],
    drains_by_a_permit: ["approval", "outflow"],
}


OFTEN = (spends_an_allowance, pays_itself_ether, carries_a_permit_for_the_vault_out)
"""The others are for whoever has more time."""


@pytest.mark.parametrize(
    ("steal", "found"),
    [pytest.param(one, found, marks=() if one in OFTEN else pytest.mark.slow) for one, found in THEFTS.items()],
    ids=[one.__name__ for one in THEFTS],
)
def test_nothing_more_is_signed_once_a_thief(house, ours, thief, steal, found):
    if steal is spends_an_allowance:
        ours.call(house.usdc, "approve", THIEF.address, 5)
    lifecycle = house.lifecycle()
    settle(lifecycle)
    steal(house, ours, thief)
    breach_stops(house, lifecycle, found)
    assert lifecycle.paused() == []


def test_what_was_decided_before_a_theft_is_not_signed_after_it(house, ours):
    lifecycle = house.lifecycle()
    settle(lifecycle)
    decided = house.pay(lifecycle, 3)
    lifecycle.decide()
    assert lifecycle.find(decided.id).stage is Stage.SIGNING
    pays_itself_tokens(house, ours, None)
    before = signed(house)
    settle(lifecycle)
    assert signed(house) == before
    assert lifecycle.find(decided.id).stage is Stage.SIGNING
    goes_on(house, lifecycle, decided, None)


# ---------------------------------------------------------------- tokens that lie


def mined_unseen(house, lifecycle, amount, *, token, agent="ann"):
    """An operation that is in a block at which nobody has looked yet."""
    operation = house.pay(lifecycle, amount, token=token, agent=agent)
    lifecycle.decide()
    before = house.chain.request("eth_blockNumber", [])
    for _ in range(200):  # bytes are handed over beside the worker
        lifecycle._worker.step()
        if house.chain.request("eth_blockNumber", []) != before:
            break
        time.sleep(0.01)
    assert house.chain.request("eth_blockNumber", []) == hex(int(before, 16) + 1)
    return operation


LIARS = {
    "FeeOnTransferToken": (["effects_differ"], "-10 of"),
    "SilentExtraToken": (["effects_differ"], "+1 of"),
    "LyingToken": (["received_less"], "are gone without an explanation"),
}


def hostile_token(house, name):
    """A token that does something else than it is told, of which the treasury has a lot."""
    minter = Party(house, MINTER)
    token = minter.deploy(f"test/{name}")
    minter.call(token, "mint", house.wallet, PURSE, artifact=f"test/{name}")
    if name == "LyingToken":
        minter.call(token, "setLying", True, artifact="test/LyingToken")
    return token


@pytest.mark.slow
@pytest.mark.parametrize("name", LIARS)
def test_a_token_that_does_something_else_stops_the_agent_that_paid_in_it(house, name):
    found, words = LIARS[name]
    token = hostile_token(house, name)
    lifecycle = house.lifecycle(tokens=[token])
    settle(lifecycle)
    operation = mined_unseen(house, lifecycle, 1_000, token=token)
    breach_stops(house, lifecycle, found, agent="ann")
    done = lifecycle.find(operation.id)
    assert (done.stage, done.failed_at, done.code) == (Stage.FAILED, Stage.SUBMITTING, "delta_breach")
    assert words in done.reason
    answer = lifecycle.response(done)
    assert (answer["status"], answer["errorCode"]) == ("failed", "delta_breach")
    assert answer["data"]["reason"] == done.reason
    assert answer["data"]["deltaGuard"]["ok"] is False
    proved(house, lifecycle, done)
    assert b'"verdict":"breach"' in lifecycle.proofs_of(done.id)[-1].parts


@pytest.mark.slow
def test_an_agent_that_is_stopped_for_its_token_stops_no_other(house):
    token = hostile_token(house, "FeeOnTransferToken")
    lifecycle = house.lifecycle(tokens=[token])
    settle(lifecycle)
    mined_unseen(house, lifecycle, 1_000, token=token)
    other = house.pay(lifecycle, 2, agent="bob")
    assert house.done(lifecycle, other).stage is Stage.CONFIRMED
    assert [one.agent for one in lifecycle.paused()] == ["ann"]


# ---------------------------------------------------------------- fees that nobody tells


@pytest.fixture
def silent(chain, faulty, deployed, house):
    """A treasury on a chain that takes an L1 fee, behind a node whose receipts do not tell it."""
    faulty.show(OpStackFees(1_000, reported=False))
    return House(chain, faulty, deployed, house.account, house.store)


def test_without_the_l1_fee_an_operation_is_not_verified_and_stops_nobody(silent):
    lifecycle = silent.lifecycle()
    settle(lifecycle)
    operation = silent.pay(lifecycle, 7)
    done = silent.done(lifecycle, operation)
    assert (done.stage, done.failed_at, done.code) == (Stage.FAILED, Stage.SUBMITTING, "unverified")
    assert "all of the fees" in done.reason
    assert "It was mined" in done.reason
    assert kinds(silent, lifecycle, None) == ["incomplete"]
    answer = lifecycle.response(done)["data"]
    assert (answer["deltaGuard"]["ok"], answer["deltaGuard"]["verdict"]) == (False, "incomplete")
    assert lifecycle.paused() == []
    proved(silent, lifecycle, done)
    assert b'"verdict":"incomplete"' in lifecycle.proofs_of(done.id)[-1].parts
    next_ = silent.done(lifecycle, silent.pay(lifecycle, 7))
    assert next_.code == "unverified", "it goes on, and is as unsure"


# ---------------------------------------------------------------- gifts


def dust(house, stranger):
    stranger.pay(house.wallet, 1)
    stranger.call(house.usdc, "mint", house.wallet, 1)


@pytest.mark.slow
def test_dust_is_written_down_and_stops_nobody(house):
    stranger = Party(house, STRANGER)
    lifecycle = house.lifecycle()
    settle(lifecycle)
    for _ in range(3):
        dust(house, stranger)
        nothing_stops(house, lifecycle)
    assert set(kinds(house, lifecycle, "notice")) == {"gift", "received"}
