"""What a proof says about each half of an operation, as plain data: the same functions make it and verify it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from actp.types import Receipt
from coordinator.canonical import amount, sha256
from coordinator.types import BlockRef, Call, Decision, Effects, Operation, Simulation

__all__ = [
    "PARTS",
    "block_part",
    "call_part",
    "effects_part",
    "execution_part",
    "head_of",
    "intent_part",
    "policy_part",
    "receipt_part",
    "simulated_part",
    "simulation_part",
]

PARTS = ("intent", "policy", "simulation", "execution")
"""The parts of a proof. One that an operation never came to is null."""


def head_of(operation: Operation, execution: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Which operation it is, and how it ended. `execution` is that part of its proof; the delta guard's verdict in it
    is named in the head too, so that it cannot be left out of the part.
    """
    delta = None if execution is None else execution["delta"]
    return {
        "operation": str(operation.id),
        "traceId": operation.trace_id,
        "agent": operation.agent,
        "key": operation.key,
        "type": operation.type.value,
        "outcome": operation.stage.value,
        "failedAt": None if operation.failed_at is None else operation.failed_at.value,
        "code": operation.code,
        "reason": operation.reason,
        "transactionId": operation.transaction_id,
        "txHash": operation.tx_hash,
        "block": block_part(operation.block),
        "verdict": None if delta is None else delta["verdict"],
    }


def intent_part(operation: Operation, texts: Mapping[str, str]) -> dict[str, Any]:
    """What was asked for, by whom and under which key. `texts` are what the chain has only the hash of, such as an
    escrow's terms.
    """
    return {
        "agent": operation.agent,
        "key": operation.key,
        "body": dict(operation.intent),
        "bodyHash": operation.body_hash,
        "texts": dict(texts),
    }


def policy_part(decision: Decision, *, approved_by: str | None = None) -> dict[str, Any]:
    """What was decided, under which version of the policy, and who said yes to it."""
    return {
        "decision": decision.ruling.value,
        "riskTier": decision.risk_tier.value,
        "policyVersion": decision.policy_version,
        "approvedBy": approved_by,
        "reasons": [
            {
                "rule": one.rule,
                "message": one.message,
                "decision": one.ruling.value,
                "limit": amount(one.limit),
                "used": amount(one.used),
            }
            for one in decision.reasons
        ],
    }


def simulation_part(simulation: Simulation) -> dict[str, Any]:
    """What it did when it was run without being sent."""
    return {
        "ok": simulation.ok,
        "block": block_part(simulation.block),
        "gas": amount(simulation.gas),
        "hasLogs": simulation.has_logs,
        "logs": [_log(address, topics, data) for address, topics, data in simulation.logs],
        "code": simulation.code,
        "reason": simulation.reason,
    }


def simulated_part(simulation: Simulation, *, on_chain: bool | None) -> dict[str, Any]:
    """The same in a proof: `on_chain` says whether the block that it ran on still was on the chain when the block that
    mined the operation was, and so is below it for ever. None if nothing was mined.
    """
    return {**simulation_part(simulation), "onChain": on_chain}


def execution_part(
    call: Call, effects: Effects, *, raw: bytes, nonce: int, receipt: Receipt, delta: Mapping[str, Any] | None
) -> dict[str, Any]:
    """What was sent and what came of it: the signed bytes, the receipt, and the delta guard's evidence."""
    return {
        "call": call_part(call),
        "effects": effects_part(effects),
        "raw": "0x" + raw.hex(),
        "nonce": nonce,
        "receipt": receipt_part(receipt),
        "delta": None if delta is None else dict(delta),
    }


def call_part(call: Call) -> dict[str, Any]:
    """The call; of its data the hash, as the signed bytes hold them."""
    return {"to": call.to, "value": str(call.value), "dataHash": sha256(call.data)}


def effects_part(effects: Effects) -> dict[str, Any]:
    """What had to happen."""
    return {
        "movements": [
            {
                "asset": one.asset,
                "source": one.source,
                "target": one.target,
                "amount": str(one.amount),
                "creditable": one.creditable,
            }
            for one in effects.movements
        ],
        "allowances": [
            {
                "token": one.token,
                "owner": one.owner,
                "spender": one.spender,
                "to": amount(one.to),
                "used": str(one.used),
            }
            for one in effects.allowances
        ],
    }


def receipt_part(receipt: Receipt) -> dict[str, Any]:
    """The receipt, as far as every node tells it alike."""
    return {
        "txHash": receipt.tx_hash,
        "succeeded": receipt.succeeded,
        "block": block_part(BlockRef(receipt.block_number, receipt.block_hash)),
        "from": receipt.sender,
        "to": receipt.to,
        "gasUsed": str(receipt.gas_used),
        "effectiveGasPrice": str(receipt.effective_gas_price),
        "l1Fee": amount(receipt.l1_fee),
        "operatorFee": amount(receipt.operator_fee),
        "logs": [_log(log.address, log.topics, log.data) for log in receipt.logs],
    }


def block_part(block: BlockRef | None) -> dict[str, Any] | None:
    """A block."""
    return None if block is None else {"number": block.number, "hash": block.hash}


def _log(address: str, topics: tuple[str, ...], data: str) -> dict[str, Any]:
    return {"address": address, "topics": list(topics), "data": data}
