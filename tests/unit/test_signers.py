import copy
import json
import pickle

import pytest
from eth_account import Account
from eth_account.messages import encode_typed_data

from actp.errors import ConfigError, InvalidInput
from actp.signers import LocalSigner, Watcher
from actp.types import EthTransaction
from actp.units import to_checksum

KEY = "4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318"
ADDRESS = "0x2c7536E3605D9C16a7a3D7b1898e529396a65c23"
ORDER = "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141"
FIELDS = EthTransaction(
    chain_id=31337, nonce=3, to=ADDRESS, value=7, data=b"\x01\x02", gas=50_000, max_fee_per_gas=20,
    max_priority_fee_per_gas=2,
)  # fmt: skip


@pytest.mark.parametrize("key", [KEY, "0x" + KEY, "0X" + KEY.upper(), f" {KEY}\n", bytes.fromhex(KEY)])
def test_a_key_is_taken_in_every_usual_spelling(key):
    assert LocalSigner(key).address == ADDRESS


@pytest.mark.parametrize(
    "key",
    [KEY[:-1], KEY + "0", "0x", "z" * 64, KEY[:-2] + "  ", "0x0x" + KEY, bytes.fromhex(KEY)[:-1], 5, "0" * 64, ORDER,
     "f" * 64],
)  # fmt: skip
def test_a_malformed_key_is_refused_without_being_shown(key):
    with pytest.raises(ConfigError) as caught:
        LocalSigner(key)
    shown = (
        f"{caught.value!s} {caught.value!r} {vars(caught.value)} {caught.value.__cause__} {caught.value.__context__}"
    )
    assert str(key)[:20] not in shown or len(str(key)) < 5
    assert caught.value.hint


@pytest.mark.parametrize("key", [None, "", b""])
def test_a_missing_key_is_named(key):
    with pytest.raises(ConfigError, match="TREASURY_PRIVATE_KEY is missing"):
        LocalSigner(key, name="The private key in TREASURY_PRIVATE_KEY")


def test_a_key_can_come_from_the_environment():
    assert LocalSigner.from_env("SOME_KEY", {"SOME_KEY": KEY}).address == ADDRESS
    with pytest.raises(ConfigError, match="SOME_KEY is missing"):
        LocalSigner.from_env("SOME_KEY", {})


@pytest.mark.parametrize("missing", [lambda: LocalSigner(None), lambda: LocalSigner.from_env("SOME_KEY", {})])
def test_a_missing_key_says_every_place_where_one_can_be_given(missing):
    with pytest.raises(ConfigError) as caught:
        missing()
    for place in ("private_key=", "signer=", "environment variable"):
        assert place in caught.value.hint


def test_a_signer_shows_its_address_and_never_its_key():
    signer = LocalSigner(KEY)
    for shown in (repr(signer), str(signer), f"{signer}"):
        assert ADDRESS in shown
        assert KEY not in shown
    assert not hasattr(signer, "__dict__")
    for duplicate in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="never pickled"):
            duplicate(signer)


def test_a_signed_transaction_is_type_2_and_of_this_account():
    raw = LocalSigner(KEY).sign_transaction(FIELDS)
    assert raw[0] == 2
    assert Account.recover_transaction(raw) == ADDRESS


def test_a_contract_creation_has_no_recipient():
    import rlp

    creation = EthTransaction(31337, 0, None, 0, b"\x60\x00", 100_000, 20, 2)
    fields = rlp.decode(LocalSigner(KEY).sign_transaction(creation)[1:])
    assert fields[5] == b""
    assert fields[7] == b"\x60\x00"


def test_typed_data_is_signed_for_its_domain():
    typed = {
        "types": {
            "EIP712Domain": [{"name": "name", "type": "string"}, {"name": "chainId", "type": "uint256"}],
            "Split": [{"name": "amount", "type": "uint256"}],
        },
        "primaryType": "Split",
        "domain": {"name": "ACTP", "chainId": 31337},
        "message": {"amount": 5},
    }
    signature = LocalSigner(KEY).sign_typed_data(typed)
    assert len(signature) == 65
    assert Account.recover_message(encode_typed_data(full_message=typed), signature=signature) == ADDRESS
    other = {**typed, "domain": {"name": "ACTP", "chainId": 1}}
    assert Account.recover_message(encode_typed_data(full_message=other), signature=signature) != ADDRESS


def test_a_keystore_opens_with_its_password_only(tmp_path):
    file = tmp_path / "key.json"
    file.write_text(json.dumps(Account.encrypt(KEY, "right", kdf="pbkdf2", iterations=1_000)))
    assert LocalSigner.from_keystore(file, "right").address == ADDRESS
    with pytest.raises(ConfigError, match="cannot be decrypted"):
        LocalSigner.from_keystore(file, "wrong")
    file.write_text("{}")
    with pytest.raises(ConfigError, match="cannot be decrypted"):
        LocalSigner.from_keystore(file, "right")
    with pytest.raises(ConfigError, match="cannot be read"):
        LocalSigner.from_keystore(tmp_path / "missing.json", "right")


def test_who_only_watches_has_an_address_and_signs_nothing() -> None:
    watcher = Watcher("0x" + "ab" * 20)
    assert watcher.address == to_checksum("0x" + "ab" * 20)
    for sign in (watcher.sign_transaction, watcher.sign_typed_data):
        with pytest.raises(ConfigError, match="is not here"):
            sign({})  # type: ignore[arg-type]
    with pytest.raises(InvalidInput):
        Watcher("ann")
