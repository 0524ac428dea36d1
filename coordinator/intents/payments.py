"""Plain payments, the vault's allowance, and new escrows."""

from __future__ import annotations

from actp.orders import Milestone
from coordinator.errors import InvalidIntent, MissingRole
from coordinator.intents.built import Built, kernel_call, named_texts, token_call
from coordinator.intents.models import (
    ApproveErc20,
    CreateEscrow,
    CreateEscrowBatch,
    CreateMilestoneEscrow,
    TransferErc20,
    TransferEth,
)
from coordinator.intents.world import World
from coordinator.types import ETH, AllowanceChange, Call, Effects, Movement, Subject

__all__ = [
    "approve_erc20",
    "create_escrow",
    "create_escrow_batch",
    "transfer_erc20",
    "transfer_eth",
    "used_allowance",
]


def transfer_eth(intent: TransferEth, world: World) -> Built:
    world.require_payee(intent.to)
    return Built(
        Call(intent.to, value=intent.amount),
        Effects((Movement(ETH, world.wallet, intent.to, intent.amount),)),
        Subject(ETH, intent.amount, intent.to),
    )


def transfer_erc20(intent: TransferErc20, world: World) -> Built:
    token = intent.token or world.token
    world.require_payee(intent.to)
    world.require_token(token)
    if intent.to == token:
        raise InvalidIntent(f"{token} is the token itself.", hint="Name the account that is to be paid.")
    return Built(
        token_call(token, "transfer", intent.to, intent.amount),
        Effects((Movement(token, world.wallet, intent.to, intent.amount),)),
        Subject(token, intent.amount, intent.to),
    )


def approve_erc20(intent: ApproveErc20, world: World) -> Built:
    for name, said, actual in (("spender", intent.spender, world.vault), ("token", intent.token, world.token)):
        if said not in (None, actual):
            raise InvalidIntent(
                f"The {name} {said} is not the deployment's, {actual}.",
                code=f"other_{name}",
                hint="Leave it out: only the vault is ever allowed to take tokens, and only those that it escrows.",
            )
    change = AllowanceChange(world.token, world.wallet, world.vault, to=intent.amount)
    return Built(
        token_call(world.token, "approve", world.vault, intent.amount),
        Effects(allowances=(change,)),
        Subject(world.token, 0, world.vault),
    )


def create_escrow(intent: CreateEscrow | CreateMilestoneEscrow, world: World) -> Built:
    """Creates and funds in one step; the number becomes the salt as an idempotency key does, so that `ACTPClient.pay`
    with the number as its key finds the same payment.
    """
    world.require_salts()
    if intent.creator not in (None, world.wallet):
        raise MissingRole(
            f"The creator {intent.creator} is not the wallet {world.wallet}.",
            hint="Submit it with the creator's wallet.",
        )
    world.require_fee_recipient(intent.fee_recipient)
    parts = intent.milestones if isinstance(intent, CreateMilestoneEscrow) else ()
    wanted = world.client.intents.build(
        provider=intent.provider,
        amount=intent.amount,
        deadline=intent.deadline,
        dispute_window=intent.dispute_window,
        metadata=intent.terms,
        idempotency_key=str(intent.escrow_numeric_id),
        arbiter=intent.arbiter,
        timeout_requester_bps=intent.timeout_requester_bps,
        milestones=tuple(Milestone(part.amount, part.deadline or intent.deadline, part.condition) for part in parts),
    )
    world.client.intents.check_times([wanted], world.now)
    function, arguments = wanted.opening
    funded = Movement(world.token, world.wallet, world.vault, intent.amount)
    return Built(
        kernel_call(world, function, *arguments),
        Effects((funded,), used_allowance(world, intent.amount)),
        Subject(world.token, intent.amount, intent.provider, wanted.transaction_id, locks=True),
        named_texts(intent.terms, *(part.condition for part in parts)),
    )


def create_escrow_batch(intent: CreateEscrowBatch, world: World) -> Built:
    """Creates and funds them all with one transfer; each number becomes a salt as it does in `create_escrow`."""
    world.require_salts()
    wanted = [
        world.client.intents.build(
            provider=order.provider,
            amount=order.amount,
            deadline=order.deadline,
            dispute_window=order.dispute_window,
            metadata=order.terms,
            idempotency_key=str(order.escrow_numeric_id),
        )
        for order in intent.orders
    ]
    world.client.intents.check_times(wanted, world.now)
    total, providers = intent.total, {order.provider for order in intent.orders}
    return Built(
        kernel_call(world, "createFundedBatch", [each.order.fields() for each in wanted]),
        Effects((Movement(world.token, world.wallet, world.vault, total),), used_allowance(world, total)),
        Subject(
            world.token,
            total,
            providers.pop() if len(providers) == 1 else None,
            wanted[0].transaction_id if len(wanted) == 1 else None,
            locks=True,
        ),
        named_texts(*(order.terms for order in intent.orders)),
    )


def used_allowance(world: World, amount: int) -> tuple[AllowanceChange, ...]:
    """What is left of the vault's allowance changes by what the vault takes; an unlimited one may or may not."""
    if not amount:
        return ()
    return (AllowanceChange(world.token, world.wallet, world.vault, used=amount),)
