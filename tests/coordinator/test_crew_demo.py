"""Whole scenarios on a real chain: do they add up, is it noticed when they don't, and can a person read it?"""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from actp.binding import Binding
from actp.errors import ActpError
from actp.types import State
from actp.units import keccak, to_checksum
from coordinator.api import BudgetCoordinator, SpendingRequest, SpendingResponse
from coordinator.crew import play as play_module
from coordinator.crew import run_demo
from coordinator.crew import stage as stage_module
from coordinator.crew.as_json import report_as_json
from coordinator.crew.loading import BUNDLED_SCENARIO, ScenarioError, load_scenario
from coordinator.crew.narration import Narrator, wants_plain
from coordinator.crew.outcome import Rates
from coordinator.crew.plan import Action
from coordinator.crew.play import play
from coordinator.crew.records import Event, Opening, Report, Step, VaultLine
from coordinator.crew.scenario import Scenario
from coordinator.crew.stage import Stage, set_stage
from coordinator.store import open_ledger, operations
from coordinator.store.accounts import Account
from coordinator.store.schema import operations as rows
from coordinator.store.schema import proofs
from coordinator.types import Stage as OperationStage
from tests.coordinator.support import ALL_ENDINGS, DISPUTED, SMALL, load_text, small

ROOT = Path(__file__).parents[2]
NOBODY = "0x000000000000000000000000000000000000dEaD"


@pytest.fixture(scope="module")
def bundled_events() -> tuple[Event, ...]:
    scenario = load_scenario(BUNDLED_SCENARIO)
    return tuple(play(scenario, set_stage(scenario)))


@pytest.fixture(scope="module")
def every_ending() -> tuple[Stage, Report]:
    scenario = load_scenario(ALL_ENDINGS)
    stage = set_stage(scenario)
    return stage, report_of(tuple(play(scenario, stage)))


def report_of(events: tuple[Event, ...]) -> Report:
    report = events[-1]
    assert isinstance(report, Report)
    return report


def moves_of(stage: Stage) -> list[tuple[str, str, int]]:
    """Every transfer of the token: from whom, to whom, how much."""
    topic = "0x" + keccak(b"Transfer(address,address,uint256)").hex()
    logs = stage.chain.request("eth_getLogs", [{"address": stage.token_address, "topics": [topic], "fromBlock": "0x0"}])
    return [
        (to_checksum("0x" + log["topics"][1][-40:]), to_checksum("0x" + log["topics"][2][-40:]), int(log["data"], 16))
        for log in logs
    ]


def narrated(events: tuple[Event, ...]) -> str:
    out = io.StringIO()
    narrator = Narrator(out, plain=True)
    for event in events:
        narrator.show(event)
    return out.getvalue()


def test_the_research_crew_adds_up_to_the_last_unit(bundled_events: tuple[Event, ...]) -> None:
    report = report_of(bundled_events)
    assert {line.account.name: line.after for line in report.balances} == {
        "Treasury": 117_500_001,
        "Paper Library": 64_350_000,
        "Dataset Market": 247_875_000,
        "GPU Cloud": 559_350_000,
        "Data Bazaar": 0,
        "Settlement bot": 0,
        "Arbiter": 0,
        "Fee recipient": 10_924_999,
        "Escrow vault": 0,
    }
    assert [line.difference for line in report.balances] == [0] * 9
    assert report.total_after == 1_000_000_000
    assert report.opening.rates == Rates(fee_bps=100, min_fee=50_000, bond_bps=500, min_bond=1_000_000)
    assert report.ok


def test_the_research_crew_ends_as_its_file_says(bundled_events: tuple[Event, ...]) -> None:
    report = report_of(bundled_events)
    assert {line.purchase_id: line.state for line in report.purchases} == {
        "papers": State.SETTLED,
        "dataset": State.SETTLED,
        "training": State.SETTLED,
        "labels": State.SETTLED,
        "alerts": State.CANCELLED,
        "inference": State.SETTLED,
        "archive": State.SETTLED,
        "lookups": State.SETTLED,
        "tuning": State.SETTLED,
    }
    done = {(step.purchase_id, step.action): step for step in report.steps}
    by_bot = done["dataset", Action.SETTLE]
    assert (by_bot.actor, by_bot.paid_to_provider, by_bot.fee) == ("Settlement bot", 148_500_000, 1_500_000)
    delivered = done["dataset", Action.DELIVER]
    assert delivered.window_ends_at is not None
    assert by_bot.at > delivered.window_ends_at
    ruled = done["labels", Action.RULE]
    assert (ruled.paid_to_treasury, ruled.paid_to_provider, ruled.fee) == (25_000_000, 61_875_000, 624_999)
    blocked = done["inference", Action.SETTLE]
    assert (blocked.state, blocked.paid_to_provider, blocked.credited) == (State.SETTLED, 0, 198_000_000)
    assert done["inference", Action.WITHDRAW_CREDIT].amount == 198_000_000
    assert done["alerts", Action.RECLAIM].paid_to_treasury == 12_750_000
    agreed = done["tuning", Action.AGREE]
    assert (agreed.paid_to_treasury, agreed.paid_to_provider, agreed.fee) == (15_000_000, 44_550_000, 450_000)


