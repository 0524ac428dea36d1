"""`coordinator budget`: what a fleet has spent, for people and programs, and programs under a budget."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

import pytest

from coordinator.cli import main
from coordinator.commands._executing import _Watching
from coordinator.tracker import LocalTracker, Tracker
from coordinator.tracker.measuring import readings
from coordinator.tracker.naming import grant_scope
from coordinator.tracker.opening import Kind, Place
from tests.engine.conftest import postgresql
from tests.resilience.fleet import ROOT
from tests.resilience.test_budget_ledger import postgresql_url

__all__ = ["postgresql", "postgresql_url"]

SESSION, WORKFLOW = "session:eval", "workflow:one"
SECRET = "correct-horse"


class Said(NamedTuple):
    code: int | str | None
    out: str
    err: str


@pytest.fixture(autouse=True)
def _clean(monkeypatch):
    for name in ("TRACKER", "URL", "ROOT", "SESSION"):
        monkeypatch.delenv(f"ACTP_BUDGET_{name}", raising=False)


@pytest.fixture(params=["sqlite", "redis", pytest.param("postgresql", marks=pytest.mark.slow)])
def place(request, tmp_path) -> Place:
    if request.param == "sqlite":
        return Place(Kind.SQLITE, str(tmp_path / "budget.db"))
    if request.param == "postgresql":
        return Place(Kind.POSTGRESQL, request.getfixturevalue("postgresql_url"), secrets.token_hex(8))
    return Place(Kind.REDIS, request.getfixturevalue("redis_url"), secrets.token_hex(8))


@pytest.fixture
def tracker(place) -> Iterator[Tracker]:
    with place.open() as tracker:
        yield tracker


def flags(place: Place) -> list[str]:
    where = "--budget-redis-url" if place.kind is Kind.REDIS else "--budget-store"
    return ["--budget-tracker", place.kind.value, where, place.url, "--budget-root", place.root]


@pytest.fixture
def run(capfd) -> Callable[..., Said]:
    def command(verb: str, *arguments: object) -> Said:
        capfd.readouterr()
        code: int | str | None
        try:
            code = main(["budget", verb, *map(str, arguments)])
        except SystemExit as exit:
            code = exit.code
        return Said(code, *capfd.readouterr())

    return command


def test_the_breakdown_shows_every_scope_with_what_is_left_of_it(place, tracker, run):
    tracker.set_budget(SESSION, 50)
    tracker.set_budget(WORKFLOW, "0.10")
    tracker.commit(tracker.reserve([SESSION, WORKFLOW], "0.02"), "0.25")
    tracker.reserve([SESSION, "step"], 3)
    table = run("status", *flags(place))
    assert table.code == 0
    assert [line.split() for line in table.out.splitlines()] == [
        ["limit", "spent", "reserved", "remaining", "open", "overruns", "scope"],
        ["50.00", "0.25", "3.00", "46.75", "1", "1", SESSION],
        ["-", "0.00", "3.00", "-", "1", "0", "step"],
        ["0.10", "0.25", "0.00", "-0.15", "0", "1", WORKFLOW],
    ]
    content = json.loads(run("status", WORKFLOW, "--json", *flags(place)).out)
    assert content["tracker"] == place.label
    assert content["scopes"] == [
        {
            "scope": WORKFLOW, "unit": "usd", "limit": "0.10", "spent": "0.25", "reserved": "0.00",
            "remaining": "-0.15", "reservations": 0, "overruns": 1, "late": 0, "lost": 0,
        }
    ]  # fmt: skip


def test_what_a_worker_has_paid_is_in_the_session_and_its_own_scope_is_out_of_sight(place, tracker, run):
    tracker.set_budget(SESSION, 50)
    paid, given_up, opened = (grant_scope(f"0x{number}") for number in range(3))
    for scope in (paid, given_up, opened):
        tracker.set_budget(scope, 2)
    tracker.commit(tracker.reserve([SESSION, paid], 2), 2)
    tracker.release(tracker.reserve([SESSION, given_up], 2))
    tracker.reserve([SESSION, opened], 2)
    tracker.commit(tracker.reserve([SESSION, "step"], 1), 1)

    def shown(*more: str) -> set[str]:
        content = json.loads(run("status", "--json", *more, *flags(place)).out)
        return {one["scope"] for one in content["scopes"]}

    assert shown() == {SESSION, "step", opened}
    assert shown("--all") == {SESSION, "step", opened, paid, given_up}
    assert shown(paid) == {paid}
    assert paid not in run("status", *flags(place)).out
    assert tracker.get_spent(SESSION) == 3
    measured = {label for one in readings(tracker) for label in one.labels}
    assert opened in measured
    assert not measured & {paid, given_up}


def test_the_environment_names_the_tracker_too(place, tracker, run, monkeypatch):
    tracker.set_budget(SESSION, 50)
    for name, value in place.environment().items():
        monkeypatch.setenv(name, value)
    assert "50.00" in run("status").out


def test_watching_shows_it_again_until_the_time_is_over(place, tracker, run):
    tracker.set_budget(SESSION, 50)
    said = run("status", "--watch", "0.05", "--for", "0.2", "--json", *flags(place))
    assert said.code == 0
    assert 2 <= len(said.out.splitlines()) <= 5
    assert {json.loads(line)["scopes"][0]["limit"] for line in said.out.splitlines()} == {"50.00"}
    assert run("status", "--for", "0.2", *flags(place)).code == 2


def test_limits_are_set_and_taken_away(place, tracker, run):
    assert run("set", SESSION, "2.50", *flags(place)).code == 0
    assert tracker.get_budget(SESSION) == Decimal("2.50")
    assert run("set", SESSION, "none", *flags(place)).code == 0
    assert tracker.get_budget(SESSION) is None
    assert run("set", SESSION, "2500", "--unit", "usdc", *flags(place)).code == 0
    assert tracker.scopes()[0].unit == "usdc"
    assert "2500 units of USDC" in run("status", *flags(place)).out


@pytest.mark.parametrize("limit", ["-1", "1e3", "nan", "0.0000001", ""])
def test_a_limit_that_is_no_amount_is_refused(place, tracker, run, limit):
    tracker.set_budget(SESSION, 1)
    assert run("set", *flags(place), "--", SESSION, limit).code == 2
    assert run("set", *flags(place), "--unit", "usdc", "--", SESSION, limit).code == 2
    assert tracker.get_budget(SESSION) == 1


def test_reservations_are_listed_and_given_back(place, tracker, run):
    tracker.set_budget(SESSION, 10)
    first, second, third = (tracker.reserve([SESSION, scope], 1) for scope in ("a", "a", "b"))
    lines = [json.loads(line) for line in run("reservations", "--json", *flags(place)).out.splitlines()]
    assert {one["id"] for one in lines} == {first.id, second.id, third.id}
    assert lines[0]["amount"] == "1.00"
    assert third.id not in run("reservations", "--scope", "a", *flags(place)).out
    said = run("release", first.id, "no-such-id", *flags(place))
    assert (said.code, tracker.get_reserved(SESSION)) == (2, 3)
    assert run("release", third.id, *flags(place)).out == "1 reservation released.\n"
    assert run("release", "--scope", "a", *flags(place)).out == "2 reservations released.\n"
    assert tracker.get_reserved(SESSION) == 0
    assert run("release", "--scope", "a", *flags(place)).out == "0 reservations released.\n"
    assert run("release", *flags(place)).code == 2


@pytest.mark.parametrize("verb", [["status"], ["reservations", "--scope"], ["release", "--scope"]], ids=" ".join)
def test_a_scope_that_nobody_has_used_is_not_shown_as_empty(place, tracker, run, verb):
    said = run(*verb, "sesion:eval", *flags(place))
    assert (said.code, said.out) == (2, "")
    assert "no scope 'sesion:eval'" in said.err


VERBS = [["status"], ["reservations"], ["release", "x"], ["set", SESSION, "1"]]


@pytest.mark.slow
@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
@pytest.mark.parametrize(
    ("url", "named"),
    [
        (f"redis://ada:{SECRET}@127.0.0.1:1/0", "redis://127.0.0.1:1/0 did not answer: Connection refused"),
        ("unix:///no/such.sock", "unix:///no/such.sock did not answer: No such file"),
        (f"postgresql://ada:{SECRET}@127.0.0.1:1/budget", '"127.0.0.1", port 1 failed: Connection refused'),
        ("rules.toml", "rules.toml cannot be used: file is not a database"),
    ],
)
def test_a_ledger_that_nobody_could_ask_has_done_nothing(run, verb, url, named, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("rules.toml").write_text("# rules\n" * 100, encoding="utf-8")
    monkeypatch.setenv("ACTP_BUDGET_URL", url)
    said = run(*verb)
    assert (said.code, said.out) == (1, "")
    assert named in said.err
    assert "Nothing was changed. Check that it" in said.err
    assert SECRET not in said.err


def test_a_server_that_may_forget_is_warned_of_where_budgets_are_made_and_not_where_they_are_read(
    new_server, run, caplog
):
    server = Place(Kind.REDIS, new_server(appendonly="no").url)

    def warned(*words: str) -> list[str]:
        caplog.clear()
        assert run(words[0], *flags(server), *words[1:]).code == 0
        return [one.getMessage() for one in caplog.records if one.name.startswith("coordinator.tracker")]

    (warning,) = warned("set", SESSION, "1")
    assert "keeps nothing on disk" in warning
    assert warned("exec", "--budget-session-limit", "1", "--", "true") == [warning]
    for words in (["status"], ["reservations"], ["release", "--scope", SESSION]):
        assert warned(*words) == []
    assert json.loads(run("status", "--json", *flags(server)).out)["warnings"] == [warning]


@pytest.mark.parametrize("verb", [["status"], ["set", SESSION, "1"], ["reservations"], ["release", "x"]], ids=" ".join)
def test_the_memory_of_another_process_is_not_looked_for(run, verb):
    said = run(*verb, "--budget-tracker", "local")
    assert said.code == 1
    assert "lives in the memory of one process" in said.err


@pytest.mark.parametrize("verb", [["status"], ["reservations"], ["release", "x"], ["exec", "--", "true"]], ids=" ".join)
def test_looking_makes_no_file(run, verb, tmp_path):
    said = run(verb[0], "--budget-store", tmp_path / "new.db", *verb[1:])
    assert said.code == 1
    assert "no budgets at" in said.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["--budget-tracker", "redis", "--budget-store", "budget.db"],
        ["--budget-tracker", "sqlite", "--budget-redis-url", "redis://127.0.0.1:1/0"],
        ["--budget-tracker", "postgresql", "--budget-store", "budget.db"],
        ["--budget-tracker", "postgresql"],
        ["--budget-store", "mysql://127.0.0.1/x"],
        ["--budget-tracker", "paper"],
        ["--budget-store", "a.db", "--budget-redis-url", "redis://127.0.0.1:1/0"],
    ],
    ids=" ".join,
)
def test_flags_that_contradict_one_another_are_refused(run, arguments, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = run("status", *arguments)
    assert said.code in (1, 2)
    assert said.out == ""
    assert said.err.count("\n") >= 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "url",
    [
        f"redis://ada:{SECRET}@127.0.0.1:1/0",
        f"redis://127.0.0.1:1/0?password={SECRET}",
        f"redis://127.0.0.1:{SECRET}/0",
        f"postgresql://ada:{SECRET}@127.0.0.1:1/budget",
        f"postgres://ada:{SECRET}@127.0.0.1:1/budget",
    ],
)
def test_a_password_is_never_shown(run, url, monkeypatch):
    monkeypatch.setenv("ACTP_BUDGET_URL", url)
    for verb in (["status"], ["exec", "--budget-session-limit", "1", "--", "true"]):
        said = run(*verb)
        assert said.code != 0
        assert SECRET not in said.out + said.err
        assert said.err.startswith("coordinator: ")


@pytest.mark.parametrize(
    ("url", "label"),
    [
        (f"redis://ada:{SECRET}@cache:6379/3", "redis://cache:6379/3"),
        (f"rediss://ada:{SECRET}@cache:6379/3?password={SECRET}", "rediss://cache:6379/3"),
        (f"unix://ada:{SECRET}@/run/redis.sock?db=1", "unix:///run/redis.sock"),
        (f"postgresql://ada:{SECRET}@db:5432/budget?sslpassword={SECRET}", "postgresql://db:5432/budget"),
        ("budget.db", "sqlite:budget.db"),
    ],
)
def test_a_ledger_is_named_without_its_password(url, label):
    place = Place.of(url=url, environ={})
    assert place.label == label
    assert SECRET not in repr(place)


# exec


def command(place: Place, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "coordinator.cli", "budget", "exec", *flags(place), *arguments]


@contextmanager
def running(*words: str) -> Iterator[subprocess.Popen[str]]:
    """A program that runs, with whatever it says; it has said a line."""
    process = subprocess.Popen(
        words, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
    finally:
        if process.poll() is None:
            left = _children_of(process.pid)  # whoever kills a messenger must see to its program
            process.kill()
            for one in left:
                os.killpg(one, signal.SIGKILL)
        process.communicate(timeout=30)


SPENDING = """
from coordinator.tracker import BudgetExceededError, open_budget
budget = open_budget("workflow:one")
budget.tracker.set_budget("workflow:one", 1)
with budget.spend(estimate="0.20") as call:
    call.actual = "0.15"
