"""The only way from one stage to another: a change that there is, from the stage that was read, and journalled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, bindparam, update

from coordinator.errors import CoordinatorError, LedgerConflict
from coordinator.store import journal
from coordinator.store.accounts import Account
from coordinator.store.schema import operations
from coordinator.types import Operation, Stage, may_move

__all__ = ["ForbiddenMove", "Move", "Step", "move"]


class ForbiddenMove(CoordinatorError):
    """There is no such change of stage."""

    default_code = "forbidden_move"


@dataclass(frozen=True, slots=True)
class Step:
    """One change of stage, and what the journal says about it."""

    stage: Stage
    event: str
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Move:
    """An operation as it was read, and the stages that it goes through now. `values` are columns to write with it."""

    operation: Operation
    steps: tuple[Step, ...]
    values: Mapping[str, Any] = field(default_factory=dict)

    @property
    def after(self) -> Stage:
        """Where it ends."""
        return self.steps[-1].stage


def move(connection: Connection, account: Account, moves: Sequence[Move], now: float) -> None:
    """Takes operations to their next stages: all of them, or none.

    Raises ForbiddenMove, and LedgerConflict if one of them is no longer in the stage in which it was read.
    """
    entries = []
    groups: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for one in moves:
        before = one.operation.stage
        for step in one.steps:
            if not may_move(before, step.stage):
                raise ForbiddenMove(f"An operation cannot go from {before.value} to {step.stage.value}.")
            entries.append(
                journal.Entry(step.event, one.operation.agent, one.operation.id, before, step.stage, step.detail)
            )
            before = step.stage
        names = tuple(sorted(one.values))
        row = {f"b_{name}": one.values[name] for name in names}
        row |= {"b_id": one.operation.id, "b_before": one.operation.stage.value, "b_after": one.after.value}
        groups.setdefault(names, []).append(row)
    for names, rows in groups.items():
        statement = (
            update(operations)
            .where(operations.c.id == bindparam("b_id"), operations.c.stage == bindparam("b_before"))
            .values(stage=bindparam("b_after"), updated_at=now, **{name: bindparam(f"b_{name}") for name in names})
        )
        if connection.execute(statement, rows).rowcount != len(rows):
            raise LedgerConflict(
                "Another process has moved one of these operations on.",
                hint="Nothing was changed: what is left is read again.",
                retryable=True,
            )
    journal.add(connection, account, entries, now)
