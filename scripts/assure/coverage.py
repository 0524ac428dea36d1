"""Branches that the forge unit tests take: each condition of an `if`, a loop or `?:`, once true and once false.

forge's own coverage cannot compile the kernel, whose functions need the optimizer to fit on the stack. Here every
condition `c` becomes `seen(number, c)`, which logs number and outcome to forge's console. Conditions in assembly do not
count; the invariants, tests/contracts and tests/model are not looked at.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from scripts.assure.plain_code import UNITS, Node, PlainCode, Trials, place
from scripts.assure.workspace import Failed

CONDITIONED = ("IfStatement", "Conditional", "ForStatement", "WhileStatement", "DoWhileStatement")
LEFT_OUT = {"contracts/TestUSDC.sol"}
PROBE = "contracts/Probe.sol"
PROBE_SOURCE = """\
// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

function seen(uint256 number, bool outcome) pure returns (bool) {
    function(uint256) view writes = _log;
    function(uint256) pure pretends;
    assembly ("memory-safe") {
        pretends := writes
    }
    pretends(2 * number + (outcome ? 1 : 0));
    return outcome;
}

function _log(uint256 number) view {
    bytes memory data = abi.encodeWithSignature("log(uint256)", number);
    assembly ("memory-safe") {
        pop(staticcall(gas(), 0x636F6e736F6c652e6c6f67, add(data, 0x20), mload(data), 0, 0))
    }
}
"""


@dataclass(frozen=True)
class Condition:
    """Offsets are in bytes."""

    file: str
    start: int
    end: int
    line: int


def run() -> str:
    trials = Trials()
    code = PlainCode(trials.folder)
    files = [path.relative_to(trials.folder).as_posix() for path in (trials.folder / "contracts").rglob("*.sol")]
    conditions = [found for file in sorted(files) if file not in LEFT_OUT for found in _conditions(code, file)]
    folder = trials.folder / "probes"
    folder.mkdir(exist_ok=True)
    changed = _with_probes(code, conditions)
    for unit in UNITS:
        artifact = code.compile(unit, changed)
        if artifact is None:
            raise Failed(f"{unit} does not compile with probes")
        (folder / f"{unit}.json").write_text(json.dumps(artifact), encoding="utf-8")
    return _report(conditions, _taken(trials, folder))


def _conditions(code: PlainCode, file: str) -> Iterator[Condition]:
    content = code.read(file)
    for node in code.nodes(file):
        condition: Node | None = node.get("condition") if node["nodeType"] in CONDITIONED else None
        if condition is not None:
            start, end = place(condition)
            yield Condition(file, start, end, content[:start].count(b"\n") + 1)


def _with_probes(code: PlainCode, conditions: list[Condition]) -> dict[str, bytes]:
    inserts: dict[str, list[tuple[int, bytes]]] = defaultdict(list)
    for number, condition in enumerate(conditions):
        inserts[condition.file] += [(condition.start, f"seen({number}, ".encode()), (condition.end, b")")]
    changed = {PROBE: PROBE_SOURCE.encode()}
    for file, insertions in inserts.items():
        content = code.read(file)
        for offset, text in sorted(insertions, reverse=True):
            content = content[:offset] + text + content[offset:]
        up = "../" * (file.count("/") - 1) or "./"
        changed[file] = content.replace(
            b"pragma solidity", f'import {{seen}} from "{up}Probe.sol";\npragma solidity'.encode(), 1
        )
    return changed


def _taken(trials: Trials, folder: Path) -> set[int]:
    """Twice the number of each condition that was seen, plus one if it was true."""
    done = trials.run("unit", folder, "--json", "-vv")
    if done.returncode != 0:
        raise Failed(f"the unit tests fail with probes\n{done.stdout[-2000:]}{done.stderr}")
    suites = json.loads(done.stdout).values()
    logs = [line for suite in suites for test in suite["test_results"].values() for line in test["decoded_logs"]]
    return {int(line) for line in logs}


def _report(conditions: list[Condition], taken: set[int]) -> str:
    if not taken:
        raise Failed("no condition was ever seen")
    for file in sorted({condition.file for condition in conditions}):
        numbers = [number for number, condition in enumerate(conditions) if condition.file == file]
        reached = sum(2 * number + side in taken for number in numbers for side in (0, 1))
        print(f"  {file:<40}{reached:>4} of {2 * len(numbers):>3} branches")
        for number in numbers:
            missing = [word for side, word in enumerate(("false", "true")) if 2 * number + side not in taken]
            if missing:
                print(f"    line {conditions[number].line}: never {' or '.join(missing)}")
    total = 2 * len(conditions)
    return f"{len(taken)} of {total} branches ({len(taken) / total:.0%})"
