"""Our own bytes of eth transactions are those of eth-account, to the last bit."""

import pytest
from eth_account import Account
from hypothesis import given, settings
from hypothesis import strategies as st

from actp.encoding import value_of
from actp.signers import LocalSigner
from actp.types import EthTransaction
from actp.units import to_checksum

addresses = st.one_of(st.none(), st.binary(min_size=20, max_size=20).map(lambda raw: "0x" + raw.hex()))
sizes = st.sampled_from([0, 1, 2, 54, 55, 56, 57, 255, 256, 257, 5_000])
data = sizes.flatmap(lambda size: st.binary(min_size=size, max_size=size))
words = st.one_of(st.sampled_from([0, 1, 127, 128, 255, 256]), st.integers(0, 2**64 - 1))


@settings(max_examples=150, deadline=None)
@given(
    key=st.integers(1, 2**255).map(lambda number: number.to_bytes(32, "big")),
    chain_id=st.sampled_from([1, 31_337, 84_532, 2**53]),
    nonce=words,
    to=addresses,
    value=st.one_of(words, st.integers(0, 2**256 - 1)),
    call=data,
    gas=words,
    fee=words,
)
def test_signed_bytes_are_those_of_eth_account(key, chain_id, nonce, to, value, call, gas, fee):
    fields = EthTransaction(chain_id, nonce, to, value, call, gas, fee, fee // 3)
    theirs = Account.from_key(key).sign_transaction(
        {
            "type": 2,
            "chainId": chain_id,
            "nonce": nonce,
            **({} if to is None else {"to": to_checksum(to)}),
            "value": value,
            "data": "0x" + call.hex(),
            "gas": gas,
            "maxFeePerGas": fee,
            "maxPriorityFeePerGas": fee // 3,
        }
    )
    assert LocalSigner(key).sign_transaction(fields) == bytes(theirs.raw_transaction)
    assert value_of(bytes(theirs.raw_transaction)) == value


def test_the_value_of_bytes_that_are_something_else_is_not_guessed():
    payee = "0x" + "05" * 20
    legacy = {"nonce": 1, "to": payee, "value": 7, "data": "0x", "gas": 21_000, "gasPrice": 1, "chainId": 1}
    assert value_of(bytes(Account.from_key(b"\1" * 32).sign_transaction(legacy).raw_transaction)) is None
    assert value_of(b"") is None
    signed = LocalSigner(b"\1" * 32).sign_transaction(EthTransaction(1, 1, payee, 2**80, b"", 21_000, 1, 1))
    with pytest.raises(IndexError):
        value_of(signed[:20])
