"""Nothing in the repository depends on, or tells of, the machine that it was written on."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TEXT_SUFFIXES = {
    "", ".cfg", ".csv", ".editorconfig", ".gitattributes", ".gitignore", ".ini", ".js", ".json", ".lua", ".md", ".py",
    ".sh", ".sol", ".sql", ".toml", ".tree", ".txt", ".yaml", ".yml",
}  # fmt: skip
GENERATED = {"__pycache__", "build", "dist", "node_modules"}

MACHINE_PATH = re.compile(r"(?<![\w.$}/-])/(?:root|home|Users|work|farm|tmp|opt|mnt|private)/[\w.]+")
REGISTRY = re.compile(
    r"registry\.(?:npmjs|yarnpkg)|files\.pythonhosted|pypi\.org/simple|(?:extra-)?index-url|npm_config_registry"
    r"|proxy\.golang|\b\w+://[^\s\"']*/(?:simple|npm|artifactory|nexus)/",
    re.IGNORECASE,
)
PRIVATE_KEY = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----|\bAKIA[0-9A-Z]{16}\b|\bghp_[0-9A-Za-z]{36}\b")


def repository_files() -> list[Path]:
    """Files that git tracks or would track; without git (a source archive), everything but what tools made."""
    listing = (
        subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT,
            capture_output=True,
            check=False,
        )
        if (ROOT / ".git").exists()
        else None
    )
    if listing is not None and listing.returncode == 0:
        names = [name for name in listing.stdout.decode("utf-8").split("\0") if name]
        return sorted(path for path in (ROOT / name for name in names) if path.is_file())
    return sorted(path for path in ROOT.rglob("*") if path.is_file() and not _is_generated(path.relative_to(ROOT)))


def _is_generated(path: Path) -> bool:
    """Caches, environments and other things of tools have names with a dot; `.ci` is the only such folder of ours."""
    return any(part in GENERATED or (part.startswith(".") and part != ".ci") for part in path.parent.parts)


FILES = [path for path in repository_files() if path != Path(__file__).resolve()]
TEXTS = {path.relative_to(ROOT).as_posix(): path for path in FILES if path.suffix in TEXT_SUFFIXES}


def lines_matching(pattern: re.Pattern[str]) -> list[str]:
    return [
        f"{name}:{number}: {line.strip()[:160]}"
        for name, path in TEXTS.items()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if pattern.search(line)
    ]


def test_the_list_of_files_is_real() -> None:
    assert {"pyproject.toml", "Makefile", "scripts/compile.py", "contracts/ACTPKernel.sol"} <= TEXTS.keys()


def test_no_file_names_a_directory_of_a_machine() -> None:
    assert lines_matching(MACHINE_PATH) == []


def test_no_file_names_a_package_registry() -> None:
    assert lines_matching(REGISTRY) == []


def test_no_file_carries_a_credential() -> None:
    assert lines_matching(PRIVATE_KEY) == []


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [
        (MACHINE_PATH, 'open("/home/ada/notes")', True),
        (MACHINE_PATH, "/tmp/x", True),
        (MACHINE_PATH, "python=/root/bin/python", True),
        (MACHINE_PATH, "https://example.com/home/page", False),
        (MACHINE_PATH, "$HOME/work/tree, ./tmp/x, {base}/home/x", False),
        (REGISTRY, '"resolved": "https://registry.npmjs.org/solc"', True),
        (REGISTRY, "pip install --index-url x", True),
        (REGISTRY, "http://10.0.0.1:3141/mirror/simple/web3", True),
        (REGISTRY, "https://pypi.org/project/actp-escrow/", False),
    ],
)
def test_the_patterns_find_what_they_are_for(pattern: re.Pattern[str], text: str, found: bool) -> None:
    assert bool(pattern.search(text)) is found


def test_npm_packages_are_pinned_by_hash_and_exact_version() -> None:
    wanted = json.loads((ROOT / "contracts" / "package.json").read_text(encoding="utf-8"))
    locked = json.loads((ROOT / "contracts" / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    assert locked[""]["dependencies"] == wanted["dependencies"]
    for name, version in wanted["dependencies"].items():
        assert locked[f"node_modules/{name}"]["version"] == version
    assert all(entry["integrity"].startswith("sha512-") for path, entry in locked.items() if path)


def test_python_constraints_are_versions_only() -> None:
    lines = (ROOT / "scripts" / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert pins
    assert [line for line in pins if not re.fullmatch(r"[A-Za-z0-9_.-]+==[A-Za-z0-9.+!]+", line)] == []
