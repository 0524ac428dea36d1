"""An agent that buys from a shared budget."""

from __future__ import annotations

from actp.client import ACTPClient
from actp.errors import InvalidInput
from coordinator.api.coordinator import BudgetCoordinator
from coordinator.api.records import PurchaseResult, SpendingResponse
from coordinator.budget.requests import SpendingRequest

__all__ = ["BudgetedAgent"]


class BudgetedAgent:
    """Asks a coordinator for what it wants to buy, and says on standard output what came of it, unless `verbose` is
    False: it is meant for scripts and examples, where somebody watches. It holds no key; `client` is the treasury's,
    for reading.
    """

    def __init__(
        self, agent_id: str, coordinator: BudgetCoordinator, client: ACTPClient | None = None, *, verbose: bool = True
    ) -> None:
        self.agent_id = agent_id
        self.coordinator = coordinator
        self.client = client
        self.verbose = verbose

    def purchase_service(
        self,
        provider: str,
        amount: int,
        purpose: str,
        *,
        category: str | None = None,
        idempotency_key: str | None = None,
    ) -> PurchaseResult:
        """Asks for `amount` base units, and waits until they are in escrow. What cannot be asked for (of a provider
        that is no address, say) is a result, as a denial is; otherwise raises as `request_spending`.
        """
        self._say(f"🤖 Agent {self.agent_id} requesting spend...")
        request = SpendingRequest(self.agent_id, amount, provider, purpose, category, idempotency_key)
        try:
            response = self.coordinator.request_spending(request)
        except InvalidInput as error:
            response = SpendingResponse(False, reason=error.message, rule=error.code)
        if response.approved:
            self._say(f"✅ Approved! Transaction: {response.tx_id}")
            return PurchaseResult(True, tx_id=response.tx_id)
        if response.requires_approval:
            self._say(f"⏳ Requires approval: {response.approval_id}")
            return PurchaseResult(False, error=f"Pending approval: {response.approval_id}")
        self._say(f"❌ Denied: {response.reason}")
        return PurchaseResult(False, error=response.reason)

    def _say(self, line: str) -> None:
        if self.verbose:
            print(line)
