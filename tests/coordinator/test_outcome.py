"""What a scenario must do to every balance, against numbers worked out by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.crew.endings import Disputed
from coordinator.crew.loading import BUNDLED_SCENARIO, load_scenario
from coordinator.crew.outcome import (
    Expected,
    Outcome,
    Rates,
    expected_balances,
    expected_spending,
    missing_for_bonds,
    outcome_of,
    paid_in_by_treasury,
)
from coordinator.crew.plan import Action, PlannedRequest, PlannedStep, make_plan
from coordinator.crew.scenario import Purchase
from tests.coordinator.support import ALL_ENDINGS, DISPUTED, load_text, small

RATES = Rates(fee_bps=100, min_fee=50_000, bond_bps=500, min_bond=1_000_000)
FREE = Rates(fee_bps=0, min_fee=0, bond_bps=0, min_bond=0)


def purchase(purchase_id: str) -> Purchase:
    return next(one for one in load_scenario(ALL_ENDINGS).purchases if one.id == purchase_id)


@pytest.mark.parametrize(
    ("purchase_id", "expected"),
    [
        ("dust", Outcome(treasury=-50_000, provider=0, fees=50_000)),
        ("odd", Outcome(treasury=-33_333_333, provider=33_000_000, fees=333_333)),
        ("all-milestones", Outcome(treasury=-10_000_000, provider=9_890_000, fees=110_000)),
        ("never-starts", Outcome(treasury=0, provider=0, fees=0)),
        ("goes-silent", Outcome(treasury=-3_000_000, provider=2_950_000, fees=50_000)),
        ("lost-dispute", Outcome(treasury=-105_000_000, provider=104_000_000, fees=1_000_000)),
        ("won-dispute", Outcome(treasury=-2_500_000, provider=2_450_000, fees=50_000)),
        ("provider-wins", Outcome(treasury=-199_999_999, provider=198_000_000, fees=1_999_999)),
        ("provider-loses", Outcome(treasury=15_000_000, provider=-15_000_000, fees=0)),
        ("batch", Outcome(treasury=-999_999, provider=849_999, fees=150_000)),
        ("accepted-batch", Outcome(treasury=-2_000_000, provider=1_900_000, fees=100_000)),
        ("unheard", Outcome(treasury=-5_000_000, provider=4_900_000, fees=100_000)),
        ("agreed", Outcome(treasury=-10_000_001, provider=9_900_000, fees=100_001)),
        ("blocked", Outcome(treasury=-50_000_000, provider=49_500_000, fees=500_000)),
    ],
)
def test_each_ending_moves_what_its_terms_say(purchase_id: str, expected: Outcome) -> None:
    assert outcome_of(purchase(purchase_id), RATES) == expected


def test_the_bundled_scenario_must_end_with_these_balances() -> None:
    assert expected_balances(load_scenario(BUNDLED_SCENARIO), RATES) == Expected(
        treasury=117_500_001,
        providers={"papers": 64_350_000, "datasets": 247_875_000, "gpus": 559_350_000, "bazaar": 0},
        fees=10_924_999,
    )


def test_what_comes_back_of_a_price_is_not_spent_and_bonds_never_are() -> None:
    spending = expected_spending(load_scenario(BUNDLED_SCENARIO))
    assert spending.total == 931_083_333 - 12_750_000 - 20_833_334 - 15_000_000
    assert spending.agents == {"research": 65_000_000, "data": 252_499_999, "compute": 565_000_000}
    assert spending.categories == {"data": 252_499_999, "compute": 565_000_000, "api": 65_000_000, "other": 0}


def test_what_names_no_category_is_counted_for_itself(tmp_path: Path) -> None:
    assert expected_spending(load_text(tmp_path, small())).categories == {None: 10_000_000}


def test_a_purchase_above_its_agents_threshold_is_approved_before_it_is_paid() -> None:
    plan = make_plan(load_scenario(BUNDLED_SCENARIO))
    first = {one: [step.action for step in plan if isinstance(step, PlannedStep) and step.purchase.id == one][:3]
             for one in ("dataset", "labels", "archive")}  # fmt: skip
    assert first == {
        "dataset": [Action.REQUEST, Action.APPROVE, Action.PAY],
        "labels": [Action.REQUEST, Action.PAY, Action.START],
        "archive": [Action.REQUEST, Action.APPROVE, Action.PAY_UNHEARD],
    }


def test_a_request_that_expires_is_looked_at_after_its_time_and_a_paused_agent_goes_on() -> None:
    plan = [step for step in make_plan(load_scenario(BUNDLED_SCENARIO)) if isinstance(step, PlannedRequest)]
    steps = {one: [(step.due_seconds, step.action) for step in plan if step.denied.id == one]
             for one in ("archive-2", "magazine", "in-a-pause", "cluster")}  # fmt: skip
    assert steps == {
        "archive-2": [(3_600, Action.REQUEST), (5_401, Action.EXPIRE)],
        "magazine": [(3_600, Action.REQUEST), (3_600, Action.REJECT)],
        "in-a-pause": [(10_800, Action.PAUSE), (10_800, Action.REQUEST), (10_800, Action.RESUME)],
        "cluster": [(25_200, Action.REQUEST)],
    }


def test_without_fees_and_bonds_providers_get_all_that_the_treasury_loses() -> None:
    expected = expected_balances(load_scenario(ALL_ENDINGS), FREE)
    assert expected.fees == 0
    assert expected.treasury + sum(expected.providers.values()) == 2_050_000_007


@given(
    amount=st.integers(50_000, 10**15),
    share=st.integers(0, 10**15),
    fee_bps=st.integers(0, 500),
    min_fee=st.integers(0, 10**7),
    bond_bps=st.integers(0, 2_000),
    by_provider=st.booleans(),
    at_fault=st.booleans(),
)
def test_a_ruling_neither_makes_nor_loses_money(
    amount: int, share: int, fee_bps: int, min_fee: int, bond_bps: int, by_provider: bool, at_fault: bool
) -> None:
    to_provider = min(share, amount)
    dispute = Disputed.model_construct(
        kind="disputed",
        opened_by="provider" if by_provider else "requester",
        requester_gets=amount - to_provider,
        provider_gets=to_provider,
        provider_at_fault=at_fault,
    )
    disputed = purchase("lost-dispute").model_copy(update={"amount": amount, "ending": dispute})
    outcome = outcome_of(disputed, Rates(fee_bps, min_fee, bond_bps, 1_000_000))
    assert outcome.treasury + outcome.provider + outcome.fees == 0
    assert 0 <= outcome.fees <= to_provider


@pytest.mark.parametrize(("funding", "missing"), [("11", None), ("10.999999", ("Treasury", 1))])
def test_a_treasury_that_cannot_post_its_bond_is_noticed(
    funding: str, missing: tuple[str, int] | None, tmp_path: Path
) -> None:
    scenario = load_text(tmp_path, small(('"100"', f'"{funding}"'), ('ending = "accepted"\n', ""), more=DISPUTED))
    assert missing_for_bonds(scenario, RATES) == missing


def test_a_provider_that_cannot_post_its_bond_is_noticed(tmp_path: Path) -> None:
    text = small(('ending = "accepted"\n', ""), more=DISPUTED + 'opened_by = "provider"\n')
    assert missing_for_bonds(load_text(tmp_path, text), RATES) == ("Pia", 1_000_000)
    assert missing_for_bonds(load_text(tmp_path, text.replace('"Pia"', '"Pia"\nfunding = "1"')), RATES) is None


def test_the_vault_takes_what_purchases_cost_and_the_requesters_bonds_only() -> None:
    bundled, every = load_scenario(BUNDLED_SCENARIO), load_scenario(ALL_ENDINGS)
    assert paid_in_by_treasury(bundled, RATES) == 931_083_333 + 4_166_666
    bonds = {"lost-dispute": 5_000_000, "won-dispute": 1_000_000}
    assert paid_in_by_treasury(every, RATES) == sum(one.total for one in every.purchases) + sum(bonds.values())


def test_steps_of_all_purchases_are_planned_in_order_of_time() -> None:
    plan = make_plan(load_scenario(BUNDLED_SCENARIO))
    assert [step.due_seconds for step in plan] == sorted(step.due_seconds for step in plan)
    steps = [step for step in plan if isinstance(step, PlannedStep)]
    hours = [(step.due_seconds / 3_600, step.action) for step in steps if step.purchase.id == "labels"]
    assert hours == [
        (0, Action.REQUEST),
        (0, Action.PAY),
        (0, Action.START),
        (6, Action.DELIVER),
        (8, Action.DISPUTE),
        (32, Action.RULE),
    ]


def test_milestones_are_spread_over_the_work() -> None:
    plan = make_plan(load_scenario(BUNDLED_SCENARIO))
    steps = [step for step in plan if isinstance(step, PlannedStep)]
    paid = [(step.due_seconds / 3_600, step.milestone) for step in steps if step.action is Action.PAY_MILESTONE]
    assert paid == [(4, 100_000_000), (8, 100_000_000)]
