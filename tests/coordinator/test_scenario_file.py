"""Scenario files: what is refused, and whether the message says where and what is allowed."""

from __future__ import annotations

import io
from pathlib import Path
from typing import get_args

import pytest

from actp.errors import InvalidInput
from coordinator.budget.words import Period
from coordinator.crew import run_demo
from coordinator.crew.durations import format_duration, parse_duration
from coordinator.crew.endings import Accepted, Agreed, Disputed, SilentProvider
from coordinator.crew.loading import BUNDLED_SCENARIO, ScenarioError, load_scenario
from coordinator.crew.rules import APPROVER, agent_rules, rule_book
from coordinator.crew.scenario import Purchase
from coordinator.crew.spenders import Agent, Budget, DenialRule, Denied, Provider, Treasury
from tests.coordinator.support import ALL_ENDINGS, DISPUTED, SMALL, load_text, small

PURCHASE = SMALL[SMALL.index("[[purchases]]") :]
ENDING = 'ending = "accepted"\n'
DAY = 'deadline = "1d"'


def ending(text: str, *more: tuple[str, str]) -> str:
    """A scenario whose purchase ends as this table says."""
    return small((ENDING, ""), *more, more=f"\n[purchases.ending]\n{text}\n")


def denied(**changes: str) -> str:
    """A scenario with a request that is to be denied."""
    entry = {"id": "no", "agent": "ann", "provider": "pia", "amount": "1", "purpose": "x", "rule": "total_budget"}
    lines = [f'{key} = "{value}"' for key, value in (entry | changes).items()]
    return small(more="\n[[denied]]\n" + "\n".join(lines) + "\n")


