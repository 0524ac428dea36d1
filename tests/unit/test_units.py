from decimal import Decimal

import pytest

from actp.errors import InvalidInput
from actp.proofs import free_bytes
from actp.types import Network, State, Transaction
from actp.units import (
    ZERO_ADDRESS,
    ZERO_HASH,
    describe_base_units,
    format_ether,
    format_usdc,
    hash_or_keccak,
    keccak,
    require_address,
    require_base_units,
    require_bytes32,
    shown,
    usdc,
)

# From EIP-55 itself.
CHECKSUMMED = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"


@pytest.mark.parametrize(
    ("written", "base_units"),
    [
        ("25.5", 25_500_000),
        ("25", 25_000_000),
        (25, 25_000_000),
        ("0.000001", 1),
        ("0", 0),
        (" 7.10 ", 7_100_000),
        ("1.0000000", 1_000_000),
        (Decimal("1.5"), 1_500_000),
        (Decimal("1E+2"), 100_000_000),
        ("1000000000", 10**15),
    ],
)
def test_usdc_is_exact(written, base_units):
    assert usdc(written) == base_units


@pytest.mark.parametrize(
    "written",
    [25.5, True, None, "", "1e3", "-1", -1, "NaN", "inf", Decimal("NaN"), Decimal("-1"), "1,5", "1_000", "0.0000001",
     "0x10", "٣", "1.", ".5", b"1"],
)  # fmt: skip
def test_usdc_refuses_what_could_be_misread(written):
    with pytest.raises(InvalidInput):
        usdc(written)


def test_formatted_amounts_lose_nothing():
    assert format_usdc(25_500_000) == "25.50"
    assert format_usdc(1) == "0.000001"
    assert format_usdc(-1_234_567_890_000) == "-1,234,567.89"
    assert format_ether(10_500_000_000_000_000) == "0.0105"
    assert format_ether(3 * 10**18) == "3.0"
    assert format_ether(-1) == "-0.000000000000000001"


@pytest.mark.parametrize("value", [25.0, "25", True, None, -1, 2**256])
def test_an_amount_that_is_not_an_int_of_base_units_is_refused(value):
    with pytest.raises(InvalidInput) as caught:
        require_base_units(value, "amount")
    assert isinstance(caught.value, ValueError)
    assert caught.value.outcome == "not_sent"


def test_a_refused_amount_says_how_to_write_it():
    with pytest.raises(InvalidInput, match=r'usdc\("25.5"\)'):
        require_base_units(25.5, "amount")
    assert require_base_units(0) == 0
    assert require_base_units(2**256 - 1) == 2**256 - 1


def test_addresses_get_their_checksum_and_a_wrong_one_is_refused():
    assert require_address(CHECKSUMMED.lower()) == CHECKSUMMED
    assert require_address("0x" + CHECKSUMMED[2:].upper()) == CHECKSUMMED
    assert require_address(CHECKSUMMED) == CHECKSUMMED
    with pytest.raises(InvalidInput, match="checksum"):
        require_address(CHECKSUMMED[:-1] + "D")


@pytest.mark.parametrize("value", [None, 5, "", "0x", CHECKSUMMED[2:], CHECKSUMMED + "0", "0x" + "g" * 40, b"\0" * 20])
def test_what_is_no_address_is_refused(value):
    with pytest.raises(InvalidInput, match="not an address"):
        require_address(value)


def test_hex_that_lacks_only_its_0x_is_told_so():
    for parse, digits in ((require_address, CHECKSUMMED[2:]), (require_bytes32, "ab" * 32)):
        with pytest.raises(InvalidInput) as caught:
            parse(digits, "id")
        assert f"These are {len(digits)} hex digits without 0x" in caught.value.hint
        with pytest.raises(InvalidInput) as caught:
            parse(digits[1:], "id")
        assert "without 0x" not in caught.value.hint


def test_amounts_are_described_in_both_units():
    assert describe_base_units(50_000) == "50,000 base units (0.05 USDC)"


def test_the_zero_address_is_refused_unless_it_is_wanted():
    with pytest.raises(InvalidInput, match="zero address"):
        require_address(ZERO_ADDRESS, "provider")
    assert require_address(ZERO_ADDRESS, allow_zero=True) == ZERO_ADDRESS


def test_bytes32_takes_32_bytes_only():
    assert require_bytes32("0x" + "AB" * 32, "transaction_id") == "0x" + "ab" * 32
    assert require_bytes32(b"\x01" * 32, "transaction_id") == "0x" + "01" * 32
    for value in ("0x", "ab" * 32, "0x" + "ab" * 31, b"\x01" * 31, 5, None):
        with pytest.raises(InvalidInput, match="transaction_id"):
            require_bytes32(value, "transaction_id")


