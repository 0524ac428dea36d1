"""Where every budget is now, read from cells: it takes as long with a million requests as with ten."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from sqlalchemy import BigInteger, Connection, cast, func, literal, select

from coordinator.budget.categories import shown_category
from coordinator.budget.cells import Cell
from coordinator.budget.limits import UNCATEGORIZED, limits, treasury_scope
from coordinator.budget.periods import window_start
from coordinator.budget.rulebook import RuleBook
from coordinator.budget.words import Period, ReservationState, Scope, ScopeKind
from coordinator.store import Ledger, asks, pauses, reservations, rulebooks, scopes, treasuries, usage
from coordinator.store.accounts import Account
from coordinator.store.budget_schema import reservations as table
from coordinator.store.budget_schema import votes
from coordinator.store.bulk import among
from coordinator.store.losses import GAS
from coordinator.store.pauses import Pause
from coordinator.store.schema import losses
from coordinator.types import ETH

__all__ = ["Frozen", "Gas", "Line", "Summary", "Waiting", "Window", "report"]

_GWEI = 10**9
_PERIODS = tuple(one for one in Period if one is not Period.EVER)


@dataclass(frozen=True, slots=True)
class Window:
    """How much of a limit that starts again is used in its window of now. `since` is unix seconds, None if the window
    rolls or never ends.
    """

    period: Period
    since: int | None
    used: int
    limit: int


@dataclass(frozen=True, slots=True)
class Line:
    """An agent or a category: what is in escrows or paid out of them, and what is reserved, in base units, ever.
    `limit` is that of both together, None if there is none.
    """

    name: str
    spent: int = 0
    reserved: int = 0
    limit: int | None = None
    windows: tuple[Window, ...] = ()


@dataclass(frozen=True, slots=True)
class Gas:
    """The treasury's ETH, in wei: what it held when it was looked at last (LARGEST stands for more, too: cells have
    no room for it), what is reserved of that for fees, and what fees have cost, ever. `window` is the budget of gas,
    None if there is none.
    """

    balance: int
    reserved: int
    spent: int
    window: Window | None = None


@dataclass(frozen=True, slots=True)
class Waiting:
    """A request that waits for so many yeses, of which it has some, until `expires_at`."""

    approval_id: str
    agent: str
    amount: int
    provider: str
    category: str
    yes: int
    required: int
    expires_at: float


@dataclass(frozen=True, slots=True)
class Frozen:
    """A budget to which nothing may be charged until somebody has looked at it."""

    scope: Scope
    reason: str


@dataclass(frozen=True, slots=True)
class Summary:
    """Everything, at one moment. `total_budget` is None as long as none is set, `token` as long as there is no
    treasury. Agents and categories are in the order of their names; what named no category counts as `other`. `paused`
    is who may spend nothing until somebody resumes it. `gas` is the only thing that is no USDC.
    """

    chain_id: int
    wallet: str
    token: str | None
    at: float
    total_budget: int | None = None
    spent: int = 0
    reserved: int = 0
    agents: tuple[Line, ...] = ()
    categories: tuple[Line, ...] = ()
    waiting: tuple[Waiting, ...] = ()
    frozen: tuple[Frozen, ...] = ()
    paused: tuple[Pause, ...] = ()
    gas: Gas | None = None

    @property
    def remaining(self) -> int | None:
        """What may still be asked for; less than nothing after a limit was lowered."""
        return None if self.total_budget is None else self.total_budget - self.spent - self.reserved


@dataclass
class _Funded:
    """What lies in escrows and is not final: cells still call it reserved, and people call it spent."""

    total: int = 0
    agents: Counter[str] = field(default_factory=Counter)
    categories: Counter[str] = field(default_factory=Counter)


def report(ledger: Ledger, account: Account) -> Summary:
    """Where a treasury's budgets are. Raises StoreError."""
    with ledger.snapshot() as connection:
        now = ledger.now_by(connection)
        paused = tuple(pauses.active(connection, account).values())
        treasury = treasuries.read(connection, account)
        if treasury is None:
            return Summary(account.chain_id, account.wallet, None, now, paused=paused)
        token = treasury.token
        enacted = rulebooks.read(connection, account, treasury.rulebook)
        book = RuleBook(categories={}) if enacted is None else enacted.book
        starts = {period: window_start(period, now) for period in Period}
        since = min(starts[period] for period in _PERIODS if period is not Period.ROLLING_DAY)
        rows = usage.of_wallet(connection, account, since=since)
        cells = {one.scope: one.cell for one in rows if one.cell.window_start == starts[one.scope.period]}
        funded = _funded(connection, account)
        waiting = _waiting(connection, account, now)
        fees = _fees(connection, account)
        frozen = [row for row in scopes.listed(connection, account) if row.frozen is not None]
    total = cells.get(Scope(ScopeKind.TOTAL, "", Period.EVER, token))
    known = {one.scope: one.limit for one in limits(book, token)}
    agents = _lines(ScopeKind.AGENT, token, known, cells, funded.agents, now)
    categories = _lines(ScopeKind.CATEGORY, token, known, cells, funded.categories, now)
    return Summary(
        account.chain_id,
        account.wallet,
        token,
        now,
        book.total_budget,
        funded.total + (0 if total is None else total.spent),
        (0 if total is None else total.reserved) - funded.total,
        agents,
        categories,
        tuple(waiting),
        tuple(Frozen(row.scope, row.frozen or "") for row in frozen),
        paused,
        _gas(known, cells, fees, now),
    )


