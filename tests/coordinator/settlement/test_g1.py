"""Kernels that have only the functions of G1: settled one by one, beside ours or alone."""

from __future__ import annotations

import pytest

from actp.client import ACTPClient
from actp.engine.fees import FeePolicy
from actp.networks import Endpoint
from actp.signers import LocalSigner
from actp.types import State
from actp.units import usdc
from coordinator.index import Index
from coordinator.lifecycle import Lifecycle
from coordinator.settlement import EVERYONE, Served, SettlementBot, SettlementSettings
from coordinator.store.index_words import ActionState
from coordinator.types import IntentType, Stage
from tests.client.public_g1 import deploy_public_g1
from tests.client.support import DAY, HOUR, PRICE, delivered, funded
from tests.coordinator.lifecycle.support import HASTY
from tests.coordinator.settlement.support import BOT, Town


class Old:
    """A kernel of G1 beside ours, with a token of its own kind: the same."""

    def __init__(self, town: Town) -> None:
        self.town = town
        owner = town.accounts[0]
        chain = town.chain
        self.deployed = deploy_public_g1(
            chain, chain.chain_id, owner.private_key, str(town.deployed.token), owner.address, archive=False
        )
        self.endpoint = Endpoint(chain, chain.chain_id, town.genesis, self.deployed, chain=chain)
        self.requester = self.client(1)
        self.provider = self.client(2)
        self.other = self.client(3)

    def client(self, account: int) -> ACTPClient:
        return ACTPClient(self.endpoint, LocalSigner(self.town.accounts[account].private_key))

    def bot(self, *clients: ACTPClient) -> SettlementBot:
        """A bot over the town's store that serves these."""
        town = self.town
        lifecycle = Lifecycle(
            clients[0], store=town.store, engine_policy=HASTY, fee_policy=FeePolicy(), others=clients[1:]
        )
        served = [Served(one, Index(lifecycle.ledger, one)) for one in clients]
        return SettlementBot(
            lifecycle, served, SettlementSettings(whom=EVERYONE), fee_policy=FeePolicy(), every=0.0,
            on_pass=town.passes.append,
        )  # fmt: skip


@pytest.fixture
def old(town: Town) -> Old:
    return Old(town)


@pytest.mark.slow
def test_a_kernel_with_the_functions_of_g1_only_is_settled_one_by_one(old: Old) -> None:
    ids = [delivered(old.requester, old.provider) for _ in range(2)]
    open_one = delivered(old.requester, old.provider, dispute_window=3 * HOUR)
    before = old.provider.token.balance_of()
    old.town.later(HOUR + 10)
    assert old.bot(old.client(BOT)).wait()
    states = [old.provider.kernel.get_transaction(one).state for one in [*ids, open_one]]
    assert states == [State.SETTLED, State.SETTLED, State.DELIVERED]
    assert old.provider.token.balance_of() - before == 2 * (PRICE - usdc(1))
    assert [(one.type, one.stage) for one in old.town.operations()] == [
        (IntentType.RELEASE_ESCROW, Stage.CONFIRMED)
    ] * 2
    assert old.town.breaches() == []


@pytest.mark.slow
@pytest.mark.parametrize("first", ["ours", "theirs"])
def test_one_bot_serves_several_kernels_with_one_key(old: Old, first: str) -> None:
    town = old.town
    ours = town.delivered(2)
    theirs = delivered(old.requester, old.provider)
    town.later(HOUR + 10)
    clients = [town.client(BOT), old.client(BOT)]
    assert old.bot(*(clients if first == "ours" else clients[::-1])).wait()
    assert town.states(ours) == [State.SETTLED] * 2
    assert old.provider.kernel.get_transaction(theirs).state is State.SETTLED
    assert {one.stage for one in town.operations()} == {Stage.CONFIRMED}
    assert {one.intent["kernel"] for one in town.operations()} == {one.kernel.address for one in clients}
    assert town.breaches() == []


@pytest.mark.slow
def test_a_payee_whom_the_token_refuses_there_is_reported_and_does_not_hold_up_the_others(old: Old) -> None:
    town = old.town
    bad = delivered(old.requester, old.provider)
    good = delivered(old.requester, old.other)
    town.act("TestUSDC", "blacklist", old.provider.address)
    town.later(HOUR + 10)
    assert old.bot(old.client(BOT)).wait()
    assert old.provider.kernel.get_transaction(good).state is State.SETTLED
    row = town.actions()["settle", bad]
    assert (row.state, row.attempts) == (ActionState.FAILED, 1)
    assert row.code
    (alert,) = town.alerts()
    assert bad in alert.body


@pytest.mark.slow
def test_an_intent_for_a_kernel_that_is_not_served_here_fails_by_name(old: Old) -> None:
    town = old.town
    lifecycle = Lifecycle(town.client(BOT), store=town.store, engine_policy=HASTY, fee_policy=FeePolicy())
    one = delivered(old.requester, old.provider)
    fields = {"transaction_id": one, "kernel": old.requester.kernel.address}
    operation = lifecycle.wait(lifecycle.submit("release_escrow", fields, agent="ann").id)
    assert (operation.stage, operation.code) == (Stage.FAILED, "other_kernel")


@pytest.mark.slow
def test_nothing_is_due_there_that_only_our_kernels_allow(old: Old) -> None:
    funded(old.requester, old.provider)
    old.town.later(60 * DAY)
    assert old.bot(old.client(BOT)).wait()
    assert old.town.count_operations() == 0
