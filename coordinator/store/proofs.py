"""Rows of proofs: the links of each wallet's chain, in order."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, insert, select

from coordinator.proofs import Proof
from coordinator.store import wallets
from coordinator.store.accounts import Account
from coordinator.store.schema import proofs
from coordinator.store.wallets import WalletRow

__all__ = ["add", "finalizing", "newest", "of_operation", "of_operations", "read"]

_CHUNK = 500


def add(connection: Connection, account: Account, made: Sequence[Proof], now: float, *, seen: WalletRow) -> None:
    """Appends links that follow the end that was `seen`. Raises LedgerConflict if the chain has grown since."""
    if not made:
        return
    wallets.extend_proofs(connection, account, seen, made[-1].seq, made[-1].proof_hash)
    connection.execute(
        insert(proofs),
        [
            {
                **account.columns,
                "seq": one.seq,
                "kind": one.kind,
                "operation_id": one.operation_id,
                "head": one.head,
                "parts": one.parts,
                "proof_hash": one.proof_hash,
                "previous": one.previous,
                "signature": one.signature,
                "at": now,
            }
            for one in made
        ],
    )


def read(connection: Connection, account: Account, *, after: int = 0, limit: int = 1000) -> list[Proof]:
    """The links after a number, in order."""
    query = select(proofs).where(account.owns(proofs), proofs.c.seq > after).order_by(proofs.c.seq).limit(limit)
    return [_proof(row) for row in connection.execute(query)]


def newest(connection: Connection, account: Account, *, limit: int) -> list[Proof]:
    """The last links, the newest first."""
    query = select(proofs).where(account.owns(proofs)).order_by(proofs.c.seq.desc()).limit(limit)
    return [_proof(row) for row in connection.execute(query)]


def finalizing(connection: Connection, account: Account, links: Sequence[Proof]) -> list[Proof]:
    """The links that say that these proofs are final."""
    wanted = {link.proof_hash for link in links if link.kind == "proof"}
    first = min((link.seq for link in links), default=0)
    query = (
        select(proofs)
        .where(account.owns(proofs), proofs.c.kind == "finalized", proofs.c.seq > first)
        .order_by(proofs.c.seq)
    )
    found = []
    for link in map(_proof, connection.execute(query)):
        named = wanted.intersection(json.loads(link.head)["proofs"])
        if named:
            found.append(link)
            wanted -= named
        if not wanted:
            break
    return found


def of_operation(connection: Connection, account: Account, operation_id: int) -> list[Proof]:
    """The links about an operation, the oldest first."""
    query = select(proofs).where(account.owns(proofs), proofs.c.operation_id == operation_id).order_by(proofs.c.seq)
    return [_proof(row) for row in connection.execute(query)]


def of_operations(connection: Connection, account: Account, operation_ids: Sequence[int]) -> dict[int, Proof]:
    """The newest proof of how each of these operations ended."""
    found = {}
    for start in range(0, len(operation_ids), _CHUNK):
        part = operation_ids[start : start + _CHUNK]
        query = (
            select(proofs)
            .where(account.owns(proofs), proofs.c.operation_id.in_(part), proofs.c.kind == "proof")
            .order_by(proofs.c.seq)
        )
        found.update({row.operation_id: _proof(row) for row in connection.execute(query)})
    return found


def _proof(row: Row[Any]) -> Proof:
    return Proof(
        row.kind,
        row.seq,
        row.operation_id,
        bytes(row.head),
        None if row.parts is None else bytes(row.parts),
        row.proof_hash,
        row.previous,
        row.signature,
    )
