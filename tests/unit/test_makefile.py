"""What `make` says that there is."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.skipif(shutil.which("make") is None, reason="there is no make")
@pytest.mark.parametrize("target", ["bench", "soak"])
def test_help_names_every_program_that_there_is_and_no_other(target):
    """Else whoever reads the help misses a program, or asks for one that is gone."""
    done = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True, timeout=30)
    said = re.search(rf"^  {target} .*NAME=one of (.*)$", done.stdout, re.MULTILINE)
    assert said is not None, done.stdout
    programs = [one.stem for one in (ROOT / "scripts" / target).glob("*.py") if "\ndef main()" in one.read_text()]
    assert said[1].split() == sorted(programs)
