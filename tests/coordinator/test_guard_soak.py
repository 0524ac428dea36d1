"""The long test of the delta guard under kills, strangers and attacks, as short as CI has time for."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.anvil
@pytest.mark.slow
@pytest.mark.usefixtures("session_anvil")
def test_every_delta_is_explained_and_every_planted_breach_is_found_under_kills_and_reorganisations():
    soak = [sys.executable, "-m", "scripts.soak.guard", "--count", "150", "--plants", "6", "--minutes", "3"]
    run = subprocess.run(soak, cwd=ROOT, capture_output=True, text=True, check=False, timeout=400)
    assert run.returncode == 0, run.stdout + run.stderr
    figures = json.loads(run.stdout.splitlines()[-1])
    assert (figures["breaches_found"], figures["false_pauses"]) == (6, 0)
