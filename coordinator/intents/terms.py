"""What the vault has to pay, by an escrow's own terms, when somebody ends it or pays a part of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from actp.decoding import Event
from actp.errors import ActpError, RpcError, RpcUnavailable
from actp.types import State
from coordinator.intents.built import paid_out, paid_to_provider
from coordinator.intents.escrows import EscrowState
from coordinator.intents.models import ReleaseEscrow
from coordinator.intents.world import World
from coordinator.types import Movement

__all__ = ["payments_due"]

_BY_WORD = ("DisputeResolved", "DisputeTimedOut", "SettledByConsent")
"""What divides an escrow by a ruling, by its clauses or by consent, and moves bonds: not by price and fee alone."""
_WHOLE_BPS = 10_000


def payments_due(world: World, events: Sequence[Event]) -> tuple[Movement, ...] | None:
    """What the vault had to pay in the eth transaction that emitted these events, on the state that the world reads and
    was brought up to; without payments that became a credit. None where price, fee and penalty do not say it.

    Raises RpcError and RpcUnavailable.
    """
    if any(event.name in _BY_WORD for event in events):
        return None
    # What a batch has skipped may be an id that nobody created.
    events = [event for event in events if event.name != "BatchItemSkipped"]
    ids = dict.fromkeys(event.transaction_id for event in events if event.transaction_id is not None)
    intents = [ReleaseEscrow(transaction_id=one) for one in ids]
    world.prepare(intents)
    due: list[Movement] = []
    for intent in intents:
        try:
            escrow = world.escrow(intent)
        except (RpcError, RpcUnavailable):
            raise
        except ActpError:
            return None  # it was opened in this very eth transaction
        if escrow.record.funded:
            due.extend(_of_one(world, escrow, [event for event in events if event.transaction_id == escrow.id]))
    for event in events:
        if event.name == "CreditAccrued":
            due = _without_credit(due, event)
    return tuple(due)


def _without_credit(due: list[Movement], event: Event) -> list[Movement]:
    """What is left to be paid when this became a credit. That of a batch names no escrow: it is for all that the batch
    had to pay to somebody.
    """
    payee, amount = event.args["payee"], event.args["amount"]
    others, mine = [one for one in due if one.target != payee], [one for one in due if one.target == payee]
    if event.transaction_id is None:
        rest = sum(one.amount for one in mine) - amount
        return due if rest < 0 else [*others, *([replace(mine[0], amount=rest)] if rest else [])]
    refused = next((one for one in mine if one.amount == amount), None)
    if refused is not None:
        mine.remove(refused)
    return [*others, *mine]


def _of_one(world: World, escrow: EscrowState, events: Sequence[Event]) -> list[Movement]:
    record = escrow.record
    due: list[Movement] = []
    for event in events:
        ended = event.args["newState"] if event.name == "StateTransitioned" else None
        if event.name == "EscrowMilestoneReleased":
            due.extend(paid_to_provider(world, escrow, event.args["amount"]))
        elif event.name == "MilestoneRefunded":
            due.extend(paid_out(world, record.requester, event.args["amount"]))
        elif ended is State.SETTLED:
            due.extend(paid_to_provider(world, escrow, escrow.remaining))
        elif ended is State.CANCELLED:
            penalty = 0
            if any(one.name == "PenaltyPaid" for one in events):
                penalty = escrow.remaining * record.requester_penalty_bps_locked // _WHOLE_BPS
            due.extend(paid_out(world, record.provider, penalty))
            due.extend(paid_out(world, record.requester, escrow.remaining - penalty))
        escrow = escrow.after([event])
    return due
