"""The two steps that are served on kernels of G1, whose fees leave with each payment and whose refunds may cost."""

from __future__ import annotations

from actp.kernel_views import fee_of
from actp.types import State
from coordinator.errors import WrongState
from coordinator.intents.built import Built, missing_role, transition, wrong_state
from coordinator.intents.escrows import EscrowState
from coordinator.intents.models import RefundEscrow, ReleaseEscrow
from coordinator.intents.settling import window_over
from coordinator.intents.world import World
from coordinator.types import Effects, Movement, Subject

__all__ = ["refund_escrow", "release_escrow"]

_ARCHIVE_BPS = 10
"""The archive treasury's part of each fee."""
_WHOLE_BPS = 10_000


def release_escrow(intent: ReleaseEscrow, world: World) -> Built:
    escrow = world.escrow_on_g1(intent)
    record = escrow.record
    if record.state is not State.DELIVERED:
        raise wrong_state(escrow, "releasing it", State.DELIVERED)
    if world.wallet != record.requester and not window_over(escrow, world):
        raise missing_role(world, escrow, "requester", record.requester)
    _require_something(escrow)
    return _step(world, escrow, State.SETTLED, record.provider, _to_provider(world, escrow, escrow.remaining))


def refund_escrow(intent: RefundEscrow, world: World) -> Built:
    """The requester who takes its escrow back after the deadline pays the penalty all the same."""
    escrow = world.escrow_on_g1(intent)
    record, wallet = escrow.record, world.wallet
    if record.state in (State.INITIATED, State.QUOTED):
        if wallet != record.requester:
            raise missing_role(world, escrow, "requester", record.requester)
        return _step(world, escrow, State.CANCELLED, record.provider, ())
    if record.state not in (State.COMMITTED, State.IN_PROGRESS):
        raise wrong_state(escrow, "refunding it", State.COMMITTED, State.IN_PROGRESS)
    _require_something(escrow)
    if wallet == record.provider:
        movements = _paid(world, escrow, record.requester, escrow.remaining)
        return _step(world, escrow, State.CANCELLED, record.requester, movements)
    if wallet != record.requester or record.state is State.IN_PROGRESS:
        raise missing_role(world, escrow, "provider", record.provider)
    if world.now <= record.deadline:
        raise WrongState(
            f"The requester can take back the escrow {escrow.id} after its deadline {record.deadline}; it is "
            f"{world.now}.",
            code="refund_not_due",
            hint="Wait, or ask the provider to refund it.",
        )
    penalty = escrow.remaining * record.requester_penalty_bps_locked // _WHOLE_BPS
    movements = _paid(world, escrow, record.requester, escrow.remaining - penalty)
    return _step(world, escrow, State.CANCELLED, record.provider, (*movements, *_to_provider(world, escrow, penalty)))


def _require_something(escrow: EscrowState) -> None:
    if not escrow.remaining:
        raise WrongState(
            f"The escrow {escrow.id} holds nothing any more.",
            code="nothing_left",
            hint="A kernel of G1 has no way to end it.",
        )


def _to_provider(world: World, escrow: EscrowState, amount: int) -> tuple[Movement, ...]:
    """A payout less its fee, and the fee at once to whom it belongs."""
    recipient, archive, smallest = world.fees_of_g1()
    fee = fee_of(amount, escrow.record.platform_fee_bps_locked, smallest)
    movements = _paid(world, escrow, escrow.record.provider, amount - fee)
    part = 0 if archive is None else fee * _ARCHIVE_BPS // _WHOLE_BPS
    if archive is not None and part:
        # The archive treasury takes its part from the kernel.
        kernel = world.kernel.address
        movements += (*_paid(world, escrow, kernel, part), Movement(world.token, kernel, archive, part))
    return movements + _paid(world, escrow, recipient, fee - part)


def _paid(world: World, escrow: EscrowState, payee: str, amount: int) -> tuple[Movement, ...]:
    """By the vault that the escrow is in, which need not be the one in use."""
    return (Movement(world.token, escrow.record.escrow_contract, payee, amount),) if amount else ()


def _step(world: World, escrow: EscrowState, state: State, counterparty: str, movements: tuple[Movement, ...]) -> Built:
    return Built(transition(world, escrow, state), Effects(movements), Subject(world.token, 0, counterparty, escrow.id))
