"""The audit at the end: what the ledger says against the chain, the answers, and the journal, each read for itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from actp.decoding import Event
from coordinator.authority.verifying import verify
from coordinator.budget.periods import window_start
from coordinator.budget.words import OPEN_STATES, Period, Reservation, ReservationState, Scope, ScopeKind
from coordinator.store import breaches, dispatches, journal, pauses, reconciliations, reservations, scopes, seals, usage
from coordinator.store.journal import Written
from coordinator.worker.reconciling import Reconciling
from scripts.soak.market.asking import whole_lines
from scripts.soak.market.plan import Market

__all__ = ["Audit"]

_PAGE = 2_000
_LIMITED = {
    "daily_limit": (ScopeKind.AGENT, Period.DAY),
    "agent_budget": (ScopeKind.AGENT, Period.EVER),
    "category_budget": (ScopeKind.CATEGORY, Period.EVER),
    "total_budget": (ScopeKind.TOTAL, Period.EVER),
    "treasury_balance": (ScopeKind.TREASURY, Period.EVER),
}
"""The cell that a denial is about."""

_Cell = dict[str, Any]


class Audit:
    """Compares everything with everything. `wrong` says what does not fit."""

    def __init__(self, market: Market, parts: int, purse: int) -> None:
        self._market = market
        self._parts = parts
        self._purse = purse
        self.wrong: list[str] = []
        self.figures: Counter[str] = Counter()
        self._token = market.client.token.address

    def run(self) -> None:
        """All of it."""
        rows = self._rows()
        self._answers(rows)
        self._entries()
        self._chain(rows)
        self._cells(rows)
        self._books()

    def _say(self, sentence: str) -> None:
        self.wrong.append(sentence)

    def _rows(self) -> dict[int, Reservation]:
        market, found, before = self._market, {}, None
        while True:
            with market.ledger.read() as connection:
                page = reservations.listed(connection, market.account, before=before, limit=_PAGE)
            found.update({one.id: one for one in page})
            if len(page) < _PAGE:
                break
            before = page[-1].id
        self.figures.update(f"reservations_{one.state}" for one in found.values())
        return found

    # ---------------------------------------------------------------- answers

    def _answers(self, rows: Mapping[int, Reservation]) -> None:
        """Every request has one answer, and those of one key have the same."""
        plan = self._market.plan
        told: dict[int, tuple[int, str]] = {}
        for part in range(self._parts):
            for line in whole_lines(plan.answers(part)):
                asked, answered, named, _ = line.split()
                told[int(asked)] = int(answered), named
        self.figures["requests"] = len(told)
        if len(told) != plan.count:
            self._say(f"{plan.count - len(told)} requests were not answered.")
        keys: dict[tuple[str, str], int] = {}
        for number, (reservation_id, transaction_id) in told.items():
            wanted = plan.wanted(number)
            row = rows.get(reservation_id)
            if row is None or (row.agent, row.key) != (wanted.agent_id, wanted.idempotency_key):
                self._say(f"The answer to request {number} is about another one.")
                continue
            if (row.amount, row.provider, row.transaction_id) != (wanted.amount, wanted.provider, transaction_id):
                self._say(f"Request {number} was written down as something else.")
            if keys.setdefault((row.agent, row.key), row.id) != row.id:
                self._say(f"The key {row.key} of {row.agent} stands for two reservations.")
        self.figures["asked_again"] = len(told) - len(keys)

    # ---------------------------------------------------------------- the journal, replayed by hand

    def _entries(self) -> None:
        """At each grant everything fits, and at each denial what it names does not: by cells that are counted here, in
        the order in which SQLite has committed.
        """
        market = self._market
        with market.ledger.read() as connection:
            numbers = {row.scope: row.id for row in scopes.listed(connection, market.account)}
        cells: dict[tuple[int, int], _Cell] = {}
        after = 0
        while True:
            with market.ledger.read() as connection:
                page = journal.listed(connection, market.account, after=after, limit=_PAGE)
            for one in page:
                self._entry(one, cells, numbers)
            if len(page) < _PAGE:
                return
            after = page[-1].seq

    def _entry(self, written: Written, cells: dict[tuple[int, int], _Cell], numbers: Mapping[Scope, int]) -> None:
        entry = written.entry
        detail = entry.detail
        self.figures["journal_entries"] += 1
        if entry.event == "denied":
            self._denial(written, cells, numbers)
        for scope, window, lim, cap in detail.get("limits", ()):
            cell = cells.setdefault((scope, window), {"used": 0, "lim": None, "cap": None})
            cell["lim"], cell["cap"] = lim, cap
        for scope, window, spent, reserved, _ in detail.get("cells", ()):
            cell = cells.setdefault((scope, window), {"used": 0, "lim": None, "cap": None})
            cell["used"] += spent + reserved
            over = cell["lim"] is not None and cell["used"] > cell["lim"]
            if over and reserved > 0 and entry.event in ("granted", "approval_wanted", "approved"):
                self.figures["overspend"] += 1
                self._say(f"Entry {written.seq} grants {cell['used']} of {cell['lim']} (scope {scope}).")

    def _denial(self, written: Written, cells: Mapping[tuple[int, int], _Cell], numbers: Mapping[Scope, int]) -> None:
        entry, detail = written.entry, written.entry.detail
        rule, limit, used = detail["denial"]
        self.figures[f"denied_{rule}"] += 1
        amount = detail["amount"]
        plan = self._market.plan
        agent = plan.rules().agents[entry.agent] if rule == "spending_limit" else None
        if rule == "spending_limit":
            right = agent is not None and amount > (agent.spending_limit or 0)
        elif rule == "provider_allow_list":
            right = detail["provider"] not in plan.providers
        elif rule == "unknown_category":
            right = detail["category"] == "gifts"
        elif rule in _LIMITED:
            kind, period = _LIMITED[rule]
            key = {ScopeKind.AGENT: entry.agent, ScopeKind.CATEGORY: detail["category"]}.get(kind, "")
            number = numbers[Scope(kind, key, period, self._token)]
            cell = cells.get((number, window_start(period, written.at)), {"used": 0, "lim": limit})
            right = (cell["used"], cell["lim"]) == (used, limit) and used + amount > limit
        else:
            right = False
        if not right:
            self.figures["false_denials"] += 1
            self._say(f"Entry {written.seq} denies {amount} of {entry.agent} by {rule}: {used} of {limit}.")

    # ---------------------------------------------------------------- the chain

    def _chain(self, rows: Mapping[int, Reservation]) -> None:
        market = self._market
        client = market.client
        created = client.events.created_by(market.account.wallet)
        funded = {one.transaction_id: one for one in created if one.transaction_id is not None}
        refunded: Counter[str] = Counter()
        for event in client.events.since(names=("EscrowRefunded",)):
            if event.transaction_id is not None and event.transaction_id in funded:
                refunded[event.transaction_id] += event.args["amount"]
        spent = {row.transaction_id: row for row in rows.values() if row.state is ReservationState.COMMITTED}
        self.figures["escrows"] = len(funded)
        self.figures["refunded"] = len(refunded)
        for one in funded.keys() - spent.keys():
            self._say(f"The escrow {one} was funded, and nothing was spent on it.")
        for one in spent.keys() - funded.keys():
            self._say(f"The escrow {one} is booked as spent, and was not funded.")
        for one in funded.keys() & spent.keys():
            self._escrow(spent[one], funded[one], refunded[one])
        balance = client.token.balance_of(market.account.wallet)
        left = self._purse - sum(one.args["amount"] for one in funded.values()) + sum(refunded.values())
        # What a dispute's bond paid comes on top, and is nobody's budget.
        bonds = self._bonds(set(funded))
        if balance != left + bonds:
            self._say(f"The treasury has {balance}, and should have {left} and {bonds} out of bonds.")

    def _escrow(self, row: Reservation, created: Event, back: int) -> None:
        if not row.amount == row.actual == created.args["amount"]:
            self._say(f"Reservation {row.id} of {row.amount} is booked as {row.actual}, and funded otherwise.")
        if row.returned != back:
            self._say(f"Of reservation {row.id} {row.returned} are booked as returned, and {back} came back.")

    def _bonds(self, transaction_ids: set[str]) -> int:
        wallet = self._market.account.wallet
        return sum(
            event.args["amount"]
            for event in self._market.client.events.since(names=("BondPaid",))
            if event.transaction_id in transaction_ids and event.args["recipient"] == wallet
        )

    # ---------------------------------------------------------------- cells and books

    def _cells(self, rows: Mapping[int, Reservation]) -> None:
        market = self._market
        left = [row.id for row in rows.values() if row.state in OPEN_STATES]
        self.figures["leaked"] = len(left)
        for row in rows.values():
            # Nothing is wrong with any of these purchases: what was granted and not rejected can be funded.
            if row.denial is not None and row.denial.rule == ReservationState.RELEASED:
                self.figures["failed"] += 1
                self._say(f"Reservation {row.id} was granted, and not funded: {row.denial.message}")
        if left:
            self._say(f"Reservations are still open: {left[:10]}.")
        with market.ledger.read() as connection:
            cells = usage.of_wallet(connection, market.account)
            waiting = dispatches.count_waiting(connection, market.account)
        if waiting:
            self._say(f"{waiting} grants were handed to nobody.")
        spent = {row.id: (row.actual or 0) - row.returned for row in rows.values() if row.actual is not None}
        sums: Counter[tuple[ScopeKind, str]] = Counter()
        for number, amount in spent.items():
            row = rows[number]
            sums[ScopeKind.TOTAL, ""] += amount
            sums[ScopeKind.AGENT, row.agent] += amount
            sums[ScopeKind.CATEGORY, row.category] += amount
        for one in cells:
            scope, cell = one.scope, one.cell
            if cell.reserved:
                self.figures["leaked"] += 1
                self._say(f"{cell.reserved} of {scope.kind} {scope.key!r} ({scope.unit}) are held for nobody.")
            summed = scope.period is Period.EVER and scope.unit == self._token and scope.kind in _SUMMED
            if summed and cell.spent != sums[scope.kind, scope.key]:
                self._say(f"{scope.kind} {scope.key!r} has spent {cell.spent}, not {sums[scope.kind, scope.key]}.")
            if one.row.frozen is not None:
                self._say(f"{scope.kind} {scope.key!r} is frozen: {one.row.frozen}")

    def _books(self) -> None:
        market = self._market
        seals.seal_all(market.ledger, market.account)
        report = verify(market.ledger, market.account)
        if not report.ok:
            self._say(f"The journal does not verify: {report.findings[:3]}")
        found = Reconciling(market.client, market.authority, every=0.0).run()
        if found is None or found.drift:
            self._say(f"Ledger and chain differ in the end: {found}.")
        with market.ledger.read() as connection:
            compared = reconciliations.listed(connection, market.account, limit=1_000_000)
            found_breaches = breaches.listed(connection, market.account, severity="breach")
            paused = pauses.active(connection, market.account)
        self.figures["reconciliations"] = len(compared)
        self.figures["drift"] = sum(one.drift for one in compared)
        if self.figures["drift"]:
            self._say(f"{sum(one.drift != 0 for one in compared)} comparisons have found a drift.")
        for one in found_breaches:
            self._say(f"The delta guard found what is none: {one}")
        for name in paused:
            self._say(f"{name or 'Everything'} is paused.")


_SUMMED = (ScopeKind.TOTAL, ScopeKind.AGENT, ScopeKind.CATEGORY)
