"""The example of the page that this package follows, in Python, with its classes imported."""

from __future__ import annotations

import os

from actp import ACTPClient, Network
from coordinator import AgentConfig, BudgetCoordinator, BudgetedAgent


def main() -> None:
    # Initialize coordinator with treasury wallet
    coordinator_client = ACTPClient.create(network=Network.LOCAL, private_key=os.environ["TREASURY_PRIVATE_KEY"])
    # Create coordinator with $1000 budget
    coordinator = BudgetCoordinator(
        client=coordinator_client,
        total_budget=1_000_000_000,  # $1000 in USDC (6 decimals)
    )
    # Register agents with their limits
    coordinator.register_agent(
        AgentConfig(
            id="research-agent",
            name="Research Agent",
            address="0x1111...",
            spending_limit=100_000_000,  # $100 per transaction
            daily_limit=300_000_000,  # $300 per day
            requires_approval=50_000_000,  # Auto-approve under $50
        )
    )
    coordinator.register_agent(
        AgentConfig(
            id="data-agent",
            name="Data Acquisition Agent",
            address="0x2222...",
            spending_limit=200_000_000,
            daily_limit=500_000_000,
            requires_approval=100_000_000,
        )
    )
    coordinator.register_agent(
        AgentConfig(
            id="compute-agent",
            name="Compute Agent",
            address="0x3333...",
            spending_limit=500_000_000,
            daily_limit=1_000_000_000,
            requires_approval=200_000_000,
        )
    )
    # Create budgeted agents
    research_agent = BudgetedAgent("research-agent", coordinator, coordinator_client)
    data_agent = BudgetedAgent("data-agent", coordinator, coordinator_client)
    # Simulate agent activities
    print("\n--- Research Agent purchasing API access ---")
    research_agent.purchase_service(
        provider="0x1000000000000000000000000000000000000001",
        amount=25_000_000,  # $25 - auto-approved
        purpose="Academic paper API access",
    )
    print("\n--- Data Agent purchasing dataset ---")
    data_agent.purchase_service(
        provider="0x2000000000000000000000000000000000000002",
        amount=150_000_000,  # $150 - requires approval
        purpose="Training dataset purchase",
    )
    # Print spending report
    print("\n--- Budget Report ---")
    report = coordinator.get_report()
    print(f"Total Budget: {report['total_budget'] / 1e6} USDC")
    print(f"Total Spent: {report['total_spent'] / 1e6} USDC")
    print(f"Remaining: {report['remaining'] / 1e6} USDC")
    print(f"By Agent: {report['by_agent']}")
    print(f"Pending Approvals: {report['pending_approvals']}")


if __name__ == "__main__":
    main()
