"""Takes the steps of a plan through the clients of those who act, and reports each as the chain shows it."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from actp.client import ACTPClient
from actp.errors import ActpError
from actp.intents import PaymentOrder
from actp.types import Transaction
from coordinator.crew.plan import Action, PlannedStep
from coordinator.crew.records import Step
from coordinator.crew.scenario import Purchase, Scenario
from coordinator.crew.stage import ISSUER_NAME, LineCut, Stage

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

    def __init__(self, scenario: Scenario, stage: Stage) -> None:
        self._scenario = scenario
        self._stage = stage
        self._ids: dict[str, tuple[str, ...]] = {}
        self._payments: dict[str, PaymentOrder] = {}
        self._open: list[str] = []

    @property
    def open_transactions(self) -> tuple[str, ...]:
        """Ids of the transactions that have begun and not ended: the vault may hold money for them."""
        return tuple(self._open)

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
        """Takes a step. Raises ActpError if the chain refuses it."""
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

    def _act(self, planned: PlannedStep, provider: ACTPClient) -> _Act:
        stage, purchase = self._stage, planned.purchase
        match planned.action:
            case Action.ORDER:
                self._opened(purchase, self._order(purchase, provider))
                return self._by(stage.treasury, purchase.amount)
            case Action.FUND:
                stage.treasury.fund_transaction(self._id(purchase))
                return self._by(stage.treasury, purchase.amount)
            case Action.PAY:
                orders = [self._payment(purchase, provider, number) for number in range(purchase.copies)]
                self._opened(purchase, *(one.transaction_id for one in stage.treasury.pay_many(orders)))
                return self._by(stage.treasury, purchase.total)
            case Action.PAY_UNHEARD:
                self._pay_unheard(purchase, provider)
                return self._by(stage.treasury, purchase.amount)
            case Action.ASK_AGAIN:
                self._ask_again(purchase)
                return self._by(stage.treasury)
            case Action.START:
                provider.kernel.start(self._id(purchase))
                return self._by(provider)
            case Action.PAY_MILESTONE:
                stage.treasury.kernel.release_milestone(self._id(purchase), planned.milestone)
                return self._by(stage.treasury, planned.milestone)
            case Action.DELIVER:
                if purchase.copies > 1:
                    provider.deliver_many(self._ids[purchase.id])
                else:
                    provider.kernel.deliver(self._id(purchase))
                return self._by(provider)
            case Action.ACCEPT | Action.SETTLE:
                settler = stage.treasury if planned.action is Action.ACCEPT else stage.bot
                if purchase.copies > 1:
                    settler.settle_many(self._ids[purchase.id])
                else:
                    settler.release_escrow(self._id(purchase))
                return self._by(settler, purchase.remaining * purchase.copies)
            case Action.AGREE:
                self._agree(purchase, provider)
                return self._by(stage.treasury, purchase.remaining)
            case Action.DISPUTE:
                disputer = stage.treasury if purchase.dispute.opened_by == "requester" else provider
                disputer.kernel.dispute(self._id(purchase), purchase.dispute.reason.encode())
                return self._by(disputer, self.bonds(self._id(purchase)))
            case Action.RULE:
                self._rule(purchase)
                return self._by(stage.arbiter, purchase.remaining)
            case Action.RECLAIM:
                stage.treasury.kernel.cancel(self._id(purchase))
                return self._by(stage.treasury, purchase.remaining)
            case Action.BLOCK | Action.UNBLOCK:
                stage.block_list(provider.address, blocked=planned.action is Action.BLOCK)
                return _Act(ISSUER_NAME)
            case Action.WITHDRAW_CREDIT:
                credit = provider.kernel.credits()
                provider.kernel.withdraw_credit()
                return self._by(provider, credit)
            case Action.WITHDRAW_FEES:
                raise ValueError("fees are of all purchases together")

    def _id(self, purchase: Purchase) -> str:
        return self._ids[purchase.id][0]

    def _opened(self, purchase: Purchase, *transaction_ids: str) -> None:
        self._ids[purchase.id] = transaction_ids
        self._open.extend(transaction_ids)

    def _payment(self, purchase: Purchase, provider: ACTPClient, number: int = 0) -> PaymentOrder:
        return PaymentOrder(
            provider=provider.address,
            amount=purchase.amount,
            deadline=self._stage.treasury.now() + purchase.deadline_seconds,
            dispute_window=purchase.dispute_window_seconds,
            metadata=purchase.purpose.encode(),
            idempotency_key=f"{purchase.id}/{number}",
        )

    def _pay_unheard(self, purchase: Purchase, provider: ACTPClient) -> None:
        """Pays over a line that breaks after the node has taken the payment: its payer learns nothing."""
        payment = self._payments[purchase.id] = self._payment(purchase, provider)
        try:
            self._stage.treasury_on_a_bad_line().pay(funding="permit", **asdict(payment))
        except LineCut:
            pass
        else:
            raise ActpError("The line did not break.", code="scenario")
        self._opened(purchase, self._stage.newest_transaction())

    def _ask_again(self, purchase: Purchase) -> None:
        payment = self._stage.treasury.pay(funding="permit", **asdict(self._payments[purchase.id]))
        if not payment.found or (payment.transaction_id,) != self._ids[purchase.id]:
            raise ActpError(f"Purchase {purchase.id!r} was paid a second time.", code="scenario")

    def _agree(self, purchase: Purchase, provider: ACTPClient) -> None:
        """Both parties sign; the treasury ends the transaction with the provider's signature."""
        terms = purchase.agreement
        treasury = self._stage.treasury
        consent = provider.sign_split(
            self._id(purchase), terms.requester_gets, terms.provider_gets, treasury.now() + _CONSENT_SECONDS
        )
        treasury.settle_by_consent(consent)

    def _order(self, purchase: Purchase, provider: ACTPClient) -> str:
        treasury = self._stage.treasury
        return treasury.kernel.create_transaction(
            requester=treasury.address,
            provider=provider.address,
            amount=purchase.amount,
            deadline=treasury.now() + purchase.deadline_seconds,
            dispute_window=purchase.dispute_window_seconds,
            metadata=purchase.purpose.encode(),
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
    if planned.action in (Action.ORDER, Action.PAY, Action.PAY_UNHEARD):
        return planned.purchase.purpose
    return planned.purchase.dispute.reason if planned.action is Action.DISPUTE else ""
