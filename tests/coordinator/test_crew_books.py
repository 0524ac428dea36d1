"""The demo's books: is it noticed when requests, budgets, ledger, chain and journal are not what they must be?"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import update

from coordinator.crew import play as play_module
from coordinator.crew import run_crash_demo, run_demo
from coordinator.crew.as_json import report_as_json
from coordinator.crew.conclusions import conclusions
from coordinator.crew.plan import Action
from coordinator.crew.play import play
from coordinator.crew.records import Event, Report, Step
from coordinator.crew.scenario import Scenario
from coordinator.crew.stage import Stage, set_stage
from coordinator.crew.statements import Books, BudgetLine, DenialLine
from coordinator.store import open_ledger
from coordinator.store.budget_schema import cells, reservations
from tests.coordinator.support import SMALL, load_text, small

ROOT = Path(__file__).parents[2]
APPROVED = small(
    ('name = "Ann"', 'name = "Ann"\nspending_limit = "20"\ndaily_limit = "20"\nrequires_approval = "5"'),
    ('amount = "10"', 'amount = "8"\ncopies = 2'),
    more="""
[[denied]]
id = "waits"
agent = "ann"
provider = "pia"
amount = "6"
purpose = "Nobody answers"
asked_after = "3d"
rule = "approval_expired"

