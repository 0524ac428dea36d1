"""What goes wrong with a Redis, done to real ones."""

from __future__ import annotations

import logging
import tempfile
import time

import pytest
import redis

from coordinator.tracker import (
    BudgetExceededError,
    Committed,
    Reason,
    RedisTracker,
    TrackerUnavailable,
    UnknownToken,
)
from tests.resilience.fleet import Pod
from tests.resilience.servers import RedisServer, Wire
from tests.resilience.test_budget_redis import FACTORY


def administer(url: str) -> redis.Redis:
    return redis.Redis.from_url(url, decode_responses=True)


@pytest.fixture
def wire():
    opened = []

    def make(server: RedisServer) -> Wire:
        opened.append(Wire(server.port))
        return opened[-1]

    yield make
    for one in opened:
        one.close()


def test_what_is_on_disk_survives_a_power_cut_and_open_reservations_go_on(new_server, open_redis):
    server = new_server()
    tracker = open_redis(server.url, "root")
    tracker.set_budget("s", 10)
    tracker.commit(tracker.reserve("s", 3), 3)
    token = tracker.reserve(["s", "w"], 4)
    before = tracker.scopes()
    server.restart()
    assert tracker.scopes() == before
    with pytest.raises(BudgetExceededError):
        tracker.reserve("s", 4)
    assert tracker.commit(token, 4) == Committed(4_000_000)
    assert (tracker.get_spent("s"), tracker.get_reserved("s")) == (7, 0)
    assert tracker.warnings == ()


def test_while_it_is_down_nothing_is_granted_and_it_is_said_that_it_may_have_been_done(new_server, open_redis):
    server = new_server()
    tracker = open_redis(f"{server.url}?socket_connect_timeout=0.5", "root")
    tracker.set_budget("s", 10)
    server.kill()
    with pytest.raises(TrackerUnavailable) as caught:
        tracker.reserve("s", 1)
    assert (caught.value.retryable, caught.value.outcome) == (True, "unknown")
    server.start()
    assert tracker.get_reserved("s") == 0


@pytest.mark.slow
def test_a_read_without_an_answer_has_changed_nothing(new_server, open_redis):
    server = new_server()
    tracker = open_redis(f"{server.url}?socket_connect_timeout=0.5", "root")
    tracker.set_budget("s", 10)
    server.kill()
    for look in (tracker.scopes, tracker.reservations, lambda: tracker.get_spent("s")):
        with pytest.raises(TrackerUnavailable, match="Nothing was changed") as caught:
            look()
        assert caught.value.outcome == "not_sent"


def test_a_server_is_found_by_the_path_of_its_socket(new_server, open_redis):
    with tempfile.TemporaryDirectory(prefix="r-") as folder:  # the system takes no long paths
        new_server(unixsocket=f"{folder}/redis.sock")
        tracker = open_redis(f"unix://{folder}/redis.sock")
        tracker.set_budget("s", 10)
        assert tracker.commit(tracker.reserve("s", 2), 1).micros == 1_000_000


def test_a_commit_that_found_nobody_to_be_told_was_not_made(new_server, open_redis):
    server = new_server()
    tracker = open_redis(server.url, "root")
    tracker.set_budget("s", 10)
    token = tracker.reserve("s", 1)
    server.kill()
    for end in (lambda one: one.commit(token, 1), lambda one: one.release(token)):
        with pytest.raises(TrackerUnavailable, match=f"127.0.0.1:{server.port}.*Connection refused") as caught:
            end(open_redis(server.url, "root"))
        assert (caught.value.retryable, caught.value.outcome) == (True, "not_sent")


def test_after_a_flush_everything_is_denied_and_what_was_running_is_recorded(new_server, open_redis, caplog):
    server = new_server()
    tracker = open_redis(server.url, "root")
    tracker.set_budget("s", 10)
    running, other, abandoned = tracker.reserve(["s", "w"], 3), tracker.reserve("s", 1), tracker.reserve("s", 3)
    administer(server.url).flushall()
    with pytest.raises(BudgetExceededError) as caught:
        tracker.reserve("s", 1)
    assert caught.value.reason is Reason.NO_LIMIT
    with caplog.at_level(logging.WARNING, "coordinator.tracker"):
        assert tracker.commit(running, 2) == Committed(2_000_000, lost=True)
        assert tracker.commit(running, 2) == Committed(2_000_000, lost=True, repeated=True)
        assert tracker.commit(other, 1).lost
        tracker.release(abandoned)
    assert ["lost data" in one.getMessage() for one in caplog.records] == [True]
    assert len(tracker.warnings) == 1
    assert [(one.scope, one.spent, one.reserved, one.lost) for one in tracker.scopes()] == [
        ("s", 3, 0, 2),
        ("w", 2, 0, 1),
    ]
    tracker.set_budget("s", 10)
    with pytest.raises(BudgetExceededError):
        tracker.reserve("s", "7.01")
    made_up = tracker.reserve("s", 7)._replace(id="0" * 32)
    with pytest.raises(UnknownToken):
        tracker.commit(made_up, 1)


