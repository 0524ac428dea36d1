"""Agents and files of rules from the command line."""

from __future__ import annotations

import pytest

from tests.coordinator.authority.support import PROVIDER, USDC

RULES = 'total_budget = "900 USDC"\n[agents.ann]\nrole = "junior"\n'


@pytest.fixture
def file(tmp_path):
    made = tmp_path / "rules.toml"
    made.write_text(RULES)
    return made


def rules(shop):
    with shop.authority() as authority:
        return authority.book()


def test_an_agent_gets_what_its_role_leaves_open_and_what_is_given(shop, run):
    said = run(
        "agents", "add", "carl", "--role", "junior", "--daily-limit", "70 USDC", "--name", "Carl",
        "--categories", "data", "--providers", PROVIDER, "--budget", "80000000",
    )  # fmt: skip
    assert said.code == 0
    assert "at most 50.00 USDC a request, at most 70.00 USDC a day" in said.out
    carl = rules(shop).agents["carl"]
    assert (carl.spending_limit, carl.daily_limit, carl.budget) == (50 * USDC, 70 * USDC, 80 * USDC)
    assert (carl.categories, carl.providers) == ({"data"}, {PROVIDER})
    assert "carl" in run("agents", "list").out
    shown = run("agents", "show", "carl").out
    assert "in all      0.00 of 80.00 USDC" in shown
    assert run("agents", "show", "carl", "--json").json["spending_limit"] == 50 * USDC


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["carl"], "An agent needs --spending-limit and --daily-limit and --requires-approval, or a --role"),
        (["carl", "--spending-limit", "5", "--daily-limit", "6"], "An agent needs --requires-approval, or a --role"),
        (
            ["carl", "--role", "junior", "--spending-limit", "200 USDC"],
            "200.0 USDC can never be reached, as daily_limit",
        ),
        (["carl", "--role", "junior", "--by", ""], "it is empty"),
        (["car\udcff", "--role", "junior"], "half a surrogate pair"),
        (["carl", "--role", "chief"], "There is no role chief"),
        (["carl", "--role", "junior", "--categories", "dat"], "There is no category dat"),
        (["carl", "--role", "junior", "--providers", "0x12"], "is not an address"),
        (["carl", "--role", "junior", "--budget", "1.5"], "is no amount"),
        (["carl", "--role", "junior", "--budget", "-1"], "is no amount"),
        (["treasury", "--role", "junior"], "No agent can be called 'treasury'"),
        (["ann", "--role", "junior"], "There is an agent ann already"),
        (["", "--role", "junior"], "id is empty"),
    ],
)
def test_an_agent_that_cannot_be_is_refused_and_nothing_is_changed(shop, run, arguments, says):
    before = rules(shop)
    said = run("agents", "add", *arguments)
    assert said.code == 2
    assert says in said.err
    assert rules(shop).version == before.version


def test_an_agents_limits_are_replaced_only_when_that_is_said(shop, run):
    assert run("agents", "add", "ann", "--role", "junior", "--replace", "--by", "ada").code == 0
    assert rules(shop).agents["ann"].spending_limit == 50 * USDC
    assert '"by": "ada"' in run("journal", "list", "--json").out.splitlines()[-1]


def test_an_agent_that_is_removed_is_denied(shop, run):
    assert run("agents", "remove", "ann").code == 0
    assert shop.ask(1).denial.rule == "unknown_agent"
    assert run("agents", "remove", "ann").code == 2
    assert run("agents", "show", "ann").code == 2


def test_a_file_is_explained_without_a_store(run, file, monkeypatch):
    monkeypatch.delenv("ACTP_STORE_URL")
    said = run("policy", "check", file)
    assert said.code == 0
    assert "agent ann, a request: at most 50.00 USDC" in said.out
    assert run("policy", "check", file, "--json").json["ok"]


def test_everything_that_is_wrong_in_a_file_is_said_and_nothing_is_applied(shop, run, file):
    file.write_text('total_budget = 1.5\ntypo = 1\n[agents.ann]\nrole = "chief"\n')
    before = rules(shop).version
    for verb in ("check", "diff", "apply"):
        said = run("policy", verb, file)
        assert said.code == 1
        for problem in ("total_budget", "typo", "agents.ann"):
            assert problem in said.err
    assert len(run("policy", "check", file, "--json").json["problems"]) >= 3
    assert rules(shop).version == before


def test_a_file_is_compared_applied_once_and_then_the_same(shop, run, file):
    differs = run("policy", "diff", file).out
    assert "~ total budget: 1,000.00 USDC -> 900.00 USDC" in differs
    assert "- agent boss, name" in differs
    applied = run("policy", "apply", file)
    assert applied.code == 0
    assert differs in applied.out
    assert "as version 2" in applied.out
    assert run("policy", "diff", file).out == "Nothing would change.\n"
    assert "Nothing has changed" in run("policy", "apply", file).out
    assert "Rules of version 2" in run("policy", "show").out
    assert run("policy", "show", "--json").json["rules"]["total_budget"] == "900000000"


def test_an_agent_without_a_role_says_when_somebody_is_asked(shop, run):
    limits = ("--spending-limit", "90 USDC", "--daily-limit", "95 USDC", "--requires-approval")
    assert run("agents", "add", "carl", *limits, "never").code == 0
    assert rules(shop).agents["carl"].requires_approval is None
    assert run("agents", "add", "dora", *limits, "7 USDC").code == 0
    assert rules(shop).agents["dora"].requires_approval == 7 * USDC
