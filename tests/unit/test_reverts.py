import pytest
from eth_abi import encode
from eth_tester.exceptions import TransactionFailed
from web3.exceptions import ContractCustomError

from actp import artifacts, reverts
from actp.errors import Reverted, RpcError
from actp.units import keccak

PAYER = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"


def error_data(signature, *values):
    types = signature[signature.index("(") + 1 : -1]
    return keccak(signature.encode())[:4] + encode(types.split(",") if types else [], values)


BOUNDS = error_data("AmountOutOfBounds(uint256,uint256,uint256)", 10, 50_000, 10**15)
SHOWN = "AmountOutOfBounds: amount=10, minimum=50000, maximum=1000000000000000"


@pytest.mark.parametrize(
    "error",
    [
        RpcError(3, "execution reverted", "0x" + BOUNDS.hex()),
        RpcError(3, "execution reverted: custom error 0x12: 00", "0x" + BOUNDS.hex()),
        RpcError(-32000, "execution reverted", "0x" + BOUNDS.hex()),
        RpcError(-32603, f"VM Exception: reverted with data 0x{BOUNDS.hex()}"),
        RpcError(-32000, "VM execution error: revert", {"data": "0x" + BOUNDS.hex()}),
        RpcError(-32603, "reverted", {"originalError": {"code": 3, "data": "0x" + BOUNDS.hex()}}),
        RpcError(-32000, "revert", {"0xabc": {"error": "revert", "return": "0x" + BOUNDS.hex()}}),
        RpcError(-32015, "VM execution error. Reverted", f"Reverted 0x{BOUNDS.hex()}"),
        TransactionFailed(f"execution reverted: {BOUNDS!r}"),
        TransactionFailed(repr(BOUNDS)),
        ContractCustomError("0x" + BOUNDS.hex(), data="0x" + BOUNDS.hex()),
    ],
    ids=lambda error: type(error).__name__,
)
def test_every_shape_of_a_revert_gives_the_same_error(error):
    found = reverts.from_error(error)
    assert isinstance(found, Reverted)
    assert found.name == "AmountOutOfBounds"
    assert found.arguments == {"amount": 10, "minimum": 50_000, "maximum": 10**15}
    assert found.message == SHOWN
    assert found.raw == "0x" + BOUNDS.hex()
    assert "base units" in found.hint


@pytest.mark.parametrize(
    "error",
    [
        RpcError(-32000, "nonce too low"),
        RpcError(-32602, "invalid params", "0x" + BOUNDS.hex()),
        RpcError(-32601, "method not found"),
        ValueError("something else"),
    ],
)
def test_what_is_no_revert_stays_what_it_is(error):
    assert reverts.from_error(error) is None


def test_states_are_shown_by_name():
    found = reverts.decode(error_data("InvalidTransition(uint8,uint8)", 0, 5))
    assert found.arguments == {"from": "INITIATED", "to": "SETTLED"}
    assert found.state == "INITIATED"


def test_addresses_and_hashes_are_readable():
    found = reverts.decode(error_data("NotRequester(address,address)", PAYER, "0x" + "11" * 20))
    assert found.arguments["caller"] == PAYER
    found = reverts.decode(error_data("UnknownTransaction(bytes32)", b"\xab" * 32))
    assert found.arguments == {"transactionId": "0x" + "ab" * 32}


@pytest.mark.parametrize(
    ("signature", "values", "word"),
    [
        ("ERC20InsufficientAllowance(address,uint256,uint256)", (PAYER, 0, 5), "Approve"),
        ("ERC20InsufficientBalance(address,uint256,uint256)", (PAYER, 0, 5), "tokens"),
        ("DeadlinePassed(uint256,uint256)", (5, 6), "deadline"),
        ("WindowOpen(uint256,uint256)", (6, 5), "window"),
        ("WindowClosed(uint256,uint256)", (5, 6), "settled"),
    ],
)
def test_common_refusals_say_what_to_do(signature, values, word):
    assert word in reverts.decode(error_data(signature, *values)).hint


def test_every_hint_belongs_to_an_error_that_exists():
    names = {entry["name"] for artifact in artifacts.load_all() for entry in artifact.abi if entry["type"] == "error"}
    assert set(reverts._HINTS) <= names


def test_every_error_of_our_contracts_is_decoded():
    for artifact in artifacts.load_all():
        for entry in artifact.abi:
            if entry["type"] == "error":
                samples = {"address": PAYER, "bytes32": b"\x01" * 32, "bytes": b"\x02", "string": "text"}
                types = [part["type"] for part in entry["inputs"]]
                data = keccak(artifacts.signature_of(entry).encode())[:4]
                found = reverts.decode(data + encode(types, [samples.get(kind, 1) for kind in types]))
                assert found.name == entry["name"]
                assert list(found.arguments) == [part["name"] for part in entry["inputs"]]


def test_a_plain_require_shows_its_text():
    found = reverts.decode(error_data("Error(string)", "Amount below minimum"))
    assert (found.name, found.arguments) == ("Error", {"message": "Amount below minimum"})
    assert found.message == "The contract refused: Amount below minimum"
    without_data = reverts.from_error(RpcError(-32000, "execution reverted: Amount below minimum"))
    assert without_data.arguments == {"message": "Amount below minimum"}


def test_a_panic_is_explained():
    found = reverts.decode(error_data("Panic(uint256)", 0x11))
    assert (found.name, found.arguments) == ("Panic", {"code": 0x11})
    assert found.message == "The contract stopped with panic 0x11: an arithmetic overflow or underflow."


def test_an_unknown_error_is_named_by_its_selector():
    for data in (bytes.fromhex("cd0883ea"), bytes.fromhex("cd0883ea") + bytes(32)):
        found = reverts.decode(data)
        assert found.name == "0xcd0883ea"
        assert found.raw == "0x" + data.hex()
        assert "0x" + data.hex() in str(found)


def test_a_known_selector_with_broken_values_is_not_guessed():
    assert reverts.decode(BOUNDS[:40]).name == "0x" + BOUNDS[:4].hex()
    assert reverts.decode(b"\x01\x02").raw == "0x0102"


def test_a_revert_without_data_says_so():
    for error in (RpcError(3, "execution reverted", "0x"), RpcError(-32000, "execution reverted")):
        found = reverts.from_error(error)
        assert (found.name, found.raw) == ("EmptyRevert", "0x")
        assert "no reason" in str(found)


def test_an_address_in_a_message_is_not_taken_for_data():
    found = reverts.from_error(RpcError(-32000, f"execution reverted: {PAYER} is frozen"))
    assert found.arguments == {"message": f"{PAYER} is frozen"}


def test_outcome_and_hash_are_kept():
    found = reverts.from_error(RpcError(3, "execution reverted", "0x"), outcome="reverted", tx_hash="0x01")
    assert (found.outcome, found.tx_hash) == ("reverted", "0x01")


@pytest.mark.parametrize(
    "text", [r"execution reverted: b'\x'", r"execution reverted: b'\x1'", "execution reverted: b'\u00e9'"]
)
def test_text_that_only_looks_like_bytes_is_a_reason_and_no_crash(text):
    assert reverts.from_error(RpcError(3, text)).name == "Error"


def test_a_word_that_ends_in_b_is_not_revert_data():
    found = reverts.from_error(RpcError(3, "execution reverted: job'four'"))
    assert (found.name, found.raw) == ("Error", "0x")
