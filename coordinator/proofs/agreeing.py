"""What the parts of one proof say of one another: who asked for what, what was decided, and how it ended."""

from __future__ import annotations

from actp.errors import ActpError
from actp.units import hash_or_keccak
from coordinator.canonical import digest
from coordinator.intents import parse
from coordinator.intents.models import Intent
from coordinator.proofs import asking
from coordinator.proofs.accounting import check_accounts
from coordinator.proofs.claims import Execution, PolicyClaim, ProofClaim
from coordinator.proofs.reporting import Findings, Path
from coordinator.proofs.signed import check_signed
from coordinator.types import RiskTier, Ruling, Stage

__all__ = ["check_agreement"]


def check_agreement(claim: ProofClaim, found: Findings) -> None:
    """Everything in a proof that follows from other parts of it."""
    intent = _check_intent(claim, found)
    if claim.policy is not None:
        _check_policy(claim.index, claim.policy, found)
    _check_stage(claim, found)
    if claim.execution is not None:
        _check_execution(claim, claim.execution, found)
        check_signed(claim, claim.execution, intent, found)
        if claim.execution.delta is not None:
            check_accounts(claim, claim.execution, claim.execution.delta, found)


def _check_intent(claim: ProofClaim, found: Findings) -> Intent | None:
    """The intent, if its body is one."""
    index, head, said = claim.index, claim.head, claim.intent
    at: Path = ("parts", "intent")
    asked = (head.agent, head.key) == (said.agent, said.key)
    found.fact(index, ("head", "agent"), "asked by", "the head names who asked, and under which key", asked)
    found.fact(index, (*at, "bodyHash"), "bodyHash", "the body has this hash", digest(said.body) == said.body_hash)
    typed = said.body.get("type") == head.type.value
    found.fact(index, ("head", "type"), "type", "the body is of this type", typed)
    try:
        intent = parse(head.type, {name: value for name, value in said.body.items() if name != "type"})
    except ActpError as error:
        found.wrong(index, (*at, "body"), "body", error.message)
        return None
    wanted = asking.texts(intent)
    hashed = all(hash_or_keccak(text) == name for name, text in said.texts.items())
    # What never came to be built has no texts yet.
    whole = said.texts == wanted or (not said.texts and claim.simulation is None)
    found.fact(index, (*at, "texts"), "texts", "the texts are the body's, each by its hash", hashed and whole)
    return intent


def _check_policy(index: int, policy: PolicyClaim, found: Findings) -> None:
    """The decision follows from its reasons."""
    at: Path = ("parts", "policy")
    rulings = [reason.decision for reason in policy.reasons]
    if Ruling.DENY in rulings:
        decision, tier = Ruling.DENY, RiskTier.HIGH
    elif rulings:
        decision, tier = (Ruling.ALLOW if policy.approved_by else Ruling.REQUIRE_APPROVAL), RiskTier.MEDIUM
    else:
        decision, tier = Ruling.ALLOW, RiskTier.LOW
    text = "the reasons lead to this decision"
    found.fact(index, (*at, "decision"), "decision", text, policy.decision is decision)
    if policy.decision is Ruling.ALLOW and Ruling.REQUIRE_APPROVAL in rulings:
        text = "somebody is named who approved it"
        found.fact(index, (*at, "approvedBy"), "approval", text, bool(policy.approved_by))
    found.fact(index, (*at, "riskTier"), "risk tier", "the reasons lead to this risk tier", policy.risk_tier is tier)
    text = "the version of the policy is named"
    found.fact(index, (*at, "policyVersion"), "policyVersion", text, bool(policy.policy_version))


def _check_stage(claim: ProofClaim, found: Findings) -> None:
    """How far it got is how far its parts go."""
    index, head, policy, simulation = claim.index, claim.head, claim.policy, claim.simulation
    ended_well = head.outcome is Stage.CONFIRMED
    told = (head.failed_at is None) == ended_well and (head.code is None) == ended_well
    found.fact(index, ("head", "code"), "code", "it says where and why it failed, exactly if it did", told)
    decided = None if policy is None else policy.decision
    simulated = None if simulation is None else simulation.ok
    reached = head.failed_at or Stage.CONFIRMED
    allowed = {
        Stage.PENDING: decided is None,
        # What is judged again, and ends before it is, has the earlier decision.
        Stage.SIMULATING: decided is not Ruling.DENY,
        Stage.POLICY_EVAL: decided is Ruling.DENY,
        Stage.APPROVAL_GATE: decided is Ruling.REQUIRE_APPROVAL,
    }.get(reached, decided is Ruling.ALLOW)
    text = f"the policy's decision is one with which it got to {reached.value}"
    found.fact(index, ("parts", "policy"), "policy", text, allowed)
    passed = {
        Stage.PENDING: simulated is None,
        Stage.SIMULATING: (simulated is True) == (decided is not None),
        # What the policy denies whatever the allowance is, is denied before it can be simulated.
        Stage.POLICY_EVAL: simulated is not False,
    }.get(reached, simulated is True)
    text = f"its simulation is one with which it got to {reached.value}"
    found.fact(index, ("parts", "simulation"), "simulation", text, passed)
    if simulation is not None:
        text = "whether its block was below the one that mined it is told, exactly if one did"
        placed = (simulation.on_chain is None) == (claim.execution is None)
        found.fact(index, ("parts", "simulation", "onChain"), "onChain", text, placed)
        text = "a simulation that was refused says why, and shows no logs"
        told = simulation.ok or (simulation.code is not None and not simulation.logs)
        found.fact(index, ("parts", "simulation", "code"), "refusal", text, told)
        text = "logs are there only where the node tells some"
        found.fact(index, ("parts", "simulation", "logs"), "logs", text, simulation.has_logs or not simulation.logs)
    ends = {Stage.CONFIRMED, Stage.SUBMITTING} if claim.execution is not None else set(Stage) - {Stage.CONFIRMED}
    text = "it was mined exactly if it got that far" if claim.execution is not None else "without a receipt it failed"
    found.fact(index, ("head", "outcome"), "ended", text, reached in ends)
    if claim.execution is None:
        text = "nothing was mined for it"
        mined = (head.tx_hash, head.block, head.verdict) != (None, None, None)
        found.fact(index, ("head", "txHash"), "not mined", text, not mined)


def _check_execution(claim: ProofClaim, execution: Execution, found: Findings) -> None:
    """Outcome and head follow from receipt and verdict."""
    index, head, receipt, delta = claim.index, claim.head, execution.receipt, execution.delta
    verdict = None if delta is None else delta.verdict
    text = "the head names the same eth transaction"
    found.fact(index, ("head", "txHash"), "txHash", text, head.tx_hash == receipt.tx_hash)
    found.fact(index, ("head", "block"), "mined in", "the head names the receipt's block", head.block == receipt.block)
    found.fact(
        index, ("head", "verdict"), "verdict", "the head names the delta guard's verdict", head.verdict == verdict
    )
    if verdict == "breach":
        outcome, code = Stage.FAILED, "delta_breach"
    elif not receipt.succeeded:
        outcome, code = Stage.FAILED, "reverted"
    elif verdict == "incomplete":
        outcome, code = Stage.FAILED, "unverified"
    else:
        outcome, code = Stage.CONFIRMED, None
    text = "the outcome is that of receipt and verdict"
    found.fact(index, ("head", "outcome"), "outcome", text, (head.outcome, head.code) == (outcome, code))
    if delta is None:
        found.unchecked("delta guard", "Nobody compared the balances with what had to happen.")
