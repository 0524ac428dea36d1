"""What becomes of operations in the engine's hands: stages by its rows, ends by the delta guard's verdicts."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from actp.encoding import value_of
from actp.engine.store.schema import IntentStatus
from coordinator.canonical import canonical
from coordinator.errors import LedgerConflict
from coordinator.guard import DeltaGuard, Examination, Kind, Point, Sent, TxVerdict
from coordinator.lifecycle import measuring
from coordinator.lifecycle import verdicts as made
from coordinator.lifecycle.desk import Desk
from coordinator.lifecycle.proving import Ended, Links, after
from coordinator.lifecycle.receipts import ReceiptKeeper
from coordinator.lifecycle.recent import Recent
from coordinator.lifecycle.rederiving import Rederiving
from coordinator.lifecycle.refusals import refusal_of
from coordinator.lifecycle.reopening import Reopening
from coordinator.proofs import ProofKey
from coordinator.proofs.parts import execution_part
from coordinator.store import (
    approvals,
    breaches,
    escrows,
    losses,
    moving,
    operations,
    pauses,
    points,
    sendings,
    verdicts,
)
from coordinator.store.decisions import Decided
from coordinator.store.losses import Loss
from coordinator.store.moving import Move, Step
from coordinator.store.points import StoredPoint
from coordinator.store.sendings import Sending
from coordinator.types import ETH, Effects, Operation, Stage

__all__ = ["Following"]

_log = logging.getLogger(__name__)
_GUARD = "delta guard"
_OUTDATED = "outdated"
"""The code of an operation that had to wait too long before it was signed, and is judged again."""
_MINED = (IntentStatus.MINED, IntentStatus.FAILED)


class Following:
    """Follows one wallet's operations. For one thread. `guard` is None where nothing is guarded."""

    def __init__(
        self,
        desk: Desk,
        key: ProofKey,
        recent: Recent,
        keeper: ReceiptKeeper,
        guard: DeltaGuard | None,
        *,
        auto_pause: bool,
    ) -> None:
        self._desk = desk
        self._key = key
        self._recent = recent
        self._keeper = keeper
        self._guard = guard
        self._auto_pause = auto_pause
        self._reopening = Reopening(desk, key, recent)
        self._rederiving = Rederiving(desk)
        self._point: StoredPoint | None = None

    @property
    def guards(self) -> bool:
        """Whether there is a guard."""
        return self._guard is not None

    def point(self) -> Point | None:
        """Up to where everything is explained; the first time that is where the chain is now. None without a guard.

        Raises RpcError, RpcUnavailable, StoreError.
        """
        if self._guard is None:
            return None
        desk = self._desk
        with desk.ledger.read() as connection:
            newest = points.newest(connection, desk.account)
        if not newest:
            first = self._guard.start()
            content = canonical(first.as_json()).decode()
            try:
                with desk.ledger.write() as connection:
                    points.append(connection, desk.account, first.block, content, desk.ledger.now(), seen=-1)
            except LedgerConflict:
                _log.info("Another process has begun to guard %s.", desk.wallet)
            return self.point()
        self._point = newest[0]
        return Point.from_json(json.loads(newest[0].content))

    def round(self) -> bool:
        """Moves on what has moved; whether anything had. Raises RpcError, RpcUnavailable, StoreError."""
        try:
            moved = self._follow_engine()
            return self._examine() or moved
        except LedgerConflict as error:
            _log.info("%s", error)  # the winner has written it
            return True

    # ---------------------------------------------------------------- the engine's rows

    def _follow_engine(self) -> bool:
        desk = self._desk
        with desk.ledger.read() as connection:
            changed = sendings.changed(connection, desk.account, mined=self._guard is None)
            found = operations.by_ids(connection, [one.operation_id for one in changed])
            decided = self._recent.get(connection, _decided_at(found.values()))
        if not changed:
            return False
        now = desk.ledger.now()
        moves = [move for one in changed if (move := self._engine_move(found[one.operation_id], one, now)) is not None]
        moved = {move.operation.id for move in moves}
        noted = [one for one in changed if one.operation_id not in moved and one.status not in _MINED]
        ended = [after(move, now) for move in moves if move.after in (Stage.CONFIRMED, Stage.FAILED)]
        executed = self._execute([one for one in ended if one.block is not None], decided, {})
        links = Links.at_end(desk, self._key)
        links.prove([Ended(one, decided.get(one.id), executed.get(one.id)) for one in ended])
        with desk.ledger.write() as connection:
            moving.move(connection, desk.account, moves, now)
            for stage in (Stage.SIGNING, Stage.SUBMITTING):
                notes = [
                    (one.operation_id, one.code, one.reason) for one in noted if found[one.operation_id].stage is stage
                ]
                operations.annotate(connection, notes, stage, now)
            # Whose row was cancelled needs no answer any more.
            approvals.expire(
                connection, [move.operation.id for move in moves if move.operation.stage is Stage.APPROVAL_GATE], now
            )
            happened = {one.id: one for one in ended if one.stage is Stage.CONFIRMED}
            escrows.add(connection, desk.account, made.funded(desk, happened, decided, now))
            losses.add(connection, desk.account, self._fees(ended, executed), now)
            links.write(connection, now)
        measuring.ended(desk, [one for one in ended if one.block is not None])
        self._recent.forget(one.id for one in ended)
        return bool(moves)

    def _fees(self, ended: Sequence[Operation], executed: Mapping[int, Mapping[str, Any]]) -> list[Loss]:
        """What being mined has cost by the receipts alone, where no guard says it."""
        rows = []
        for one in ended:
            if one.id in executed and one.tx_hash is not None:
                receipt = executed[one.id]["receipt"]
                fee = int(receipt["gasUsed"]) * int(receipt["effectiveGasPrice"])
                fee += int(receipt["l1Fee"] or 0) + int(receipt["operatorFee"] or 0)
                rows.append(Loss(losses.GAS, one.tx_hash, one.id, ETH, fee))
        return rows

    def _engine_move(self, operation: Operation, sending: Sending, now: float) -> Move | None:
        """The change of stage that follows from the engine's row; None if only code and reason are new."""
        status = sending.status
        signing = operation.stage is Stage.SIGNING
        steps = [Step(Stage.SUBMITTING, "signed")] if signing else []
        if status in _MINED and self._guard is None and sending.block is not None and sending.tx_hash is not None:
            values = made.mined_columns(sending.tx_hash, sending.block)
            if status is IntentStatus.MINED:
                values |= {"code": None, "reason": None, "failed_at": None, "confirmed_at": now}
                return Move(operation, (*steps, Step(Stage.CONFIRMED, "confirmed")), values)
            values |= {"code": "reverted", "reason": "The contract refused it.", "failed_at": Stage.SUBMITTING.value}
            return Move(operation, (*steps, Step(Stage.FAILED, "failed")), values)
        why: dict[str, Any] = {"code": sending.code, "reason": sending.reason}
        if status in (IntentStatus.OPEN, IntentStatus.UNKNOWN) or status in _MINED:
            return Move(operation, tuple(steps), why) if steps else None
        if status is IntentStatus.QUEUED:
            return None
        if status is IntentStatus.HELD:
            values = {"code": _OUTDATED, "reason": sending.reason, "decided_at": None}
            return Move(operation, (Step(Stage.SIMULATING, _OUTDATED, {"reason": sending.reason}),), values)
        code = sending.code or status.value
        reason = sending.reason or f"The engine says {status.value}."
        values = {"code": code, "reason": reason, "failed_at": operation.stage.value, "final": True}
        return Move(operation, (Step(Stage.FAILED, "failed", {"code": code, "reason": reason}),), values)

    # ---------------------------------------------------------------- the guard's verdicts

    def _examine(self) -> bool:
        if self._guard is None:
            return self._reopening.by_engine()
        point = self.point()
        stored = self._point
        assert point is not None
        assert stored is not None
        nonce = point.state.nonces.get(self._desk.wallet, 0)
        self._keeper.forget()
        examined = self._guard.advance(point, lambda: self._sent(nonce), self._rederiving.due)
        if examined.reorged:
            return self._reopening.by_guard(stored, self._guard)
        if examined.point == point and not examined.verdicts and not examined.findings:
            return self._is_void(point) and self._reopening.by_guard(stored, self._guard)
        self._write(examined, stored)
        return True

    def _is_void(self, point: Point) -> bool:
        """Whether there is another chain of blocks than the point's, which a guard cannot tell while it is shorter: a
        nonce that was not used up to the point is mined in a block not above it.
        """
        desk = self._desk
        nonce = point.state.nonces.get(desk.wallet)
        if nonce is None:
            return False
        with desk.ledger.read() as connection:
            if not sendings.mined_within(connection, desk.outbox.lane_id, nonce, point.block.number):
                return False
        return desk.transport.request("eth_getBlockByNumber", [hex(point.block.number), False]) is None

    def _sent(self, nonce: int) -> Sequence[Sent]:
        """Everything that is signed and not verified yet, with what it must do."""
        desk = self._desk
        with desk.ledger.read() as connection:
            signed = sendings.signed_from(connection, desk.outbox.lane_id, nonce)
            ours = {one.operation_id: one.decided_at for one in signed if one.operation_id is not None}
            decided = self._recent.get(connection, ours)
            hashes = [tx_hash for one in signed for tx_hash in one.tx_hashes]
            raw = sendings.raw_of(connection, desk.outbox.lane_id, hashes)
        values = {tx_hash: value for tx_hash, (_, data) in raw.items() if (value := value_of(data)) is not None}
        sent = []
        for one in signed:
            carried = {tx_hash: values[tx_hash] for tx_hash in one.tx_hashes if tx_hash in values}
            known = None if one.operation_id is None else decided.get(one.operation_id)
            effects = Effects() if known is None else known.effects
            again = None if known is None else self._rederiving.of(known)
            sent.append(Sent(one.operation_id, desk.wallet, one.nonce, one.tx_hashes, effects, again, carried))
        return sent

    def _write(self, examined: Examination, seen: StoredPoint) -> None:
        """Verdicts, what they end, what they stop, and up to where everything is explained: one commit."""
        desk = self._desk
        now = desk.ledger.now()
        by_operation = {one.operation_id: one for one in examined.verdicts if one.operation_id is not None}
        concerned = {*by_operation, *(one.operation_id for one in examined.findings if one.operation_id is not None)}
        with desk.ledger.read() as connection:
            found = operations.by_ids(connection, sorted(concerned))
            decided = self._recent.get(connection, _decided_at(one for one in found.values() if one.id in by_operation))
        open_ones = [
            one for one in found.values() if one.id in by_operation and one.stage in (Stage.SIGNING, Stage.SUBMITTING)
        ]
        moves = [
            made.ending(one, by_operation[one.id], self._refusal(one, by_operation[one.id], decided), now)
            for one in open_ones
        ]
        ended = {move.operation.id: after(move, now) for move in moves}
        executed = self._execute(list(ended.values()), decided, by_operation)
        links = Links.at_end(desk, self._key)
        links.prove([Ended(one, decided.get(one.id), executed.get(one.id)) for one in ended.values()])
        content = canonical(examined.point.as_json()).decode()
        with desk.ledger.write() as connection:
            points.append(connection, desk.account, examined.point.block, content, now, seen=seen.version)
            # The wallet's row before the lane's, as where decisions are written: nobody waits for one another.
            links.write(connection, now)
            moving.move(connection, desk.account, moves, now)
            verdicts.add(connection, desk.account, made.verdict_rows(examined.verdicts), now)
            breaches.add(connection, desk.account, made.found_rows(examined.findings), now)
            losses.add(connection, desk.account, made.gas_losses(desk, examined.verdicts), now)
            did = {one.operation_id for one in examined.verdicts if one.succeeded}
            happened = {number: one for number, one in ended.items() if number in did}
            escrows.add(connection, desk.account, made.funded(desk, happened, decided, now))
            if any(one.kind in (Kind.RECEIVED, Kind.GIFT) for one in examined.findings):
                escrows.look_again_at_all(connection, desk.account, now)
            touched = [each for one in ended.values() for each in made.escrows_of(one)]
            escrows.look_again(connection, desk.account, touched, now)
            if self._auto_pause:
                for finding in examined.breached:
                    spender = found.get(finding.operation_id or 0)
                    # Who has the key is no agent: all of the treasury is at stake.
                    agent = None if spender is None or finding.kind is Kind.KEY_USED else spender.agent
                    pauses.add(connection, desk.account, agent, by=_GUARD, reason=finding.message, now=now)
        measuring.examined(examined)
        measuring.ended(desk, list(ended.values()))
        for finding in examined.breached:
            _log.error("The delta guard found %s: %s", finding.kind.value, finding.message)
        self._recent.forget(ended)

    def _refusal(self, operation: Operation, verdict: TxVerdict, decided: Mapping[int, Decided]) -> str | None:
        known = decided.get(operation.id)
        if verdict.succeeded or known is None or known.call is None:
            return None
        return refusal_of(self._desk, known.call, verdict.block)

    def _execute(
        self, ended: Sequence[Operation], decided: Mapping[int, Decided], by_operation: Mapping[int, TxVerdict]
    ) -> dict[int, dict[str, Any]]:
        """The parts of proofs that say what was sent and what came of it, by operation."""
        mined = [(one, one.tx_hash, one.block) for one in ended if one.tx_hash is not None and one.block is not None]
        if not mined:
            return {}
        receipts = self._keeper.receipts_of([(tx_hash, block.hash.lower()) for _, tx_hash, block in mined])
        with self._desk.ledger.read() as connection:
            raw = sendings.raw_of(connection, self._desk.outbox.lane_id, [tx_hash for _, tx_hash, _ in mined])
        parts = {}
        for one, tx_hash, _ in mined:
            known = decided.get(one.id)
            if known is None or known.call is None or tx_hash not in raw:
                continue
            nonce, signed = raw[tx_hash]
            verdict = by_operation.get(one.id)
            parts[one.id] = execution_part(
                known.call,
                known.effects,
                raw=signed,
                nonce=nonce,
                receipt=receipts[tx_hash],
                delta=None if verdict is None else verdict.as_json(),
            )
        return parts


def _decided_at(found: Iterable[Operation]) -> dict[int, float | None]:
    return {one.id: one.decided_at for one in found}
