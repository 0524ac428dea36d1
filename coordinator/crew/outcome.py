"""What a scenario must do to every balance, worked out from its terms alone. Pure integers, no chain."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from coordinator.crew.endings import Agreed, Disputed, SilentProvider
from coordinator.crew.scenario import Purchase, Scenario

__all__ = [
    "Expected",
    "Outcome",
    "Rates",
    "Spending",
    "expected_balances",
    "expected_spending",
    "missing_for_bonds",
    "outcome_of",
    "paid_in_by_treasury",
    "refund_of",
]

_MAX_BPS = 10_000


@dataclass(frozen=True, slots=True)
class Rates:
    """The kernel's economic terms, which every purchase locks when it is ordered. Minimums are base units."""

    fee_bps: int
    min_fee: int
    bond_bps: int
    min_bond: int

    def fee(self, payout: int) -> int:
        """The platform's part of one payout to a provider."""
        return min(max(payout * self.fee_bps // _MAX_BPS, self.min_fee), payout)

    def bond(self, amount: int) -> int:
        """What a party posts to dispute a purchase of this amount."""
        return max(amount * self.bond_bps // _MAX_BPS, self.min_bond)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one purchase changes three balances, in base units. The three changes sum to zero."""

    treasury: int
    provider: int
    fees: int


@dataclass(frozen=True, slots=True)
class Expected:
    """Every balance that is not zero once a scenario is over, in base units; `providers` by their ids."""

    treasury: int
    providers: Mapping[str, int]
    fees: int


@dataclass(frozen=True, slots=True)
class Spending:
    """What has to be spent in the end, in base units, without what came back; bonds are no spending."""

    total: int
    agents: Mapping[str, int]
    categories: Mapping[str | None, int]


def expected_spending(scenario: Scenario) -> Spending:
    """What the budgets must show once every purchase has ended."""
    agents = {agent.id: 0 for agent in scenario.agents}
    categories: dict[str | None, int] = dict.fromkeys(scenario.budget.categories, 0)
    for purchase in scenario.purchases:
        spent = purchase.total - refund_of(purchase)
        agents[purchase.agent] += spent
        categories[purchase.category] = categories.get(purchase.category, 0) + spent
    return Spending(sum(agents.values()), agents, categories)


def refund_of(purchase: Purchase) -> int:
    """What comes back of the price once the purchase has ended."""
    match purchase.ending:
        case Disputed() | Agreed() as split:
            return split.requester_gets
        case SilentProvider():
            return purchase.remaining
        case _:
            return 0


def expected_balances(scenario: Scenario, rates: Rates) -> Expected:
    """What the scenario must leave behind once every credit and fee has been withdrawn."""
    treasury, fees = scenario.treasury.funding, 0
    providers = {provider.id: provider.funding for provider in scenario.providers}
    for purchase in scenario.purchases:
        outcome = outcome_of(purchase, rates)
        treasury += outcome.treasury
        providers[purchase.provider] += outcome.provider
        fees += outcome.fees
    return Expected(treasury, providers, fees)


def outcome_of(purchase: Purchase, rates: Rates) -> Outcome:
    """The changes once the purchase has ended and every credit and fee has been withdrawn."""
    payouts = list(purchase.milestones)
    bond_to_provider = 0
    match purchase.ending:
        case Disputed() as dispute:
            payouts.append(dispute.provider_gets)
            bond_to_provider = _bond_moved(dispute, rates.bond(purchase.amount))
        case Agreed() as agreement:
            payouts.append(agreement.provider_gets)
        case SilentProvider():
            pass
        case _:
            payouts.extend([purchase.remaining] * purchase.copies)
    fees = sum(rates.fee(payout) for payout in payouts)
    return Outcome(
        treasury=refund_of(purchase) - purchase.total - bond_to_provider,
        provider=sum(payouts) - fees + bond_to_provider,
        fees=fees,
    )


def _bond_moved(dispute: Disputed, bond: int) -> int:
    """What the provider gains from the bond: whoever is at fault loses the bond that it posted."""
    if dispute.opened_by == "requester":
        return 0 if dispute.provider_at_fault else bond
    return -bond if dispute.provider_at_fault else 0


def paid_in_by_treasury(scenario: Scenario, rates: Rates) -> int:
    """All that the vault takes from the treasury: what the purchases cost, and the bonds of its disputes."""
    bonds = (
        rates.bond(purchase.amount)
        for purchase in scenario.purchases
        if isinstance(purchase.ending, Disputed) and purchase.ending.opened_by == "requester"
    )
    return sum(purchase.total for purchase in scenario.purchases) + sum(bonds)


def missing_for_bonds(scenario: Scenario, rates: Rates) -> tuple[str, int] | None:
    """The name of an account that cannot post the bonds of its disputes, and what it lacks; None if all can.

    Counts as if all purchases were open at once, and no provider had been paid yet.
    """
    treasury_needs = paid_in_by_treasury(scenario, rates)
    provider_needs = {provider.id: 0 for provider in scenario.providers}
    for purchase in scenario.purchases:
        if isinstance(purchase.ending, Disputed) and purchase.ending.opened_by == "provider":
            provider_needs[purchase.provider] += rates.bond(purchase.amount)
    if treasury_needs > scenario.treasury.funding:
        return scenario.treasury.name, treasury_needs - scenario.treasury.funding
    for provider in scenario.providers:
        if provider_needs[provider.id] > provider.funding:
            return provider.name, provider_needs[provider.id] - provider.funding
    return None
