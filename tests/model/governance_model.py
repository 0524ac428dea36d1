"""Who configures a kernel, and its rates."""

from __future__ import annotations

from dataclasses import dataclass

from tests.model.refusal import refuse_if
from tests.model.token_model import VAULT, ZERO, Account

DAY = 86_400
BPS = 10_000
ECONOMIC_PARAM_DELAY = 2 * DAY
MEDIATOR_APPROVAL_DELAY = 2 * DAY
PLATFORM_FEE_CAP = 500
REQUESTER_PENALTY_CAP = 5_000
DISPUTE_BOND_CAP = 2_000


@dataclass(frozen=True)
class Rates:
    """Basis points."""

    fee_bps: int
    penalty_bps: int
    bond_bps: int


@dataclass(frozen=True)
class Economics:
    """What a kernel is deployed with; the minimums are base units."""

    rates: Rates
    min_fee: int
    min_bond: int


@dataclass(frozen=True)
class PendingRates:
    fee_bps: int
    penalty_bps: int
    execute_after: int


@dataclass(frozen=True)
class GovernanceFacts:
    """What the views about roles and rates must answer; `mediators` are those with an approval."""

    admin: Account
    pending_admin: Account
    pauser: Account
    fee_recipient: Account
    paused: bool
    vault_approved: bool
    rates: Rates
    pending: PendingRates | None
    mediators: frozenset[Account]


class GovernanceModel:
    """Roles, pause, vault approval, mediators and rates. Fees belong to whoever keeps the money."""

    def __init__(self, economics: Economics, *, admin: Account, pauser: Account, fee_recipient: Account) -> None:
        self.min_fee = economics.min_fee
        self.min_bond = economics.min_bond
        self.rates = economics.rates
        self.admin = admin
        self.pending_admin = ZERO
        self.pauser = pauser
        self.fee_recipient = fee_recipient
        self.paused = False
        self.vault_approved = True
        self.pending: PendingRates | None = None
        self.mediators: dict[Account, int] = {}
        """Time of the approval."""

    def governance_facts(self) -> GovernanceFacts:
        return GovernanceFacts(
            admin=self.admin,
            pending_admin=self.pending_admin,
            pauser=self.pauser,
            fee_recipient=self.fee_recipient,
            paused=self.paused,
            vault_approved=self.vault_approved,
            rates=self.rates,
            pending=self.pending,
            mediators=frozenset(self.mediators),
        )

    def is_mediator(self, now: int, account: Account) -> bool:
        """Approved, and for long enough."""
        return account in self.mediators and now >= self.mediators[account] + MEDIATOR_APPROVAL_DELAY

    # ---------------------------------------------------------------- roles and pause

    def set_paused(self, now: int, caller: Account, paused: bool) -> None:
        refuse_if(NotPauser=caller not in (self.pauser, self.admin))
        self.paused = paused

    def update_pauser(self, now: int, caller: Account, account: Account) -> None:
        refuse_if(NotAdmin=caller != self.admin, ZeroAddress=account == ZERO)
        self.pauser = account

    def transfer_admin(self, now: int, caller: Account, account: Account) -> None:
        refuse_if(NotAdmin=caller != self.admin, ZeroAddress=account == ZERO)
        self.pending_admin = account

    def accept_admin(self, now: int, caller: Account) -> None:
        refuse_if(NotPendingAdmin=caller != self.pending_admin)
        self.admin, self.pending_admin = caller, ZERO

    # ---------------------------------------------------------------- vault and mediators

    def approve_vault(self, now: int, caller: Account, account: Account, approved: bool) -> None:
        refuse_if(NotAdmin=caller != self.admin, VaultAlreadyBound=account != VAULT)
        self.vault_approved = approved

    def approve_mediator(self, now: int, caller: Account, account: Account, approved: bool) -> None:
        refuse_if(NotAdmin=caller != self.admin, ZeroAddress=account == ZERO)
        if approved:
            self.mediators.setdefault(account, now)
        else:
            self.mediators.pop(account, None)

    # ---------------------------------------------------------------- rates

    def schedule_rates(self, now: int, caller: Account, fee_bps: int, penalty_bps: int) -> None:
        refuse_if(
            NotAdmin=caller != self.admin,
            RateTooHigh=fee_bps > PLATFORM_FEE_CAP or penalty_bps > REQUESTER_PENALTY_CAP,
            UpdatePending=self.pending is not None,
        )
        self.pending = PendingRates(fee_bps, penalty_bps, now + ECONOMIC_PARAM_DELAY)

    def cancel_rates(self, now: int, caller: Account) -> None:
        refuse_if(NotAdmin=caller != self.admin, NoPendingUpdate=self.pending is None)
        self.pending = None

    def execute_rates(self, now: int, caller: Account) -> None:
        pending = self.pending
        refuse_if(NoPendingUpdate=pending is None, TimelockRunning=pending is not None and now < pending.execute_after)
        assert pending is not None
        self.rates = Rates(pending.fee_bps, pending.penalty_bps, self.rates.bond_bps)
        self.pending = None

    def set_bond_rate(self, now: int, caller: Account, bond_bps: int) -> None:
        refuse_if(NotAdmin=caller != self.admin, RateTooHigh=bond_bps > DISPUTE_BOND_CAP)
        self.rates = Rates(self.rates.fee_bps, self.rates.penalty_bps, bond_bps)
