"""One send pays at most once, whatever the node says, and what is not certain is not called "not sent"."""

import pytest

from actp.chain import EmbeddedChain
from actp.engine import Sender, connection, fees
from actp.errors import OutcomeUnknown, Reverted, RpcError, RpcUnavailable
from actp.signers import LocalSigner
from tests.engine.helpers import SEND, TOKEN, answers, balance_of, mint, nonce_of, raises, taken_but_raises

UNDERPRICED = RpcError(-32000, "transaction underpriced")
LOST = RpcUnavailable("the connection broke", outcome="unknown")
KNOWN = "eth_getTransactionByHash"


@pytest.fixture
def hasty(faulty, accounts) -> Sender:
    """A sender that gives up soon."""
    return Sender(faulty, LocalSigner(accounts[0].private_key), chain_id=31337, timeout=0.5, handover_timeout=0.5)


@pytest.mark.parametrize(
    "error",
    [
        RpcError(-32011, "no backends available for method"),
        RpcError(-32000, "EOF"),
        RpcError(-32000, "something new"),
    ],
    ids=str,
)
def test_an_error_of_a_gateway_after_the_bytes_were_taken_is_not_a_refusal(chain, faulty, sender, token, error):
    faulty.once(SEND, taken_but_raises(error))
    assert sender.send(token, mint(sender.address)).succeeded
    assert sender.send(token, mint(sender.address)).succeeded
    assert balance_of(chain, token, sender.address) == 2_000_000


@pytest.mark.parametrize("lagging", [0, 1_000], ids=["known", "hidden"])
def test_a_used_nonce_is_not_left_when_an_earlier_signature_used_it(chain, faulty, sender, token, lagging):
    """Hidden: the node that is asked for it has not heard of the first signature; only the mined block shows it."""
    faulty.once(SEND, taken_but_raises(UNDERPRICED))
    faulty.once(KNOWN, *[answers(None)] * lagging)
    before = nonce_of(chain, sender)
    signed = []
    receipt = sender.send(token, mint(sender.address), before_broadcast=signed.append)
    assert [submission.nonce for submission in signed] == [before, before]
    assert receipt.tx_hash == signed[0].tx_hash
    assert signed[1].hashes == (signed[1].tx_hash, signed[0].tx_hash)
    assert balance_of(chain, token, sender.address) == 1_000_000


def test_waiting_watches_every_signature_of_the_nonce(chain, faulty, sender, token):
    held = []
    faulty.once(SEND, lambda go_on, params: held.append(params[0]) or raises(UNDERPRICED)(go_on, params), answers("0x"))
    signed = []
    submission = sender.submit(token, mint(sender.address), before_broadcast=signed.append)
    chain.request(SEND, [held[0]])
    assert submission == signed[1]
    assert sender.wait(submission).tx_hash == signed[0].tx_hash
    assert sender.find_open(signed[0].tx_hash) is None
    assert sender.submit(token, mint(sender.address)).nonce == submission.nonce + 1


def test_what_stays_too_cheap_is_signed_a_few_times_and_its_outcome_names_all_hashes(faulty, accounts, token):
    sender = Sender(faulty, LocalSigner(accounts[0].private_key), chain_id=31337, timeout=0.3)
    faulty.always(SEND, raises(UNDERPRICED))
    signed = []
    with pytest.raises(OutcomeUnknown) as caught:
        sender.send(token, mint(sender.address), before_broadcast=signed.append)
    assert len(signed) == 5
    assert {submission.nonce for submission in signed} == {caught.value.nonce}
    assert set(caught.value.tx_hashes) == {submission.tx_hash for submission in signed}
    first, last = signed[0].fields, signed[-1].fields
    assert last.max_fee_per_gas <= fees.MAX_GROWTH * first.max_fee_per_gas
    assert sender.find_open(signed[0].tx_hash) == signed[-1]


def test_a_second_signature_needs_the_ether_for_its_fees(faulty, hasty, token):
    faulty.always(SEND, raises(UNDERPRICED))
    faulty.once("eth_getBalance", lambda go_on, params: go_on(), answers("0x1"))
    signed = []
    with pytest.raises(OutcomeUnknown) as caught:
        hasty.send(token, mint(hasty.address), before_broadcast=signed.append)
    assert caught.value.tx_hashes == (signed[0].tx_hash,)


