"""Proofs of how operations ended: made before the commit, written in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection

from coordinator import proofs
from coordinator.lifecycle.desk import Desk
from coordinator.proofs import Link, Proof, ProofKey, ProofRequest
from coordinator.proofs.parts import head_of, intent_part, policy_part, simulation_part
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
    def request(self) -> ProofRequest:
        """What the proof of it says."""
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
            parts["simulation"] = simulation_part(decided.simulation)
        return ProofRequest(self.operation.id, head_of(self.operation), parts)


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

    def __init__(self, desk: Desk, key: ProofKey, seen: WalletRow) -> None:
        self._account = desk.account
        self._chain = proofs.ProofChain(desk.account.chain_id, desk.client.genesis, desk.account.wallet)
        self._key = key
        self._seen = seen
        self._last = Link(seen.proof_seq, seen.proof_hash)
        self._made_at = int(desk.ledger.now())
        self._made: list[Proof] = []

    @classmethod
    def at_end(cls, desk: Desk, key: ProofKey) -> Links:
        """Goes on from where the chain ends."""
        with desk.ledger.read() as connection:
            seen = wallets.read(connection, desk.account)
        assert seen is not None  # made when the lifecycle was
        return cls(desk, key, seen)

    def prove(self, ended: Sequence[Ended]) -> None:
        """A proof for each of these."""
        if ended:
            self._extend(
                proofs.prove(
                    [one.request for one in ended],
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

    def _extend(self, links: Sequence[Proof]) -> None:
        self._made += links
        self._last = links[-1].link