@pytest.mark.parametrize("secret", ["0x" + "a5" * 32, "a5" * 32, b"\xa5" * 32, int("a5" * 32, 16), "https://host/k3y"])
def test_a_key_in_a_wrong_place_is_not_shown(secret):
    checks = [
        lambda: require_address(secret, "provider"),
        lambda: require_bytes32([secret], "transaction_id"),
        lambda: require_base_units([secret] if isinstance(secret, int) else secret),
        lambda: require_base_units(-secret if isinstance(secret, int) else secret),
        lambda: usdc([secret] if isinstance(secret, int) else secret),
        lambda: usdc("1." + str(secret)),
        lambda: free_bytes(secret.removeprefix("0x") if isinstance(secret, str) else [secret]),
    ]
    for check in checks:
        with pytest.raises(InvalidInput) as caught:
            check()
        shown = str(caught.value) + repr(caught.value)
        assert str(secret).removeprefix("0x") not in shown
        assert repr(secret) not in shown


def test_what_was_mistyped_is_shown():
    for value in ("mainnet", "0x1234", 25.0, None, "0x" + "12" * 20):
        assert shown(value) == repr(value)
    assert shown("a" * 60) == "<60 characters>"
    assert shown({"a": [1, (2,)]}) == "{'a': [1, (2,)]}"
    assert shown(b"ab") == "<2 bytes>"
    assert (shown(10**5_000), shown([10**5_000])) == ("<int>", "<list>")


def test_metadata_is_the_zero_hash_a_hash_or_is_hashed():
    assert hash_or_keccak("0x") == hash_or_keccak("") == hash_or_keccak(b"") == ZERO_HASH
    assert hash_or_keccak("0x" + "AB" * 32) == "0x" + "ab" * 32
    assert hash_or_keccak(b"\xab" * 32) == "0x" + "ab" * 32
    assert hash_or_keccak("0xabcd") == "0x" + keccak(b"\xab\xcd").hex()
    assert hash_or_keccak("hello") == "0x" + keccak(b"hello").hex()
    assert hash_or_keccak("0xnothex") == "0x" + keccak(b"0xnothex").hex()
    with pytest.raises(InvalidInput):
        hash_or_keccak(5)


def test_a_text_of_32_characters_is_hashed_too():
    text = "thirty-two characters of text..."
    assert len(text) == 32
    assert hash_or_keccak(text) == "0x" + keccak(text.encode()).hex()
    odd = "0x thirty-two characters of text"
    assert len(odd) == 32
    assert hash_or_keccak(odd) == "0x" + keccak(odd.encode()).hex()


def test_keccak_is_the_hash_of_the_evm():
    assert keccak(b"").hex() == "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"


def test_networks_are_known_by_name():
    assert Network.parse("base-sepolia") is Network.BASE_SEPOLIA
    assert Network.parse("BASE_SEPOLIA") is Network.BASE_SEPOLIA
    assert Network.parse(Network.LOCAL) is Network.LOCAL
    assert (Network.LOCAL.chain_id, Network.ANVIL.chain_id, Network.BASE_SEPOLIA.chain_id) == (31337, 31337, 84532)
    assert [network for network in Network if network.live] == [Network.BASE_SEPOLIA]
    with pytest.raises(InvalidInput, match="'local', 'anvil', 'base-sepolia'"):
        Network.parse("mainnet")


def _transaction(state, dispute_window):
    return Transaction(
        "0x" + "01" * 32, CHECKSUMMED, CHECKSUMMED, state, 10**6, 1_700_000_000, 1_700_000_100, 1_700_003_600,
        ZERO_HASH, CHECKSUMMED, ZERO_HASH, ZERO_HASH, dispute_window, ZERO_HASH, 100, 500, 500, 0, 0, ZERO_ADDRESS, 0,
    )  # fmt: skip


def test_the_window_end_is_unknown_until_delivery():
    assert _transaction(State.IN_PROGRESS, 3600).window_ends is None
    assert _transaction(State.CANCELLED, 2_592_000).window_ends is None
    assert _transaction(State.DELIVERED, 1_700_007_200).window_ends == 1_700_007_200
    assert _transaction(State.CANCELLED, 1_700_007_200).window_ends == 1_700_007_200


def test_only_funded_states_hold_money():
    funded = {state.name for state in State if _transaction(state, 3600).funded}
    assert funded == {"COMMITTED", "IN_PROGRESS", "DELIVERED", "DISPUTED"}
    assert {state.name for state in State if state.final} == {"SETTLED", "CANCELLED"}


@pytest.mark.parametrize("kind", ["list", "tuple", "dict"])
def test_what_lies_too_deep_to_be_shown_is_named_by_its_type(kind):
    wrap = {"list": lambda inner: [inner], "tuple": lambda inner: (inner,), "dict": lambda inner: {"a": inner}}[kind]
    nested = wrap(0)
    for _ in range(100_000):
        nested = wrap(nested)
    assert shown(nested) == f"<{kind}>"
