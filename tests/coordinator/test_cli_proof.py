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


@pytest.mark.slow
def test_proofs_are_listed_shown_and_verified(
    store: str, house: House, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["proof", "list", "--store", store]) == 0
    listed = capsys.readouterr().out
    assert listed.split()[:2] == ["link", "made"]
    assert "operation 1, ann: transfer_erc20 confirmed (guard: ok)" in listed
    assert "operation 2, ann: transfer_erc20 failed (max_amount)" in listed
    assert main(["proof", "show", "1", "--store", store]) == 0
    shown = {line.split(maxsplit=1)[0]: " ".join(line.split()) for line in capsys.readouterr().out.splitlines()}
    assert shown["simulation"].startswith("simulation passed on block")
    assert shown["moved"] == f"moved {house.wallet} -10 of {house.usdc}"
    assert shown["delta"] == "delta guard ok, by the balances before and after its block"
    assert main(["proof", "show", "2", "--store", store]) == 0
    assert "policy         deny: " in capsys.readouterr().out
    file = tmp_path / "proofs.json"
    assert main(["proof", "export", "1", "2", "--store", store, "--out", str(file)]) == 0
    with ChainServer(house.chain) as server:
        signer = house.lifecycle().proof_address
        assert main(["proof", "verify", str(file), "--rpc-url", server.url, "--signer", signer]) == 0
        said = capsys.readouterr().out
        assert "none of them wrong" in said
        assert "only stated  who asked" in said
        file.write_bytes(file.read_bytes().replace(b'"amount":"10"', b'"amount":"90"'))
        assert main(["proof", "verify", str(file), "--rpc-url", server.url, "--signer", signer, "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    wrong = next(check for check in report["checks"] if check["result"] == "wrong")
    assert file.read_bytes()[: wrong["byte"]].endswith(b'"amount":"')


def test_a_signer_that_is_no_address_is_refused_before_anything_is_called_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "proofs.json"
    file.write_bytes(b"{}")
    assert main(["proof", "verify", str(file), "--signer", "ann"]) == 2
    printed = capsys.readouterr()
    assert "is not an address" in printed.err
    assert printed.out == ""


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
        (["list", "--wallet", "0x" + "99" * 20], 1, "no such wallet"),
        (["list", "--chain-id", "1"], 1, "no such wallet"),
    ],
)
def test_what_is_not_there_is_said(
    store: str, arguments: list[str], code: int, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["proof", *arguments, "--store", store]) == code
    assert says in capsys.readouterr().err


@pytest.mark.slow
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


@pytest.mark.parametrize("content", [b"", b"{}", b"\x89PNG\xff", b'{"format":"another"}', b"[1]"])
def test_a_file_that_is_none_of_proofs_is_not_called_a_lie(
    content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "photo"
    file.write_bytes(content)
    assert main(["proof", "verify", str(file)]) == 1
    assert capsys.readouterr().out.startswith("This is no file of proofs: ")
    assert main(["proof", "verify", str(file), "--json"]) == 1
    assert not json.loads(capsys.readouterr().out)["ok"]


def test_numbers_in_sentences_are_singular_and_plural(
    store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "proofs.json"
    assert main(["proof", "export", "2", "--store", store, "--out", str(file)]) == 0
    file.write_bytes(file.read_bytes().replace(b'"signature":"0x', b'"signature":"0y', 1))
    assert main(["proof", "verify", str(file)]) == 1
    assert "Not what happened: 1 check wrong" in capsys.readouterr().out


def test_long_names_of_what_was_asked_for_keep_the_columns_of_a_proof(
    house: House, capsys: pytest.CaptureFixture[str]
) -> None:
    lifecycle = house.lifecycle(policy=PolicySettings(max_amount={house.usdc: 10}))
    order = {
        "escrowNumericId": "900001",
        "counterparty": "0x" + "05" * 20,
        "amount": "11",
        "deadlineUnixSec": lifecycle._desk.client.now() + 7_200,
    }
    denied = lifecycle.submit("create_escrow", order, agent="ann")
    assert house.done(lifecycle, denied).stage is Stage.FAILED
    assert main(["proof", "show", str(denied.id), "--store", f"sqlite:///{house.store.engine.url.database}"]) == 0
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("        ")]
    assert any("escrow_numeric_id" in row for row in rows)
    (column,) = {len(row) - len(row[8:].partition("  ")[2].lstrip()) for row in rows}
    assert column > len("asked: escrow_numeric_id")
