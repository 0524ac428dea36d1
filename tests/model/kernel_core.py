"""The steps of the escrow protocol in integers: what every call does, and which ones are refused.

Written from the protocol's rules and the natspec of the interfaces, so that it shares no mistake with the contracts.
Each method takes the time of the block (unix seconds) and the caller, and either changes the model or raises Refused
and leaves it as it was.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum

from tests.model.governance_model import BPS, DAY, Economics, GovernanceModel
from tests.model.refusal import Refused, refuse_if
from tests.model.token_model import VAULT, ZERO, Account, TokenModel

HOUR = 3_600
MIN_AMOUNT = 50_000
MAX_AMOUNT = 10**15
MIN_WINDOW = HOUR
MAX_WINDOW = 30 * DAY
MAX_DEADLINE = 365 * DAY
REFUND_GRACE = 7 * DAY
DISPUTE_TIMEOUT = 30 * DAY
CANCELLATION_NOTICE = HOUR
CANCELLATION_VALIDITY = 24 * HOUR
MEDIATOR_CAP_BPS = 1_000
USUAL_TIMEOUT_BPS = 5_000

Id = bytes
"""32 bytes: of a transaction, of an escrow, of a hash."""
NO_ID = bytes(32)
NO_DATA = "NoData"
"""A revert without data: the arguments do not even decode."""


class State(IntEnum):
    INITIATED = 0
    QUOTED = 1
    COMMITTED = 2
    IN_PROGRESS = 3
    DELIVERED = 4
    SETTLED = 5
    DISPUTED = 6
    CANCELLED = 7


UNFUNDED = (State.INITIATED, State.QUOTED)
UNDELIVERED = (State.COMMITTED, State.IN_PROGRESS)
FINAL = (State.SETTLED, State.CANCELLED)


class PartStatus(IntEnum):
    LOCKED = 0
    PAID = 1
    REFUNDED = 2


@dataclass
class Part:
    """One milestone of a schedule that was agreed at creation."""

    amount: int
    deadline: int
    condition_hash: Id
    status: PartStatus = PartStatus.LOCKED


@dataclass
class Transaction:
    """One transaction and the money behind it."""

    id: Id
    requester: Account
    provider: Account
    amount: int
    created_at: int
    deadline: int
    window: int
    service_hash: Id
    agent_id: int
    requester_agent_id: int
    fee_bps: int
    penalty_bps: int
    bond_bps: int
    updated_at: int
    arbiter: Account = ZERO
    """Who alone rules on disputes; zero for the admin and the mediators."""
    timeout_requester_bps: int = USUAL_TIMEOUT_BPS
    schedule: list[Part] = field(default_factory=list)
    state: State = State.INITIATED
    held: int = 0
    """What the escrow received and has not paid out."""
    escrow_id: Id | None = None
    window_ends_at: int | None = None
    cancellation_at: int = 0
    quote_hash: Id = NO_ID
    attestation: Id = NO_ID
    initiator: Account | None = None
    owes_bond: bool = False
    bonds: dict[Account, tuple[Account, int]] = field(default_factory=dict)
    """Party to (poster, amount)."""

    @property
    def is_funded(self) -> bool:
        return self.escrow_id is not None

    @property
    def is_open(self) -> bool:
        return self.state not in FINAL

    @property
    def parties(self) -> tuple[Account, Account]:
        return (self.requester, self.provider)


@dataclass(frozen=True)
class Split:
    """How a ruling divides what an escrow holds."""

    requester_amount: int
    provider_amount: int
    provider_at_fault: bool
    mediator: Account | None = None
    mediator_amount: int = 0


class KernelCore(GovernanceModel):
    """What generation G1 knows too. Kernel and vault are one here: the vault decides nothing."""

    def __init__(
        self,
        economics: Economics,
        token: TokenModel,
        *,
        admin: Account,
        pauser: Account,
        fee_recipient: Account,
        account_of: Callable[[int], Account] = hex,
    ) -> None:
        """`account_of` names the account of an address, which a ruling's proof carries as a number."""
        super().__init__(economics, admin=admin, pauser=pauser, fee_recipient=fee_recipient)
        self.token = token
        self._account_of = account_of
        self.transactions: dict[Id, Transaction] = {}
        self.aliases: dict[Id, Id] = {}
        self.nonces: dict[Account, int] = {}
        self.credits: dict[Account, int] = {}
        self.fees = 0

    # ---------------------------------------------------------------- reading

    def liabilities(self) -> int:
        """Everything that the vault owes: escrows, bonds, credits and fees."""
        escrows = sum(tx.held for tx in self.transactions.values())
        bonds = sum(amount for tx in self.transactions.values() for _, amount in tx.bonds.values())
        return escrows + bonds + sum(self.credits.values()) + self.fees

    def required_bond(self, tx: Transaction) -> int:
        return max(tx.amount * tx.bond_bps // BPS, self.min_bond)

    def owed_bond(self, tx: Transaction) -> int:
        """What the initiator of an open dispute still has to post."""
        return self.required_bond(tx) if tx.owes_bond else 0

    def find_escrow(self, escrow_id: Id) -> Transaction | None:
        """The transaction behind an escrow id: real ids come before aliases."""
        tx = self.transactions.get(escrow_id) or self.transactions.get(self.aliases.get(escrow_id, NO_ID))
        return tx if tx is not None and tx.is_funded else None

    # ---------------------------------------------------------------- create, quote, fund

    def create(
        self,
        now: int,
        caller: Account,
        *,
        transaction_id: Id,
        provider: Account,
        requester: Account,
        amount: int,
        deadline: int,
        window: int,
        service_hash: Id,
        agent_id: int,
        requester_agent_id: int,
    ) -> None:
        broken = self._broken_terms(now, requester, provider, amount, deadline, window)
        refuse_if(NotRequester=caller != requester, **broken)
        assert transaction_id not in self.transactions, "two transactions have one id"
        self.nonces[requester] = self.nonces.get(requester, 0) + 1
        self.transactions[transaction_id] = Transaction(
            id=transaction_id,
            requester=requester,
            provider=provider,
            amount=amount,
            created_at=now,
            updated_at=now,
            deadline=deadline,
            window=window,
            service_hash=service_hash,
            agent_id=agent_id,
            requester_agent_id=requester_agent_id,
            fee_bps=self.rates.fee_bps,
            penalty_bps=self.rates.penalty_bps,
            bond_bps=self.rates.bond_bps,
        )

    def _broken_terms(
        self, now: int, requester: Account, provider: Account, amount: int, deadline: int, window: int
    ) -> dict[str, bool]:
        """The rules for every creation."""
        return {
            "KernelIsPaused": self.paused,
            "ZeroAddress": provider == ZERO,
            "InvalidProvider": provider in (requester, VAULT),
            "AmountOutOfBounds": not MIN_AMOUNT <= amount <= MAX_AMOUNT,
            "DeadlineOutOfBounds": not now < deadline <= now + MAX_DEADLINE,
            "DisputeWindowOutOfBounds": not MIN_WINDOW <= window <= MAX_WINDOW,
        }

    def accept_quote(self, now: int, caller: Account, transaction_id: Id, amount: int) -> None:
        tx = self._known(transaction_id)
        refuse_if(
            NotRequester=caller != tx.requester,
            WrongState=tx.state is not State.QUOTED,
            ScheduleAgreed=bool(tx.schedule),
            DeadlinePassed=now > tx.deadline,
            AmountOutOfBounds=not MIN_AMOUNT <= amount <= MAX_AMOUNT,
        )
        tx.amount = amount
        tx.fee_bps = self.rates.fee_bps
        tx.updated_at = now

    def link(self, now: int, caller: Account, transaction_id: Id, vault: Account, escrow_id: Id) -> None:
        tx = self._known(transaction_id)
        is_alias = escrow_id != tx.id
        refuse_if(
            KernelIsPaused=self.paused,
            InvalidTransition=tx.state not in UNFUNDED,
            NotRequester=caller != tx.requester,
            DeadlinePassed=now > tx.deadline,
            VaultNotApproved=vault != VAULT or not self.vault_approved,
            EscrowIdTaken=is_alias
            and (escrow_id == NO_ID or escrow_id in self.transactions or escrow_id in self.aliases),
        )
        self.token.pull(tx.requester, tx.amount)
        tx.held = tx.amount
        tx.escrow_id = escrow_id
        if is_alias:
            self.aliases[escrow_id] = tx.id
        self._move(now, tx, State.COMMITTED)

    # ---------------------------------------------------------------- transitions

    def transition(self, now: int, caller: Account, transaction_id: Id, target: int, proof: bytes) -> None:
        if target > max(State):
            raise Refused(frozenset({NO_DATA}))
        tx = self._known(transaction_id)
        match State(target):
            case State.QUOTED:
                self._quote(now, caller, tx, proof)
            case State.IN_PROGRESS:
                self._start(now, caller, tx)
            case State.DELIVERED:
                self._deliver(now, caller, tx, proof)
            case State.DISPUTED:
                self._dispute(now, caller, tx)
            case State.SETTLED | State.CANCELLED if tx.state is State.DISPUTED:
                self._rule(now, caller, tx, State(target), proof)
            case State.SETTLED:
                self._settle(now, caller, tx)
            case State.CANCELLED:
                self._cancel(now, caller, tx)
            case _:
                refuse_if(InvalidTransition=True)

    def release_escrow(self, now: int, caller: Account, transaction_id: Id) -> None:
        self._settle(now, caller, self._known(transaction_id))

    def _quote(self, now: int, caller: Account, tx: Transaction, proof: bytes) -> None:
        refuse_if(
            InvalidTransition=tx.state is not State.INITIATED,
            NotProvider=caller != tx.provider,
            DeadlinePassed=now > tx.deadline,
            InvalidProof=proof != b"" and (len(proof) != 32 or proof == NO_ID),
        )
        tx.quote_hash = proof or NO_ID
        self._move(now, tx, State.QUOTED)

    def _start(self, now: int, caller: Account, tx: Transaction) -> None:
        refuse_if(
            InvalidTransition=tx.state is not State.COMMITTED,
            NotProvider=caller != tx.provider,
            DeadlinePassed=now > tx.deadline,
        )
        self._move(now, tx, State.IN_PROGRESS)

    def _deliver(self, now: int, caller: Account, tx: Transaction, proof: bytes) -> None:
        offered = int.from_bytes(proof, "big") if len(proof) == 32 else 0
        refuse_if(
            InvalidTransition=tx.state not in UNDELIVERED,
            NotProvider=caller != tx.provider,
            DeadlinePassed=now > tx.deadline,
            InvalidProof=len(proof) not in (0, 32),
            DisputeWindowOutOfBounds=offered > MAX_WINDOW,
        )
        tx.window_ends_at = now + max(tx.window, offered)
        self._move(now, tx, State.DELIVERED)

    def _settle(self, now: int, caller: Account, tx: Transaction) -> None:
        self._check_settlement(now, caller, tx)
        self._move(now, tx, State.SETTLED)
        self._pay_provider(tx, tx.held)
        self._owe_spare_bonds(tx)

    def _check_settlement(self, now: int, caller: Account, tx: Transaction) -> None:
        is_delivered = tx.state is State.DELIVERED
        # Milestones may have emptied the escrow before a delivery: then there is nothing left to wait for.
        is_paid_out = tx.state in UNDELIVERED and tx.held == 0
        refuse_if(
            InvalidTransition=not (is_delivered or is_paid_out),
            WindowOpen=is_delivered and caller != tx.requester and now <= self._window_end(tx),
        )

    def _cancel(self, now: int, caller: Account, tx: Transaction) -> None:
        if tx.state in UNFUNDED:
            refuse_if(NotRequester=caller != tx.requester)
        else:
            grace = 0 if caller == tx.requester else REFUND_GRACE
            refuse_if(
                # What milestones have paid in full can be settled, not cancelled.
                InvalidTransition=tx.state not in UNDELIVERED or tx.held == 0,
                RefundNotDue=tx.state in UNDELIVERED and caller != tx.provider and now <= tx.deadline + grace,
            )
        self._move(now, tx, State.CANCELLED)
        self._pay_out(tx, tx.requester, tx.held)

    def milestone(self, now: int, caller: Account, transaction_id: Id, amount: int) -> None:
        tx = self._known(transaction_id)
        is_dust = amount < MIN_AMOUNT and amount != tx.held
        refuse_if(
            NotRequester=caller != tx.requester,
            WrongState=tx.state is not State.IN_PROGRESS,
            ScheduleAgreed=bool(tx.schedule),
            MilestoneOutOfBounds=amount == 0 or amount > tx.held or is_dust,
        )
        tx.updated_at = now
        self._pay_provider(tx, amount)

    # ---------------------------------------------------------------- walking away early

    def announce_cancellation(self, now: int, caller: Account, transaction_id: Id) -> None:
        tx = self._known(transaction_id)
        refuse_if(NotRequester=caller != tx.requester, WrongState=tx.state is not State.COMMITTED)
        tx.cancellation_at = now + CANCELLATION_NOTICE

    def cancel_early(self, now: int, caller: Account, transaction_id: Id) -> None:
        tx = self._known(transaction_id)
        refuse_if(
            NotRequester=caller != tx.requester,
            WrongState=tx.state is not State.COMMITTED,
            NoCancellationAnnounced=tx.cancellation_at == 0,
            NoticeRunning=now < tx.cancellation_at,
            CancellationLapsed=tx.cancellation_at > 0 and now > tx.cancellation_at + CANCELLATION_VALIDITY,
        )
        # After the deadline it is the provider who let the requester down.
        penalty = tx.held * tx.penalty_bps // BPS if now <= tx.deadline else 0
        self._move(now, tx, State.CANCELLED)
        self._pay_out(tx, tx.provider, penalty)
        self._pay_out(tx, tx.requester, tx.held)

    # ---------------------------------------------------------------- disputes

    def _dispute(self, now: int, caller: Account, tx: Transaction) -> None:
        is_delivered = tx.state is State.DELIVERED
        refuse_if(
            InvalidTransition=not is_delivered,
            NotParty=caller not in tx.parties,
            WindowClosed=is_delivered and now > self._window_end(tx),
        )
        bond = self.required_bond(tx)
        if caller not in tx.bonds and bond > 0:
            tx.owes_bond = not self._post_bond(tx, caller, caller, bond)
        tx.initiator = caller
        self._move(now, tx, State.DISPUTED)

    def post_bond(self, now: int, caller: Account, transaction_id: Id, party: Account) -> None:
        tx = self._known(transaction_id)
        is_delivered, is_disputed = tx.state is State.DELIVERED, tx.state is State.DISPUTED
        is_owed = tx.owes_bond and party == tx.initiator
        bond = self.required_bond(tx)
        refuse_if(
            NotParty=party not in tx.parties,
            WrongState=not (is_delivered or is_disputed),
            WindowClosed=is_delivered and now > self._window_end(tx),
            BondNotWanted=party in tx.bonds or bond == 0 or (is_disputed and not is_owed),
        )
        if not self._post_bond(tx, party, caller, bond):
            refuse_if(BondRefused=True)
        tx.owes_bond = False

    def close_timed_out(self, now: int, caller: Account, transaction_id: Id) -> None:
        tx = self._known(transaction_id)
        is_disputed = tx.state is State.DISPUTED
        refuse_if(
            WrongState=not is_disputed,
            DisputeNotTimedOut=is_disputed and now <= tx.updated_at + DISPUTE_TIMEOUT,
        )
        self._end_without_fault(now, tx, tx.held * tx.timeout_requester_bps // BPS)

    def _end_without_fault(self, now: int, tx: Transaction, requester_amount: int) -> None:
        """The provider gets the rest less the fee, every poster its bond."""
        self._move(now, tx, State.SETTLED)
        self._pay_out(tx, tx.requester, requester_amount)
        self._pay_provider(tx, tx.held)
        self._end_bonds(tx, loser=None)

    def _rule(self, now: int, caller: Account, tx: Transaction, target: State, proof: bytes) -> None:
        broken: dict[str, bool] = {}
        is_named = tx.arbiter != ZERO
        is_resolver = caller == tx.arbiter if is_named else caller == self.admin or self.is_mediator(now, caller)
        broken["NotResolver"] = not is_resolver or caller in tx.parties
        split = self._read_split(tx, target, proof)
        if split is None:
            refuse_if(InvalidProof=True, **broken)
        assert split is not None
        parts = split.requester_amount + split.provider_amount + split.mediator_amount
        broken["SplitMismatch"] = parts != tx.held
        broken["MediatorFeeTooHigh"] = split.mediator_amount > tx.held * MEDIATOR_CAP_BPS // BPS
        broken["MediatorNotApproved"] = split.mediator_amount > 0 and (
            split.mediator in tx.parties
            or split.mediator is None
            or not (self.is_mediator(now, split.mediator) or (is_named and split.mediator == tx.arbiter))
        )
        refuse_if(**broken)

        self._move(now, tx, target)
        # A bond that could not move and is lost comes out of what its party gets, as far as that goes.
        forfeit = 0
        loser = tx.provider if split.provider_at_fault else tx.requester
        winner = tx.requester if split.provider_at_fault else tx.provider
        fee = self._fee(tx, split.provider_amount)
        due = {tx.requester: split.requester_amount, tx.provider: split.provider_amount - fee}
        if target is State.SETTLED and tx.owes_bond and tx.initiator == loser:
            forfeit = min(self.required_bond(tx), due[loser])
        self._take_fee(tx, fee)
        if split.mediator is not None:
            self._pay_out(tx, split.mediator, split.mediator_amount)
        self._pay_out(tx, loser, due[loser] - forfeit)
        self._pay_out(tx, winner, due[winner] + forfeit)
        self._end_bonds(tx, loser=loser if target is State.SETTLED else None)

    def _read_split(self, tx: Transaction, target: State, proof: bytes) -> Split | None:
        """What the proof of a ruling says; None if it says nothing sensible."""
        if proof == b"":
            if target is State.SETTLED:
                return Split(0, tx.held, provider_at_fault=False)
            return Split(tx.held, 0, provider_at_fault=False)
        if len(proof) not in (64, 96, 128, 160):
            return None
        words = [int.from_bytes(proof[at : at + 32], "big") for at in range(0, len(proof), 32)]
        fault = words[2] if len(words) in (3, 5) else 1
        if fault > 1:
            return None
        if len(words) < 4:
            return Split(words[0], words[1], bool(fault))
        if words[-2] >= 2**160:
            return None
        return Split(words[0], words[1], bool(fault), self._account_of(words[-2]), words[-1])

    # ---------------------------------------------------------------- attestation, credits, fees

    def anchor(self, now: int, caller: Account, transaction_id: Id, uid: Id) -> None:
        tx = self._known(transaction_id)
        refuse_if(
            NotParty=caller not in tx.parties,
            WrongState=tx.window_ends_at is None and tx.state is not State.SETTLED,
            AttestationRefused=tx.attestation != NO_ID or uid == NO_ID,
        )
        tx.attestation = uid

    def withdraw_credit(self, now: int, caller: Account, payee: Account) -> None:
        amount = self.credits.get(payee, 0)
        refuse_if(NothingToWithdraw=amount == 0)
        refuse_if(PushRefused=not self.token.push(payee, amount))
        self.credits[payee] = 0

    def withdraw_fees(self, now: int, caller: Account) -> None:
        refuse_if(NotFeeRecipient=caller != self.fee_recipient, NothingToWithdraw=self.fees == 0)
        refuse_if(PushRefused=not self.token.push(caller, self.fees))
        self.fees = 0

    def update_fee_recipient(self, now: int, caller: Account, account: Account) -> None:
        refuse_if(NotAdmin=caller != self.admin, ZeroAddress=account == ZERO)
        self._owe(self.fee_recipient, self.fees)
        self.fees = 0
        self.fee_recipient = account

    # ---------------------------------------------------------------- money

    def _fee(self, tx: Transaction, payout: int) -> int:
        return min(max(payout * tx.fee_bps // BPS, self.min_fee), payout)

    def _take_fee(self, tx: Transaction, fee: int) -> None:
        tx.held -= fee
        self.fees += fee

    def _pay_provider(self, tx: Transaction, payout: int) -> None:
        fee = self._fee(tx, payout)
        self._take_fee(tx, fee)
        self._pay_out(tx, tx.provider, payout - fee)

    def _pay_out(self, tx: Transaction, payee: Account, amount: int) -> None:
        tx.held -= amount
        self._pay(payee, amount)

    def _pay(self, payee: Account, amount: int) -> None:
        """A push that the token refuses becomes a credit."""
        if amount > 0 and not self.token.push(payee, amount):
            self._owe(payee, amount)

    def _owe(self, payee: Account, amount: int) -> None:
        self.credits[payee] = self.credits.get(payee, 0) + amount

    def _post_bond(self, tx: Transaction, party: Account, payer: Account, amount: int) -> bool:
        """Take a bond for a party; False if the token freezes the payer, Refused if the payer cannot pay."""
        if self.token.freezes(payer):
            return False
        refuse_if(BondNotPayable=min(self.token.balance(payer), self.token.allowance(payer)) < amount)
        self.token.pull(payer, amount)
        tx.bonds[party] = (payer, amount)
        return True

    def _end_bonds(self, tx: Transaction, loser: Account | None) -> None:
        """The initiator's bond goes to the other party if the initiator lost, else back to whoever posted it.

        Where nobody disputed, the requester's is the one that is sent rather than owed.
        """
        party = tx.initiator or tx.requester
        if party in tx.bonds:
            poster, amount = tx.bonds.pop(party)
            other = tx.provider if party == tx.requester else tx.requester
            self._pay(other if party == loser else poster, amount)
        tx.owes_bond = False
        self._owe_spare_bonds(tx)

    def _owe_spare_bonds(self, tx: Transaction) -> None:
        """Bonds that were posted ahead and not needed wait for their posters."""
        for poster, amount in tx.bonds.values():
            self._owe(poster, amount)
        tx.bonds.clear()

    # ---------------------------------------------------------------- helpers

    def _known(self, transaction_id: Id) -> Transaction:
        refuse_if(UnknownTransaction=transaction_id not in self.transactions)
        return self.transactions[transaction_id]

    def _window_end(self, tx: Transaction) -> int:
        assert tx.window_ends_at is not None
        return tx.window_ends_at

    def _move(self, now: int, tx: Transaction, state: State) -> None:
        tx.state = state
        tx.updated_at = now
