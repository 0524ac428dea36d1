"""A request to spend, checked in itself: from what an agent hands in to what the authority decides about."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from actp.errors import InvalidInput
from actp.orders import salt_of, salted_id
from actp.terms import Limits, require_int
from actp.units import require_address
from coordinator.budget.checks import a_name, an_amount, some_text
from coordinator.budget.limits import UNCATEGORIZED
from coordinator.budget.words import Ask
from coordinator.canonical import canonical, digest

__all__ = ["DEADLINE_SECONDS", "WINDOW_SECONDS", "Payer", "SpendingRequest", "ask_of", "escrow_number"]

DEADLINE_SECONDS = 86_400
"""How long a provider has to deliver, unless a request says otherwise."""
WINDOW_SECONDS = 3_600
"""How long a delivery may be disputed, unless a request says otherwise. Shorter than the time to deliver in, so that
the window of a delivery in good time is over when an escrow that nobody delivers ends.
"""

_NUMBER_BITS = 128
_NUMBER_DOMAIN = "actp.spending-request.v1"
_LONGEST_PURPOSE = 1_024
_LONGEST_TERMS = 16_384
_LONGEST_SERVICE = 64
_LAST_SECOND = 253_402_300_800


@dataclass(frozen=True, slots=True)
class SpendingRequest:
    """What an agent wants to buy. `amount` is in base units; `purpose` is for people, and never goes on the chain.

    `category` None is what the rules have as `default_category`. `idempotency_key` names this purchase within the
    agent: the same key is the same purchase, and without one each request is a new one. The provider has
    `deadline_seconds` to deliver, and `dispute_window` seconds may pass until the delivery counts as accepted. `terms`
    is text whose hash goes on the chain. `quoted_amount` was offered at `quoted_at` (unix seconds), `service` is what a
    reference price is known for. `require_approval` asks for a person's yes whatever the amount.
    """

    agent_id: str
    amount: int
    provider: str
    purpose: str
    category: str | None = None
    idempotency_key: str | None = None
    deadline_seconds: int = DEADLINE_SECONDS
    dispute_window: int = WINDOW_SECONDS
    terms: str = ""
    quoted_amount: int | None = None
    quoted_at: int | None = None
    service: str | None = None
    require_approval: bool = False


@dataclass(frozen=True, slots=True)
class Payer:
    """Whose requests they are: the wallet, the kernel and what that takes. `contracts` are the addresses that can
    provide nothing, with what they are.
    """

    chain_id: int
    wallet: str
    kernel: str
    limits: Limits
    contracts: Mapping[str, str] = field(default_factory=dict)


def ask_of(request: SpendingRequest, payer: Payer) -> Ask:
    """The request as it is decided about, with the id that its ACTP transaction will have.

    Raises InvalidInput for what no rule has to be asked about: other types, amounts that are none, addresses that are
    none or that cannot provide anything, times that no escrow can have.
    """
    agent = a_name(request.agent_id, "agent_id")
    amount = payer.limits.check_amount(an_amount(request.amount, "amount", smallest=1))
    provider = require_address(request.provider, "provider")
    contract = payer.contracts.get(provider)
    if contract is not None:
        raise InvalidInput(f"provider {provider} is {contract}.", hint="Name the account that delivers and is paid.")
    category = UNCATEGORIZED if request.category is None else a_name(request.category, "category")
    purpose = some_text(request.purpose, "purpose", _LONGEST_PURPOSE)
    if not isinstance(request.require_approval, bool):
        raise InvalidInput("require_approval must be True or False.")
    key = secrets.token_hex(16) if request.idempotency_key is None else a_name(request.idempotency_key, "key")
    terms = _terms(request, payer.limits)
    number = escrow_number(agent, key)
    body = {
        "amount": str(amount),
        "category": category,
        "provider": provider,
        "terms": {name: str(value) for name, value in terms.items()},
    }
    return Ask(
        agent=agent,
        key=key,
        provider=provider,
        amount=amount,
        category=category,
        purpose=purpose,
        # The purpose is no part of it: a hash of it would tell an erased purpose to whoever can guess it.
        body_hash=digest(body),
        number=number,
        transaction_id=salted_id(payer.chain_id, payer.kernel, payer.wallet, salt_of(str(number))),
        terms=terms,
        approval_demanded=request.require_approval,
    )


def escrow_number(agent: str, key: str) -> int:
    """The number of the escrow for a key of an agent: 128 bits of a hash, so that no two keys share one."""
    hashed = hashlib.sha256(canonical([_NUMBER_DOMAIN, agent, key])).digest()
    return int.from_bytes(hashed[: _NUMBER_BITS // 8], "big")


def _terms(request: SpendingRequest, limits: Limits) -> dict[str, Any]:
    deadline = require_int(request.deadline_seconds, "deadline_seconds")
    if not 0 < deadline <= limits.max_deadline_seconds:
        raise InvalidInput(f"deadline_seconds must be from 1 to {limits.max_deadline_seconds}, not {deadline}.")
    window = limits.check_window(request.dispute_window)
    if window >= deadline:
        raise InvalidInput(
            f"The dispute window of {window} seconds is not shorter than the {deadline} seconds until the deadline.",
            hint="Give the provider more time: the window opens when it delivers, and would end after the deadline.",
        )
    terms: dict[str, Any] = {"deadline_seconds": deadline, "dispute_window": window}
    text = some_text(request.terms, "terms", _LONGEST_TERMS)
    if text:
        terms["terms"] = text
    if request.quoted_amount is not None:
        terms["quoted_amount"] = an_amount(request.quoted_amount, "quoted_amount", smallest=1)
    if request.quoted_at is not None:
        terms["quoted_at"] = an_amount(request.quoted_at, "quoted_at", smallest=1)
        if terms["quoted_at"] > _LAST_SECOND:
            raise InvalidInput("quoted_at is after the year 9999.", hint="It is in unix seconds, not milliseconds.")
    if request.service is not None:
        terms["service"] = some_text(a_name(request.service, "service"), "service", _LONGEST_SERVICE)
    if request.require_approval:
        terms["require_approval"] = True
    return terms
