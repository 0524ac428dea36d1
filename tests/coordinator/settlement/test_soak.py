"""The soak, short: its own audit says whether anything is wrong."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.slow
@pytest.mark.anvil
@pytest.mark.usefixtures("session_anvil")
def test_a_short_soak_finds_nothing_wrong() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "scripts.soak.settlement", "--count", "120", "--minutes", "3"],
        capture_output=True, text=True, cwd=ROOT, timeout=400, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2_000:] + done.stderr[-4_000:]
    figures = json.loads(done.stdout.splitlines()[-1])
    assert (figures["wrong"], figures["escrows"]) == (0, 120)
    assert figures["reorgs"] > 0
