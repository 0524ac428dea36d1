"""What the guard says on a real chain: nothing where nothing is wrong, and everything where something is."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from actp.testing import FaultyTransport
from coordinator.canonical import canonical
from coordinator.guard import Finding, Kind, Point, Scope, Sent, TxVerdict
from coordinator.types import ETH, Effects, Movement
from tests.coordinator.guard.support import Make, World, kinds, verdicts


def test_honest_payments_are_ok(world: World) -> None:
    world.mine(world.pay(100), world.pay_ether(7))
    world.empty(3)
    world.mine(world.approve(world.vault.address, 50))
    seen = world.look()
    assert verdicts(seen) == ["ok"] * 3
    assert kinds(seen) == []
    assert seen.verdicts[0].expected["deltas"][world.token][world.us.address] == "-100"
    assert seen.verdicts[0].balances["deltas"][world.token] == {
        world.us.address: "-100",
        world.payee.address: "100",
    }
    assert all(one.scope is Scope.BLOCK and one.variance_bps == 0 for one in seen.verdicts)
    assert kinds(world.look()) == []


def test_an_attackers_transfer_from_is_a_breach(world: World) -> None:
    world.mine(world.approve(world.vault.address, 50))
    assert world.look().breached == ()
    stolen = world.call(world.vault, "transferFrom", world.us.address, world.vault.address, 30)
    world.mine(stolen)
    seen = world.look()
    assert kinds(seen) == ["allowance_changed", "outflow"]
    outflow = next(one for one in seen.findings if one.kind is Kind.OUTFLOW)
    assert (outflow.account, outflow.asset, outflow.amount) == (world.us.address, world.token, 30)
    assert outflow.tx_hash == stolen.hash


def test_two_of_ours_and_a_strangers_in_one_block(world: World) -> None:
    world.mine(world.approve(world.vault.address, 500))
    world.look()
    stolen = world.call(world.vault, "transferFrom", world.us.address, world.vault.address, 30)
    world.mine(world.pay(10), world.pay(20), stolen)
    seen = world.look()
    assert verdicts(seen) == ["ok", "ok"]
    assert kinds(seen) == ["allowance_changed", "outflow"]
    assert seen.findings[0].tx_hash == stolen.hash


def test_many_of_ours_in_a_block_are_read_by_its_receipts(world: World) -> None:
    faulty = world.transport = FaultyTransport(world.node)
    world.mine(
        *(world.pay(amount) for amount in range(1, 9)),
        world.pay_ether(3),
        world.call(world.friend, "transfer", world.us.address, 5),
    )
    seen = world.look()
    assert verdicts(seen) == ["ok"] * 9
    assert kinds(seen) == ["received"]
    assert faulty.count("eth_getTransactionReceipt") == 0
    assert faulty.count("eth_getBlockReceipts") == 2  # one to see whether the node can


def test_ether_that_signed_bytes_tell_of_is_not_asked_for(world: World) -> None:
    faulty = world.transport = FaultyTransport(world.node)
    world.mine(*(world.pay_ether(amount, carried=True) for amount in range(1, 9)))
    seen = world.look()
    assert (verdicts(seen), kinds(seen)) == (["ok"] * 8, [])
    assert faulty.count("eth_getBlockByHash") == 0
    world.mine(
        *(world.pay_ether(amount, carried=True) for amount in range(1, 9)),
        world.sign(world.friend, world.us.address, value=5),
    )
    seen = world.look()
    assert (verdicts(seen), kinds(seen)) == (["ok"] * 8, ["received"]), "strangers' bytes are not at hand"
    assert (seen.findings[0].asset, seen.findings[0].amount) == (ETH, 5)


def test_ether_that_was_signed_and_not_decided_is_a_breach(world: World) -> None:
    less = Effects((Movement(ETH, world.us.address, world.payee.address, 2),))
    others = [world.pay_ether(1, carried=True) for _ in range(8)]
    paid = world.sign(world.us, world.payee.address, value=3)
    world.note(paid, effects=less, values={paid.hash: 3})
    world.mine(*others, paid)
    seen = world.look()
    assert verdicts(seen) == ["ok"] * 8 + ["breach"]
    assert seen.verdicts[-1].receipt["deltas"][ETH][world.us.address] == "-3"


@pytest.mark.parametrize("winner", [0, 1])
def test_either_attempt_of_a_nonce_may_be_the_mined_one(world: World, winner: int) -> None:
    attempts = [world.call(world.us, "transfer", world.payee.address, 9)]
    attempts.append(world.call(world.us, "transfer", world.payee.address, 9, nonce=world.us.nonce - 1, tip=2))
    world.note(*attempts, effects=world.moving(9))
    world.mine(attempts[winner])
    seen = world.look()
    assert verdicts(seen) == ["ok"]
    assert seen.verdicts[0].tx_hash == attempts[winner].hash


def test_a_revert_costs_its_fee_and_nothing_else(world: World) -> None:
    world.mine(world.pay(10**15))
    seen = world.look()
    assert (verdicts(seen), kinds(seen)) == (["ok"], [])
    assert not seen.verdicts[0].succeeded
    assert seen.verdicts[0].receipt["deltas"] == {}
    fee = int(seen.verdicts[0].receipt["fee"])
    assert seen.verdicts[0].balances["deltas"][ETH][world.us.address] == str(-fee)


def test_dust_is_recorded_and_blocks_nothing(world: World) -> None:
    dust = (
        world.call(world.friend, "transfer", world.us.address, 1),
        world.sign(world.friend, world.us.address, value=1),
    )
    world.mine(*dust, world.pay(10))
    seen = world.look()
    assert (verdicts(seen), kinds(seen), seen.breached) == (["ok"], ["received", "received"], ())
    assert sorted((one.asset, one.amount) for one in seen.findings) == sorted([(ETH, 1), (world.token, 1)])
    world.mine(world.call(world.friend, "transfer", world.us.address, 1))
    assert kinds(world.look()) == ["received"]


def test_ether_out_of_a_contract_is_a_gift(world: World) -> None:
    # A constructor that calls us with all that it got: four zeros, callvalue, our address, gas, call, stop.
    world.deploy(bytes.fromhex("5f5f5f5f3473" + world.us.address[2:] + "5af100"), value=5)
    gift = world.look()
    assert kinds(gift) == ["gift"]
    assert gift.findings[0].amount == 5


def test_anybody_can_make_a_token_say_that_nothing_left_us(world: World) -> None:
    world.mine(world.call(world.thief, "transferFrom", world.us.address, world.thief.address, 0), world.pay(4))
    seen = world.look()
    assert (verdicts(seen), kinds(seen)) == (["ok"], [])


def test_to_ourselves(world: World) -> None:
    world.mine(world.pay(5, to=world.us.address), world.pay_ether(6, to=world.us.address))
    seen = world.look()
    assert (verdicts(seen), kinds(seen)) == (["ok", "ok"], [])


@pytest.mark.parametrize("alone", [True, False])
@pytest.mark.parametrize("ether", [True, False])
def test_our_key_used_outside_the_engine_is_a_breach(world: World, alone: bool, ether: bool) -> None:
    ours = [] if alone else [world.pay(10)]
    if ether:
        foreign = world.sign(world.us, world.thief.address, value=1000)
    else:
        foreign = world.call(world.us, "transfer", world.thief.address, 1000)
    world.mine(*ours, foreign)
    seen = world.look()
    assert "key_used" in kinds(seen)
    assert verdicts(seen) == ["ok"] * len(ours)  # what we signed is not to blame
    assert "unexplained_loss" not in kinds(seen)
    used = next(one for one in seen.findings if one.kind is Kind.KEY_USED)
    assert (used.account, used.tx_hash) == (world.us.address, foreign.hash)


def test_a_foreign_signature_with_a_nonce_of_ours_is_a_breach(world: World) -> None:
    world.pay(10)
    foreign = world.call(world.us, "transfer", world.thief.address, 1000, nonce=world.us.nonce - 1)
    world.mine(foreign)
    seen = world.look()
    assert verdicts(seen) == []
    assert set(kinds(seen)) == {"key_used", "outflow"}


def test_an_approval_drain_is_a_breach_before_anything_is_drained(world: World) -> None:
    world.mine(world.call(world.us, "approve", world.thief.address, 2**256 - 1))
    assert set(kinds(world.look())) == {"key_used", "approval"}


def test_an_approval_other_than_signed_is_a_breach(world: World) -> None:
    signed = world.call(world.us, "approve", world.thief.address, 70)
    world.note(signed, effects=world.moving(0))
    world.mine(signed)
    seen = world.look()
    assert (verdicts(seen), kinds(seen)) == (["breach"], ["approval"])


def test_tokens_to_somebody_else_than_signed_are_a_breach(world: World) -> None:
    world.mine(world.pay(10, to=world.thief.address, effects=world.moving(10)))
    seen = world.look()
    assert verdicts(seen) == ["breach"]
    assert set(kinds(seen)) == {"effects_differ"}
    assert seen.verdicts[0].variance_bps == 10_000


def test_more_ether_than_signed_is_a_breach(world: World) -> None:
    signed = world.sign(world.us, world.payee.address, value=12)
    world.note(signed, effects=Effects((Movement(ETH, world.us.address, world.payee.address, 10),)))
    world.mine(signed)
    seen = world.look()
    assert (verdicts(seen), kinds(seen)) == (["breach"], ["effects_differ", "effects_differ"])


@pytest.mark.parametrize("many", [1, 5])
def test_a_token_with_a_hidden_fee_is_a_breach(make: Make, many: int) -> None:
    world = make("test/FeeOnTransferToken")
    world.mine(*(world.pay(1_000) for _ in range(many)))
    seen = world.look()
    assert verdicts(seen) == ["breach"] * many
    assert set(kinds(seen)) == {"effects_differ"}


def test_a_token_that_gives_more_than_it_takes(make: Make) -> None:
    """More for us is a gift; more for others is not what was signed."""
    world = make("test/SilentExtraToken")
    world.mine(world.pay(1_000, to=world.us.address))
    seen = world.look()
    assert (verdicts(seen), kinds(seen)) == (["ok"], ["gift"])
    world.mine(world.pay(1_000))
    seen = world.look()
    assert (verdicts(seen), kinds(seen)) == (["breach"], ["effects_differ"])


def test_a_token_whose_transfers_are_lies_is_a_breach(make: Make) -> None:
    world = make("test/LyingToken")
    world.mine(world.call(world.deployer, "setLying", True))
    world.look()
    world.mine(world.pay(1_000))
    seen = world.look()
    assert (verdicts(seen), kinds(seen)) == (["breach"], ["gift", "received_less"])


def test_what_is_mined_while_we_look_waits_for_the_next_look(world: World) -> None:
    """The engine notes before it sends; the guard asks for the notes after it has chosen the newest block."""
    world.mine(world.pay(1))
    late: list[str] = []

    def sent() -> list[Sent]:
        notes = list(world.sent)
        if not late:
            late.append(world.mine(world.pay(2), world.call(world.friend, "transfer", world.us.address, 1)))
        return notes

    seen = world.guard().advance(world.point, sent)
    assert (verdicts(seen), kinds(seen)) == (["ok"], [])
    world.point = seen.point
    again = world.look()
    assert (verdicts(again), kinds(again)) == (["ok"], ["received"])


def test_blocks_that_come_between_two_reads_change_nothing(world: World) -> None:
    faulty = world.transport = FaultyTransport(world.node)
    world.look()
    world.mine(world.pay(1), world.pay(2))
    world.empty(2)

    def busy(forward, params):  # type: ignore[no-untyped-def]
        world.mine(world.call(world.friend, "transfer", world.us.address, 1))
        return forward()

    for method in ("eth_getBalance", "eth_getTransactionCount", "eth_getLogs", "eth_getCode"):
        faulty.once(method, busy, busy)
    seen = world.look()
    assert (verdicts(seen), kinds(seen)) == (["ok", "ok"], [])
    faulty.clear()
    assert kinds(world.look()) == ["received"]


def test_contracts_of_ours_may_create_contracts(world: World) -> None:
    """A runtime that creates an empty contract whenever it is called; the nonces of contracts count that."""
    creator = world.deploy(bytes.fromhex("645f5f5ff0005f526005601bf3"))
    world.watched = replace(world.watched, accounts=(world.us.address, creator))
    world.point = world.guard().start()
    world.mine(world.sign(world.friend, creator), world.pay(1))
    assert int(world.node.request("eth_getTransactionCount", [creator, "latest"]), 16) == 2
    seen = world.look()
    assert (verdicts(seen), kinds(seen)) == (["ok"], [])


def test_everything_survives_its_way_through_canonical_json(world: World) -> None:
    world.mine(world.pay(1), world.pay(2, effects=world.moving(10**30)), world.approve(world.vault.address, 2**256 - 1))
    seen = world.look()
    assert len(seen.breached) == 2
    assert Point.from_json(again(seen.point.as_json())) == seen.point
    assert [TxVerdict.from_json(again(one.as_json())) for one in seen.verdicts] == list(seen.verdicts)
    assert [Finding.from_json(again(one.as_json())) for one in seen.findings] == list(seen.findings)


def again(value: Any) -> Any:
    return json.loads(canonical(value))
