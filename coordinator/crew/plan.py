"""When each step of a scenario is due, and in which order. Pure: offsets in seconds from the start of the story."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from coordinator.crew.scenario import (
    SLACK_SECONDS,
    Agreed,
    BlockedPayee,
    Contradiction,
    Disputed,
    Purchase,
    Scenario,
    SettledByBot,
    SilentProvider,
)

__all__ = ["Action", "PlannedStep", "make_plan"]


class Action(StrEnum):
    """What happens to a purchase."""

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


def make_plan(scenario: Scenario) -> tuple[PlannedStep, ...]:
    """All steps by time, and at the same time by their order in the file. Raises Contradiction."""
    _refuse_blocked_payees_with_other_business(scenario)
    steps = [step for purchase in scenario.purchases for step in _steps_of(purchase)]
    return tuple(sorted(steps, key=lambda step: step.due_seconds))


def _steps_of(purchase: Purchase) -> list[PlannedStep]:
    """The life of one purchase, in order."""
    steps: list[PlannedStep] = []

    def then(due: int, *actions: Action, milestone: int = 0) -> None:
        steps.extend(PlannedStep(due, action, purchase, milestone) for action in actions)

    ordered = purchase.ordered_after_seconds
    deadline = ordered + purchase.deadline_seconds
    silent = isinstance(purchase.ending, SilentProvider)
    delivered = deadline if silent else ordered + purchase.delivery_seconds

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
