"""A worker runs purchases on a chain while somebody scrapes it over HTTP: the numbers are those of the purchases."""

from __future__ import annotations

import threading

import pytest

from coordinator.api import BudgetCoordinator
from coordinator.budget.requests import SpendingRequest
from coordinator.metrics.exposing import ALL
from coordinator.metrics.serving import serve
from tests.coordinator.metrics.support import Samples, exported_name, families, scrape
from tests.coordinator.worker.support import USDC, Firm, agent, book


@pytest.fixture
def shown(firm: Firm) -> Samples:
    """What the endpoint says after a day's work: three granted, one of them after a yes, and five denied. Beside it, as
    "jobs", what the engine has sent.
    """
    firm.authority.apply(
        book(2_000 * USDC, agent("ann", daily_limit=100 * USDC), agent("bob", requires_approval=50 * USDC)), "test"
    )
    worker = firm.worker()
    stop = threading.Event()
    working = threading.Thread(target=worker.run, args=[stop])
    with serve("127.0.0.1:0", firm.ledger, firm.key) as served:
        worker.look()
        working.start()
        try:
            granted = [firm.request(10 * USDC, key="a"), firm.request(20 * USDC, who="bob")]
            firm.request(10 * USDC, key="a")  # the same again is no decision
            asked = firm.request(60 * USDC, who="bob")
            for _ in range(2):
                firm.request(95 * USDC)  # above what is left of the day
            firm.request(600 * USDC, who="bob")  # above the limit of one request
            firm.request(10 * USDC, who="eve")
            firm.request(10 * USDC, who="ann", provider=firm.wallet)
            granted.append(firm.authority.approve(asked.approval_id or ""))
            waited = threading.Event()
            for _ in range(200):
                if all(firm.find(one).state.value in ("on_chain", "committed") for one in granted):
                    break
                waited.wait(0.05)
            text = scrape(served.url)
        finally:
            stop.set()
            working.join()
    return families(text) | {("jobs",): len(firm.jobs())}


@pytest.mark.slow
def test_what_a_worker_did_shows_at_its_endpoint(shown: Samples):
    assert shown["actp_budget_decisions_total", "held"] == 2
    assert shown["actp_budget_decisions_total", "pending_approval"] == 1
    assert shown["actp_budget_decisions_total", "denied"] == 5
    rejections = {key[1:]: value for key, value in shown.items() if key[0] == "actp_budget_rejections_total"}
    assert rejections == {  # reason, scope
        ("daily_limit", "agent:ann/day"): 2,
        ("spending_limit", "agent:bob"): 1,
        ("unknown_agent", "agent:eve"): 1,
        ("own_treasury", "agent:ann"): 1,
    }
    assert shown["actp_budget_decision_seconds_count",] == 9
    sent = shown["jobs",]  # the vault's allowance, and three purchases in as many operations or fewer
    assert shown["actp_tx_signed_total",] == sent >= 2
    assert shown["actp_tx_confirmed_total", "succeeded"] == sent
    assert shown["actp_tx_confirmation_latency_seconds_count",] == sent
    assert 0 < shown["actp_tx_confirmation_latency_seconds_sum",] < 60
    assert shown["actp_tx_sign_seconds_count",] == sent
    assert shown["actp_guard_verdicts_total", "ok"] == sent
    assert shown["actp_store_up",] == 1
    # Nothing else is exported than what the list has.
    known = {exported_name(one) for one in ALL}
    parts = {f"{name}{part}" for name in known for part in ("_bucket", "_sum", "_count")}
    assert {key[0] for key in shown} - {"jobs"} <= known | parts


def test_a_breach_is_counted_by_its_kind(firm: Firm):
    lifecycle = firm.lifecycle()
    with serve("127.0.0.1:0", firm.ledger, firm.key) as served:
        firm.done(lifecycle, firm.pay(lifecycle))
        firm.client_of(firm.account).token.transfer(firm.minter.address, 7)  # the key, used beside the lifecycle
        lifecycle.step()
        shown = families(scrape(served.url))
    breaches = {key[1]: value for key, value in shown.items() if key[0] == "actp_guard_breaches_total"}
    assert breaches == {"key_used": 1, "outflow": 1}
    assert shown["actp_pauses", "treasury"] == 1


def test_a_program_with_a_coordinator_has_an_endpoint_of_its_own(firm: Firm):
    """An agent's process counts what it decided itself."""
    with BudgetCoordinator(firm.client, total_budget=10 * USDC, worker=False) as coordinator:
        authority = coordinator._authority
        with serve("127.0.0.1:0", authority.ledger, authority.account) as served:
            coordinator.request_spending(SpendingRequest("nobody", 5 * USDC, firm.provider.address, "a thing"))
            shown = families(scrape(served.url))
    assert shown["actp_budget_rejections_total", "unknown_agent", "agent:nobody"] == 1
