"""One page of events: read, folded, and written in one commit together with how far that is."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass

from actp.decoding import Event
from actp.errors import RpcError, RpcUnavailable
from actp.events import EventPage
from actp.rpc import Transport
from actp.types import Log
from coordinator.index.comparing import adopt, differences, from_state
from coordinator.index.dues import put_due
from coordinator.index.folding import Folding, payees_in
from coordinator.index.looking import Looking
from coordinator.store import Ledger, index_credits, index_escrows, index_kernels, index_records, index_undo
from coordinator.store.index_kernels import IndexedKernel
from coordinator.store.index_records import Repair, Unknown
from coordinator.types import BlockRef

__all__ = ["Page", "write_page"]

_log = logging.getLogger(__name__)
_NOBODY_SAW = "its creation"


@dataclass(frozen=True, slots=True)
class Page:
    """What is to be folded: events from where the kernel was read up to, until `events.cursor`. `look_at` is the block
    whose state is read where events do not say enough: None for the page's last one, a newer one if that is so old that
    nodes need not have its state any more, but not so new that it may still go. `keep_above` is the newest block that
    no reorganisation can reach: what a page changes after it can be taken back.
    """

    events: EventPage
    look_at: int | None
    keep_above: int
    final_block: int

    @property
    def block(self) -> BlockRef:
        """Its last block."""
        return BlockRef(self.events.cursor.block, self.events.cursor.block_hash)


def write_page(ledger: Ledger, transport: Transport, kernel: IndexedKernel, page: Page) -> IndexedKernel:
    """The kernel, read up to the end of the page. Raises LedgerConflict if another indexer was faster, RpcUnavailable,
    StoreError; then nothing was changed.
    """
    events, unknown = page.events.events, page.events.unknown
    named = dict.fromkeys(event.transaction_id for event in events if event.transaction_id is not None)
    named.update(dict.fromkeys(log.topics[1].lower() for log in unknown if len(log.topics) > 1))
    with ledger.read() as connection:
        rows = index_escrows.get(connection, kernel.id, named)
        owed = index_credits.get(connection, kernel.id, payees_in(events))
    reversible = page.block.number > page.keep_above
    images = {one: index_undo.image(row) for one, row in rows.items()} if reversible else {}

    folding = Folding(kernel, rows, dict(owed), kernel.fees, _times(transport, events))
    folding.fold(events)
    _mark(folding, unknown)
    looking = Looking(transport, kernel)
    repairs = _look(looking, folding, page)
    for made in map(rows.__getitem__, folding.made):
        if not made.look:
            # What anybody can make must not come before what was not compared for long.
            made.checked_at = ledger.now()

    credits = {payee: amount for payee, amount in folding.credits.items() if owed.get(payee) != amount}
    touched = [rows[one] for one in folding.touched]
    with ledger.write() as connection:
        # First of all: from here on nobody else can write about this kernel.
        moved = index_kernels.move(
            connection, kernel, block=page.block, final_block=page.final_block, fees=folding.fees
        )
        if reversible:
            was = {payee: str(owed[payee]) if payee in owed else None for payee in credits}
            before = index_undo.Before({one.transaction_id: images.get(one.transaction_id) for one in touched}, was)
            index_undo.keep(connection, kernel, page.block.number, before)
        index_escrows.add(connection, [one for one in touched if one.transaction_id in folding.made])
        index_escrows.write(connection, [one for one in touched if one.transaction_id not in folding.made])
        index_credits.write(connection, kernel.id, credits)
        index_records.add_repairs(connection, kernel.id, page.block.number, repairs, ledger.now())
        new = index_records.count_unknown(connection, kernel.id, _counted(unknown))
        index_undo.add_point(connection, moved)
        index_undo.prune(connection, moved, page.keep_above)
    for one in new:
        _log.warning(
            "The kernel %s of chain %d emits events %s, first in block %d, which this program does not know; the "
            "escrows that they name are read from the chain's state. Is there a newer version?",
            kernel.kernel, kernel.chain_id, one.topic or "without a topic", one.first_block,
        )  # fmt: skip
    for repair in repairs:
        _log.warning("Escrow %s: events were missing; its state was read instead.", repair.transaction_id)
    return moved


def _times(transport: Transport, events: Iterable[Event]) -> dict[str, int]:
    """When blocks were mined, by hash: most events say it, and of those that do not most have one beside them."""
    times: dict[str, int] = {}
    silent: dict[str, None] = {}
    for event in events:
        at = event.args.get("timestamp")
        if at is not None:
            times[event.block_hash] = at
        elif event.transaction_id is not None:
            silent[event.block_hash] = None
    missing = [one for one in silent if one not in times]
    if missing:
        blocks = transport.batch([("eth_getBlockByHash", [one, False]) for one in missing])
        for block_hash, block in zip(missing, blocks, strict=True):
            if isinstance(block, RpcError) or not isinstance(block, dict):
                raise RpcUnavailable(f"{transport.label} does not show block {block_hash}.", hint="Try again.")
            times[block_hash] = int(block["timestamp"], 16)
    return times


def _mark(folding: Folding, unknown: Iterable[Log]) -> None:
    """What an event means that nobody here knows, only the state can tell."""
    for log in unknown:
        row = folding.rows.get(log.topics[1].lower()) if len(log.topics) > 1 else None
        if row is not None:
            row.look = True
            folding.touched[row.transaction_id] = None


def _look(looking: Looking, folding: Folding, page: Page) -> list[Repair]:
    """Reads from the state what events have not told. Returns what they should have."""
    unclear, delivered = folding.unclear(), folding.delivered()
    if not unclear and not delivered:
        return []
    at = looking.at(page.block) if page.look_at is None else looking.at_number(page.look_at)
    if delivered:
        # Once an escrow is delivered its window does not move any more.
        for one, ends_at in looking.windows(delivered, at).items():
            row = folding.rows[one]
            row.window_ends_at = ends_at
            if ends_at is None:
                # That block does not know of the delivery. Without its window nobody would ever settle it, so it comes
                # first when rows are compared.
                row.look, row.checked_at = True, 0.0
            put_due(row, folding.kernel)
    repairs: list[Repair] = []
    for one, seen in (looking.states(unclear, at) if unclear else {}).items():
        known = folding.rows.get(one)
        if seen is None:
            if known is not None:
                known.look = False  # it is of a block that is gone, which the next page finds
            continue
        if known is None:
            folding.rows[one] = from_state(seen, folding.kernel, at.number)
            folding.made.add(one)
            folding.touched[one] = None
            repairs.append(Repair(one, {_NOBODY_SAW: (None, seen.record.state.name)}))
            continue
        found = differences(known, seen, folding.kernel)
        short = seen.record.state.final and known.paid != known.funded
        adopt(known, seen, folding.kernel, at.number)
        if short or _news(found):
            known.repaired = True
            repairs.append(Repair(one, found))
    return repairs


def _news(found: dict[str, tuple[object, object]]) -> bool:
    """Whether more differs than a window, which no event tells."""
    return any(name != "window_ends_at" for name in found)


def _counted(unknown: Iterable[Log]) -> list[Unknown]:
    counts: dict[str, Unknown] = {}
    for log in unknown:
        topic = log.topics[0].lower() if log.topics else ""
        before = counts.get(topic)
        first = (log.block_number, log.tx_hash) if before is None else (before.first_block, before.first_tx)
        counts[topic] = Unknown(topic, 1 if before is None else before.number + 1, *first)
    return list(counts.values())
