from __future__ import annotations

import copy
import json
import random
from dataclasses import replace
from pathlib import Path

import pytest
from eth_account import Account
from eth_account.messages import encode_defunct
from sqlalchemy.engine import make_url

from actp.chain import AnvilProcess, DevAccount, EmbeddedChain
from actp.errors import ConfigError
from coordinator.canonical import canonical
from coordinator.proofs import Proof, ProofKey, finalized, prove, reopened, reporting
from coordinator.proofs.documents import read_document, write_document
from coordinator.proofs.keys import KEY_FILE_VARIABLE
from coordinator.proofs.verifying import Report, Result, verify
from coordinator.types import BlockRef
from tests.coordinator.proofs.support import KEY, chain_of, denied, paid, proved, resigned, with_part


@pytest.fixture
def payer(accounts: tuple[DevAccount, ...]) -> DevAccount:
    return accounts[3]


@pytest.fixture
def file(chain: EmbeddedChain, payer: DevAccount) -> bytes:
    """Three operations, the second of them denied."""
    return write_document(proved(chain, payer, [paid(chain, payer), denied(chain, payer), paid(chain, payer, 3)]))


def wrong(report: Report) -> list[str]:
    return [check.name for check in report.wrong]


def test_a_proof_of_what_happened_is_right_in_every_part(file: bytes, chain: EmbeddedChain) -> None:
    report = verify(file, chain, signer=KEY.address)
    assert wrong(report) == []
    found = {(check.link, check.name) for check in report.checks if check.result is Result.OK}
    assert {(1, "receipt"), (1, "block"), (3, "receipt"), (2, "policyHash"), (3, "order")} <= found
    assert sum(check.name.startswith("change of") and check.result is Result.OK for check in report.checks) == 2
    assert {check.name for check in report.not_checked if check.link == 2} == {"blockchain"}


def test_without_a_node_and_a_signer_the_report_says_what_it_could_not_see(file: bytes) -> None:
    report = verify(file)
    assert wrong(report) == []
    assert {check.name for check in report.not_checked} == {"whose key", "chain"}


@pytest.mark.slow
def test_any_changed_byte_is_found(file: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reporting, "changed_byte", lambda text, wanted: None)  # finding where takes a second each
    chance = random.Random(5)
    for position in range(0, len(file) - 1, 11):
        other = chance.choice([code for code in range(0x20, 0x7F) if code != file[position]])
        broken = file[:position] + bytes([other]) + file[position + 1 :]
        assert not verify(broken, signer=KEY.address).ok, (position, file[position - 20 : position + 20])


@pytest.mark.slow
def test_the_changed_byte_is_named(file: bytes) -> None:
    chance = random.Random(6)
    for _ in range(25):
        position = chance.randrange(len(file) - 1)
        other = chance.choice(b"0123456789abcdef".replace(bytes([file[position]]), b""))
        broken = file[:position] + bytes([other]) + file[position + 1 :]
        first = verify(broken, signer=KEY.address).wrong[0]
        near = file[position - 30 : position + 30]
        assert first.byte is not None, near
        if first.name == "signature":
            # A signature has no second copy: then its beginning is named.
            assert file[first.byte :].startswith(b'"0x'), near
        elif first.name == "file":
            # What makes a text invalid may show only further on: a quote that is gone, for instance.
            assert first.byte <= position + 200, near
        else:
            assert first.byte == position, (first, near)


def test_a_changed_letter_case_in_hex_is_a_changed_byte(file: bytes) -> None:
    at = file.index(b'"signature":"0x') + 15
    while not file[at : at + 1].isalpha():
        at += 1
    assert not verify(file[:at] + file[at : at + 1].upper() + file[at + 1 :]).ok


def test_another_signer_is_not_ours(file: bytes) -> None:
    assert wrong(verify(file, signer=ProofKey().address)) == ["whose key"] * 3


def test_a_receipt_of_another_chain_of_events_names_the_first_byte(file: bytes, chain: EmbeddedChain) -> None:
    lie = resigned(file, lambda link: link["parts"]["execution"]["receipt"].update(gasUsed="20999"))
    found = next(check for check in verify(lie, chain).wrong if check.name == "receipt")
    assert lie[: found.byte].endswith(b'"gasUsed":"2')


def test_links_that_were_dropped_or_swapped_are_found(file: bytes) -> None:
    content = json.loads(file)
    swapped = copy.deepcopy(content)
    swapped["links"].reverse()
    assert "order" in wrong(verify(canonical(swapped)))
    dropped = copy.deepcopy(content)
    del dropped["links"][1]
    report = verify(canonical(dropped))
    assert [check.detail for check in report.not_checked if check.name == "order"] == ["Link 2 is not in the file."]