def _lines(
    kind: ScopeKind,
    token: str,
    known: Mapping[Scope, int | None],
    cells: Mapping[Scope, Cell],
    funded: Mapping[str, int],
    now: float,
) -> tuple[Line, ...]:
    """One for each agent or category that the rules know or that was ever charged to."""
    here = {one for one in (*known, *cells) if one.kind is kind and one.unit == token}
    lines: dict[str, Line] = {}
    for key in sorted({one.key for one in here}):
        ever = Scope(kind, key, Period.EVER, token)
        cell = cells.get(ever)
        on_chain = funded.get(key, 0)
        spent = on_chain + (0 if cell is None else cell.spent)
        reserved = (0 if cell is None else cell.reserved) - on_chain
        name = key
        if kind is ScopeKind.CATEGORY and key == UNCATEGORIZED:
            if not (spent or reserved):
                continue
            name = shown_category(key)
        windows = _windows((one for one in here if one.key == key and one != ever), known, cells, now)
        before = lines.get(name, Line(name))
        lines[name] = Line(
            name,
            before.spent + spent,
            before.reserved + reserved,
            before.limit if key != name else known.get(ever),
            before.windows + windows,
        )
    return tuple(lines[name] for name in sorted(lines))


def _windows(
    wanted: Iterable[Scope], known: Mapping[Scope, int | None], cells: Mapping[Scope, Cell], now: float
) -> tuple[Window, ...]:
    """Those to which a limit applies by the rules of now."""
    found = []
    for scope in wanted:
        limit = known.get(scope)
        if limit is None:
            continue
        cell = cells.get(scope)
        since = None if scope.period in (Period.ROLLING_DAY, Period.EVER) else window_start(scope.period, now)
        found.append(Window(scope.period, since, 0 if cell is None else cell.used_at(now), limit))
    return tuple(sorted(found, key=lambda one: list(Period).index(one.period)))


def _gas(known: Mapping[Scope, int | None], cells: Mapping[Scope, Cell], fees: int, now: float) -> Gas:
    wallet = cells.get(treasury_scope(ETH))
    budgets = [one for one in known if one.kind is ScopeKind.GAS]
    windows = _windows(budgets, known, cells, now)
    return Gas(
        0 if wallet is None else wallet.lim or 0,
        0 if wallet is None else wallet.reserved,
        fees,
        windows[0] if windows else None,
    )


def _fees(connection: Connection, account: Account) -> int:
    """What everything that was mined has cost. Amounts are text, and a database's whole numbers may be too small for
    their sum in wei: gwei and the rest are summed apart.
    """
    amount = cast(losses.c.amount, BigInteger)
    query = select(func.sum(amount / literal(_GWEI, BigInteger)), func.sum(amount % literal(_GWEI, BigInteger)))
    gwei, rest = connection.execute(query.where(account.owns(losses), losses.c.kind == GAS)).one()
    return int(gwei or 0) * _GWEI + int(rest or 0)


def _funded(connection: Connection, account: Account) -> _Funded:
    query = (
        select(table.c.agent, table.c.category, func.sum(table.c.amount))
        .where(account.owns(table), table.c.state == ReservationState.ON_CHAIN.value)
        .group_by(table.c.agent, table.c.category)
    )
    found = _Funded()
    for agent, category, amount in connection.execute(query):
        found.total += int(amount)
        found.agents[agent] += int(amount)
        found.categories[category] += int(amount)
    return found


def _waiting(connection: Connection, account: Account, now: float) -> list[Waiting]:
    rows = [one for one in asks.waiting(connection, account) if one.expires_at > now]
    numbers = [one.reservation_id for one in rows]
    about = reservations.by_ids(connection, numbers) if rows else {}
    said = select(votes.c.reservation_id, func.count()).where(among(connection, votes.c.reservation_id, numbers))
    said = said.where(votes.c.yes).group_by(votes.c.reservation_id)
    yes = {number: int(count) for number, count in connection.execute(said)}
    found = []
    for row in rows:
        one, number = about[row.reservation_id], row.reservation_id
        found.append(
            Waiting(
                row.approval_id,
                one.agent,
                one.amount,
                one.provider,
                shown_category(one.category),
                yes.get(number, 0),
                row.required,
                row.expires_at,
            )
        )
    return found
