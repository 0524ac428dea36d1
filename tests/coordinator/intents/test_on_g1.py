"""On kernels of G1, which push their fees: what is built is sent, and the chain must show exactly its effects."""

from __future__ import annotations

from typing import Any

import pytest

from actp.chain import DevAccount, EmbeddedChain
from actp.client import ACTPClient
from actp.deployments import Deployment
from actp.errors import ActpError, UnsupportedByKernel
from actp.networks import Endpoint
from actp.rpc import genesis_hash
from actp.types import State
from actp.units import usdc
from coordinator.errors import MissingRole, WrongState
from coordinator.intents import World, build_all, parse
from coordinator.types import Movement
from tests.client.public_g1 import deploy_public_g1
from tests.client.support import DAY, FEE, HOUR, PRICE, delivered, funded, open_transaction, started, state
from tests.coordinator.intents.support import built, carry_out

LEAST = 50_000
"""The smallest fee, and the smallest escrow."""


@pytest.fixture(params=[False, True], ids=["without an archive", "with an archive"])
def endpoint(
    request: pytest.FixtureRequest, deployed: Deployment, chain: EmbeddedChain, accounts: tuple[DevAccount, ...]
) -> Endpoint:
    """A deployment of G1 instead of ours: the fixtures of the parties build on it."""
    owner = accounts[0]
    public = deploy_public_g1(
        chain, chain.chain_id, owner.private_key, str(deployed.token), owner.address, archive=request.param
    )
    return Endpoint(chain, chain.chain_id, genesis_hash(chain, chain.chain_id), public, chain=chain)


def archive_of(client: ACTPClient) -> str:
    return str(client.kernel._binding.read("archiveTreasury"))


def fees(client: ACTPClient, fee: int) -> dict[str, int]:
    """Who gets a fee."""
    archive = archive_of(client)
    if int(archive, 16) == 0:
        return {client.kernel._binding.read("feeRecipient"): fee}
    part = fee // 1_000
    return {client.kernel._binding.read("feeRecipient"): fee - part, archive: part}


def gains(movements: tuple[Movement, ...], vault: str, kernel: str) -> dict[str, int]:
    """What everybody but the vault and the kernel gets."""
    found: dict[str, int] = {}
    for each in movements:
        assert each.source == vault or (each.source == kernel and each.target != vault)
        found[each.target] = found.get(each.target, 0) + each.amount
        if each.source == kernel:
            found[kernel] -= each.amount
    assert found.pop(kernel, 0) == 0
    return found


@pytest.mark.parametrize("by", ["requester", "provider", "stranger"])
def test_a_delivery_is_settled_and_its_fee_leaves_with_the_payment(
    by: str, requester: ACTPClient, provider: ACTPClient, stranger: ACTPClient
) -> None:
    tx_id = delivered(requester, provider)
    wallet = {"requester": requester, "provider": provider, "stranger": stranger}[by]
    if by != "requester":
        with pytest.raises(MissingRole):
            built(wallet, "release_escrow", transaction_id=tx_id)
        requester.chain.time_travel(HOUR + 1)
        requester.chain.mine()
    what = carry_out(wallet, "release_escrow", transaction_id=tx_id)
    found = gains(what.effects.movements, requester.escrow.address, requester.kernel.address)
    assert found == {provider.address: PRICE - FEE, **fees(requester, FEE)}
    assert what.subject.amount == 0
    assert state(requester, tx_id) is State.SETTLED


def test_what_milestones_left_is_settled_with_the_smallest_fee(requester: ACTPClient, provider: ACTPClient) -> None:
    tx_id = started(requester, provider)
    requester.kernel.release_milestone(tx_id, PRICE - usdc(1))
    provider.kernel.deliver(tx_id)
    what = carry_out(requester, "release_escrow", transaction_id=tx_id)
    found = gains(what.effects.movements, requester.escrow.address, requester.kernel.address)
    assert found == {provider.address: usdc(1) - LEAST, **fees(requester, LEAST)}


def test_a_payout_that_is_all_fee_pays_the_provider_nothing(requester: ACTPClient, provider: ACTPClient) -> None:
    what = carry_out(requester, "release_escrow", transaction_id=delivered(requester, provider, amount=LEAST))
    found = gains(what.effects.movements, requester.escrow.address, requester.kernel.address)
    assert found == fees(requester, LEAST)


