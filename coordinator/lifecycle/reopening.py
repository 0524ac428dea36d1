"""What a reorganisation takes back: the verdict, the proof, and the end of the operation."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence

from actp.engine.exchange import ask_all
from actp.engine.store import attempts
from actp.errors import RpcError
from coordinator.canonical import canonical
from coordinator.guard import DeltaGuard, Point
from coordinator.lifecycle.desk import Desk
from coordinator.lifecycle.proving import Links
from coordinator.lifecycle.recent import Recent
from coordinator.proofs import ProofKey
from coordinator.store import breaches, escrows, losses, moving, operations, points, sendings, verdicts
from coordinator.store import proofs as proof_rows
from coordinator.store.moving import Move, Step
from coordinator.store.points import StoredPoint
from coordinator.types import Operation, Stage

__all__ = ["Reopening"]

_log = logging.getLogger(__name__)
_BACK = 100


class Reopening:
    """Takes back what rests on blocks that are gone."""

    def __init__(self, desk: Desk, key: ProofKey, recent: Recent) -> None:
        self._desk = desk
        self._key = key
        self._recent = recent

    def by_guard(self, lost: StoredPoint, guard: DeltaGuard) -> bool:
        """The block of the newest point is gone: everything after the newest one that is still there is void.

        Raises RpcError, RpcUnavailable, LedgerConflict, StoreError.
        """
        desk = self._desk
        with desk.ledger.read() as connection:
            known = points.newest(connection, desk.account, limit=_BACK)
        answers = ask_all(desk.transport, [("eth_getBlockByNumber", [hex(one.block.number), False]) for one in known])
        there = [
            one
            for one, answer in zip(known, answers, strict=True)
            if isinstance(answer, dict) and str(answer["hash"]).lower() == one.block.hash.lower()
        ]
        for answer in answers:
            if isinstance(answer, RpcError):
                raise answer
        if there:
            back = there[0]
        else:
            anchor = guard.anchor(Point.from_json(json.loads(known[-1].content)))
            back = StoredPoint(lost.version, anchor.block, canonical(anchor.as_json()).decode())
        with desk.ledger.read() as connection:
            ended = operations.mined_above(connection, desk.account, back.block.number)
        _log.warning("Blocks above %d are gone: %d operations are open again.", back.block.number, len(ended))
        self._reopen(ended, lost=lost, back=back)
        return True

    def by_engine(self) -> bool:
        """Operations whose blocks the engine has found gone are open again; whether there were any."""
        desk = self._desk
        with desk.ledger.read() as connection:
            ended = list(operations.by_ids(connection, sendings.taken_back(connection, desk.account)).values())
        if not ended:
            return False
        self._reopen(ended)
        return True

    def _reopen(
        self, ended: Sequence[Operation], *, lost: StoredPoint | None = None, back: StoredPoint | None = None
    ) -> None:
        desk = self._desk
        now = desk.ledger.now()
        ids = [one.id for one in ended]
        with desk.ledger.read() as connection:
            proofs = proof_rows.of_operations(connection, desk.account, ids)
        links = Links.at_end(desk, self._key)
        for one in ended:
            if one.id in proofs and one.block is not None:
                links.reopen(proofs[one.id].proof_hash, one.id, one.block)
        values = {
            "code": None,
            "reason": None,
            "failed_at": None,
            "confirmed_at": None,
            "tx_hash": None,
            "block_number": None,
            "block_hash": None,
            "final": False,
        }
        moves = [Move(one, (Step(Stage.SUBMITTING, "reopened", _gone(one)),), values) for one in ended]
        with desk.ledger.write() as connection:
            if lost is not None and back is not None:
                points.append(connection, desk.account, back.block, back.content, now, seen=lost.version)
                attempts.doubt(connection, desk.outbox.lane_id, back.block.number, now)
                breaches.void_above(connection, desk.account, back.block.number)
                verdicts.reopen_above(connection, desk.account, back.block.number, now)
            moving.move(connection, desk.account, moves, now)
            verdicts.reopen(connection, ids, now)
            losses.take_back(connection, desk.account, ids)
            escrows.forget_of(connection, desk.account, ids)
            escrows.look_again(
                connection, desk.account, [one.transaction_id for one in ended if one.transaction_id is not None], now
            )
            links.write(connection, now)


def _gone(operation: Operation) -> dict[str, object]:
    block = operation.block
    return {
        "txHash": operation.tx_hash,
        "block": None if block is None else {"number": block.number, "hash": block.hash},
    }