def test_a_payment_whose_reply_is_lost_is_one_operation_and_made_once(bundled_events: tuple[Event, ...]) -> None:
    report = report_of(bundled_events)
    (bought,) = [line for line in report.purchases if line.purchase_id == "archive"]
    (own_id,) = bought.transaction_ids
    assert [(one.type.value, one.key) for one in report.audit.of("archive")] == [
        ("create_escrow", f"grant-{own_id}"),
        ("release_escrow", "archive/1"),
    ]
    steps = [step for step in report.steps if step.purchase_id == "archive"]
    assert [step.action for step in steps][:5] == [
        Action.REQUEST, Action.APPROVE, Action.PAY_UNHEARD, Action.ASK_AGAIN, Action.START,
    ]  # fmt: skip
    assert {step.state for step in steps[2:4]} == {State.COMMITTED}


UNHEARD = ('ending = "accepted"', 'reply_lost = true\nending = "accepted"')


@pytest.mark.slow
def test_a_process_that_breaks_leaves_an_operation_that_the_next_one_finds_confirmed(tmp_path: Path) -> None:
    scenario = load_text(tmp_path, small(UNHEARD))
    stage = set_stage(scenario)
    seen = []
    for event in play(scenario, stage):
        if isinstance(event, Step) and event.action in (Action.PAY_UNHEARD, Action.ASK_AGAIN):
            with open_ledger(stage.store).read() as connection:
                account = Account(stage.endpoint.chain_id, stage.treasury.address)
                asked = operations.listed(connection, account, agent="ann")
            seen.append((event.state, [(one.id, one.stage.value) for one in asked]))
    # The chain has it, the ledger does not know that yet; then it does, and it is still the same one.
    assert seen == [(State.COMMITTED, [(1, "signing")]), (State.COMMITTED, [(1, "confirmed")])]
    assert moves_of(stage).count((stage.treasury.address, stage.vault_address, 10_000_000)) == 1


def test_a_demo_that_asks_under_another_key_after_a_lost_reply_stops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = BudgetCoordinator.request_spending

    def forgetful(coordinator: BudgetCoordinator, request: SpendingRequest, *, wait: bool = True) -> SpendingResponse:
        return real(coordinator, replace(request, idempotency_key=None), wait=wait)

    monkeypatch.setattr(BudgetCoordinator, "request_spending", forgetful)
    scenario = load_text(tmp_path, small(UNHEARD))
    with pytest.raises(ActpError, match="was asked for a second time"):
        tuple(play(scenario, set_stage(scenario)))


@pytest.mark.slow
def test_a_batch_is_paid_with_one_transfer_and_settled_with_another(tmp_path: Path) -> None:
    scenario = load_text(tmp_path, small(('ending = "accepted"', 'copies = 10\nending = "settled_by_bot"')))
    stage = set_stage(scenario)
    report = report_of(tuple(play(scenario, stage)))
    assert report.ok
    transfers = moves_of(stage)
    assert transfers.count((stage.treasury.address, stage.vault_address, 100_000_000)) == 1
    assert transfers.count((stage.vault_address, stage.providers["pia"].address, 99_000_000)) == 1
    assert len(report.purchases[0].transaction_ids) == len(set(report.purchases[0].transaction_ids)) == 10


def test_the_vault_holds_what_it_owes_after_every_moment(bundled_events: tuple[Event, ...]) -> None:
    lines = [event for event in bundled_events if isinstance(event, VaultLine)]
    assert lines == list(report_of(bundled_events).vault_lines)
    assert [line for line in lines if line.balance != line.escrows + line.bonds + line.credits + line.fees] == []
    # Each kind of liability occurs, so the equality above is about all four.
    for kind in ("escrows", "bonds", "credits", "fees"):
        assert any(getattr(line, kind) for line in lines), kind


