"""The long test of budgets under kills, as short as CI has time for."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.anvil
@pytest.mark.slow
@pytest.mark.usefixtures("session_anvil")
def test_nothing_is_overspent_denied_without_reason_or_held_for_nobody_under_kills_and_reorganisations():
    soak = [sys.executable, "-m", "scripts.soak.budget", "--count", "150", "--agents", "15", "--minutes", "3"]
    run = subprocess.run(soak, cwd=ROOT, capture_output=True, text=True, check=False, timeout=460)
    assert run.returncode == 0, run.stdout + run.stderr
    figures = json.loads(run.stdout.splitlines()[-1])
    assert [figures[name] for name in ("overspend", "false_denials", "leaked", "drift")] == [0, 0, 0, 0]
    assert figures["requests"] == 150
    assert figures["escrows"] > 10
