"""What decisions tell those who measure and trace."""

from __future__ import annotations

import time
from collections.abc import Sequence

from coordinator import measures, spans
from coordinator.authority.deciding import Item, Outcome
from coordinator.budget.words import Answer, Denial, Period, Scope, ScopeKind

__all__ = ["decided", "label_of"]


def label_of(scope: Scope) -> str:
    """What metrics call a scope: "total", "agent:ann", "agent:ann/day"."""
    name = scope.kind.value if not scope.key else f"{scope.kind.value}:{scope.key}"
    return name if scope.period is Period.EVER else f"{name}/{scope.period.value}"


def decided(items: Sequence[Item], outcomes: Sequence[Outcome | Exception], started: float) -> None:
    """These were decided together, since this unix time. Answers to keys that were used before are no decisions."""
    now = time.time()
    measures.BUDGET_SECONDS.observe(max(0.0, now - started))
    for item, outcome in zip(items, outcomes, strict=True):
        if not isinstance(outcome, Answer) or outcome.replayed:
            continue
        measures.BUDGET_DECISIONS.add(1, outcome.state.value)
        denial = outcome.denial
        if denial is not None:
            measures.rejected(_scope_of(item, denial), denial.rule)
        if spans.traced():
            ask = item.ask
            told: dict[str, spans.Attribute | None] = {
                "agent": ask.agent,
                "amount": ask.amount,
                "outcome": outcome.state.value,
                "rule": None if denial is None else str(denial.rule),
                "reservation": outcome.reservation_id,
            }
            spans.record("decide", ask.transaction_id, started, now, told)


def _scope_of(item: Item, denial: Denial) -> str:
    """Which budget was in the way; where the rules deny without one, that of whoever has asked."""
    for charge in item.ruled.charges:
        if charge.rule == denial.rule:
            return label_of(charge.scope)
    return label_of(Scope(ScopeKind.AGENT, item.ask.agent, Period.EVER, ""))
