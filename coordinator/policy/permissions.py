"""Rules on who and what: nothing here looks at an amount."""

from __future__ import annotations

from coordinator.policy.facts import Facts
from coordinator.policy.known import MissingFact, counterparty_of
from coordinator.policy.reasons import deny
from coordinator.policy.settings import ANY, PolicySettings
from coordinator.types import IntentType, Reason, Ruling

__all__ = [
    "allowed_contracts",
    "allowed_intents",
    "allowed_providers",
    "allowed_spenders",
    "require_approval_on_demand",
]

_PAYS_NOBODY_NEW = frozenset(
    {
        IntentType.APPROVE_ERC20,
        IntentType.ACCEPT_ESCROW,
        IntentType.DELIVER_ESCROW,
        IntentType.RELEASE_ESCROW,
        IntentType.REFUND_ESCROW,
        IntentType.DISPUTE_ESCROW,
        IntentType.RESOLVE_DISPUTE,
        IntentType.SETTLE_BY_CONSENT,
        IntentType.RELEASE_MILESTONE,
        IntentType.SETTLE_ESCROW_BATCH,
        IntentType.CLOSE_DISPUTE,
        IntentType.WITHDRAW_CREDIT,
        IntentType.WITHDRAW_FEES,
        IntentType.QUERY_BALANCE,
        IntentType.QUERY_POSITIONS,
    }
)
"""Whose counterparty was chosen when the escrow was made. Any other type, also one that is yet to come, chooses it."""


def allowed_intents(facts: Facts, settings: PolicySettings) -> Reason | None:
    """The agent may ask for intents of this type."""
    allowed = settings.allowed_intents
    if allowed is None or facts.type in allowed.get(facts.agent, allowed.get(ANY, ())):
        return None
    return deny("allowed_intents", f"{facts.agent} may not ask for {facts.type}.")


def allowed_contracts(facts: Facts, settings: PolicySettings) -> Reason | None:
    """The contract is called by nobody here, or not with this selector."""
    allowed = settings.allowed_contracts
    if allowed is None:
        return None
    selectors = allowed.get(facts.call.to, frozenset())
    if ANY in selectors or facts.call.selector in selectors:
        return None
    what = "a plain transfer" if facts.call.selector == "0x" else f"the call {facts.call.selector}"
    return deny("allowed_contracts", f"{what} to {facts.call.to} is not allowed.")


def allowed_providers(facts: Facts, settings: PolicySettings) -> Reason | None:
    """The provider of a new escrow, or the recipient of a transfer, may be paid."""
    if settings.allowed_providers is None or facts.type in _PAYS_NOBODY_NEW:
        return None
    payee = counterparty_of(facts)
    if payee in settings.allowed_providers:
        return None
    return deny("allowed_providers", f"{payee} is not among those who may be paid.")


def allowed_spenders(facts: Facts, settings: PolicySettings) -> Reason | None:
    """Whoever is given an allowance may have one: the vault, or those whom the settings name instead."""
    given = [change.spender for change in facts.effects.allowances if change.to != 0 and change.to is not None]
    if not given:
        if facts.type == IntentType.APPROVE_ERC20 and not facts.effects.allowances:
            raise MissingFact("effects.allowances")
        return None
    allowed = settings.allowed_spenders
    if allowed is None:
        if facts.vault is None:
            raise MissingFact("vault")
        allowed = frozenset({facts.vault})
    for spender in given:
        if spender not in allowed:
            return deny("allowed_spenders", f"{spender} may not be given an allowance.")
    return None


def require_approval_on_demand(facts: Facts, settings: PolicySettings) -> Reason | None:
    """The request itself asks for an approval. Where none is given on demand, going on without would ignore it."""
    if facts.approval_demanded is False:
        return None
    if settings.require_approval_on_demand:
        return Reason("require_approval_on_demand", "The request demands an approval.", Ruling.REQUIRE_APPROVAL)
    return deny("require_approval_on_demand", "The request demands an approval, and this policy gives none on demand.")
