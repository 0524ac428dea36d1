"""The compiled contracts: what scripts/compile.py wrote, as shipped in the wheel or as found in the checkout."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from actp.errors import ConfigError, InvalidInput
from actp.units import keccak, to_checksum
from actp.words import Shape, read_words, shape_of

__all__ = ["Artifact", "folder", "load", "load_all", "parse", "signature_of"]

_PACKAGED = Path(__file__).parent / "_data" / "artifacts"
_CHECKOUT = Path(__file__).parents[1] / "contracts" / "artifacts"


@dataclass(frozen=True)
class Artifact:
    """One compiled contract. `abi` is the JSON ABI; `immutables` are the (start, length) of the bytes of
    `deployed_bytecode` that the constructor fills in; `metadata` is solc's own JSON text.
    """

    name: str
    abi: tuple[dict[str, Any], ...]
    bytecode: bytes = field(repr=False)
    deployed_bytecode: bytes = field(repr=False)
    immutables: tuple[tuple[int, int], ...] = field(repr=False)
    metadata: str = field(repr=False)

    def creation_code(self, arguments: Sequence[Any] = ()) -> bytes:
        """Data of the eth transaction that deploys the contract; a struct argument is a tuple. Raises InvalidInput."""
        constructors: list[list[dict[str, Any]]] = [e["inputs"] for e in self.abi if e["type"] == "constructor"]
        inputs = constructors[0] if constructors else []
        return self.bytecode + _encode(f"{self.name}'s constructor", inputs, arguments)

    def call_data(self, function: str, arguments: Sequence[Any] = ()) -> bytes:
        """Data of a call of `function`, which must not be overloaded. Raises InvalidInput."""
        selector, inputs = self._selected(function)
        return selector + _encode(function, inputs, arguments)

    def decode_result(self, function: str, data: bytes) -> tuple[Any, ...]:
        """The values that `function` returned; addresses are checksummed, bytes are bytes. Raises ConfigError."""
        from eth_abi.abi import decode
        from eth_abi.exceptions import DecodingError

        outputs, shape = self._answer(function)
        # What does not fit is left to the general decoder, which says what is wrong with it.
        values = None if shape is None else read_words(shape, data)
        if values is not None:
            return values
        types = [_type_of(output) for output in outputs]
        try:
            return tuple(_checksummed(*pair) for pair in zip(outputs, decode(types, data), strict=True))
        except (DecodingError, UnicodeDecodeError) as error:
            raise ConfigError(
                f"{self.name}.{function} answered with something else than {', '.join(types)}.",
                hint="Check that the address is that of this contract.",
            ) from error

    def matches(self, code: bytes) -> bool:
        """Whether `code`, found at an address, is this contract, whatever its immutables are."""
        return len(code) == len(self.deployed_bytecode) and self._masked(code) == self._masked(self.deployed_bytecode)

    def _masked(self, code: bytes) -> bytes:
        masked = bytearray(code)
        for start, length in self.immutables:
            masked[start : start + length] = bytes(length)
        return bytes(masked)

    def _selected(self, function: str) -> tuple[bytes, list[dict[str, Any]]]:
        """Selector and inputs of a function, which are worked out once."""
        known = self._selectors.get(function)
        if known is None:
            entry = self._function(function)
            known = keccak(signature_of(entry).encode())[:4], entry["inputs"]
            self._selectors[function] = known
        return known

    def _answer(self, function: str) -> tuple[list[dict[str, Any]], Shape | None]:
        """Outputs of a function, and their shape if it is a simple one; worked out once."""
        known = self._answers.get(function)
        if known is None:
            outputs = self._function(function)["outputs"]
            known = self._answers[function] = outputs, shape_of(outputs)
        return known

    @cached_property
    def _answers(self) -> dict[str, tuple[list[dict[str, Any]], Shape | None]]:
        return {}

    @cached_property
    def _selectors(self) -> dict[str, tuple[bytes, list[dict[str, Any]]]]:
        return {}

    def _function(self, name: str) -> dict[str, Any]:
        found = [entry for entry in self.abi if entry["type"] == "function" and entry["name"] == name]
        if len(found) != 1:
            raise InvalidInput(f"{self.name} has {len(found)} functions named {name}.")
        return found[0]


def signature_of(entry: dict[str, Any]) -> str:
    """The canonical signature of an ABI function, event or error: `transfer(address,uint256)`."""
    return f"{entry['name']}({','.join(_type_of(part) for part in entry['inputs'])})"


def _type_of(part: dict[str, Any]) -> str:
    kind = str(part["type"])
    if kind.startswith("tuple"):
        return f"({','.join(_type_of(inner) for inner in part['components'])}){kind[len('tuple') :]}"
    return kind


def _checksummed(part: dict[str, Any], value: Any) -> Any:
    """A decoded value, with its addresses as they are written everywhere else."""
    kind = str(part["type"])
    if kind.endswith("]"):
        inner = {**part, "type": kind[: kind.rindex("[")]}
        return tuple(_checksummed(inner, each) for each in value)
    if kind == "tuple":
        return tuple(_checksummed(*pair) for pair in zip(part["components"], value, strict=True))
    return to_checksum(value) if kind == "address" else value


def _encode(what: str, inputs: Sequence[dict[str, Any]], arguments: Sequence[Any]) -> bytes:
    from eth_abi.abi import encode
    from eth_abi.exceptions import EncodingError

    types = [_type_of(part) for part in inputs]
    if len(types) != len(arguments):
        raise InvalidInput(f"{what} takes {len(types)} arguments ({', '.join(types)}), not {len(arguments)}.")
    try:
        return encode(types, list(arguments))
    except (EncodingError, TypeError, ValueError) as error:
        raise InvalidInput(f"{what} takes ({', '.join(types)}): {error}") from error


def folder() -> Path:
    """Where the artifacts are: packaged with the wheel, else in the checkout. Raises ConfigError."""
    for candidate in (_PACKAGED, _CHECKOUT):
        if candidate.is_dir():
            return candidate
    raise ConfigError("The compiled contracts are missing.", hint="Install actp-escrow again, or run `make compile`.")


@cache
def load(name: str) -> Artifact:
    """The artifact of one contract, such as "ACTPKernel". Raises ConfigError."""
    path = folder() / f"{name}.json"
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        known = ", ".join(sorted(file.stem for file in folder().glob("*.json")))
        raise ConfigError(f"There is no compiled contract {name}.", hint=f"There are {known}.") from error
    return parse(text, name)


@cache
def load_all() -> tuple[Artifact, ...]:
    """Every artifact that ships with the package, by name."""
    return tuple(load(path.stem) for path in sorted(folder().glob("*.json")))


def parse(text: str, name: str) -> Artifact:
    """An artifact from JSON text in the shape of Foundry and Hardhat. Raises ConfigError."""
    try:
        content = json.loads(text)
        deployed = content["deployedBytecode"]
        spans = [span for uses in deployed.get("immutableReferences", {}).values() for span in uses]
        return Artifact(
            name=name,
            abi=tuple(content["abi"]),
            bytecode=_code(content["bytecode"]["object"]),
            deployed_bytecode=_code(deployed["object"]),
            immutables=tuple(sorted((span["start"], span["length"]) for span in spans)),
            metadata=str(content["metadata"]),
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"The artifact {name} is damaged ({error!r}).", hint="Run `make compile`.") from error


def _code(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))