def test_an_escrow_under_an_id_of_its_own_is_found(requester: ACTPClient, provider: ACTPClient) -> None:
    tx_id = open_transaction(requester, provider)
    requester.token.approve(requester.escrow.address, PRICE)
    requester.kernel.link_escrow(tx_id, escrow_id="0x" + "e5" * 32)
    provider.kernel.start(tx_id)
    provider.kernel.deliver(tx_id)
    carry_out(requester, "release_escrow", transaction_id=tx_id)


def test_the_provider_gives_everything_back(requester: ACTPClient, provider: ACTPClient) -> None:
    for tx_id in (funded(requester, provider), started(requester, provider)):
        what = carry_out(provider, "refund_escrow", transaction_id=tx_id)
        assert [(each.target, each.amount) for each in what.effects.movements] == [(requester.address, PRICE)]


def test_the_requester_pays_a_penalty_after_the_deadline(requester: ACTPClient, provider: ACTPClient) -> None:
    tx_id = funded(requester, provider)
    with pytest.raises(WrongState) as early:
        built(requester, "refund_escrow", transaction_id=tx_id)
    assert early.value.code == "refund_not_due"
    requester.chain.time_travel(DAY + 1)
    requester.chain.mine()
    what = carry_out(requester, "refund_escrow", transaction_id=tx_id)
    found = gains(what.effects.movements, requester.escrow.address, requester.kernel.address)
    penalty, fee = usdc(5), LEAST
    assert found == {requester.address: PRICE - penalty, provider.address: penalty - fee, **fees(requester, fee)}


def test_what_was_never_funded_is_cancelled_without_money(requester: ACTPClient, provider: ACTPClient) -> None:
    tx_id = open_transaction(requester, provider)
    assert carry_out(requester, "refund_escrow", transaction_id=tx_id).effects.movements == ()
    assert state(requester, tx_id) is State.CANCELLED


def test_who_may_refund_nothing(requester: ACTPClient, provider: ACTPClient, stranger: ACTPClient) -> None:
    committed, begun = funded(requester, provider), started(requester, provider)
    requester.chain.time_travel(30 * DAY)
    requester.chain.mine()
    for wallet, tx_id in ((stranger, committed), (stranger, begun), (requester, begun)):
        with pytest.raises(MissingRole):
            built(wallet, "refund_escrow", transaction_id=tx_id)


def test_steps_in_the_wrong_state_are_refused(requester: ACTPClient, provider: ACTPClient) -> None:
    begun, ended = started(requester, provider), delivered(requester, provider)
    requester.kernel.settle(ended)
    for type, tx_id in (("release_escrow", begun), ("release_escrow", ended), ("refund_escrow", ended)):
        with pytest.raises(WrongState):
            built(requester, type, transaction_id=tx_id)


OTHERS: list[tuple[str, dict[str, Any]]] = [
    ("accept_escrow", {}),
    ("deliver_escrow", {}),
    ("dispute_escrow", {}),
    ("close_dispute", {}),
    ("release_milestone", {"amount": 1}),
    ("settle_escrow_batch", {}),
    ("withdraw_credit", {}),
    ("withdraw_fees", {}),
]


def test_everything_else_about_escrows_is_refused(requester: ACTPClient, provider: ACTPClient) -> None:
    tx_id = delivered(requester, provider)
    for type, fields in OTHERS:
        named: dict[str, Any] = {"transaction_id": tx_id}
        if type == "settle_escrow_batch":
            named = {"transaction_ids": [tx_id]}
        elif type.startswith("withdraw"):
            named = {"payee": provider.address} if type == "withdraw_credit" else {}
        with pytest.raises(UnsupportedByKernel):
            built(requester, type, **named, **fields)


def test_many_are_read_together(requester: ACTPClient, provider: ACTPClient) -> None:
    ids = [delivered(requester, provider) for _ in range(3)]
    answers = build_all([parse("release_escrow", {"transaction_id": one}) for one in ids], World(requester))
    assert not any(isinstance(each, ActpError) for each in answers)
