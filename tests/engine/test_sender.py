import pytest

from actp.engine import Sender
from actp.errors import (
    InsufficientFunds,
    OutcomeUnknown,
    Reverted,
    RpcError,
    RpcUnavailable,
    SendError,
    WrongChain,
)
from actp.signers import LocalSigner
from tests.engine.helpers import PAYEE, SEND, TOKEN, balance_of, mint, nonce_of, raises, taken_but_raises


def test_a_send_returns_the_mined_receipt(chain, sender, token):
    receipt = sender.send(token, mint(sender.address))
    assert receipt.succeeded
    assert (receipt.sender, receipt.to, receipt.contract_address) == (sender.address, token, None)
    assert receipt.logs[0].address == token
    assert receipt.gas_used > 21_000
    assert receipt.effective_gas_price > 0
    assert balance_of(chain, token, sender.address) == 1_000_000


def test_value_is_sent(chain, sender, accounts):
    before = int(chain.request("eth_getBalance", [accounts[5].address, "latest"]), 16)
    sender.send(accounts[5].address, value=7)
    assert int(chain.request("eth_getBalance", [accounts[5].address, "latest"]), 16) == before + 7


def test_a_call_known_to_revert_is_not_sent_and_burns_no_nonce(chain, faulty, sender, token):
    before = nonce_of(chain, sender)
    with pytest.raises(Reverted) as caught:
        sender.send(token, TOKEN.call_data("transfer", [PAYEE, 5]))
    assert caught.value.name == "ERC20InsufficientBalance"
    assert caught.value.arguments == {"sender": sender.address, "balance": 0, "needed": 5}
    assert caught.value.outcome == "not_sent"
    assert faulty.count(SEND) == 0
    assert nonce_of(chain, sender) == before


def test_a_mined_failure_carries_the_contracts_reason_and_its_hash(chain, sender, token):
    before = nonce_of(chain, sender)
    with pytest.raises(Reverted) as caught:
        sender.send(token, TOKEN.call_data("transfer", [PAYEE, 5]), gas=200_000)
    assert caught.value.name == "ERC20InsufficientBalance"
    assert caught.value.outcome == "reverted"
    assert chain.request("eth_getTransactionReceipt", [caught.value.tx_hash])["status"] == "0x0"
    assert nonce_of(chain, sender) == before + 1


def test_too_little_gas_is_named(sender, token):
    with pytest.raises(Reverted, match="OutOfGas: gas=30000") as caught:
        sender.send(token, mint(sender.address), gas=30_000)
    assert caught.value.outcome == "reverted"


def test_an_account_without_ether_is_told_what_it_needs(chain, faulty, token):
    poor = Sender(faulty, LocalSigner("0x" + "77" * 32), chain_id=31337)
    with pytest.raises(InsufficientFunds) as caught:
        poor.send(token, mint(poor.address))
    assert caught.value.account == poor.address
    assert caught.value.has == 0
    assert caught.value.needs > 21_000
    assert poor.address in str(caught.value)
    assert faulty.count(SEND) == 0


def test_more_ether_than_the_account_has_is_not_sent(faulty, sender, accounts):
    with pytest.raises(InsufficientFunds) as caught:
        sender.send(accounts[5].address, value=10**30)
    assert caught.value.needs > 10**30 > caught.value.has
    assert faulty.count(SEND) == 0


def test_another_chain_is_refused_before_anything_is_signed(chain, faulty, accounts):
    sender = Sender(faulty, LocalSigner(accounts[0].private_key), chain_id=84532)
    with pytest.raises(WrongChain) as caught:
        sender.send(accounts[5].address, value=1)
    assert (caught.value.expected, caught.value.actual) == (84532, 31337)
    assert faulty.count(SEND) == 0


def test_a_lost_reply_does_not_pay_twice(chain, faulty, sender, token):
    faulty.once(SEND, taken_but_raises(RpcUnavailable("the connection broke", outcome="unknown")))
    before = nonce_of(chain, sender)
    assert sender.send(token, mint(sender.address)).succeeded
    assert nonce_of(chain, sender) == before + 1
    assert balance_of(chain, token, sender.address) == 1_000_000


