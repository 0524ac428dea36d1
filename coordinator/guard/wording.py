"""The evidence of a verdict as JSON data, and the notes on it that mean something to whoever checks it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from coordinator.canonical import amount
from coordinator.guard.comparing import due
from coordinator.guard.evidence import Holding
from coordinator.guard.happenings import Happened
from coordinator.types import BlockRef

__all__ = ["DERIVED_AGAIN", "NOT_DERIVED", "deltas_json", "tx_evidence", "variance_bps"]

DERIVED_AGAIN = "Others changed what it does before it was mined: this is derived again for its place."
"""The note on a verdict whose E is not of what was decided, but of what had to happen where it was mined."""
NOT_DERIVED = "What it had to do cannot be derived again"
"""How the note begins on a verdict whose E may be such, which nobody can tell."""
_WORST = 10**9
"""Beyond this nobody cares, and numbers in canonical JSON have an end."""


def tx_evidence(
    happened: Happened,
    expected: Mapping[Holding, int],
    actual: Mapping[Holding, int],
    since: BlockRef,
    until: BlockRef,
    before: Mapping[Holding, int],
    after: Mapping[Holding, int],
    residual: Mapping[Holding, int],
    seen: Iterable[Holding],
) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """E, R and B; see TxVerdict for their form."""
    known = [holding for holding in seen if holding in before and holding in after]
    return (
        {
            "deltas": deltas_json(expected),
            "allowances": [
                {
                    "token": change.token,
                    "owner": change.owner,
                    "spender": change.spender,
                    "to": amount(change.to),
                    "used": str(change.used),
                }
                for change in due(happened)[0].allowances
            ],
        },
        {
            "status": "succeeded" if happened.succeeded else "reverted",
            "fee": amount(happened.fee),
            "l1_fee": amount(happened.l1_fee),
            "operator_fee": amount(happened.operator_fee),
            "deltas": deltas_json(actual),
        },
        {
            "before": since.number,
            "after": until.number,
            "deltas": deltas_json({holding: after[holding] - before[holding] for holding in known}),
            "residual": deltas_json({holding: residual[holding] for holding in known if holding in residual}),
        },
    )


def deltas_json(deltas: Mapping[Holding, int]) -> dict[str, dict[str, str]]:
    """{asset: {account: change}}; zeros are kept, so that what was looked at can be told from what was not."""
    nested: dict[str, dict[str, str]] = {}
    for (account, asset), change in deltas.items():
        nested.setdefault(asset, {})[account] = str(change)
    return nested


def variance_bps(
    expected: Mapping[Holding, int],
    actual: Mapping[Holding, int],
    residual: Mapping[Holding, int],
    seen: Iterable[Holding],
) -> int:
    """How far receipt and balances are from the intent, in basis points of it, by the worst holding; 10,000 where
    nothing was expected, and never more than 10**9.
    """
    worst = 0
    for holding in seen:
        signed = expected.get(holding, 0)
        off = abs(actual.get(holding, 0) - signed) + abs(residual.get(holding, 0))
        if off:
            worst = max(worst, off * 10_000 // abs(signed) if signed else 10_000)
    return min(worst, _WORST)