def test_time_only_moves_forward_in_the_story(bundled_events: tuple[Event, ...]) -> None:
    times = [event.at for event in bundled_events if isinstance(event, Step)]
    assert times == sorted(times)


@pytest.mark.slow
def test_every_ending_in_every_variant_adds_up(every_ending: tuple[Stage, Report]) -> None:
    _, report = every_ending
    assert {line.account.name: line.after for line in report.balances if line.after} == {
        "Chest": 1_593_116_675,
        "Pia": 170_700_000,
        "Quentin é": 281_639_999,
        "Fee recipient": 4_543_333,
    }
    assert report.ok


@pytest.mark.slow
def test_a_scenario_without_payouts_leaves_no_fees_to_withdraw(tmp_path: Path) -> None:
    scenario = load_text(tmp_path, small(('"accepted"', '"silent_provider"')))
    report = report_of(tuple(play(scenario, set_stage(scenario))))
    assert report.ok
    assert Action.WITHDRAW_FEES not in [step.action for step in report.steps]


def test_a_bond_that_nobody_can_pay_is_refused_before_anything_is_bought(tmp_path: Path) -> None:
    scenario = load_text(tmp_path, small(('"100"', '"10.5"'), ('ending = "accepted"\n', ""), more=DISPUTED))
    stage = set_stage(scenario)
    with pytest.raises(ScenarioError, match=r"Treasury lacks 0\.50 USDC"):
        play(scenario, stage)
    assert stage.balance_of(stage.treasury.address) == 10_500_000


# ---------------------------------------------------------------- what is wrong is noticed


def one_unit_leaves_a_provider(stage: Stage) -> None:
    stage.providers["pia"].token.transfer(NOBODY, 1)


def one_unit_changes_hands(stage: Stage) -> None:
    stage.providers["pia"].token.transfer(stage.bot.address, 1)


def one_unit_is_minted(stage: Stage) -> None:
    stage.arbiter.token.mint(1, stage.treasury.address)


def one_unit_is_sent_to_the_vault(stage: Stage) -> None:
    stage.providers["pia"].token.transfer(stage.vault_address, 1)


