"""The example of the folder's README is what a newcomer runs first."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_the_example_runs_as_it_stands_and_prints_what_the_text_says(tmp_path):
    text = (ROOT / "coordinator" / "README.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    (tmp_path / "operations.py").write_text(code, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "operations.py"], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    created, asked, paid, paused, positions = done.stdout.splitlines()
    assert created == "confirmed {'ok': True, 'verdict': 'ok', 'varianceBps': 0}"
    assert "would be 40,000,000, and the limit is 30,000,000" in asked
    assert paid == "confirmed"
    assert "reason='look first'" in paused
    assert "'state': 'COMMITTED'" in positions