def test_a_request_that_was_delivered_twice_does_not_pay_twice(chain, faulty, sender, token):
    def delivered_twice(go_on, params):
        go_on()
        return go_on()

    faulty.once(SEND, delivered_twice)
    before = nonce_of(chain, sender)
    assert sender.send(token, mint(sender.address)).succeeded
    assert nonce_of(chain, sender) == before + 1
    assert balance_of(chain, token, sender.address) == 1_000_000


@pytest.mark.slow
def test_a_transaction_that_the_node_lost_is_broadcast_again(chain, faulty, sender, token):
    faulty.once(SEND, lambda go_on, params: "0x" + "00" * 32)
    assert sender.send(token, mint(sender.address)).succeeded
    assert faulty.count(SEND) == 2
    assert balance_of(chain, token, sender.address) == 1_000_000


def test_what_is_not_seen_mined_in_time_has_an_unknown_outcome(chain, faulty, accounts, token):
    sender = Sender(faulty, LocalSigner(accounts[1].private_key), chain_id=31337, timeout=0.3)
    faulty.always(SEND, raises(RpcUnavailable("the connection broke", outcome="unknown")))
    signed = []
    with pytest.raises(OutcomeUnknown) as caught:
        sender.send(token, mint(sender.address), before_broadcast=signed.append)
    assert caught.value.outcome == "unknown"
    assert caught.value.tx_hashes == (signed[0].tx_hash,)
    assert caught.value.nonce == signed[0].nonce
    assert not caught.value.retryable


@pytest.mark.slow
def test_a_later_send_gets_an_unknown_one_mined_first(chain, faulty, accounts, token):
    sender = Sender(faulty, LocalSigner(accounts[1].private_key), chain_id=31337, timeout=0.2)
    faulty.once(SEND, raises(RpcUnavailable("the connection broke", outcome="unknown")))
    lost = sender.submit(token, mint(sender.address, 3))
    with pytest.raises(OutcomeUnknown):
        sender.wait(lost)
    assert sender.wait(sender.submit(token, mint(sender.address, 4)), timeout=10).succeeded
    assert sender.wait(lost).succeeded
    assert balance_of(chain, token, sender.address) == 7


@pytest.mark.parametrize(
    "refusal",
    [
        RpcError(-32016, "over rate limit", retryable=True),
        RpcUnavailable("HTTP 429", code="rate_limited", outcome="not_sent"),
        RpcUnavailable("no connection", outcome="not_sent"),
    ],
)
def test_a_node_that_says_later_gets_the_same_bytes_later(chain, faulty, sender, token, refusal):
    sent = []

    def note(go_on, params):
        sent.append(params[0])
        return go_on()

    def refuse(go_on, params):
        sent.append(params[0])
        raise refusal

    faulty.once(SEND, refuse, refuse, note)
    assert sender.send(token, mint(sender.address)).succeeded
    assert len(sent) == 3
    assert len(set(sent)) == 1


def test_a_refused_send_gives_its_nonce_back(chain, faulty, sender, token):
    before = nonce_of(chain, sender)
    faulty.once(SEND, raises(RpcError(-32000, "sender is blocked by policy")))
    with pytest.raises(SendError, match="sender is blocked by policy") as caught:
        sender.send(token, mint(sender.address))
    assert caught.value.outcome == "not_sent"
    assert not caught.value.retryable
    assert sender.submit(token, mint(sender.address)).nonce == before


def test_a_failing_record_stops_the_broadcast_and_frees_the_nonce(chain, faulty, sender, token):
    def full_disk(submission):
        raise OSError("no space left")

    before = nonce_of(chain, sender)
    with pytest.raises(OSError, match="no space"):
        sender.submit(token, mint(sender.address), before_broadcast=full_disk)
    assert faulty.count(SEND) == 0
    assert sender.submit(token, mint(sender.address)).nonce == before


