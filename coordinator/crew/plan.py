"""When each step of a scenario is due, and in which order. Pure: offsets in seconds from the start of the story."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from actp.units import format_usdc
from coordinator.crew.endings import Agreed, BlockedPayee, Disputed, SettledByBot, SilentProvider
from coordinator.crew.fields import Contradiction
from coordinator.crew.rules import agent_rules, needs_approval
from coordinator.crew.scenario import SLACK_SECONDS, Purchase, Scenario
from coordinator.crew.spenders import Denied

__all__ = ["Action", "Planned", "PlannedRequest", "PlannedStep", "make_plan"]


class Action(StrEnum):
    """What happens to a purchase, or to a request that is denied."""

    REQUEST = "request"
    APPROVE = "approve"
    REJECT = "reject"
    EXPIRE = "expire"
    PAUSE = "pause"
    RESUME = "resume"
    PAY = "pay"
    PAY_UNHEARD = "pay_unheard"
    ASK_AGAIN = "ask_again"
    START = "start"
    PAY_MILESTONE = "pay_milestone"
    DELIVER = "deliver"
    ACCEPT = "accept"
    SETTLE = "settle"
    DISPUTE = "dispute"
    RULE = "rule"
    AGREE = "agree"
    RECLAIM = "reclaim"
    BLOCK = "block"
    UNBLOCK = "unblock"
    WITHDRAW_CREDIT = "withdraw_credit"
    WITHDRAW_FEES = "withdraw_fees"


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """One step of one purchase, due `due_seconds` after the story began. `milestone` is the amount of one, else 0."""

    due_seconds: int
    action: Action
    purchase: Purchase
    milestone: int = 0


@dataclass(frozen=True, slots=True)
class PlannedRequest:
    """One step of a request that is denied, due `due_seconds` after the story began."""

    due_seconds: int
    action: Action
    denied: Denied


Planned = PlannedStep | PlannedRequest


def make_plan(scenario: Scenario) -> tuple[Planned, ...]:
    """All steps by time, and at the same time by their order in the file, purchases first. Raises Contradiction."""
    _refuse_blocked_payees_with_other_business(scenario)
    _refuse_what_no_rule_allows(scenario)
    steps: list[Planned] = []
    for purchase in scenario.purchases:
        steps += _steps_of(purchase, asked=needs_approval(scenario, purchase.agent, purchase.amount))
    for denied in scenario.denied:
        steps += _steps_of_denied(denied, scenario.budget.approvals_expire_after_seconds)
    return tuple(sorted(steps, key=lambda step: step.due_seconds))


def _steps_of_denied(denied: Denied, expire_seconds: int) -> list[PlannedRequest]:
    actions = {
        "paused": (Action.PAUSE, Action.REQUEST, Action.RESUME),
        "rejected": (Action.REQUEST, Action.REJECT),
    }.get(denied.rule, (Action.REQUEST,))
    steps = [PlannedRequest(denied.asked_after_seconds, action, denied) for action in actions]
    if denied.rule == "approval_expired":
        steps.append(PlannedRequest(denied.asked_after_seconds + expire_seconds + 1, Action.EXPIRE, denied))
    return steps


def _steps_of(purchase: Purchase, *, asked: bool = False) -> list[PlannedStep]:
    """The life of one purchase, in order; `asked`: somebody has to approve it."""
    steps: list[PlannedStep] = []

    def then(due: int, *actions: Action, milestone: int = 0) -> None:
        steps.extend(PlannedStep(due, action, purchase, milestone) for action in actions)

    ordered = purchase.ordered_after_seconds
    deadline = ordered + purchase.deadline_seconds
    silent = isinstance(purchase.ending, SilentProvider)
    delivered = deadline if silent else ordered + purchase.delivery_seconds

    then(ordered, Action.REQUEST)
    if asked:
        then(ordered, Action.APPROVE)
    if purchase.reply_lost:
        then(ordered, Action.PAY_UNHEARD, Action.ASK_AGAIN)
    else:
        then(ordered, Action.PAY)
    # A batch is delivered without being started piece by piece.
    if purchase.starts and purchase.copies == 1:
        then(ordered, Action.START)
    pieces = len(purchase.milestones) + 1
    for number, milestone in enumerate(purchase.milestones, start=1):
        then(ordered + (delivered - ordered) * number // pieces, Action.PAY_MILESTONE, milestone=milestone)
    if silent:
        then(deadline, Action.RECLAIM)
        return steps

    then(delivered, Action.DELIVER)
    window_ends = delivered + purchase.dispute_window_seconds
    match purchase.ending:
        case Disputed(opened_after_seconds=opened_after, ruled_after_seconds=ruled_after):
            then(delivered + opened_after, Action.DISPUTE)
            then(delivered + opened_after + ruled_after, Action.RULE)
        case Agreed(agreed_after_seconds=agreed_after):
            then(delivered + agreed_after, Action.AGREE)
        case SettledByBot():
            then(window_ends, Action.SETTLE)
        case BlockedPayee(unblocked_after_seconds=unblocked_after):
            then(window_ends, Action.BLOCK, Action.SETTLE)
            then(window_ends + unblocked_after, Action.UNBLOCK, Action.WITHDRAW_CREDIT)
        case _:
            then(delivered, Action.ACCEPT)
    return steps


def _refuse_what_no_rule_allows(scenario: Scenario) -> None:
    """What can be said of rules before anything is spent. The rest is said when it happens."""
    for index, purchase in enumerate(scenario.purchases):
        at = f"purchases[{index}]"
        limit = agent_rules(scenario.agent(purchase.agent), scenario.total_budget).spending_limit or 0
        if purchase.amount > limit:
            raise Contradiction(
                f"agent '{purchase.agent}' may spend {format_usdc(limit)} USDC on one request", at=f"{at}.amount"
            )
        if scenario.budget.providers is not None and purchase.provider not in scenario.budget.providers:
            raise Contradiction(f"budget.providers does not have '{purchase.provider}'", at=f"{at}.provider")
    for index, denied in enumerate(scenario.denied):
        if denied.rule in _WAITING_RULES and not (
            scenario.knows(denied.agent) and needs_approval(scenario, denied.agent, denied.amount)
        ):
            raise Contradiction(
                f"it needs no approval, so it cannot be {denied.rule}; agents have requires_approval",
                at=f"denied[{index}].amount",
            )


_WAITING_RULES = ("rejected", "approval_expired")
_MOVES_PROVIDER_MONEY = {Action.PAY_MILESTONE, Action.ACCEPT, Action.SETTLE, Action.DISPUTE, Action.RULE, Action.AGREE}


def _refuse_blocked_payees_with_other_business(scenario: Scenario) -> None:
    """While a provider is blocked, only the purchase that blocks it may pay it; else no ending is what it says."""
    for index, blocking in enumerate(scenario.purchases):
        due = {step.action: step.due_seconds for step in _steps_of(blocking)}
        if Action.BLOCK not in due:
            continue
        for other in scenario.purchases:
            if other is blocking or other.provider != blocking.provider:
                continue
            for step in _steps_of(other):
                near = due[Action.BLOCK] - SLACK_SECONDS <= step.due_seconds <= due[Action.UNBLOCK] + SLACK_SECONDS
                if near and step.action in _MOVES_PROVIDER_MONEY:
                    raise Contradiction(
                        f"purchase '{blocking.id}' has provider '{other.provider}' blocked while purchase "
                        f"'{other.id}' pays it ({step.action.value}); let one of them happen earlier or later",
                        at=f"purchases[{index}].ending",
                    )
