"""The examples in the folder's README run as they stand."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import coordinator.tracker

README = Path(coordinator.tracker.__file__).with_name("README.md")
EXAMPLES = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES, ids=range(len(EXAMPLES)))
def test_an_example_prints_what_its_comment_says(example):
    (said,) = re.findall(r"^ *print\(.*  # (.*)$", example, re.MULTILINE)
    done = subprocess.run(
        [sys.executable, "-c", example], cwd=README.parents[2], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (0, f"{said}\n"), done.stderr


def test_every_method_of_a_tracker_is_named():
    text = README.read_text(encoding="utf-8")
    names = {one for one in vars(coordinator.tracker.Tracker) if not one.startswith("_")}
    assert {one for one in names if not re.search(rf"`{one}[(`]", text)} == set()
