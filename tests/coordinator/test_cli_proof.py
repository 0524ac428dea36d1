"""`coordinator proof` over the store of a lifecycle that has paid and denied."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from actp.chain import ChainServer
from coordinator.cli import main
from coordinator.policy import PolicySettings
from coordinator.types import Stage
from tests.coordinator.lifecycle.conftest import faulty, house
from tests.coordinator.lifecycle.support import House

__all__ = ["faulty", "house"]


@pytest.fixture
def store(house: House) -> str:
    """The URL of a store with operation 1 confirmed and operation 2 denied."""
    lifecycle = house.lifecycle(policy=PolicySettings(max_amount={house.usdc: 10}))
    paid, denied = house.pay(lifecycle, 10), house.pay(lifecycle, 11)
    assert (paid.id, denied.id) == (1, 2)
    assert house.done(lifecycle, paid).stage is Stage.CONFIRMED
    assert house.done(lifecycle, denied).stage is Stage.FAILED
    lifecycle.close()
    return f"sqlite:///{house.store.engine.url.database}"


def test_proofs_are_listed_shown_and_verified(
    store: str, house: House, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["proof", "list", "--store", store]) == 0
    listed = capsys.readouterr().out
    assert "operation 1, ann: transfer_erc20 confirmed" in listed
    assert "operation 2, ann: transfer_erc20 failed (max_amount)" in listed
    assert main(["proof", "show", "1", "--store", store]) == 0
    assert "delta guard" in capsys.readouterr().out
    file = tmp_path / "proofs.json"
    assert main(["proof", "export", "1", "2", "--store", store, "--out", str(file)]) == 0
    with ChainServer(house.chain) as server:
        signer = house.lifecycle().proof_address
        assert main(["proof", "verify", str(file), "--rpc-url", server.url, "--signer", signer]) == 0
        assert "none of them wrong" in capsys.readouterr().out
        file.write_bytes(file.read_bytes().replace(b'"amount":"10"', b'"amount":"90"'))
        assert main(["proof", "verify", str(file), "--rpc-url", server.url, "--signer", signer, "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    wrong = next(check for check in report["checks"] if check["result"] == "wrong")
    assert file.read_bytes()[: wrong["byte"]].endswith(b'"amount":"')


def test_the_whole_chain_can_be_exported(
    store: str, capsysbinary: pytest.CaptureFixture[bytes], tmp_path: Path
) -> None:
    assert main(["proof", "export", "--all", "--store", store]) == 0
    file = tmp_path / "chain.json"
    file.write_bytes(capsysbinary.readouterr().out)
    assert main(["proof", "verify", str(file), "--json"]) == 0
    checks = json.loads(capsysbinary.readouterr().out)["checks"]
    assert [check["detail"] for check in checks if check["name"] == "order"][:2] == [
        "is the first link",
        "follows link 1",
    ]


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["show", "9"], 2, "There is no proof of operation 9"),
        (["export", "1", "9"], 2, "There is no proof of operation 9"),
        (["list", "--wallet", "0x" + "00" * 20], 1, "no such wallet"),
        (["list", "--chain-id", "1"], 1, "no such wallet"),
    ],
)
def test_what_is_not_there_is_said(
    store: str, arguments: list[str], code: int, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["proof", *arguments, "--store", store]) == code
    assert says in capsys.readouterr().err


def test_a_file_that_is_not_there_and_a_store_that_is_not_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("ACTP_STORE_URL", raising=False)
    assert main(["proof", "verify", str(tmp_path / "absent")]) == 1
    assert "cannot be read" in capsys.readouterr().err
    assert main(["proof", "list"]) == 1
    assert "No store was named" in capsys.readouterr().err
    assert main(["proof", "list", "--store", f"sqlite:///{tmp_path / 'absent.db'}"]) == 1
    assert not (tmp_path / "absent.db").exists()
