"""What the kernel owes: credits, and the fees that have accrued."""

from __future__ import annotations

from coordinator.errors import MissingRole, WrongState
from coordinator.intents.built import Built, kernel_call
from coordinator.intents.models import WithdrawCredit, WithdrawFees
from coordinator.intents.world import World
from coordinator.types import Effects, Movement, Subject

__all__ = ["withdraw_credit", "withdraw_fees"]


def withdraw_credit(intent: WithdrawCredit, world: World) -> Built:
    """A payment that the token still refuses reverts, so it is no credit again."""
    owed = world.credit(intent.payee)
    if not owed:
        raise _nothing(f"The kernel owes {intent.payee} nothing.")
    return Built(
        kernel_call(world, "withdrawCredit", intent.payee),
        Effects((Movement(world.token, world.vault, intent.payee, owed),)),
        Subject(world.token, 0, intent.payee),
    )


def withdraw_fees(intent: WithdrawFees, world: World) -> Built:
    accrued = world.accrued_fees()
    if world.wallet != world.fee_recipient:
        raise MissingRole(
            f"The wallet {world.wallet} is not the fee recipient, {world.fee_recipient}.",
            hint="Submit it with the fee recipient's wallet.",
        )
    if not accrued:
        raise _nothing("No fees have accrued.")
    return Built(
        kernel_call(world, "withdrawFees"),
        Effects((Movement(world.token, world.vault, world.wallet, accrued),)),
        Subject(world.token, 0),
    )


def _nothing(sentence: str) -> WrongState:
    return WrongState(sentence, code="nothing_to_withdraw", hint="Wait until there is something.")
