"""Alerts from the command line."""

from __future__ import annotations

import pytest

from coordinator.store import alerts
from coordinator.store.alerts import AlertKind, AlertState, Draft
from tests.coordinator.alerts.listener import Listener
from tests.coordinator.commands.support import ACCOUNT


@pytest.fixture
def listener():
    with Listener() as opened:
        yield opened


def add(shop, state=None):
    with shop.ledger() as ledger, ledger.write() as connection:
        alerts.add(connection, ACCOUNT, [Draft(AlertKind.BUDGET, f"ref-{state}", "A title", "A body")], 1.0)
        (newest,) = alerts.listed(connection, ACCOUNT, limit=1)
        if state is not None:
            alerts.finish(connection, newest, state, now=2.0, error="Slack 1a2b3c answered with 500.")
    return newest.id


def test_alerts_are_listed_by_state(shop, run):
    add(shop)
    dead = add(shop, AlertState.DEAD)
    assert [one["state"] for one in run("alerts", "list", "--json").lines] == ["dead", "waiting"]
    (only,) = run("alerts", "list", "--state", "dead", "--json").lines
    assert only["id"] == dead
    assert "A title (Slack 1a2b3c answered with 500.)" in run("alerts", "list").out


def test_dead_alerts_are_tried_again_and_no_others(shop, run):
    waiting, dead = add(shop), add(shop, AlertState.DEAD)
    said = run("alerts", "retry", waiting)
    assert said.code == 2
    assert f"Alert {waiting} is not dead" in said.err
    assert run("alerts", "retry", dead).code == 0
    assert {one["state"] for one in run("alerts", "list", "--json").lines} == {"waiting"}
    assert run("alerts", "retry", "--all").out == "None is dead.\n"
    assert run("alerts", "retry", "99").code == 2


def test_one_wrong_number_among_those_to_retry_changes_nothing(shop, run):
    dead = add(shop, AlertState.DEAD)
    assert run("alerts", "retry", dead, 99).code == 2
    assert run("alerts", "list", "--json").lines[0]["state"] == "dead"


def test_a_test_reaches_every_address_and_says_which_did_not_take_it(run, listener, monkeypatch):
    monkeypatch.delenv("ACTP_STORE_URL")
    monkeypatch.setenv("ACTP_ALERT_URLS", listener.url)
    said = run("alerts", "test")
    assert (said.code, listener.titles) == (0, ["A test"])
    listener.status = 500
    said = run("alerts", "test")
    assert said.code == 1
    assert "answered with 500" in said.out
    assert "se3cret" not in said.out + said.err


def test_without_an_address_there_is_nobody_to_test(run, tmp_path):
    assert "There is nobody to tell" in run("alerts", "test").err
    assert run("alerts", "test", "--alert-urls", tmp_path / "absent").code == 1