def test_a_server_that_kept_nothing_is_as_one_that_was_flushed(new_server, open_redis):
    server = new_server(appendonly="no")
    tracker = open_redis(server.url, "root")
    tracker.set_budget("s", 10)
    token = tracker.reserve("s", 3)
    server.restart()
    with pytest.raises(BudgetExceededError, match="no limit"):
        tracker.reserve("s", 1)
    assert tracker.commit(token, 3).lost


def test_a_replica_that_takes_over_without_the_last_reservation_lets_it_be_committed(new_server, open_redis, wire):
    primary, replica = new_server(), new_server()
    follower = administer(replica.url)
    follower.replicaof("127.0.0.1", primary.port)
    _until(lambda: follower.info("replication").get("master_link_status") == "up")
    way = wire(primary)
    tracker, other = open_redis(way.url, "root"), open_redis(primary.url, "root")
    tracker.set_budget("s", 10)
    known = tracker.reserve("s", 1)
    assert other.get_reserved("s") == 1
    _until(lambda: follower.exists(f"actp:budget:{{root}}:token:{known.id}"))
    way.port = replica.port
    way.cut()
    with pytest.raises(TrackerUnavailable, match="replica"):
        tracker.reserve("s", 1)
    follower.replicaof("NO", "ONE")
    unheard = other.reserve("s", 2)
    assert unheard.epoch == known.epoch
    primary.kill()
    assert tracker.commit(known, 1) == Committed(1_000_000)
    assert tracker.commit(unheard, 2).lost
    assert tracker.get_spent("s") == 3
    assert "lost data" in tracker.warnings[-1]


def test_a_part_of_a_scope_that_is_lost_denies(new_server, open_redis):
    server = new_server()
    tracker = open_redis(server.url, "root")
    for part in ("spent", "scope", "limit"):
        tracker.set_budget(part, 10)
        tracker.commit(tracker.reserve(part, 9), 9)
        assert administer(server.url).delete(f"actp:budget:{{root}}:{part}:{part}") == 1
        with pytest.raises(BudgetExceededError) as caught:
            tracker.reserve(part, 5)
        assert caught.value.reason is Reason.NO_LIMIT


def test_out_of_memory_grants_nothing_half_and_still_takes_what_frees_it(new_server, open_redis):
    server = new_server()
    tracker = open_redis(server.url, "root")
    tracker.set_budget("s", 10)
    committed, released = tracker.reserve(["s", "w"], 2), tracker.reserve("s", 3)
    late = tracker.reserve("s", 1, ttl_seconds=0.01)
    time.sleep(0.02)
    tracker.get_reserved("s")
    before = tracker.scopes()
    admin = administer(server.url)
    admin.config_set("maxmemory", "1")
    for refused in (lambda: tracker.reserve(["s", "new"], 1), lambda: tracker.set_budget("t", 5)):
        with pytest.raises(TrackerUnavailable) as caught:
            refused()
        assert (caught.value.code, caught.value.outcome) == ("tracker_full", "not_sent")
    assert tracker.scopes() == before
    assert tracker.commit(committed, 1) == Committed(1_000_000, 1_000_000)
    assert tracker.commit(late, 1).late
    tracker.release(released)
    admin.config_set("maxmemory", "0")
    assert [(one.scope, one.spent, one.reserved) for one in tracker.scopes()] == [("s", 2, 0), ("w", 1, 0)]
    tracker.reserve("s", 8)


def test_a_part_of_a_scope_that_is_lost_neither_grants_more_nor_denies_for_ever(new_server, open_redis):
    server = new_server()
    tracker = open_redis(server.url, "root")
    for part in ("scope", "reserved", "amounts"):
        tracker.set_budget(part, 10)
        short, long = tracker.reserve(part, 2, ttl_seconds=0.05), tracker.reserve(part, 3)
        assert administer(server.url).delete(f"actp:budget:{{root}}:{part}:{part}") == 1
        if part == "scope":
            with pytest.raises(BudgetExceededError):
                tracker.reserve(part, 1)
        tracker.set_budget(part, 10)
        time.sleep(0.06)
        assert tracker.get_reserved(part) == (3 if part == "scope" else 0)
        assert tracker.commit(long, 1).micros == 1_000_000
        assert tracker.commit(short, 1).late
        assert (tracker.get_spent(part), tracker.get_reserved(part)) == (2, 0)
        with pytest.raises(BudgetExceededError):
            tracker.reserve(part, 9)
        tracker.reserve(part, 8)


