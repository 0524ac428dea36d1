"""slither-mutate's mutants: tests must notice when a statement reverts (RR) or is left out (CR).

Each mutant is compiled for itself, without optimization, and only as far as it concerns: kernel, extension or vault.
The built unit tests then run on the artifacts (see tests/assurance/base/Scene.sol), and the invariants on what is left.
Results are kept in build/assure/mutants, so that a run that was stopped goes on where it was. `ACTP_MUTANTS` names the
files to do (part of their path), all of them if it is not set.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from scripts.assure.workspace import ASSURANCE, ROOT, Failed, Workspace, compiler, forge, python_tool

COMMITTED = ASSURANCE / "mutants.json"
KINDS = ("RR", "CR")
CR_CAUGHT_AT_LEAST = 0.95
WORKERS = int(os.environ.get("ACTP_WORKERS", "2"))
KERNEL, EXTENSION, VAULT = "ACTPKernel", "KernelExtension", "EscrowVault"
ONLY_KERNEL = {"contracts/ACTPKernel.sol", "contracts/kernel/Cancellations.sol"}
RARE = ("Disputes", "Funding", "Governance", "Milestones", "Signatures")
ONLY_EXTENSION = {"contracts/KernelExtension.sol", *(f"contracts/kernel/{name}.sol" for name in RARE)}
NO_EXTENSION = """\
// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;
import {IKernelTypes} from "./interfaces/IKernelTypes.sol";
contract KernelExtension { constructor(address, IKernelTypes.Economics memory) {} }
"""


@dataclass(frozen=True)
class Mutant:
    """`start` and `end` are offsets in bytes; `new` takes the place of what is between them."""

    file: str
    kind: str
    start: int
    end: int
    line: int
    new: str

    def units(self) -> list[str]:
        if self.file == "contracts/EscrowVault.sol":
            return [VAULT]
        if self.file in ONLY_KERNEL:
            return [KERNEL]
        return [EXTENSION] if self.file in ONLY_EXTENSION else [EXTENSION, KERNEL]


def run() -> str:
    campaign = Campaign()
    campaign.prepare()
    wanted = os.environ.get("ACTP_MUTANTS", "")
    chosen = [mutant for mutant in campaign.list() if re.search(wanted, mutant.file)]
    with ThreadPoolExecutor(WORKERS) as pool:
        outcomes = list(pool.map(campaign.outcome, chosen))
    return report(list(zip(chosen, outcomes, strict=True)), complete=not wanted)


class Campaign:
    """Compiles and tests mutants in the working copy of the invariants, whose tests are built once."""

    def __init__(self) -> None:
        self.workspace = Workspace.make("assure")
        self.folder = self.workspace.folder / "mutants"
        self.log = self.folder / "outcomes.jsonl"
        self.known: dict[str, str] = {}
        self.lock = threading.Lock()
        self.state = ""

    def prepare(self) -> None:
        """Build the tests, compile what is not mutated, and see that the tests pass on it."""
        self.workspace.build("--ast", "--extra-output", "storageLayout", "metadata")
        base = self.folder / "base"
        base.mkdir(parents=True, exist_ok=True)
        for unit in (KERNEL, EXTENSION, VAULT):
            artifact = self._compile(unit, "", b"")
            if artifact is None:
                raise Failed(f"{unit} does not compile")
            (base / f"{unit}.json").write_text(json.dumps(artifact), encoding="utf-8")
        if not self._passes(base, "unit"):
            raise Failed("the unit tests fail without any mutant")
        sources = [*(self.workspace.folder / "contracts").rglob("*.sol"), *(ASSURANCE.rglob("*.sol"))]
        self.state = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(sources))).hexdigest()[:16]
        if self.log.is_file():
            lines = map(json.loads, self.log.read_text(encoding="utf-8").splitlines())
            self.known = {line["key"]: line["outcome"] for line in lines}

    def list(self) -> list[Mutant]:
        project = Workspace.make("assure-slither", tests=False)
        project.fresh("out")
        project.fresh("cache")
        project.build("--build-info")
        output = project.fresh("mutants.json")
        script = ROOT / "scripts" / "assure" / "list_mutants.py"
        done = project.run([python_tool("python"), script, output.name], show=False)
        if not output.is_file():
            raise Failed(f"slither lists no mutants\n{done.stderr}")
        return [Mutant(**entry) for entry in json.loads(output.read_text(encoding="utf-8"))]

    def outcome(self, mutant: Mutant) -> str:
        """`invalid` if it does not compile, `caught`, or `survived`."""
        key = hashlib.sha256(f"{self.state}{asdict(mutant)}".encode()).hexdigest()
        if key in self.known:
            return self.known[key]
        outcome = self._try(mutant)
        with self.lock, self.log.open("a", encoding="utf-8") as log:
            log.write(json.dumps({"key": key, "outcome": outcome, **asdict(mutant)}) + "\n")
            first = mutant.new.splitlines()[0][:70]
            print(f"{outcome:<9}{mutant.kind} {mutant.file}:{mutant.line} {first}", flush=True)
        return outcome

    def _try(self, mutant: Mutant) -> str:
        content = (self.workspace.folder / mutant.file).read_bytes()
        changed = content[: mutant.start] + mutant.new.encode() + content[mutant.end :]
        folder = self.folder / f"worker-{threading.get_ident()}"
        shutil.copytree(self.folder / "base", folder, dirs_exist_ok=True)
        for unit in mutant.units():
            artifact = self._compile(unit, mutant.file, changed)
            if artifact is None:
                return "invalid"
            (folder / f"{unit}.json").write_text(json.dumps(artifact), encoding="utf-8")
        caught = not self._passes(folder, "unit") or not self._passes(folder, "invariants")
        return "caught" if caught else "survived"

    def _passes(self, code: Path, tests: str) -> bool:
        environment = {"ACTP_MUTANT": str(code.relative_to(self.workspace.folder)), "FOUNDRY_INVARIANT_RUNS": "8"}
        command: list[str | Path] = [forge(), "test", "--match-path", f"tests/assurance/{tests}/*"]
        return self.workspace.run(command, environment, show=False).returncode == 0

    def _compile(self, unit: str, file: str, changed: bytes) -> dict[str, Any] | None:
        target = f"contracts/{unit}.sol"
        sources = {target: (self.workspace.folder / target).read_bytes()}
        if unit == KERNEL:
            sources["contracts/KernelExtension.sol"] = NO_EXTENSION.encode()
        if file:
            sources[file] = changed
        request = {
            "language": "Solidity",
            "sources": {name: {"content": content.decode()} for name, content in sources.items()},
            "settings": {
                # Only the vault compiles without the intermediate representation, which takes longer.
                "viaIR": unit != VAULT,
                "optimizer": {"enabled": unit == VAULT},
                "evmVersion": "cancun",
                "outputSelection": {target: {unit: ["abi", "evm.bytecode.object", "evm.deployedBytecode.object"]}},
            },
        }
        command = [str(compiler()), "--standard-json", "--base-path", ".", "--include-path", "node_modules"]
        done = subprocess.run(
            command, cwd=self.workspace.folder, input=json.dumps(request), capture_output=True, text=True, check=True
        )
        answer = json.loads(done.stdout)
        if any(problem["severity"] == "error" for problem in answer.get("errors", [])):
            return None
        made = answer["contracts"][target][unit]
        return {
            "abi": made["abi"],
            "bytecode": {"object": "0x" + made["evm"]["bytecode"]["object"], "linkReferences": {}},
            "deployedBytecode": {"object": "0x" + made["evm"]["deployedBytecode"]["object"], "linkReferences": {}},
        }


def report(outcomes: list[tuple[Mutant, str]], *, complete: bool) -> str:
    """Compare the survivors with the committed list, in which each has its reason."""
    counts: Counter[tuple[str, str, str]] = Counter()
    for mutant, outcome in outcomes:
        counts[mutant.file, mutant.kind, outcome] += 1
    for file in sorted({mutant.file for mutant, _ in outcomes}):
        cells = [_share(counts, file, kind) for kind in KINDS]
        print(f"  {file:<38} RR {cells[0]:>12}   CR {cells[1]:>12}")
    reasons = {
        (entry["file"], entry["kind"], entry["code"]): entry["why"]
        for entry in json.loads(COMMITTED.read_text(encoding="utf-8"))["survivors"]
    }
    survivors = [mutant for mutant, outcome in outcomes if outcome == "survived"]
    open_ = [mutant for mutant in survivors if (mutant.file, mutant.kind, _code(mutant)) not in reasons]
    problems = [f"survived without a reason: {m.kind} {m.file}:{m.line} {_code(m)}" for m in open_]
    caught = {kind: sum(count for key, count in counts.items() if key[1:] == (kind, "caught")) for kind in KINDS}
    total = {kind: caught[kind] + sum(mutant.kind == kind for mutant in survivors) for kind in KINDS}
    if caught["RR"] < total["RR"]:
        problems.append(f"only {caught['RR']} of {total['RR']} revert mutants were caught; all must be")
    if caught["CR"] < CR_CAUGHT_AT_LEAST * total["CR"]:
        problems.append(f"only {caught['CR']} of {total['CR']} comment-out mutants were caught")
    if problems:
        raise Failed("\n".join(problems))
    scope = "" if complete else " of the chosen files"
    return f"caught{scope}: RR {caught['RR']} of {total['RR']}, CR {caught['CR']} of {total['CR']}"


def _code(mutant: Mutant) -> str:
    """The statement that was changed, on one line."""
    content = (ROOT / mutant.file).read_bytes()[mutant.start : mutant.end]
    return " ".join(content.decode().split())


def _share(counts: Counter[tuple[str, str, str]], file: str, kind: str) -> str:
    caught, survived = counts[file, kind, "caught"], counts[file, kind, "survived"]
    return f"{caught} of {caught + survived}"
