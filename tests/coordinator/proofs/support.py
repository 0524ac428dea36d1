"""A payment that really happened on a chain, as what its proof is made of."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from actp.chain import DevAccount, EmbeddedChain
from actp.engine import Sender
from actp.rpc import genesis_hash
from actp.signers import LocalSigner
from coordinator.canonical import canonical, digest
from coordinator.guard import DeltaGuard, Sent, Watched
from coordinator.proofs import Link, Proof, ProofChain, ProofKey, ProofRequest, parts, prove
from coordinator.proofs.making import GENESIS_LINK
from coordinator.types import (
    ETH,
    BlockRef,
    Call,
    Decision,
    Effects,
    IntentType,
    Movement,
    Operation,
    Reason,
    RiskTier,
    Ruling,
    Simulation,
    Stage,
)

KEY = ProofKey(b"\x07" * 32)
NOBODY = "0x00000000000000000000000000000000000000AA"


def chain_of(chain: EmbeddedChain, account: DevAccount) -> ProofChain:
    return ProofChain(chain.chain_id, genesis_hash(chain, chain.chain_id), account.address)


def body(amount: int) -> dict[str, Any]:
    return {"type": "transfer_eth", "to": NOBODY, "amount": str(amount), "memo": "deliver “it”"}


def paid(chain: EmbeddedChain, account: DevAccount, number: int = 1, amount: int = 1_000) -> ProofRequest:
    """A transfer of ETH that is sent now, with the delta guard's verdict on it."""
    guard = DeltaGuard(chain, chain.chain_id, Watched((account.address,)))
    point = guard.start()
    signed = []
    sender = Sender(chain, LocalSigner(account.private_key), chain_id=chain.chain_id)
    receipt = sender.send(NOBODY, value=amount, before_broadcast=signed.append)
    block = BlockRef(receipt.block_number, receipt.block_hash)
    operation = Operation(
        id=number, trace_id="7f9c24e5-0000-4000-8000-000000000001", chain_id=chain.chain_id, wallet=account.address,
        agent="research", key=f"order {number} § größer", type=IntentType.TRANSFER_ETH,
        intent=body(amount), body_hash=digest(body(amount)), stage=Stage.CONFIRMED,
        created_at=0.0, updated_at=0.0, tx_hash=receipt.tx_hash, block=block,
    )  # fmt: skip
    call = Call(NOBODY, b"", amount)
    decision = Decision(Ruling.ALLOW, RiskTier.LOW, (), "v1")
    parent = chain.request("eth_getBlockByNumber", [hex(block.number - 1), False])
    effects = Effects((Movement(ETH, account.address, NOBODY, amount),))
    sent = Sent(number, account.address, signed[-1].nonce, (receipt.tx_hash,), effects)
    (verdict,) = guard.advance(point, lambda: [sent]).verdicts
    execution = parts.execution_part(
        call, effects, raw=signed[-1].raw, nonce=signed[-1].nonce, receipt=receipt, delta=verdict.as_json()
    )
    return ProofRequest(
        number,
        parts.head_of(operation, execution),
        {
            "intent": parts.intent_part(operation, {}),
            "policy": parts.policy_part(decision),
            "simulation": parts.simulated_part(
                Simulation(True, BlockRef(block.number - 1, parent["hash"]), 21_000), on_chain=True
            ),
            "execution": execution,
        },
    )


def denied(chain: EmbeddedChain, account: DevAccount, number: int = 2) -> ProofRequest:
    """An operation that came to the policy and no further."""
    operation = Operation(
        id=number, trace_id="7f9c24e5-0000-4000-8000-000000000002", chain_id=chain.chain_id, wallet=account.address,
        agent="research", key="too much", type=IntentType.TRANSFER_ETH, intent=body(1),
        body_hash=digest(body(1)), stage=Stage.FAILED, created_at=0.0, updated_at=0.0, failed_at=Stage.POLICY_EVAL,
        code="policy_denied", reason="no",
    )  # fmt: skip
    decision = Decision(Ruling.DENY, RiskTier.HIGH, (Reason("largest_amount", "too much", Ruling.DENY, 5, 6),), "v1")
    return ProofRequest(
        number,
        parts.head_of(operation),
        {"intent": parts.intent_part(operation, {}), "policy": parts.policy_part(decision)},
    )


def proved(
    chain: EmbeddedChain, account: DevAccount, requests: list[ProofRequest], last: Link = GENESIS_LINK
) -> list[Proof]:
    return prove(requests, chain=chain_of(chain, account), last=last, key=KEY, made_at=1_800_000_000)


def with_part(request: ProofRequest, name: str, part: dict) -> ProofRequest:
    return replace(request, parts={**request.parts, name: part})


def resigned(file: bytes, change: Callable[[dict[str, Any]], None]) -> bytes:
    """The file with its first link changed and everything hashed and signed again, as the key's owner could; the other
    links are left out.
    """
    content = json.loads(file)
    first = content["links"][0]
    change(first)
    for name, part in first.get("parts", {}).items():
        first["head"][f"{name}Hash"] = None if part is None else digest(part)
    first["proofHash"] = digest(first["head"])
    first["signature"] = KEY.sign(first["proofHash"])
    content["links"] = [first]
    return canonical(content)