def test_a_proof_that_was_taken_back_is_not_valid(chain: EmbeddedChain, payer: DevAccount) -> None:
    (first,) = proved(chain, payer, [paid(chain, payer)])
    block = BlockRef(**json.loads(first.head)["block"])
    back = reopened(
        first.proof_hash, 1, block, chain=chain_of(chain, payer), last=first.link, key=KEY, made_at=1_800_000_001
    )
    assert wrong(verify(write_document([first, back]), chain)) == ["valid"]
    (again,) = proved(chain, payer, [paid(chain, payer)], last=back.link)
    assert verify(write_document([first, back, again]), chain).ok


def test_a_final_block_is_compared_with_the_chain(chain: EmbeddedChain, payer: DevAccount) -> None:
    (first,) = proved(chain, payer, [paid(chain, payer)])
    block = BlockRef(**json.loads(first.head)["block"])

    def report(final: BlockRef) -> Report:
        link = finalized(
            [first.proof_hash], final, chain=chain_of(chain, payer), last=first.link, key=KEY, made_at=1_800_000_001
        )
        return verify(write_document([first, link]), chain)

    assert report(block).ok
    assert wrong(report(BlockRef(block.number, "0x" + "00" * 32))) == ["final"]


def test_links_are_of_one_wallet_and_in_time(chain: EmbeddedChain, payer: DevAccount) -> None:
    (first,) = proved(chain, payer, [paid(chain, payer)])

    def second(made_at: int = 1_800_000_000, **other: object) -> Proof:
        of = replace(chain_of(chain, payer), **other)
        return prove([denied(chain, payer)], chain=of, last=first.link, key=KEY, made_at=made_at)[0]

    assert verify(write_document([first, second(1_800_000_000 - 60)])).ok, "clocks differ by so much"
    assert wrong(verify(write_document([first, second(1_800_000_000 - 61)]))) == ["time"]
    for other in ({"wallet": "0x" + "bb" * 20}, {"genesis": "0x" + "bb" * 32}, {"chain_id": 1}):
        assert wrong(verify(write_document([first, second(**other)]))) == ["whose chain"], other


def test_one_proof_of_an_operation_and_of_a_nonce_stands(chain: EmbeddedChain, payer: DevAccount) -> None:
    request = paid(chain, payer)
    assert wrong(verify(write_document(proved(chain, payer, [request, request])))) == ["one proof", "one nonce"]
    parts = copy.deepcopy(dict(request.parts))
    parts["execution"]["delta"]["operation_id"] = 2
    again = replace(request, head={**request.head, "operation": "2"}, parts=parts)
    assert wrong(verify(write_document(proved(chain, payer, [request, again])))) == ["one nonce"]


def test_what_takes_proofs_back_or_calls_them_final_fits_them(chain: EmbeddedChain, payer: DevAccount) -> None:
    first, later = proved(chain, payer, [paid(chain, payer), paid(chain, payer, 3)])
    block, above = (BlockRef(**json.loads(one.head)["block"]) for one in (first, later))
    made = {"chain": chain_of(chain, payer), "key": KEY, "made_at": 1_800_000_001}

    back = reopened(first.proof_hash, 1, replace(block, hash="0x" + "00" * 32), last=later.link, **made)
    assert "takes back" in wrong(verify(write_document([first, later, back])))
    early = reopened(later.proof_hash, 3, above, last=first.link, **made)
    (late,) = proved(chain, payer, [paid(chain, payer, 3)], last=early.link)
    report = verify(write_document([first, early, late]))
    assert report.ok
    assert [check.name for check in report.not_checked] == ["whose key", "takes back", "chain"]

    low = finalized([first.proof_hash, later.proof_hash], block, last=later.link, **made)
    assert wrong(verify(write_document([first, later, low]))) == ["covers"]
    high = finalized([first.proof_hash, later.proof_hash], above, last=later.link, **made)
    assert verify(write_document([first, later, high])).ok
    back = reopened(first.proof_hash, 1, block, last=later.link, **made)
    (again,) = proved(chain, payer, [paid(chain, payer)], last=back.link)
    void = finalized([first.proof_hash], above, last=again.link, **made)
    assert wrong(verify(write_document([first, later, back, again, void]))) == ["covers"]
    alone = finalized([first.proof_hash], above, last=later.link, **made)
    assert "covers" in {check.name for check in verify(write_document([later, alone])).not_checked}


