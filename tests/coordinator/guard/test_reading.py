"""What the guard asks a node for: many balances are a few calls, and each answer is in its place."""

from __future__ import annotations

from actp.rpc import Transport
from actp.testing import FaultyTransport
from coordinator.guard.reading import Reader
from coordinator.types import ETH, BlockRef
from tests.coordinator.guard.support import World

PAYEES = [f"0x{number:040x}" for number in range(1, 151)]


def newest(node: Transport) -> BlockRef:
    block = node.request("eth_getBlockByNumber", ["latest", False])
    return BlockRef(int(block["number"], 16), block["hash"])


def test_the_balances_of_hundreds_of_payees_are_a_few_calls(node: Transport, world: World) -> None:
    counting = FaultyTransport(node)
    reader, block = Reader(counting), newest(node)
    wanted = [
        (world.us.address, ETH),
        *((payee, world.token) for payee in PAYEES),
        (world.us.address, world.token),
    ]
    reader.balances([(block, wanted)])  # what the node can do is asked once
    counting.calls.clear()
    before = counting.exchanges
    first, second = reader.balances([(block, wanted), (block, list(reversed(wanted)))])
    assert first is not None
    assert first == second
    assert [len(first), *(first[payee, world.token] for payee in PAYEES)] == [len(wanted)] + [0] * len(PAYEES)
    assert first[world.us.address, world.token] > 0
    assert sorted(counting.calls) == ["eth_call"] * 2 + ["eth_getBalance"] * 2
    assert counting.exchanges - before == 1


def test_a_token_that_does_not_tell_is_left_out_and_the_others_are_told(node: Transport, world: World) -> None:
    block, nobody = newest(node), "0x" + "77" * 20
    holdings = [(world.us.address, ETH), (PAYEES[0], world.token), (PAYEES[0], nobody), (PAYEES[1], world.token)]
    (found,) = Reader(node).balances([(block, holdings)])
    assert found is not None
    assert found.keys() == {holdings[0], holdings[1], holdings[3]}


def test_a_block_whose_state_is_gone_is_told_from_tokens_that_refuse(node: Transport, world: World) -> None:
    gone = BlockRef(9, "0x" + "77" * 32)
    holdings = [(world.us.address, ETH), *((payee, world.token) for payee in PAYEES[:5])]
    found = Reader(node).balances([(gone, holdings), (newest(node), holdings)])
    assert found[0] is None
    assert found[1] is not None
