"""Rows of decisions: what an operation became, what it did when simulated, and what the policy said."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, func, insert, select

from coordinator.proofs.parts import effects_part, policy_part, simulation_part
from coordinator.store.formats import decision_of, effects_of, simulation_of, text
from coordinator.store.schema import decisions
from coordinator.types import Call, Decision, Effects, Simulation

__all__ = ["Decided", "add", "latest"]

_CHUNK = 500


@dataclass(frozen=True, slots=True)
class Decided:
    """How far an operation got before it was signed: what it never came to is None."""

    operation_id: int
    call: Call | None = None
    effects: Effects = field(default_factory=Effects)
    texts: Mapping[str, str] = field(default_factory=dict)
    simulation: Simulation | None = None
    decision: Decision | None = None
    approved_by: str | None = None


def add(connection: Connection, made: Sequence[Decided], now: float) -> None:
    """Writes decisions."""
    if made:
        connection.execute(
            insert(decisions),
            [
                {
                    "operation_id": one.operation_id,
                    "at": now,
                    "to": None if one.call is None else one.call.to,
                    "data": None if one.call is None else one.call.data,
                    "value": None if one.call is None else str(one.call.value),
                    "effects": text(effects_part(one.effects)),
                    "texts": text(dict(one.texts)),
                    "simulation": None if one.simulation is None else text(simulation_part(one.simulation)),
                    "decision": None
                    if one.decision is None
                    else text(policy_part(one.decision, approved_by=one.approved_by)),
                    "approved_by": one.approved_by,
                }
                for one in made
            ],
        )


def latest(connection: Connection, operation_ids: Sequence[int]) -> dict[int, Decided]:
    """The newest decision about each of these operations."""
    found = {}
    for start in range(0, len(operation_ids), _CHUNK):
        part = operation_ids[start : start + _CHUNK]
        newest = select(func.max(decisions.c.id)).where(decisions.c.operation_id.in_(part))
        query = select(decisions).where(decisions.c.id.in_(newest.group_by(decisions.c.operation_id)))
        found.update({one.operation_id: one for one in map(_decided, connection.execute(query))})
    return found


def _decided(row: Any) -> Decided:
    # By position, because thousands of rows are read.
    _id, operation_id, _at, to, data, value, effects, texts, simulation, decision, approved_by = row
    return Decided(
        operation_id,
        None if to is None else Call(to, bytes(data), int(value)),
        effects_of(effects),
        json.loads(texts),
        None if simulation is None else simulation_of(simulation),
        None if decision is None else decision_of(decision),
        approved_by,
    )
