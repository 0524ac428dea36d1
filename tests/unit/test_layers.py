"""Imports point down. The list of layers is the one that import-linter reads; here it is checked without that tool,
including imports inside functions, together with two rules that it does not know: every module has a layer, and
`import actp` stays light.
"""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("actp", "coordinator")
HEAVY = ("web3", "eth_tester", "eth", "eth_account", "aiohttp", "pydantic", "rich")


def layers() -> list[list[str]]:
    """Layers from top to bottom, each a list of module names that may import one another."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    (contract,) = (c for c in settings["tool"]["importlinter"]["contracts"] if c["type"] == "layers")
    return [[name.strip(" ()") for name in row.replace("|", ":").split(":")] for row in contract["layers"]]


LAYERS = layers()


def layer_of(module: str) -> int | None:
    """Index of the module's layer, 0 at the top; None for a package's own __init__ above all layers."""
    for index, row in enumerate(LAYERS):
        if any(module == name or module.startswith(f"{name}.") for name in row):
            return index
    return None


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def source_files(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


MODULES = {module_name(path): path for path in source_files(*PACKAGES)}


def imports_of(module: str, path: Path) -> set[str]:
    """Names of own modules that a module imports anywhere in its text."""
    found: set[str] = set()
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*parents, *([node.module] if node.module else [])])
            found |= {f"{base}.{a.name}" if f"{base}.{a.name}" in MODULES else base for a in node.names}
    return {name for name in found if name.split(".")[0] in (*PACKAGES, "scripts")}


def test_every_module_has_a_layer() -> None:
    homeless = [module for module in MODULES if module not in PACKAGES and layer_of(module) is None]
    assert not homeless, f"add {homeless} to a layer of [tool.importlinter] in pyproject.toml"


@pytest.mark.parametrize("module", sorted(MODULES.keys() - set(PACKAGES)))
def test_module_imports_nothing_from_a_layer_above(module: str) -> None:
    own = layer_of(module)
    assert own is not None
    for imported in sorted(imports_of(module, MODULES[module])):
        theirs = layer_of(imported)
        assert not imported.startswith("scripts"), f"{module} imports {imported}; scripts are entrances, not libraries"
        assert theirs is None or theirs >= own, f"{module} imports {imported}, which is {own - theirs} layers above it"


def test_the_client_package_does_not_know_the_coordinator() -> None:
    guilty = {
        module
        for module, path in MODULES.items()
        if module.split(".")[0] == "actp" and any(i.split(".")[0] == "coordinator" for i in imports_of(module, path))
    }
    assert not guilty


@pytest.mark.parametrize("statement", ["import actp", "import coordinator", "from actp import errors, types, units"])
def test_import_stays_light(statement: str) -> None:
    """web3 and eth-tester take seconds to import; a command line must not pay for what it does not use."""
    program = f"import sys\n{statement}\nprint(*sorted(set(sys.modules) & set({HEAVY!r})))"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    assert run.stdout.strip() == ""
