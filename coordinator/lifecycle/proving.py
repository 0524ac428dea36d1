"""Proofs of how operations ended: made before the commit, written in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection

from actp.engine.exchange import ask_all
from actp.errors import RpcError
from coordinator import proofs
from coordinator.lifecycle.desk import Records
from coordinator.proofs import Link, Proof, ProofKey, ProofRequest
from coordinator.proofs.parts import head_of, intent_part, policy_part, simulated_part
from coordinator.store import proofs as rows
from coordinator.store import wallets
from coordinator.store.decisions import Decided
from coordinator.store.moving import Move
from coordinator.store.wallets import WalletRow
from coordinator.types import BlockRef, Operation, Stage

__all__ = ["Ended", "Links", "after"]


@dataclass(frozen=True, slots=True)
class Ended:
    """An operation as it is after its last change, and what it went through."""

    operation: Operation
    decided: Decided | None
    execution: Mapping[str, Any] | None = None

    @property
    def simulated_on(self) -> BlockRef | None:
        """The block that it was simulated on, if it was mined after that."""
        if self.execution is None or self.decided is None or self.decided.simulation is None:
            return None
        return self.decided.simulation.block

    def request(self, on_chain: Mapping[BlockRef, bool]) -> ProofRequest:
        """What the proof of it says. `on_chain` tells whether the block that it was simulated on still is there."""
        decided = self.decided
        parts: dict[str, Any] = {
            "intent": intent_part(self.operation, {} if decided is None else decided.texts),
            "policy": None,
            "simulation": None,
            "execution": self.execution,
        }
        if decided is not None and decided.decision is not None:
            parts["policy"] = policy_part(decided.decision, approved_by=decided.approved_by)
        if decided is not None and decided.simulation is not None:
            there = None if self.simulated_on is None else on_chain[self.simulated_on]
            parts["simulation"] = simulated_part(decided.simulation, on_chain=there)
        return ProofRequest(self.operation.id, head_of(self.operation, self.execution), parts)


def after(move: Move, now: float) -> Operation:
    """The operation as it is once the move is written."""
    values = dict(move.values)
    fields: dict[str, Any] = {
        name: values[name]
        for name in ("code", "reason", "transaction_id", "outbox_id", "tx_hash", "confirmed_at")
        if name in values
    }
    if "failed_at" in values:
        fields["failed_at"] = None if values["failed_at"] is None else Stage(values["failed_at"])
    if "block_hash" in values:
        found = values["block_hash"]
        fields["block"] = None if found is None else BlockRef(values["block_number"], found)
    return replace(move.operation, stage=move.after, updated_at=now, **fields)


class Links:
    """The links that one commit adds to a wallet's chain of proofs, signed before the commit begins."""

    def __init__(self, desk: Records, key: ProofKey, seen: WalletRow) -> None:
        self._account = desk.account
        self._transport = desk.transport
        self._chain = proofs.ProofChain(desk.account.chain_id, desk.genesis, desk.account.wallet)
        self._key = key
        self._seen = seen
        self._last = Link(seen.proof_seq, seen.proof_hash)
        self._made_at = int(desk.ledger.now())
        self._made: list[Proof] = []

    @classmethod
    def at_end(cls, desk: Records, key: ProofKey) -> Links:
        """Goes on from where the chain ends."""
        with desk.ledger.read() as connection:
            seen = wallets.read(connection, desk.account)
        assert seen is not None  # made when the lifecycle was
        return cls(desk, key, seen)

    def prove(self, ended: Sequence[Ended]) -> None:
        """A proof for each of these. Asks the node, if any was mined, where it was simulated. Raises RpcUnavailable."""
        if ended:
            on_chain = self._on_chain([one.simulated_on for one in ended])
            self._extend(
                proofs.prove(
                    [one.request(on_chain) for one in ended],
                    chain=self._chain,
                    last=self._last,
                    key=self._key,
                    made_at=self._made_at,
                )
            )

    def reopen(self, proof_hash: str, operation_id: int, block: BlockRef) -> None:
        """Takes a proof back."""
        link = proofs.reopened(
            proof_hash,
            operation_id,
            block,
            chain=self._chain,
            last=self._last,
            key=self._key,
            made_at=self._made_at,
        )
        self._extend([link])

    def finalize(self, proof_hashes: Sequence[str], block: BlockRef) -> None:
        """Says that the blocks of these proofs are final."""
        link = proofs.finalized(
            proof_hashes, block, chain=self._chain, last=self._last, key=self._key, made_at=self._made_at
        )
        self._extend([link])

    def write(self, connection: Connection, now: float) -> None:
        """Adds the links. Raises LedgerConflict if the chain has grown since."""
        rows.add(connection, self._account, self._made, now, seen=self._seen)

    def _on_chain(self, blocks: Sequence[BlockRef | None]) -> dict[BlockRef, bool]:
        """Whether each of these blocks is on the chain now."""
        asked = list({block for block in blocks if block is not None})
        if not asked:
            return {}
        # Whoever has no way to a node ends nothing that was mined: such a proof needs its receipt.
        assert self._transport is not None
        answers = ask_all(self._transport, [("eth_getBlockByNumber", [hex(one.number), False]) for one in asked])
        for answer in answers:
            if isinstance(answer, RpcError):
                raise answer
        return {
            block: isinstance(answer, dict) and str(answer["hash"]).lower() == block.hash.lower()
            for block, answer in zip(asked, answers, strict=True)
        }

    def _extend(self, links: Sequence[Proof]) -> None:
        self._made += links
        self._last = links[-1].link
