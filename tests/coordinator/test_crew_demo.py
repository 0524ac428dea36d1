"""Whole scenarios on a real chain: do they add up, is it noticed when they don't, and can a person read it?"""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from actp.client import ACTPClient
from actp.errors import ActpError
from actp.intents import Payment
from actp.types import State
from actp.units import keccak, to_checksum
from coordinator.crew import play as play_module
from coordinator.crew import run_demo
from coordinator.crew.loading import BUNDLED_SCENARIO, ScenarioError, load_scenario
from coordinator.crew.narration import Narrator, wants_plain
from coordinator.crew.outcome import Rates
from coordinator.crew.plan import Action
from coordinator.crew.play import play
from coordinator.crew.records import Event, Opening, Report, Step, VaultLine
from coordinator.crew.scenario import Scenario
from coordinator.crew.stage import Stage, set_stage
from tests.coordinator.support import ALL_ENDINGS, DISPUTED, SMALL, load_text, small

ROOT = Path(__file__).parents[2]
NOBODY = "0x000000000000000000000000000000000000dEaD"


@pytest.fixture(scope="module")
def bundled_events() -> tuple[Event, ...]:
    scenario = load_scenario(BUNDLED_SCENARIO)
    return tuple(play(scenario, set_stage(scenario)))


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
        "Settlement bot": 0,
        "Arbiter": 0,
        "Fee recipient": 10_924_999,
        "Escrow vault": 0,
    }
    assert [line.difference for line in report.balances] == [0] * 8
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


def test_a_payment_whose_reply_is_lost_is_made_once(bundled_events: tuple[Event, ...]) -> None:
    report = report_of(bundled_events)
    steps = [step for step in report.steps if step.purchase_id == "archive"]
    assert [step.action for step in steps][:3] == [Action.PAY_UNHEARD, Action.ASK_AGAIN, Action.START]
    assert {step.state for step in steps[:2]} == {State.COMMITTED}
    (bought,) = [line for line in report.purchases if line.purchase_id == "archive"]
    assert len(bought.transaction_ids) == 1


def test_a_demo_that_pays_twice_after_a_lost_reply_stops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = ACTPClient.pay

    def forgetful(client: ACTPClient, **terms: Any) -> Payment:
        return real(client, **{**terms, "idempotency_key": None})

    monkeypatch.setattr(ACTPClient, "pay", forgetful)
    scenario = load_text(tmp_path, small(('ending = "accepted"', 'reply_lost = true\nending = "accepted"')))
    with pytest.raises(ActpError, match="was paid a second time"):
        tuple(play(scenario, set_stage(scenario)))


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


def test_every_ending_in_every_variant_adds_up() -> None:
    scenario = load_scenario(ALL_ENDINGS)
    report = report_of(tuple(play(scenario, set_stage(scenario))))
    assert {line.account.name: line.after for line in report.balances if line.after} == {
        "Chest": 1_593_116_675,
        "Pia": 170_700_000,
        "Quentin é": 281_639_999,
        "Fee recipient": 4_543_333,
    }
    assert report.ok


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
        (one_unit_changes_hands, ["says: Pia, Settlement bot."]),
        (one_unit_is_minted, ["and all balances together are 100.000001", "says: Treasury."]),
        (one_unit_is_sent_to_the_vault, ["The vault did not always hold what it owed", "says: Pia, Escrow vault."]),
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


def test_a_step_that_the_chain_refuses_ends_the_demo_with_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def sabotaged(scenario: Scenario, stage: Stage) -> Iterator[Event]:
        for event in play(scenario, stage):
            if isinstance(event, Step) and event.action is Action.DELIVER and event.transaction_id is not None:
                stage.treasury.release_escrow(event.transaction_id)
            yield event

    monkeypatch.setattr(play_module, "play", sabotaged)
    path = tmp_path / "mine.toml"
    path.write_text(SMALL)
    out, err = io.StringIO(), io.StringIO()
    assert run_demo(path, out=out, err=err) == 1
    assert "The scenario stopped: " in err.getvalue()
    assert "Traceback" not in err.getvalue()
    assert "Pia delivers" in out.getvalue()


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
    assert len(amounts) == 29
    assert len({re.search(r"\.\d+ +[A-Z_]+$", line).start() for line in amounts}) == 1  # type: ignore[union-attr]


def test_the_story_tells_who_did_what_for_whom(bundled_events: tuple[Event, ...]) -> None:
    text = " ".join(narrated(bundled_events).split())
    for words in (
        "Start (",
        "The platform takes 1% of each payout, at least 0.05; a dispute needs a bond of 5%, at least 1.00.",
        "Treasury orders for Research Agent 25.00 INITIATED from Paper Library: Academic paper API access",
        "Treasury pays into escrow 25.00 COMMITTED",
        "Dataset Market starts work IN_PROGRESS",
        "vault 672.899999 = 666.083333 escrows + 4.166666 bonds + 2.65 fees",
        "The token's issuer puts GPU Cloud",
        "so 198.00 becomes its credit, fee 2.00",
        "vault 0.00 = nothing owed",
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
        "order",
        "fund",
        "start",
        "deliver",
        "accept",
        "withdraw_fees",
    ]
    assert all(check["ok"] for check in document["vault_checks"])


def test_the_script_shows_letters_that_the_terminal_lacks_as_question_marks(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(small(('"Pia"', '"Pi\u00e4"'), ('"accepted"', '"silent_provider"')), encoding="utf-8")
    done = script(path)
    assert done.returncode == 0, done.stderr
    assert "Pi? starts work" in done.stdout


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
