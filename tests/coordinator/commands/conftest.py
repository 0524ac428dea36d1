from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from coordinator.cli import main
from tests.coordinator.commands.support import Said, Shop


@pytest.fixture(scope="session")
def furnished(tmp_path_factory) -> Path:
    """A shop's file that is copied, as making it takes longer than most tests."""
    path = tmp_path_factory.mktemp("shop") / "ledger.db"
    Shop(f"sqlite:///{path}").furnish()
    return path


@pytest.fixture
def shop(furnished, tmp_path) -> Shop:
    """A file with a treasury of 10,000 USDC, and rules for ann (50 USDC without asking) and boss."""
    shutil.copy(furnished, tmp_path / "ledger.db")
    return Shop(f"sqlite:///{tmp_path / 'ledger.db'}")


@pytest.fixture
def run(shop, capsys, monkeypatch):
    """Runs a command over the shop's file, in this process."""
    monkeypatch.setenv("ACTP_STORE_URL", shop.url)
    monkeypatch.delenv("ACTP_ALERT_URLS", raising=False)

    def command(*arguments: object) -> Said:
        capsys.readouterr()
        try:
            code = main([str(one) for one in arguments])
        except SystemExit as exit:
            code = exit.code
        printed = capsys.readouterr()
        return Said(code, printed.out, printed.err)

    return command
