"""What only a jammed pool does."""

from __future__ import annotations

import pytest

from actp.engine import Sender
from actp.errors import OutcomeUnknown, RpcError
from actp.rpc import HttpTransport, Transport, chain_id
from actp.signers import LocalSigner
from actp.testing import FaultProxy, JammedPool
from tests.testing.support import GWEI, PAYEE, SEND, hash_of, paid, transfer


def test_what_is_held_is_mined_once_it_is_released(node: Transport, signer: LocalSigner) -> None:
    jammed = JammedPool(node)
    raws = [transfer(node, signer, ahead=ahead) for ahead in range(3)]
    hashes = tuple(jammed.request(SEND, [raw]) for raw in raws)
    assert (jammed.held, paid(node)) == (hashes, 0)
    assert jammed.release(1) == hashes[:1]
    assert paid(node) == 1
    assert jammed.release() == hashes[1:]
    assert (jammed.held, paid(node)) == ((), 3)


def test_what_it_forgets_can_be_sent_again(node: Transport, signer: LocalSigner) -> None:
    jammed = JammedPool(node)
    raw = transfer(node, signer)
    jammed.request(SEND, [raw])
    assert jammed.forget() == (hash_of(raw),)
    assert jammed.request("eth_getTransactionByHash", [hash_of(raw)]) is None
    jammed.jammed = False
    assert jammed.request(SEND, [raw]) == hash_of(raw)
    assert paid(node) == 1


def test_what_pays_enough_passes_and_takes_the_place_of_what_did_not(node: Transport, signer: LocalSigner) -> None:
    jammed = JammedPool(node, passing_fee=20 * GWEI)
    cheap, dear = transfer(node, signer), transfer(node, signer, fee=20 * GWEI, value=2)
    jammed.request(SEND, [cheap])
    assert paid(node) == 0
    assert jammed.request(SEND, [dear]) == hash_of(dear)
    assert (jammed.held, paid(node)) == ((), 2)


def test_a_release_survives_what_the_node_refuses_by_now(node: Transport, signer: LocalSigner) -> None:
    jammed = JammedPool(node)
    raws = [transfer(node, signer), transfer(node, signer, ahead=1)]
    for raw in raws:
        jammed.request(SEND, [raw])
    node.request(SEND, [transfer(node, signer, value=5)])
    jammed.release()
    assert paid(node) == 6


@pytest.mark.parametrize(("percent", "taken"), [(109, False), (110, True)])
def test_a_replacement_costs_a_tenth_more_as_at_geth(
    node: Transport, signer: LocalSigner, percent: int, taken: bool
) -> None:
    jammed = JammedPool(node)
    first = transfer(node, signer)
    second = transfer(node, signer, fee=10 * GWEI * percent // 100)
    jammed.request(SEND, [first])
    if taken:
        jammed.request(SEND, [second])
    else:
        with pytest.raises(RpcError, match="replacement transaction underpriced"):
            jammed.request(SEND, [second])
    assert jammed.held == (hash_of(second if taken else first),)


def test_only_type_2_is_known(node: Transport) -> None:
    with pytest.raises(RpcError, match="type not supported"):
        JammedPool(node).request(SEND, ["0xf86c"])


def test_a_sender_behind_a_jam_does_not_know_and_pays_once_when_it_clears(node: Transport, signer: LocalSigner) -> None:
    jammed = JammedPool(node)
    with FaultProxy(jammed) as proxy:
        sender = Sender(HttpTransport(proxy.url), signer, chain_id=chain_id(node), timeout=0.3)
        submission = sender.submit(PAYEE, value=7)
        with pytest.raises(OutcomeUnknown):
            sender.wait(submission)
        jammed.release()
        assert sender.wait(submission, timeout=10).succeeded
    assert paid(node) == 7