def test_nothing_is_said_of_what_no_guard_has_seen(chain: EmbeddedChain, payer: DevAccount) -> None:
    request = paid(chain, payer)
    execution = {**request.parts["execution"], "delta": None}
    unguarded = replace(with_part(request, "execution", execution), head={**request.head, "verdict": None})
    report = verify(write_document(proved(chain, payer, [unguarded])), chain, signer=KEY.address)
    assert report.ok
    assert {check.name for check in report.not_checked} == {"delta guard", "balances"}


def test_what_rests_on_the_signers_word_is_said(file: bytes) -> None:
    (check,) = verify(file).stated
    assert "who asked" in check.detail


def test_a_block_that_is_gone_is_found(chain: EmbeddedChain, payer: DevAccount) -> None:
    before = chain.snapshot()
    file = write_document(proved(chain, payer, [paid(chain, payer)]))
    assert verify(file, chain).ok
    chain.revert(before)
    assert wrong(verify(file, chain)) == ["receipt"]


def test_a_balance_that_was_not_so_is_found(chain: EmbeddedChain, payer: DevAccount) -> None:
    request = paid(chain, payer)
    execution = copy.deepcopy(request.parts["execution"])
    execution["delta"]["balances"]["deltas"]["ETH"][payer.address] = "-5"
    file = write_document(proved(chain, payer, [with_part(request, "execution", execution)]))
    (check,) = (one for one in verify(file, chain).wrong if one.name == f"change of {payer.address}'s ETH")
    assert file[check.byte :].startswith(b'"-5"')


@pytest.mark.anvil
def test_the_same_on_anvil(anvil: AnvilProcess, payer: DevAccount) -> None:
    report = verify(write_document(proved(anvil, payer, [paid(anvil, payer)])), anvil, signer=KEY.address)
    assert report.ok
    assert not report.not_checked
    assert {"receipt", "block", "chain"} <= {check.name for check in report.checks}


def test_any_wallet_can_check_the_signature(file: bytes) -> None:
    link = read_document(file).links[0]
    message = encode_defunct(hexstr=link["proofHash"])
    assert Account.recover_message(message, signature=link["signature"]) == KEY.address


NO_FILES = {
    "empty": b"",
    "no json": b"{",
    "no object": b"[]",
    "a float": b'{"format":1.5}',
    "not canonical": b'{"links": []}',
    "another format": b'{"format":"x","links":[]}',
    "no links": b'{"format":"actp-proof-file/1","links":[]}',
    "something else too": b'{"format":"actp-proof-file/1","links":[{"head":{}}],"more":1}',
    "a link that is none": b'{"format":"actp-proof-file/1","links":[{}]}',
    "not utf-8": b"\xff",
    "deep": b"[" * 100_000,
    "huge number": b'{"format":' + b"9" * 5000 + b"}",
}


@pytest.mark.parametrize("name", NO_FILES)
def test_what_is_no_proof_is_said_to_be_none(name: str) -> None:
    report = verify(NO_FILES[name])
    assert wrong(report) == ["file"]
    assert report.wrong[0].detail


def test_a_key_file_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "proof.key"
    key = ProofKey.from_file(path)
    assert ProofKey.from_file(path).address == key.address
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.read_text().strip() not in repr(key)
    path.write_text("no key")
    with pytest.raises(ConfigError, match="holds no proof key"):
        ProofKey.from_file(path)
    with pytest.raises(ConfigError, match="cannot be made"):
        ProofKey.from_file(tmp_path / "absent" / "proof.key")


def test_the_key_of_a_store_outlives_the_process(tmp_path: Path) -> None:
    file = make_url(f"sqlite:///{tmp_path / 'store.db'}")
    first = ProofKey.for_store(file, {})
    assert ProofKey.for_store(file, {}).address == first.address
    assert (tmp_path / "store.db.proof-key").is_file()
    named = {KEY_FILE_VARIABLE: str(tmp_path / "mine")}
    assert ProofKey.for_store(file, named).address == ProofKey.from_file(tmp_path / "mine").address != first.address


def test_the_key_of_a_server_is_asked_for(caplog: pytest.LogCaptureFixture) -> None:
    ProofKey.for_store(make_url("sqlite://"), {})
    assert not caplog.records
    ProofKey.for_store(make_url("postgresql://user@host/name"), {})
    assert KEY_FILE_VARIABLE in caplog.text