def test_a_reservation_that_only_its_scopes_remember_can_be_committed(new_server, open_redis):
    server = new_server(maxmemory_policy="volatile-lru")
    tracker = open_redis(server.url, "root")
    tracker.set_budget("s", 10)
    token, released = tracker.reserve(["s", "w"], 3), tracker.reserve("s", 1)
    for one in (token, released):
        assert administer(server.url).delete(f"actp:budget:{{root}}:token:{one.id}") == 1
    for changed in ({"micros": 4_000_000}, {"scopes": ("s", "v")}, {"expires_at": token.expires_at + 1}):
        with pytest.raises(UnknownToken):
            tracker.commit(token._replace(**changed), 3)
    assert tracker.commit(token, 2) == Committed(2_000_000, 1_000_000)
    assert tracker.commit(token, 2).repeated
    tracker.release(released)
    assert [(one.scope, one.spent, one.reserved) for one in tracker.scopes()] == [("s", 2, 0), ("w", 2, 0)]


def test_a_full_server_that_begins_anew_takes_what_frees_it(new_server, open_redis):
    server = new_server()
    tracker = open_redis(server.url, "root")
    tracker.set_budget("s", 10)
    committed, released = tracker.reserve("s", 2), tracker.reserve("s", 3)
    server.restart(maxmemory="1")
    again = open_redis(server.url, "root")
    assert again.commit(committed, 1).micros == 1_000_000
    again.release(released)
    with pytest.raises(TrackerUnavailable) as caught:
        again.reserve("s", 1)
    assert caught.value.code == "tracker_full"


@pytest.mark.parametrize("answers", [1, 2])
def test_an_answer_that_is_lost_after_the_script_ran_changes_nothing_twice(new_server, open_redis, wire, answers):
    way = wire(new_server())
    tracker = open_redis(way.url, "root")
    tracker.set_budget("s", 10)
    tracker.release(tracker.reserve("s", 1))
    way.lose(answers)
    token = tracker.reserve(["s", "w"], 6)
    assert tracker.get_reserved("s") == 6
    assert [one.token for one in tracker.reservations()] == [token]
    way.lose(answers)
    assert tracker.commit(token, 5).repeated, "the answer that arrives is to the second call"
    assert (tracker.get_spent("s"), tracker.get_spent("w"), tracker.get_reserved("s")) == (5, 5, 0)
    other = tracker.reserve("s", 5)
    way.lose(answers)
    tracker.release(other)
    assert (tracker.get_spent("s"), tracker.get_reserved("s")) == (5, 0)
    assert way.lost == 3 * answers


def test_a_reservation_whose_answers_are_all_lost_ends_by_itself(new_server, open_redis, wire):
    way = wire(new_server())
    tracker = open_redis(way.url, "root", ttl_seconds=0.5)
    tracker.set_budget("s", 10)
    tracker.get_spent("s")
    way.lose(100)
    with pytest.raises(TrackerUnavailable) as caught:
        tracker.reserve("s", 10)
    assert caught.value.outcome == "unknown"
    way.lose(0)
    _until(lambda: tracker.get_reserved("s") == 0)
    tracker.reserve("s", 10)


def test_scripts_that_the_server_has_forgotten_are_given_to_it_again(new_server, open_redis):
    server = new_server()
    tracker = open_redis(server.url, "root")
    admin = administer(server.url)
    admin.script_flush()
    tracker.set_budget("s", 10)
    admin.script_flush()
    token = tracker.reserve("s", 1)
    admin.script_flush()
    tracker.commit(token, 1)
    admin.script_flush()
    assert tracker.get_spent("s") == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"appendonly": "yes", "appendfsync": "always"}, None),
        ({"appendonly": "yes", "appendfsync": "everysec"}, "appendfsync everysec"),
        ({"appendonly": "no", "save": "3600 1"}, "snapshots only"),
        ({"appendonly": "no"}, "keeps nothing on disk"),
        ({"maxmemory_policy": "allkeys-lru"}, "allkeys-lru"),
    ],
    ids=lambda one: str(one)[:40],
)
def test_a_server_that_may_forget_is_warned_of_once(new_server, open_redis, caplog, options, said):
    tracker = open_redis(new_server(**options).url)
    assert tracker.warnings == ()
    with caplog.at_level(logging.WARNING, "coordinator.tracker"):
        tracker.set_budget("s", 1)
        tracker.get_spent("s")
        warnings = tracker.check()
    assert warnings == tracker.warnings == tuple(one.getMessage() for one in caplog.records)
    assert len(warnings) == (said is not None)
    assert said is None or said in warnings[0]


