"""Scenario files: what is refused, and whether the message says where and what is allowed."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from actp.errors import InvalidInput
from coordinator.crew import run_demo
from coordinator.crew.durations import format_duration, parse_duration
from coordinator.crew.loading import BUNDLED_SCENARIO, ScenarioError, load_scenario
from coordinator.crew.scenario import Accepted, Agreed, Disputed, SilentProvider
from tests.coordinator.support import ALL_ENDINGS, DISPUTED, SMALL, load_text, small

PURCHASE = SMALL[SMALL.index("[[purchases]]") :]
ENDING = 'ending = "accepted"\n'
DAY = 'deadline = "1d"'


def ending(text: str, *more: tuple[str, str]) -> str:
    """A scenario whose purchase ends as this table says."""
    return small((ENDING, ""), *more, more=f"\n[purchases.ending]\n{text}\n")


REFUSED = {
    "an empty file": ("", "empty"),
    "a file that is not TOML": ("title = ", "not TOML"),
    "no purchases": ("purchases = []\n" + small((PURCHASE, "")), "purchases: must not be empty"),
    "no purchases at all": (small((PURCHASE, "")), "purchases: missing"),
    "purchases as a table": (small(("[[purchases]]", "[purchases]")), "purchases: must be a list"),
    "a treasury that is no table": (small(('[treasury]\nfunding = "100"', 'treasury = "100"')), "treasury: must be a"),
    "an unknown key on top": ("budget = 5\n" + SMALL, "budget: unknown key; known keys are title, treasury, agents"),
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
    "a deadline that is too close": (small((DAY, 'deadline = "19m"')), "purchases[0].deadline: must be 20m to 365d"),
    "a deadline that is too far": (small((DAY, 'deadline = "366d"')), "purchases[0].deadline: must be 20m to 365d"),
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
        small((ENDING, 'ending = "blocked_payee"\n'), more=PURCHASE.replace('"one"', '"two"').replace("1d", "6d")),
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
    assert (len(scenario.agents), len(scenario.providers)) == (3, 3)
    assert {25_000_000, 150_000_000} <= {purchase.amount for purchase in scenario.purchases}
    kinds = [purchase.ending.kind for purchase in scenario.purchases]
    assert {"accepted", "settled_by_bot", "disputed", "agreed", "silent_provider", "blocked_payee"} == set(kinds)


def test_the_bundled_scenario_names_every_key_that_a_purchase_can_have() -> None:
    text = BUNDLED_SCENARIO.read_text(encoding="utf-8")
    purchase = load_scenario(BUNDLED_SCENARIO).purchases[0]
    for keys in (type(purchase).keys(), Disputed.keys(), Agreed.keys(), SilentProvider.keys()):
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
