"""A wallet that settles on a kernel of G1, one escrow at a time, and whose operations are guarded and proved alike."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from actp.chain import DevAccount, EmbeddedChain, dev_accounts
from actp.deployments import Deployment
from actp.engine.store import open_store
from actp.testing import FaultyTransport
from coordinator.types import Stage
from tests.client.public_g1 import deploy_public_g1
from tests.client.support import FEE, HOUR, PRICE, delivered, funded, started
from tests.coordinator.lifecycle.support import DAY, House
from tests.coordinator.lifecycle.test_same_block import explained, in_one_block, rich

pytestmark = pytest.mark.slow

PENALTY, LEAST = PRICE // 20, 50_000


@pytest.fixture(params=[False, True], ids=["without an archive", "with an archive"])
def house(
    request: pytest.FixtureRequest, chain: EmbeddedChain, faulty: FaultyTransport, deployed: Deployment,
    accounts: tuple[DevAccount, ...], tmp_path,
) -> Iterator[House]:  # fmt: skip
    """A treasury over a deployment of G1, whose fees go to account 9."""
    public = deploy_public_g1(
        chain, chain.chain_id, accounts[0].private_key, str(deployed.token), accounts[9].address,
        archive=request.param,
    )  # fmt: skip
    made = House(chain, faulty, public, accounts[1], open_store(tmp_path / "store.db"))
    yield made
    made.close()


def released(house, lifecycle, number):
    return lifecycle.submit("release_escrow", {"transaction_id": number}, agent="bot")


def test_what_others_are_owed_is_settled_and_its_fee_is_explained(house):
    buyer, seller = rich(house, dev_accounts()[3]), rich(house, dev_accounts()[2])
    number = delivered(buyer, seller)
    house.chain.time_travel(HOUR + 1)
    house.chain.mine()
    lifecycle = house.lifecycle()
    lifecycle.step()
    before = house.paid(house.wallet)
    done = house.done(lifecycle, released(house, lifecycle, number))
    paid = explained(house, lifecycle, done, derived_again=False)
    assert paid[buyer.escrow.address] == str(-PRICE)
    assert paid[seller.address] == str(PRICE - FEE)
    assert sum(map(int, paid.values())) == 0
    assert house.paid(dev_accounts()[9].address) + int(_archived(house, paid)) == FEE
    assert house.paid(house.wallet) == before
    again = house.done(lifecycle, released(house, lifecycle, number))
    assert (again.stage, again.failed_at, again.code) == (Stage.FAILED, Stage.SIMULATING, "wrong_state")


def _archived(house, paid) -> int:
    archive = house.client.kernel._binding.read("archiveTreasury")
    return int(paid.get(archive, "0"))


def test_a_milestone_just_before_our_refund_is_no_breach(house):
    """The wallet is the provider here, who gives back what is left."""
    buyer = rich(house, dev_accounts()[3])
    number = started(buyer, house.client_of(house.account))
    lifecycle = house.lifecycle()
    lifecycle.step()
    refund = lifecycle.submit("refund_escrow", {"transaction_id": number}, agent="bot")
    part = (bytes.fromhex(number[2:]), PRICE // 4)
    done = in_one_block(house, lifecycle, refund, dev_accounts()[3], "releaseMilestone", *part)
    left = PRICE - PRICE // 4
    assert explained(house, lifecycle, done) == {buyer.escrow.address: str(-left), buyer.address: str(left)}


def test_the_treasury_takes_back_what_nobody_began_and_pays_the_penalty(house):
    seller = rich(house, dev_accounts()[2])
    owner = house.client_of(house.account)
    before = house.paid(house.wallet)
    number = funded(owner, seller)
    house.chain.time_travel(DAY + 1)
    house.chain.mine()
    lifecycle = house.lifecycle()
    lifecycle.step()
    done = house.done(lifecycle, lifecycle.submit("refund_escrow", {"transaction_id": number}, agent="bot"))
    paid = explained(house, lifecycle, done, derived_again=False)
    assert (paid[house.wallet], paid[seller.address]) == (str(PRICE - PENALTY), str(PENALTY - LEAST))
    assert house.paid(house.wallet) == before - PENALTY
