"""Spending over time, in numbers and as a picture."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
from PIL import Image

from actp.errors import ConfigError, InvalidInput
from coordinator.budget.words import ReservationState
from coordinator.reports import Timeline, over_time
from coordinator.reports.files import timeline_csv, timeline_json
from coordinator.reports.overtime import DAY, HOUR, MOST_STEPS, WEEK
from coordinator.reports.picture import draw
from tests.coordinator.journal.spending import charge, end, spend

S = ReservationState
USDC = 1_000_000
START = 1_700_000_000
HOUR_OF_START = START // HOUR * HOUR


def buy(ledger, account, agent, amount, state=None, **given):
    answer = spend(ledger, account, amount * USDC, charge(None, key=agent), agent=agent)
    if state is not None:
        end(ledger, account, answer, state, **given)
    return answer


@pytest.fixture
def spent(ledger, account, clock):
    """Two days of two agents."""
    buy(ledger, account, "ann", 10, S.COMMITTED)
    buy(ledger, account, "bob", 50, S.COMMITTED, actual=40 * USDC)
    buy(ledger, account, "bob", 7, S.RELEASED)
    clock.advance(DAY)
    returned = buy(ledger, account, "ann", 20, S.COMMITTED)
    end(ledger, account, returned, returned=5 * USDC)
    buy(ledger, account, "ann", 3, S.ON_CHAIN)
    buy(ledger, account, "ann", 1)
    spend(ledger, account, 99 * USDC, charge(None), approvals=1)
    spend(ledger, account, 99 * USDC, charge(1))
    clock.advance(HOUR)


def test_what_was_granted_and_not_taken_back_counts_when_it_was_asked_for(ledger, account, spent):
    found = over_time(ledger, account, seconds=DAY)
    assert found.start == START // DAY * DAY
    assert found.steps == 2
    assert dict(found.amounts) == {"bob": (40 * USDC, 0), "ann": (10 * USDC, (15 + 3 + 1) * USDC)}
    assert list(found.amounts) == ["bob", "ann"], "who has spent most comes first"


def test_steps_are_as_fine_as_is_readable(ledger, account, spent, clock):
    assert over_time(ledger, account).seconds == HOUR
    clock.advance(10 * DAY)
    assert over_time(ledger, account).seconds == DAY
    clock.advance(100 * DAY)
    found = over_time(ledger, account)
    assert found.seconds == WEEK
    assert (found.start // DAY + 3) % 7 == 0, "weeks begin on Mondays"
    assert sum(map(sum, found.amounts.values())) == 69 * USDC


def test_a_time_can_be_named(ledger, account, spent):
    found = over_time(ledger, account, since=START, until=START + HOUR, seconds=HOUR)
    assert found.starts() == (HOUR_OF_START, HOUR_OF_START + HOUR)
    assert dict(found.amounts) == {"bob": (40 * USDC, 0), "ann": (10 * USDC, 0)}


def test_what_was_asked_for_by_a_clock_that_is_ahead_is_not_left_out(ledger, account, spent, clock):
    clock.set_back(30 * DAY)  # as of a ledger of a simulated chain, whose story is set in the days to come
    found = over_time(ledger, account)
    assert sum(map(sum, found.amounts.values())) == 69 * USDC


def test_nothing_spent_is_an_empty_timeline(ledger, account):
    assert over_time(ledger, account).amounts == {}
    assert over_time(ledger, account, since=0, until=-5).steps == 0


def test_too_many_steps_and_steps_of_nothing_are_refused(ledger, account):
    with pytest.raises(InvalidInput, match=f"{MOST_STEPS:,} is the most"):
        over_time(ledger, account, since=0, until=DAY * 3000, seconds=DAY)
    with pytest.raises(InvalidInput):
        over_time(ledger, account, seconds=0)


def test_json_and_csv_of_a_timeline(ledger, account, spent):
    found = over_time(ledger, account, seconds=DAY)
    assert json.loads(timeline_json(found))["agents"]["bob"] == [40 * USDC, 0]
    assert timeline_csv(found).splitlines() == [
        "since,agent,spent",
        "2023-11-14T00:00:00Z,ann,10.0",
        "2023-11-14T00:00:00Z,bob,40.0",
        "2023-11-15T00:00:00Z,ann,19.0",
    ]


def timeline(*names, steps=5, seconds=DAY):
    amounts = {name: tuple((index + place) * USDC for index in range(steps)) for place, name in enumerate(names)}
    return Timeline(HOUR_OF_START, seconds, steps, amounts)


def colours(path: Path) -> set[str]:
    """Every colour that is somewhere in a picture."""
    with Image.open(path) as picture:
        found = picture.convert("RGB").getcolors(picture.width * picture.height)
    return {"{:02X}{:02X}{:02X}".format(*colour) for _count, colour in found or []}


def test_a_png_has_a_colour_for_each_agent(tmp_path):
    path = tmp_path / "spent.png"
    draw(timeline("ann", "bob"), path)
    found = colours(path)
    assert {"0072B2", "E69F00"} <= found
    assert "009E73" not in found


def words(path: Path) -> list[str]:
    return ["".join(one.itertext()) for one in ElementTree.parse(path).iter("{http://www.w3.org/2000/svg}text")]


def test_an_svg_names_agents_and_what_they_spent(tmp_path):
    path = tmp_path / "spent.svg"
    draw(timeline("ann", "bob"), path, title="In November")
    assert {"ann: 10.00", "bob: 15.00", "In November", "USDC per day"} <= set(words(path))


def test_of_a_hundred_agents_those_that_spent_most_are_named_and_none_is_left_out(tmp_path):
    names = [f"agent-{index}" for index in range(100)]
    path = tmp_path / "spent.svg"
    draw(timeline(*names), path)
    labels = [one for one in words(path) if one.startswith("agent-") or "others" in one]
    assert len(labels) == 7
    total = sum(5 * place + 10 for place in range(6, 100))
    assert f"94 others: {total:,}.00" in labels


@pytest.mark.parametrize(
    "name", ["$x$ and $\\frac{1}$", "_hidden", "研究エージェント", "n" * 300, "b\nc\x00\x1b[1m", "<&>"]
)
def test_any_name_can_be_drawn(tmp_path, name):
    for kind in ("svg", "png"):
        draw(timeline(name), tmp_path / f"one.{kind}")
    (label,) = [one for one in words(tmp_path / "one.svg") if one.endswith(": 10.00")]
    assert len(label) <= 40
    assert name[:1] in label


@pytest.mark.parametrize("kind", ["svg", "png"])
def test_no_spending_is_a_picture_that_says_so(tmp_path, kind):
    path = tmp_path / f"none.{kind}"
    draw(Timeline(START, DAY, 0, {}), path)
    assert path.stat().st_size > 1000
    if kind == "svg":
        assert "Nothing was spent" in words(path)


@pytest.mark.parametrize("kind", ["svg", "png"])
def test_the_same_numbers_give_the_same_bytes(tmp_path, kind):
    first, second = tmp_path / f"a.{kind}", tmp_path / f"b.{kind}"
    draw(timeline("ann", "bob", seconds=HOUR), first)
    draw(timeline("ann", "bob", seconds=HOUR), second)
    assert first.read_bytes() == second.read_bytes()


def test_files_that_are_no_pictures_or_cannot_be_written_are_refused(tmp_path):
    with pytest.raises(InvalidInput, match=r"spent\.pdf"):
        draw(timeline("ann"), tmp_path / "spent.pdf")
    with pytest.raises(ConfigError, match="cannot be written"):
        draw(timeline("ann"), tmp_path / "missing" / "spent.png")
