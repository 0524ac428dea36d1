"""The tools, and working copies of contracts and tests for them: forge writes only there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from scripts.compile import CompileError, Layout, find_compiler

ROOT = Path(__file__).resolve().parents[2]
ASSURANCE = ROOT / "tests" / "assurance"
TOOLS = ROOT / ".tools" / "assure"
BUILD = ROOT / "build"


class NotRun(Exception):
    """A tool is missing; the message says which, and what installs it."""


class Failed(Exception):
    """A tool found something, or did not work; the message says what."""


def forge() -> Path:
    """The native binary: the npm package's own command ends with 0 even when tests fail."""
    found = sorted((TOOLS / "node_modules" / "@foundry-rs").glob("forge-*/bin/forge*"))
    if not found:
        raise NotRun("forge is not installed: `make assure-tools` (needs npm)")
    return found[0]


def python_tool(name: str) -> Path:
    path = TOOLS / "venv" / "bin" / name
    if not path.is_file():
        raise NotRun(f"{name} is not installed: `make assure-tools` (needs a package index)")
    return path


def compiler() -> Path:
    try:
        return find_compiler(Layout(ROOT)).binary
    except CompileError as error:
        raise NotRun(str(error)) from error


@dataclass(frozen=True)
class Workspace:
    """A forge project in build/NAME with the contracts and, if wanted, the Solidity tests."""

    folder: Path

    @classmethod
    def make(cls, name: str, *, tests: Sequence[str] = ("base", "invariants", "symbolic", "unit")) -> Workspace:
        folder = BUILD / name
        folder.mkdir(parents=True, exist_ok=True)
        _mirror(ROOT / "contracts", folder / "contracts")
        for part in tests:
            _mirror(ASSURANCE / part, folder / "tests" / "assurance" / part)
        shutil.copy2(ASSURANCE / "foundry.toml", folder / "foundry.toml")
        modules = folder / "node_modules"
        if not modules.is_symlink():
            modules.symlink_to(os.path.relpath(ROOT / ".tools" / "node_modules", folder))
        return cls(folder)

    def run(
        self, command: list[str | Path], extra: Mapping[str, str] | None = None, *, show: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run a tool here; forge and the Python tools find each other and the pinned compiler."""
        path = os.pathsep.join([str(forge().parent), str(TOOLS / "venv" / "bin"), os.environ.get("PATH", "")])
        environment = {**os.environ, "PATH": path, "FOUNDRY_SOLC": str(compiler()), "NO_COLOR": "1", **(extra or {})}
        words = [str(part) for part in command]
        done = subprocess.run(words, cwd=self.folder, env=environment, capture_output=True, text=True, check=False)
        if show:
            sys.stdout.write(done.stdout)
        return done

    def build(self, *options: str) -> None:
        """Compile everything; what is unchanged since the last time is not compiled again."""
        done = self.run([forge(), "build", *options], show=False)
        if done.returncode != 0:
            raise Failed(f"the contracts or their tests do not compile:\n{done.stdout}{done.stderr}")

    def fresh(self, name: str) -> Path:
        """An empty folder or no file of this name."""
        path = self.folder / name
        if path.is_dir():
            shutil.rmtree(path)
        path.unlink(missing_ok=True)
        return path


def _mirror(source: Path, target: Path) -> None:
    """Copy the Solidity files that changed and remove those that are gone, so that forge's cache stays good."""
    wanted = {path.relative_to(source) for path in source.rglob("*.sol")}
    if source.name == "contracts":
        wanted = {name for name in wanted if name.parts[0] != "test"}
    for name in wanted:
        copy = target / name
        content = (source / name).read_bytes()
        if not copy.is_file() or copy.read_bytes() != content:
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(content)
    for path in target.rglob("*.sol"):
        if path.relative_to(target) not in wanted:
            path.unlink()