@pytest.mark.parametrize("way", ["refused", "unknown"])
def test_a_server_that_does_not_say_is_warned_of(new_server, open_redis, way):
    options = {"rename_command": "CONFIG hidden"} if way == "unknown" else {}
    server = new_server(**options)
    url = server.url
    if way == "refused":
        administer(url).execute_command("ACL SETUSER app on >pass ~* +@all -config -info")
        url = url.replace("://", "://app:pass@")
    tracker = open_redis(url, "root")
    tracker.set_budget("s", 1)
    tracker.commit(tracker.reserve("s", 1), 1)
    (warning,) = tracker.warnings
    assert "does not say" in warning


def test_a_server_that_refuses_to_say_in_words_of_its_own_is_used_all_the_same(redis_url):
    class Managed(redis.Redis):
        def config_get(self, *args, **named):
            raise redis.ResponseError("Command is not available: 'CONFIG'. See https://example.com/commands")

    with RedisTracker(client=Managed.from_url(redis_url), root=f"managed {time.time_ns()}") as tracker:
        tracker.set_budget("s", 1)
        tracker.reserve("s", 1)
        (warning,) = tracker.warnings
        assert "does not say" in warning


@pytest.mark.slow
def test_a_user_who_is_refused_is_told_so_without_the_password(new_server, open_redis):
    server = new_server(requirepass="secret")
    for url in (server.url, f"{server.url}?health_check_interval=1", server.url.replace("://", "://:other-secret@")):
        with pytest.raises(TrackerUnavailable) as caught:
            open_redis(url).get_spent("s")
        assert (caught.value.code, caught.value.retryable) == ("tracker_refused", False)
        assert "secret" not in str(caught.value)
    tracker = open_redis(f"{server.url.replace('://', '://:secret@')}?health_check_interval=1")
    assert tracker.get_spent("s") == 0


def test_a_server_that_cannot_write_to_its_disk_grants_nothing(new_server, open_redis, tmp_path):
    server = new_server(appendonly="no", save="3600 1")
    tracker = open_redis(server.url)
    tracker.set_budget("s", 1)
    admin = administer(server.url)
    admin.config_set("dbfilename", "no-such-folder-as-this.rdb")
    (tmp_path / "redis0" / "no-such-folder-as-this.rdb").mkdir()
    with pytest.raises(redis.RedisError):
        admin.save()
    admin.execute_command("BGSAVE")
    _until(lambda: admin.info("persistence")["rdb_last_bgsave_status"] == "err")
    with pytest.raises(TrackerUnavailable, match="disk") as caught:
        tracker.reserve("s", 1)
    assert caught.value.outcome == "not_sent"


@pytest.mark.slow
def test_a_process_killed_between_reserve_and_commit_gives_its_budget_back(redis_url, open_redis):
    tracker = open_redis(redis_url)
    root = tracker._name.split("{")[1].split("}")[0]
    tracker.set_budget("s", 10)
    with Pod(FACTORY, redis_url, root) as pod:
        assert pod.ask("reserve", ["s", "w"], "10", 1.0) == "granted"
        pod.kill()
    with pytest.raises(BudgetExceededError):
        tracker.reserve("s", 1)
    _until(lambda: tracker.get_reserved("s") == 0)
    assert tracker.reservations() == ()
    tracker.reserve("s", 10)


def test_the_clocks_of_hosts_do_not_matter(redis_url, open_redis, monkeypatch):
    tracker = open_redis(redis_url, "clocks")
    tracker.set_budget("s", 1)
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + 10 * 86_400)
    token = tracker.reserve("s", 1)
    assert abs(token.expires_at - real() - 900) < 60
    monkeypatch.setattr(time, "time", lambda: real() - 10 * 86_400)
    with pytest.raises(BudgetExceededError):
        tracker.reserve("s", 1)
    assert tracker.commit(token, 1) == Committed(1_000_000)


@pytest.mark.slow
def test_a_node_of_a_cluster_takes_every_call(new_server, open_redis):
    server = new_server(cluster_enabled="yes")
    admin = administer(server.url)
    admin.execute_command("CLUSTER ADDSLOTS", *range(16_384))
    _until(lambda: admin.cluster("INFO")["cluster_state"] == "ok")
    tracker = open_redis(server.url, "root")
    tracker.set_budget("session:x", 5)
    tracker.commit(tracker.reserve(["session:x", "{other}", "}{"], 2), 1)
    tracker.release(tracker.reserve(["session:x", "{other}"], 2))
    assert [one.spent for one in tracker.scopes()] == [1, 1, 1]
    assert tracker.reservations() == ()


def _until(true, seconds=20.0):
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it does not come true"
        time.sleep(0.02)
