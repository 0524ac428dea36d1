"""The wheel carries what it needs, nothing more, and works where there is no checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from the source distribution, which thereby proves to be complete; without network, like all tests."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT))
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel unpacked into a directory of its own; its dependencies come from the running environment."""
    folder = tmp_path_factory.mktemp("site")
    run(
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-index",
        "--target",
        str(folder),
        str(wheel),
    )
    return folder


def run(*command: str, cwd: Path = ROOT, **environment: str) -> str:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ACTP_", "PYTHON"))}
    done = subprocess.run(command, cwd=cwd, env=kept | environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def outside(installed: Path, program: str) -> str:
    return run(sys.executable, "-c", program, cwd=installed.parent, PYTHONPATH=str(installed)).strip()


def names_in(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


def test_every_artifact_of_the_own_contracts_ships_and_none_of_the_test_contracts(wheel: Path) -> None:
    shipped = {name for name in names_in(wheel) if name.startswith("actp/_data/artifacts/")}
    expected = {f"actp/_data/artifacts/{path.name}" for path in (ROOT / "contracts" / "artifacts").glob("*.json")}
    assert "actp/_data/artifacts/ACTPKernel.json" in shipped
    assert shipped == expected


def test_only_the_address_book_of_the_live_network_ships(wheel: Path) -> None:
    shipped = [name for name in names_in(wheel) if name.startswith("actp/_data/deployments/")]
    assert shipped == ["actp/_data/deployments/84532.json"]


def test_nothing_but_the_two_packages_and_their_metadata_ships(wheel: Path) -> None:
    assert {name.split("/")[0] for name in names_in(wheel)} == {"actp", "coordinator", "actp_escrow-0.1.0.dist-info"}
    assert "actp_escrow-0.1.0.dist-info/licenses/LICENSE" in names_in(wheel)


def test_every_file_of_the_packages_ships(wheel: Path) -> None:
    """Scenarios and the py.typed markers too, without which type checkers ignore the annotations."""
    files = (path for package in ("actp", "coordinator") for path in (ROOT / package).rglob("*") if path.is_file())
    sources = {path.relative_to(ROOT).as_posix() for path in files if "__pycache__" not in path.parts}
    assert {"actp/py.typed", "coordinator/py.typed", "actp/client.py"} <= sources
    shipped = set(names_in(wheel))
    assert sources - shipped == set()


def test_the_packages_import_from_the_wheel(installed: Path) -> None:
    where = outside(installed, "import actp, coordinator; print(actp.__file__, coordinator.__file__, sep='\\n')")
    assert all(Path(line).is_relative_to(installed) for line in where.splitlines())


def test_artifacts_load_from_the_wheel(installed: Path) -> None:
    program = "from actp import artifacts; print(artifacts.folder(), len(artifacts.load('ACTPKernel').bytecode))"
    folder, size = outside(installed, program).split()
    assert Path(folder).is_relative_to(installed)
    assert int(size) > 1000


def test_the_wheel_can_run_an_escrow_on_its_own_chain(installed: Path) -> None:
    program = (ROOT / ".ci" / "wheel_smoke.py").read_text(encoding="utf-8")
    assert outside(installed, program).splitlines()[-1] == "wheel ok"
