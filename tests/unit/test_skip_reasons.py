"""tests/plugins/skip_reasons.py, in a pytest of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MODULE = """
import pytest

@pytest.mark.parametrize("number", [1, 2])
def test_one(number): pytest.skip("no tool")

def test_two(): pytest.skip("no tool")

def test_three(): pytest.skip("no network")
"""


def skip_lines(folder: Path, *options: str) -> list[str]:
    (folder / "test_it.py").write_text(MODULE)
    (folder / "pytest.ini").write_text("[pytest]\n")
    command = [sys.executable, "-m", "pytest", "-ra", "-p", "tests.plugins.skip_reasons", *options, str(folder)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert "4 skipped" in run.stdout
    return [line for line in run.stdout.splitlines() if line.startswith("SKIPPED")]


def test_a_reason_has_one_line_however_many_tests_it_skips(tmp_path: Path) -> None:
    shown = [line.split(":", 1)[0].split(" ")[1] + line.split(":", 1)[1] for line in skip_lines(tmp_path, "-q")]
    assert sorted(shown) == ["[1] no network", "[3] no tool"]


def test_a_verbose_run_shows_the_places(tmp_path: Path) -> None:
    assert sum("test_it.py:" in line for line in skip_lines(tmp_path, "-v")) == 3