REFUSED = {
    "an empty file": ("", "empty"),
    "a file that is not TOML": ("title = ", "not TOML"),
    "no purchases": ("purchases = []\n" + small((PURCHASE, "")), "purchases: must not be empty"),
    "no purchases at all": (small((PURCHASE, "")), "purchases: missing"),
    "purchases as a table": (small(("[[purchases]]", "[purchases]")), "purchases: must be a list"),
    "a treasury that is no table": (small(('[treasury]\nfunding = "100"', 'treasury = "100"')), "treasury: must be a"),
    "an unknown key on top": ("budgets = 5\n" + SMALL, "budgets: unknown key, did you mean budget?"),
    "a budget that is no table": ("budget = 5\n" + SMALL, "budget: must be a table"),
    "an unknown key of the budget": (small(more='\n[budget]\ntotals = "5"\n'), "budget.totals: unknown key, did you m"),
    "a total that is a float": (small(more="\n[budget]\ntotal = 5.5\n"), "budget.total: write an amount of USDC"),
    "a budget of a category without quotes": (
        small(more="\n[budget.categories]\ndata = 5\n"),
        "budget.categories.data: write an amount of USDC",
    ),
    "a category that has no budget": (
        small((ENDING, 'category = "data"\n' + ENDING), more='\n[budget.categories]\napi = "5"\n'),
        "purchases[0].category: there is no category 'data'; categories are api",
    ),
    "an allow-list with somebody else": (
        small(more='\n[budget]\nproviders = ["x"]\n'),
        "budget.providers[0]: there is no provider 'x'; providers are pia",
    ),
    "a purchase from nobody on the allow-list": (
        small(more="\n[budget]\nproviders = []\n"),
        "purchases[0].provider: budget.providers does not have 'pia'",
    ),
    "a purchase above its agent's limit": (
        small(('name = "Ann"', 'name = "Ann"\nspending_limit = "9.999999"')),
        "purchases[0].amount: agent 'ann' may spend 9.999999 USDC on one request",
    ),
    "a purchase above the limit of its agent's role": (
        small(('name = "Ann"', 'name = "Ann"\nrole = "junior"'), ('"10"', '"50.000001"')),
        "purchases[0].amount: agent 'ann' may spend 50.00 USDC on one request",
    ),
    "a role that there is not": (
        small(('name = "Ann"', 'name = "Ann"\nrole = "boss"')),
        "agents[0].role: input should",
    ),
    "an agent that is called as the treasury": (
        small(('id = "ann"', 'id = "treasury"')),
        "agents[0].id: no agent can be called 'treasury'",
    ),
    "approvals that expire at once": (
        small(more='\n[budget]\napprovals_expire_after = "29m"\n'),
        "budget.approvals_expire_after: must be 30m to 30d",
    ),
    "a denial by an unknown rule": (denied(rule="bad_taste"), "denied[0].rule: input should be 'unknown_agent'"),
    "a denial from an unknown provider": (denied(provider="x"), "denied[0].provider: there is no provider 'x'"),
    "a denial that is called as a purchase": (denied(id="one"), "denied[0].id: 'one' is the id of an earlier entry"),
    "a no where nobody is asked": (
        denied(rule="rejected"),
        "denied[0].amount: it needs no approval, so it cannot be rejected",
    ),
    "an unknown agent that waits for an approval": (
        denied(agent="eve", rule="approval_expired"),
        "denied[0].amount: it needs no approval, so it cannot be approval_expired",
    ),
    "a window that is as long as the deadline": (
        small((DAY, f'{DAY}\ndispute_window = "1d"')),
        "purchases[0].dispute_window: must be shorter than the deadline",
    ),
    "a misspelt key": (small(("amount", "amout")), "purchases[0].amout: unknown key, did you mean amount?"),
    "a missing key": (small(('amount = "10"\n', "")), "purchases[0].amount: missing"),
    "a key that the kind of ending does not have": (
        ending('kind = "accepted"\nreason = "x"'),
        "purchases[0].ending.reason: unknown key; known keys are kind",
    ),
    "a float": (small(('"10"', "10.5")), "purchases[0].amount: write an amount of USDC as a string in quotes, for exa"),
    "an integer": (small(('"10"', "10")), 'in quotes, for example "10"'),
    "a bool": (small(('"10"', "true")), "purchases[0].amount: write an amount"),
    "a negative amount": (small(('"10"', '"-1"')), "purchases[0].amount: '-1' is not an amount"),
    "an exponent": (small(('"10"', '"1e1"')), "purchases[0].amount: '1e1' is not an amount"),
    "a seventh decimal": (small(('"10"', '"1.0000001"')), "more than 6 decimals"),
    "an amount that the kernel refuses": (small(('"10"', '"0.049999"')), "a purchase is worth 0.05 to"),
    "an amount above the kernel's maximum": (small(('"10"', '"1000000000.000001"')), "a purchase is worth 0.05 to"),
    "more money than can be minted": (small(('"100"', f'"{10**60}"')), "treasury.funding: must be at most"),
    "a duration without unit": (small((DAY, 'deadline = "24"')), "purchases[0].deadline: '24' is not a duration"),
    "a duration as number": (small((DAY, "deadline = 24")), "purchases[0].deadline: write a duration as a string"),
    "a duration of an unknown unit": (small((DAY, 'deadline = "1w"')), "Allowed: minutes, hours and days"),
    "a fraction of a duration": (small((DAY, 'deadline = "1.5h"')), "'1.5h' is not a duration"),
    "a deadline that is too close": (small((DAY, 'deadline = "119m"')), "purchases[0].deadline: must be 2h to 365d"),
    "a deadline that is too far": (small((DAY, 'deadline = "366d"')), "purchases[0].deadline: must be 2h to 365d"),
    "a window that is too short": (small((DAY, f'{DAY}\ndispute_window = "59m"')), "dispute_window: must be 1h to 30d"),
    "a delivery after the deadline": (
        small((DAY, f'{DAY}\ndelivered_after = "1d"')),
        "purchases[0].delivered_after: must be at least 10m after the order and at least 10m before the deadline",
    ),
    "an unknown agent": (small(('agent = "ann"', 'agent = "bob"')), "purchases[0].agent: there is no agent 'bob'; age"),
    "an unknown provider": (
        small(('provider = "pia"', 'provider = "x"')),
        "purchases[0].provider: there is no provider",
    ),
    "an id twice": (SMALL + PURCHASE, "purchases[1].id: 'one' is the id of an earlier entry"),
    "a bad id": (small(('id = "one"', 'id = "One 1"')), "purchases[0].id: 'One 1' is no id"),
    "escape codes in a name": (
        small(('"Pia"', '"P\\u001b[31mia"')),
        "providers[0].name: must be one line of printable",
    ),
    "a purpose of two lines": (small(('"A thing"', '"A\\nthing"')), "purchases[0].purpose: must be one line"),
    "a name without letters": (small(('"Ann"', '"  "')), "agents[0].name: must be one line"),
    "an unknown kind of ending": (
        small(('"accepted"', '"sold"')),
        "'sold' is no kind of ending; the kinds are accepted",
    ),
    "an ending without a kind": (ending("starts = true"), "purchases[0].ending: needs a kind, one of accepted"),
    "text for a bool": (ending('kind = "silent_provider"\nstarts = "no"'), "ending.starts: must be true or false"),
    "a ruling that does not sum": (
        small((ENDING, ""), more=DISPUTED.replace('"6"', '"6.000001"')),
        "purchases[0].ending: requester_gets and provider_gets sum to 10.000001 USDC, and the escrow holds 10.00 USDC",
    ),
    "a ruling that forgets the milestones": (
        small((ENDING, 'milestones = ["1"]\n'), more=DISPUTED),
        "the escrow holds 9.00 USDC after the milestones",
    ),
    "a dispute after the window": (
        small((ENDING, ""), more=DISPUTED + 'opened_after = "2d"\n'),
        "purchases[0].ending.opened_after: must be at least 10m before the end",
    ),
    "a ruling that comes too late": (
        small((ENDING, ""), more=DISPUTED + 'ruled_after = "30d"\n'),
        "purchases[0].ending.ruled_after: must be less than 30d",
    ),
    "a silent provider that delivers": (
        small((ENDING, 'delivered_after = "1h"\nending = "silent_provider"\n')),
        "purchases[0].delivered_after: the ending is silent_provider, which never delivers",
    ),
    "milestones for work that never starts": (
        ending('kind = "silent_provider"\nstarts = false', (DAY, f'{DAY}\nmilestones = ["1"]')),
        "purchases[0].milestones: the provider never starts",
    ),
    "milestones above the price": (small((ENDING, 'milestones = ["6", "5"]\n' + ENDING)), "they sum to 11.00 USDC"),
    "a treasury that cannot pay for all copies": (
        small((DAY, f"{DAY}\ncopies = 11")),
        "treasury.funding: the purchases cost 110.00 USDC",
    ),
    "no copies": (
        small((DAY, f"{DAY}\ncopies = 0")),
        "purchases[0].copies: input should be greater than or equal to 1",
    ),
    "more copies than a batch carries": (small((DAY, f"{DAY}\ncopies = 101")), "purchases[0].copies: input should be"),
    "copies that are disputed": (
        small((ENDING, ""), (DAY, f"{DAY}\ncopies = 2"), more=DISPUTED),
        "purchases[0].ending: several copies can only be accepted or settled_by_bot",
    ),
    "copies with milestones": (
        small((DAY, f'{DAY}\ncopies = 2\nmilestones = ["1"]')),
        "purchases[0].milestones: several copies have no milestones",
    ),
    "copies whose reply is lost": (
        small((DAY, f"{DAY}\ncopies = 2\nreply_lost = true")),
        "purchases[0].reply_lost: only the reply to a single payment can be lost",
    ),
    "a split that does not sum": (
        ending('kind = "agreed"\nrequester_gets = "1"\nprovider_gets = "8.999999"'),
        "sum to 9.999999 USDC, and the escrow holds 10.00 USDC: an agreement shares out all of it",
    ),
    "an agreement after the window": (
        ending('kind = "agreed"\nagreed_after = "2d"\nrequester_gets = "1"\nprovider_gets = "9"'),
        "purchases[0].ending.agreed_after: must be at least 10m before the end",
    ),
    "a treasury that cannot pay": (small(('"100"', '"9.999999"')), "treasury.funding: the purchases cost 10.00 USDC"),
    "a blocked provider that is paid for something else meanwhile": (
        small((ENDING, 'ending = "blocked_payee"\n'), more=PURCHASE.replace('"one"', '"two"').replace("1d", "3d")),
        "purchases[0].ending: purchase 'one' has provider 'pia' blocked while purchase 'two' pays it (accept)",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_wrong_scenario_is_refused_by_name_and_place(name: str, tmp_path: Path) -> None:
    text, message = REFUSED[name]
    with pytest.raises(ScenarioError) as caught:
        load_text(tmp_path, text)
    assert message in str(caught.value)
    assert "A complete example" in str(caught.value)


def test_every_mistake_is_reported_at_once(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError) as caught:
        load_text(tmp_path, small(('"10"', "10"), (DAY, 'deadline = "x"'), ('"Pia"', "5"), ('"100"', "1.5")))
    lines = caught.value.message.splitlines()
    assert [line.strip().partition(":")[0] for line in lines[1:]] == [
        "treasury.funding",
        "providers[0].name",
        "purchases[0].amount",
        "purchases[0].deadline",
    ]


def test_a_hundred_mistakes_are_not_all_printed(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError) as caught:
        load_text(tmp_path, small((PURCHASE, PURCHASE.replace('"10"', "10") * 40)))
    assert "and 30 more" in caught.value.message
    assert len(caught.value.message.splitlines()) == 12


@pytest.mark.parametrize("make", ["nothing", "a folder", "text that is not UTF-8", "something huge"])
def test_a_file_that_cannot_be_read_is_a_usage_error_without_a_traceback(make: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    if make == "a folder":
        path.mkdir()
    elif make == "text that is not UTF-8":
        path.write_bytes(b'title = "\xff"')
    elif make == "something huge":
        path.write_bytes(b"#" * 1_000_001)
    out, err = io.StringIO(), io.StringIO()
    assert run_demo(path, out=out, err=err) == 2
    assert str(path) in err.getvalue()
    assert "Traceback" not in err.getvalue()
    assert out.getvalue() == ""


def test_a_refused_scenario_is_an_invalid_input_for_whoever_catches_those(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput):
        load_text(tmp_path, "")


def test_the_bundled_scenario_shows_every_ending_of_the_seeds_crew() -> None:
    scenario = load_scenario(BUNDLED_SCENARIO)
    assert (len(scenario.agents), len(scenario.providers)) == (3, 4)
    assert {25_000_000, 150_000_000} <= {purchase.amount for purchase in scenario.purchases}
    kinds = [purchase.ending.kind for purchase in scenario.purchases]
    assert {"accepted", "settled_by_bot", "disputed", "agreed", "silent_provider", "blocked_payee"} == set(kinds)


def test_the_bundled_scenario_has_a_request_for_every_rule_that_can_deny_one() -> None:
    rules = [one.rule for one in load_scenario(BUNDLED_SCENARIO).denied]
    assert sorted(rules) == sorted(get_args(DenialRule))


def test_the_bundled_scenario_names_every_key_that_a_table_can_have() -> None:
    text = BUNDLED_SCENARIO.read_text(encoding="utf-8")
    tables = (Purchase, Disputed, Agreed, SilentProvider, Budget, Denied, Agent, Provider, Treasury)
    for keys in (table.keys() for table in tables):
        assert [key for key in keys if key not in text] == []


def test_a_bare_word_and_a_table_are_the_same_ending(tmp_path: Path) -> None:
    word = load_text(tmp_path, SMALL).purchases[0].ending
    table = load_text(tmp_path, ending('kind = "accepted"')).purchases[0].ending
    assert word == table == Accepted(kind="accepted")


def test_amounts_are_base_units_and_times_are_seconds_once_read() -> None:
    by_id = {purchase.id: purchase for purchase in load_scenario(ALL_ENDINGS).purchases}
    assert by_id["dust"].amount == 50_000
    assert by_id["odd"].amount == 33_333_333
    assert by_id["odd"].dispute_window_seconds == 3_600
    assert by_id["blocked"].ordered_after_seconds == 864_000
    assert by_id["dust"].delivery_seconds == 1_800
    assert by_id["dust"].dispute_window_seconds == 3_600
    assert by_id["blocked"].dispute_window_seconds == 43_200


def test_limits_that_are_left_out_are_those_of_the_role_and_else_the_total_budget(tmp_path: Path) -> None:
    junior = small(('name = "Ann"', 'name = "Ann"\nrole = "junior"\ndaily_limit = "80"\nrequests_per_day = 2'))
    (ann,) = load_text(tmp_path, junior).agents
    rules = agent_rules(ann, 1_000_000)
    assert (rules.spending_limit, rules.daily_limit, rules.requires_approval) == (50_000_000, 80_000_000, 25_000_000)
    assert rules.rate == {Period.DAY: 2}
    scenario = load_text(tmp_path, SMALL)
    rules = rule_book(scenario, {"pia": "0x" + "05" * 20}).agents["ann"]
    assert (rules.spending_limit, rules.daily_limit, rules.requires_approval) == (100_000_000, 100_000_000, None)


def test_only_the_scripted_approver_answers_and_everybody_may_be_paid_unless_the_file_says_otherwise(
    tmp_path: Path,
) -> None:
    addresses = {"pia": "0x" + "05" * 20}
    book = rule_book(load_text(tmp_path, SMALL), addresses)
    assert (book.total_budget, book.providers, book.approvals.approvers) == (100_000_000, None, (APPROVER,))
    listed = small(more='\n[budget]\ntotal = "50"\nproviders = ["pia"]\napprovals_expire_after = "1h"\n')
    book = rule_book(load_text(tmp_path, listed), addresses)
    assert (book.total_budget, book.providers) == (50_000_000, {addresses["pia"]})
    assert book.approvals.seconds == 3_600


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30m", 1_800), ("2h", 7_200), ("1d", 86_400), ("1d 12h", 129_600), ("1d2h3m", 93_780), (" 90m ", 5_400)],
)
def test_durations_are_read_as_written(text: str, seconds: int) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", " ", "5", "m", "1h 1d", "-1h", "1 h", "1s", "1h1h", "\u0661h", "999999d"])
def test_other_durations_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (1, "1 minute"),
        (60, "1 minute"),
        (3_599, "1 hour"),
        (7_260, "2 hours 1 minute"),
        (86_400, "1 day"),
        (183_600, "2 days 3 hours"),
        (86_460, "1 day 1 minute"),
    ],
)
def test_durations_are_written_for_people(seconds: int, text: str) -> None:
    assert format_duration(seconds) == text
