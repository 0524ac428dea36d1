"""The guard over real escrows: what others do to them on our behalf, and payments that the token refuses."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from actp.chain import DevAccount, EmbeddedChain
from actp.client import ACTPClient
from actp.deployments import Deployment
from actp.networks import Endpoint
from actp.rpc import genesis_hash
from actp.signers import LocalSigner
from actp.types import State
from coordinator.guard import DeltaGuard, Examination, Kind, Sent, Watched
from coordinator.types import AllowanceChange, Effects, Movement
from tests.client.support import FEE, HOUR, PRICE, PURSE, act, delivered, funded
from tests.coordinator.guard.support import kinds, verdicts


@dataclass
class Parties:
    """`requester` and `provider` have each a guard of their own."""

    endpoint: Endpoint
    requester: ACTPClient
    provider: ACTPClient
    stranger: ACTPClient

    def __post_init__(self) -> None:
        self.chain = self.endpoint.transport
        self.token, self.vault = self.requester.token.address, self.requester.escrow.address
        self.points = {client.address: self.guard(client).start() for client in (self.requester, self.provider)}

    def guard(self, client: ACTPClient) -> DeltaGuard:
        return DeltaGuard(self.chain, 31_337, Watched((client.address,), (self.token,), (self.vault,)))

    def look(self, client: ACTPClient, *effects: Effects) -> Examination:
        """`effects` are those of the client's eth transactions since the last look, in their order."""
        point = self.points[client.address]
        head = int(self.chain.request("eth_blockNumber", []), 16)
        mine = [
            transaction
            for number in range(point.block.number + 1, head + 1)
            for transaction in self.chain.request("eth_getBlockByNumber", [hex(number), True])["transactions"]
            if transaction["from"] == client.address.lower()
        ]
        sent = [
            Sent(index, client.address, int(one["nonce"], 16), (one["hash"],), effect)
            for index, (one, effect) in enumerate(zip(mine, effects, strict=True))
        ]
        seen = self.guard(client).advance(point, lambda: sent)
        self.points[client.address] = seen.point
        return seen

    def funding(self) -> tuple[Effects, ...]:
        """What opening a transaction and funding it does: create, approve, link."""
        ours = self.requester.address
        return (
            Effects(),
            Effects(allowances=(AllowanceChange(self.token, ours, self.vault, to=PRICE),)),
            Effects(
                (Movement(self.token, ours, self.vault, PRICE),),
                (AllowanceChange(self.token, ours, self.vault, used=PRICE),),
            ),
        )

    def payout(self, *, creditable: bool) -> Effects:
        return Effects((Movement(self.token, self.vault, self.provider.address, PRICE - FEE, creditable),))


@pytest.fixture
def parties(deployed: Deployment, chain: EmbeddedChain, accounts: tuple[DevAccount, ...]) -> Parties:
    genesis = genesis_hash(chain, chain.chain_id)
    endpoint = Endpoint(chain, chain.chain_id, genesis, deployed, chain=chain)
    clients = [ACTPClient(endpoint, LocalSigner(accounts[index].private_key)) for index in (1, 2, 3)]
    for client in clients:
        act(endpoint, 4, "TestUSDC", "mint", client.address, PURSE)
    return Parties(endpoint, *clients)


def test_a_refund_by_the_provider_is_received(parties: Parties) -> None:
    tx_id = funded(parties.requester, parties.provider)
    seen = parties.look(parties.requester, *parties.funding())
    assert (verdicts(seen), kinds(seen)) == (["ok"] * 3, [])
    parties.provider.kernel.cancel(tx_id)
    assert parties.requester.kernel.get_transaction(tx_id).state is State.CANCELLED
    seen = parties.look(parties.requester)
    assert [(one.kind, one.amount) for one in seen.findings] == [(Kind.RECEIVED, PRICE)]


def test_a_settlement_by_a_stranger_is_received(parties: Parties) -> None:
    tx_id = delivered(parties.requester, parties.provider)
    parties.chain.request("evm_increaseTime", [HOUR + 1])
    parties.chain.request("evm_mine", [])
    parties.stranger.release_escrow(tx_id)
    assert kinds(parties.look(parties.requester, *parties.funding())) == []
    seen = parties.look(parties.provider, Effects(), Effects())
    assert (verdicts(seen), [(one.kind, one.amount) for one in seen.findings]) == (
        ["ok", "ok"],
        [(Kind.RECEIVED, PRICE - FEE)],
    )


@pytest.mark.parametrize(("refused", "creditable"), [(False, True), (True, True), (True, False)])
def test_a_payment_that_the_token_refuses_may_become_a_credit(
    parties: Parties, refused: bool, creditable: bool
) -> None:
    tx_id = delivered(parties.requester, parties.provider)
    parties.look(parties.requester, *parties.funding())
    if refused:
        act(parties.endpoint, 0, "TestUSDC", "blacklist", parties.provider.address)
    parties.requester.release_escrow(tx_id)
    seen = parties.look(parties.requester, parties.payout(creditable=creditable))
    assert verdicts(seen) == ["ok" if creditable or not refused else "breach"]
    assert ("credit" in "".join(seen.verdicts[0].notes)) is (refused and creditable)


def test_the_whole_payout_without_the_fee_is_not_what_was_signed(parties: Parties) -> None:
    tx_id = delivered(parties.requester, parties.provider)
    parties.look(parties.requester, *parties.funding())
    parties.requester.release_escrow(tx_id)
    whole = Movement(parties.token, parties.vault, parties.provider.address, PRICE, creditable=True)
    seen = parties.look(parties.requester, Effects((whole,)))
    assert verdicts(seen) == ["breach"]
    assert seen.verdicts[0].variance_bps == 100
