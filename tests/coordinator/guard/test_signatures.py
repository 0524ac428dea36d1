"""What others do with signatures of ours, and what they may change of what we do."""

from __future__ import annotations

from typing import Any

import pytest
from eth_abi.abi import encode

from actp.errors import RpcError, RpcUnavailable
from actp.units import keccak
from coordinator.guard import Kind, Place, Sent, Watched
from coordinator.types import AllowanceChange, Effects, Movement
from tests.coordinator.guard.support import Make, Party, Signed, World, kinds, verdicts

FOREVER = 2**255
DOMAIN = [
    {"name": "name", "type": "string"},
    {"name": "version", "type": "string"},
    {"name": "chainId", "type": "uint256"},
    {"name": "verifyingContract", "type": "address"},
]


@pytest.fixture
def world(make: Make) -> World:
    return make("TestUSDC")


def typed(world: World, name: str, **values: tuple[str, Any]) -> tuple[int, bytes, bytes]:
    data = {
        "types": {
            "EIP712Domain": DOMAIN,
            name: [{"name": field.rstrip("_"), "type": kind} for field, (kind, _) in values.items()],
        },
        "primaryType": name,
        "domain": {
            "name": "USD Coin (test)", "version": "2", "chainId": world.chain_id, "verifyingContract": world.token
        },
        "message": {field.rstrip("_"): value for field, (_, value) in values.items()},
    }  # fmt: skip
    signature = world.us.signer.sign_typed_data(data)
    return signature[64], signature[:32], signature[32:64]


def permit(world: World, party: Party, spender: str, value: int, nonce: int = 0) -> Signed:
    """Somebody's eth transaction that carries our permit."""
    signature = typed(
        world, "Permit", owner=("address", world.us.address), spender=("address", spender), value=("uint256", value),
        nonce=("uint256", nonce), deadline=("uint256", FOREVER),
    )  # fmt: skip
    return carried(
        world, party, "permit(address,address,uint256,uint256,uint8,bytes32,bytes32)",
        world.us.address, spender, value, FOREVER, *signature,
    )  # fmt: skip


def authorization(world: World, party: Party, to: str, value: int, nonce: int = 1) -> Signed:
    """Somebody's eth transaction that carries our authorization of a transfer."""
    word = nonce.to_bytes(32, "big")
    signature = typed(
        world, "TransferWithAuthorization", from_=("address", world.us.address), to=("address", to),
        value=("uint256", value), validAfter=("uint256", 0), validBefore=("uint256", FOREVER), nonce=("bytes32", word),
    )  # fmt: skip
    return carried(
        world, party,
        "transferWithAuthorization(address,address,uint256,uint256,uint256,bytes32,uint8,bytes32,bytes32)",
        world.us.address, to, value, 0, FOREVER, word, *signature,
    )  # fmt: skip


def carried(world: World, party: Party, function: str, *arguments: Any) -> Signed:
    types = function[function.index("(") + 1 : -1].split(",")
    return world.sign(party, world.token, keccak(function.encode())[:4] + encode(types, arguments))


def give_away(world: World, effects: Effects) -> Sent:
    one = Sent(len(world.sent) + 1, world.us.address, None, (), effects)
    world.sent.append(one)
    return one


def allowing(world: World, spender: str, amount: int) -> Effects:
    return Effects(allowances=(AllowanceChange(world.token, world.us.address, spender, to=amount),))


def test_a_permit_that_nobody_noted_is_a_breach(world: World) -> None:
    world.mine(permit(world, world.friend, world.vault.address, 100))
    assert kinds(world.look()) == ["allowance_changed", "approval"]


@pytest.mark.parametrize("company", [0, 1, 5])
def test_a_permit_that_we_gave_away_is_ours(world: World, company: int) -> None:
    give_away(world, allowing(world, world.vault.address, 100))
    world.mine(permit(world, world.friend, world.vault.address, 100), *(world.pay(1) for _ in range(company)))
    seen = world.look()
    assert (verdicts(seen), kinds(seen)) == (["ok"] * (company + 1), [])
    (ours,) = (one for one in seen.verdicts if one.nonce is None)
    assert ours.notes == ("Somebody else carried it out.",)


def test_a_permit_for_another_amount_is_not_the_one_that_we_gave_away(world: World) -> None:
    give_away(world, allowing(world, world.vault.address, 100))
    world.mine(permit(world, world.friend, world.vault.address, 101))
    assert kinds(world.look()) == ["allowance_changed", "approval"]


def test_a_signature_is_used_once(world: World) -> None:
    give_away(world, world.moving(7))
    world.mine(
        authorization(world, world.friend, world.payee.address, 7),
        authorization(world, world.thief, world.payee.address, 7, nonce=2),
    )
    seen = world.look()
    assert (verdicts(seen), kinds(seen)) == (["ok"], ["outflow"])


def test_an_authorization_for_somebody_else_is_a_breach(world: World) -> None:
    give_away(world, world.moving(7))
    world.mine(authorization(world, world.friend, world.thief.address, 7))
    seen = world.look()
    assert (verdicts(seen), kinds(seen)) == ([], ["outflow"])


