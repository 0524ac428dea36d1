"""What the coordinator's ledger states at the end of a run. Amounts are base units of USDC."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Books", "BudgetLine", "DenialLine"]


@dataclass(frozen=True, slots=True)
class BudgetLine:
    """A budget once everything has ended. `kind` is total, agent or category; `limit` is None if there is none, and of
    an agent that of a day. `paid` went into escrows, `returned` came back out of them, `reserved` is still held for
    something; `expected` is what the scenario says that was spent.
    """

    kind: str
    name: str
    limit: int | None
    paid: int
    returned: int
    reserved: int
    expected: int

    @property
    def spent(self) -> int:
        """What was paid and has not come back."""
        return self.paid - self.returned

    @property
    def difference(self) -> int:
        """How far the ledger is from the scenario, in base units."""
        return self.spent + self.reserved - self.expected


@dataclass(frozen=True, slots=True)
class DenialLine:
    """A request that was denied: by which rule, and by which it had to be."""

    request_id: str
    agent: str
    amount: int
    rule: str | None
    expected: str

    @property
    def ok(self) -> bool:
        """Whether it was denied, and by that rule."""
        return self.rule == self.expected


@dataclass(frozen=True, slots=True)
class Books:
    """What the coordinator's ledger says at the end, beside the chain and beside its own journal.

    `granted` requests became `escrows` escrows on the chain; `approved` of them after a yes, `unfinished` have not
    ended. `counted` is what the budget's counters have as spent in all, `drift` by how many base units ledger and chain
    differ at `final_block`. The journal has `entries`, which rebuild `cells` counters; `faults` is what is wrong with
    it, `alerts` what people would have been told.
    """

    budgets: tuple[BudgetLine, ...]
    denials: tuple[DenialLine, ...]
    granted: int
    approved: int
    unfinished: int
    counted: int
    escrows: int
    on_chain_paid: int
    on_chain_returned: int
    drift: int
    final_block: int
    entries: int
    cells: int
    faults: tuple[str, ...]
    alerts: tuple[str, ...]

    @property
    def total(self) -> BudgetLine:
        """The budget of all agents together."""
        return next(line for line in self.budgets if line.kind == "total")

    @property
    def agreed(self) -> bool:
        """Whether ledger and chain say the same, to the last unit."""
        total = self.total
        return (
            self.drift == 0
            and self.granted == self.escrows
            and (total.paid, total.returned) == (self.on_chain_paid, self.on_chain_returned)
        )

    @property
    def as_expected(self) -> bool:
        """Whether every budget is what the scenario says, and nothing is held for what has ended."""
        return (
            not self.unfinished
            and self.counted == self.total.spent
            and all(line.difference == 0 and line.reserved == 0 for line in self.budgets)
        )

    @property
    def denied_as_expected(self) -> bool:
        """Whether every request that had to be denied was, by its rule."""
        return all(line.ok for line in self.denials)

    @property
    def ok(self) -> bool:
        """Whether all of it is right."""
        return self.agreed and self.as_expected and self.denied_as_expected and not self.faults
