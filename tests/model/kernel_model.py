"""What this kernel does beyond generation G1: salted orders, clauses, schedules, batches and consent, in integers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress

from tests.model.governance_model import BPS, Economics
from tests.model.kernel_core import (
    MAX_AMOUNT,
    MIN_AMOUNT,
    REFUND_GRACE,
    UNDELIVERED,
    Id,
    KernelCore,
    Part,
    PartStatus,
    State,
    Transaction,
)
from tests.model.refusal import Refused, refuse_if
from tests.model.terms import Authorization, BatchOutcome, Clauses, Order, Permit
from tests.model.token_model import ZERO, Account, TokenModel

MAX_MILESTONES = 64
USUAL = Clauses()


class KernelModel(KernelCore):
    """Everything that the kernel does."""

    def __init__(
        self,
        economics: Economics,
        token: TokenModel,
        *,
        admin: Account,
        pauser: Account,
        fee_recipient: Account,
        id_of_salt: Callable[[Account, Id], Id],
        account_of: Callable[[int], Account] = hex,
    ) -> None:
        """`id_of_salt` is the hash that makes an id of a requester and its salt."""
        super().__init__(
            economics, token, admin=admin, pauser=pauser, fee_recipient=fee_recipient, account_of=account_of
        )
        self._id_of_salt = id_of_salt

    # ---------------------------------------------------------------- opening

    def create_salted(self, now: int, caller: Account, order: Order, clauses: Clauses) -> None:
        self._check_orders(now, caller, [order], clauses)
        self._open(now, caller, order, clauses)

    def create_funded(self, now: int, caller: Account, order: Order, clauses: Clauses = USUAL) -> None:
        self.create_funded_batch(now, caller, [order], clauses)

    def create_funded_batch(self, now: int, caller: Account, orders: Sequence[Order], clauses: Clauses = USUAL) -> None:
        """All or none, with one transfer."""
        # A batch of nothing asks for nothing of the vault.
        self._check_orders(now, caller, orders, clauses, VaultNotApproved=bool(orders) and not self.vault_approved)
        self.token.pull(caller, sum(order.amount for order in orders))
        for order in orders:
            self._fund(now, self._open(now, caller, order, clauses))

    def create_funded_with_permit(
        self, now: int, caller: Account, order: Order, clauses: Clauses, permit: Permit
    ) -> None:
        before = self.token.allowance(caller), self.token.nonce(caller)
        # A permit may have been used before: what counts is the allowance.
        with suppress(Refused):
            self.token.permit(now, caller, permit.value, permit.deadline, permit.signer, permit.nonce)
        try:
            self.create_funded(now, caller, order, clauses)
        except Refused:
            self.token.allowances[caller], self.token.nonces[caller] = before
            raise

    def create_funded_with_authorization(
        self,
        now: int,
        caller: Account,
        requester: Account,
        order: Order,
        clauses: Clauses,
        authorization: Authorization,
    ) -> None:
        """Whoever `caller` is, it cannot matter."""
        self._check_orders(now, requester, [order], clauses, VaultNotApproved=not self.vault_approved)
        nonce = (requester, order, clauses)
        self.token.pull_authorized(
            now,
            requester,
            order.amount,
            authorization.valid_after,
            authorization.valid_before,
            nonce,
            authorization.signer,
        )
        self._fund(now, self._open(now, requester, order, clauses))

    def _check_orders(
        self, now: int, requester: Account, orders: Sequence[Order], clauses: Clauses, **broken: bool
    ) -> None:
        ids: set[Id] = set()
        for order in orders:
            wrong = self._broken_terms(
                now, requester, order.provider, order.amount, order.deadline, order.window
            ) | self._broken_clauses(now, requester, order, clauses)
            transaction_id = self._id_of_salt(requester, order.salt)
            wrong["SaltUsed"] = transaction_id in self.transactions or transaction_id in ids
            wrong["AmountOutOfBounds"] |= any(
                not MIN_AMOUNT <= milestone.amount <= MAX_AMOUNT for milestone in clauses.milestones
            )
            ids.add(transaction_id)
            broken = {name: is_broken or broken.get(name, False) for name, is_broken in (broken | wrong).items()}
        refuse_if(**broken)

    def _broken_clauses(self, now: int, requester: Account, order: Order, clauses: Clauses) -> dict[str, bool]:
        milestones = clauses.milestones
        return {
            "ShareTooHigh": clauses.timeout_requester_bps > BPS,
            "InvalidArbiter": clauses.arbiter != ZERO and clauses.arbiter in (requester, order.provider),
            "TooManyMilestones": len(milestones) > MAX_MILESTONES,
            "MilestoneDeadlineOutOfBounds": any(not now < part.deadline <= order.deadline for part in milestones),
            "ScheduleMismatch": bool(milestones) and sum(part.amount for part in milestones) != order.amount,
        }

    def _open(self, now: int, requester: Account, order: Order, clauses: Clauses) -> Transaction:
        tx = Transaction(
            id=self._id_of_salt(requester, order.salt),
            requester=requester,
            provider=order.provider,
            amount=order.amount,
            created_at=now,
            updated_at=now,
            deadline=order.deadline,
            window=order.window,
            service_hash=order.service_hash,
            agent_id=clauses.agents[0],
            requester_agent_id=clauses.agents[1],
            fee_bps=self.rates.fee_bps,
            penalty_bps=self.rates.penalty_bps,
            bond_bps=self.rates.bond_bps,
            arbiter=clauses.arbiter,
            timeout_requester_bps=clauses.timeout_requester_bps,
            schedule=[Part(one.amount, one.deadline, one.condition_hash) for one in clauses.milestones],
        )
        self.transactions[tx.id] = tx
        return tx

    def _fund(self, now: int, tx: Transaction) -> None:
        tx.held = tx.amount
        tx.escrow_id = tx.id
        self._move(now, tx, State.COMMITTED)

    # ---------------------------------------------------------------- schedules

    def pay_milestone(self, now: int, caller: Account, transaction_id: Id, index: int) -> None:
        tx = self._known(transaction_id)
        refuse_if(
            NotRequester=caller != tx.requester,
            WrongState=tx.state is not State.IN_PROGRESS,
            **self._broken_index(tx, index),
        )
        part = tx.schedule[index]
        part.status = PartStatus.PAID
        tx.updated_at = now
        self._pay_provider(tx, part.amount)

    def refund_milestone(self, now: int, caller: Account, transaction_id: Id, index: int) -> None:
        tx = self._known(transaction_id)
        grace = 0 if caller == tx.requester else REFUND_GRACE
        is_known = index < len(tx.schedule)
        refuse_if(
            WrongState=tx.state not in UNDELIVERED,
            RefundNotDue=is_known and now <= tx.schedule[index].deadline + grace,
            **self._broken_index(tx, index),
        )
        part = tx.schedule[index]
        part.status = PartStatus.REFUNDED
        tx.updated_at = now
        self._pay_out(tx, tx.requester, part.amount)

    def _broken_index(self, tx: Transaction, index: int) -> dict[str, bool]:
        is_known = index < len(tx.schedule)
        return {
            "UnknownMilestone": not is_known,
            "MilestoneNotLocked": is_known and tx.schedule[index].status is not PartStatus.LOCKED,
        }

    # ---------------------------------------------------------------- consent

    def settle_by_consent(
        self,
        now: int,
        caller: Account,
        transaction_id: Id,
        requester_amount: int,
        provider_amount: int,
        valid_until: int,
        signers: frozenset[Account],
    ) -> None:
        """`signers` are those who signed exactly this, each in the place of its own."""
        tx = self._known(transaction_id)
        refuse_if(
            InvalidTransition=not tx.is_funded or not tx.is_open,
            SplitMismatch=requester_amount + provider_amount != tx.held,
            ConsentExpired=now > valid_until,
            ConsentMissing=not {*tx.parties} <= {caller, *signers},
        )
        self._end_without_fault(now, tx, requester_amount)

    # ---------------------------------------------------------------- batches

    def deliver_batch(self, now: int, caller: Account, transaction_ids: Sequence[Id]) -> BatchOutcome:
        outcome = BatchOutcome()
        for index, transaction_id in enumerate(transaction_ids):
            try:
                self._deliver(now, caller, self._known(transaction_id), b"")
            except Refused as refused:
                outcome.skipped.append((transaction_id, index, refused.reasons))
            else:
                outcome.done += 1
        return outcome

    def settle_batch(self, now: int, caller: Account, transaction_ids: Sequence[Id]) -> BatchOutcome:
        outcome = BatchOutcome()
        due: Counter[Account] = Counter()
        for index, transaction_id in enumerate(transaction_ids):
            try:
                tx = self._known(transaction_id)
                self._check_settlement(now, caller, tx)
            except Refused as refused:
                outcome.skipped.append((transaction_id, index, refused.reasons))
                continue
            outcome.done += 1
            self._move(now, tx, State.SETTLED)
            self._take_fee(tx, self._fee(tx, tx.held))
            due[tx.provider] += tx.held
            tx.held = 0
            self._owe_spare_bonds(tx)
        for payee, amount in due.items():
            if amount > 0 and not self.token.freezes(payee):
                outcome.sent[payee] = amount
            self._pay(payee, amount)
        return outcome
