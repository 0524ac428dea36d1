"""Many views in one call: the same answers as one by one, on every kind of node."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from actp import artifacts, many_views
from actp.chain import DevAccount
from actp.errors import NoCode, Reverted, RpcError, RpcUnavailable
from actp.pool.capabilities import Capability, supports
from actp.reads import Read, read_all
from actp.rpc import Transport
from actp.testing import FaultyTransport
from tests.chain.support import deploy

SILENT = "0x60018060095f395ff300"
"""Init code of a contract that answers everything with nothing."""
BURNER = "0x60018060095f395ff3fe"
"""Init code of a contract that burns all the gas it gets: an invalid instruction."""
MUTE = "0x60038060095f395ff35f5ffd"
"""Init code of a contract that refuses everything without a reason."""
NOBODY = "0x" + "11" * 20


@pytest.fixture
def token(node: Transport, accounts: tuple[DevAccount, ...]) -> str:
    address = deploy(node, accounts[0], artifacts.load("TestUSDC").creation_code())
    data = artifacts.load("TestUSDC").call_data("mint", (accounts[1].address, 7))
    deploy_call = {"from": accounts[0].address, "to": address, "data": "0x" + data.hex()}
    node.request("eth_sendTransaction", [deploy_call])
    return address


@pytest.fixture
def asked(node: Transport) -> FaultyTransport:
    """The node with its calls counted, and known to take many views at once."""
    counting = FaultyTransport(node)
    assert supports(counting, Capability.MANY_VIEWS)
    counting.calls.clear()
    return counting


def views(token: str, account: str) -> list[Read]:
    """Words, text, and two refusals: one with a reason, one of a function that is not there."""
    return [
        Read("TestUSDC", token, "balanceOf", (account,)),
        Read("TestUSDC", token, "symbol"),
        Read("TestUSDC", token, "decimals"),
        Read("ACTPKernel", token, "kernelVersion"),
        Read("TestUSDC", token, "allowance", (account, NOBODY)),
    ]


def one_by_one(transport: Transport, reads: list[Read]) -> list[Any]:
    return [answer for read in reads for answer in read_all(transport, [read])]


def same(answer: Any) -> Any:
    return (type(answer), str(answer), answer.raw) if isinstance(answer, Reverted) else answer


def test_many_views_are_answered_as_one_by_one(
    asked: FaultyTransport, token: str, accounts: tuple[DevAccount, ...]
) -> None:
    reads = views(token, accounts[1].address)
    together = read_all(asked, reads)
    assert together[:3] == [7, "USDC", 6]
    assert isinstance(together[3], Reverted)
    assert list(map(same, together)) == list(map(same, one_by_one(asked, reads)))


def test_hundreds_of_views_are_a_few_calls_in_one_exchange(
    asked: FaultyTransport, token: str, accounts: tuple[DevAccount, ...]
) -> None:
    before = asked.exchanges
    reads = [Read("TestUSDC", token, "balanceOf", (account.address,)) for account in accounts[:10]] * 25
    assert read_all(asked, reads) == ([0, 7] + [0] * 8) * 25
    assert (asked.calls, asked.exchanges - before) == (["eth_call"] * 2, 1)


def test_answers_may_be_longer_than_an_account_s_code(asked: FaultyTransport, token: str) -> None:
    reads = [Read("TestUSDC", token, "name")] * many_views.MOST * 2
    assert len(set(read_all(asked, reads))) == 1
    assert asked.calls == ["eth_call"] * 2


def test_a_view_that_burns_its_gas_starves_no_other(
    asked: FaultyTransport, token: str, accounts: tuple[DevAccount, ...]
) -> None:
    burner = Read("TestUSDC", deploy(asked, accounts[0], BURNER), "decimals")
    asked.calls.clear()
    with pytest.raises(RpcUnavailable, match="decimals"):
        read_all(asked, [burner, burner, *[Read("TestUSDC", token, "decimals")] * 50])
    assert asked.calls == ["eth_call"] * 3, "only the burners are asked again"


def test_a_refusal_without_a_reason_is_asked_for_by_itself(
    asked: FaultyTransport, token: str, accounts: tuple[DevAccount, ...]
) -> None:
    mute = Read("TestUSDC", deploy(asked, accounts[0], MUTE), "decimals")
    asked.calls.clear()
    answers = read_all(asked, [Read("TestUSDC", token, "decimals"), mute, Read("TestUSDC", token, "symbol")])
    assert answers[::2] == [6, "USDC"]
    assert (type(answers[1]), answers[1].raw) == (Reverted, "0x")
    assert asked.calls == ["eth_call"] * 2


@pytest.mark.parametrize("silent", [True, False])
def test_an_address_without_the_contract_is_no_code(
    asked: FaultyTransport, token: str, accounts: tuple[DevAccount, ...], *, silent: bool
) -> None:
    where = deploy(asked, accounts[0], SILENT) if silent else NOBODY
    with pytest.raises(NoCode):
        read_all(asked, [*views(token, accounts[1].address), Read("TestUSDC", where, "decimals")])


def refuse_creations(real: Callable[[], Any], params: list[Any]) -> Any:
    if "to" not in params[0]:
        raise RpcError(-32602, "missing field to")
    return real()


def test_a_node_that_takes_no_call_without_a_receiver_is_asked_one_by_one_and_tried_once(
    node: Transport, token: str, accounts: tuple[DevAccount, ...]
) -> None:
    narrow = FaultyTransport(node)
    narrow.always("eth_call", refuse_creations)
    reads = views(token, accounts[1].address)
    for _ in range(2):
        assert list(map(same, read_all(narrow, reads))) == list(map(same, one_by_one(node, reads)))
    assert narrow.calls == ["eth_call"] * (1 + 2 * len(reads))


def test_a_node_that_refuses_one_call_of_many_is_asked_one_by_one(asked: FaultyTransport, token: str) -> None:
    reads = [Read("TestUSDC", token, "decimals")] * 5
    asked.always("eth_call", refuse_creations)
    assert read_all(asked, reads) == [6] * 5


def test_a_rate_limit_is_not_answered_with_more_calls(asked: FaultyTransport, token: str) -> None:
    def limit(real: Callable[[], Any], params: list[Any]) -> Any:
        raise RpcError(-32016, "over rate limit")

    asked.always("eth_call", limit)
    with pytest.raises(RpcUnavailable, match="rate limit"):
        read_all(asked, [Read("TestUSDC", token, "decimals")] * 5)
    assert asked.calls == ["eth_call"]


def test_a_block_that_the_node_does_not_have_is_no_refusal_of_a_contract(asked: FaultyTransport, token: str) -> None:
    with pytest.raises(RpcUnavailable):
        read_all(asked, [Read("TestUSDC", token, "decimals")] * 5, {"blockHash": "0x" + "77" * 32})


def test_questions_are_divided_by_number_and_by_size() -> None:
    short, long = (NOBODY, bytes(4)), (NOBODY, bytes(10_000))
    parts = [len(part) for part in many_views.chunks([short] * 250)]
    assert parts == [200, 50]
    parts = [len(part) for part in many_views.chunks([long] * 9)]
    assert parts == [3, 3, 3]
    for part in ([short] * 200, [(NOBODY, bytes(36))] * 200, [long] * 3, [(NOBODY, bytes(356))] * 75):
        assert [len(one) for one in many_views.chunks(part)] == [len(part)]
        assert len(many_views.call_data(part)) <= 49_152
