from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import create_engine
from sqlalchemy.engine import make_url

from actp.engine.store import Store, open_store
from actp.testing import FakeClock
from coordinator.authority import Authority
from coordinator.store import Ledger, open_ledger
from coordinator.store.accounts import Account
from tests.coordinator.authority.support import NOON, TOKEN, book, fund
from tests.engine.conftest import postgresql

__all__ = ["postgresql"]

BACKENDS = (
    "memory",
    "function",
    pytest.param("file", marks=pytest.mark.slow),
    pytest.param("batches", marks=pytest.mark.slow),
)
"""SQLite in memory and in a file; on PostgreSQL the function, and the decision in Python. Between `memory` and
`function` every line of either decision runs.
"""


@pytest.fixture(scope="session")
def shared(postgresql) -> Iterator[Store]:
    """A store on PostgreSQL for all tests: each has a wallet of its own in it."""
    name = f"authority_{secrets.token_hex(6)}"
    server = create_engine(make_url(postgresql).set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    server.dispose()
    store = open_store(str(make_url(postgresql).set(database=name).render_as_string(hide_password=False)))
    open_ledger(store)
    yield store
    store.close()


@pytest.fixture
def clock() -> FakeClock:
    """Noon, and only the test moves it."""
    return FakeClock(wall=NOON)


@pytest.fixture
def account() -> Account:
    return Account(31_337, "0x" + secrets.token_hex(20))


@pytest.fixture(params=BACKENDS)
def backend(request) -> str:
    return request.param


@pytest.fixture
def ledger(backend, clock, request, tmp_path) -> Iterator[Ledger]:
    if backend in ("function", "batches"):
        store = request.getfixturevalue("shared")
        yield Ledger(Store(store.engine, durable=True, clock=clock))
        return
    store = open_store("sqlite://" if backend == "memory" else f"sqlite:///{tmp_path / 'ledger.db'}", clock=clock)
    yield open_ledger(store)
    store.close()


@pytest.fixture
def serve(ledger, account, backend) -> Iterator[Callable[..., Authority]]:
    """Makes authorities over the test's treasury, as so many processes would."""
    opened = []

    def make(**options) -> Authority:
        made = Authority(ledger, account, token=TOKEN, **options)
        opened.append(made)
        if backend == "batches":
            made._direct = None
        return made

    yield make
    for one in opened:
        one.close()


@pytest.fixture
def authority(serve) -> Authority:
    """An authority over a treasury of 10,000 USDC, with rules for ann and bob."""
    made = serve()
    made.apply(book(), "test")
    fund(made)
    return made