[[denied]]
id = "no"
agent = "ann"
provider = "pia"
amount = "20.000001"
purpose = "Too much"
rule = "spending_limit"
""",
)


@pytest.fixture(scope="module")
def approved(tmp_path_factory: pytest.TempPathFactory) -> tuple[Event, ...]:
    """A story in which two copies are approved, one request is denied, and one expires on another day."""
    scenario = load_text(tmp_path_factory.mktemp("approved"), APPROVED)
    return tuple(play(scenario, set_stage(scenario)))


def report_of(events: tuple[Event, ...]) -> Report:
    report = events[-1]
    assert isinstance(report, Report)
    return report


@pytest.mark.slow
def test_the_books_tell_what_was_granted_approved_denied_and_spent(approved: tuple[Event, ...]) -> None:
    report = report_of(approved)
    books = report.books
    assert report.ok
    assert (books.granted, books.approved, books.escrows, books.unfinished, books.drift) == (2, 2, 2, 0, 0)
    assert (books.on_chain_paid, books.on_chain_returned, books.counted) == (16_000_000, 0, 16_000_000)
    assert books.denials == (
        DenialLine("waits", "Ann", 6_000_000, "approval_expired", "approval_expired"),
        DenialLine("no", "Ann", 20_000_001, "spending_limit", "spending_limit"),
    )
    assert books.budgets == (
        BudgetLine("total", "all agents", 100_000_000, 16_000_000, 0, 0, 16_000_000),
        BudgetLine("agent", "Ann", 20_000_000, 16_000_000, 0, 0, 16_000_000),
        BudgetLine("category", "no category", None, 16_000_000, 0, 0, 16_000_000),
    )


@pytest.mark.slow
def test_the_steps_say_what_the_coordinator_answered(approved: tuple[Event, ...]) -> None:
    said = [
        (one.action, one.purchase_id, one.decision and one.decision.value, one.rule)
        for one in approved
        if isinstance(one, Step) and one.decision is not None
    ]
    assert said == [
        (Action.REQUEST, "one", "waiting", None),
        (Action.APPROVE, "one", "granted", None),
        (Action.REQUEST, "no", "denied", "spending_limit"),
        (Action.REQUEST, "waits", "waiting", None),
        (Action.EXPIRE, "waits", "expired", "approval_expired"),
    ]


def other_budget(books: Books, **changes: int) -> Books:
    total, *others = books.budgets
    return replace(books, budgets=(replace(total, **changes), *others))


def other_agent(books: Books, **changes: int) -> Books:
    total, agent, *others = books.budgets
    return replace(books, budgets=(total, replace(agent, **changes), *others))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda books: replace(books, drift=1), "Ledger and chain differ, drift 0.000001: 2 escrows, 16.00 paid in"),
        (lambda books: replace(books, escrows=3), "in the ledger, 3 escrows, 16.00 paid in, 0.00 back on the chain"),
        (
            lambda books: replace(books, on_chain_paid=16_000_001),
            "16.000001 paid in, 0.00 back on the chain",
        ),
        (lambda books: replace(books, on_chain_returned=1), "16.00 paid in, 0.000001 back on the chain"),
        (lambda books: replace(books, unfinished=1), "Budgets are not what the scenario says: 1 not ended."),
        (lambda books: replace(books, counted=15_999_999), "not what the scenario says: the counters say 15.999999"),
        (lambda books: other_agent(books, paid=16_000_001), "Budgets are not what the scenario says: Ann."),
        (lambda books: other_agent(books, reserved=1), "Budgets are not what the scenario says: Ann."),
        (lambda books: other_budget(books, expected=1), "Budgets are not what the scenario says: all agents."),
        (lambda books: replace(books, faults=("missing: gone",)), "The journal is not what it was: missing: gone."),
        (
            lambda books: replace(books, denials=(replace(books.denials[0], rule="paused"),)),
            "These requests were not denied as they had to be: waits by paused.",
        ),
        (
            lambda books: replace(books, denials=(replace(books.denials[0], rule=None),)),
            "These requests were not denied as they had to be: waits by nothing.",
        ),
    ],
)
def test_a_report_is_not_ok_unless_its_books_are(
    spoil: Callable[[Books], Books], said: str, approved: tuple[Event, ...]
) -> None:
    report = report_of(approved)
    spoilt = replace(report, books=spoil(report.books))
    assert not spoilt.ok
    assert [text for right, text in conclusions(spoilt) if not right and said in text] != []
    document = json.loads(report_as_json(spoilt))
    assert (document["ok"], document["books"]["ok"]) == (False, False)


def run_with(
    monkeypatch: pytest.MonkeyPatch, folder: Path, text: str, meddle: Callable[[Event, Stage], None]
) -> tuple[int, str, str]:
    """Exit code, output and errors of a demo in which somebody does something after each event."""

    def meddled(scenario: Scenario, stage: Stage) -> Iterator[Event]:
        for event in play(scenario, stage):
            meddle(event, stage)
            yield event

    monkeypatch.setattr(play_module, "play", meddled)
    path = folder / "mine.toml"
    path.write_text(text)
    out, err = io.StringIO(), io.StringIO()
    code = run_demo(path, out=out, err=err)
    assert "Traceback" not in err.getvalue()
    return code, " ".join(out.getvalue().split()), " ".join(err.getvalue().split())


def nothing(event: Event, stage: Stage) -> None:
    """Nobody meddles."""


def after(action: Action, change: Callable[[Stage], None]) -> Callable[[Event, Stage], None]:
    def meddle(event: Event, stage: Stage) -> None:
        if isinstance(event, Step) and event.action is action:
            change(stage)

    return meddle


@pytest.mark.slow
def test_a_counter_that_was_changed_by_hand_fails_the_demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def falsify(stage: Stage) -> None:
        with open_ledger(stage.store).write() as connection:
            connection.execute(update(cells).where(cells.c.spent > 0).values(spent=cells.c.spent - 1))

    code, out, _ = run_with(monkeypatch, tmp_path, SMALL, after(Action.WITHDRAW_FEES, falsify))
    assert code == 1
    assert "WRONG Budgets are not what the scenario says: the counters say 9.999999." in out
    assert "WRONG The journal is not what it was: cell: " in out


@pytest.mark.slow
def test_a_ledger_that_tells_of_another_price_than_the_chain_fails_the_demo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def falsify(stage: Stage) -> None:
        with open_ledger(stage.store).write() as connection:
            connection.execute(update(reservations).values(actual=9_999_999))

    code, out, _ = run_with(monkeypatch, tmp_path, SMALL, after(Action.WITHDRAW_FEES, falsify))
    assert code == 1
    assert "WRONG Ledger and chain differ, drift 0.000001: 1 escrows, 9.999999 paid in" in out


@pytest.mark.slow
def test_a_request_that_is_granted_though_the_file_says_denied_fails_the_demo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    affordable = 'id = "no"\nagent = "ann"\nprovider = "pia"\namount = "1"\npurpose = "x"\nrule = "agent_rate"\n'
    text = small(more=f"\n[[denied]]\n{affordable}")
    code, out, _ = run_with(monkeypatch, tmp_path, text, nothing)
    assert code == 1
    assert "WRONG These requests were not denied as they had to be: no by nothing." in out
    assert "WRONG Budgets are not what the scenario says: 1 not ended; " in out


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            small(('name = "Ann"', 'name = "Ann"\ndaily_limit = "9"')),
            "Purchase 'one' was denied by daily_limit: Would exceed daily limit. Spent: 0.0, Limit: 9.0",
        ),
        (
            small(
                ('name = "Ann"', 'name = "Ann"\nspending_limit = "50"\nrequires_approval = "5"'),
                more='\n[[denied]]\nid = "no"\nagent = "ann"\nprovider = "pia"\namount = "60"\npurpose = "x"\n'
                'rule = "rejected"\n',
            ),
            "Request 'no' waits for nobody: Amount 60.0 exceeds per-tx limit 50.0",
        ),
    ],
    ids=["a purchase", "a request that somebody has to answer"],
)
def test_what_is_denied_though_the_file_says_otherwise_ends_the_demo_with_the_rule(
    text: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, _, err = run_with(monkeypatch, tmp_path, text, nothing)
    assert code == 1
    assert f"The scenario stopped: {said}" in err


# ---------------------------------------------------------------- a worker that dies


@pytest.mark.slow
def test_a_worker_that_is_killed_after_its_broadcast_pays_once_and_the_next_one_finds_it() -> None:
    out, err = io.StringIO(), io.StringIO()
    code = run_crash_demo(out=out, err=err)
    text = out.getvalue()
    assert (code, err.getvalue()) == (0, "")
    assert "killed, as by `kill -9`: signal 9" in text
    assert "The chain has the transaction: COMMITTED, 25.00 USDC in escrow" in text
    assert "The request is held, with its budget: 0.00 spent, 25.00 reserved, 975.00 left" in " ".join(text.split())
    assert "the request is committed: 25.00 spent, 0.00 reserved, 975.00 left" in " ".join(text.split())
    assert [line for line in text.splitlines() if line.startswith("WRONG")] == []
    assert len([line for line in text.splitlines() if line.startswith("ok ")]) == 7
    assert max(map(len, text.splitlines()[1:])) <= 80


def test_a_failure_has_a_story_of_its_own() -> None:
    done = subprocess.run(
        [sys.executable, "scripts/demo.py", "--fail", "crash", "--json"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "takes neither a scenario nor --json nor --store" in done.stderr
