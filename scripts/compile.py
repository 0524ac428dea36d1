"""Compile contracts/**/*.sol into contracts/artifacts/*.json.

    python scripts/compile.py            write the artifacts
    python scripts/compile.py --check    compile in memory and compare with the committed artifacts

Every source file is compiled by itself together with what it imports, so an artifact depends on nothing but the files
that its own metadata lists: adding a contract never changes the bytecode of another one.

The compiler is a native `solc` of exactly the pinned version where one is on PATH or installed by py-solc-x, else
npm's `solc` behind scripts/solc_shim.js. All of them give the same bytecode.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from solcx import install
from solcx.exceptions import SolcError
from solcx.wrapper import solc_wrapper

ROOT = Path(__file__).resolve().parents[1]
SHIM = Path(__file__).resolve().with_name("solc_shim.js")

SOLC_VERSION = "0.8.30"
SETTINGS: dict[str, Any] = {
    "evmVersion": "cancun",
    "viaIR": True,
    "optimizer": {"enabled": True, "runs": 10000},
}
ARTIFACT_KINDS = {"contract", "interface"}
OUTPUTS = [
    "abi",
    "metadata",
    "evm.bytecode.object",
    "evm.bytecode.linkReferences",
    "evm.deployedBytecode.object",
    "evm.deployedBytecode.immutableReferences",
]

MAX_RUNTIME_BYTES = 24_576
"""EIP-170: an account may not hold more code than this."""
MAX_INITCODE_BYTES = 49_152
"""EIP-3860: a creation transaction may not carry more code than this."""


class CompileError(Exception):
    """Something a person has to fix before the contracts compile; the message says what."""


@dataclass(frozen=True)
class Layout:
    """Where sources, npm packages and artifacts are found below one project directory."""

    root: Path

    @property
    def contracts(self) -> Path:
        return self.root / "contracts"

    @property
    def artifacts(self) -> Path:
        return self.contracts / "artifacts"

    @property
    def node_modules(self) -> Path:
        return self.root / ".tools" / "node_modules"

    def sources(self) -> list[str]:
        """Names of all own source files, relative to the root, sorted."""
        return sorted(path.relative_to(self.root).as_posix() for path in self.contracts.rglob("*.sol"))

    def artifact_path(self, source_name: str, contract_name: str) -> Path:
        """Contracts of contracts/test/ stay apart: their artifacts are not shipped."""
        folder = self.artifacts / "test" if source_name.startswith("contracts/test/") else self.artifacts
        return folder / f"{contract_name}.json"


@dataclass(frozen=True)
class Compiled:
    """One contract or interface as solc put it out. Sizes are in bytes, `text` is the artifact file's content."""

    name: str
    source_name: str
    runtime_bytes: int
    initcode_bytes: int
    text: str


@dataclass(frozen=True)
class Compiler:
    binary: Path
    label: str


def find_compiler(layout: Layout) -> Compiler:
    """Return the pinned compiler: native on PATH, native from py-solc-x, npm's; raise CompileError if there is none."""
    on_path = shutil.which("solc")
    if on_path is not None and _version_of(Path(on_path)) == SOLC_VERSION:
        return Compiler(Path(on_path), f"solc {SOLC_VERSION} (native, {on_path})")

    if SOLC_VERSION in {str(version) for version in install.get_installed_solc_versions()}:
        return Compiler(install.get_executable(SOLC_VERSION), f"solc {SOLC_VERSION} (native, py-solc-x)")

    package = layout.node_modules / "solc" / "package.json"
    if package.is_file() and shutil.which("node") is not None:
        installed = json.loads(package.read_text(encoding="utf-8"))["version"]
        if installed == SOLC_VERSION:
            return Compiler(SHIM, f"solc {SOLC_VERSION} (npm)")
    raise CompileError(
        f"No Solidity compiler {SOLC_VERSION} found. Either run `make tools` (needs node and npm; installs the "
        f"packages of contracts/package.json into .tools), or put a native solc {SOLC_VERSION} on PATH."
    )


def _version_of(binary: Path) -> str | None:
    answer = subprocess.run([str(binary), "--version"], capture_output=True, text=True, check=False)
    found = re.search(r"Version: (\d+\.\d+\.\d+)\+", answer.stdout)
    return found.group(1) if found else None


