"""Changed copies of the contracts, compiled fast: without optimization, and only the parts that differ.

The unit tests and invariants run on such artifacts where `ACTP_MUTANT` says (see tests/assurance/base/Scene.sol).
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.assure.workspace import Failed, Workspace, compiler, forge

KERNEL, EXTENSION, VAULT = "ACTPKernel", "KernelExtension", "EscrowVault"
UNITS = (KERNEL, EXTENSION, VAULT)
NO_EXTENSION = """\
// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;
import {IKernelTypes} from "./interfaces/IKernelTypes.sol";
contract KernelExtension { constructor(address, IKernelTypes.Economics memory) {} }
"""

PLAIN = {"FOUNDRY_OPTIMIZER": "false", "FOUNDRY_AST": "false"}
LAUNCHER = """\
#!/bin/sh
[ "$1" != --version ] || exec cat "$0.version"
exec "{compiler}" "$@"
"""

Node = Mapping[str, Any]
Artifact = dict[str, Any]


class Trials:
    """Runs the tests, which are built once and without optimization, on changed artifacts."""

    def __init__(self) -> None:
        self.workspace = Workspace.make("assure-plain", tests=("base", "invariants", "unit"))
        self.folder = self.workspace.folder
        # forge asks for the compiler's version at every start, and loading the compiler would take half of the time.
        launcher = self.folder / "solc"
        asked = subprocess.run([str(compiler()), "--version"], capture_output=True, text=True, check=True)
        (self.folder / "solc.version").write_text(asked.stdout, encoding="utf-8")
        launcher.write_text(LAUNCHER.format(compiler=compiler()), encoding="utf-8")
        launcher.chmod(0o755)
        self.settings = {**PLAIN, "FOUNDRY_SOLC": str(launcher)}
        (self.folder / "tallies").mkdir(exist_ok=True)
        built = self.workspace.run([forge(), "build"], self.settings, show=False)
        if built.returncode != 0:
            raise Failed(f"the contracts or their tests do not compile:\n{built.stdout}{built.stderr}")

    def run(
        self, tests: str, artifacts: Path, *options: str, extra: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """`unit` or `invariants`, on a folder of artifacts below `folder`."""
        settings = {**self.settings, "ACTP_MUTANT": str(artifacts.relative_to(self.folder)), **(extra or {})}
        command: list[str | Path] = [forge(), "test", "--match-path", f"tests/assurance/{tests}/*", *options]
        return self.workspace.run(command, settings, show=False)


@dataclass(frozen=True)
class PlainCode:
    """A folder with the contracts and `node_modules`. `changed` in its methods are files that differ from there."""

    folder: Path

    def read(self, file: str) -> bytes:
        return (self.folder / file).read_bytes()

    def nodes(self, file: str) -> Iterator[Node]:
        """The syntax tree of a file, outer nodes first."""
        answer = self.ask({file: self.read(file)}, {file: {"": ["ast"]}})
        return _below(answer["sources"][file]["ast"])

    def errors(self, changed: Mapping[str, bytes], **settings: Any) -> list[Node]:
        """Why the files do not compile; nothing is generated, which is much faster."""
        return _errors(self.ask(changed, {}, **settings))

    def compile(self, unit: str, changed: Mapping[str, bytes]) -> Artifact | None:
        """An artifact that forge reads, or None if there is none. The kernel is compiled without its extension."""
        target = f"contracts/{unit}.sol"
        sources = {target: self.read(target), **changed}
        if unit == KERNEL:
            sources["contracts/KernelExtension.sol"] = NO_EXTENSION.encode()
        wanted = ["abi", "evm.bytecode.object", "evm.deployedBytecode.object"]
        answer = self.ask(sources, {target: {unit: wanted}}, viaIR=True, optimizer={"enabled": False})
        if _errors(answer):
            return None
        made = answer["contracts"][target][unit]
        return {
            "abi": made["abi"],
            "bytecode": {"object": "0x" + made["evm"]["bytecode"]["object"], "linkReferences": {}},
            "deployedBytecode": {"object": "0x" + made["evm"]["deployedBytecode"]["object"], "linkReferences": {}},
        }

    def ask(self, sources: Mapping[str, bytes], outputs: dict[str, dict[str, list[str]]], **settings: Any) -> Any:
        """The compiler's answer in its own format."""
        request = {
            "language": "Solidity",
            "sources": {name: {"content": content.decode()} for name, content in sources.items()},
            "settings": {"evmVersion": "cancun", "outputSelection": outputs, **settings},
        }
        command = [str(compiler()), "--standard-json", "--base-path", ".", "--include-path", "node_modules"]
        done = subprocess.run(
            command, cwd=self.folder, input=json.dumps(request), capture_output=True, text=True, check=True
        )
        return json.loads(done.stdout)


def place(node: Node) -> tuple[int, int]:
    """Start and end of a node in its file, in bytes."""
    start, length, _ = map(int, node["src"].split(":"))
    return start, start + length


def _below(tree: Any) -> Iterator[Node]:
    if isinstance(tree, list):
        for part in tree:
            yield from _below(part)
    elif isinstance(tree, dict):
        if "nodeType" in tree:
            yield tree
        for part in tree.values():
            yield from _below(part)


def _errors(answer: Node) -> list[Node]:
    return [problem for problem in answer.get("errors", []) if problem["severity"] == "error"]
