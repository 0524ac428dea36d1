"""forge coverage: what the Solidity tests reach. The tests of tests/contracts and tests/model are not counted."""

from __future__ import annotations

import re

from scripts.assure.workspace import Failed, Workspace, forge

ROW = re.compile(r"^\|\s*(contracts/\S+\.sol)\s*\|(.*)\|$")


def run() -> str:
    workspace = Workspace.make("assure-coverage")
    done = workspace.run(
        [forge(), "coverage", "--ir-minimum", "--report", "summary", "--no-match-contract", "PackingTest"],
        {"FOUNDRY_INVARIANT_RUNS": "32", "FOUNDRY_INVARIANT_FAIL_ON_REVERT": "true"},
        show=False,
    )
    if done.returncode != 0:
        raise Failed(f"forge coverage failed\n{done.stdout[-3000:]}{done.stderr}")
    print("branch coverage by the Solidity tests (compiled with minimal optimization, whose source maps are inexact):")
    reached = total = 0
    for line in done.stdout.splitlines():
        row = ROW.match(line)
        if row is None:
            continue
        branches = re.findall(r"\((\d+)/(\d+)\)", row[2])[2]
        reached += int(branches[0])
        total += int(branches[1])
        print(f"  {row[1]:<40}{branches[0]:>4} of {branches[1]:>3} branches")
    if not total:
        raise Failed(f"forge coverage gave no table\n{done.stdout[-3000:]}")
    return f"{reached} of {total} branches ({reached / total:.0%})"