try:
    with budget.spend(estimate="0.20"):
        print("spent too much")
except BudgetExceededError as denial:
    print(denial.scope, denial.spent)
raise SystemExit(7)
"""


@pytest.mark.slow
def test_a_program_finds_its_session_and_its_exit_code_is_passed_on(place, tracker, run):
    session = ["--budget-session-id", "night", "--budget-session-limit", "0.30"]
    said = run("exec", *flags(place), *session, "--", sys.executable, "-c", SPENDING)
    assert (said.code, said.out) == (7, "session:night 0.15\n")
    assert f"session:night in {place.label}" in said.err
    assert "Spent     0.15 of 0.30" in said.err
    assert tracker.get_spent("session:night") == tracker.get_spent(WORKFLOW) == Decimal("0.15")
    again = run("exec", *flags(place), *session[:2], "--", sys.executable, "-c", SPENDING)
    assert again.code == 1
    assert "Spent     0.15 of 0.30" in again.err


def test_without_a_ledger_the_budget_is_a_file_for_as_long_as_the_program_runs(run):
    said = run(
        "exec", "--budget-session-limit", "0.30", "--", "sh", "-c", 'echo "$ACTP_BUDGET_TRACKER $ACTP_BUDGET_URL"'
    )
    kind, file = said.out.split()
    assert (said.code, kind) == (0, "sqlite")
    assert not Path(file).exists()
    assert "Spent     0.00 of 0.30" in said.err


def test_a_file_is_found_by_programs_in_other_folders(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    look = ["sh", "-c", 'cd / && ls "$ACTP_BUDGET_URL"']
    for url in ("budget.db", "sqlite:///budget.db"):
        said = run("exec", "--budget-store", url, "--budget-session-limit", "1", *look)
        assert said.code == (0 if url == "budget.db" else 2), said.err
    assert f"sqlite:///{tmp_path}/budget.db" in said.err


def test_a_session_without_a_limit_runs_nothing(place, tracker, run):
    tracker.set_budget(SESSION, 1)
    said = run("exec", *flags(place), "--budget-session-id", "other", "--", "echo", "ran")
    assert (said.code, said.out) == (1, "")
    assert "Give --budget-session-limit" in said.err
    assert run("exec", *flags(place), "--budget-session-id", "eval", "--", "echo", "ran").out == "ran\n"
    for limit in ("-1", "nan"):
        assert run("exec", *flags(place), f"--budget-session-limit={limit}", "--", "echo", "ran").code == 2
    assert run("exec", *flags(place), "--budget-session-limit", "1").code == 2


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["no-such-program"], 127),
        ([str(ROOT)], 126),
        (["sh", "-c", "kill -9 $$"], 137),
        (["sh", "-c", "exit 200"], 200),
        (["sh", "-c", 'test "$1" = --budget-root', "sh", "--budget-root"], 0),
        (["sh", "-c", 'test "$1" = --', "sh", "--"], 0),
    ],
    ids=str,
)
def test_what_becomes_of_the_program_is_its_exit_code(run, words, code):
    assert run("exec", "--budget-session-limit", "1", "--", *words).code == code


@pytest.mark.slow
def test_signals_are_passed_on(place):
    script = 'trap "echo got usr1" USR1; trap "echo got term; exit 42" TERM; echo ready; while :; do sleep 0.02; done'
    with running(*command(place, "--budget-session-limit", "1", "--", "sh", "-c", script)) as process:
        assert process.stdout is not None
        process.send_signal(signal.SIGUSR1)
        assert process.stdout.readline() == "got usr1\n"
        process.send_signal(signal.SIGTERM)
        assert process.stdout.readline() == "got term\n"
        assert process.wait(30) == 42


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="Only Linux lists processes so.")
def test_on_a_terminal_ctrl_c_reaches_the_program_once():
    script = 'trap "echo interrupted" INT; trap "exit 3" TERM; echo ready; while :; do sleep 0.02; done'
    words = [sys.executable, "-m", "coordinator.cli", "budget", "exec", "--budget-session-limit", "1", "--"]
    spawn = "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))"
    terminal = subprocess.Popen(
        [sys.executable, "-c", spawn, *words, "sh", "-c", script],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert terminal.stdin is not None
    assert terminal.stdout is not None
    try:
        said = b""
        while b"ready" not in said:
            said += os.read(terminal.stdout.fileno(), 1000)
        terminal.stdin.write(b"\x03")
        terminal.stdin.flush()
        while b"interrupted" not in said:
            said += os.read(terminal.stdout.fileno(), 1000)
        (program,) = _children_of(*_children_of(terminal.pid))
        time.sleep(0.3)  # a second one would come now
        os.kill(program, signal.SIGTERM)
        out, _ = terminal.communicate(timeout=30)
    finally:
        terminal.kill()
        terminal.communicate()
    assert (said + out).count(b"interrupted") == 1
    assert terminal.returncode == 3


def _children_of(number: int) -> list[int]:
    file = Path(f"/proc/{number}/task/{number}/children")
    return [int(one) for one in file.read_text(encoding="utf-8").split()] if file.exists() else []


@pytest.mark.slow
def test_a_program_is_told_when_its_session_is_spent(place, tracker):
    script = 'trap "echo told; exit 9" TERM; echo ready; while :; do sleep 0.02; done'
    session = ["--budget-session-id", "eval", "--budget-session-limit", "1", "--stop-when-spent", "--least", "0.10"]
    with running(*command(place, *session, "--", "sh", "-c", script)) as process:
        tracker.commit(tracker.reserve(SESSION, "0.90"), "0.90")
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.6)  # what is left is enough
        tracker.commit(tracker.reserve(SESSION, "0.01"), "0.01")
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (9, "told\n")
    assert "The session is spent" in err
    assert "Spent     0.91 of 1.00, and was stopped" in err


@pytest.mark.slow
def test_a_program_that_does_not_end_is_killed_and_what_it_has_started_too(place, tracker):
    script = 'trap "" TERM; (trap "" TERM; exec sleep 600) & echo ready; echo $!; while :; do sleep 0.02; done'
    session = ["--budget-session-id", "eval", "--budget-session-limit", "1", "--stop-when-spent", "--grace", "0.2"]
    with running(*command(place, *session, "--", "sh", "-c", script)) as process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        tracker.commit(tracker.reserve(SESSION, 1), 1)
        assert process.wait(30) == 137
        deadline = time.monotonic() + 10
        while _lives(child) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not _lives(child)


def _lives(number: int) -> bool:
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    # Nobody may be there to wait for it: a dead one whose parent has died is not alive.
    stat = Path(f"/proc/{number}/stat")
    try:
        return not stat.parent.parent.exists() or stat.read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.slow
def test_a_program_goes_on_while_the_ledger_is_away(new_server, run, capfd):
    server = new_server()
    place = Place(Kind.REDIS, server.url)
    timer = threading.Timer(0.6, server.kill)
    timer.start()
    said = run("exec", *flags(place), "--budget-session-limit", "1", "--stop-when-spent", "--", "sleep", "1.5")
    timer.join()
    assert said.code == 0
    assert "cannot be looked at" in said.err
    assert "cannot be read any more" in said.err


def test_a_session_in_usdc_is_spent_when_less_than_the_least_is_left():
    tracker = LocalTracker()
    tracker.set_budget(SESSION, 2**62, unit="usdc")
    tracker.commit(tracker.reserve(SESSION, 2**62 - 10, unit="usdc"), 2**62 - 10)
    assert not _Watching(tracker, SESSION, Decimal(10))._is_spent()
    assert _Watching(tracker, SESSION, Decimal(11))._is_spent()


def test_a_limit_of_more_digits_than_python_reads_is_refused(run, tmp_path):
    said = run("set", "--budget-store", tmp_path / "b.db", "--unit", "usdc", "s", "9" * 5000)
    assert (said.code, said.out) == (2, "")
    assert "no number of base units" in said.err
