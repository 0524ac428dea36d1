"""The fast reading of simple answers agrees with the general decoder, and leaves to it whatever is odd."""

from __future__ import annotations

import random
from typing import Any

import pytest
from eth_abi.abi import decode, encode

from actp import artifacts
from actp.errors import ConfigError
from actp.units import to_checksum
from actp.words import read_words, shape_of

_SIMPLE = [
    (name, entry["name"])
    for name in ("ACTPKernel", "EscrowVault", "TestUSDC")
    for entry in artifacts.load(name).abi
    if entry["type"] == "function" and entry["outputs"] and shape_of(entry["outputs"]) is not None
]


def outputs(contract: str, function: str) -> list[dict[str, Any]]:
    (entry,) = [e for e in artifacts.load(contract).abi if e["type"] == "function" and e["name"] == function]
    found: list[dict[str, Any]] = entry["outputs"]
    return found


def type_of(part: dict[str, Any]) -> str:
    if part["type"] != "tuple":
        return str(part["type"])
    return f"({','.join(type_of(inner) for inner in part['components'])})"


def some_value(part: dict[str, Any], chance: random.Random) -> Any:
    kind = part["type"]
    if kind == "tuple":
        return tuple(some_value(inner, chance) for inner in part["components"])
    if kind == "address":
        return to_checksum("0x" + chance.randbytes(20).hex())
    if kind == "bool":
        return chance.choice([True, False])
    if kind.startswith("uint"):
        bits = int(kind[4:])
        return chance.choice([0, 1, 2**bits - 1, chance.getrandbits(bits)])
    return chance.randbytes(int(kind[5:]))


def test_the_views_of_every_payment_are_read_fast() -> None:
    names = {function for _, function in _SIMPLE}
    assert names >= {"getTransaction", "escrowOf", "clausesOf", "bondsOf", "balanceOf", "allowance", "feeRecipient"}


@pytest.mark.parametrize(("contract", "function"), _SIMPLE)
def test_the_same_values_as_the_general_decoder(contract: str, function: str) -> None:
    parts = outputs(contract, function)
    chance = random.Random(f"{contract}.{function}")
    for _ in range(5):
        values = tuple(some_value(part, chance) for part in parts)
        data = encode([type_of(part) for part in parts], values)
        assert artifacts.load(contract).decode_result(function, data) == values
        # More than was asked for is what the general decoder ignores, too.
        assert artifacts.load(contract).decode_result(function, data + b"\x01" * 32) == values
        with pytest.raises(ConfigError):
            artifacts.load(contract).decode_result(function, data[:-1])


def test_stray_bits_are_left_to_the_general_decoder() -> None:
    for function, place in (
        ("clausesOf", 0),
        ("clausesOf", 11),
        ("platformFeeBps", 29),
        ("paused", 30),
        ("getTransaction", 32),
    ):
        shape = shape_of(outputs("ACTPKernel", function))
        assert shape is not None
        size = len(encode([type_of(part) for part in outputs("ACTPKernel", function)], _zeros(function)))
        data = bytearray(size)
        assert read_words(shape, bytes(data)) is not None
        data[place] = 1
        assert read_words(shape, bytes(data)) is None
        with pytest.raises(ConfigError):
            artifacts.load("ACTPKernel").decode_result(function, bytes(data))


def _zeros(function: str) -> tuple[Any, ...]:
    parts = outputs("ACTPKernel", function)
    return decode([type_of(part) for part in parts], bytes(32 * 64))


@pytest.mark.parametrize("kind", ["string", "bytes", "uint256[]", "int256", "address[2]"])
def test_other_types_have_no_simple_shape(kind: str) -> None:
    assert shape_of([{"type": kind}]) is None
    assert shape_of([{"type": "tuple", "components": [{"type": kind}]}]) is None


def test_a_truth_value_is_zero_or_one() -> None:
    shape = shape_of([{"type": "bool"}])
    assert shape is not None
    assert [read_words(shape, value.to_bytes(32, "big")) for value in (0, 1, 2)] == [(False,), (True,), None]
