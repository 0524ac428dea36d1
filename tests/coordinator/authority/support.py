"""Asks, rules and treasuries to decide about."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from actp.units import to_checksum
from coordinator.authority import Authority
from coordinator.budget.rulebook import AgentRules, ApprovalRules, CategoryRules, RuleBook
from coordinator.budget.words import Ask, Period, Scope, ScopeKind
from coordinator.types import ETH, BlockRef

USDC = 10**6
WALLET = "0x" + "11" * 20
TOKEN = to_checksum("0x" + "22" * 20)
PROVIDER = to_checksum("0x" + "33" * 20)
GAS = 10**15
DAY = 86_400
NOON = 1_700_006_400.0 - 1_700_006_400.0 % DAY + DAY / 2
"""Noon of a UTC day."""


def hashed(*parts: object) -> str:
    return "0x" + hashlib.sha256("/".join(map(str, parts)).encode()).hexdigest()


def ask(agent="ann", amount=10 * USDC, key=None, *, provider=PROVIDER, category="data", purpose="papers", **other):
    """A request. Without a key it is one of its own."""
    key = key if key is not None else f"key-{next(_numbers)}"
    body = hashed(agent, amount, provider, category)
    number = int(hashed(agent, key)[:34], 16)
    return Ask(agent, key, provider, amount, category, purpose, body, number, hashed("tx", agent, key), **other)


def _count():
    number = 0
    while True:
        number += 1
        yield number


_numbers = _count()


def agent(name="ann", **other):
    limits = {"spending_limit": 100 * USDC, "daily_limit": 300 * USDC, "requires_approval": 50 * USDC} | other
    return AgentRules(name, name.title(), **limits)


def book(*agents, total=1_000 * USDC, **other):
    """Rules for these agents, or for ann and bob."""
    each = agents or (agent("ann"), agent("bob"))
    categories = {"data": CategoryRules(), "compute": CategoryRules(500 * USDC)}
    return RuleBook(total_budget=total, agents={one.id: one for one in each}, categories=categories, **other)


def fund(authority, usdc=10_000, ether=5, number=1, gas=GAS):
    """The treasury is seen to hold this, at a block of this number."""
    block = BlockRef(number, hashed("block", number))
    return authority.observe(usdc * USDC, int(ether * 10**18), block, gas)


def cell(authority, kind, key="", period=Period.EVER, unit=TOKEN):
    """(spent, reserved, limit, cap) of a scope's newest window; None if nothing was ever charged to it."""
    scope = Scope(kind, key, period, unit)
    found = [one.cell for one in authority.usage() if one.scope == scope]
    if not found:
        return None
    newest = max(found, key=lambda one: one.window_start)
    return newest.spent, newest.reserved, newest.lim, newest.cap


def total(authority):
    """(spent, reserved) of everything."""
    found = cell(authority, ScopeKind.TOTAL)
    return (0, 0) if found is None else found[:2]


__all__ = [
    "DAY", "ETH", "GAS", "NOON", "PROVIDER", "TOKEN", "USDC", "WALLET", "ApprovalRules", "Authority", "Period",
    "ScopeKind", "agent", "ask", "book", "cell", "fund", "hashed", "replace", "total",
]  # fmt: skip
