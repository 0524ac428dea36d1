"""The long test under kills, drops and reorganisations, as short as CI has time for."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.anvil
@pytest.mark.slow
@pytest.mark.usefixtures("session_anvil")
def test_nothing_is_lost_or_doubled_under_kills_drops_and_reorganisations():
    soak = [sys.executable, "-m", "scripts.soak.engine", "--count", "400", "--seconds", "240"]
    run = subprocess.run(soak, cwd=ROOT, capture_output=True, text=True, check=False, timeout=400)
    assert run.returncode == 0, run.stdout + run.stderr
