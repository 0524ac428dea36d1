"""One operation on its way to a decision, and what is written once it is decided. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from actp.engine import Intent as EngineIntent
from coordinator.intents import Built, Spending
from coordinator.lifecycle.costs import gas_limit
from coordinator.policy import MISSING_FACT, RULE_FAILED
from coordinator.store.decisions import Decided
from coordinator.store.moving import Move, Step
from coordinator.types import Decision, Effects, Operation, Reason, Ruling, Simulation, Stage

__all__ = ["Case", "allowing", "asking", "code_of", "failing", "job_of", "ruling_of"]


@dataclass(slots=True)
class Case:
    """One operation on its way to a decision. `failure` is (stage, code, reason)."""

    operation: Operation
    intent: Spending
    approved_by: str | None = None
    built: Built | None = None
    draws: int = 0
    most_fee: int | None = None
    simulation: Simulation | None = None
    decision: Decision | None = None
    failure: tuple[Stage, str, str] | None = None
    allowed_at: float | None = None
    """When it was committed that it is allowed."""

    @property
    def effects(self) -> Effects:
        """What must happen."""
        return Effects() if self.built is None else self.built.effects

    @property
    def decided(self) -> Decided:
        """How far it got."""
        call, texts = (None, {}) if self.built is None else (self.built.call, self.built.texts)
        return Decided(self.operation.id, call, self.effects, texts, self.simulation, self.decision, self.approved_by)


def ruling_of(case: Case) -> Ruling:
    """What the policy said."""
    assert case.decision is not None
    return case.decision.ruling


def code_of(reason: Reason) -> str:
    """What the denial is called: the rule, unless it could not judge."""
    return next((code for code in (RULE_FAILED, MISSING_FACT) if reason.message.startswith(code)), reason.rule)


def job_of(case: Case) -> tuple[str, EngineIntent]:
    """Key and call for the engine's outbox."""
    assert case.built is not None
    assert case.simulation is not None
    call = case.built.call
    return f"op-{case.operation.id}", EngineIntent(call.to, call.data, call.value, gas_limit(case.simulation))


def _steps(case: Case, last: Stage, event: str, detail: Mapping[str, Any]) -> tuple[Step, ...]:
    """The stages up to `last`, from wherever the operation was."""
    steps = []
    if case.operation.stage is Stage.PENDING:
        steps.append(Step(Stage.SIMULATING, "built" if case.built is not None else "building"))
    if last in (Stage.APPROVAL_GATE, Stage.SIGNING) or (
        case.failure is not None and case.failure[0] is Stage.POLICY_EVAL
    ):
        steps.append(Step(Stage.POLICY_EVAL, "simulated"))
    return (*steps, Step(last, event, detail))


def _about(case: Case) -> dict[str, Any]:
    """The columns that say what it is about."""
    built = case.built
    if built is None or built.subject.transaction_id is None:
        return {}
    return {"transaction_id": built.subject.transaction_id}


def failing(case: Case) -> Move:
    """It ends here."""
    assert case.failure is not None
    stage, code, reason = case.failure
    detail: dict[str, Any] = {"code": code, "reason": reason}
    event = "failed"
    if case.decision is not None:
        event = "denied"
        detail |= {"policyVersion": case.decision.policy_version, "rules": [one.rule for one in case.decision.reasons]}
    values = {"code": code, "reason": reason, "failed_at": stage.value, "final": True, **_about(case)}
    return Move(case.operation, _steps(case, Stage.FAILED, event, detail), values)


def asking(case: Case) -> Move:
    """It waits for somebody's yes."""
    assert case.decision is not None
    reasons = " ".join(one.message for one in case.decision.reasons)
    detail = {
        "policyVersion": case.decision.policy_version,
        "rules": [one.rule for one in case.decision.reasons],
        "reason": reasons,
    }
    values = {"code": "approval_required", "reason": reasons, **_about(case)}
    return Move(case.operation, _steps(case, Stage.APPROVAL_GATE, "approval_asked", detail), values)


def allowing(case: Case, outbox_id: int, now: float) -> Move:
    """It is the engine's to sign, under this number."""
    assert case.built is not None
    assert case.decision is not None
    subject = case.built.subject
    detail = {"policyVersion": case.decision.policy_version, "outboxId": outbox_id}
    values = {
        "code": None,
        "reason": None,
        "transaction_id": subject.transaction_id,
        "outbox_id": outbox_id,
        "decided_at": now,
        "contract": case.built.call.to,
        "asset": subject.asset,
        "amount": str(subject.amount),
        "counterparty": subject.counterparty,
        "locks": subject.locks,
        "draws": str(case.draws),
        "most_fee": None if case.most_fee is None else str(case.most_fee),
    }
    return Move(case.operation, _steps(case, Stage.SIGNING, "allowed", detail), values)
