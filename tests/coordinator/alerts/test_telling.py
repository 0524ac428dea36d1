"""Sending alerts with apprise to a real server: each once, until it is there or given up, and no URL in any log."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from actp.engine.store import StoreBusy, open_store
from coordinator.alerts.addresses import read_addresses
from coordinator.alerts.telling import ATTEMPTS, Teller, pause
from coordinator.store import alerts, open_ledger
from coordinator.store.alerts import AlertKind, AlertState, Draft


def put(ledger, account, *references, kind=AlertKind.BUDGET):
    drafts = [Draft(kind, name, f"Title {name}", f"Body of {name}: 5 < 6 & *7*") for name in references]
    with ledger.write() as connection:
        alerts.add(connection, account, drafts, ledger.now())


def rows(ledger, account):
    with ledger.read() as connection:
        return alerts.listed(connection, account)


def teller(ledger, account, *urls):
    return Teller(ledger, account, read_addresses(environment={"ACTP_ALERT_URLS": " ".join(urls)}))


def test_an_alert_arrives_with_its_words_and_is_not_sent_again(ledger, account, listener, clock):
    put(ledger, account, "a")
    sender = teller(ledger, account, listener.url)
    assert sender.step() == 1
    (got,) = listener.got
    assert (got["title"], got["message"], got["type"]) == ("Title a", "Body of a: 5 < 6 & *7*", "warning")
    (row,) = rows(ledger, account)
    assert (row.state, row.attempts, row.sent_at, row.error) == (AlertState.SENT, 1, clock.time(), None)
    clock.advance(100_000)
    assert sender.step() == 0
    put(ledger, account, "a")
    assert sender.step() == 0
    assert listener.tried == 1


def test_what_is_refused_is_tried_again_later_and_later_and_then_given_up(ledger, account, listener, clock):
    listener.status = 503
    put(ledger, account, "a")
    sender = teller(ledger, account, listener.url)
    waited = 0.0
    for attempt in range(1, ATTEMPTS + 1):
        assert sender.step() == 0
        assert listener.tried == attempt
        (row,) = rows(ledger, account)
        assert row.attempts == attempt
        if attempt < ATTEMPTS:
            assert row.state is AlertState.WAITING
            clock.advance(pause(attempt) - 1)
            assert sender.step() == 0
            assert listener.tried == attempt, "it is too early"
            clock.advance(1)
            waited += pause(attempt)
    assert row.state is AlertState.DEAD
    assert "503" in row.error
    assert 3_600 < waited < 6 * 3_600
    clock.advance(1_000_000)
    assert sender.step() == 0
    assert listener.tried == ATTEMPTS, "nobody tries for ever"


def test_a_dead_alert_is_there_to_be_seen_and_can_be_sent_again(ledger, account, listener, clock):
    listener.status = 500
    put(ledger, account, "a")
    sender = teller(ledger, account, listener.url)
    for attempt in range(1, ATTEMPTS + 1):
        sender.step()
        clock.advance(pause(attempt))
    with ledger.read() as connection:
        (dead,) = alerts.listed(connection, account, state=AlertState.DEAD)
    listener.status = 200
    with ledger.write() as connection:
        assert alerts.revive(connection, account, dead.id, ledger.now())
        assert not alerts.revive(connection, account, dead.id, ledger.now()), "it waits now"
    assert sender.step() == 1
    assert listener.titles == ["Title a"]


def test_an_address_that_has_it_is_not_told_again_while_another_one_fails(ledger, account, listener, other, clock):
    other.status = 500
    put(ledger, account, "a")
    sender = teller(ledger, account, listener.url, other.url)
    assert sender.step() == 0
    for attempt in range(1, 4):
        clock.advance(pause(attempt))
        other.status = 200 if attempt == 3 else 500
        sender.step()
    assert (listener.tried, len(listener.got)) == (1, 1)
    assert (other.tried, len(other.got)) == (4, 1)
    assert rows(ledger, account)[0].state is AlertState.SENT


def test_a_server_that_is_not_there_loses_nothing(ledger, account, listener, clock):
    put(ledger, account, "a")
    sender = teller(ledger, account, "json://127.0.0.1:9/nobody")
    assert sender.step() == 0
    clock.advance(pause(1))
    assert teller(ledger, account, listener.url).step() == 1
    assert listener.titles == ["Title a"]


def test_without_an_address_alerts_wait(ledger, account, listener):
    put(ledger, account, "a")
    assert teller(ledger, account).step() == 0
    assert rows(ledger, account)[0].attempts == 0
    assert teller(ledger, account, listener.url).step() == 1


def test_the_arbiter_is_told_of_disputes_alone(ledger, account, listener, other):
    put(ledger, account, "a", kind=AlertKind.DISPUTE)
    put(ledger, account, "b", kind=AlertKind.BUDGET)
    put(ledger, account, "c", kind=AlertKind.BREACH)
    assert teller(ledger, account, listener.url, "arbiter=" + other.url).step() == 3
    assert sorted(listener.titles) == ["Title a", "Title b", "Title c"]
    assert other.titles == ["Title a"]


def test_an_alert_that_nobody_takes_is_visible_as_dead(ledger, account, listener):
    put(ledger, account, "a", kind=AlertKind.DRIFT)
    assert teller(ledger, account, "dispute,breach=" + listener.url).step() == 0
    (row,) = rows(ledger, account)
    assert (row.state, row.error) == (AlertState.DEAD, "No address takes alerts of the kind drift.")


def test_two_senders_send_each_alert_once(ledger, account, listener):
    put(ledger, account, *(f"n{index}" for index in range(12)))
    senders = [teller(ledger, account, listener.url) for _ in range(3)]
    threads = [threading.Thread(target=one.step) for one in senders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(listener.titles) == sorted(f"Title n{index}" for index in range(12))


def test_no_log_and_no_row_has_a_url_or_a_part_of_it(ledger, account, listener, other, caplog, clock):
    caplog.set_level(1)
    for name in ("apprise", "urllib3.connectionpool", "coordinator"):
        caplog.set_level(1, logger=name)
    other.status = 500
    put(ledger, account, "a")
    urls = (listener.url, other.url, "json://127.0.0.1:9/se3cret-path/token-9f8e7d")
    sender = teller(ledger, account, *urls)
    sender.step()
    shown = [record.getMessage() for record in caplog.records]
    shown += [repr(row) for row in rows(ledger, account)] + [repr(one) for one in sender._addresses]
    assert any("attempt 1" in one for one in shown), "failures are logged"
    assert [one for one in shown if "se3cret" in one or "9f8e7d" in one or "json://" in one] == []
    caplog.clear()
    logging.getLogger("apprise").warning("somebody else's")
    assert caplog.messages == ["somebody else's"]


def test_run_ends_when_it_is_told_to(ledger, account, listener):
    put(ledger, account, "a")
    stop = threading.Event()
    thread = threading.Thread(target=teller(ledger, account, listener.url).run, args=(stop,), kwargs={"every": 0.01})
    thread.start()
    deadline = time.monotonic() + 10
    while not listener.got and time.monotonic() < deadline:
        time.sleep(0.01)
    stop.set()
    thread.join(10)
    assert not thread.is_alive()
    assert listener.titles == ["Title a"]


def test_a_store_that_is_busy_for_a_moment_does_not_end_it(ledger, account, listener, monkeypatch):
    put(ledger, account, "a")
    stop = threading.Event()
    sender = teller(ledger, account, listener.url)
    found, due = [], alerts.due

    def busy_once(*args, **given):
        found.append(1)
        if len(found) == 1:
            raise StoreBusy("busy")
        stop.set()
        return due(*args, **given)

    monkeypatch.setattr(alerts, "due", busy_once)
    sender.run(stop, every=0.01)
    assert listener.titles == ["Title a"]


_PROGRAM = """
import sys
from actp.engine.store import open_store
from coordinator.alerts.addresses import read_addresses
from coordinator.alerts.telling import Teller
from coordinator.store import open_ledger
from coordinator.store.accounts import Account
ledger = open_ledger(open_store(sys.argv[1]))
Teller(ledger, Account(31_337, sys.argv[2]), read_addresses()).step()
"""


@pytest.mark.slow
def test_a_process_killed_while_it_sends_leaves_the_alert_to_the_next_one(tmp_path, account, listener, clock):
    """The server has it, and nobody could note that: it comes a second time, after the claim, and not a third time."""
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    store = open_store(url)
    ledger = open_ledger(store)
    put(ledger, account, "a")
    listener.hold = threading.Event()
    process = subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, url, account.wallet], env={**os.environ, "ACTP_ALERT_URLS": listener.url}
    )
    deadline = time.monotonic() + 60
    while not listener.tried and time.monotonic() < deadline:
        time.sleep(0.02)
    assert listener.tried == 1
    process.send_signal(signal.SIGKILL)
    process.wait(10)
    listener.hold.set()
    listener.hold = None
    assert teller(ledger, account, listener.url).step() == 0, "the claim holds"
    (row,) = rows(ledger, account)
    assert (row.state, row.attempts) == (AlertState.WAITING, 1)
    store.clock = clock  # from here on time passes as the test wants
    clock.advance(row.next_at - clock.time())
    for _ in range(3):
        teller(ledger, account, listener.url).step()
        clock.advance(100_000)
    assert listener.tried == 2
    store.close()