def compile_source(source_name: str, layout: Layout, compiler: Compiler) -> tuple[list[Compiled], list[str]]:
    """Compile one file; return its deployable contracts and interfaces, and warnings about own files.

    Raises CompileError with solc's own messages when the file does not compile.
    """
    request = {
        "language": "Solidity",
        "sources": {source_name: {"content": _read_exactly(layout.root / source_name)}},
        "settings": {**SETTINGS, "outputSelection": {source_name: {"": ["ast"], "*": OUTPUTS}}},
    }
    try:
        # Source names are relative to the base path or the include path, so metadata names no directory of a machine.
        answer, *_ = solc_wrapper(
            solc_binary=compiler.binary,
            stdin=json.dumps(request),
            standard_json=True,
            base_path=layout.root,
            include_path=layout.node_modules,
        )
    except SolcError as error:
        raise CompileError(f"{compiler.label} failed on {source_name}: {(error.stderr_data or '').strip()}") from error
    output = json.loads(answer)
    problems = output.get("errors", [])
    errors = [item["formattedMessage"] for item in problems if item["severity"] == "error"]
    if errors:
        raise CompileError("\n".join(errors).rstrip())
    kinds = _kinds(output["sources"][source_name]["ast"])
    contracts = output.get("contracts", {}).get(source_name, {})
    made = [_compiled(name, source_name, contracts[name]) for name, kind in kinds.items() if kind in ARTIFACT_KINDS]
    return made, [item["formattedMessage"].rstrip() for item in problems if not _is_about_a_library(item)]


def _is_about_a_library(problem: dict[str, Any]) -> bool:
    """Warnings inside of OpenZeppelin's files are its authors' business and would bury ours."""
    return str(problem.get("sourceLocation", {}).get("file", "")).startswith("@openzeppelin/")


def _read_exactly(path: Path) -> str:
    """Text with its line ends untouched: metadata carries the hash of these very bytes."""
    return path.read_bytes().decode("utf-8")


def _kinds(ast: dict[str, Any]) -> dict[str, str]:
    """Kind of each contract that the file itself declares: contract, interface, library or abstract."""
    declared = [node for node in ast["nodes"] if node["nodeType"] == "ContractDefinition"]
    return {node["name"]: "abstract" if node["abstract"] else node["contractKind"] for node in declared}


