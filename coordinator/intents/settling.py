"""Settling many escrows at once: what the kernel does with each, and what became of them. See `settleBatch`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from actp import reverts
from actp.decoding import Event
from actp.types import State
from coordinator.errors import WrongState
from coordinator.intents.built import Built, kernel_call, net_of_fee, paid_out
from coordinator.intents.escrows import EscrowState
from coordinator.intents.models import SettleEscrowBatch
from coordinator.intents.world import World
from coordinator.types import Effects, Movement, Subject

__all__ = ["ItemOutcome", "batch_effects", "only_id", "settle_escrow_batch", "settled_items", "window_over"]


@dataclass(frozen=True, slots=True)
class ItemOutcome:
    """What became of one escrow of a batch: settled, with what its provider got for it (base units, after the fee), or
    skipped, with the name of the error that speaks against it, such as "WindowOpen".
    """

    transaction_id: str
    settled: bool
    amount: int = 0
    reason: str | None = None


def settle_escrow_batch(intent: SettleEscrowBatch, world: World) -> Built:
    """Raises WrongState `nothing_to_settle` if all of it would be skipped: that would cost gas and do nothing."""
    found = dict(zip(intent.transaction_ids, world.escrows(intent), strict=True))
    problems = {one: problem for one, state in found.items() if (problem := _problem(world, state)) is not None}
    if len(problems) == len(found):
        counted = ", ".join(f"{count} {reason}" for reason, count in Counter(problems.values()).most_common())
        raise WrongState(
            f"None of the {len(found)} escrows can be settled: {counted}. The first is {intent.transaction_ids[0]}.",
            code="nothing_to_settle",
            hint="Settle what is delivered, once its dispute window is over.",
        )
    due = [state for one, state in found.items() if state is not None and one not in problems]
    parties = {state.record.provider for state in due}
    return Built(
        kernel_call(world, "settleBatch", [bytes.fromhex(one[2:]) for one in intent.transaction_ids]),
        Effects(_payments(world, due)),
        Subject(world.token, 0, parties.pop() if len(parties) == 1 else None, only_id(intent)),
    )


def batch_effects(intent: SettleEscrowBatch, world: World) -> Effects:
    """What the call does in that state, which is nothing if all of it is skipped."""
    due = [state for state in world.escrows(intent) if state is not None and _problem(world, state) is None]
    return Effects(_payments(world, due))


def only_id(intent: SettleEscrowBatch) -> str | None:
    """The escrow that a batch is about, None if there are several."""
    return intent.transaction_ids[0] if len(intent.transaction_ids) == 1 else None


def settled_items(events: Iterable[Event]) -> tuple[ItemOutcome, ...]:
    """What became of each escrow, by the kernel's events in the receipt of one `settleBatch` of ours, in the order of
    the batch. In the receipts of others `BatchItemSkipped` says nothing: anyone can cause it for any id.
    """
    outcomes: dict[str, ItemOutcome] = {}
    for event in events:
        one = event.transaction_id
        if one is None:
            continue
        if event.name == "StateTransitioned" and event.args["newState"] is State.SETTLED:
            outcomes[one] = ItemOutcome(one, True)
        elif event.name == "EscrowReleased" and one in outcomes:
            outcomes[one] = ItemOutcome(one, True, event.args["amount"])
        elif event.name == "BatchItemSkipped":
            outcomes.setdefault(one, ItemOutcome(one, False, reason=reverts.named(event.args["reason"])[0]))
    return tuple(outcomes.values())


def window_over(escrow: EscrowState, world: World) -> bool:
    """Whether the time for disputes is over."""
    ends = escrow.record.window_ends
    return ends is not None and world.now > ends


def _problem(world: World, escrow: EscrowState | None) -> str | None:
    """The name of the error that the kernel skips an escrow with; None if it settles it."""
    if escrow is None:
        return "UnknownTransaction"
    if escrow.record.state is State.DELIVERED:
        may = world.wallet == escrow.record.requester or window_over(escrow, world)
        return None if may else "WindowOpen"
    under_way = escrow.record.state in (State.COMMITTED, State.IN_PROGRESS)
    return None if under_way and not escrow.remaining else "InvalidTransition"


def _payments(world: World, due: Iterable[EscrowState]) -> tuple[Movement, ...]:
    """Each provider once, however many escrows are its own; the fee is that of each escrow."""
    sums: dict[str, int] = {}
    for escrow in due:
        provider = escrow.record.provider
        sums[provider] = sums.get(provider, 0) + net_of_fee(world, escrow, escrow.remaining)
    return tuple(movement for payee, amount in sums.items() for movement in paid_out(world, payee, amount))
