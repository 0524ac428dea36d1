"""Escrows of the index, for people and for programs."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from coordinator.commands._printing import counted, print_fields, print_json, print_lines, print_table, usdc, when

if TYPE_CHECKING:
    from coordinator.index import Index, Progress
    from coordinator.store.index_actions import Action
    from coordinator.store.index_escrows import Escrow
    from coordinator.store.index_kernels import IndexedKernel
    from coordinator.store.index_records import Repair, Unknown

__all__ = ["action_json", "escrow_json", "fields_of", "print_escrows", "report", "tell"]

_COLUMNS = ("created (UTC)", "transaction", "USDC", "left", "state", "last", "due (UTC)")


def escrow_json(one: Escrow, kernel: IndexedKernel) -> dict[str, Any]:
    """An escrow for programs: amounts in base units, chain times in unix seconds."""
    from coordinator.store import index_escrows

    row = index_escrows.columns_of(one)
    row.pop("kernel_id")
    return {
        "chain_id": kernel.chain_id, "kernel": kernel.kernel, **row, "state": one.state.name, "place": one.place,
    }  # fmt: skip


def print_escrows(found: Sequence[Escrow], kernels: Sequence[IndexedKernel], as_json: bool, *, nothing: str) -> None:
    """A list of escrows."""
    by_id = {one.id: one for one in kernels}
    if as_json:
        print_lines(escrow_json(one, by_id[one.kernel_id]) for one in found)
        return
    rows = [
        (
            when(one.created_at), one.transaction_id, usdc(one.amount), usdc(one.remaining), one.state.name,
            one.operation, _when_due(one),
        )
        for one in found
    ]  # fmt: skip
    print_table(_COLUMNS, rows, nothing=nothing)


def _when_due(one: Escrow) -> str:
    return "" if one.due_kind is None else f"{one.due_kind} {when(one.due_at)}"


def tell(one: Escrow, kernel: IndexedKernel, as_json: bool) -> None:
    """A line about an escrow to which something has happened."""
    if as_json:
        print_lines([escrow_json(one, kernel)])
    else:
        left = f"{usdc(one.remaining)} of {usdc(one.amount)} USDC"
        print(f"{when(one.last_at)}  {one.transaction_id}  {one.state.name}  {one.operation}  {left}  {_when_due(one)}")
    sys.stdout.flush()


def fields_of(
    one: Escrow, kernel: IndexedKernel, actions: Sequence[Action], repairs: Sequence[Repair]
) -> list[tuple[str, object]]:
    """Everything about one escrow, for people."""
    return [
        ("transaction", one.transaction_id),
        ("kernel", f"{kernel.kernel} on chain {kernel.chain_id}"),
        ("state", one.state.name),
        ("last", f"{one.operation} ({one.last_event}) in block {one.last_block}, {one.last_tx}"),
        ("requester", one.requester),
        ("provider", one.provider),
        ("amount", f"{usdc(one.amount)} USDC"),
        ("left", f"{usdc(one.remaining)} USDC"),
        *(
            (f"paid to the {name}", f"{usdc(amount)} USDC" if amount else None)
            for name, amount in (
                ("provider", one.paid_provider), ("requester", one.paid_requester), ("platform", one.paid_fee),
                ("mediator", one.paid_mediator),
            )
        ),
        ("created", f"{when(one.created_at)} UTC"),
        ("deadline", f"{when(one.deadline)} UTC"),
        ("delivered", _utc(one.delivered_at)),
        ("window ends", _utc(one.window_ends_at)),
        ("disputed", None if one.disputed_at is None else f"{_utc(one.disputed_at)} by {one.dispute_initiator}"),
        ("time-out", _utc(one.dispute_ends_at)),
        ("arbiter", one.arbiter),
        *(
            (f"bond of the {name}", f"{usdc(amount)} USDC of {poster}" if amount else None)
            for name, amount, poster in (
                ("requester", one.bond_requester, one.bond_requester_poster),
                ("provider", one.bond_provider, one.bond_provider_poster),
            )
        ),
        ("bond owed", f"{usdc(one.bond_owed)} USDC" if one.bond_owed else None),
        ("milestones", _parts(one)),
        ("leaves", _utc(one.cancellation_at)),
        ("ended", None if one.ended_at is None else f"{_utc(one.ended_at)}, {one.ending}"),
        ("due", _when_due(one)),
        *((f"{each.kind}", _action(each)) for each in actions),
        *(("put right", ", ".join(each.differences)) for each in repairs),
    ]  # fmt: skip


def _utc(at: int | None) -> str | None:
    return None if at is None else f"{when(at)} UTC"


def _parts(one: Escrow) -> str | None:
    if not one.parts and not one.parts_paid:
        return None
    of = f" of {one.parts}" if one.parts else ""
    paid = f"{one.parts_paid}{of} paid ({usdc(one.parts_paid_amount)} USDC)"
    return f"{paid}, {one.parts_refunded} refunded ({usdc(one.parts_refunded_amount)} USDC)" if one.parts else paid


def _action(one: Action) -> str:
    tried = "" if not one.attempts else f", failed {counted(one.attempts, 'time')}: {one.code}"
    again = f", again at {when(one.next_at)} UTC" if one.attempts else ""
    by = "" if one.operation_id is None else f", operation {one.operation_id}"
    return f"{one.state}{by}{tried}{again}"


def action_json(one: Action) -> dict[str, Any]:
    """What somebody does, or has tried to do, about an escrow, for programs."""
    return {
        "kind": one.kind, "state": one.state, "operation_id": one.operation_id, "attempts": one.attempts,
        "next_at": one.next_at, "code": one.code, "reason": one.reason, "updated_at": one.updated_at,
    }  # fmt: skip


def report(
    index: Index, progress: Progress, repairs: Sequence[Repair], unknown: Sequence[Unknown], as_json: bool
) -> None:
    """What indexing has done, and what it has come across."""
    kernel = index.kernel
    if as_json:
        print_json(
            {
                "chain_id": kernel.chain_id, "kernel": kernel.kernel, "version": kernel.version,
                "blocks": progress.blocks, "events": progress.events, "block": progress.block.number,
                "block_hash": progress.block.hash, "behind": progress.behind,
                "repaired": [one.transaction_id for one in repairs],
                "unknown_events": {one.topic: one.number for one in unknown},
            }
        )  # fmt: skip
    else:
        print_fields(
            [
                ("kernel", f"{kernel.kernel} ({kernel.version}) on chain {kernel.chain_id}"),
                ("read", f"{counted(progress.blocks, 'block')}, {counted(progress.events, 'event')}"),
                ("up to", f"block {progress.block.number} {progress.block.hash}"),
                ("left", counted(progress.behind, "block") if progress.behind else None),
                *(("put right", f"{one.transaction_id}: {', '.join(one.differences)}") for one in repairs),
                *(("not known", f"{counted(one.number, 'event')} {one.topic}") for one in unknown),
            ]
        )
    sys.stdout.flush()
