import json
from dataclasses import replace

import pytest

from actp import artifacts
from actp.errors import ConfigError, InvalidInput
from actp.units import keccak


def test_the_contracts_are_there():
    for name in ("ACTPKernel", "EscrowVault", "KernelExtension", "TestUSDC"):
        artifact = artifacts.load(name)
        assert artifact.name == name
        assert len(artifact.bytecode) > len(artifact.deployed_bytecode) > 1_000
    names = {artifact.name for artifact in artifacts.load_all()}
    assert {"ACTPKernel", "EscrowVault", "KernelExtension", "TestUSDC"} <= names


def test_an_unknown_contract_is_an_error_that_names_those_that_exist():
    with pytest.raises(ConfigError, match="ACTPKernel"):
        artifacts.load("NoSuchContract")


def test_a_damaged_artifact_is_an_error():
    good = json.loads((artifacts.folder() / "EscrowVault.json").read_text())
    for damage in ({"abi": None}, {"bytecode": {}}, {"bytecode": {"object": "0xzz"}}, {"deployedBytecode": "0x"}):
        with pytest.raises(ConfigError, match="damaged"):
            artifacts.parse(json.dumps({**good, **damage}), "EscrowVault")
    with pytest.raises(ConfigError, match="damaged"):
        artifacts.parse("{", "EscrowVault")


def test_code_matches_whatever_the_immutables_are_and_nothing_else():
    vault = artifacts.load("EscrowVault")
    deployed = bytearray(vault.deployed_bytecode)
    assert vault.immutables
    for start, length in vault.immutables:
        deployed[start : start + length] = b"\x11" * length
    assert vault.matches(bytes(deployed))
    assert not vault.matches(bytes(deployed) + b"\0")
    assert not vault.matches(b"")
    outside = next(i for i in range(len(deployed)) if all(not s <= i < s + n for s, n in vault.immutables))
    deployed[outside] ^= 1
    assert not vault.matches(bytes(deployed))


def test_call_data_starts_with_the_selector():
    data = artifacts.load("TestUSDC").call_data("transfer", ["0x" + "11" * 20, 5])
    assert data == keccak(b"transfer(address,uint256)")[:4] + bytes(12) + b"\x11" * 20 + (5).to_bytes(32, "big")


def test_a_struct_is_part_of_the_constructor():
    kernel = artifacts.load("ACTPKernel")
    someone = "0x" + "11" * 20
    code = kernel.creation_code([someone, someone, someone, someone, someone, (100, 500, 500, 50_000, 1_000_000)])
    assert code[: len(kernel.bytecode)] == kernel.bytecode
    assert code.endswith((1_000_000).to_bytes(32, "big"))
    assert len(code) == len(kernel.bytecode) + 10 * 32


def test_wrong_arguments_are_refused():
    token = artifacts.load("TestUSDC")
    for arguments in ([], ["0x" + "11" * 20], ["no address", 5], ["0x" + "11" * 20, -1], ["0x" + "11" * 20, 1.5]):
        with pytest.raises(InvalidInput, match="transfer"):
            token.call_data("transfer", arguments)
    with pytest.raises(InvalidInput, match="noSuchFunction"):
        token.call_data("noSuchFunction")


def test_an_answer_of_another_contract_is_an_error():
    with pytest.raises(ConfigError, match="balanceOf"):
        artifacts.load("TestUSDC").decode_result("balanceOf", b"")
    assert artifacts.load("TestUSDC").decode_result("balanceOf", bytes(31) + b"\x05") == (5,)


def test_addresses_in_answers_are_spelled_as_everywhere_else():
    address = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
    word = bytes(12) + bytes.fromhex(address[2:])
    views = [
        {"type": "function", "name": "plain", "outputs": [{"type": "address"}, {"type": "bytes32"}]},
        {"type": "function", "name": "nested", "outputs": [{"type": "tuple[]", "components": [{"type": "address"}]}]},
    ]
    contract = replace(artifacts.load("TestUSDC"), abi=tuple(views))
    assert contract.decode_result("plain", word + word) == (address, word)
    assert contract.decode_result("nested", (32).to_bytes(32) + (2).to_bytes(32) + word + word) == (
        ((address,), (address,)),
    )


def test_text_that_is_none_is_an_error():
    text = (32).to_bytes(32) + (1).to_bytes(32) + b"\xff" + bytes(31)
    with pytest.raises(ConfigError, match="symbol"):
        artifacts.load("TestUSDC").decode_result("symbol", text)
