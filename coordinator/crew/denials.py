"""Takes the steps of a plan about requests that are denied."""

from __future__ import annotations

from coordinator.api import SpendingResponse
from coordinator.crew.office import OPERATOR, Office
from coordinator.crew.plan import Action, PlannedRequest
from coordinator.crew.records import Decision, Step
from coordinator.crew.rules import APPROVER
from coordinator.crew.scenario import Scenario
from coordinator.crew.stage import Stage

__all__ = ["Denials"]


class Denials:
    """Asks for what has to be denied, and reports the answers."""

    def __init__(self, scenario: Scenario, stage: Stage, office: Office) -> None:
        self._scenario = scenario
        self._stage = stage
        self._office = office

    def take(self, planned: PlannedRequest) -> Step:
        """Takes a step. Raises ActpError if there is nothing to answer."""
        denied, office = planned.denied, self._office
        agent = self._scenario.name_of_agent(denied.agent)
        match planned.action:
            case Action.PAUSE:
                office.pause(denied.agent)
                return self._step(planned, OPERATOR)
            case Action.RESUME:
                office.resume(denied.agent)
                return self._step(planned, OPERATOR)
            case Action.REJECT:
                return self._step(planned, APPROVER, office.reject(denied))
            case Action.EXPIRE:
                return self._step(planned, agent, office.look_at(denied))
            case _:
                return self._step(planned, agent, office.ask_in_vain(denied))

    def _step(self, planned: PlannedRequest, actor: str, answer: SpendingResponse | None = None) -> Step:
        denied = planned.denied
        return Step(
            self._stage.now(),
            planned.action,
            actor,
            denied.amount if planned.action is Action.REQUEST else None,
            purchase_id=denied.id,
            agent=self._scenario.name_of_agent(denied.agent),
            provider=self._scenario.provider(denied.provider).name,
            text=denied.purpose,
            category=denied.category,
            decision=None if answer is None else _decision(answer),
            rule=None if answer is None else answer.rule,
            reason="" if answer is None else answer.reason or "",
        )


def _decision(answer: SpendingResponse) -> Decision:
    if answer.approved:
        return Decision.GRANTED
    if answer.requires_approval:
        return Decision.WAITING
    return Decision.EXPIRED if answer.state == "expired" else Decision.DENIED
