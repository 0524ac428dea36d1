"""The committed artifacts belong to the committed sources, proven without a compiler.

The chain of evidence: the bytecode ends with the IPFS hash of the metadata, and the metadata carries the keccak256 hash
of every source file. CI closes the remaining gap by compiling again and comparing the bytecode.
"""

from __future__ import annotations

import hashlib
import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from eth_utils import keccak

from scripts.compile import MAX_RUNTIME_BYTES, ROOT, SETTINGS, SOLC_VERSION, Layout

LAYOUT = Layout(ROOT)
ARTIFACTS = sorted(LAYOUT.artifacts.rglob("*.json"))
DECLARATION = re.compile(r"^(abstract contract|contract|interface|library)\s+(\w+)", re.MULTILINE)


@cache
def artifact(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))


@cache
def metadata(path: Path) -> dict[str, Any]:
    return json.loads(artifact(path)["metadata"])


def declared(source_name: str) -> set[str]:
    """Contracts and interfaces that a source file declares; these are what artifacts are made of."""
    found = DECLARATION.findall((ROOT / source_name).read_text(encoding="utf-8"))
    return {name for kind, name in found if kind in ("contract", "interface")}


def every_artifact(test: Any) -> Any:
    return pytest.mark.parametrize("path", ARTIFACTS, ids=lambda path: path.stem)(test)


def test_there_are_artifacts() -> None:
    assert {"ACTPKernel", "EscrowVault", "TestUSDC"} <= {path.stem for path in ARTIFACTS}


@every_artifact
def test_own_sources_are_what_the_artifact_was_compiled_from(path: Path) -> None:
    for source_name, entry in metadata(path)["sources"].items():
        if source_name.startswith("contracts/"):
            source = ROOT / source_name
            assert source.is_file(), f"{path.name} was compiled from {source_name}, which is gone: run `make compile`"
            assert entry["keccak256"] == "0x" + keccak(source.read_bytes()).hex(), (
                f"{source_name} changed after {path.name} was compiled: run `make compile`"
            )
        else:
            assert source_name.startswith("@openzeppelin/contracts/"), (
                f"{source_name} is neither ours nor OpenZeppelin's"
            )


@every_artifact
def test_bytecode_carries_the_hash_of_the_metadata_beside_it(path: Path) -> None:
    code = bytes.fromhex(artifact(path)["deployedBytecode"]["object"].removeprefix("0x"))
    if not code:
        assert path.stem.startswith("I"), "only interfaces have no code"
        return
    assert code.endswith(metadata_trailer(artifact(path)["metadata"].encode("utf-8")))
    assert bytes.fromhex(artifact(path)["bytecode"]["object"].removeprefix("0x"))


def metadata_trailer(text: bytes) -> bytes:
    """The CBOR map {"ipfs": hash, "solc": version} and its length, as solc appends it to runtime code."""
    version = bytes(int(part) for part in SOLC_VERSION.split("."))
    cbor = b"\xa2\x64ipfs\x58\x22" + ipfs_multihash(text) + b"\x64solc\x43" + version
    return cbor + len(cbor).to_bytes(2, "big")


def ipfs_multihash(content: bytes) -> bytes:
    """Hash of a file as IPFS stores it: a UnixFS leaf inside a dag-pb node (both protobuf), for files of one chunk."""
    assert 0 < len(content) <= 262_144, "IPFS splits larger files into several chunks"
    leaf = b"\x08\x02\x12" + varint(len(content)) + content + b"\x18" + varint(len(content))
    node = b"\x0a" + varint(len(leaf)) + leaf
    return b"\x12\x20" + hashlib.sha256(node).digest()


def varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*encoded, number])


@every_artifact
def test_artifact_was_compiled_with_the_pinned_compiler_and_settings(path: Path) -> None:
    assert metadata(path)["compiler"]["version"].split("+")[0] == SOLC_VERSION
    settings = metadata(path)["settings"]
    assert {key: settings[key] for key in SETTINGS} == SETTINGS
    assert settings["remappings"] == []
    assert settings["metadata"] == {"bytecodeHash": "ipfs"}


@every_artifact
def test_artifact_is_named_after_what_it_holds(path: Path) -> None:
    name, source_name = artifact(path)["contractName"], artifact(path)["sourceName"]
    assert metadata(path)["settings"]["compilationTarget"] == {source_name: name}
    assert path == LAYOUT.artifact_path(source_name, name)
    assert artifact(path)["abi"] == metadata(path)["output"]["abi"]


@every_artifact
def test_runtime_code_fits_into_an_account(path: Path) -> None:
    code = artifact(path)["deployedBytecode"]["object"].removeprefix("0x")
    assert len(code) // 2 <= MAX_RUNTIME_BYTES


@pytest.mark.parametrize("source_name", LAYOUT.sources())
def test_every_source_file_has_its_artifacts(source_name: str) -> None:
    missing = {name for name in declared(source_name) if not LAYOUT.artifact_path(source_name, name).is_file()}
    assert not missing, f"{source_name} declares {missing} without artifact: run `make compile`"
    compiled_into = [path for path in ARTIFACTS if source_name in metadata(path)["sources"]]
    assert compiled_into, f"{source_name} is part of no artifact: nothing uses it"


@every_artifact
def test_every_artifact_has_its_source(path: Path) -> None:
    assert artifact(path)["contractName"] in declared(artifact(path)["sourceName"])


@pytest.mark.parametrize("source_name", LAYOUT.sources())
def test_every_source_file_pins_the_compiler_and_its_licence(source_name: str) -> None:
    text = (ROOT / source_name).read_text(encoding="utf-8")
    assert re.findall(r"^pragma solidity (.*);$", text, re.MULTILINE) == [SOLC_VERSION]
    assert text.startswith("// SPDX-License-Identifier: Apache-2.0\n")