@pytest.mark.parametrize(
    ("tamper", "complaints"),
    [
        (
            one_unit_leaves_a_provider,
            ["100.00 USDC were minted, and all balances together are 99.999999", "says: Pia."],
        ),
        pytest.param(one_unit_changes_hands, ["says: Pia, Settlement bot."], marks=pytest.mark.slow),
        pytest.param(
            one_unit_is_minted,
            ["and all balances together are 100.000001", "says: Treasury."],
            marks=pytest.mark.slow,
        ),
        pytest.param(
            one_unit_is_sent_to_the_vault,
            ["The vault did not always hold what it owed", "says: Pia, Escrow vault."],
            marks=pytest.mark.slow,
        ),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_a_single_unit_moved_behind_its_back_makes_the_demo_fail(
    tamper: object, complaints: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert callable(tamper)

    def tampered(scenario: Scenario, stage: Stage) -> Iterator[Event]:
        for event in play(scenario, stage):
            if isinstance(event, Step) and event.action is Action.ACCEPT:
                tamper(stage)
            yield event

    monkeypatch.setattr(play_module, "play", tampered)
    path = tmp_path / "mine.toml"
    path.write_text(SMALL)
    out, err = io.StringIO(), io.StringIO()
    assert run_demo(path, out=out, err=err) == 1
    text = " ".join(out.getvalue().split())
    assert [complaint for complaint in complaints if complaint not in text] == []
    assert "WRONG" in text
    assert "0.000001" in text


def run_with(
    monkeypatch: pytest.MonkeyPatch, path: Path, meddle: Callable[[Event, Stage], None], text: str = SMALL
) -> tuple[int, str, str]:
    """Exit code, output and errors of a demo in which somebody does something after each event."""

    def meddled(scenario: Scenario, stage: Stage) -> Iterator[Event]:
        for event in play(scenario, stage):
            meddle(event, stage)
            yield event

    monkeypatch.setattr(play_module, "play", meddled)
    path.write_text(text)
    out, err = io.StringIO(), io.StringIO()
    code = run_demo(path, out=out, err=err)
    assert "Traceback" not in err.getvalue()
    return code, " ".join(out.getvalue().split()), " ".join(err.getvalue().split())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "said"),
    [
        (SMALL, "The scenario stopped: "),
        (
            small(('"accepted"', '"silent_provider"')),
            "The scenario stopped: Operation 3 (refund_escrow for ann) is failed at simulating: The escrow",
        ),
    ],
    ids=["by a provider", "by the treasury"],
)
def test_a_step_that_is_refused_ends_the_demo_with_its_reason(
    text: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def give_up(event: Event, stage: Stage) -> None:
        if isinstance(event, Step) and event.action is Action.START and event.transaction_id is not None:
            stage.providers["pia"].kernel.cancel(event.transaction_id)

    code, out, err = run_with(monkeypatch, tmp_path / "mine.toml", give_up, text)
    assert code == 1
    assert said in err
    assert "Pia starts work" in out


def allow_the_arbiter_everything(stage: Stage) -> None:
    stage.treasury.token.approve(stage.arbiter.address, 2**256 - 1)


def take_a_unit(stage: Stage) -> None:
    """What an attacker does with an allowance that somebody once gave."""
    Binding(stage.arbiter._session, "TestUSDC", stage.token_address).send(
        "transferFrom", stage.treasury.address, NOBODY, 1
    )


@pytest.mark.parametrize(
    ("after", "where"),
    [
        (Action.START, "stopped: The treasury was paused by delta guard:"),
        (Action.ACCEPT, "WRONG The delta guard says: outflow:"),
    ],
    ids=["between moments", "after the last operation"],
)
@pytest.mark.slow
def test_a_strangers_outflow_from_the_treasury_fails_the_demo_and_is_named(
    after: Action, where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def attack(event: Event, stage: Stage) -> None:
        if isinstance(event, Step) and event.action is after:
            take_a_unit(stage)

    real = set_stage

    def careless(scenario: Scenario, store_path: Path | None = None) -> Stage:
        stage = real(scenario, store_path)
        allow_the_arbiter_everything(stage)
        return stage

    monkeypatch.setattr(stage_module, "set_stage", careless)
    code, out, err = run_with(monkeypatch, tmp_path / "mine.toml", attack)
    assert code == 1
    assert f"{where} Somebody else's eth transaction moved tokens of" in (out if "WRONG" in where else err)


@pytest.mark.slow
def test_whatever_the_treasurys_key_signs_beside_the_lifecycle_fails_the_demo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def beside(event: Event, stage: Stage) -> None:
        if isinstance(event, Step) and event.action is Action.ACCEPT:
            stage.treasury.token.approve(stage.vault_address, 0)

    code, out, _ = run_with(monkeypatch, tmp_path / "mine.toml", beside)
    assert code == 1
    assert "WRONG The delta guard says: key_used: Nonce 3 of" in out


@pytest.mark.slow
def test_a_proof_with_a_changed_byte_fails_the_demo_and_says_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def falsify(event: Event, stage: Stage) -> None:
        if not (isinstance(event, Step) and event.action is Action.ACCEPT):
            return
        with open_ledger(stage.store).write() as connection:
            row = connection.execute(select(proofs.c.seq, proofs.c.parts).where(proofs.c.operation_id == 1)).one()
            parts = bytes(row.parts).replace(b'"amount":"10000000"', b'"amount":"90000000"', 1)
            assert parts != row.parts
            connection.execute(update(proofs).where(proofs.c.seq == row.seq).values(parts=parts))

    code, out, _ = run_with(monkeypatch, tmp_path / "mine.toml", falsify)
    assert code == 1
    assert re.search(
        r"WRONG Not everything is proved: link 2, \w+Hash: The part \w+ was changed\. \(byte \d+ of the file\)", out
    )
    assert "purchase one lacks an operation that is guarded and proved" in out


@pytest.mark.slow
def test_a_ledger_that_tells_of_another_operation_than_its_proof_fails_the_demo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def falsify(event: Event, stage: Stage) -> None:
        if isinstance(event, Step) and event.action is Action.ACCEPT:
            with open_ledger(stage.store).write() as connection:
                connection.execute(update(rows).where(rows.c.id == 1).values(tx_hash="0x" + "11" * 32))

    code, out, _ = run_with(monkeypatch, tmp_path / "mine.toml", falsify)
    assert code == 1
    assert "WRONG Not everything is proved: purchase one lacks an operation that is guarded and proved." in out


def changed(report: Report, **operation: Any) -> Report:
    """The report with another last operation."""
    *others, last = report.audit.operations
    return replace(report, audit=replace(report.audit, operations=(*others, replace(last, **operation))))


def without_operations(report: Report) -> Report:
    others = tuple(one for one in report.audit.operations if one.purchase_id != "papers")
    return replace(report, audit=replace(report.audit, operations=others, received=report.audit.received - 25_000_000))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda report: changed(report, verdict="incomplete"), "(refund_escrow) is confirmed, its verdict incomplete"),
        (lambda report: changed(report, verdict=None), "(refund_escrow) is confirmed, its verdict missing"),
        (lambda report: changed(report, stage=OperationStage.FAILED), "(refund_escrow) is failed, its verdict ok"),
        (lambda report: changed(report, change=12_750_001), "not explained: -0.000001 USDC are left over"),
        (lambda report: changed(report, mined_as_proved=False), "proved: purchase alerts lacks an operation"),
        (lambda report: changed(report, wrong=("receipt",)), "proved: purchase alerts lacks an operation"),
        (without_operations, "proved: purchase papers lacks an operation"),
        (lambda report: replace(report, audit=replace(report.audit, guarded_to=1)), "only block 1 of"),
        (
            lambda report: replace(report, audit=replace(report.audit, wrong=("order",))),
            "Not everything is proved: order.",
        ),
        (
            lambda report: replace(report, audit=replace(report.audit, breaches=("gone",))),
            "The delta guard says: gone.",
        ),
    ],
)
def test_a_report_is_not_ok_unless_every_operation_is_guarded_and_proved(
    spoil: Callable[[Report], Report], said: str, bundled_events: tuple[Event, ...]
) -> None:
    spoilt = spoil(report_of(bundled_events))
    assert not spoilt.ok
    text = " ".join(narrated((bundled_events[0], spoilt)).split())
    assert said in text
    assert "WRONG" in text
    assert json.loads(report_as_json(spoilt))["ok"] is False


