"""What is granted is funded by the coordinator's own worker, and its budget returns if that fails."""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from pathlib import Path

import pytest

import coordinator.api
from actp.errors import ActpError, ConfigError
from actp.kernel import Kernel
from actp.types import State
from coordinator.agents import BudgetedAgent
from coordinator.api.background import Background, Funding
from coordinator.policy import PolicySettings
from tests.coordinator.api import page
from tests.coordinator.api.support import BOSS, PROVIDER, USDC, want


def test_the_example_page_runs(monkeypatch, capsys):
    monkeypatch.setenv("TREASURY_PRIVATE_KEY", "0x" + "31" * 32)
    page.main()
    said = capsys.readouterr().out.splitlines()
    assert said[1:3] == [
        "--- Research Agent purchasing API access ---",
        "🤖 Agent research-agent requesting spend...",
    ]
    assert said[3].startswith("✅ Approved! Transaction: 0x")
    assert said[5:7] == ["--- Data Agent purchasing dataset ---", "🤖 Agent data-agent requesting spend..."]
    assert said[7].startswith("⏳ Requires approval: approval-")
    approval_id = said[7].split(": ")[1]
    assert said[9:] == [
        "--- Budget Report ---",
        "Total Budget: 1000.0 USDC",
        "Total Spent: 25.0 USDC",
        "Remaining: 825.0 USDC",
        "By Agent: {'research-agent': 25.0}",
        f"Pending Approvals: ['{approval_id}']",
    ]


def test_a_granted_request_lies_in_escrow_when_the_call_returns(office):
    office.mint(1_000 * USDC)
    crew = office.coordinator()
    response = crew.request_spending(want(25 * USDC, terms="as agreed"))
    assert (response.approved, response.state in ("on_chain", "committed")) == (True, True)
    escrow = office.client.kernel.get_transaction(response.tx_id)
    assert (escrow.provider, escrow.amount, escrow.state) == (PROVIDER, 25 * USDC, State.COMMITTED)
    assert escrow.dispute_window < escrow.deadline - office.client.now()
    assert (response.remaining_daily, response.remaining_total) == (275 * USDC, 575 * USDC)
    report = crew.get_report()
    assert (report["total_spent"], report["reserved"], report["by_agent"]) == (25 * USDC, 0, {"ann": 25.0})
    assert [one.tx_id for one in crew.spending] == [response.tx_id]


def test_the_vaults_allowance_is_raised_to_the_budget_of_now_and_not_for_each_payment(office):
    office.mint(1_000 * USDC)
    crew = office.coordinator(1 * USDC)
    crew.total_budget = 600 * USDC
    for _ in range(2):
        assert crew.request_spending(want(25 * USDC)).approved
    assert office.client.token.allowance(office.client.escrow.address) == (600 - 25 - 25) * USDC


def test_without_waiting_the_transaction_is_known_at_once_and_funded_later(office):
    office.mint(1_000 * USDC)
    crew = office.coordinator()
    response = crew.request_spending(want(idempotency_key="k"), wait=False)
    assert response.approved
    again = crew.request_spending(want(idempotency_key="k"))
    assert (again.tx_id, again.state in ("on_chain", "committed")) == (response.tx_id, True)
    assert office.client.kernel.get_transaction(response.tx_id).state is State.COMMITTED
    assert crew.get_report()["total_spent"] == 10 * USDC


@pytest.mark.slow
def test_what_was_approved_is_funded(office):
    office.mint(1_000 * USDC)
    crew = office.coordinator()
    approval_id = crew.request_spending(want(60 * USDC)).approval_id
    response = crew.approve_spending(approval_id)
    assert response.approved
    assert office.client.kernel.get_transaction(response.tx_id).amount == 60 * USDC


@pytest.mark.slow
def test_a_funding_that_fails_gives_the_budget_back(office):
    office.mint(1_000 * USDC)
    crew = office.coordinator(policy=PolicySettings(max_amount={office.client.token.address: 9 * USDC}))
    response = crew.request_spending(want(10 * USDC, idempotency_key="k"))
    assert (response.approved, response.state, response.rule) == (False, "released", "execution_failed")
    assert response.reason.startswith("Execution failed: ")
    assert crew.request_spending(want(10 * USDC, idempotency_key="k")).reason == response.reason
    assert crew.get_report()["remaining"] == 600 * USDC
    assert crew.request_spending(want(9 * USDC)).approved


@pytest.mark.slow
def test_money_that_arrives_can_be_promised_at_once(office):
    crew = office.coordinator()
    assert crew.request_spending(want()).rule == "treasury_balance"
    office.mint(10 * USDC)
    assert crew.request_spending(want()).approved
    assert crew.request_spending(want()).rule == "treasury_balance"


def test_what_is_not_funded_in_time_is_granted_and_says_how_far_it_is(office):
    crew = office.deciding(wait_seconds=0.05)
    began = time.monotonic()
    response = crew.request_spending(want())
    assert (response.approved, response.state) == (True, "held")
    assert time.monotonic() - began < 5


