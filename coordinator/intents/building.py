"""From an intent to the call that carries it out. Which builder an intent has is the table below."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from actp.errors import ActpError, RpcError, RpcUnavailable
from coordinator.errors import UnsupportedProtocol, WrongState
from coordinator.intents import disputes, on_g1, owed, payments, settling, steps
from coordinator.intents.built import Built
from coordinator.intents.models import Intent, SettleEscrowBatch
from coordinator.intents.views import changes_with_others
from coordinator.intents.world import World
from coordinator.types import Effects, IntentType

__all__ = ["BUILDERS", "build", "build_all", "effects_then"]

BUILDERS: dict[IntentType, Callable[[Any, World], Built]] = {
    IntentType.TRANSFER_ETH: payments.transfer_eth,
    IntentType.TRANSFER_ERC20: payments.transfer_erc20,
    IntentType.APPROVE_ERC20: payments.approve_erc20,
    IntentType.CREATE_ESCROW: payments.create_escrow,
    IntentType.CREATE_ESCROW_BATCH: payments.create_escrow_batch,
    IntentType.CREATE_MILESTONE_ESCROW: payments.create_escrow,
    IntentType.ACCEPT_ESCROW: steps.accept_escrow,
    IntentType.DELIVER_ESCROW: steps.deliver_escrow,
    IntentType.RELEASE_ESCROW: steps.release_escrow,
    IntentType.RELEASE_MILESTONE: steps.release_milestone,
    IntentType.REFUND_ESCROW: steps.refund_escrow,
    IntentType.DISPUTE_ESCROW: disputes.dispute_escrow,
    IntentType.RESOLVE_DISPUTE: disputes.resolve_dispute,
    IntentType.SETTLE_BY_CONSENT: disputes.settle_by_consent,
    IntentType.CLOSE_DISPUTE: disputes.close_dispute,
    IntentType.SETTLE_ESCROW_BATCH: settling.settle_escrow_batch,
    IntentType.WITHDRAW_CREDIT: owed.withdraw_credit,
    IntentType.WITHDRAW_FEES: owed.withdraw_fees,
}
_ON_G1: dict[IntentType, Callable[[Any, World], Built]] = {
    IntentType.RELEASE_ESCROW: on_g1.release_escrow,
    IntentType.REFUND_ESCROW: on_g1.refund_escrow,
}
"""What is done otherwise on kernels of G1; what else is about escrows is refused there."""


def build(intent: Intent, world: World) -> Built:
    """The call for one intent, and exactly what it must do if it is mined in the state that the world was read in.

    Reads what it needs if `world.prepare` was not told of this intent; what it was told of before is forgotten then.
    Raises WrongState, MissingRole, InvalidIntent, InvalidInput, UnknownTransaction, UnacceptedClauses, NoCode,
    UnsupportedByKernel, UnsupportedProtocol (for queries), RpcUnavailable.
    """
    if not world.knows(intent):
        world.prepare([intent])
    builder = (world.on_g1 and _ON_G1.get(intent.type)) or BUILDERS.get(intent.type)
    if builder is None:
        raise UnsupportedProtocol(f"A {intent.type} sends nothing.", hint="Use queries.run.")
    return builder(intent, world)


def effects_then(intent: Intent, world: World) -> Effects | None:
    """What the call of an intent has to do when it is mined in the state of the world; None where no state changes
    that, or where the call is refused in this one. Raises RpcError, RpcUnavailable.
    """
    if not changes_with_others(intent):
        return None
    try:
        if isinstance(intent, SettleEscrowBatch):
            if not world.knows(intent):
                world.prepare([intent])
            return settling.batch_effects(intent, world)
        return build(intent, world).effects
    except (RpcError, RpcUnavailable):
        raise
    except ActpError:
        return None


def build_all(intents: Sequence[Intent], world: World) -> list[Built | ActpError]:
    """For each intent, in order, what `build` returns, or the error that it raises, as a value; everything is read
    afresh, in one exchange.

    Of several that are about one escrow only the first is built, since what the others must do depends on it: they get
    a WrongState `escrow_busy` that is retryable. Raises RpcUnavailable if the node does not answer.
    """
    world.prepare(intents)
    taken: set[str] = set()
    return [_build_one(intent, world, taken) for intent in intents]


def _build_one(intent: Intent, world: World, taken: set[str]) -> Built | ActpError:
    try:
        ids = world.ids_of(intent)
        busy = next((each for each in ids if each in taken), None)
        if busy is not None:
            return WrongState(
                f"Another step of the escrow {busy} comes first.",
                code="escrow_busy",
                hint="Build it again when that is mined.",
                retryable=True,
            )
        built = build(intent, world)
        taken.update(ids)
        return built
    except ActpError as error:
        return error
