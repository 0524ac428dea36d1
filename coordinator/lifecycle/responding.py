"""An operation as callers over the wire get to see it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from coordinator.proofs import Proof
from coordinator.store.approvals import Approval
from coordinator.store.verdicts import Verdict
from coordinator.types import Operation, Stage

__all__ = ["respond"]

_COMPLETED = "completed"


def respond(
    operation: Operation,
    *,
    proof: Proof | None = None,
    verdict: Verdict | None = None,
    approval: Approval | None = None,
) -> dict[str, Any]:
    """`status` is success, failed, pending or awaiting_approval; `errorCode` and `failedAt` say why and where it
    failed; `stage` is where it is, or "completed".
    """
    stage = operation.stage
    failed = stage is Stage.FAILED
    return {
        "status": _status(stage),
        "errorCode": operation.code if failed else None,
        "failedAt": operation.failed_at.value if failed and operation.failed_at is not None else None,
        "stage": _COMPLETED if stage is Stage.CONFIRMED else stage.value,
        "traceId": operation.trace_id,
        "data": _data(operation, proof, verdict, approval),
    }


def _status(stage: Stage) -> str:
    known = {
        Stage.CONFIRMED: "success",
        Stage.FAILED: "failed",
        Stage.APPROVAL_GATE: "awaiting_approval",
    }
    return known.get(stage, "pending")


def _data(
    operation: Operation, proof: Proof | None, verdict: Verdict | None, approval: Approval | None
) -> Mapping[str, Any]:
    block = operation.block
    data: dict[str, Any] = {
        "id": str(operation.id),
        "type": operation.type.value,
        "agent": operation.agent,
        "wallet": operation.wallet,
        "chainId": operation.chain_id,
        "status": operation.stage.value,
        "reason": operation.reason,
        "transactionId": operation.transaction_id,
        "txHash": operation.tx_hash,
        "block": None if block is None else {"number": block.number, "hash": block.hash},
        "result": None if operation.result is None else dict(operation.result),
        "awaitingApproval": operation.stage is Stage.APPROVAL_GATE,
        "approvalExpiresAt": None if approval is None else int(approval.expires_at),
        "deltaGuard": None,
        "executionProof": None,
    }
    if verdict is not None:
        data["deltaGuard"] = {
            "ok": verdict.verdict == "ok",
            "verdict": verdict.verdict,
            "varianceBps": verdict.variance_bps,
        }
    if proof is not None:
        data["executionProof"] = {"seq": proof.seq, "proofHash": proof.proof_hash, "signature": proof.signature}
    return data