def test_trouble_after_the_first_signature_is_not_called_not_sent(chain, faulty, hasty, token):
    faulty.once(SEND, taken_but_raises(UNDERPRICED))
    faulty.once("eth_feeHistory", lambda go_on, params: go_on(), raises(RpcUnavailable("no answer")))
    assert hasty.send(token, mint(hasty.address)).succeeded
    assert balance_of(chain, token, hasty.address) == 1_000_000


def test_a_later_refusal_does_not_take_back_what_an_earlier_signature_may_do(faulty, hasty, token):
    faulty.once(SEND, raises(UNDERPRICED), raises(RpcError(-32000, "exceeds block gas limit")), *[raises(LOST)] * 9)
    signed = []
    with pytest.raises(OutcomeUnknown) as caught:
        hasty.send(token, mint(hasty.address), before_broadcast=signed.append)
    assert caught.value.tx_hashes == (signed[1].tx_hash, signed[0].tx_hash)


@pytest.mark.parametrize("interruption", [KeyboardInterrupt(), ValueError("a transport's own mistake")], ids=repr)
def test_an_interrupted_broadcast_keeps_its_nonce(chain, faulty, sender, token, interruption):
    chain.request("evm_setAutomine", [False])
    faulty.once(SEND, taken_but_raises(interruption))
    signed = []
    with pytest.raises(type(interruption)):
        sender.submit(token, mint(sender.address, 1), before_broadcast=signed.append)
    assert sender.find_open(signed[0].tx_hash) == signed[0]
    chain.request("evm_setAutomine", [True])
    faulty.once("eth_getTransactionCount", answers(hex(signed[0].nonce)))
    second = sender.submit(token, mint(sender.address, 100))
    assert second.nonce == signed[0].nonce + 1
    assert sender.wait(second).succeeded
    assert sender.wait(signed[0]).succeeded
    assert balance_of(chain, token, sender.address) == 101


def test_a_node_without_the_block_it_counted_does_not_end_the_search(chain, faulty, sender, accounts, token):
    def overtaken(go_on, params):
        chain.request("eth_sendTransaction", [{"from": sender.address, "to": accounts[5].address, "value": "0x1"}])
        # From here on: the next question for a block is the one of the search.
        faulty.once("eth_getBlockByNumber", answers(None))
        return go_on()

    sender.submit(accounts[5].address, value=1)
    faulty.once(SEND, overtaken)
    assert sender.send(token, mint(sender.address)).succeeded
    assert balance_of(chain, token, sender.address) == 1_000_000


def test_a_mined_failure_stays_one_when_the_node_cannot_say_why(faulty, sender, token):
    call = TOKEN.call_data("transfer", [sender.address, 5])
    faulty.once("eth_call", *[raises(RpcUnavailable("no answer"))] * 2)
    with pytest.raises(Reverted, match="does not show why") as caught:
        sender.send(token, call, gas=200_000)
    assert (caught.value.outcome, caught.value.retryable) == ("reverted", False)
    assert caught.value.tx_hash is not None


@pytest.mark.slow
def test_a_restarted_chain_gets_neither_old_nonces_nor_old_payments(monkeypatch, chain, faulty, hasty, token, accounts):
    monkeypatch.setattr(connection, "RECHECK_AFTER", 0.0)
    faulty.always(SEND, raises(LOST))
    lost = hasty.submit(token, mint(hasty.address, 7))
    restarted = EmbeddedChain()
    deployer = Sender(restarted, LocalSigner(accounts[9].private_key), chain_id=31337)
    assert deployer.send(None, TOKEN.creation_code()).contract_address == token
    faulty.becomes(restarted)
    submission = hasty.submit(token, mint(hasty.address, 1))
    assert submission.nonce == 0
    assert hasty.wait(submission, timeout=5).succeeded
    with pytest.raises(OutcomeUnknown, match="another chain"):
        hasty.wait(lost, timeout=5)
    assert balance_of(restarted, token, hasty.address) == 1