def test_underpriced_bytes_are_signed_again_with_higher_fees(chain, faulty, sender, token):
    signed = []
    faulty.once(SEND, raises(RpcError(-32000, "transaction underpriced")))
    receipt = sender.send(token, mint(sender.address), before_broadcast=signed.append)
    assert [submission.nonce for submission in signed] == [signed[0].nonce] * 2
    assert signed[1].fields.max_fee_per_gas * 8 >= signed[0].fields.max_fee_per_gas * 9 - 8
    assert receipt.tx_hash == signed[1].tx_hash


def test_a_nonce_that_somebody_else_used_is_replaced_by_the_next(chain, faulty, sender, accounts, token):
    mined = nonce_of(chain, sender)

    def overtaken(go_on, params):
        chain.request("eth_sendTransaction", [{"from": sender.address, "to": accounts[5].address, "value": "0x1"}])
        return go_on()

    faulty.once(SEND, overtaken)
    signed = []
    assert sender.send(token, mint(sender.address), before_broadcast=signed.append).succeeded
    assert [submission.nonce for submission in signed] == [mined, mined + 1]
    assert balance_of(chain, token, sender.address) == 1_000_000


def test_a_key_that_somebody_else_keeps_busy_is_a_clear_error(faulty, accounts, token):
    sender = Sender(faulty, LocalSigner(accounts[2].private_key), chain_id=31337, handover_timeout=0.3)
    faulty.always(SEND, raises(RpcError(-32000, "replacement transaction underpriced")))
    with pytest.raises(SendError, match="Somebody else sends with the key") as caught:
        sender.send(token, mint(sender.address))
    assert (caught.value.outcome, caught.value.retryable) == ("not_sent", True)


def test_equal_sends_are_two_payments_even_if_the_node_lags_behind(chain, faulty, sender, token):
    first = sender.send(token, mint(sender.address))
    stale = nonce_of(chain, sender) - 1
    faulty.once("eth_getTransactionCount", lambda go_on, params: hex(stale))
    signed = []
    second = sender.send(token, mint(sender.address), before_broadcast=signed.append)
    assert first.tx_hash != second.tx_hash
    assert [submission.nonce for submission in signed] == [stale + 1]
    assert balance_of(chain, token, sender.address) == 2_000_000


def test_nonces_follow_a_chain_that_is_set_back(chain, sender, token):
    before = chain.snapshot()
    first = sender.submit(token, mint(sender.address))
    sender.wait(first)
    chain.revert(before)
    second = sender.submit(token, mint(sender.address))
    assert second.nonce == first.nonce
    assert sender.wait(second).succeeded


def test_a_question_that_fails_means_that_nothing_was_sent(faulty, sender, token):
    faulty.once("eth_feeHistory", raises(RpcUnavailable("no answer")))
    with pytest.raises(RpcUnavailable) as caught:
        sender.send(token, mint(sender.address))
    assert caught.value.outcome == "not_sent"
    assert faulty.count(SEND) == 0


def test_trouble_while_waiting_is_not_the_end(faulty, sender, token):
    faulty.once(
        "eth_getTransactionReceipt", raises(RpcUnavailable("no answer")), raises(RpcError(-32016, "over rate limit"))
    )
    assert sender.send(token, mint(sender.address)).succeeded


def test_a_stuck_hand_over_does_not_block_the_others_for_ever(faulty, accounts, token):
    sender = Sender(faulty, LocalSigner(accounts[3].private_key), chain_id=31337, timeout=0.2)
    refused = []

    def send_another(go_on, params):
        with pytest.raises(SendError, match="handed over") as caught:
            sender.submit(token, mint(sender.address))
        refused.append(caught.value.retryable)
        return go_on()

    faulty.once(SEND, send_another)
    assert sender.send(token, mint(sender.address)).succeeded
    assert refused == [True]


def test_a_sender_shows_no_key(sender, accounts):
    assert accounts[0].private_key[2:] not in repr(sender)
    assert sender.address in repr(sender)


@pytest.mark.slow
def test_who_only_submits_does_not_remember_what_is_mined(chain, accounts):
    sender = Sender(chain, LocalSigner(accounts[0].private_key), chain_id=31337)
    for _ in range(150):
        sender.submit(PAYEE, value=1, gas=21_000)
    assert len(sender._connection.lane().opened()) <= 64
