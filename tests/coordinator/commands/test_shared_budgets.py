"""What `coordinator budget` says where its flags do not name enough, or name something else."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def nothing_named(monkeypatch):
    for name in ("TRACKER", "URL", "ROOT", "SESSION"):
        monkeypatch.delenv(f"ACTP_BUDGET_{name}", raising=False)


def test_a_program_under_no_ledger_and_no_limit_is_told_which_flag_is_missing(run):
    said = run("budget", "exec", "--", "echo", "ran")
    assert (said.code, said.out) == (1, "")
    assert "Give --budget-session-limit." in said.err
    assert "/tmp" not in said.err, "a file that nobody has named is nobody's mistake"


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/0", "budgets.db", "sqlite:///budgets.db", "127.0.0.1:6379"])
def test_what_is_no_url_of_a_redis_is_not_taken_for_a_database(run, url):
    said = run("budget", "status", "--budget-redis-url", url)
    assert said.code == 1
    assert "--budget-redis-url is no URL of a Redis." in said.err
    assert "--budget-store" in said.err
