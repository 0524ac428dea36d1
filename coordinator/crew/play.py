"""Plays a scenario on a stage and reports what the chain shows, moment by moment."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing
from itertools import groupby

from actp.units import format_usdc
from coordinator.crew.audit import audit
from coordinator.crew.books import close_books
from coordinator.crew.denials import Denials
from coordinator.crew.loading import ScenarioError
from coordinator.crew.office import Office
from coordinator.crew.outcome import Rates, expected_balances, missing_for_bonds, paid_in_by_treasury
from coordinator.crew.plan import Action, Planned, PlannedStep, make_plan
from coordinator.crew.records import BalanceLine, Event, Moment, Opening, PurchaseLine, Report, Step, VaultLine
from coordinator.crew.scenario import Purchase, Scenario
from coordinator.crew.stage import Stage
from coordinator.crew.steps import Steps
from coordinator.crew.treasury import Treasury

__all__ = ["play"]

_FEES_AFTER_SECONDS = 3_600


def play(scenario: Scenario, stage: Stage) -> Generator[Event]:
    """Yields what happens as it happens, and the Report last.

    Raises ScenarioError before anything is bought if an account cannot pay the bonds of its disputes. The iterator
    raises ActpError if the chain refuses a step.
    """
    rates = stage.rates()
    missing = missing_for_bonds(scenario, rates)
    if missing is not None:
        name, amount = missing
        raise ScenarioError(
            f"{name} lacks {format_usdc(amount)} USDC for the purchases and dispute bonds of the scenario.",
            hint="Raise its funding.",
        )
    return _Play(scenario, stage, rates).events()


class _Play:
    def __init__(self, scenario: Scenario, stage: Stage, rates: Rates) -> None:
        self._scenario = scenario
        self._stage = stage
        self._rates = rates
        self._office = Office(scenario, stage)
        self._treasury = Treasury(stage, standing_allowance=paid_in_by_treasury(scenario, rates))
        self._steps = Steps(scenario, stage, self._office, self._treasury)
        self._denials = Denials(scenario, stage, self._office)
        self._done: list[Step] = []
        self._moment_at = 0
        self._vault_lines: list[VaultLine] = []

    def events(self) -> Generator[Event]:
        with closing(self._office), closing(self._treasury):
            yield from self._events()

    def _events(self) -> Iterator[Event]:
        stage = self._stage
        before = {account.address: stage.balance_of(account.address) for account in stage.accounts}
        opening = self._opening()
        yield opening
        for due, steps in groupby(make_plan(self._scenario), key=lambda step: step.due_seconds):
            yield from self._moment(opening.started_at + due, list(steps))
        if stage.fee_recipient.kernel.accrued_fees():
            yield from self._withdraw_fees()
        books = close_books(self._scenario, stage, self._treasury, self._office.denials)
        yield Report(
            opening=opening,
            steps=tuple(self._done),
            vault_lines=tuple(self._vault_lines),
            purchases=tuple(self._purchase_line(purchase) for purchase in self._scenario.purchases),
            balances=self._balance_lines(before),
            books=books,
            audit=audit(stage, self._treasury),
        )

    def _opening(self) -> Opening:
        scenario, stage = self._scenario, self._stage
        return Opening(
            title=scenario.title,
            chain_id=stage.endpoint.chain_id,
            kernel=stage.kernel_address,
            vault=stage.vault_address,
            token=stage.token_address,
            rates=self._rates,
            accounts=stage.accounts,
            agents=tuple(agent.name for agent in scenario.agents),
            purchase_ids=tuple(purchase.id for purchase in scenario.purchases),
            denied_ids=tuple(denied.id for denied in scenario.denied),
            started_at=stage.now(),
            minted=scenario.treasury.funding + sum(provider.funding for provider in scenario.providers),
        )

    def _moment(self, at: int, steps: list[Planned]) -> Iterator[Event]:
        """Waits until `at`, or longer where the chain wants it, lets the delta guard look at what has happened since,
        takes the steps and looks at the vault.
        """
        waits = [self._steps.not_before(step) for step in steps if isinstance(step, PlannedStep)]
        yield self._wait_until(max([at, *waits]))
        self._treasury.look()
        for step in steps:
            taken = self._steps.take(step) if isinstance(step, PlannedStep) else self._denials.take(step)
            yield self._record(taken)
        yield self._look_at_vault()

    def _withdraw_fees(self) -> Iterator[Event]:
        stage = self._stage
        yield self._wait_until(stage.now() + _FEES_AFTER_SECONDS)
        fees = stage.fee_recipient.kernel.accrued_fees()
        stage.fee_recipient.kernel.withdraw_fees()
        name = stage.name_of(stage.fee_recipient.address)
        yield self._record(Step(stage.now(), Action.WITHDRAW_FEES, name, fees))
        yield self._look_at_vault()

    def _wait_until(self, at: int) -> Moment:
        self._stage.travel_to(at)
        before, self._moment_at = self._moment_at, self._stage.chain.now()
        return Moment(self._moment_at, self._moment_at - (before or self._moment_at))

    def _record(self, step: Step) -> Step:
        self._done.append(step)
        return step

    def _look_at_vault(self) -> VaultLine:
        stage, kernel = self._stage, self._stage.treasury.kernel
        line = VaultLine(
            balance=stage.balance_of(stage.vault_address),
            escrows=sum(map(stage.treasury.escrow.remaining, self._steps.open_transactions)),
            bonds=sum(map(self._steps.bonds, self._steps.disputable_transactions)),
            credits=sum(kernel.credits(client.address) for client in (stage.treasury, *stage.providers.values())),
            fees=kernel.accrued_fees(),
        )
        self._vault_lines.append(line)
        return line

    def _purchase_line(self, purchase: Purchase) -> PurchaseLine:
        transaction = self._steps.transaction(purchase)
        return PurchaseLine(
            purchase_id=purchase.id,
            agent=self._scenario.agent(purchase.agent).name,
            provider=self._scenario.provider(purchase.provider).name,
            amount=purchase.total,
            state=transaction.state,
            transaction_ids=self._steps.transaction_ids(purchase),
        )

    def _balance_lines(self, before: dict[str, int]) -> tuple[BalanceLine, ...]:
        stage = self._stage
        expected = expected_balances(self._scenario, self._rates)
        must_be = {stage.treasury.address: expected.treasury, stage.fee_recipient.address: expected.fees}
        must_be |= {stage.providers[own_id].address: amount for own_id, amount in expected.providers.items()}
        return tuple(
            BalanceLine(
                account=account,
                before=before[account.address],
                expected=must_be.get(account.address, 0),
                after=stage.balance_of(account.address),
            )
            for account in stage.accounts
        )
