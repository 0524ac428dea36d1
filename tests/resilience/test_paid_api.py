"""The example of a paid API: what its server has charged is what the tracker has counted."""

from __future__ import annotations

import secrets
import time
from decimal import Decimal

import pytest
import requests

from coordinator.tracker import Budget, BudgetExceededError, LocalTracker
from coordinator.tracker.opening import Kind, Place
from scripts.examples import paid_api, paid_server
from scripts.examples.paid_api import PaidApi
from scripts.examples.paid_server import Fault, PaidServer, price_of

PROMPT = "What is it?"
MOST = Decimal(price_of(PROMPT)) / 1_000_000


@pytest.fixture
def budget() -> Budget:
    return Budget(LocalTracker({"run": 1}), "run")


def spent(budget: Budget) -> Decimal:
    assert budget.tracker.get_reserved("run") == 0
    return budget.tracker.get_spent("run")


@pytest.mark.parametrize("fault", list(Fault))
def test_whatever_goes_wrong_both_accounts_are_equal(budget, fault, monkeypatch):
    monkeypatch.setattr(paid_server, "fault_of", lambda key: fault)
    with PaidServer(slow_seconds=0.4) as server:
        api = PaidApi(server.url, budget, wait_seconds=0.2)
        if fault is Fault.NONE:
            assert api.ask(PROMPT) == PROMPT[::-1]
        else:
            with pytest.raises(requests.RequestException):
                api.ask(PROMPT)
        if fault is Fault.LATE:
            time.sleep(0.4)  # now it would charge
        assert Decimal(server.account) / 1_000_000 == spent(budget)
        assert (server.account > 0) == (fault not in (Fault.REFUSED, Fault.LATE))


def test_what_nobody_can_ask_any_more_has_cost_its_estimate(budget, monkeypatch):
    monkeypatch.setattr(paid_server, "fault_of", lambda key: Fault.CUT)
    with PaidServer() as server:
        api = PaidApi(server.url, budget, wait_seconds=0.2)
        monkeypatch.setattr(PaidServer, "_close", lambda self, request: None)  # it does not answer
        with pytest.raises(requests.RequestException):
            api.ask(PROMPT)
        assert spent(budget) == MOST
        assert 0 < Decimal(server.account) / 1_000_000 < MOST


def test_what_does_not_fit_is_never_asked(monkeypatch):
    keys = []
    budget = Budget(LocalTracker({"run": MOST * 2 - Decimal("0.000001")}), "run")
    monkeypatch.setattr(paid_server, "fault_of", lambda key: keys.append(key) or Fault.NONE)
    with PaidServer() as server, budget.spend(estimate=MOST):
        with pytest.raises(BudgetExceededError):
            PaidApi(server.url, budget).ask(PROMPT)
        assert (keys, server.account) == ([], 0)


def test_the_example_runs_in_the_session_of_a_fleet(redis_url, open_redis, monkeypatch, capsys):
    tracker = open_redis(redis_url, root := secrets.token_hex(8))
    tracker.set_budget("session:x", "0.20")
    for name, value in Place(Kind.REDIS, redis_url, root).environment("session:x").items():
        monkeypatch.setenv(name, value)
    assert paid_api.main(["--calls", "30"]) == 0
    out = capsys.readouterr().out
    assert " 0 denied" not in out
    assert 0 < tracker.get_spent("session:x") <= Decimal("0.20")
    assert f"spent    {tracker.get_spent('session:x'):.6f} of" in out
    assert tracker.get_reserved("session:x") == 0
