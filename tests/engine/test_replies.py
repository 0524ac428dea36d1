import pytest

from actp.engine.replies import Reply, classify
from actp.errors import RpcError, RpcUnavailable


@pytest.mark.parametrize(
    ("reply", "text"),
    [
        (Reply.ACCEPTED, "already known"),
        (Reply.ACCEPTED, "AlreadyKnown"),
        (Reply.ACCEPTED, "transaction already imported"),
        (Reply.NONCE_USED, "nonce too low: next nonce 5, tx nonce 4"),
        (Reply.NONCE_WAITING, "replacement transaction underpriced"),
        (Reply.NONCE_AHEAD, "nonce too high: address 0x.., tx: 9 state: 3"),
        (Reply.UNDERPRICED, "transaction underpriced: tip needed 1000000, tip permitted 1"),
        (Reply.UNDERPRICED, "max fee per gas less than block base fee: address 0x.."),
        (Reply.NO_FUNDS, "insufficient funds for gas * price + value: balance 0, tx cost 5, overshot 5"),
        (Reply.NO_FUNDS, "Insufficient funds for gas * price + value"),
        (Reply.RATE_LIMITED, "Too Many Requests"),
        (Reply.UNKNOWN, "request timed out"),
        (Reply.UNKNOWN, "txpool is full"),
        (Reply.REJECTED, "exceeds block gas limit"),
        (Reply.REJECTED, "invalid sender"),
        (Reply.REJECTED, "unknown transaction type"),
        (Reply.REJECTED, "intrinsic gas too low: have 20000, want 21000"),
        (Reply.REJECTED, "invalid chain id for signer: have 1 want 2"),
        (Reply.ACCEPTED, "known transaction: 0xabc"),
        (Reply.ACCEPTED, "Known transaction"),
        (Reply.NONCE_USED, "Transaction nonce is too low. Try incrementing the nonce."),
    ],
)
def test_node_texts_are_understood(reply, text):
    assert classify(RpcError(-32000, text)) is reply


@pytest.mark.parametrize(
    ("rpc_code", "text"),
    [
        (-32010, "backend error"),
        (-32011, "no backends available for method"),
        (-32013, "backend response too large"),
        (-32015, "backend is overloaded"),
        (-32000, "EOF"),
        (-32000, "context canceled"),
        (-32000, "service unavailable"),
        (-32000, "502 Bad Gateway"),
        (-32000, "upstream connect error or disconnect/reset before headers"),
        (-32000, "words that no node has used so far"),
    ],
)
def test_what_is_not_a_listed_refusal_may_have_been_taken(rpc_code, text):
    assert classify(RpcError(rpc_code, text)) is Reply.UNKNOWN


def test_an_internal_error_may_have_taken_the_transaction():
    assert classify(RpcError(-32603, "Something went wrong")) is Reply.UNKNOWN


def test_codes_of_rate_limits_count_whatever_the_text():
    for code in (-32016, -32005, 429):
        assert classify(RpcError(code, "slow down")) is Reply.RATE_LIMITED


def test_no_answer_is_unknown_unless_there_was_no_connection():
    assert classify(RpcUnavailable("broken")) is Reply.UNKNOWN
    assert classify(RpcUnavailable("broken", outcome="unknown")) is Reply.UNKNOWN
    assert classify(RpcUnavailable("refused", outcome="not_sent")) is Reply.NOT_DELIVERED
    assert classify(RpcUnavailable("HTTP 429", code="rate_limited", outcome="not_sent")) is Reply.RATE_LIMITED
