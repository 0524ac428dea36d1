"""From the texts of the tables back to the coordinator's data. The way there are the parts of `coordinator.proofs`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from coordinator.types import (
    AllowanceChange,
    BlockRef,
    Decision,
    Effects,
    Movement,
    Reason,
    RiskTier,
    Ruling,
    Simulation,
)

__all__ = ["block_of", "decision_of", "effects_of", "number", "simulation_of", "text"]


_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), sort_keys=True).encode


def text(value: Any) -> str:
    """JSON with sorted names and without spaces: what `coordinator.canonical` gives for all that occurs here, and many
    times faster. No hash is taken of it.
    """
    return _encode(value)


def number(value: str | None) -> int | None:
    """An amount as it is written."""
    return None if value is None else int(value)


def block_of(content: Mapping[str, Any] | None) -> BlockRef | None:
    """See `proofs.parts.block_part`."""
    return None if content is None else BlockRef(int(content["number"]), str(content["hash"]))


def effects_of(written: str) -> Effects:
    """See `proofs.parts.effects_part`."""
    content = json.loads(written)
    return Effects(
        tuple(
            Movement(one["asset"], one["source"], one["target"], int(one["amount"]), one["creditable"])
            for one in content["movements"]
        ),
        tuple(
            AllowanceChange(one["token"], one["owner"], one["spender"], number(one["to"]), int(one["used"]))
            for one in content["allowances"]
        ),
    )


def simulation_of(written: str) -> Simulation:
    """See `proofs.parts.simulation_part`."""
    content = json.loads(written)
    block = block_of(content["block"])
    assert block is not None
    return Simulation(
        ok=content["ok"],
        block=block,
        gas=number(content["gas"]),
        has_logs=content["hasLogs"],
        logs=tuple((one["address"], tuple(one["topics"]), one["data"]) for one in content["logs"]),
        code=content["code"],
        reason=content["reason"],
    )


def decision_of(written: str) -> Decision:
    """See `proofs.parts.policy_part`."""
    content = json.loads(written)
    reasons = tuple(
        Reason(one["rule"], one["message"], Ruling(one["decision"]), number(one["limit"]), number(one["used"]))
        for one in content["reasons"]
    )
    return Decision(Ruling(content["decision"]), RiskTier(content["riskTier"]), reasons, str(content["policyVersion"]))