def test_what_could_not_be_checked_is_said(bundled_events: tuple[Event, ...]) -> None:
    report = report_of(bundled_events)
    partly = replace(report, audit=replace(report.audit, not_checked=("link 2, balances: The node is forgetful.",)))
    assert partly.ok
    text = " ".join(narrated((bundled_events[0], partly)).split())
    assert "1134 checks; not checked: link 2, balances: The node is forgetful." in text


@pytest.mark.slow
def test_every_eth_transaction_of_the_treasury_is_an_operation_with_a_verdict_and_a_proof(
    every_ending: tuple[Stage, Report],
) -> None:
    stage, report = every_ending
    signed = int(stage.chain.request("eth_getTransactionCount", [stage.treasury.address, "latest"]), 16)
    audit = report.audit
    assert len(audit.operations) == len({one.tx_hash for one in audit.operations}) == signed
    assert {one.type.value for one in audit.operations} == {
        "approve_erc20",
        "create_escrow",
        "create_escrow_batch",
        "dispute_escrow",
        "refund_escrow",
        "release_escrow",
        "release_milestone",
        "settle_by_consent",
    }
    assert [one for one in audit.operations if not (one.guarded and one.proved and one.checks)] == []
    assert (audit.not_checked, audit.breaches, report.unexplained) == ((), (), 0)
    assert stage.treasury.token.allowance(stage.vault_address) == 0, "the vault may take no more than was needed"


# ---------------------------------------------------------------- what people and programs read


def test_plain_text_is_aligned_and_has_no_escape_codes(bundled_events: tuple[Event, ...]) -> None:
    text = narrated(bundled_events)
    lines = text.splitlines()
    assert text.isascii()
    assert "\x1b" not in text
    assert max(map(len, lines)) <= 80
    assert [line for line in lines if line != line.rstrip()] == []
    # The decimal points of the story's amounts stand below each other.
    amounts = [line for line in lines if re.match(r"\d\d:\d\d .*\d\.\d+ +[A-Z_]+$", line)]
    assert len(amounts) == 46
    assert len({re.search(r"\.\d+ +[A-Z_]+$", line).start() for line in amounts}) == 1  # type: ignore[union-attr]


