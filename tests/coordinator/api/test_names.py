"""The names that users import."""

from __future__ import annotations

import subprocess
import sys

import coordinator

PAGE = {
    "AgentConfig", "AgentLimits", "AgentRole", "BudgetCoordinator", "BudgetReport", "BudgetedAgent", "Category",
    "PurchaseResult", "SpendingRecord", "SpendingRequest", "SpendingResponse", "get_limits_for_role",
}  # fmt: skip


def test_every_name_of_the_page_can_be_imported_from_the_package():
    assert set(coordinator.__all__) >= PAGE
    assert all(getattr(coordinator, name) is not None for name in coordinator.__all__)
    assert set(dir(coordinator)) >= PAGE


def test_fields_come_in_the_order_of_the_page():
    fields = {name: list(getattr(coordinator, name).__dataclass_fields__) for name in PAGE if name[-1] in "gdtes"
              and hasattr(getattr(coordinator, name), "__dataclass_fields__")}  # fmt: skip
    assert fields["AgentConfig"][:6] == ["id", "name", "address", "spending_limit", "daily_limit", "requires_approval"]
    assert fields["SpendingRequest"][:5] == ["agent_id", "amount", "provider", "purpose", "category"]
    assert fields["SpendingRecord"][:6] == ["agent_id", "amount", "tx_id", "timestamp", "provider", "purpose"]
    assert fields["SpendingResponse"][:7] == [
        "approved", "tx_id", "reason", "requires_approval", "approval_id", "remaining_daily", "remaining_total",
    ]  # fmt: skip
    assert fields["PurchaseResult"] == ["success", "tx_id", "error"]
    assert fields["AgentLimits"] == ["spending_limit", "daily_limit", "requires_approval"]


def test_importing_the_package_loads_no_database_and_no_chain():
    program = "import sys, coordinator; print(*{'sqlalchemy', 'web3', 'eth_tester', 'pydantic'} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == ""
