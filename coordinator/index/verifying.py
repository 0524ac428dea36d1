"""Comparing rows with the chain's state: a node may leave out events, and nothing in the rest need show it."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from actp.rpc import Transport
from coordinator.index.comparing import adopt, differences, from_state
from coordinator.index.looking import Looking
from coordinator.store import Ledger, index_credits, index_escrows, index_kernels, index_records, index_undo
from coordinator.store.index_escrows import Escrow
from coordinator.store.index_kernels import IndexedKernel
from coordinator.store.index_records import Repair

__all__ = ["compare", "compare_books"]

_log = logging.getLogger(__name__)
BOOKS = "books"
"""What a repair of fees and credits is about, instead of an escrow."""


def compare(
    ledger: Ledger, transport: Transport, kernel: IndexedKernel, rows: Sequence[Escrow], missing: Sequence[str] = ()
) -> list[Repair] | None:
    """Compares rows with the state of the block up to which the kernel is read, and makes them what it says; makes rows
    of `missing` escrows that it knows. Returns what was put right; None if the node has moved on and cannot be asked
    for that block. Raises LedgerConflict, RpcUnavailable, StoreError with nothing changed.
    """
    looking = Looking(transport, kernel)
    at = looking.at(kernel.block)
    seen = looking.states([*(one.transaction_id for one in rows), *missing], at)
    if at.number != kernel.block.number or looking.at(kernel.block).number != kernel.block.number:
        return None
    now = ledger.now()
    repairs: list[Repair] = []
    images: dict[str, str | None] = {}
    made: list[Escrow] = []
    looked_at: list[Escrow] = []
    gone: list[str] = []
    for row in rows:
        state = seen[row.transaction_id]
        found = {"state": (row.state.name, None)} if state is None else differences(row, state, kernel)
        if not found and not row.look:
            continue
        images[row.transaction_id] = index_undo.image(row)
        if found:
            row.repaired = True
            repairs.append(Repair(row.transaction_id, found))
        if state is None:
            gone.append(row.transaction_id)
        else:
            adopt(row, state, kernel, at.number)
            looked_at.append(row)
    for one in missing:
        state = seen[one]
        if state is not None:
            made.append(from_state(state, kernel, at.number))
            made[-1].checked_at = now
            images[one] = None
            repairs.append(Repair(one, {"its creation": (None, state.record.state.name)}))
    with ledger.write() as connection:
        if images:
            index_kernels.move(connection, kernel)
            index_undo.keep(connection, kernel, kernel.block.number, index_undo.Before(images, {}))
            index_escrows.drop(connection, kernel.id, gone)
            index_escrows.add(connection, made)
            index_escrows.write(connection, looked_at)
            index_records.add_repairs(connection, kernel.id, kernel.block.number, repairs, now)
        index_escrows.note_checked(connection, kernel.id, [one.transaction_id for one in rows], now)
    for repair in repairs:
        _log.warning(
            "Escrow %s was not what the chain's state says, which counts: %s.",
            repair.transaction_id, ", ".join(repair.differences),
        )  # fmt: skip
    return repairs


def compare_books(ledger: Ledger, transport: Transport, kernel: IndexedKernel, most: int) -> list[Repair] | None:
    """As `compare`, for the fees of a kernel of ours and at most so many of its credits."""
    if not kernel.ours:
        return []
    looking = Looking(transport, kernel)
    with ledger.read() as connection:
        owed = {one.payee: one.amount for one in index_credits.owed(connection, kernel.id, limit=most)}
    at = looking.at(kernel.block)
    fees, credits = looking.owed(list(owed), at)
    if at.number != kernel.block.number or looking.at(kernel.block).number != kernel.block.number:
        return None
    wrong = {payee: amount for payee, amount in credits.items() if amount != owed[payee]}
    if fees == kernel.fees and not wrong:
        return []
    found = {f"credit of {payee}": (owed[payee], amount) for payee, amount in wrong.items()}
    if fees != kernel.fees:
        found["fees"] = (kernel.fees, fees)
    repair = Repair(BOOKS, found)
    with ledger.write() as connection:
        index_undo.put_fees(connection, index_kernels.move(connection, kernel, fees=fees))
        before = index_undo.Before({}, {payee: str(owed[payee]) for payee in wrong})
        index_undo.keep(connection, kernel, kernel.block.number, before)
        index_credits.write(connection, kernel.id, wrong)
        index_records.add_repairs(connection, kernel.id, kernel.block.number, [repair], ledger.now())
    _log.warning("The books of the kernel %s were not what it says itself: %s.", kernel.kernel, ", ".join(found))
    return [repair]
