"""A payment that really happened on a chain, as what its proof is made of."""

from __future__ import annotations

from dataclasses import replace

from actp.chain import DevAccount, EmbeddedChain
from actp.engine import Sender
from actp.rpc import genesis_hash
from actp.signers import LocalSigner
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


def paid(chain: EmbeddedChain, account: DevAccount, number: int = 1, amount: int = 1_000) -> ProofRequest:
    """A transfer of ETH that is sent now."""
    signed = []
    sender = Sender(chain, LocalSigner(account.private_key), chain_id=chain.chain_id)
    receipt = sender.send(NOBODY, value=amount, before_broadcast=signed.append)
    block = BlockRef(receipt.block_number, receipt.block_hash)
    operation = Operation(
        id=number, trace_id="7f9c24e5-0000-4000-8000-000000000001", chain_id=chain.chain_id, wallet=account.address,
        agent="research", key=f"order {number} § größer", type=IntentType.TRANSFER_ETH,
        intent={"to": NOBODY, "amount": str(amount)}, body_hash="0x" + "11" * 32, stage=Stage.CONFIRMED,
        created_at=0.0, updated_at=0.0, tx_hash=receipt.tx_hash, block=block,
    )  # fmt: skip
    call = Call(NOBODY, b"", amount)
    decision = Decision(Ruling.ALLOW, RiskTier.LOW, (Reason("largest_amount", "near", Ruling.ALLOW, 5, 4),), "v1")
    parent = chain.request("eth_getBlockByNumber", [hex(block.number - 1), False])
    change = -(amount + receipt.gas_used * receipt.effective_gas_price)
    delta = {
        "balances": {
            "before": block.number - 1,
            "after": block.number,
            "deltas": {ETH: {account.address: str(change)}},
            "residual": {},
        }
    }
    movement = Movement(ETH, account.address, NOBODY, amount)
    return ProofRequest(
        number,
        parts.head_of(operation),
        {
            "intent": parts.intent_part(operation, {"terms": "deliver “it”"}),
            "policy": parts.policy_part(decision),
            "simulation": parts.simulation_part(Simulation(True, BlockRef(block.number - 1, parent["hash"]), 21_000)),
            "execution": parts.execution_part(
                call, Effects((movement,)), raw=signed[-1].raw, nonce=signed[-1].nonce, receipt=receipt, delta=delta
            ),
        },
    )


def denied(chain: EmbeddedChain, account: DevAccount, number: int = 2) -> ProofRequest:
    """An operation that came to the policy and no further."""
    operation = Operation(
        id=number, trace_id="7f9c24e5-0000-4000-8000-000000000002", chain_id=chain.chain_id, wallet=account.address,
        agent="research", key="too much", type=IntentType.TRANSFER_ETH, intent={"to": NOBODY, "amount": "1"},
        body_hash="0x" + "22" * 32, stage=Stage.FAILED, created_at=0.0, updated_at=0.0, failed_at=Stage.POLICY_EVAL,
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
