"""What the ledger holds, as programs read it. Everything is read when it is asked for; nothing is kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from sqlalchemy import Connection

from coordinator.api.records import BudgetReport, SpendingRecord
from coordinator.authority import Authority
from coordinator.budget.categories import shown_category, stored_categories
from coordinator.budget.cells import Cell
from coordinator.budget.periods import window_start
from coordinator.budget.requests import DEADLINE_SECONDS, WINDOW_SECONDS, SpendingRequest
from coordinator.budget.words import Period, Reservation, ReservationState, Scope, ScopeKind
from coordinator.store import asks, reservations, scopes, usage
from coordinator.store.asks import AskRow

__all__ = ["Views"]

_FUNDED = (ReservationState.ON_CHAIN, ReservationState.COMMITTED)
_PAGE = 1_000
_USDC = 10**6


@dataclass
class _OnChain:
    """What lies in escrows and is not final, which the cells still call reserved."""

    total: int = 0
    by_agent: Counter[str] = field(default_factory=Counter)
    by_category: Counter[str] = field(default_factory=Counter)


class Views:
    """Reads one treasury's ledger."""

    def __init__(self, authority: Authority) -> None:
        self._authority = authority

    def report(self) -> BudgetReport:
        """Where the budget is, and what waits for approval."""
        limit = self._authority.book().total_budget or 0
        whole = self._scope(ScopeKind.TOTAL, "")
        with self._authority.ledger.read() as connection:
            rows = scopes.listed(connection, self._authority.account)
            # Agents that were removed have spent what they have spent.
            agents = [
                row.scope
                for row in rows
                if row.scope.kind is ScopeKind.AGENT
                and row.scope.period is Period.EVER
                and row.scope.unit == whole.unit
            ]
            cells = self._cells(connection, [whole, *agents])
            on_chain = self._on_chain(connection)
            waiting = [one.approval_id for one in self._waiting(connection)]
        total = cells.get(whole)
        spent = on_chain.total + (0 if total is None else total.spent)
        reserved = (0 if total is None else total.reserved) - on_chain.total
        by_agent = {one.key: cells[one].spent + on_chain.by_agent[one.key] for one in agents if one in cells}
        return {
            "total_budget": limit,
            "total_spent": spent,
            "remaining": limit - spent - reserved,
            "by_agent": {name: amount / _USDC for name, amount in sorted(by_agent.items()) if amount},
            "pending_approvals": waiting,
            "reserved": reserved,
        }

    def category_spending(self, category: str) -> int:
        """Base units in escrows or paid out of them; what named no category counts as the default one's."""
        names = stored_categories(category)
        with self._authority.ledger.read() as connection:
            cells = self._cells(connection, [self._scope(ScopeKind.CATEGORY, name) for name in names])
            on_chain = self._on_chain(connection)
        return sum(one.spent for one in cells.values()) + sum(on_chain.by_category[name] for name in names)

    def agents(self) -> frozenset[str]:
        """Every agent that is registered, or ever had something granted."""
        with self._authority.ledger.read() as connection:
            rows = scopes.listed(connection, self._authority.account)
        return frozenset(self._authority.book().agents) | {
            row.scope.key for row in rows if row.scope.kind is ScopeKind.AGENT
        }

    def remaining(self, agent: str) -> tuple[int | None, int | None]:
        """What an agent may still ask for today, and all agents in all; None where nothing is set."""
        book = self._authority.book()
        rules = book.agents.get(agent)
        whole = self._scope(ScopeKind.TOTAL, "")
        period = Period.DAY if rules is None else rules.daily_period
        today = self._scope(ScopeKind.AGENT, agent)._replace(period=period)
        with self._authority.ledger.read() as connection:
            now = self._authority.ledger.now_by(connection)
            cells = self._cells(connection, [today, whole])
        used = {scope: cell.used_at(now) for scope, cell in cells.items()}
        daily, total = None if rules is None else rules.daily_limit, book.total_budget
        return (
            None if daily is None else daily - used.get(today, 0),
            None if total is None else total - used.get(whole, 0),
        )

    def pending(self) -> dict[str, SpendingRequest]:
        """The requests that wait for a yes, by the names of their approvals, the most urgent first."""
        with self._authority.ledger.read() as connection:
            waiting = list(self._waiting(connection))
            rows = reservations.by_ids(connection, [one.reservation_id for one in waiting]) if waiting else {}
        return {one.approval_id: _request(rows[one.reservation_id]) for one in waiting}

    def asked(self, approval_id: str) -> SpendingRequest | None:
        """The request that an approval is about, whether it waits or not."""
        account = self._authority.account
        with self._authority.ledger.read() as connection:
            asked = asks.by_approval(connection, account, approval_id)
            if asked is None:
                return None
            return _request(reservations.by_ids(connection, [asked.reservation_id])[asked.reservation_id])

    def spending(self, *, since: float = 0.0, until: float = float("inf")) -> list[SpendingRecord]:
        """What was funded of what was asked for within these times, the oldest first."""
        with self._authority.ledger.read() as connection:
            return [_record(one) for one in self._funded(connection) if since <= one.created_at < until]

    def _funded(self, connection: Connection, *states: ReservationState) -> Iterator[Reservation]:
        account, after = self._authority.account, 0
        while True:
            page = reservations.in_states(connection, account, states or _FUNDED, after=after, limit=_PAGE)
            yield from page
            if len(page) < _PAGE:
                return
            after = page[-1].id

    def _on_chain(self, connection: Connection) -> _OnChain:
        found = _OnChain()
        for one in self._funded(connection, ReservationState.ON_CHAIN):
            found.total += one.amount
            found.by_agent[one.agent] += one.amount
            found.by_category[one.category] += one.amount
        return found

    def _waiting(self, connection: Connection) -> Iterator[AskRow]:
        now = self._authority.ledger.now_by(connection)
        return (one for one in asks.waiting(connection, self._authority.account) if one.expires_at > now)

    def _cells(self, connection: Connection, wanted: Collection[Scope]) -> dict[Scope, Cell]:
        """The cells of the windows of now, of those scopes that have any."""
        account, now = self._authority.account, self._authority.ledger.now_by(connection)
        rows = scopes.find(connection, account, wanted)
        keys = {(row.id, window_start(scope.period, now)) for scope, row in rows.items()}
        return {one.scope: one.cell for one in usage.of_cells(connection, account, keys)} if keys else {}

    def _scope(self, kind: ScopeKind, key: str) -> Scope:
        return Scope(kind, key, Period.EVER, self._authority.token)


def _request(row: Reservation) -> SpendingRequest:
    """What was asked for; an erased purpose is empty."""
    terms = row.terms
    return SpendingRequest(
        row.agent,
        row.amount,
        row.provider,
        row.purpose or "",
        row.category or None,
        row.key,
        terms.get("deadline_seconds", DEADLINE_SECONDS),
        terms.get("dispute_window", WINDOW_SECONDS),
        terms.get("terms", ""),
        terms.get("quoted_amount"),
        terms.get("quoted_at"),
        terms.get("service"),
        terms.get("require_approval", False),
    )


def _record(row: Reservation) -> SpendingRecord:
    paid = row.amount if row.actual is None else row.actual
    return SpendingRecord(
        row.agent,
        paid - row.returned,
        row.transaction_id,
        int(row.created_at),
        row.provider,
        row.purpose or "",
        shown_category(row.category),
        row.returned,
    )
