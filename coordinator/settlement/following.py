"""What became of what was sent, escrow by escrow: done, or to be tried again later."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from actp.decoding import EventDecoder
from actp.engine.receipts import parse_log
from actp.errors import RpcError, RpcUnavailable
from coordinator.crash import CrashPoint, point
from coordinator.intents import settled_items
from coordinator.settlement.reasons import BY_LIMITS, Reason, reason_of
from coordinator.settlement.served import Served
from coordinator.settlement.settings import SettlementSettings
from coordinator.store import Ledger, index_actions, index_escrows, index_kernels, settlements
from coordinator.store.accounts import Account
from coordinator.store.index_escrows import Escrow
from coordinator.store.index_words import Due
from coordinator.store.settlements import Claim
from coordinator.types import Stage

__all__ = ["Following", "Outcome"]

_log = logging.getLogger(__name__)
_MOST = 100
"""How many operations are looked at in one round."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one escrow. `late` is how many seconds of the chain's clock it was due before that; `ours` whether
    the operation did it; `code` and `reason` say why nothing was done, and `alone` whether that is about this very
    escrow, and not about others of its batch.
    """

    served: Served
    transaction_id: str
    kind: Due
    done: bool
    ours: bool = True
    late: int | None = None
    code: str | None = None
    reason: str | None = None
    alone: bool = False


class Following:
    """Follows what was begun about the escrows of the kernels of one bot. For one thread."""

    def __init__(
        self, ledger: Ledger, account: Account, served: Sequence[Served], settings: SettlementSettings
    ) -> None:
        self._ledger = ledger
        self._account = account
        self._served = tuple(served)
        self._settings = settings

    def round(self) -> list[Outcome]:
        """What has ended since the last time. An operation that was mined has ended once the index has read its block:
        the escrow's row says then what happened to it, whoever did it.

        Raises RpcError, RpcUnavailable, StoreError with nothing written; the next round goes on.
        """
        ledger, outcomes = self._ledger, []
        with ledger.write() as connection:
            settlements.claim_again(connection, self._account, ledger.now())
        for served in self._served:
            self._take_over(served)
            outcomes += self._of(served)
        return outcomes

    def _of(self, served: Served) -> list[Outcome]:
        ledger, kernel_id = self._ledger, served.kernel_id
        with ledger.read() as connection:
            claims = self._ready(connection, served)
            rows = index_escrows.get(connection, kernel_id, [one.transaction_id for one in claims])
        if not claims:
            return []
        undone = [one.transaction_id for one in claims if _is_due(rows.get(one.transaction_id), one.kind)]
        if undone:
            # Events may have been missed, or come late: what the state says counts.
            served.index.verify_these(undone)
            with ledger.read() as connection:
                rows |= index_escrows.get(connection, kernel_id, undone)
        left = [one for one in claims if _is_due(rows.get(one.transaction_id), one.kind)]
        receipts = self._receipts(served, {one.tx_hash for one in left if one.tx_hash is not None})
        dropped = {one.operation_id for one in left if self._is_dropped(one, receipts)}
        claims = [one for one in claims if one.operation_id not in dropped]
        reasons = self._reasons(served, [one for one in left if one.operation_id not in dropped], receipts)
        with ledger.write() as connection:
            # Of two that follow the same operation, the second one finds nothing left.
            still = {(one.kind, one.transaction_id, one.operation_id) for one in self._ready(connection, served)}
            claims = [one for one in claims if (one.kind, one.transaction_id, one.operation_id) in still]
            outcomes = self._write(connection, served, claims, rows, reasons)
            point(CrashPoint.BEFORE_OUTCOME)
        point(CrashPoint.AFTER_OUTCOME)
        return outcomes

    def _ready(self, connection: Connection, served: Served) -> list[Claim]:
        claims = settlements.ended(connection, served.kernel_id, limit=_MOST)
        if not claims:
            return []
        kernel = index_kernels.find(connection, served.client.chain_id, served.client.kernel.address)
        read = -1 if kernel is None else kernel.block.number
        return [one for one in claims if one.block is None or one.block <= read]

    def _write(
        self,
        connection: Connection,
        served: Served,
        claims: Sequence[Claim],
        rows: Mapping[str, Escrow],
        reasons: Mapping[tuple[int, str], Reason],
    ) -> list[Outcome]:
        now = self._ledger.now()
        members: dict[int, int] = defaultdict(int)
        for one in claims:
            members[one.operation_id] += 1
        outcomes: list[Outcome] = []
        done: dict[Due, list[str]] = defaultdict(list)
        later: dict[tuple[Due, Reason], list[tuple[Claim, float]]] = defaultdict(list)
        free: dict[Due, list[str]] = defaultdict(list)
        for one in claims:
            row, reason = rows.get(one.transaction_id), reasons.get((one.operation_id, one.transaction_id))
            if reason is None:
                done[one.kind].append(one.transaction_id)
                outcomes.append(_ended(served, one, row))
                continue
            alone = members[one.operation_id] == 1 or one.stage is Stage.CONFIRMED
            outcomes.append(
                Outcome(served, one.transaction_id, one.kind, False, code=reason.code, reason=reason.text, alone=alone)
            )
            if reason.code in BY_LIMITS:
                free[one.kind].append(one.transaction_id)
            else:
                later[one.kind, reason].append((one, now + self._pause(one.attempts) if alone else now))
        for kind, ids in done.items():
            index_actions.done(connection, served.kernel_id, kind, ids, now)
        for kind, ids in free.items():
            # Each denial is a row and a proof, so it is not asked for again with every pass.
            again = now + self._settings.first_pause
            index_actions.release(connection, served.kernel_id, kind, ids, until=again)
        for (kind, reason), until in later.items():
            settlements.put_off(connection, served.kernel_id, kind, until, now, reason.code, reason.text)
        return outcomes

    def _pause(self, attempts: int) -> float:
        """After so many failures before this one, of which the first were about its batch."""
        settings = self._settings
        doubled = max(0, attempts + 1 - settings.batch.bit_length())
        return min(settings.first_pause * 2.0 ** min(doubled, 30), settings.longest_pause)

    def _reasons(
        self, served: Served, claims: Sequence[Claim], receipts: Mapping[str, Any]
    ) -> dict[tuple[int, str], Reason]:
        """Why what can still be done was not done."""
        skipped = self._skipped(served, [receipts.get(one) for one in {each.tx_hash or "": None for each in claims}])
        return {
            (one.operation_id, one.transaction_id): reason_of(one, skipped.get(one.transaction_id)) for one in claims
        }

    def _receipts(self, served: Served, tx_hashes: Collection[str]) -> dict[str, Any]:
        """What the node shows for each of these eth transactions; those are missing for which it does not answer."""
        transport, found = served.client.transport, {}
        for tx_hash in sorted(tx_hashes):
            try:
                found[tx_hash] = transport.request("eth_getTransactionReceipt", [tx_hash])
            except (RpcError, RpcUnavailable) as error:
                _log.info("The receipt of %s cannot be read: %s", tx_hash, error)
        return found

    def _is_dropped(self, claim: Claim, receipts: Mapping[str, Any]) -> bool:
        """Whether a reorganisation has dropped what was mined for a claim, which has not ended then: its wallet has yet
        to notice. If that takes long, nobody may be left who does.
        """
        if claim.stage is not Stage.CONFIRMED or claim.tx_hash is None or claim.tx_hash not in receipts:
            return False
        receipt = receipts[claim.tx_hash]
        stands = isinstance(receipt, dict) and receipt.get("blockHash") == claim.block_hash
        return not stands and self._ledger.now() - claim.claimed_at < self._settings.stale_seconds

    def _skipped(self, served: Served, receipts: Sequence[Any]) -> dict[str, str]:
        """The names of the errors with which the kernel left items of these batches as they are."""
        decoder = EventDecoder({served.client.kernel.address: "ACTPKernel"})
        found: dict[str, str] = {}
        for receipt in receipts:
            logs = [parse_log(log) for log in receipt["logs"]] if isinstance(receipt, dict) else []
            events = [event for log in logs if (event := decoder.decode(log)) is not None]
            found |= {item.transaction_id: item.reason for item in settled_items(events) if item.reason is not None}
        return found

    def _take_over(self, served: Served) -> None:
        """What another wallet of the store has begun and not ended for long is free again: nobody may be left who ends
        it. Should it end after all, the kernel skips or refuses whichever comes second.
        """
        ledger = self._ledger
        with ledger.read() as connection:
            found = self._stale(connection, served)
        if not found:
            return
        with ledger.write() as connection:
            by_kind: dict[Due, list[str]] = defaultdict(list)
            for kind, transaction_id in self._stale(connection, served):
                by_kind[kind].append(transaction_id)
            for kind, ids in by_kind.items():
                rows = index_escrows.get(connection, served.kernel_id, ids)
                due = [one for one in ids if _is_due(rows.get(one), kind)]
                over = [one for one in ids if one not in due]
                index_actions.release(connection, served.kernel_id, kind, due)
                index_actions.done(connection, served.kernel_id, kind, over, ledger.now())
                if due:
                    _log.warning(
                        "%d escrows of %s, which another wallet has claimed for long, are free again.", len(due), served
                    )

    def _stale(self, connection: Connection, served: Served) -> list[tuple[Due, str]]:
        before = self._ledger.now() - self._settings.stale_seconds
        return settlements.stale(connection, served.kernel_id, self._account, before=before, limit=self._settings.most)


def _is_due(row: Escrow | None, kind: Due) -> bool:
    return row is not None and row.open and row.due_kind is kind


def _ended(served: Served, claim: Claim, row: Escrow | None) -> Outcome:
    ours = row is not None and claim.tx_hash is not None and row.last_tx == claim.tx_hash
    late = None
    if ours and row is not None and row.ended_at is not None:
        since = _due_since(served, row, claim.kind)
        late = None if since is None else row.ended_at - since
    return Outcome(served, claim.transaction_id, claim.kind, True, ours=ours, late=late)


def _due_since(served: Served, row: Escrow, kind: Due) -> int | None:
    """The last second of the window, the grace or the time-out after which it was due."""
    if kind is Due.SETTLE:
        return row.window_ends_at
    if kind is Due.CLOSE:
        return row.dispute_ends_at
    grace = served.index.kernel.grace_seconds
    return None if grace is None else row.deadline + grace
