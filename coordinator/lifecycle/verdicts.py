"""From what the guard found to what is written: moves, verdicts, findings, pauses, losses and escrows. No I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from actp.orders import salt_of, salted_id
from coordinator.guard import Finding, TxVerdict, Verdict
from coordinator.lifecycle.desk import Desk
from coordinator.store import breaches, losses, verdicts
from coordinator.store.decisions import Decided
from coordinator.store.escrows import Locked
from coordinator.store.moving import Move, Step
from coordinator.types import ETH, BlockRef, IntentType, Operation, Stage

__all__ = ["ending", "escrows_of", "found_rows", "funded", "gas_losses", "mined_columns", "verdict_rows"]

_LOCKING = (
    IntentType.CREATE_ESCROW,
    IntentType.CREATE_ESCROW_BATCH,
    IntentType.CREATE_MILESTONE_ESCROW,
    IntentType.DISPUTE_ESCROW,
)
_MINED_ANYWAY = "It was mined: ask what became of it before it is done again."


def mined_columns(tx_hash: str, block: BlockRef) -> dict[str, Any]:
    """The columns that say where an operation was mined."""
    return {"tx_hash": tx_hash, "block_number": block.number, "block_hash": block.hash}


def ending(operation: Operation, verdict: TxVerdict, refusal: str | None, now: float) -> Move:
    """How an operation ends by the verdict on its eth transaction. `refusal` is why it reverted, if it did."""
    steps = [Step(Stage.SUBMITTING, "signed")] if operation.stage is Stage.SIGNING else []
    detail: dict[str, Any] = {
        "verdict": verdict.verdict.value,
        "txHash": verdict.tx_hash,
        "block": {"number": verdict.block.number, "hash": verdict.block.hash},
    }
    values = mined_columns(verdict.tx_hash, verdict.block)
    if verdict.verdict is Verdict.OK and verdict.succeeded:
        values |= {"code": None, "reason": None, "failed_at": None, "confirmed_at": now}
        return Move(operation, (*steps, Step(Stage.CONFIRMED, "confirmed", detail)), values)
    if verdict.verdict is Verdict.BREACH:
        code, reason = "delta_breach", f"{_sentence(verdict)} {_MINED_ANYWAY}"
    elif not verdict.succeeded:
        code, reason = "reverted", refusal or "The contract refused it."
    else:
        code, reason = "unverified", f"{_sentence(verdict)} {_MINED_ANYWAY}"
    values |= {"code": code, "reason": reason, "failed_at": Stage.SUBMITTING.value, "confirmed_at": None}
    detail |= {"code": code, "reason": reason}
    return Move(operation, (*steps, Step(Stage.FAILED, "failed", detail)), values)


def _sentence(verdict: TxVerdict) -> str:
    notes = " ".join(verdict.notes)
    if notes:
        return notes
    return "What it did is not what was signed." if verdict.verdict is Verdict.BREACH else "Not all is known of it."


def verdict_rows(found: Sequence[TxVerdict]) -> list[verdicts.Verdict]:
    """Rows of verdicts."""
    return [
        verdicts.Verdict(
            one.operation_id,
            one.nonce,
            one.tx_hash,
            one.block,
            one.verdict.value,
            one.variance_bps,
            one.as_json(),
        )
        for one in found
    ]


def found_rows(found: Sequence[Finding]) -> list[breaches.Found]:
    """Rows of findings."""
    return [
        breaches.Found(
            one.kind.value,
            "breach" if one.breach else "notice",
            one.operation_id,
            one.block,
            one.tx_hash,
            one.as_json(),
        )
        for one in found
    ]


def gas_losses(desk: Desk, found: Sequence[TxVerdict]) -> list[losses.Loss]:
    """What mining cost the wallet, as far as the node tells."""
    rows = []
    for one in found:
        fee = one.receipt.get("fee")
        if fee is not None and one.sender == desk.wallet and one.nonce is not None:
            rows.append(losses.Loss(losses.GAS, one.tx_hash, one.operation_id, ETH, int(fee)))
    return rows


def funded(desk: Desk, ended: Mapping[int, Operation], decided: Mapping[int, Decided], now: float) -> list[Locked]:
    """The escrows that operations which were mined and succeeded, whatever else is wrong with them, have put something
    into: their amount, or a bond.
    """
    opened = []
    for one in ended.values():
        made = decided.get(one.id)
        if one.type not in _LOCKING or made is None or made.call is None:
            continue
        for transaction_id, provider, amount in _parts(desk, one, made):
            opened.append(Locked(transaction_id, one.id, desk.token, made.call.to, provider, amount, amount, True, now))
    return opened


def escrows_of(operation: Operation) -> tuple[str, ...]:
    """The ACTP transactions that an operation may have ended, or paid a part of."""
    if operation.type is IntentType.SETTLE_ESCROW_BATCH:
        return tuple(operation.intent["transaction_ids"])
    return () if operation.transaction_id is None else (operation.transaction_id,)


def _parts(desk: Desk, operation: Operation, decided: Decided) -> list[tuple[str, str | None, int]]:
    """(ACTP transaction, provider, amount) of everything that the operation has locked."""
    intent = operation.intent
    if operation.type is IntentType.CREATE_ESCROW_BATCH:
        kernel = desk.client.kernel.address
        return [
            (
                salted_id(operation.chain_id, kernel, operation.wallet, salt_of(str(order["escrow_numeric_id"]))),
                str(order["provider"]),
                int(order["amount"]),
            )
            for order in intent["orders"]
        ]
    amount = sum(move.amount for move in decided.effects.movements if move.target == desk.vault)
    if operation.transaction_id is None or not amount:
        return []
    provider = str(intent["provider"]) if "provider" in intent else None
    return [(operation.transaction_id, provider, amount)]
