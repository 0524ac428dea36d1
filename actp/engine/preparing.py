"""From jobs that are due to calls that can be signed: asked of the gate, simulated, priced, affordable."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from actp.engine import fees
from actp.engine.exchange import as_quantity, ask_all
from actp.engine.fees import Fees
from actp.engine.gates import Decision, Gate
from actp.engine.intents import Job
from actp.engine.lane import Lane
from actp.engine.policy import Policy
from actp.engine.pricing import Call, Pricing
from actp.errors import ActpError, FeeTooHigh, InsufficientFunds, Reverted, RpcError
from actp.rpc import is_rate_limit

__all__ = ["Prepared", "Preparing", "SetAside"]


@dataclass(frozen=True, slots=True)
class SetAside:
    """A job that is not signed now. `final`: another try would not help; `held`: it waits for an approval; `endless`:
    it waits for lower fees, or for the node to have time, however long that takes.
    """

    job: Job
    code: str
    reason: str
    final: bool = False
    held: bool = False
    endless: bool = False


@dataclass(frozen=True, slots=True)
class Prepared:
    """What can be signed, in order, and what cannot."""

    calls: tuple[Call, ...]
    aside: tuple[SetAside, ...]


class Preparing:
    """Prepares the jobs of one lane."""

    def __init__(self, lane: Lane, pricing: Pricing, policy: Policy, gate: Gate | None) -> None:
        self._lane = lane
        self._pricing = pricing
        self._policy = policy
        self._gate = gate
        self._fees: Fees | FeeTooHigh | None = None
        self._fees_at = 0.0

    def run(self, jobs: Sequence[Job]) -> Prepared:
        """Raises RpcError, RpcUnavailable, FeeTooHigh with nothing decided."""
        offered = self.offered()
        aside: list[SetAside] = []
        allowed = [job for job in jobs if self._allows(job, aside)]
        limits = self._limits(allowed, aside)
        calls = []
        for job in allowed:
            if job.id in limits:
                one = job.intent
                calls.append(Call(one.to, one.data, one.value, limits[job.id], offered, job.id))
        affordable = self._affordable(calls, {job.id: job for job in allowed}, aside)
        return Prepared(tuple(affordable), tuple(aside))

    def offered(self) -> Fees:
        """Today's fees, not older than the policy allows. Raises FeeTooHigh, RpcError, RpcUnavailable."""
        now = self._lane.store.clock.monotonic()
        if self._fees is None or now - self._fees_at >= self._policy.fees_for:
            try:
                self._fees = self._pricing.fees()
            except FeeTooHigh as error:
                self._fees = error
            self._fees_at = now
        if isinstance(self._fees, FeeTooHigh):
            raise self._fees.with_traceback(None)
        return self._fees

    def _allows(self, job: Job, aside: list[SetAside]) -> bool:
        if self._gate is None:
            return True
        try:
            said = self._gate.decide(job)
        except ActpError as error:
            aside.append(SetAside(job, error.code, error.message))
            return False
        if said.decision is Decision.ALLOW:
            return True
        code = "held" if said.decision is Decision.HOLD else "denied"
        aside.append(SetAside(job, code, said.reason, final=code == "denied", held=code == "held"))
        return False

    def _limits(self, jobs: Sequence[Job], aside: list[SetAside]) -> dict[int, int]:
        """Gas limits by job; jobs whose call would revert get none, because they are not sent."""
        limits = {job.id: job.intent.gas for job in jobs if job.intent.gas is not None}
        asked = [job for job in jobs if job.intent.gas is None]
        answers = ask_all(
            self._pricing.transport,
            [
                ("eth_estimateGas", [self._pricing.simulation(job.intent.to, job.intent.data, job.intent.value)])
                for job in asked
            ],
        )
        for job, answer in zip(asked, answers, strict=True):
            if not isinstance(answer, RpcError):
                limits[job.id] = self._pricing.limit(as_quantity(answer, "eth_estimateGas"))
                continue
            if is_rate_limit(answer):
                aside.append(SetAside(job, "rate_limited", answer.message, endless=True))
                continue
            refused = self._pricing.refused_estimate(answer, job.intent.value)
            # What is open now, or signed together with it, may be what the call needs to be mined first, such as an
            # approval of tokens.
            final = isinstance(refused, Reverted) and not limits and not self._lane.opened()
            code, reason = (
                (refused.code, refused.message) if isinstance(refused, ActpError) else ("refused", str(refused))
            )
            aside.append(SetAside(job, code, reason, final=final))
        return limits

    def _affordable(self, calls: Sequence[Call], jobs: dict[int, Job], aside: list[SetAside]) -> list[Call]:
        if not calls:
            return []
        left = fees.balance(self._pricing.transport, self._pricing.address) - sum(
            one.fields.value + one.fields.gas * one.fields.max_fee_per_gas for one in self._lane.opened()
        )
        taken = []
        costs: dict[tuple[int, bytes], fees.Cost] = {}
        for call in calls:
            cost = costs.get((call.gas, call.data))
            try:
                cost = cost or fees.total_cost(
                    self._pricing.transport,
                    call.fees,
                    call.gas,
                    fees.stand_in(call.data),
                    chain_id=self._pricing.chain_id,
                )
                costs[call.gas, call.data] = cost
                self._pricing.policy.require(cost)
            except FeeTooHigh as error:
                aside.append(SetAside(jobs[call.intent_id], error.code, error.message, endless=True))
                continue
            needs = call.value + cost.total
            if needs > left:
                short = InsufficientFunds(self._pricing.address, asset="ETH", has=max(left, 0), needs=needs)
                aside.append(SetAside(jobs[call.intent_id], short.code, short.message))
                continue
            left -= needs
            taken.append(call)
        return taken