def test_an_allowance_used_as_signed(world: World) -> None:
    world.mine(world.approve(world.vault.address, 100))
    give_away(
        world,
        Effects(
            (Movement(world.token, world.us.address, world.vault.address, 40),),
            (AllowanceChange(world.token, world.us.address, world.vault.address, used=40),),
        ),
    )
    world.mine(world.call(world.vault, "transferFrom", world.us.address, world.vault.address, 40))
    seen = world.look()
    assert (verdicts(seen), kinds(seen)) == (["ok", "ok"], [])
    world.mine(world.approve(world.vault.address, 0))
    assert kinds(world.look()) == []


def test_what_others_changed_before_is_derived_again(world: World) -> None:
    asked: list[Place] = []

    def smaller(place: Place) -> Effects:
        asked.append(place)
        return world.moving(6)

    for answer in (smaller, lambda place: world.moving(5)):
        signed = world.call(world.us, "transfer", world.payee.address, 6)
        world.note(signed, effects=world.moving(10), rederive=answer)
        world.mine(world.call(world.thief, "transfer", world.friend.address, 1, tip=9), signed)
    seen = world.look()
    assert verdicts(seen) == ["ok", "breach"]
    assert "derived again" in seen.verdicts[0].notes[0]
    assert seen.verdicts[0].expected["deltas"][world.token][world.us.address] == "-6"
    place = asked[0]
    assert (place.block, place.index, place.parent.number) == (seen.verdicts[0].block, 1, place.block.number - 1)
    assert world.node.request("eth_getBlockByNumber", [hex(place.parent.number), False])["hash"] == place.parent.hash


@pytest.mark.parametrize("error", [RpcError(-32000, "header not found"), RpcUnavailable("Nobody answers.")])
@pytest.mark.parametrize("lost", [True, False])
def test_who_cannot_derive_again_is_not_believed(world: World, error: Exception, lost: bool) -> None:
    def fails(place: Place) -> Effects:
        raise error

    world.watched = world.watched if lost else Watched((world.us.address,), (), ())
    signed = world.call(world.us, "transfer", world.payee.address, 6 if lost else 0)
    moving = world.moving(4) if lost else Effects((Movement(world.token, world.thief.address, world.payee.address, 4),))
    world.note(signed, effects=moving, rederive=fails)
    world.mine(signed)
    if isinstance(error, RpcUnavailable):
        with pytest.raises(RpcUnavailable):
            world.look()
    else:
        assert verdicts(world.look()) == ["breach" if lost else "incomplete"]


def test_effects_that_are_derived_again_may_pay_somebody_else(world: World) -> None:
    signed = world.call(world.us, "transfer", world.friend.address, 6)
    world.note(signed, effects=world.moving(6), rederive=lambda place: world.moving(6, to=world.friend.address))
    world.mine(signed)
    assert verdicts(world.look()) == ["ok"]


@pytest.mark.parametrize("terms", [3, 4, 5, None, "gone"])
def test_what_a_spender_pays_us_for_somebody_else_is_compared_with_its_terms(
    world: World, terms: int | str | None
) -> None:
    asked: list[Place] = []

    def due(place: Place) -> Effects | None:
        asked.append(place)
        if terms == "gone":
            raise RpcError(-32000, "header not found")
        if terms is None:
            return None
        return Effects((Movement(world.token, world.vault.address, world.us.address, int(terms)),))

    world.mine(world.call(world.deployer, "mint", world.vault.address, 10))
    world.mine(world.call(world.thief, "transfer", world.us.address, 1))
    assert (kinds(world.look(due=due)), asked) == (["received"], []), "whoever is no spender has no terms to keep"
    world.mine(world.call(world.vault, "transfer", world.us.address, 4))
    seen = world.look(due=due)
    more = {5: ["terms_differ"], "gone": ["incomplete"]}.get(terms or 0, [])
    assert kinds(seen) == sorted(["received", *more])
    assert [(one.kind, one.amount) for one in seen.breached] == ([(Kind.TERMS_DIFFER, 1)] if terms == 5 else [])
    assert (asked[0].block, asked[0].index, asked[0].parent.number) == (
        seen.point.block,
        0,
        seen.point.block.number - 1,
    )


def test_what_is_watched_later_is_compared_from_then_on(world: World) -> None:
    everything = world.watched
    world.watched = Watched((world.us.address,))
    world.point = world.guard().start()
    world.mine(world.pay(3))
    assert verdicts(world.look()) == ["ok"]  # of a token that is touched, though nobody watches it
    world.watched = everything
    world.mine(world.call(world.friend, "transfer", world.us.address, 1), world.approve(world.vault.address, 5))
    seen = world.look()
    assert (verdicts(seen), kinds(seen)) == (["ok"], ["received"])
    assert (world.us.address, world.token) in seen.point.state.balances
    world.mine(world.call(world.vault, "transferFrom", world.us.address, world.vault.address, 2))
    assert Kind.OUTFLOW in {one.kind for one in world.look().breached}
