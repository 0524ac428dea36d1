"""What the rules say of a request without looking at any cell, and what is to be charged to which one.

A denial that only the treasury's balance causes names the treasury: its charges are the last ones.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from coordinator.budget.checks import RESERVED_NAMES, folded
from coordinator.budget.limits import UNCATEGORIZED, Rule, limits_of, treasury_scope
from coordinator.budget.rulebook import AgentRules, RuleBook
from coordinator.budget.wording import per_transaction
from coordinator.budget.words import REQUESTS, Ask, Charge, Denial, Ruled, Scope
from coordinator.types import ETH

__all__ = ["TREASURY_RULES", "Treasury", "called", "may_approve", "may_reject", "rule"]

TREASURY_RULES = frozenset({Rule.TREASURY_BALANCE, Rule.TREASURY_GAS})
"""Rules that a newer look at the wallet may satisfy."""


@dataclass(frozen=True, slots=True)
class Treasury:
    """Who pays, in which token, and what one funding costs in fees at most, in wei (0: not known yet)."""

    address: str
    token: str
    gas_estimate: int = 0


def rule(ask: Ask, book: RuleBook, treasury: Treasury) -> Ruled:
    """A denial, or what is to be charged, and how many have to say yes.

    The treasury's charges have the limit 0: their cells know the balance, and one that was never observed is empty.
    """
    agent = book.agents.get(ask.agent)
    denial = _NO_RULES if _is_empty(book) else _denial(ask, book, agent, treasury)
    if denial is not None or agent is None:
        return Ruled(book.version, denial or _UNKNOWN)
    amounts = {treasury.token: ask.amount, ETH: treasury.gas_estimate, REQUESTS: 1}
    charges = tuple(
        [
            Charge(scope, amounts[scope.unit], limit, name)
            for scope, limit, name in _limits_of(book, agent, _category(ask, book), treasury.token)
        ]
    )
    threshold = agent.requires_approval
    asked = ask.approval_demanded or (threshold is not None and ask.amount > threshold)
    return Ruled(
        book.version,
        charges=charges,
        approvals=book.approvals.needed(ask.amount, asked=asked),
        approval_seconds=float(book.approvals.seconds),
    )


_Limit = tuple[Scope, int | None, Rule]


class _Limits:
    """The limits of one rule book and of the treasury, each found once: they are asked for with every request."""

    def __init__(self, book: RuleBook, token: str) -> None:
        self.book = book
        self.token = token
        self.found: dict[tuple[str, str], tuple[_Limit, ...]] = {}


_newest = _Limits(RuleBook(), "")


def _limits_of(book: RuleBook, agent: AgentRules, category: str, token: str) -> tuple[_Limit, ...]:
    global _newest
    known = _newest
    if known.book is not book or known.token != token:
        _newest = known = _Limits(book, token)
    limits = known.found.get((agent.id, category))
    if limits is None:
        limits = known.found[agent.id, category] = (
            *((one.scope, one.limit, one.rule) for one in limits_of(book, agent, category, token)),
            (treasury_scope(token), 0, Rule.TREASURY_BALANCE),
            (treasury_scope(ETH), 0, Rule.TREASURY_GAS),
        )
    return limits


def called(book: RuleBook, name: str) -> str:
    """Who is meant by the name of an approver: an approver or agent of these rules who is called so, however it is
    spelled, else somebody of that name.
    """
    known = (*book.approvals.approvers, *book.agents)
    if name in known:
        return name
    return next((one for one in known if folded(one) == folded(name)), name)


def may_approve(
    book: RuleBook, approver: str | None, agent: str, amount: int, former: Collection[str] = ()
) -> Denial | None:
    """Why this approver may not say yes to a request of an agent; None if it may. None as a name is the operator.
    `former` are the folded names of all agents that there ever were.
    """
    if approver is None:
        return None
    if approver == agent:
        return Denial(Rule.APPROVER, f"{approver} cannot approve its own request")
    if approver in book.approvals.approvers:
        return None
    voter = book.agents.get(approver)
    if voter is None:
        return _stranger(book, approver, former)
    if voter.role not in book.approvals.roles:
        return Denial(Rule.APPROVER, f"{approver} is an agent without the right to approve")
    limit = voter.spending_limit or 0
    if amount > limit:
        return Denial(Rule.APPROVER, f"{approver} may not approve that much: {per_transaction(amount, limit)}", limit)
    return None


def may_reject(book: RuleBook, approver: str | None, former: Collection[str] = ()) -> Denial | None:
    """Why this approver may not say no to a request; None if it may. Where approvers are listed those may who may say
    yes to some request, of any amount; where none are everybody may. Otherwise as `may_approve`.
    """
    if approver is None or approver in book.approvals.approvers:
        return None
    voter = book.agents.get(approver)
    if voter is None:
        return _stranger(book, approver, former)
    if not book.approvals.approvers or voter.role in book.approvals.roles:
        return None
    return Denial(Rule.APPROVER, f"{approver} is an agent without the right to reject")


def _stranger(book: RuleBook, name: str, former: Collection[str]) -> Denial | None:
    """Why somebody who is neither an agent nor listed may not answer."""
    if folded(name) in RESERVED_NAMES:
        return Denial(Rule.APPROVER, f"{name} is not the name of a person")
    if book.approvals.approvers:
        return Denial(Rule.APPROVER, f"{name} is not an approver")
    if folded(name) in former:
        return Denial(Rule.APPROVER, f"{name} is an agent that was removed")
    return None


_NO_RULES = Denial(Rule.NO_LIMIT, "No rules were applied yet: coordinator policy apply")
_UNKNOWN = Denial(Rule.UNKNOWN_AGENT, "Agent not registered")


def _is_empty(book: RuleBook) -> bool:
    """Whether these are what stands for the rules of a treasury that never had any."""
    return not book.version and book == RuleBook()


def _denial(ask: Ask, book: RuleBook, agent: AgentRules | None, treasury: Treasury) -> Denial | None:
    if book.providers is not None and ask.provider not in book.providers:
        return Denial(Rule.PROVIDER_ALLOW_LIST, "Provider not whitelisted")
    if agent is None:
        return _UNKNOWN
    if agent.providers is not None and ask.provider not in agent.providers:
        return Denial(Rule.PROVIDER_ALLOW_LIST, "Provider not whitelisted")
    if ask.provider == treasury.address:
        return Denial(Rule.OWN_TREASURY, "Provider is the treasury itself")
    unknown = _category_denial(ask, book, agent)
    if unknown is not None:
        return unknown
    if agent.spending_limit is None or agent.daily_limit is None:
        return Denial(Rule.NO_LIMIT, "Agent has no spending limit or no daily limit")
    if book.total_budget is None:
        return Denial(Rule.NO_LIMIT, "There is no total budget")
    if ask.amount > agent.spending_limit:
        sentence = per_transaction(ask.amount, agent.spending_limit)
        return Denial(Rule.SPENDING_LIMIT, sentence, agent.spending_limit, 0)
    return None


def _category(ask: Ask, book: RuleBook) -> str:
    """What a request is charged as: by the rules of now, as a request keeps the name that it gave, or none."""
    return ask.category or book.default_category or UNCATEGORIZED


def _category_denial(ask: Ask, book: RuleBook, agent: AgentRules) -> Denial | None:
    category = _category(ask, book)
    narrowed = category == UNCATEGORIZED and agent.categories is not None
    if narrowed or (book.require_category and ask.category == UNCATEGORIZED):
        return Denial(Rule.CATEGORY_ALLOW_LIST, "Request names no category")
    if category == UNCATEGORIZED:
        return None
    if category not in book.categories:
        return Denial(Rule.UNKNOWN_CATEGORY, f"Unknown category: {category}")
    if agent.categories is not None and category not in agent.categories:
        return Denial(Rule.CATEGORY_ALLOW_LIST, f"Category not allowed: {category}")
    return None
