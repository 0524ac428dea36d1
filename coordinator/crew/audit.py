"""What the ledger and the chain say about the treasury's operations once a scenario is over: verdicts and proofs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from coordinator.crew.records import Audit, OperationLine
from coordinator.crew.stage import Stage
from coordinator.crew.treasury import Treasury
from coordinator.guard import Kind
from coordinator.proofs import Proof
from coordinator.proofs.documents import write_document
from coordinator.proofs.verifying import Check, Result, verify
from coordinator.store import breaches, operations, points, verdicts
from coordinator.store import proofs as proof_rows
from coordinator.store.verdicts import Verdict
from coordinator.types import Operation

__all__ = ["audit"]

_MOST = 10_000


def audit(stage: Stage, treasury: Treasury) -> Audit:
    """Verifies the whole chain of proofs against the blockchain, and reads every verdict and finding.

    Raises RpcUnavailable, StoreError.
    """
    account = treasury.account
    with treasury.authority.ledger.read() as connection:
        listed = sorted(operations.listed(connection, account, limit=_MOST), key=lambda one: one.id)
        judged = verdicts.latest(connection, [one.id for one in listed])
        found = breaches.listed(connection, account, limit=_MOST)
        examined = points.newest(connection, account)
        links: list[Proof] = []
        while page := proof_rows.read(connection, account, after=links[-1].seq if links else 0):
            links += page
    checks = verify(write_document(links), stage.chain, signer=stage.proof_key.address).checks if links else ()
    proved = {link.operation_id: link for link in links if link.kind == "proof"}
    token, wallet = stage.token_address, stage.treasury.address
    return Audit(
        operations=tuple(
            _line(one, treasury.purchases.get(one.id), judged.get(one.id), proved.get(one.id), checks, token)
            for one in listed
        ),
        signer=stage.proof_key.address,
        wrong=tuple(_said(check) for check in checks if check.result is Result.WRONG),
        not_checked=tuple(_said(check) for check in checks if check.result is Result.NOT_CHECKED),
        breaches=tuple(f"{one.kind}: {one.detail['message']}" for one in reversed(found) if one.severity == "breach"),
        received=sum(
            int(one.detail["amount"])
            for one in found
            if one.kind in (Kind.RECEIVED, Kind.GIFT)
            and (one.detail["account"], one.detail["asset"]) == (wallet, token)
        ),
        guarded_to=examined[0].block.number if examined else -1,
        newest_block=int(stage.chain.request("eth_blockNumber", []), 16),
        store=stage.store_path,
    )


def _line(
    operation: Operation,
    purchase_id: str | None,
    verdict: Verdict | None,
    proof: Proof | None,
    checks: Sequence[Check],
    token: str,
) -> OperationLine:
    about = [check for check in checks if proof is not None and check.link == proof.seq]
    return OperationLine(
        id=operation.id,
        purchase_id=purchase_id,
        type=operation.type,
        agent=operation.agent,
        key=operation.key,
        stage=operation.stage,
        tx_hash=operation.tx_hash,
        verdict=None if verdict is None else verdict.verdict,
        change=0 if verdict is None else _change(verdict.evidence, operation.wallet, token),
        proof=None if proof is None else proof.seq,
        proof_hash=None if proof is None else proof.proof_hash,
        checks=sum(check.result is Result.OK for check in about),
        mined_as_proved=proof is not None
        and any(check.name == "receipt" and check.result is Result.OK for check in about)
        and _tells_of(operation, proof),
        wrong=tuple(_said(check) for check in about if check.result is Result.WRONG),
        not_checked=tuple(_said(check) for check in about if check.result is Result.NOT_CHECKED),
    )


def _tells_of(operation: Operation, proof: Proof) -> bool:
    """Whether a proof, which is JSON by now, says of the operation what the ledger says."""
    head = json.loads(proof.head)
    said = (head["traceId"], head["outcome"], head["txHash"])
    return bool(said == (operation.trace_id, operation.stage.value, operation.tx_hash))


def _change(evidence: Mapping[str, Any], wallet: str, token: str) -> int:
    """By how much an eth transaction changes the wallet's tokens. A verdict of ok says that it was just that."""
    return int(evidence["expected"]["deltas"].get(token, {}).get(wallet, 0))


def _said(check: Check) -> str:
    where = "" if check.link is None else f"link {check.link}, "
    byte = "" if check.byte is None else f" (byte {check.byte} of the file)"
    return f"{where}{check.name}: {check.detail}{byte}"