def _compiled(name: str, source_name: str, contract: dict[str, Any]) -> Compiled:
    initcode = contract["evm"]["bytecode"]
    runtime = contract["evm"]["deployedBytecode"]
    if initcode["linkReferences"]:
        raise CompileError(f"{name} needs linked libraries, which these artifacts do not support.")
    artifact = {
        "contractName": name,
        "sourceName": source_name,
        "abi": contract["abi"],
        "bytecode": {"object": "0x" + initcode["object"]},
        "deployedBytecode": {
            "object": "0x" + runtime["object"],
            "immutableReferences": runtime["immutableReferences"],
        },
        "metadata": contract["metadata"],
    }
    text = json.dumps(artifact, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    return Compiled(name, source_name, len(runtime["object"]) // 2, len(initcode["object"]) // 2, text)


def compile_all(layout: Layout, compiler: Compiler) -> tuple[list[Compiled], list[str]]:
    """Compile every own source file; return the artifacts sorted by file and name, and all warnings without repeats."""
    sources = layout.sources()
    if not sources:
        raise CompileError(f"No Solidity files under {layout.contracts}.")
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        results = list(pool.map(lambda name: compile_source(name, layout, compiler), sources))
    compiled = [item for items, _ in results for item in items]
    by_path: dict[Path, Compiled] = {}
    for item in compiled:
        twin = by_path.setdefault(layout.artifact_path(item.source_name, item.name), item)
        if twin is not item:
            raise CompileError(f"{item.name} is declared in both {twin.source_name} and {item.source_name}.")
    return compiled, list(dict.fromkeys(warning for _, warnings in results for warning in warnings))


def too_large(compiled: Iterable[Compiled]) -> list[str]:
    """One sentence for each contract that no chain would accept."""
    problems = []
    for item in compiled:
        for label, size, limit in (
            ("runtime code", item.runtime_bytes, MAX_RUNTIME_BYTES),
            ("initcode", item.initcode_bytes, MAX_INITCODE_BYTES),
        ):
            if size > limit:
                problems.append(
                    f"{item.name}: {label} has {size:,} bytes, {size - limit:,} above the limit of {limit:,}."
                )
    return problems


def write(layout: Layout, compiled: Iterable[Compiled]) -> None:
    """Write the artifacts that changed and remove those whose source is gone."""
    wanted = {layout.artifact_path(item.source_name, item.name): item.text for item in compiled}
    for path, text in wanted.items():
        content = text.encode("utf-8")
        if path.is_file() and path.read_bytes() == content:
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        # A test run in the same checkout must never read half a file.
        partial = path.with_suffix(".json.partial")
        partial.write_bytes(content)
        partial.replace(path)
    for path in set(layout.artifacts.rglob("*.json")) - wanted.keys():
        path.unlink()


def first_difference(layout: Layout, compiled: Iterable[Compiled]) -> str | None:
    """Say where the committed artifacts first differ from the compiled ones; None when they are equal."""
    wanted = {layout.artifact_path(item.source_name, item.name): item.text for item in compiled}
    for path in sorted(wanted.keys() | set(layout.artifacts.rglob("*.json"))):
        name = path.relative_to(layout.root).as_posix()
        if path not in wanted:
            return f"{name} has no source any more."
        if not path.is_file():
            return f"{name} is missing."
        committed = path.read_bytes().decode("utf-8")
        if committed != wanted[path]:
            return f"{name} differs in {_differing_part(json.loads(committed), json.loads(wanted[path]))}."
    return None


def _differing_part(committed: dict[str, Any], expected: dict[str, Any]) -> str:
    for field in ("bytecode", "deployedBytecode"):
        old, new = committed.get(field, {}).get("object", ""), expected[field]["object"]
        if old != new:
            was, now = (bytes.fromhex(text.removeprefix("0x")) for text in (old, new))
            same = next(
                (at for at, (a, b) in enumerate(zip(was, now, strict=False)) if a != b), min(len(was), len(now))
            )
            return f"{field} (from byte {same:,} on: {len(was):,} bytes committed, {len(now):,} compiled)"
    changed = [
        field for field in sorted(committed.keys() | expected.keys()) if committed.get(field) != expected.get(field)
    ]
    return ", ".join(changed) or "formatting"


def size_table(compiled: Iterable[Compiled]) -> str:
    """Runtime and initcode bytes of everything that can be deployed, with the room that is left under EIP-170."""
    rows = [["contract", "runtime bytes", "initcode bytes", "room left"]]
    for item in compiled:
        if item.initcode_bytes:
            sizes = (item.runtime_bytes, item.initcode_bytes, MAX_RUNTIME_BYTES - item.runtime_bytes)
            rows.append([item.name, *(f"{size:,}" for size in sizes)])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip() for row in rows
    )


def main(argv: list[str] | None = None, root: Path = ROOT) -> int:
    parser = argparse.ArgumentParser(description="Compile contracts/**/*.sol into contracts/artifacts/*.json.")
    parser.add_argument("--check", action="store_true", help="compare with the committed artifacts, write nothing")
    options = parser.parse_args(argv)
    layout = Layout(root)
    try:
        compiler = find_compiler(layout)
        compiled, warnings = compile_all(layout, compiler)
    except CompileError as error:
        print(error, file=sys.stderr)
        return 1
    for warning in warnings:
        print(warning, file=sys.stderr)
    print(size_table(compiled))

    problems = too_large(compiled)
    if options.check:
        difference = first_difference(layout, compiled)
        if difference is not None:
            problems.append(f"{difference} Run `make compile` and commit the result.")
    if problems:
        print("\n".join(problems), file=sys.stderr)
        return 1
    if not options.check:
        write(layout, compiled)
    outcome = "match the sources" if options.check else "written"
    print(f"{len(compiled)} artifacts {outcome}, compiled by {compiler.label}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
