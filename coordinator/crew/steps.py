"""Takes the steps of a plan about purchases: asks the coordinator, lets the worker fund, the treasury's other steps as
operations of its lifecycle and those of others through their clients. Reports each as the chain shows it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from actp.client import ACTPClient
from actp.errors import ActpError
from actp.types import Transaction
from coordinator.api import SpendingResponse
from coordinator.crew.endings import Disputed
from coordinator.crew.office import Office
from coordinator.crew.plan import Action, PlannedStep
from coordinator.crew.records import Decision, Step
from coordinator.crew.rules import APPROVER
from coordinator.crew.scenario import Purchase, Scenario
from coordinator.crew.stage import ISSUER_NAME, Stage
from coordinator.crew.treasury import Treasury
from coordinator.types import IntentType

__all__ = ["Steps"]

_PAYING = frozenset({Action.PAY_MILESTONE, Action.ACCEPT, Action.SETTLE, Action.RULE, Action.AGREE, Action.RECLAIM})
"""Steps in which money leaves an escrow."""

_CONSENT_SECONDS = 3_600
"""How long a signed split is valid."""


@dataclass(frozen=True)
class _Holdings:
    """What a payment can change for the parties of a purchase and for the platform, in base units."""

    treasury: int = 0
    provider: int = 0
    credit: int = 0
    fees: int = 0


@dataclass(frozen=True)
class _Act:
    """Who did something, and the amount that it is about."""

    actor: str
    amount: int | None = None


class Steps:
    """Knows the transaction of each purchase, from its order on."""

    def __init__(self, scenario: Scenario, stage: Stage, office: Office, treasury: Treasury) -> None:
        self._scenario = scenario
        self._stage = stage
        self._office = office
        self._treasury = treasury
        self._granted: dict[str, list[SpendingResponse]] = {}
        self._ids: dict[str, tuple[str, ...]] = {}
        self._open: list[str] = []
        self._disputable: set[str] = set()

    @property
    def open_transactions(self) -> tuple[str, ...]:
        """Ids of the transactions that have begun and not ended: the vault may hold money for them."""
        return tuple(self._open)

    @property
    def disputable_transactions(self) -> tuple[str, ...]:
        """Those of the open ones that end in a dispute, for which the vault may hold bonds. A bond for any other one
        shows as money that the vault does not owe.
        """
        return tuple(own_id for own_id in self._open if own_id in self._disputable)

    def transaction(self, purchase: Purchase) -> Transaction:
        """The kernel's record of a purchase that was ordered, of the first of its copies."""
        return self._stage.treasury.kernel.get_transaction(self._id(purchase))

    def transaction_ids(self, purchase: Purchase) -> tuple[str, ...]:
        """The transactions of a purchase that was ordered."""
        return self._ids[purchase.id]

    def bonds(self, transaction_id: str) -> int:
        """The dispute bonds that the vault holds for a transaction."""
        bonds = self._stage.treasury.kernel.bonds_of(transaction_id)
        return bonds.requester.amount + bonds.provider.amount

    def not_before(self, step: PlannedStep) -> int:
        """The first second in which the chain allows a step, 0 if the plan's own time is enough.

        Windows and deadlines count from the blocks of earlier steps, which may be a little later than planned.
        """
        if step.action is Action.SETTLE:
            return (self.transaction(step.purchase).window_ends or 0) + 1
        return self.transaction(step.purchase).deadline + 1 if step.action is Action.RECLAIM else 0

    def take(self, planned: PlannedStep) -> Step:
        """Takes a step. Raises ActpError if the coordinator or the chain refuses it."""
        if planned.action in (Action.REQUEST, Action.APPROVE):
            return self._decided(planned)
        purchase, provider = planned.purchase, self._stage.providers[planned.purchase.provider]
        pays = planned.action in _PAYING
        before = self._holdings(provider) if pays else _Holdings()
        act = self._act(planned, provider)
        after = self._holdings(provider) if pays else _Holdings()
        transaction = self.transaction(purchase)
        if transaction.state.final:
            self._open = [own_id for own_id in self._open if own_id not in self._ids[purchase.id]]
        return Step(
            self._stage.now(),
            planned.action,
            act.actor,
            act.amount,
            purchase_id=purchase.id,
            agent=self._scenario.agent(purchase.agent).name,
            provider=self._scenario.provider(purchase.provider).name,
            state=transaction.state,
            transaction_id=transaction.transaction_id,
            text=_text(planned),
            window_ends_at=transaction.window_ends,
            provider_at_fault=purchase.dispute.provider_at_fault if planned.action is Action.RULE else None,
            fee=after.fees - before.fees,
            paid_to_treasury=after.treasury - before.treasury,
            paid_to_provider=after.provider - before.provider,
            credited=after.credit - before.credit,
            copies=purchase.copies,
        )

    def _decided(self, planned: PlannedStep) -> Step:
        """A step that ends with an answer of the coordinator's; nothing is on the chain yet."""
        purchase, asks = planned.purchase, planned.action is Action.REQUEST
        answers = self._office.ask(purchase) if asks else self._office.approve(purchase)
        self._granted[purchase.id] = answers
        granted = all(answer.approved for answer in answers)
        return Step(
            self._stage.now(),
            planned.action,
            self._scenario.agent(purchase.agent).name if asks else APPROVER,
            purchase.total,
            purchase_id=purchase.id,
            agent=self._scenario.agent(purchase.agent).name,
            provider=self._scenario.provider(purchase.provider).name,
            text=purchase.purpose,
            copies=purchase.copies,
            category=purchase.category,
            decision=Decision.GRANTED if granted else Decision.WAITING,
        )

    def _act(self, planned: PlannedStep, provider: ACTPClient) -> _Act:
        stage, purchase = self._stage, planned.purchase
        match planned.action:
            case Action.PAY:
                funded = self._treasury.fund(purchase, self._granted[purchase.id])
                self._opened(purchase, *(row.transaction_id for row in funded))
                return self._by(stage.treasury, purchase.total)
            case Action.PAY_UNHEARD:
                (granted,) = self._granted[purchase.id]
                self._treasury.break_off(purchase, granted)
                self._opened(purchase, granted.tx_id or "")
                return self._by(stage.treasury, purchase.amount)
            case Action.ASK_AGAIN:
                self._ask_again(purchase)
                return _Act(self._scenario.agent(purchase.agent).name)
            case Action.START:
                provider.kernel.start(self._id(purchase))
                return self._by(provider)
            case Action.PAY_MILESTONE:
                self._operate(purchase, IntentType.RELEASE_MILESTONE, amount=planned.milestone)
                return self._by(stage.treasury, planned.milestone)
            case Action.DELIVER:
                if purchase.copies > 1:
                    provider.deliver_many(self._ids[purchase.id])
                else:
                    provider.kernel.deliver(self._id(purchase))
                return self._by(provider)
            case Action.ACCEPT:
                intents = [{"transaction_id": one} for one in self._ids[purchase.id]]
                self._treasury.carry_out(purchase, IntentType.RELEASE_ESCROW, *intents)
                return self._by(stage.treasury, purchase.remaining * purchase.copies)
            case Action.SETTLE:
                if purchase.copies > 1:
                    stage.bot.settle_many(self._ids[purchase.id])
                else:
                    stage.bot.release_escrow(self._id(purchase))
                return self._by(stage.bot, purchase.remaining * purchase.copies)
            case Action.AGREE:
                self._agree(purchase, provider)
                return self._by(stage.treasury, purchase.remaining)
            case Action.DISPUTE:
                disputer = stage.treasury if purchase.dispute.opened_by == "requester" else provider
                evidence = purchase.dispute.reason.encode()
                if disputer is provider:
                    provider.kernel.dispute(self._id(purchase), evidence)
                else:
                    self._operate(purchase, IntentType.DISPUTE_ESCROW, evidence="0x" + evidence.hex())
                return self._by(disputer, self.bonds(self._id(purchase)))
            case Action.RULE:
                self._rule(purchase)
                return self._by(stage.arbiter, purchase.remaining)
            case Action.RECLAIM:
                self._operate(purchase, IntentType.REFUND_ESCROW)
                return self._by(stage.treasury, purchase.remaining)
            case Action.BLOCK | Action.UNBLOCK:
                stage.block_list(provider.address, blocked=planned.action is Action.BLOCK)
                return _Act(ISSUER_NAME)
            case Action.WITHDRAW_CREDIT:
                credit = provider.kernel.credits()
                provider.kernel.withdraw_credit()
                return self._by(provider, credit)
            case _:
                raise ValueError(f"{planned.action} is no step of a single purchase on the chain")

    def _id(self, purchase: Purchase) -> str:
        return self._ids[purchase.id][0]

    def _opened(self, purchase: Purchase, *transaction_ids: str) -> None:
        self._ids[purchase.id] = transaction_ids
        self._open.extend(transaction_ids)
        if isinstance(purchase.ending, Disputed):
            self._disputable.update(transaction_ids)

    def _operate(self, purchase: Purchase, type: IntentType, **fields: Any) -> None:
        """One operation of the treasury about the purchase's escrow."""
        self._treasury.carry_out(purchase, type, {"transaction_id": self._id(purchase), **fields})

    def _ask_again(self, purchase: Purchase) -> None:
        """The agent does not know whether it was paid, and asks again; the next worker finds that it was."""
        (answer,) = self._office.ask(purchase)
        if answer.tx_id != self._id(purchase):
            raise ActpError(f"Purchase {purchase.id!r} was asked for a second time.", code="scenario")
        self._treasury.begin_again()
        self._treasury.fund(purchase, [answer])

    def _agree(self, purchase: Purchase, provider: ACTPClient) -> None:
        """Both parties want it; the treasury ends the transaction with the provider's signature."""
        terms = purchase.agreement
        until = self._stage.treasury.now() + _CONSENT_SECONDS
        consent = provider.sign_split(self._id(purchase), terms.requester_gets, terms.provider_gets, until)
        self._operate(
            purchase,
            IntentType.SETTLE_BY_CONSENT,
            requester_amount=consent.requester_amount,
            provider_amount=consent.provider_amount,
            valid_until=consent.valid_until,
            provider_signature=consent.signature,
        )

    def _rule(self, purchase: Purchase) -> None:
        self._stage.arbiter.kernel.resolve(
            self._id(purchase),
            requester_amount=purchase.dispute.requester_gets,
            provider_amount=purchase.dispute.provider_gets,
            provider_at_fault=purchase.dispute.provider_at_fault,
        )

    def _holdings(self, provider: ACTPClient) -> _Holdings:
        stage = self._stage
        return _Holdings(
            treasury=stage.balance_of(stage.treasury.address),
            provider=stage.balance_of(provider.address),
            credit=provider.kernel.credits(),
            fees=provider.kernel.accrued_fees(),
        )

    def _by(self, client: ACTPClient, amount: int | None = None) -> _Act:
        return _Act(self._stage.name_of(client.address), amount)


def _text(planned: PlannedStep) -> str:
    return planned.purchase.dispute.reason if planned.action is Action.DISPUTE else ""
