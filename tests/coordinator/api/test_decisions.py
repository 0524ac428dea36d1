"""What a coordinator answers, in the words that its users know, and what it refuses to take in."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from actp.errors import InvalidInput
from coordinator.api import AgentConfig, KeyTaken, SpendingRequest
from tests.coordinator.api.support import ANN, OTHER_PROVIDER, PROVIDER, USDC, want


@pytest.fixture
def crew(office):
    return office.deciding()


def ask(coordinator, amount=10 * USDC, agent="ann", **more):
    return coordinator.request_spending(want(amount, agent, **more), wait=False)


def test_a_grant_names_the_transaction_and_what_remains(crew):
    granted = ask(crew, 25 * USDC)
    assert (granted.approved, granted.reason, granted.state) == (True, None, "held")
    assert granted.tx_id.startswith("0x")
    assert (granted.remaining_daily, granted.remaining_total) == (275 * USDC, 575 * USDC)
    assert crew.find(granted.reservation_id).tx_id == granted.tx_id


def test_a_denial_and_a_question_say_what_remains_too(crew):
    """Else an agent that is denied has to guess what it may ask for."""
    ask(crew, 40 * USDC)
    denied = ask(crew, 150 * USDC)
    assert (denied.approved, denied.remaining_daily, denied.remaining_total) == (False, 260 * USDC, 560 * USDC)
    asked = ask(crew, 60 * USDC)
    assert (asked.requires_approval, asked.remaining_daily, asked.remaining_total) == (True, 200 * USDC, 500 * USDC)
    own = crew.approve_spending(asked.approval_id, "ann")
    assert (own.rule, own.remaining_daily) == ("approver", 200 * USDC)
    stranger = ask(crew, agent="bob")
    assert (stranger.remaining_daily, stranger.remaining_total) == (None, 500 * USDC)


def test_the_reasons_of_denials_keep_their_words(crew):
    assert ask(crew, agent="bob").reason == "Agent not registered"
    assert ask(crew, 150 * USDC).reason == "Amount 150.0 exceeds per-tx limit 100.0"
    asked = ask(crew, 60 * USDC)
    assert asked.reason == f"Amount exceeds auto-approval threshold. Approval ID: {asked.approval_id}"
    assert (asked.approved, asked.requires_approval, asked.state) == (False, True, "pending_approval")
    for _ in range(4):
        assert ask(crew, 50 * USDC).approved
    assert ask(crew, 50 * USDC).reason == "Would exceed daily limit. Spent: 260.0, Limit: 300.0"
    assert ask(crew, 400 * USDC, "boss").reason == "Would exceed total budget. Spent: 260.0, Budget: 600.0"
    crew.provider_whitelist = {OTHER_PROVIDER}
    assert ask(crew).reason == "Provider not whitelisted"


def test_a_denial_has_its_rule_and_numbers(crew):
    denied = ask(crew, 150 * USDC)
    assert (denied.approved, denied.tx_id, denied.rule, denied.limit) == (False, None, "spending_limit", 100 * USDC)
    assert ask(crew, 100 * USDC, category="data").approved is False  # waits
    assert ask(crew, 300 * USDC, "boss", category="data").used == 100 * USDC


def test_limits_are_inclusive(crew):
    assert ask(crew, 50 * USDC).approved
    assert ask(crew, 500 * USDC, "boss").approved
    assert ask(crew, 50 * USDC).approved
    assert ask(crew, 50_000).rule == "total_budget"


def test_two_requests_that_fit_only_one_at_a_time_are_never_both_granted(office):
    """500 and 500 of 600, at once: a coordinator that checks first and records later grants both."""
    crew = office.deciding(rich=True)
    crew.register_agent(replace(ANN, id="bob", spending_limit=500 * USDC, daily_limit=500 * USDC,
                                requires_approval=500 * USDC))  # fmt: skip
    barrier = threading.Barrier(2)
    answers = []

    def run(agent):
        barrier.wait()
        answers.append(ask(crew, 500 * USDC, agent))

    threads = [threading.Thread(target=run, args=(agent,)) for agent in ("bob", "boss")]
    for one in threads:
        one.start()
    for one in threads:
        one.join(30)
    assert sorted(one.approved for one in answers) == [False, True]
    assert crew.get_report()["reserved"] == 500 * USDC


@pytest.mark.parametrize(
    "change",
    [
        *({"amount": amount} for amount in (0, -1, 2**63, 2**70, 1.5, float("nan"), float("inf"), "1", True, None)),
        {"provider": "0xAPIProvider..."},
        {"provider": "0x" + "00" * 20},
        {"provider": "0xAbcd" + "05" * 18},
        {"purpose": None},
        {"category": 3},
        {"idempotency_key": ""},
        {"deadline_seconds": 3_600},
    ],
)
def test_what_is_no_request_is_refused_and_leaves_no_trace(office, crew, change):
    before = office.events(crew)
    with pytest.raises(InvalidInput):
        crew.request_spending(SpendingRequest(**{**_fields(want()), **change}), wait=False)
    assert office.events(crew) == before


def _fields(request):
    return {name: getattr(request, name) for name in SpendingRequest.__dataclass_fields__}


def test_who_can_provide_nothing_is_refused(crew, office):
    client = office.client
    for address in (client.kernel.address, client.escrow.address, client.token.address):
        with pytest.raises(InvalidInput, match="provider"):
            ask(crew, provider=address)
    denied = ask(crew, provider=client.address)
    assert (denied.rule, denied.reason) == ("own_treasury", "Provider is the treasury itself")


def test_something_else_than_a_request_is_refused(crew):
    with pytest.raises(InvalidInput, match="SpendingRequest"):
        crew.request_spending({"agent_id": "ann"})
    with pytest.raises(InvalidInput, match="AgentConfig"):
        crew.register_agent({"id": "ann"})


def test_the_same_key_is_the_same_purchase(crew, office):
    first = ask(crew, idempotency_key="papers/1")
    before = office.events(crew)
    again = ask(crew, idempotency_key="papers/1")
    assert (again.reservation_id, again.tx_id) == (first.reservation_id, first.tx_id)
    assert (office.events(crew), crew.get_report()["reserved"]) == (before, 10 * USDC)
    assert ask(crew, agent="boss", idempotency_key="papers/1").tx_id != first.tx_id


@pytest.mark.parametrize(
    "change", [{"amount": 11 * USDC}, {"provider": OTHER_PROVIDER}, {"purpose": "Another thing"}, {"category": "api"}]
)
def test_a_key_that_comes_again_with_another_body_is_taken(crew, change):
    ask(crew, idempotency_key="papers/1")
    with pytest.raises(KeyTaken, match="another request"):
        crew.request_spending(replace(want(idempotency_key="papers/1"), **change), wait=False)
    assert crew.get_report()["reserved"] == 10 * USDC


def test_a_request_without_a_key_is_a_new_purchase(crew):
    assert ask(crew).tx_id != ask(crew).tx_id
    assert crew.get_report()["reserved"] == 20 * USDC


def test_a_denied_key_stays_denied_and_a_new_one_is_decided_anew(crew):
    assert ask(crew, 70 * USDC, idempotency_key="one", category="toys").rule == "unknown_category"
    crew.category_budgets["toys"] = 100 * USDC
    assert ask(crew, 70 * USDC, idempotency_key="one", category="toys").rule == "unknown_category"
    assert ask(crew, 40 * USDC, idempotency_key="two", category="toys").approved


def test_unknown_categories_and_agents_are_denied(crew):
    assert ask(crew, category="toys").reason == "Unknown category: toys"
    assert ask(crew, agent="nobody").rule == "unknown_agent"


def test_the_budget_of_other_limits_what_names_no_category_as_soon_as_the_rules_say_so(crew):
    """Else either leaving the category out gets around its budget, or the example of the page is denied."""
    assert ask(crew, 101 * USDC, "boss").approved
    crew.default_category = "other"
    assert crew.default_category == "other"
    denied = ask(crew, 101 * USDC, "boss")
    assert (denied.rule, denied.used, denied.limit) == ("category_budget", 0, 100 * USDC)
    assert ask(crew, 99 * USDC, "boss").approved
    assert ask(crew, 2 * USDC, category="other").used == 99 * USDC


def test_the_usual_categories_have_budgets_and_what_names_none_has_not(crew):
    assert dict(crew.category_budgets) == {"data": 300 * USDC, "compute": 500 * USDC, "api": 200 * USDC,
                                           "other": 100 * USDC}  # fmt: skip
    assert ask(crew, 101 * USDC, "boss", category="other").rule == "category_budget"
    assert ask(crew, 101 * USDC, "boss").approved


def test_a_treasury_without_money_or_gas_can_promise_nothing(office):
    crew = office.deciding(rich=False)
    assert ask(crew).rule == "treasury_balance"
    assert ask(crew).reason == "Would exceed treasury balance. Promised: 0.0, Balance: 0.0"


def test_roles_fill_in_the_limits_that_are_left_out(crew):
    crew.register_agent(AgentConfig("jun", "Jun", "0x3333...", role="junior"))
    crew.register_agent(AgentConfig("sen", "Sen", "0x4444...", spending_limit=1 * USDC, role="senior"))
    jun, sen = crew.agents["jun"], crew.agents["sen"]
    assert (jun.spending_limit, jun.daily_limit, jun.requires_approval) == (50 * USDC, 100 * USDC, 25 * USDC)
    assert (sen.spending_limit, sen.daily_limit) == (1 * USDC, 1_000 * USDC)
    with pytest.raises(InvalidInput, match="no role 'boss'"):
        crew.register_agent(AgentConfig("x", "X", "", role="boss"))


def test_an_agent_without_limits_is_denied_everything(crew):
    crew.register_agent(AgentConfig("free", "Free", ""))
    assert ask(crew, agent="free").rule == "no_limit"


def test_a_removed_agent_is_denied_and_its_spending_stays(crew):
    ask(crew)
    crew.remove_agent("ann")
    assert ask(crew).reason == "Agent not registered"
    assert crew.get_report()["reserved"] == 10 * USDC
    with pytest.raises(KeyError):
        crew.remove_agent("ann")


def test_the_provider_of_a_request_is_compared_whatever_its_spelling(crew):
    crew.provider_whitelist = {"0x" + "ab" * 20}
    assert ask(crew, provider="0x" + "AB" * 20).approved
    assert ask(crew, provider=PROVIDER).reason == "Provider not whitelisted"


def test_an_agent_may_be_narrowed_to_providers_and_categories(crew):
    crew.register_agent(replace(ANN, providers=frozenset({PROVIDER}), categories=frozenset({"api"})))
    assert ask(crew, category="api").approved
    assert ask(crew, category="api", provider=OTHER_PROVIDER).rule == "provider_allow_list"
    assert ask(crew, category="data").rule == "category_allow_list"
    assert ask(crew).rule == "category_allow_list"
