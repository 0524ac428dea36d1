"""slither-mutate's mutants: tests must notice when a statement reverts (RR) or is left out (CR).

mutant_builds.py compiles them. The built unit tests then run on the artifacts (see tests/assurance/base/Scene.sol), and
the invariants on what is left.

Outcomes are kept in build/assure/mutants, so that a run that was stopped goes on where it was. They are void when the
contracts change or a line is gone from the Solidity tests. When lines were only added, what was caught stays so, and
survivors are tried again. `ACTP_MUTANTS` names the files to do (part of their path), all of them if it is not set;
`ACTP_WORKERS` tests run at once.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import threading
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

from scripts.assure.mutant_builds import Build, Builder, Mutant
from scripts.assure.plain_code import UNITS, PlainCode, Trials
from scripts.assure.workspace import ASSURANCE, ROOT, Failed, Workspace, python_tool

COMMITTED = ASSURANCE / "mutants.json"
KINDS = ("RR", "CR")
CR_CAUGHT_AT_LEAST = 0.95
WORKERS = int(os.environ.get("ACTP_WORKERS", "2"))
SHORT = {"FOUNDRY_INVARIANT_RUNS": "8", "FOUNDRY_INVARIANT_SHRINK_RUN_LIMIT": "0"}
INVALID, CAUGHT, SURVIVED = "invalid", "caught", "survived"


def run() -> str:
    campaign = Campaign()
    campaign.prepare()
    wanted = os.environ.get("ACTP_MUTANTS", "")
    chosen = [mutant for mutant in campaign.list() if re.search(wanted, mutant.file)]
    campaign.work(chosen)
    return report([(mutant, campaign.outcomes[mutant]) for mutant in chosen], complete=not wanted)


class Campaign:
    """Tests mutants in the working copy of the invariants, whose tests are built once."""

    def __init__(self) -> None:
        self.trials = Trials()
        self.folder = self.trials.folder / "mutants"
        self.log = self.folder / "outcomes.jsonl"
        self.code = PlainCode(self.trials.folder)
        self.builder = Builder(self.code)
        self.outcomes: dict[Mutant, str] = {}
        self.tests = ""

    def prepare(self) -> None:
        """Compile what is not mutated, see that the tests pass on it, and read earlier outcomes."""
        base = self.folder / "base"
        base.mkdir(parents=True, exist_ok=True)
        for unit in UNITS:
            artifact = self.code.compile(unit, {})
            if artifact is None:
                raise Failed(f"{unit} does not compile")
            (base / f"{unit}.json").write_text(json.dumps(artifact), encoding="utf-8")
        if not self._passes(base, "unit") or not self._passes(base, "invariants"):
            raise Failed("the tests fail without any mutant")
        self._remember()

    def list(self) -> list[Mutant]:
        """What slither-mutate would make of the contracts; they are asked for once."""
        output = self.folder / "mutants.json"
        if not output.is_file():
            project = Workspace.make("assure-slither", tests=())
            project.fresh("out")
            project.fresh("cache")
            project.build("--build-info")
            script = ROOT / "scripts" / "assure" / "list_mutants.py"
            done = project.run([python_tool("python"), script, output], show=False)
            if not output.is_file():
                raise Failed(f"slither lists no mutants\n{done.stderr}")
        return [Mutant(**entry) for entry in json.loads(output.read_text(encoding="utf-8"))]

    def work(self, mutants: Iterable[Mutant]) -> None:
        """Find the outcome of each: `invalid` if it does not compile, `caught`, or `survived`."""
        todo = [mutant for mutant in mutants if mutant not in self.outcomes]
        unparsable = self.builder.unparsable(todo)
        for mutant in todo:
            if mutant in unparsable:
                self._note(mutant, INVALID)
        for build, invalid in self.builder.builds([mutant for mutant in todo if mutant not in unparsable]):
            for mutant in invalid:
                self._note(mutant, INVALID)
            if build.switched and not self._passes(self._put(build, 0), "unit"):
                raise Failed(
                    f"the tests fail without any mutant in a build for {build.mutants[min(build.mutants)].file}"
                )
            with ThreadPoolExecutor(WORKERS) as pool:
                verdicts = pool.map(lambda number, build=build: self._verdict(build, number), build.mutants)
                for mutant, verdict in zip(build.mutants.values(), verdicts, strict=True):
                    self._note(mutant, verdict)

    def _verdict(self, build: Build, number: int) -> str:
        folder = self._put(build, number)
        return SURVIVED if self._passes(folder, "unit") and self._passes(folder, "invariants") else CAUGHT

    def _put(self, build: Build, number: int) -> Path:
        """A folder of this thread with the artifacts of a mutant."""
        folder = self.folder / f"worker-{threading.get_ident()}"
        folder.mkdir(exist_ok=True)
        for unit in UNITS:
            (folder / f"{unit}.json").write_bytes((self.folder / "base" / f"{unit}.json").read_bytes())
        for unit, artifact in build.numbered(number):
            (folder / f"{unit}.json").write_text(artifact, encoding="utf-8")
        return folder

    def _passes(self, code: Path, tests: str) -> bool:
        short = {**SHORT, "FOUNDRY_INVARIANT_FAILURE_PERSIST_DIR": str(code / "failures")}
        return self.trials.run(tests, code, extra=short).returncode == 0

    def _note(self, mutant: Mutant, outcome: str) -> None:
        self.outcomes[mutant] = outcome
        with self.log.open("a", encoding="utf-8") as log:
            log.write(json.dumps({"outcome": outcome, "tests": self.tests, **asdict(mutant)}) + "\n")
        if outcome != INVALID:
            print(f"{outcome:<9}{mutant.kind} {mutant.file}:{mutant.line} {_code(mutant)[:70]}", flush=True)

    def _remember(self) -> None:
        """Read the outcomes that are still good."""
        contracts = sorted((self.trials.folder / "contracts").rglob("*.sol"))
        digest = hashlib.sha256(b"".join(path.read_bytes() for path in contracts)).hexdigest()
        sources = sorted(ASSURANCE.rglob("*.sol"))
        lines = Counter(line for path in sources for line in path.read_text(encoding="utf-8").splitlines())
        self.tests = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()
        basis = self.folder / "basis.json"
        known = json.loads(basis.read_text(encoding="utf-8")) if basis.is_file() else {"contracts": "", "lines": {}}
        if known["contracts"] != digest:
            (self.folder / "mutants.json").unlink(missing_ok=True)
        if known["contracts"] != digest or Counter(known["lines"]) - lines:
            self.log.unlink(missing_ok=True)
        basis.write_text(json.dumps({"contracts": digest, "lines": lines}), encoding="utf-8")
        for entry in map(json.loads, self.log.read_text(encoding="utf-8").splitlines() if self.log.is_file() else []):
            outcome, tests = entry.pop("outcome"), entry.pop("tests")
            if outcome != SURVIVED or tests == self.tests:
                self.outcomes[Mutant(**entry)] = outcome


def report(outcomes: list[tuple[Mutant, str]], *, complete: bool) -> str:
    """Compare the survivors with the committed list, in which each has its reason."""
    counts: Counter[tuple[str, str, str]] = Counter()
    for mutant, outcome in outcomes:
        counts[mutant.file, mutant.kind, outcome] += 1
    for file in sorted({mutant.file for mutant, _ in outcomes}):
        cells = [_share(counts, file, kind) for kind in KINDS]
        print(f"  {file:<38} RR {cells[0]:>12}   CR {cells[1]:>12}")
    entries = json.loads(COMMITTED.read_text(encoding="utf-8"))["survivors"]
    explained = Counter((entry["file"], entry["kind"], entry["code"]) for entry in entries)
    survivors = [mutant for mutant, outcome in outcomes if outcome == SURVIVED]
    problems = []
    for mutant in survivors:
        key = (mutant.file, mutant.kind, _code(mutant))
        if explained[key] > 0:
            explained[key] -= 1
        else:
            problems.append(f"survived without a reason: {mutant.kind} {mutant.file}:{mutant.line} {key[2]}")
    if complete:
        problems += [f"a reason for what did not survive: {kind} {file} {code}" for file, kind, code in +explained]
    caught = {kind: sum(count for key, count in counts.items() if key[1:] == (kind, CAUGHT)) for kind in KINDS}
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
    caught, survived = counts[file, kind, CAUGHT], counts[file, kind, SURVIVED]
    return f"{caught} of {caught + survived}"
