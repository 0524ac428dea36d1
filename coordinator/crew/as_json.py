"""A report as one JSON document: amounts in base units, times in unix seconds, ids and addresses in full."""

from __future__ import annotations

import json
from dataclasses import asdict
from enum import Enum, IntEnum
from pathlib import Path
from typing import Any

from coordinator.crew.records import OperationLine, Report

__all__ = ["report_as_json"]


def report_as_json(report: Report) -> str:
    """The whole run. States and actions are names; what a step has nothing to say about is left out."""
    opening, books, audit = asdict(report.opening), asdict(report.books), asdict(report.audit)
    del audit["operations"]
    document = {
        "ok": report.ok,
        **opening,
        "steps": [_without_nothing(asdict(step)) for step in report.steps],
        "purchases": [
            {
                **asdict(line),
                "proved": line.purchase_id not in report.unproved,
                "operations": [_operation(one) for one in report.audit.of(line.purchase_id)],
            }
            for line in report.purchases
        ],
        "books": {
            **books,
            "budgets": [
                {**asdict(line), "spent": line.spent, "difference": line.difference} for line in report.books.budgets
            ],
            "denials": [{**asdict(line), "ok": line.ok} for line in report.books.denials],
            "agreed": report.books.agreed,
            "ok": report.books.ok,
        },
        "other_operations": [_operation(one) for one in report.audit.of(None)],
        "audit": {
            **audit,
            "checks": report.audit.checks,
            "guarded": report.audit.guarded,
            "proved": report.audit.proved,
            "explained": report.audit.explained,
            "unexplained": report.unexplained,
        },
        "vault_checks": [{**asdict(line), "ok": line.ok} for line in report.vault_lines],
        "balances": [{**asdict(line), "difference": line.difference} for line in report.balances],
        "total_after": report.total_after,
    }
    return json.dumps(_named(document), indent=2, ensure_ascii=True)


def _operation(line: OperationLine) -> dict[str, Any]:
    return {**asdict(line), "guarded": line.guarded, "proved": line.proved}


def _without_nothing(step: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in step.items() if value is not None and value != ""}


def _named(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _named(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_named(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, IntEnum):
        return value.name
    return value.value if isinstance(value, Enum) else value
