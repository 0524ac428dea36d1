"""What was wanted, by the words of whoever asked: neither what was built from them nor what the engine made of it."""

from __future__ import annotations

import sqlite3
from collections import Counter

from coordinator.types import ETH, IntentType, Operation
from scripts.soak.siege.field import Field, House

__all__ = ["jobs_without_operation", "wanted"]

_CREATES = (IntentType.CREATE_ESCROW, IntentType.CREATE_MILESTONE_ESCROW)


def wanted(operation: Operation, field: Field) -> Counter[tuple[str, str]] | None:
    """By (account, asset) what a payment or a new escrow has to change; None for steps of an escrow, which depend on
    its state.
    """
    intent, usdc, vault = operation.intent, field.usdc, field.deployment.vault
    if operation.type is IntentType.TRANSFER_ETH:
        asset, target, amount = ETH, str(intent["to"]), int(intent["amount"])
    elif operation.type is IntentType.TRANSFER_ERC20:
        asset, target, amount = str(intent.get("token") or usdc), str(intent["to"]), int(intent["amount"])
    elif operation.type in _CREATES:
        asset, target, amount = usdc, vault, int(intent["amount"])
    elif operation.type is IntentType.CREATE_ESCROW_BATCH:
        asset, target, amount = usdc, vault, sum(int(order["amount"]) for order in intent["orders"])
    else:
        return None
    return Counter({(operation.wallet, asset): -amount, (target, asset): amount})


def jobs_without_operation(house: House, known: set[int]) -> list[str]:
    """The keys of what the engine was handed and no operation stands for, signed or not; fills have none."""
    with sqlite3.connect(house.treasury.plan.database, timeout=30) as connection:
        rows = connection.execute("SELECT id, idempotency_key FROM intents WHERE kind = 'call' ORDER BY id")
        return [str(key) for number, key in rows if number not in known]
