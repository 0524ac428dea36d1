"""What only anvil can do: delegations, fees taken in silence, states that are really gone, reorganisations."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from eth_account import Account

from actp.chain import AnvilProcess
from coordinator.guard import Kind, Scope
from coordinator.types import ETH
from tests.coordinator.guard.support import Signed, World, kinds, verdicts

pytestmark = pytest.mark.anvil

L1_BLOCK = "0x4200000000000000000000000000000000000015"
"""The predeploy of the OP stack from which nodes take the prices of L1."""


@pytest.fixture
def node(anvil: AnvilProcess) -> Iterator[AnvilProcess]:
    yield anvil
    anvil.request("evm_setAutomine", [True])


def delegation(world: World, to: str) -> Signed:
    """A stranger's eth transaction that carries our authorization of a delegation."""
    us = Account.from_key(world.us.account.private_key)
    signed = us.sign_authorization({"chainId": world.chain_id, "address": to, "nonce": world.us.nonce})
    world.us.nonce += 1
    thief = Account.from_key(world.thief.account.private_key)
    fields: dict[str, Any] = {
        "chainId": world.chain_id, "nonce": world.thief.nonce, "to": world.thief.address, "value": 0, "gas": 200_000,
        "maxFeePerGas": 10**11, "maxPriorityFeePerGas": 10**9, "data": "0x", "accessList": [],
        "authorizationList": [signed],
    }  # fmt: skip
    world.thief.nonce += 1
    return Signed(bytes(thief.sign_transaction(fields).raw_transaction))


def test_a_delegation_of_our_account_is_a_breach(world: World) -> None:
    world.mine(delegation(world, world.token), world.call(world.friend, "transfer", world.us.address, 1))
    seen = world.look()
    assert kinds(seen) == ["code_changed", "key_used", "received"]
    changed = next(one for one in seen.findings if one.kind is Kind.CODE_CHANGED)
    assert world.token[2:].lower() in changed.message
    assert world.point.state.codes[world.us.address] == "0xef0100" + world.token[2:].lower()


def test_a_delegation_that_is_taken_back_at_once_is_a_breach(world: World) -> None:
    world.mine(delegation(world, world.token))
    world.mine(delegation(world, "0x" + "00" * 20))
    assert kinds(world.look()) == ["key_used", "key_used"]


@pytest.mark.usefixtures("session_anvil")
def test_a_fee_that_no_receipt_shows_is_a_breach(accounts) -> None:  # type: ignore[no-untyped-def]
    with AnvilProcess(chain_id=84_532, extra_args=["--network", "optimism"]) as anvil:
        world = World(anvil, accounts)
        world.mine(world.pay(1))
        assert (verdicts(world.look()), kinds(world.look())) == (["ok"], [])
        prices = {1: 10**9, 3: (1_368 << 96) + (810_949 << 64), 7: 10**9}
        for slot, value in prices.items():
            anvil.request("anvil_setStorageAt", [L1_BLOCK, hex(slot), f"0x{value:064x}"])
        world.mine(world.pay(1), world.pay(2))
        seen = world.look()
        assert (verdicts(seen), kinds(seen)) == (["breach", "breach"], ["unexplained_loss"])
        assert seen.findings[0].asset == ETH


@pytest.mark.usefixtures("session_anvil")
def test_a_node_that_really_drops_its_states(accounts) -> None:  # type: ignore[no-untyped-def]
    with AnvilProcess(extra_args=["--prune-history", "3"]) as anvil:
        world = World(anvil, accounts)
        world.mine(world.pay(10))
        world.empty(30)
        world.mine(world.call(world.friend, "transfer", world.us.address, 3))
        world.empty(30)
        seen = world.look()
        assert (verdicts(seen), kinds(seen)) == (["ok"], ["received"])
        assert seen.verdicts[0].scope is Scope.SPAN


def test_a_reorganisation_turns_a_verdict(world: World) -> None:
    """What succeeded in one block reverts in the one that replaces it, because a stranger was faster."""
    older = world.point
    world.mine(world.approve(world.vault.address, 50))
    approved = world.look().point
    payment = world.call(world.us, "transfer", world.payee.address, 10**12)
    world.note(payment, effects=world.moving(10**12))
    world.mine(payment)
    seen = world.look()
    assert [(one.verdict.value, one.succeeded) for one in seen.verdicts] == [("ok", True)]

    stolen = world.call(world.vault, "transferFrom", world.us.address, world.vault.address, 30)
    world.node.request("anvil_reorg", [1, [["0x" + stolen.raw.hex(), 0], ["0x" + payment.raw.hex(), 0]]])
    assert world.look().reorged
    assert world.look(approved).reorged is False
    again = world.look(older)
    assert [(one.verdict.value, one.succeeded) for one in again.verdicts] == [("ok", True), ("ok", False)]
    assert {one.value for one in (finding.kind for finding in again.breached)} == {"outflow", "allowance_changed"}
