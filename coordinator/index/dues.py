"""What anybody may do about an escrow, and from which second on. Pure."""

from __future__ import annotations

from actp.types import State
from coordinator.store.index_escrows import Escrow
from coordinator.store.index_kernels import IndexedKernel
from coordinator.store.index_words import Due

__all__ = ["put_due"]

_UNDER_WAY = (State.COMMITTED, State.IN_PROGRESS)


def put_due(escrow: Escrow, kernel: IndexedKernel) -> None:
    """Writes `open`, `due_kind` and `due_at` of an escrow that is otherwise complete. The last second of a window, a
    deadline or a time-out still belongs to it.
    """
    escrow.open = not escrow.state.final
    escrow.due_kind = escrow.due_at = None
    after: int | None = None
    if escrow.state is State.DELIVERED:
        escrow.due_kind, after = Due.SETTLE, escrow.window_ends_at
    elif escrow.state is State.DISPUTED:
        escrow.due_kind, after = Due.CLOSE, escrow.dispute_ends_at
    elif escrow.state in _UNDER_WAY and kernel.ours and escrow.funded and not escrow.remaining:
        # What milestones have paid or refunded in full is settled by anybody, at once.
        escrow.due_kind, escrow.due_at = Due.SETTLE, escrow.last_at or escrow.created_at
        return
    elif escrow.state in _UNDER_WAY and kernel.grace_seconds is not None:
        escrow.due_kind, after = Due.REFUND, escrow.deadline + kernel.grace_seconds
    if after is None:
        escrow.due_kind = None
    else:
        escrow.due_at = after + 1
