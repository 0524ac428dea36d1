"""scripts/setup_venv.sh: what `make` does before every target, tried in a project of its own with stand-in Pythons."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "scripts").mkdir()
    for name in ("pyproject.toml", "scripts/constraints.txt", "scripts/setup_venv.sh"):
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def put_python(project: Path, version: str = "3.12") -> Path:
    """A stand-in that answers the version check like the given Python and notes every other call in `calls`."""
    python = project / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    check = f"import sys; sys.version_info = ({version.replace('.', ', ')}); exec(sys.argv[1])"
    python.write_text(
        f'#!/bin/sh\nif [ "$1" = -c ]; then exec {sys.executable} -c "{check}" "$2"; fi\n'
        f'echo "$@" >> "{project}/calls"\n[ ! -e "{project}/offline" ]\n',
        encoding="utf-8",
    )
    python.chmod(0o755)
    return python


def set_up(project: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/sh", "scripts/setup_venv.sh"],
        cwd=project,
        env={"PATH": "/usr/bin:/bin", **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def calls(project: Path) -> list[str]:
    log = project / "calls"
    return log.read_text(encoding="utf-8").splitlines() if log.exists() else []


def test_pip_runs_once_and_not_again_while_nothing_changed(project: Path) -> None:
    put_python(project)
    assert set_up(project).returncode == 0
    assert len(calls(project)) == 1
    second = set_up(project)
    assert (second.returncode, second.stdout) == (0, "")
    assert len(calls(project)) == 1


@pytest.mark.parametrize("name", ["pyproject.toml", "scripts/constraints.txt"])
def test_pip_runs_again_after_a_change(project: Path, name: str) -> None:
    put_python(project)
    set_up(project)
    with (project / name).open("a", encoding="utf-8") as file:
        file.write("# changed\n")
    assert set_up(project).returncode == 0
    assert len(calls(project)) == 2


def test_a_failed_installation_is_tried_again(project: Path) -> None:
    put_python(project)
    (project / "offline").touch()
    assert set_up(project).returncode != 0
    (project / "offline").unlink()
    assert set_up(project).returncode == 0
    assert len(calls(project)) == 2


@pytest.mark.parametrize("version", ["3.10", "3.14"])
def test_an_environment_of_an_unsupported_python_is_refused_and_left_alone(project: Path, version: str) -> None:
    python = put_python(project, version)
    refused = set_up(project)
    assert refused.returncode == 1
    assert "make clean" in refused.stderr
    assert python.exists()
    assert calls(project) == []


def test_without_a_python_the_message_says_which_are_possible(project: Path) -> None:
    (project / "bin").mkdir()
    for tool in ("cat", "cksum", "dirname"):
        (project / "bin" / tool).symlink_to(str(shutil.which(tool)))
    refused = set_up(project, PATH=str(project / "bin"))
    assert refused.returncode == 1
    assert "No Python 3.11, 3.12 or 3.13 found" in refused.stderr
    assert not (project / ".venv").exists()


@pytest.mark.parametrize(
    ("folder", "version", "what"),
    [("old", "3.9", "is Python 3.9"), ("with space", "3.14", "is Python 3.14"), ("none", None, "is no Python")],
)
def test_a_named_python_that_cannot_be_used_is_named_with_what_is_needed(
    project: Path, folder: str, version: str | None, what: str
) -> None:
    named = project / folder / "python"
    if version is not None:
        named.parent.mkdir()
        shutil.move(put_python(project, version), named)
        shutil.rmtree(project / ".venv")
    refused = set_up(project, PYTHON=str(named))
    assert refused.returncode == 1
    assert f"PYTHON={named} {what}" in refused.stderr
    assert "3.11, 3.12 or 3.13 is needed" in refused.stderr
    assert not (project / ".venv").exists()


def test_a_wrong_name_is_said_although_there_is_an_environment(project: Path) -> None:
    put_python(project)
    assert set_up(project).returncode == 0
    assert set_up(project, PYTHON="no-such-python").returncode == 1
