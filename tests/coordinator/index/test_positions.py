"""A lifecycle answers what its wallet has in escrow from the index, as long as that is as new as the chain."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from actp.chain import dev_accounts
from actp.engine.store import open_store
from actp.testing import FaultyTransport
from actp.units import usdc
from coordinator.index import Index
from tests.client.support import HOUR
from tests.coordinator.lifecycle.support import DAY, House

PRICE = usdc(25)


@pytest.fixture
def house(chain, deployed, accounts, tmp_path) -> Iterator[House]:
    made = House(chain, FaultyTransport(chain), deployed, accounts[1], open_store(tmp_path / "store.db"))
    yield made
    made.close()


def positions(house, lifecycle, **more):
    return lifecycle.query("query_positions", more, agent="ann").result


def funded(house, lifecycle, number):
    terms = {
        "escrowNumericId": str(number), "counterparty": dev_accounts()[2].address, "amount": str(PRICE),
        "deadlineUnixSec": house.client.now() + DAY,
    }  # fmt: skip
    return house.done(lifecycle, lifecycle.submit("create_escrow", terms, agent="ann")).transaction_id


def test_an_index_that_is_as_new_as_the_chain_answers_alone(house):
    lifecycle = house.lifecycle()
    made = funded(house, lifecycle, 1)
    without = positions(house, lifecycle)
    assert without["totals"] is None
    index = Index(lifecycle.ledger, house.client.endpoint)
    index.catch_up()
    calls = house.node.count("eth_call")
    answer = positions(house, lifecycle)
    assert house.node.count("eth_call") == calls
    assert answer["escrows"] == without["escrows"]
    assert [one["transaction_id"] for one in answer["escrows"]] == [made]
    assert answer["totals"] == {"locked": str(PRICE), "receivable": "0", "bonds": "0", "credit": "0"}
    assert answer["block"] == {"number": index.kernel.block.number, "hash": index.kernel.block.hash}


@pytest.mark.slow
def test_one_that_is_behind_only_says_which_there_are(house):
    lifecycle = house.lifecycle()
    other = house.client_of(dev_accounts()[2])
    house.client_of(dev_accounts()[4]).token.mint(PRICE, other.address)
    income = other.pay(
        provider=house.wallet, amount=PRICE, deadline=other.now() + DAY, dispute_window=HOUR
    ).transaction_id
    assert positions(house, lifecycle)["escrows"] == [], "nothing but an index tells of it"
    Index(lifecycle.ledger, house.client.endpoint).catch_up()
    assert positions(house, lifecycle)["totals"]["receivable"] == str(PRICE)
    made = funded(house, lifecycle, 1)
    answer = positions(house, lifecycle)
    assert answer["totals"] is None
    assert [one["transaction_id"] for one in answer["escrows"]] == [made, income]
