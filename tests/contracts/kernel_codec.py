"""Artifacts, ABI coding and decoded answers: what the kernel's tests need to talk to contracts over plain JSON-RPC.

`ACTP_TEST_ARTIFACTS` names another directory of artifacts, so that the same tests can be run against changed contracts.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from eth_abi.abi import decode, encode
from eth_utils.crypto import keccak

COMMITTED = Path(__file__).resolve().parents[2] / "contracts" / "artifacts"
ARTIFACTS = Path(os.environ.get("ACTP_TEST_ARTIFACTS", COMMITTED))


def artifact_names() -> list[str]:
    return sorted(path.stem for folder in (ARTIFACTS, ARTIFACTS / "test") for path in folder.glob("*.json"))


@cache
def artifact(name: str) -> dict[str, Any]:
    """A compiled contract, be it shipped or only for tests."""
    shipped = ARTIFACTS / f"{name}.json"
    path = shipped if shipped.is_file() else ARTIFACTS / "test" / f"{name}.json"
    loaded: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return loaded


def canonical(part: Mapping[str, Any]) -> str:
    """The ABI type of a parameter, with tuples written out."""
    kind = str(part["type"])
    if not kind.startswith("tuple"):
        return kind
    return f"({','.join(map(canonical, part['components']))}){kind.removeprefix('tuple')}"


def signature(entry: Mapping[str, Any]) -> str:
    return f"{entry['name']}({','.join(map(canonical, entry['inputs']))})"


def readable(part: Mapping[str, Any], value: Any) -> Any:
    """A decoded value; a struct becomes a namespace with its field names, an array of structs a list of them."""
    if "components" not in part:
        return value
    if str(part["type"]).endswith("[]"):
        return [readable({**part, "type": "tuple"}, item) for item in value]
    fields = zip(part["components"], value, strict=True)
    return SimpleNamespace(**{field["name"]: readable(field, item) for field, item in fields})


def decode_parts(parts: list[Any], data: bytes) -> list[Any]:
    values = decode([canonical(part) for part in parts], data)
    return [readable(part, value) for part, value in zip(parts, values, strict=True)]


@dataclass(frozen=True)
class Event:
    """A log of one of our contracts; `values` has its arguments by name."""

    name: str
    address: str
    values: SimpleNamespace


@dataclass(frozen=True)
class Receipt:
    """What a mined call did; all its events, those of the token included, in order."""

    gas_used: int
    timestamp: int
    events: tuple[Event, ...]

    def of(self, name: str) -> list[SimpleNamespace]:
        return [event.values for event in self.events if event.name == name]

    def one(self, name: str) -> SimpleNamespace:
        found = self.of(name)
        assert len(found) == 1, f"{len(found)} events {name} in {[event.name for event in self.events]}"
        return found[0]

    def names(self, address: str) -> list[str]:
        """Names of the events that one contract emitted, in order."""
        return [event.name for event in self.events if event.address == address]


@dataclass(frozen=True)
class Refusal:
    """A revert: the name of the error with its arguments by name. A revert without data is named ""."""

    name: str
    values: SimpleNamespace


class Coder:
    """Calldata and answers of one contract. Overloaded functions are named by their signature."""

    def __init__(self, abi: Iterable[Mapping[str, Any]]) -> None:
        functions = [entry for entry in abi if entry["type"] == "function"]
        self._by_name = {entry["name"]: entry for entry in functions}
        self._by_name |= {signature(entry): entry for entry in functions}
        self._selectors = {name: keccak(text=signature(entry))[:4] for name, entry in self._by_name.items()}

    def data(self, function: str, args: tuple[Any, ...]) -> str:
        types = [canonical(part) for part in self._by_name[function]["inputs"]]
        return "0x" + (self._selectors[function] + encode(types, args)).hex()

    def answer(self, function: str, output: str) -> Any:
        """One value as it is, several as a list."""
        values = decode_parts(self._by_name[function]["outputs"], bytes.fromhex(output[2:]))
        return values[0] if len(values) == 1 else values


@cache
def _entries(kind: str) -> dict[bytes, dict[str, Any]]:
    found = {}
    for name in artifact_names():
        for entry in artifact(name)["abi"]:
            if entry["type"] == kind:
                # The same event may differ in what is indexed, so both count.
                indexed = bytes(part.get("indexed", False) for part in entry["inputs"])
                found[keccak(text=signature(entry)) + (bytes([sum(indexed)]) if kind == "event" else b"")] = entry
    return found


@cache
def _errors() -> dict[bytes, dict[str, Any]]:
    builtin = {
        "Error": [{"name": "message", "type": "string"}],
        "Panic": [{"name": "code", "type": "uint256"}],
    }
    ours = {digest[:4]: entry for digest, entry in _entries("error").items()}
    for name, inputs in builtin.items():
        entry = {"name": name, "inputs": inputs}
        ours[keccak(text=signature(entry))[:4]] = entry
    return ours


def refusal(data: bytes) -> Refusal:
    """Decodes revert data; an error of no contract of ours is named by its selector."""
    if not data:
        return Refusal("", SimpleNamespace())
    entry = _errors().get(data[:4])
    if entry is None:
        return Refusal(data[:4].hex(), SimpleNamespace())
    values = decode_parts(entry["inputs"], data[4:])
    named = {part["name"]: value for part, value in zip(entry["inputs"], values, strict=True)}
    return Refusal(entry["name"], SimpleNamespace(**named))


def event(log: Mapping[str, Any]) -> Event:
    topics = [bytes.fromhex(topic[2:]) for topic in log["topics"]]
    entry = _entries("event")[topics[0] + bytes([len(topics) - 1])]
    plain = [part for part in entry["inputs"] if not part["indexed"]]
    rest = iter(decode_parts(plain, bytes.fromhex(log["data"][2:])))
    words = iter(topics[1:])
    values = {
        part["name"]: decode_parts([part], next(words))[0] if part["indexed"] else next(rest)
        for part in entry["inputs"]
    }
    return Event(entry["name"], log["address"].lower(), SimpleNamespace(**values))