def test_the_story_tells_who_did_what_for_whom(bundled_events: tuple[Event, ...]) -> None:
    text = " ".join(narrated(bundled_events).split())
    for words in (
        "Start (",
        "The platform takes 1% of each payout, at least 0.05; a dispute needs a bond of 5%, at least 1.00.",
        "Research Agent asks for Academic 25.00 GRANTED paper API access (api): within all limits",
        "Treasury pays it into escrow for 25.00 COMMITTED Paper Library",
        "Data Agent asks for Training 150.00 WAITING dataset (data): above what it may spend without a yes",
        "The scripted approver for this 150.00 GRANTED demo says yes",
        "The scripted approver for this DENIED demo says no. Rejected by scripted approver for this demo: not needed",
        "Nobody has approved it in time: EXPIRED the request of Research Agent has ended, and what it held is free",
        "Treasury pays all 50 into escrow 40.00 COMMITTED for Dataset Market, in one batch",
        "The operator pauses Data Agent",
        "(other): total_budget. Would exceed total budget. Spent: 931.083333, Budget: 1100.0",
        "all agents 1,100.00 931.083333 48.583334 882.499999 ok",
        "58 requests were granted, 3 of them after a yes; 12 were denied, each by the rule that had to.",
        "Every budget is what the scenario says: 882.499999 spent, nothing held.",
        "58 escrows, 931.083333 paid in, 48.583334 back, drift 0.",
        "90 % of the budget of category compute used",
        "Dataset Market starts work IN_PROGRESS",
        "vault 672.899999 = 666.083333 escrows + 4.166666 bonds + 2.65 fees",
        "The token's issuer puts GPU",
        "so 198.00 becomes its credit, fee 2.00",
        "vault 0.00 = nothing owed",
        "approve_erc20, for all 0.00 ok 60 checks ok",
        "papers create_escrow, release_escrow -25.00 ok 126 checks ok",
        "paid by others 25.00",
        "Explained -882.499999",
        "The delta guard: 18 operations did what was signed, nothing else happened.",
        "Every proof is verified against the chain: 1134 checks, none left out.",
        "Every balance is what the scenario says, to the last unit.",
    ):
        assert words in text


