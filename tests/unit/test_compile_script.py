"""scripts/compile.py: what it decides without a compiler, and (marked slow) what it makes of one."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from pathlib import Path

import pytest

from scripts import compile as script

HEADER = "// SPDX-License-Identifier: Apache-2.0\npragma solidity 0.8.30;\n"


@pytest.fixture
def layout(tmp_path: Path) -> script.Layout:
    (tmp_path / "contracts" / "test").mkdir(parents=True)
    return script.Layout(tmp_path)


def compiled(name: str = "Token", code: str = "0x6001", source_name: str = "") -> script.Compiled:
    artifact = {"bytecode": {"object": code}, "deployedBytecode": {"object": code}, "abi": []}
    return script.Compiled(name, source_name or f"contracts/{name}.sol", 2, 2, json.dumps(artifact))


def test_check_is_silent_about_equal_artifacts(layout: script.Layout) -> None:
    script.write(layout, [compiled()])
    assert script.first_difference(layout, [compiled()]) is None


def test_check_names_the_first_byte_that_differs(layout: script.Layout) -> None:
    script.write(layout, [compiled(code="0x600160")])
    found = script.first_difference(layout, [compiled(code="0x6002")])
    assert found == (
        "contracts/artifacts/Token.json differs in bytecode (from byte 1 on: 3 bytes committed, 2 compiled)."
    )


def test_check_notices_a_difference_outside_of_the_bytecode(layout: script.Layout) -> None:
    script.write(layout, [dataclasses.replace(compiled(), text=compiled().text.replace("[]", "[1]"))])
    assert script.first_difference(layout, [compiled()]) == "contracts/artifacts/Token.json differs in abi."


def test_check_names_missing_and_orphaned_artifacts(layout: script.Layout) -> None:
    assert script.first_difference(layout, [compiled()]) == "contracts/artifacts/Token.json is missing."
    script.write(layout, [compiled()])
    assert script.first_difference(layout, []) == "contracts/artifacts/Token.json has no source any more."


def test_writing_removes_artifacts_without_source(layout: script.Layout) -> None:
    script.write(layout, [compiled("Old"), compiled("Kept")])
    script.write(layout, [compiled("Kept")])
    assert [path.name for path in layout.artifacts.rglob("*")] == ["Kept.json"]


def test_contracts_for_tests_are_kept_out_of_the_shipped_folder(layout: script.Layout) -> None:
    script.write(layout, [compiled("Hostile", source_name="contracts/test/Hostile.sol")])
    assert (layout.artifacts / "test" / "Hostile.json").is_file()
    assert not list(layout.artifacts.glob("*.json"))


@pytest.mark.parametrize(
    ("field", "limit"),
    [("runtime_bytes", script.MAX_RUNTIME_BYTES), ("initcode_bytes", script.MAX_INITCODE_BYTES)],
)
def test_code_is_refused_exactly_above_the_limit_of_the_chain(field: str, limit: int) -> None:
    assert script.too_large([dataclasses.replace(compiled(), **{field: limit})]) == []
    (problem,) = script.too_large([dataclasses.replace(compiled(), **{field: limit + 1})])
    assert problem.startswith("Token: ")
    assert f"has {limit + 1:,} bytes, 1 above the limit of {limit:,}." in problem


def test_size_table_leaves_out_what_cannot_be_deployed() -> None:
    interface = dataclasses.replace(compiled("IToken"), runtime_bytes=0, initcode_bytes=0)
    table = script.size_table([dataclasses.replace(compiled(), runtime_bytes=1234), interface])
    assert "1,234" in table
    assert "IToken" not in table


def executable(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)
    return path


def test_a_missing_compiler_is_explained(
    layout: script.Layout, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(layout.root / "empty"))
    monkeypatch.setattr(script.install, "get_installed_solc_versions", list)
    assert script.main([], root=layout.root) == 1
    message = capsys.readouterr().err
    assert script.SOLC_VERSION in message
    assert "make tools" in message


def test_a_native_compiler_of_another_version_is_not_used(
    layout: script.Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    binary = executable(layout.root / "bin" / "solc", "#!/bin/sh\necho 'Version: 0.8.29+commit.ab55807c.Linux.g++'\n")
    monkeypatch.setenv("PATH", str(binary.parent), prepend=os.pathsep)
    monkeypatch.setattr(script.install, "get_installed_solc_versions", list)
    with pytest.raises(script.CompileError, match="No Solidity compiler"):
        script.find_compiler(layout)


def test_a_native_compiler_of_the_pinned_version_is_preferred(
    layout: script.Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = f"Version: {script.SOLC_VERSION}+commit.73712a01.Linux.g++"
    binary = executable(layout.root / "bin" / "solc", f"#!/bin/sh\necho '{version}'\n")
    monkeypatch.setenv("PATH", str(binary.parent), prepend=os.pathsep)
    assert script.find_compiler(layout).binary == binary


@pytest.fixture
def with_npm(layout: script.Layout) -> script.Layout:
    """A project of its own that borrows the checkout's installed npm packages."""
    packages = script.Layout(script.ROOT).node_modules
    if not (packages / "solc").is_dir() or shutil.which("node") is None:
        pytest.skip("npm's solc is not installed; `make tools` installs it")
    (layout.root / ".tools").mkdir()
    layout.node_modules.symlink_to(packages)
    return layout


@pytest.mark.slow
def test_interfaces_and_contracts_get_artifacts_libraries_and_abstract_contracts_none(
    with_npm: script.Layout, capsys: pytest.CaptureFixture[str]
) -> None:
    (with_npm.contracts / "A.sol").write_text(
        HEADER + "import {IERC20} from '@openzeppelin/contracts/token/ERC20/IERC20.sol';\n"
        "interface IThing { function f() external; }\nabstract contract Half is IThing {}\n"
        "library Lib { function two() internal pure returns (uint256) { return 2; } }\n"
        "contract Thing is Half { uint256 public immutable two = Lib.two(); function f() external { uint256 x; } }\n",
        encoding="utf-8",
    )
    assert script.main([], root=with_npm.root) == 0
    assert sorted(path.name for path in with_npm.artifacts.iterdir()) == ["IThing.json", "Thing.json"]
    written = (with_npm.artifacts / "Thing.json").read_text(encoding="utf-8")
    assert str(with_npm.root) not in written
    assert len(json.loads(written)["deployedBytecode"]["immutableReferences"]) == 1
    assert "Unused local variable" in capsys.readouterr().err
    assert script.main(["--check"], root=with_npm.root) == 0


@pytest.mark.slow
def test_a_source_that_does_not_compile_fails_with_the_compilers_words_and_writes_nothing(
    with_npm: script.Layout, capsys: pytest.CaptureFixture[str]
) -> None:
    (with_npm.contracts / "A.sol").write_text(HEADER + "contract A { uint256 x = nothing; }\n", encoding="utf-8")
    assert script.main([], root=with_npm.root) == 1
    assert "contracts/A.sol:3:" in capsys.readouterr().err
    assert not with_npm.artifacts.exists()


@pytest.mark.slow
def test_imports_are_not_served_from_outside_of_the_project(
    with_npm: script.Layout, capsys: pytest.CaptureFixture[str]
) -> None:
    outside = with_npm.root.parent / "Outside.sol"
    outside.write_text(HEADER + "contract Outside {}\n", encoding="utf-8")
    (with_npm.contracts / "A.sol").write_text(HEADER + "import 'x/../../Outside.sol';\n", encoding="utf-8")
    assert script.main([], root=with_npm.root) == 1
    assert "not found" in capsys.readouterr().err
