from __future__ import annotations

import contextlib
import secrets
import subprocess
import sys
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis
from redis.crc import key_slot

from actp.errors import ConfigError, InvalidInput
from coordinator.tracker import BudgetExceededError, RedisTracker
from tests.resilience.contract import Ledger, NewLedger, TrackerContract
from tests.resilience.fleet import ROOT, Pod

FACTORY = "coordinator.tracker:RedisTracker"


@pytest.fixture
def new_ledger(redis_url, open_redis) -> NewLedger:
    return lambda: Ledger(open_redis(redis_url), time.sleep)


class TestContract(TrackerContract):
    """A Redis keeps what every tracker keeps."""


def test_redis_budget_tracker_concurrent_reserves_atomic(redis_url, open_redis):
    """Twenty clients, each over a connection of its own: a check and its increment are one step."""
    first = open_redis(redis_url, root := secrets.token_hex(8))
    first.set_budget("session", "10")
    start = threading.Barrier(20)

    def spend(tracker: RedisTracker) -> int:
        start.wait(timeout=30)
        granted = 0
        for _ in range(5):
            with contextlib.suppress(BudgetExceededError):
                tracker.reserve(["session", "workflow"], "0.25")
                granted += 1
        return granted

    with ThreadPoolExecutor(20) as threads:
        granted = sum(threads.map(spend, [open_redis(redis_url, root) for _ in range(20)]))
    assert granted == 40
    assert (first.get_reserved("session"), first.get_reserved("workflow")) == (10, 10)


def test_redis_budget_two_pods_share_state(redis_url, open_redis):
    """Two processes, one budget."""
    root = secrets.token_hex(8)
    open_redis(redis_url, root).set_budget("session", 10)
    with Pod(FACTORY, redis_url, root) as one, Pod(FACTORY, redis_url, root) as other:
        assert one.ask("reserve", ["session", "workflow:1"], "6") == "granted"
        assert other.ask("reserve", ["session", "workflow:2"], "5") == "session"
        one.ask("commit", "4.5")
        assert other.ask("spent", "session") == "4.50"
        assert other.ask("reserve", ["session", "workflow:2"], "5.5") == "granted"
        other.ask("commit", "5.5")
        assert one.ask("reserve", ["session", "workflow:1"], "0.01") == "session"
        assert one.ask("spent", "workflow:2") == "5.50"


def test_keys_are_where_the_readme_says_and_one_cluster_node_holds_them(redis_url, open_redis):
    tracker = RedisTracker(redis_url, root := secrets.token_hex(8), "my:own")
    tracker.set_budget("session:eval", 10)
    tracker.commit(tracker.reserve("session:eval", 3), 2)
    token = tracker.reserve(["session:eval", "{x}"], 4)
    client = redis.Redis.from_url(redis_url, decode_responses=True)
    base = f"my:own:{{{root}}}:"
    assert client.get(f"{base}limit:session:eval") == "10000000"
    assert client.get(f"{base}spent:session:eval") == "2000000"
    assert client.zrange(f"{base}reserved:session:eval", 0, -1, withscores=True) == [
        (token.id, token.expires_at * 1000)
    ]
    assert client.hgetall(f"{base}amounts:session:eval") == {token.id: "4000000"}
    keys = client.keys(f"{base.replace('[', '?')}*")
    assert len(keys) >= 10
    assert len({key_slot(key.encode()) for key in keys}) == 1
    tracker.close()
    client.close()


def test_roots_and_prefixes_keep_fleets_apart(redis_url):
    prefix = secrets.token_hex(4)
    roots = ["a", "A", "a}:limit:s", "a}", "{a", "%7D", "}", " a", "ä", "a:", "a:limit"]
    with contextlib.ExitStack() as opened:
        trackers = [opened.enter_context(RedisTracker(redis_url, root, prefix)) for root in roots]
        trackers += [opened.enter_context(RedisTracker(redis_url, "a", f"{prefix}:{more}")) for more in ("a", "limit")]
        places = [(tracker, scope) for tracker in trackers for scope in ("x", "s}:limit:x", "limit:x")]
        for number, (tracker, scope) in enumerate(places):
            tracker.set_budget(scope, number)
        assert [tracker.get_budget(scope) for tracker, scope in places] == list(range(len(places)))


@pytest.mark.parametrize(
    ("root", "prefix"),
    [("", "p"), ("r" * 201, "p"), ("a\nb", "p"), ("\ud800", "p"), (5, "p"), ("r", ""), ("r", "{p"), ("r", "p}"),
     ("r", "a b"), ("r", None), ("r", "p" * 201)],
)  # fmt: skip
def test_roots_and_prefixes_that_would_break_keys_are_refused(root, prefix):
    with pytest.raises(InvalidInput):
        RedisTracker("redis://127.0.0.1:1/0", root, prefix)


@pytest.mark.parametrize(
    "url",
    [
        "http://secret@host", "", "redis://host:secret", "redis://host/0?socket_timeout=secret",
        "redis://:secret/word@host/0", "redis://user:secret@host/0?no_such_option=1",
        "rediss://user:secret@host/0?ssl_cert_reqs=secret",
    ],
)  # fmt: skip
def test_a_url_that_is_none_is_refused_without_showing_its_secrets(url):
    with pytest.raises(ConfigError) as caught:
        RedisTracker(url)
    *_, told = traceback.TracebackException.from_exception(caught.value).format()
    assert "secret" not in told
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_without_the_extra_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(ConfigError, match=r"actp-escrow\[redis\]"):
        RedisTracker("redis://127.0.0.1:1/0")


def test_a_client_of_the_callers_own_is_used_and_left_open(redis_url):
    client = redis.Redis.from_url(redis_url, decode_responses=True)
    with RedisTracker(root=secrets.token_hex(8), client=client) as tracker:
        tracker.set_budget("s", 1)
        tracker.commit(tracker.reserve("s", 1), 1)
        assert tracker.get_spent("s") == 1
    assert client.ping()
    client.close()


def test_names_with_every_kind_of_character_survive_the_wire(redis_url, open_redis):
    tracker = open_redis(redis_url)
    tracker.set_budget("s", 1)
    token = tracker.reserve(["s", "日本 {x}:\\'\"😀"], 1)
    (found,) = open_redis(redis_url, tracker._name.split("{")[1].split("}")[0]).reservations()
    assert found.token == token


def test_importing_trackers_does_not_load_the_client_of_redis():
    program = "import sys, coordinator.tracker; sys.exit('redis' in sys.modules or 'sqlalchemy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False, cwd=ROOT).returncode == 0
