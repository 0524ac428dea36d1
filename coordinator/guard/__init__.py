"""The delta guard: what was signed, what the receipts say and what the balances say must agree to the last unit."""

from __future__ import annotations

from coordinator.guard.evidence import (
    Examination,
    Finding,
    Kind,
    Point,
    Scope,
    Sent,
    State,
    TxVerdict,
    Verdict,
    Watched,
)
from coordinator.guard.guard import DeltaGuard

__all__ = [
    "DeltaGuard",
    "Examination",
    "Finding",
    "Kind",
    "Point",
    "Scope",
    "Sent",
    "State",
    "TxVerdict",
    "Verdict",
    "Watched",
]
