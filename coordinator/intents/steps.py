"""The steps of an escrow that exists, from the start of the work to its end without a dispute."""

from __future__ import annotations

from actp.orders import MilestoneStatus
from actp.proofs import window_proof
from actp.types import State
from coordinator.errors import InvalidIntent, WrongState
from coordinator.intents.built import (
    Built,
    kernel_call,
    missing_role,
    paid_out,
    paid_to_provider,
    transition,
    wrong_state,
)
from coordinator.intents.escrows import EscrowState
from coordinator.intents.models import (
    AcceptEscrow,
    DeliverEscrow,
    RefundEscrow,
    ReleaseEscrow,
    ReleaseMilestone,
)
from coordinator.intents.settling import window_over
from coordinator.intents.world import World
from coordinator.types import Call, Effects, Movement, Subject

__all__ = ["accept_escrow", "deliver_escrow", "refund_escrow", "release_escrow", "release_milestone"]


def accept_escrow(intent: AcceptEscrow, world: World) -> Built:
    escrow = world.escrow(intent)
    if escrow.record.state is not State.COMMITTED:
        raise wrong_state(escrow, "accepting it", State.COMMITTED)
    _require_workable(escrow, world)
    return _step(world, escrow, transition(world, escrow, State.IN_PROGRESS), escrow.record.requester)


def deliver_escrow(intent: DeliverEscrow, world: World) -> Built:
    escrow = world.escrow(intent)
    if escrow.record.state not in (State.COMMITTED, State.IN_PROGRESS):
        raise wrong_state(escrow, "delivering", State.IN_PROGRESS, State.COMMITTED)
    _require_workable(escrow, world)
    longest = world.kernel.limits.max_window_seconds
    if intent.dispute_window is not None and intent.dispute_window > longest:
        raise InvalidIntent(
            f"The dispute window {intent.dispute_window} is longer than {longest} seconds.",
            hint="Shorten it.",
        )
    call = transition(world, escrow, State.DELIVERED, window_proof(intent.dispute_window))
    return _step(world, escrow, call, escrow.record.requester)


def release_escrow(intent: ReleaseEscrow, world: World) -> Built:
    """Settles what is delivered, or what holds nothing any more. Before the delivery the requester may pay out the
    rest: as a milestone of its choice, or as the last part of the schedule.
    """
    escrow = world.escrow(intent)
    record, provider = escrow.record, escrow.record.provider
    under_way = record.state in (State.COMMITTED, State.IN_PROGRESS)
    if record.state is State.DELIVERED:
        if world.wallet != record.requester and not window_over(escrow, world):
            raise missing_role(world, escrow, "requester", record.requester)
        payout = paid_to_provider(world, escrow, escrow.remaining)
        return _step(world, escrow, transition(world, escrow, State.SETTLED), provider, payout)
    if under_way and not escrow.remaining:
        return _step(world, escrow, transition(world, escrow, State.SETTLED), provider)
    if record.state is not State.IN_PROGRESS:
        raise wrong_state(escrow, "releasing it", State.DELIVERED, State.IN_PROGRESS)
    if world.wallet != record.requester:
        raise missing_role(world, escrow, "requester", record.requester)
    if not escrow.milestones:
        return _release_amount(world, escrow, escrow.remaining)
    if len(escrow.locked) > 1:
        raise WrongState(
            f"The escrow {escrow.id} is not delivered, and its schedule has {len(escrow.locked)} parts that are not "
            "paid yet.",
            code="schedule_open",
            hint=f"Use release_milestone with the index of each: {', '.join(map(str, escrow.locked))}.",
        )
    return _release_part(world, escrow, escrow.locked[0])