def test_a_terminal_gets_colours_and_a_dumb_one_does_not(
    bundled_events: tuple[Event, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    for name in ("NO_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    terminal = Terminal()
    assert not wants_plain(terminal)
    narrator = Narrator(terminal, plain=False)
    for event in bundled_events:
        narrator.show(event)
    assert "\x1b[" in terminal.getvalue()

    assert wants_plain(io.StringIO())
    monkeypatch.setenv("NO_COLOR", "1")
    assert wants_plain(terminal)
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("TERM", "dumb")
    assert wants_plain(terminal)


def test_names_are_shown_as_they_are_written(tmp_path: Path) -> None:
    scenario = load_text(tmp_path, small(('"Pia"', '"Pia [red]{0}"')))
    stage = set_stage(scenario)
    first = next(play(scenario, stage))
    assert isinstance(first, Opening)
    assert "Pia [red]{0}" in narrated((first,))


# ---------------------------------------------------------------- the script


def script(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "scripts/demo.py", *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.slow
def test_the_script_prints_one_json_document_about_the_users_own_scenario(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(small(('"Pia"', '"Pi\u00e4"')), encoding="utf-8")
    done = script(path, "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["ok"] is True
    assert document["minted"] == document["total_after"] == 100_000_000
    by_name = {line["account"]["name"]: line for line in document["balances"]}
    assert by_name["Pi\u00e4"]["after"] == by_name["Pi\u00e4"]["expected"] == 9_900_000
    (purchase,) = document["purchases"]
    assert (purchase["state"], [len(own_id) for own_id in purchase["transaction_ids"]]) == ("SETTLED", [66])
    assert [step["action"] for step in document["steps"]] == [
        "request",
        "pay",
        "start",
        "deliver",
        "accept",
        "withdraw_fees",
    ]
    assert all(check["ok"] for check in document["vault_checks"])
    assert [
        (one["type"], one["key"], one["verdict"], one["guarded"], one["proved"]) for one in purchase["operations"]
    ] == [
        ("create_escrow", f"grant-{purchase['transaction_ids'][0]}", "ok", True, True),
        ("release_escrow", "one/1", "ok", True, True),
    ]
    books = document["books"]
    assert (books["ok"], books["agreed"], books["drift"], books["faults"], books["unfinished"]) == (
        True,
        True,
        0,
        [],
        0,
    )
    assert [(line["kind"], line["name"], line["limit"], line["spent"]) for line in books["budgets"]] == [
        ("total", "all agents", 100_000_000, 10_000_000),
        ("agent", "Ann", 100_000_000, 10_000_000),
        ("category", "no category", None, 10_000_000),
    ]
    assert purchase["proved"] is True
    (raising,) = document["other_operations"]
    assert (raising["type"], raising["agent"], raising["purchase_id"]) == ("approve_erc20", "treasury", None)
    audit = document["audit"]
    assert (audit["guarded"], audit["proved"], audit["unexplained"]) == (True, True, 0)
    assert (audit["explained"], audit["wrong"], audit["breaches"], audit["store"]) == (-10_000_000, [], [], None)
    assert audit["checks"] == sum(one["checks"] for one in (raising, *purchase["operations"])) > 30


@pytest.mark.slow
def test_the_script_shows_letters_that_the_terminal_lacks_as_question_marks(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(small(('"Pia"', '"Pi\u00e4"'), ('"accepted"', '"silent_provider"')), encoding="utf-8")
    done = script(path)
    assert done.returncode == 0, done.stderr
    assert "Pi? starts work" in done.stdout


@pytest.mark.slow
def test_a_ledger_that_is_kept_proves_the_purchases_to_other_processes(tmp_path: Path) -> None:
    path, ledger, file = tmp_path / "mine.toml", tmp_path / "ledger.db", tmp_path / "proofs.json"
    path.write_text(SMALL)
    done = script(path, "--store", ledger)
    assert done.returncode == 0, done.stderr
    shown = [line.split()[1:] for line in done.stdout.splitlines() if line.startswith("  .venv/bin/coordinator ")]
    commands = [command for command in shown if command[0] == "proof"]
    assert [command[1] for command in commands] == ["list", "export", "verify"]
    answers = [coordinator(tmp_path, *command) for command in commands]
    assert [answer.returncode for answer in answers] == [0, 0, 0], answers
    others = [command for command in shown if command[0] != "proof"]
    assert [command[0] for command in others] == ["report", "requests", "journal"]
    assert [coordinator(tmp_path, *command).returncode for command in others] == [0, 0, 0]
    listed, _, verified = (answer.stdout for answer in answers)
    assert "ann: create_escrow confirmed" in listed
    assert "not checked  chain: No node was named" in verified
    assert "none of them wrong" in verified
    raw = file.read_bytes()
    file.write_bytes(raw.replace(b'"amount":"10000000"', b'"amount":"10000001"', 1))
    assert coordinator(tmp_path, *commands[-1]).returncode == 1

    nowhere = script(path, "--store", tmp_path / "no" / "ledger.db")
    assert nowhere.returncode == 1
    assert "The scenario stopped: " in nowhere.stderr
    assert "Traceback" not in nowhere.stderr
    again = script(path, "--store", ledger)
    assert (again.returncode, again.stdout) == (2, "")
    assert "ledger.db is there already" in again.stderr


def coordinator(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "coordinator.cli", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_readme_shows_what_the_demo_prints(bundled_events: tuple[Event, ...]) -> None:
    printed = narrated(bundled_events).splitlines()
    section = (ROOT / "README.md").read_text(encoding="utf-8").partition("## What the demo shows")[2]
    shown = section.split("```")[1].strip("\n").splitlines()
    # The story begins in the morning of the day after the run. How often the balance was looked at, and written down in
    # the journal, depends on the machine.
    varying = re.compile(r"\(\d{4}-\d\d-\d\d|(?<=The journal's )\d+")
    lines = [varying.sub("", line) for line in shown]
    texts = {varying.sub("", line) for line in printed}
    assert [line for line in lines if line not in texts] == []
    assert len(lines) > 20


def test_a_wrong_file_is_refused_at_once_with_exit_code_2(tmp_path: Path) -> None:
    done = script(tmp_path / "nothing.toml")
    assert (done.returncode, done.stdout) == (2, "")
    assert "nothing.toml: No such file" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_wrong_file_does_not_wait_for_the_virtual_machine(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib; from coordinator.crew import run_demo; "
        f"code = run_demo(pathlib.Path({str(tmp_path / 'no.toml')!r}), out=sys.stdout, err=sys.stderr); "
        "print(code, 'web3' in sys.modules, 'eth' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.split() == ["2", "False", "False"]
