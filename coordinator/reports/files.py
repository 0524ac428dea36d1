"""Reports for programs and for spreadsheets.

JSON has ints of base units, wei as text (they are too large for many a program), and unix seconds. CSV has decimals
of whole USDC, in rows about gas of whole ETH, and times of UTC; a text that a spreadsheet would take for a formula has
an apostrophe in front of it there.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from coordinator.budget.wording import decimals
from coordinator.reports.overtime import Timeline
from coordinator.reports.summary import Gas, Line, Summary

__all__ = ["summary_csv", "summary_json", "timeline_csv", "timeline_json"]

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def summary_json(summary: Summary) -> str:
    """A summary as one JSON document."""
    return _json(
        {
            "chain_id": summary.chain_id,
            "wallet": summary.wallet,
            "token": summary.token,
            "at": summary.at,
            "total_budget": summary.total_budget,
            "total_spent": summary.spent,
            "reserved": summary.reserved,
            "remaining": summary.remaining,
            "agents": [_line(one) for one in summary.agents],
            "categories": [_line(one) for one in summary.categories],
            "pending_approvals": [
                {
                    "approval_id": one.approval_id,
                    "agent": one.agent,
                    "amount": one.amount,
                    "provider": one.provider,
                    "category": one.category,
                    "yes": one.yes,
                    "required": one.required,
                    "expires_at": one.expires_at,
                }
                for one in summary.waiting
            ],
            "frozen": [
                {
                    "kind": one.scope.kind.value,
                    "key": one.scope.key,
                    "period": one.scope.period.value,
                    "unit": one.scope.unit,
                    "reason": one.reason,
                }
                for one in summary.frozen
            ],
            "paused": [
                {"agent": one.agent, "at": one.at, "by": one.by, "reason": one.reason} for one in summary.paused
            ],
            "gas_wei": None if summary.gas is None else _gas(summary.gas),
        }
    )


def timeline_json(timeline: Timeline) -> str:
    """A timeline as one JSON document."""
    return _json(
        {
            "start": timeline.start,
            "seconds": timeline.seconds,
            "starts": list(timeline.starts()),
            "agents": {agent: list(amounts) for agent, amounts in timeline.amounts.items()},
        }
    )


def summary_csv(summary: Summary) -> str:
    """A row for each budget: its whole time first, then each window that starts again, then requests that wait, then
    gas.
    """
    rows: list[Sequence[object]] = [
        ("total", "", "ever", "", _usdc(summary.total_budget), _usdc(summary.spent), _usdc(summary.reserved), "")
    ]
    for kind, lines in (("agent", summary.agents), ("category", summary.categories)):
        for one in lines:
            ever = (_usdc(one.limit), _usdc(one.spent), _usdc(one.reserved), "")
            rows.append((kind, _text(one.name), "ever", "", *ever))
            for window in one.windows:
                since = "" if window.since is None else _time(window.since)
                amounts = (_usdc(window.limit), "", "", _usdc(window.used))
                rows.append((kind, _text(one.name), window.period.value, since, *amounts))
    for ask in summary.waiting:
        rows.append(("approval", _text(ask.approval_id), "", "", "", "", _usdc(ask.amount), ""))
    units = ["USDC"] * len(rows)
    if summary.gas is not None:
        rows += _gas_rows(summary.gas)
    units += ["ETH"] * (len(rows) - len(units))
    names = ("kind", "name", "period", "since", "limit", "spent", "reserved", "used", "unit")
    return _csv(names, [(*row, unit) for row, unit in zip(rows, units, strict=True)])


def timeline_csv(timeline: Timeline) -> str:
    """A row for each agent and step in which it has spent something."""
    rows = [
        (_time(start), _text(agent), _usdc(amount))
        for agent, amounts in timeline.amounts.items()
        for start, amount in zip(timeline.starts(), amounts, strict=True)
        if amount
    ]
    return _csv(("since", "agent", "spent"), sorted(rows))


def _gas_rows(gas: Gas) -> list[Sequence[object]]:
    rows: list[Sequence[object]] = [("gas", "", "ever", "", "", _ether(gas.spent), _ether(gas.reserved), "")]
    window = gas.window
    if window is not None:
        since = "" if window.since is None else _time(window.since)
        rows.append(("gas", "", window.period.value, since, _ether(window.limit), "", "", _ether(window.used)))
    return rows


def _gas(gas: Gas) -> dict[str, Any]:
    window = gas.window
    return {
        "balance": str(gas.balance),
        "reserved": str(gas.reserved),
        "spent": str(gas.spent),
        "window": None
        if window is None
        else {
            "period": window.period.value,
            "since": window.since,
            "used": str(window.used),
            "limit": str(window.limit),
        },
    }


def _line(one: Line) -> dict[str, Any]:
    return {
        "name": one.name,
        "spent": one.spent,
        "reserved": one.reserved,
        "limit": one.limit,
        "windows": [
            {"period": window.period.value, "since": window.since, "used": window.used, "limit": window.limit}
            for window in one.windows
        ],
    }


def _json(content: dict[str, Any]) -> str:
    return json.dumps(content, indent=2, ensure_ascii=True) + "\n"


def _csv(names: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow(names)
    writer.writerows(rows)
    return written.getvalue()


def _usdc(amount: int | None) -> str:
    return "" if amount is None else decimals(amount)


def _ether(wei: int) -> str:
    return decimals(wei, 18)


def _time(at: int) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%SZ}"


def _text(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) else text
