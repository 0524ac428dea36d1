"""What the main calls cost, compared to the last unit of gas with tests/assurance/gas_snapshot.json."""

from __future__ import annotations

import json
import subprocess
import sys

from scripts.assure.workspace import ASSURANCE, ROOT, Failed

SNAPSHOT = ASSURANCE / "gas_snapshot.json"


def run(*, update: bool = False) -> str:
    """Gas is deterministic, so that any difference is a change of the contracts; `update` accepts it."""
    done = subprocess.run(
        [sys.executable, "-m", "scripts.bench.gas"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise Failed(f"the gas bench failed\n{done.stdout}{done.stderr}")
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    if update:
        SNAPSHOT.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
        return f"{len(figures)} figures written"
    taken: dict[str, float] = json.loads(SNAPSHOT.read_text(encoding="utf-8"))
    changes = [
        f"{name}: {taken.get(name, 'not measured')} before, {figures.get(name, 'not measured')} now"
        for name in sorted(taken.keys() | figures.keys())
        if taken.get(name) != figures.get(name)
    ]
    if changes:
        advice = "If that is meant: make assure NAME=gas ARGS=--update"
        raise Failed("\n".join([*changes, advice]))
    return f"{len(figures)} figures as committed"