@pytest.mark.slow
def test_a_coordinator_that_is_opened_again_funds_what_was_granted_before(office):
    office.in_a_file = True
    office.mint(1_000 * USDC)
    first = office.deciding()
    granted = first.request_spending(want(idempotency_key="k"), wait=False)
    first.close()
    second = office.coordinator()
    response = second.request_spending(want(idempotency_key="k"))
    assert (response.tx_id, response.state in ("on_chain", "committed")) == (granted.tx_id, True)


@pytest.mark.slow
def test_every_kind_of_database_serves(office, url):
    office.mint(1_000 * USDC)
    office.use(url)
    crew = office.coordinator()
    assert crew.request_spending(want(25 * USDC)).approved
    assert crew.request_spending(want(150 * USDC)).reason == "Amount 150.0 exceeds per-tx limit 100.0"
    approval_id = crew.request_spending(want(60 * USDC)).approval_id
    assert crew.approve_spending(approval_id, "boss").approved
    report = crew.get_report()
    assert (report["total_spent"], report["reserved"], report["by_agent"]) == (85 * USDC, 0, {"ann": 85.0})


def stop(error):
    raise error


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("error", [ConfigError("The key is of another account."), SystemExit()])
def test_nobody_waits_for_a_worker_that_has_stopped(office, error):
    crew = office.deciding()
    crew._funding = Funding(crew._authority, Background(lambda event: stop(error)), 60.0)
    with pytest.raises(ActpError, match=r"another account|has stopped"):
        crew.request_spending(want())
    assert crew.get_report()["reserved"] == 10 * USDC


def test_nobody_waits_for_a_worker_that_was_closed(office):
    crew = office.deciding()
    background = Background(lambda event: None)
    crew._funding = Funding(crew._authority, background, 60.0)
    background.close()
    start = time.monotonic()
    assert crew.request_spending(want()).state == "held"
    assert time.monotonic() - start < 30


def test_a_closed_coordinator_takes_nothing_in(office):
    crew = office.deciding()
    crew.close()
    for call in (lambda: crew.request_spending(want()), lambda: crew.approve_spending("approval-1")):
        with pytest.raises(ConfigError, match="closed"):
            call()


def test_an_agent_says_what_came_of_it_unless_it_is_to_be_quiet(office, capsys):
    crew = office.deciding()
    crew.register_agent(replace(BOSS, id="rae"))
    rae = BudgetedAgent("rae", crew, office.client)
    denied = rae.purchase_service(PROVIDER, 501 * USDC, "Too much")
    assert (denied.success, denied.error) == (False, "Amount 501.0 exceeds per-tx limit 500.0")
    assert capsys.readouterr().out.splitlines() == [
        "🤖 Agent rae requesting spend...",
        "❌ Denied: Amount 501.0 exceeds per-tx limit 500.0",
    ]
    BudgetedAgent("rae", crew, office.client, verbose=False).purchase_service(PROVIDER, 501 * USDC, "Too much")
    assert capsys.readouterr().out == ""


def test_an_agent_that_names_no_address_is_told_so_and_goes_on(office, capsys):
    crew = office.deciding()
    crew.register_agent(replace(BOSS, id="rae"))
    bought = BudgetedAgent("rae", crew, office.client).purchase_service("0xAPIProvider...", 25 * USDC, "Papers")
    assert not bought.success
    assert "0xAPIProvider..." in (bought.error or "")
    assert capsys.readouterr().out.splitlines()[-1].startswith("❌ Denied: ")


def test_a_coordinator_logs_and_prints_only_if_it_is_told_to(office, capsys, caplog):
    with caplog.at_level(logging.INFO, logger="coordinator"):
        office.deciding()
    assert "Registered agent: Ann" in caplog.text
    assert capsys.readouterr().out == ""
    loud = office.deciding(verbose=True)
    loud.register_agent(replace(BOSS, name="The Boss"))
    assert capsys.readouterr().out.splitlines() == [
        "✅ Registered agent: The Boss",
        "   Per-tx limit: 500.0 USDC",
        "   Daily limit: 900.0 USDC",
    ]


def test_a_kernel_without_salts_is_refused(office, monkeypatch):
    monkeypatch.setattr(Kernel, "has_salts", property(lambda self: False))
    with pytest.raises(ConfigError, match="salts"):
        office.deciding()


@pytest.mark.slow
def test_the_example_for_users_runs(capsys):
    readme = Path(coordinator.api.__file__).with_name("README.md").read_text(encoding="utf-8")
    exec(compile(readme.split("```python\n")[1].split("```")[0], "README.md", "exec"), {})
    said = capsys.readouterr().out.splitlines()
    assert said[0] in ("True on_chain 275000000", "True committed 275000000")
    assert said[1:4] == ["False True", "True", "spending_limit - Amount 150.0 exceeds per-tx limit 100.0"]
    assert "'total_spent': 105000000, 'remaining': 895000000, 'by_agent': {'ann': 105.0}" in said[4]
