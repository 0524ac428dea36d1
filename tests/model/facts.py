"""What can be read about an escrow system: from the model, and in the same shape from the contracts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from tests.model.kernel_model import FINAL, NO_ID, Id, KernelModel, State, Transaction
from tests.model.token_model import VAULT, ZERO, Account


@dataclass(frozen=True)
class BondFacts:
    poster: Account
    amount: int


@dataclass(frozen=True)
class EscrowFacts:
    requester: Account
    provider: Account
    amount: int
    released: int
    active: bool

    @property
    def held(self) -> int:
        return self.amount - self.released


@dataclass(frozen=True)
class TransactionFacts:
    """Every field of `getTransaction`, and what the other views say about the same id."""

    transaction_id: Id
    requester: Account
    provider: Account
    state: State
    amount: int
    created_at: int
    updated_at: int
    deadline: int
    service_hash: Id
    escrow_contract: Account
    escrow_id: Id
    attestation_uid: Id
    dispute_window: int
    metadata: Id
    platform_fee_bps_locked: int
    requester_penalty_bps_locked: int
    dispute_bond_bps_locked: int
    agent_id: int
    requester_agent_id: int
    dispute_initiator: Account
    dispute_bond: int
    requester_bond: BondFacts
    provider_bond: BondFacts
    bond_owed: int
    bond_required: int
    cancellation_at: int
    escrow: EscrowFacts
    escrow_by_alias: EscrowFacts
    """What the id of the escrow finds: another transaction, if that has the id for its own."""


@dataclass(frozen=True)
class Facts:
    """The whole system at one block."""

    transactions: Mapping[Id, TransactionFacts]
    balances: Mapping[Account, int]
    credits: Mapping[Account, int]
    fees: int
    supply: int

    def updated(self, newer: Facts) -> Facts:
        """These facts, with what has been read since of some transactions and some accounts."""
        return Facts(
            transactions={**self.transactions, **newer.transactions},
            balances={**self.balances, **newer.balances},
            credits={**self.credits, **newer.credits},
            fees=newer.fees,
            supply=newer.supply,
        )

    def liabilities(self) -> int:
        """Escrows, bonds, credits and fees, added up from these facts alone."""
        escrows = sum(tx.escrow.held for tx in self.transactions.values())
        bonds = sum(tx.requester_bond.amount + tx.provider_bond.amount for tx in self.transactions.values())
        return escrows + bonds + sum(self.credits.values()) + self.fees


def model_facts(model: KernelModel, accounts: Sequence[Account]) -> Facts:
    """What the contracts must answer; `accounts` are those whose balances and credits are looked at."""
    return Facts(
        transactions={tx.id: _transaction_facts(model, tx) for tx in model.transactions.values()},
        balances={account: model.token.balance(account) for account in accounts},
        credits={account: model.credits.get(account, 0) for account in accounts},
        fees=model.fees,
        supply=model.token.supply,
    )


def differences(expected: Any, actual: Any, where: str = "") -> list[str]:
    """One line for each field in which two facts of one kind differ."""
    lines = []
    for field in fields(expected):
        wanted, found = getattr(expected, field.name), getattr(actual, field.name)
        name = f"{where}{field.name}"
        if field.name == "transactions":
            for number, (tx_id, one) in enumerate(wanted.items(), start=1):
                lines += differences(one, found[tx_id], f"tx{number}.")
        elif field.name in ("balances", "credits"):
            for account, amount in wanted.items():
                if amount != found[account]:
                    lines.append(f"{name} of {account}: model {amount}, chain {found[account]}")
        elif wanted != found:
            lines.append(f"{name}: model {wanted!r}, chain {found!r}")
    return lines


def _transaction_facts(model: KernelModel, tx: Transaction) -> TransactionFacts:
    requester_bond, provider_bond = (_bond_facts(tx, party) for party in tx.parties)
    bond_of_dispute = _bond_facts(tx, tx.initiator).amount if tx.initiator is not None else 0
    return TransactionFacts(
        transaction_id=tx.id,
        requester=tx.requester,
        provider=tx.provider,
        state=tx.state,
        amount=tx.amount,
        created_at=tx.created_at,
        updated_at=tx.updated_at,
        deadline=tx.deadline,
        service_hash=tx.service_hash,
        escrow_contract=VAULT if tx.is_funded else ZERO,
        escrow_id=tx.escrow_id or NO_ID,
        attestation_uid=tx.attestation,
        dispute_window=tx.window if tx.window_ends_at is None else tx.window_ends_at,
        metadata=tx.quote_hash,
        platform_fee_bps_locked=tx.fee_bps,
        requester_penalty_bps_locked=tx.penalty_bps,
        dispute_bond_bps_locked=tx.bond_bps,
        agent_id=tx.agent_id,
        requester_agent_id=tx.requester_agent_id,
        dispute_initiator=tx.initiator or ZERO,
        dispute_bond=bond_of_dispute,
        requester_bond=requester_bond,
        provider_bond=provider_bond,
        bond_owed=model.owed_bond(tx),
        bond_required=model.required_bond(tx),
        cancellation_at=tx.cancellation_at,
        escrow=_escrow_facts(model.find_escrow(tx.id)),
        escrow_by_alias=_escrow_facts(model.find_escrow(tx.escrow_id or tx.id)),
    )


def _bond_facts(tx: Transaction, party: Account) -> BondFacts:
    poster, amount = tx.bonds.get(party, (ZERO, 0))
    return BondFacts(poster, amount)


def _escrow_facts(tx: Transaction | None) -> EscrowFacts:
    if tx is None:
        return EscrowFacts(ZERO, ZERO, 0, 0, active=False)
    return EscrowFacts(tx.requester, tx.provider, tx.amount, tx.amount - tx.held, active=tx.state not in FINAL)