def release_milestone(intent: ReleaseMilestone, world: World) -> Built:
    escrow = world.escrow(intent)
    if escrow.record.state is not State.IN_PROGRESS:
        raise wrong_state(escrow, "paying a milestone", State.IN_PROGRESS)
    if world.wallet != escrow.record.requester:
        raise missing_role(world, escrow, "requester", escrow.record.requester)
    if intent.index is not None:
        return _release_part(world, escrow, intent.index)
    amount, smallest = intent.amount or 0, world.kernel.limits.min_amount
    if escrow.milestones:
        raise InvalidIntent(
            f"The escrow {escrow.id} has an agreed schedule.", code="schedule_agreed", hint="Pay its parts by index."
        )
    if amount > escrow.remaining or (amount < smallest and amount != escrow.remaining):
        raise InvalidIntent(
            f"A milestone of {amount} cannot be paid: the escrow {escrow.id} has {escrow.remaining} left, and only the "
            f"last one may be below {smallest}.",
            code="milestone_out_of_bounds",
            hint="Choose another amount.",
        )
    return _release_amount(world, escrow, amount)


def refund_escrow(intent: RefundEscrow, world: World) -> Built:
    escrow = world.escrow(intent)
    record, wallet = escrow.record, world.wallet
    call = transition(world, escrow, State.CANCELLED)
    other = record.requester if wallet == record.provider else record.provider
    if record.state in (State.INITIATED, State.QUOTED):
        if wallet != record.requester:
            raise missing_role(world, escrow, "requester", record.requester)
        return _step(world, escrow, call, other)
    if record.state not in (State.COMMITTED, State.IN_PROGRESS):
        raise wrong_state(escrow, "refunding it", State.COMMITTED, State.IN_PROGRESS)
    if not escrow.remaining:
        raise WrongState(
            f"The escrow {escrow.id} holds nothing any more.", code="nothing_left", hint="It can only be released."
        )
    if wallet != record.provider:
        grace = 0 if wallet == record.requester else world.kernel.constants.refund_grace_seconds
        if world.now <= record.deadline + grace:
            if wallet != record.requester:
                raise missing_role(world, escrow, "provider or requester", None)
            raise WrongState(
                f"The requester can take back the escrow {escrow.id} after its deadline {record.deadline}; it is "
                f"{world.now}.",
                code="refund_not_due",
                hint="Wait, or ask the provider to refund it.",
            )
    return _step(world, escrow, call, other, paid_out(world, record.requester, escrow.remaining))


# -------------------------------------------------------------------- internals


def _require_workable(escrow: EscrowState, world: World) -> None:
    """Raises unless the wallet is the provider, in time, and works under these clauses."""
    record = escrow.record
    if world.wallet != record.provider:
        raise missing_role(world, escrow, "provider", record.provider)
    if world.now > record.deadline:
        raise WrongState(
            f"The deadline {record.deadline} of the escrow {escrow.id} has passed: it is {world.now}.",
            code="deadline_passed",
            hint="Refund it.",
        )
    if escrow.clauses is not None:
        world.kernel.accept_clauses(escrow.id, escrow.clauses)


def _release_amount(world: World, escrow: EscrowState, amount: int) -> Built:
    call = kernel_call(world, "releaseMilestone", bytes.fromhex(escrow.id[2:]), amount)
    return _step(world, escrow, call, escrow.record.provider, paid_to_provider(world, escrow, amount))


def _release_part(world: World, escrow: EscrowState, index: int) -> Built:
    parts = escrow.milestones or ()
    if index >= len(parts):
        raise InvalidIntent(
            f"The escrow {escrow.id} has no milestone {index}: its schedule has {len(parts)} parts.",
            code="unknown_milestone",
            hint="Indexes count from 0; without a schedule give an amount.",
        )
    if parts[index].status is not MilestoneStatus.LOCKED:
        raise WrongState(
            f"Milestone {index} of the escrow {escrow.id} is {parts[index].status.name}.",
            code="milestone_not_locked",
            hint="Each part is paid or refunded once.",
        )
    call = kernel_call(world, "payMilestone", bytes.fromhex(escrow.id[2:]), index)
    return _step(world, escrow, call, escrow.record.provider, paid_to_provider(world, escrow, parts[index].amount))


def _step(
    world: World, escrow: EscrowState, call: Call, counterparty: str, movements: tuple[Movement, ...] = ()
) -> Built:
    """A step in which nothing leaves the wallet."""
    return Built(call, Effects(movements), Subject(world.token, 0, counterparty, escrow.id))
