"""What the wallet holds, and what it has in escrow, as of one block."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from actp.client import ACTPClient
from actp.networks import Endpoint
from actp.units import usdc
from coordinator.canonical import canonical
from coordinator.errors import UnsupportedProtocol
from coordinator.intents import World, parse, queries
from coordinator.types import BlockRef
from tests.client.support import NOBODY, PRICE, PURSE, act, delivered, open_transaction, started


class Known:
    """Escrows that somebody keeps a list of."""

    def __init__(self, *ids: str) -> None:
        self.ids = ids

    def transaction_ids(self, wallet: str, limit: int) -> Sequence[str]:
        return self.ids

    def indexed(self, wallet: str, newest: BlockRef, limit: int, include_ended: bool) -> None:
        return None


def test_balances_are_those_of_the_wallet_unless_another_account_is_named(
    requester: ACTPClient, stranger: ACTPClient
) -> None:
    requester.token.transfer(stranger.address, usdc(1))
    mine = queries.run(parse("query_balance", {}), World(requester), Known())
    assert mine["account"] == requester.address
    assert mine["tokens"] == {requester.token.address: str(PURSE - usdc(1))}
    assert mine["eth"] == str(requester.balances().eth)
    assert mine["credit"] == "0"
    assert mine["block"]["hash"] == requester.transport.request("eth_getBlockByNumber", ["latest", False])["hash"]
    theirs = queries.run(parse("query_balance", {"account": stranger.address}), World(requester), Known())
    assert theirs["tokens"][requester.token.address] == str(PURSE + usdc(1))
    assert canonical(mine)


def test_a_credit_is_shown(requester: ACTPClient, provider: ACTPClient, endpoint: Endpoint) -> None:
    tx_id = delivered(requester, provider)
    act(endpoint, 0, "TestUSDC", "blacklist", provider.address)
    requester.release_escrow(tx_id)
    answer = queries.run(parse("query_balance", {}), World(provider), Known())
    assert answer["credit"] == str(PRICE - usdc(1))


def test_a_contract_that_is_no_token_has_no_balance(requester: ACTPClient) -> None:
    answer = queries.run(parse("query_balance", {"tokens": [requester.kernel.address]}), World(requester), Known())
    assert answer["tokens"][requester.kernel.address] is None


@pytest.mark.slow
def test_positions_show_what_each_escrow_still_holds(requester: ACTPClient, provider: ACTPClient) -> None:
    half, done, opened = (
        started(requester, provider),
        delivered(requester, provider),
        open_transaction(requester, provider),
    )
    requester.kernel.release_milestone(half, usdc(30))
    requester.release_escrow(done)
    known = Known(half, done, opened, NOBODY, half)
    answer = queries.run(parse("query_positions", {}), World(requester), known)
    (position,) = answer["escrows"]
    assert position["transaction_id"] == half
    assert (position["state"], position["amount"], position["remaining"]) == ("IN_PROGRESS", str(PRICE), str(usdc(70)))
    assert position["provider"] == provider.address
    everything = queries.run(parse("query_positions", {"include_ended": True}), World(requester), known)
    assert [(each["transaction_id"], each["remaining"]) for each in everything["escrows"]] == [
        (half, str(usdc(70))),
        (done, "0"),
        (opened, "0"),
    ]
    first = queries.run(parse("query_positions", {"include_ended": True, "limit": 1}), World(requester), known)
    assert [each["transaction_id"] for each in first["escrows"]] == [half]
    assert canonical(everything)


def test_what_spends_is_no_question(requester: ACTPClient, stranger: ACTPClient) -> None:
    with pytest.raises(UnsupportedProtocol):
        queries.run(parse("transfer_eth", {"to": stranger.address, "amount": 1}), World(requester), Known())
