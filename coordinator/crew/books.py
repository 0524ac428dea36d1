"""What the coordinator's ledger says once a scenario is over, beside the chain and beside its own journal."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from actp.errors import ActpError
from coordinator.authority.verifying import verify
from coordinator.budget.limits import UNCATEGORIZED
from coordinator.budget.words import OPEN_STATES, Period, Reservation, ReservationState, Scope, ScopeKind
from coordinator.crew.outcome import expected_spending
from coordinator.crew.rules import agent_rules
from coordinator.crew.scenario import Scenario
from coordinator.crew.stage import Stage
from coordinator.crew.statements import Books, BudgetLine, DenialLine
from coordinator.crew.treasury import Treasury
from coordinator.store import alerts, asks, reservations, seals
from coordinator.store.asks import AskState
from coordinator.worker.reconciling import Reconciling

__all__ = ["close_books"]

_MOST = 10_000
_MOST_ROUNDS = 20
_ROUND_SECONDS = 10
_SPENT = (ReservationState.HELD, ReservationState.SUBMITTING, ReservationState.ON_CHAIN, ReservationState.COMMITTED)


def close_books(scenario: Scenario, stage: Stage, treasury: Treasury, denials: Mapping[str, str | None]) -> Books:
    """Works until everything that was granted is final and nothing more can come back, compares ledger and chain, and
    verifies the journal. `denials` are the rules by which requests were denied. Raises RpcUnavailable, StoreError.
    """
    rows = _finished(stage, treasury)
    account, ledger = treasury.account, treasury.authority.ledger
    compared = Reconciling(stage.treasury, treasury.authority, every=0.0).run()
    if compared is None:
        raise ActpError("The chain does not tell which block is final.", code="scenario")
    seals.seal_all(ledger, account)
    journal = verify(ledger, account)
    whole = Scope(ScopeKind.TOTAL, "", Period.EVER, stage.token_address)
    with ledger.read() as connection:
        told = alerts.listed(connection, account, limit=_MOST)
        asked = asks.by_reservations(connection, [row.id for row in rows])
    return Books(
        budgets=_budgets(scenario, rows),
        denials=tuple(
            DenialLine(one.id, scenario.name_of_agent(one.agent), one.amount, denials.get(one.id), one.rule)
            for one in scenario.denied
        ),
        granted=sum(row.state in _SPENT for row in rows),
        approved=sum(one.state is AskState.APPROVED for one in asked.values()),
        unfinished=sum(_open(row) for row in rows),
        counted=sum(one.cell.spent for one in treasury.authority.usage() if one.scope == whole),
        escrows=int(compared.chain["escrows"]),
        on_chain_paid=int(compared.chain["funded"]),
        on_chain_returned=int(compared.chain["returned"]),
        drift=compared.drift,
        final_block=compared.block.number,
        entries=journal.sealed,
        cells=journal.cells,
        faults=tuple(f"{one.fault}: {one.detail}" for one in journal.findings),
        alerts=tuple(one.title for one in reversed(told)),
    )


def _finished(stage: Stage, treasury: Treasury) -> list[Reservation]:
    """Every request, the oldest first, as soon as all have ended."""
    for _ in range(_MOST_ROUNDS):
        treasury.look()
        with treasury.authority.ledger.read() as connection:
            rows = reservations.listed(connection, treasury.account, limit=_MOST)
        if not any(map(_open, rows)):
            break
        # Looked at now and then only: finality, and what came back.
        stage.travel_to(stage.chain.now() + _ROUND_SECONDS)
    return sorted(rows, key=lambda row: row.id)


def _open(row: Reservation) -> bool:
    return row.state in OPEN_STATES or (row.state is ReservationState.COMMITTED and not row.settled)


def _budgets(scenario: Scenario, rows: Sequence[Reservation]) -> tuple[BudgetLine, ...]:
    expected = expected_spending(scenario)

    def line(kind: str, name: str, limit: int | None, must_be: int, mine: Callable[[Reservation], bool]) -> BudgetLine:
        spent = [row for row in rows if mine(row) and row.state is ReservationState.COMMITTED]
        return BudgetLine(
            kind,
            name,
            limit,
            paid=sum(row.amount if row.actual is None else row.actual for row in spent),
            returned=sum(row.returned for row in spent),
            reserved=sum(row.amount for row in rows if mine(row) and row.state in OPEN_STATES),
            expected=must_be,
        )

    lines = [line("total", "all agents", scenario.total_budget, expected.total, lambda row: True)]
    for agent in scenario.agents:
        limit = agent_rules(agent, scenario.total_budget).daily_limit
        lines.append(line("agent", agent.name, limit, expected.agents[agent.id], _by_agent(agent.id)))
    for category, must_be in expected.categories.items():
        limit = None if category is None else scenario.budget.categories[category]
        lines.append(line("category", category or "no category", limit, must_be, _by_category(category)))
    return tuple(lines)


def _by_agent(agent: str) -> Callable[[Reservation], bool]:
    return lambda row: row.agent == agent


def _by_category(category: str | None) -> Callable[[Reservation], bool]:
    return lambda row: row.category == (UNCATEGORIZED if category is None else category)
