"""Rules from files: everything that is wrong is told at once, by its key, and nothing of such a file is used."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

import coordinator.budget
from coordinator.budget.document import RulesError, load, rules_from
from coordinator.budget.explaining import diff, explain
from coordinator.budget.rulebook import CATEGORIES, RuleBook, Tier
from coordinator.budget.words import Period
from tests.coordinator.budget.support import OTHER_PROVIDER, PROVIDER, USDC

README = Path(coordinator.budget.__file__).with_name("README.md").read_text(encoding="utf-8")
FULL = README.split("```toml\n")[1].split("```")[0]
"""The example for users: every key that there is."""
SMALL = 'total_budget = "10 USDC"\n[agents.ann]\nrole = "junior"\n'


def full() -> RuleBook:
    return rules_from(tomllib.loads(FULL))


def problems(text: str) -> tuple[str, ...]:
    with pytest.raises(RulesError) as caught:
        rules_from(tomllib.loads(text))
    return caught.value.problems


def ann(more: str, head: str = 'total_budget = "1000 USDC"') -> str:
    usual = {"spending_limit": '"100 USDC"', "daily_limit": '"300 USDC"', "requires_approval": '"50 USDC"'}
    given = {line.split(" = ")[0] for line in more.splitlines()}
    lines = [f"{key} = {value}" for key, value in usual.items() if key not in given]
    return "\n".join([head, "[agents.ann]", *lines, more])


def test_a_file_with_every_key_means_what_it_says():
    book = full()
    research, boss, apprentice = (book.agents[name] for name in ("research-agent", "boss", "apprentice"))
    assert (book.total_budget, book.providers) == (1_000 * USDC, {PROVIDER, OTHER_PROVIDER})
    assert {name: (one.budget, str(one.period)) for name, one in book.categories.items()} == {
        "data": (300 * USDC, "ever"),
        "api": (200 * USDC, "month"),
        "other": (None, "ever"),
    }
    assert (research.spending_limit, research.daily_limit) == (100 * USDC, 300 * USDC)
    assert (research.requires_approval, research.daily_period) == (50_500_000, Period.ROLLING_DAY)
    assert (research.weekly_limit, research.monthly_limit, research.budget) == (600 * USDC, 800 * USDC, 900 * USDC)
    assert (research.providers, research.categories) == ({PROVIDER}, {"data", "api"})
    assert research.rate == {Period.HOUR: 10, Period.DAY: 50}
    assert (boss.name, boss.role, boss.spending_limit, boss.daily_limit) == ("boss", "admin", 10**10, 5 * 10**10)
    assert (apprentice.spending_limit, apprentice.requires_approval) == (5 * USDC, None)
    approvals = book.approvals
    assert (approvals.required, approvals.approvers, approvals.seconds) == (1, ("ada", "bob"), 3_600)
    assert (approvals.tiers, approvals.roles) == ((Tier(500 * USDC, 2),), {"senior", "admin"})
    assert (book.gas.budget, book.gas.period) == (5 * 10**16, Period.MONTH)
    assert book.rate == {Period.HOUR: 100, Period.DAY: 1_000}


def test_the_full_example_leaves_no_key_out():
    from coordinator.budget.document import _AGENT_KEYS, _KEYS

    data = tomllib.loads(FULL)
    assert set(data) == set(_KEYS)
    assert set(data["agents"]["research-agent"]) | {"role"} == set(_AGENT_KEYS)


@pytest.mark.parametrize(
    ("head", "default"),
    [
        ("", "other"),
        ("default_category = 'none'", None),
        ("[categories]\ndata = 1\nother = 1", "other"),
        ("[categories]\ndata = 1", None),
    ],
)
def test_what_a_file_calls_other_is_what_names_no_category_unless_it_says_otherwise(head, default):
    """Else whoever leaves the category out gets around the budgets of all categories."""
    assert rules_from(tomllib.loads(f"total_budget = 9\n{head}")).default_category == default


def test_without_a_table_of_categories_the_usual_ones_are_counted():
    book = rules_from(tomllib.loads(SMALL))
    assert {name: one.budget for name, one in book.categories.items()} == dict.fromkeys(CATEGORIES)


BAD = [
    ("", "total_budget: missing"),
    ('total_budget = "1"\ntotal_budgt = 1', "total_budgt: unknown key, did you mean total_budget?"),
    ("total_budget = 1.5", "total_budget: write base units"),
    ("total_budget = -1", "total_budget: it must be from 0"),
    ("total_budget = nan", "total_budget: write base units"),
    ("total_budget = true", "total_budget: write base units"),
    ('total_budget = "25.5"', "total_budget: '25.5' is no amount"),
    ('total_budget = "25.5 USD"', "total_budget: '25.5 USD' is no amount"),
    ('total_budget = "1 ETH"', "total_budget: '1 ETH' is no amount"),
    ('total_budget = "0.0000001 USDC"', "total_budget: '0.0000001 USDC' has more than 6 decimals"),
    ('total_budget = "9223372036854.775808 USDC"', "total_budget: it must be from 0"),
    ("agents = 3", "agents: must be a table"),
    ("agents = {ann = 3}", "agents.ann: must be a table"),
    (ann("limit = 1"), "agents.ann.limit: unknown key"),
    (ann('name = ""'), "agents.ann.name: it is empty"),
    (ann('role = "boss"'), "agents.ann.role: there is no role 'boss'"),
    (ann('daily_period = "week"'), "agents.ann.daily_period: 'week' is none of day, rolling_day"),
    (ann('providers = ["0x1"]'), "agents.ann.providers: address '0x1' is not an address."),
    (ann('address = "0xAbcd050505050505050505050505050505050505"'), "agents.ann: address 0xAbcd"),
    (ann('categories = "data"'), "agents.ann.categories: must be a list"),
    (ann('categories = ["data", "data"]'), "agents.ann.categories: entry 2 is there twice: data"),
    (ann('categories = ["toys"]'), "agents.ann.categories: toys is no category"),
    (ann("rate = {week = 1}"), "agents.ann.rate.week: unknown key"),
    (ann("rate = {hour = 0}"), "agents.ann.rate.hour: must be a whole number"),
    ('total_budget = "1 USDC"\n[agents.ann]\n', "agents.ann.spending_limit: missing"),
    ('total_budget = "1 USDC"\n[agents.treasury]\nrole = "junior"', "agents.treasury: No agent can be called"),
    ('total_budget = "1 USDC"\n[categories]\ndata = {period = "year"}', "categories.data.period: 'year' is no period"),
    ('total_budget = "1 USDC"\n[categories]\ndata = {limit = 1}', "categories.data.limit: unknown key"),
    ('total_budget = "1 USDC"\n[roles.x]\ndaily_limit = 1', "roles.x.spending_limit: missing"),
    ('total_budget = "1 USDC"\n[approvals]\nrequired = 0', "approvals.required: must be a whole number"),
    ('total_budget = "1 USDC"\n[approvals]\ntiers = [{over = 1}]', "approvals.tiers[0].required: missing"),
    ('total_budget = "1 USDC"\n[approvals]\nexpire_seconds = 1000000000', "seconds must be"),
    ('total_budget = "1 USDC"\n[gas]\nperiod = "day"', "gas.budget: missing"),
    ('total_budget = "1 USDC"\n[gas]\nbudget = "1 USDC"', "gas.budget: '1 USDC' is no amount"),
    ('total_budget = "1 USDC"\nalerts_at = [0]', "alerts_at: must be a list of percentages"),
    ('total_budget = "1 USDC"\nrequire_category = 1', "require_category: must be true or false"),
    ('total_budget = "1 USDC"\ndefault_category = "data"', 'default_category: must be "other" or "none"'),
    (
        'total_budget = "1 USDC"\ndefault_category = "other"\n[categories]\ndata = 1',
        "default_category: other is no category; those are data",
    ),
]


@pytest.mark.parametrize(("text", "said"), BAD)
def test_what_is_wrong_is_told_by_its_key(text, said):
    found = problems(text)
    assert any(line.startswith(said) for line in found), found


CONTRADICTIONS = [
    (ann('spending_limit = "301 USDC"'), "agents.ann.spending_limit: 301.0 USDC can never be reached, as daily_limit"),
    (ann('daily_limit = "1001 USDC"'), "agents.ann.daily_limit: 1001.0 USDC can never be reached, as total_budget"),
    (ann('requires_approval = "101 USDC"'), "agents.ann.requires_approval: 101.0 USDC can never be reached"),
    (ann('weekly_limit = "299 USDC"'), "agents.ann.daily_limit: 300.0 USDC can never be reached, as weekly_limit"),
    (ann('weekly_limit = "400 USDC"\nmonthly_limit = "399 USDC"'), "agents.ann.weekly_limit: 400.0 USDC"),
    (ann('budget = "299 USDC"'), "agents.ann.daily_limit: 300.0 USDC can never be reached, as budget"),
    (ann('budget = "1001 USDC"'), "agents.ann.budget: 1001.0 USDC can never be reached, as total_budget"),
    (ann('role = "junior"\nspending_limit = "101 USDC"\ndaily_limit = "100 USDC"'), "agents.ann.spending_limit"),
    (ann("rate = {hour = 3, day = 2}"), "agents.ann.rate.hour: 3 can never be reached, as day allows only 2"),
    ('total_budget = "1 USDC"\n[categories]\ndata = "2 USDC"', "categories.data: 2.0 USDC can never be reached"),
    ('total_budget = "1 USDC"\n[rate]\nhour = 2\nday = 1', "rate.hour: 2 can never be reached"),
    (
        'total_budget = "1 USDC"\n[approvals]\ntiers = [{over = 1, required = 3}, {over = 2, required = 2}]',
        "approvals.tiers: above",
    ),
    ('total_budget = "1 USDC"\n[approvals]\nrequired = 3\napprovers = ["ada"]', "approvals: 3 yeses"),
    (
        ann(f'providers = ["{PROVIDER}"]', f'total_budget = "1000 USDC"\nproviders = ["{OTHER_PROVIDER}"]'),
        f"agents.ann.providers: {PROVIDER} is not among",
    ),
]


@pytest.mark.parametrize(("text", "said"), CONTRADICTIONS)
def test_limits_that_contradict_each_other_are_told(text, said):
    found = problems(text)
    assert any(line.startswith(said) for line in found), found
    assert len(found) == 1


def test_a_role_may_allow_more_than_there_is_in_all():
    assert rules_from(tomllib.loads(SMALL)).agents["ann"].daily_limit == 100 * USDC


def test_limits_may_be_equal():
    book = rules_from(
        tomllib.loads(
            ann(
                'spending_limit = "1000 USDC"\ndaily_limit = "1000 USDC"\nrequires_approval = "1000 USDC"\n'
                'weekly_limit = "1000 USDC"\nmonthly_limit = "1000 USDC"\nbudget = "1000 USDC"'
            )
        )
    )
    assert book.agents["ann"].budget == book.total_budget


def test_everything_that_is_wrong_is_told_at_once():
    text = 'colour = "red"\n[agents.ann]\nspending_limit = 1.5\n[agents.bob]\nrole = "boss"\n'
    starts = [line.split(":")[0] for line in problems(text)]
    assert {"colour", "total_budget", "agents.ann.spending_limit", "agents.bob.role"} <= set(starts)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"total_budget = ", "not TOML"),
        (b"\xff", "not TOML"),
        (b"#" * 1_000_001, "larger than"),
        (b"total_budget = 1\ntotal_budget = 2", "not TOML"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path, content, said):
    path = tmp_path / "rules.toml"
    path.write_bytes(content)
    with pytest.raises(RulesError, match=said) as caught:
        load(path)
    assert str(path) in str(caught.value)
    with pytest.raises(RulesError, match="cannot be read"):
        load(tmp_path / "absent.toml")


def test_a_file_is_read(tmp_path):
    path = tmp_path / "rules.toml"
    path.write_text(FULL, encoding="utf-8")
    assert load(path) == full()


def test_an_explanation_has_every_limit_of_the_file():
    said = "\n".join(explain(full()))
    for part in (
        "total budget: 1,000.00 USDC",
        "category api: 200.00 USDC a month (UTC)",
        "category other: counted, not limited",
        "agent research-agent, a request: at most 100.00 USDC",
        "agent research-agent, within 24 hours: at most 300.00 USDC",
        "agent research-agent, approval: needed above 50.50 USDC",
        "agent apprentice, approval: never needed",
        "approvals: 1 needed, within 1 hour",
        "approvals above 500.00 USDC: 2 needed",
        "gas: 0.05 ETH a month (UTC)",
        "requests of all agents an hour: at most 100",
        "agent research-agent, requests a day (UTC): at most 50",
    ):
        assert part in said
    assert "everything is denied" in "\n".join(explain(RuleBook()))


def test_a_difference_is_told_for_whatever_changes_and_only_that():
    old = full()
    assert diff(old, old) == []
    changes = {
        ('total_budget = "1000 USDC"', 'total_budget = "2000 USDC"'): [
            "~ total budget: 1,000.00 USDC -> 2,000.00 USDC"
        ],
        ("rate = { hour = 10, day = 50 }", "rate = { hour = 10 }"): [
            "- agent research-agent, requests a day (UTC): at most 50"
        ],
        ("other = {}", 'other = {}\ntoys = "1 USDC"'): ["+ category toys: 1.00 USDC in all"],
    }
    for (was, becomes), lines in changes.items():
        assert was in FULL
        assert diff(old, rules_from(tomllib.loads(FULL.replace(was, becomes)))) == lines


@pytest.mark.parametrize(
    ("was", "becomes", "lines"),
    [
        (
            'daily_period = "rolling_day"',
            'daily_period = "day"',
            [
                "+ agent research-agent, a day (UTC): at most 300.00 USDC (starts at 0 now)",
                "- agent research-agent, within 24 hours: at most 300.00 USDC",
            ],
        ),
        (
            'requires_approval = "never"',
            'requires_approval = "never"\nweekly_limit = "7 USDC"\nbudget = "8 USDC"',
            [
                "+ agent apprentice, a week (from Monday, UTC): at most 7.00 USDC (starts at 0 now)",
                "+ agent apprentice, in all: at most 8.00 USDC",
            ],
        ),
        (
            'period = "month"\n\n[rate]',
            'period = "week"\n\n[rate]',
            ["~ gas: 0.05 ETH a month (UTC) -> 0.05 ETH a week (from Monday, UTC) (starts at 0 now)"],
        ),
        (
            'role = "admin"',
            'role = "admin"\nrate = { day = 5 }',
            ["+ agent boss, requests a day (UTC): at most 5 (starts at 0 now)"],
        ),
        (
            'weekly_limit = "600 USDC"',
            'weekly_limit = "500 USDC"',
            ["~ agent research-agent, a week (from Monday, UTC): at most 600.00 USDC -> at most 500.00 USDC"],
        ),
    ],
)
def test_a_limit_on_what_was_not_counted_before_says_that_it_starts_at_0(was, becomes, lines):
    """Else whoever changes a period takes what was spent today for counted."""
    assert was in FULL
    assert diff(full(), rules_from(tomllib.loads(FULL.replace(was, becomes)))) == lines


def test_rules_of_another_content_always_show_a_difference():
    """Else a change of rules could be applied unseen."""
    old = full()
    changed = old.to_json()
    for name, value in {
        "require_category": True, "alerts_at": [50], "providers": None, "rate": {}, "gas": None, "roles": {},
        "default_category": None,
    }.items():  # fmt: skip
        new = RuleBook.from_json({**changed, name: value})
        assert new.content_hash != old.content_hash
        assert diff(old, new) != [], name
