"""The delta guard: what was signed, what the receipts say and what the balances say must agree to the last unit."""

from __future__ import annotations

from coordinator.guard.evidence import (
    Due,
    Examination,
    Finding,
    Kind,
    Place,
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
    "Due",
    "Examination",
    "Finding",
    "Kind",
    "Place",
    "Point",
    "Scope",
    "Sent",
    "State",
    "TxVerdict",
    "Verdict",
    "Watched",
]
