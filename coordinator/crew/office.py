"""The coordinator at work: agents ask, rules answer, and where they say so a scripted approver does."""

from __future__ import annotations

from collections.abc import Sequence

from actp.errors import ActpError
from coordinator.api import BudgetCoordinator, SpendingRequest, SpendingResponse
from coordinator.crew.rules import APPROVER, rule_book
from coordinator.crew.scenario import Purchase, Scenario
from coordinator.crew.spenders import Denied
from coordinator.crew.stage import Stage

__all__ = ["OPERATOR", "Office"]

OPERATOR = "operator"
_DENIED_SECONDS = 86_400


class Office:
    """Asks the coordinator for what the agents of a scenario want. It decides and funds nothing: the treasury's worker
    does that, as another process would.
    """

    def __init__(self, scenario: Scenario, stage: Stage) -> None:
        self._scenario = scenario
        self._stage = stage
        addresses = {own_id: client.address for own_id, client in stage.providers.items()}
        self._coordinator = BudgetCoordinator(
            stage.treasury, rules=rule_book(scenario, addresses), store=stage.store, worker=False, by="scenario"
        )
        self._asked: dict[str, SpendingResponse] = {}
        self.denials: dict[str, str | None] = {}
        """The rule that denied each request of those that have to be denied, by its id."""

    def close(self) -> None:
        """Lets go of the ledger."""
        self._coordinator.close()

    def ask(self, purchase: Purchase) -> list[SpendingResponse]:
        """Asks for every copy of a purchase, each under a key of its own: asking again changes nothing. Raises
        ActpError if one is denied.
        """
        answers = [self._coordinator.request_spending(one, wait=False) for one in self._requests(purchase)]
        for answer in answers:
            if not (answer.approved or answer.requires_approval):
                raise ActpError(
                    f"Purchase {purchase.id!r} was denied by {answer.rule}: {answer.reason}", code="scenario"
                )
        return answers

    def approve(self, purchase: Purchase) -> list[SpendingResponse]:
        """The scripted approver says yes to every copy. Raises ActpError if that grants nothing."""
        answers = []
        for waiting in self.ask(purchase):
            if waiting.approval_id is None:
                raise ActpError(f"Nobody asks for an approval of purchase {purchase.id!r}.", code="scenario")
            answer = self._coordinator.approve_spending(waiting.approval_id, APPROVER, "as it should be", wait=False)
            if not answer.approved:
                raise ActpError(f"Purchase {purchase.id!r} was not granted: {answer.reason}", code="scenario")
            answers.append(answer)
        return answers

    def ask_in_vain(self, denied: Denied) -> SpendingResponse:
        """Asks for what the rules deny, or what waits for an approval that nobody gives."""
        answer = self._coordinator.request_spending(
            SpendingRequest(
                agent_id=denied.agent,
                amount=denied.amount,
                provider=self._stage.providers[denied.provider].address,
                purpose=denied.purpose,
                category=denied.category,
                idempotency_key=denied.id,
                deadline_seconds=_DENIED_SECONDS,
            ),
            wait=False,
        )
        self._asked[denied.id] = answer
        self.denials[denied.id] = answer.rule
        return answer

    def reject(self, denied: Denied) -> SpendingResponse:
        """The scripted approver says no."""
        answer = self._coordinator.reject_spending(self._approval_of(denied), "not needed", APPROVER)
        self.denials[denied.id] = answer.rule
        return answer

    def look_at(self, denied: Denied) -> SpendingResponse:
        """What has become of a request to which nobody has said anything."""
        number = self._asked[denied.id].reservation_id
        assert number is not None
        answer = self._coordinator.find(number)
        self.denials[denied.id] = answer.rule
        return answer

    def pause(self, agent: str) -> None:
        """The operator stops an agent."""
        self._coordinator.pause(agent, reason="to look at what it does", by=OPERATOR)

    def resume(self, agent: str) -> None:
        """The operator lets it go on."""
        self._coordinator.resume(agent, reason="all is well", by=OPERATOR)

    def _approval_of(self, denied: Denied) -> str:
        answer = self._asked[denied.id]
        if answer.approval_id is None:
            raise ActpError(
                f"Request {denied.id!r} waits for nobody: {answer.reason or 'it was granted.'}", code="scenario"
            )
        return answer.approval_id

    def _requests(self, purchase: Purchase) -> Sequence[SpendingRequest]:
        return [
            SpendingRequest(
                agent_id=purchase.agent,
                amount=purchase.amount,
                provider=self._stage.providers[purchase.provider].address,
                purpose=purchase.purpose,
                category=purchase.category,
                idempotency_key=f"{purchase.id}/{copy}",
                deadline_seconds=purchase.deadline_seconds,
                dispute_window=purchase.dispute_window_seconds,
            )
            for copy in range(1, purchase.copies + 1)
        ]
