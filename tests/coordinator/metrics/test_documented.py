"""What is exported, what the README says, and what the dashboard shows are the same metrics."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from actp import measures as actp_measures
from actp.observing import Counter, Gauge, Histogram
from coordinator import measures
from coordinator.metrics.exposing import ALL
from tests.coordinator.metrics.support import exported_name

ROOM = Path(measures.__file__).parent / "metrics"
DASHBOARD: dict[str, Any] = json.loads((ROOM / "dashboard.json").read_text(encoding="utf-8"))
KINDS = {"c": Counter, "h": Histogram, "g": Gauge, "t": Gauge}
NAME = re.compile(r"\bactp_[a-z_]+")


MEASURES = {exported_name(one): one for one in ALL}


def expressions() -> list[str]:
    found = [target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", [])]
    return found + [one["definition"] for one in DASHBOARD["templating"]["list"] if "definition" in one]


def named_in(expression: str) -> set[str]:
    """The metrics of an expression; those of a histogram's parts by its own name."""
    found = set()
    for name in NAME.findall(expression):
        base = re.sub(r"_(bucket|sum|count)\Z", "", name)
        found.add(base if isinstance(MEASURES.get(base), Histogram) else name)
    return found


def test_the_readme_lists_every_metric_with_its_kind_and_labels_and_no_other():
    text = (ROOM / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(actp_\w+)` \| (\w) \| ([\w, ]*) ?\| \S", text, re.MULTILINE)
    told = {name: (KINDS[kind], tuple(re.findall(r"\w+", labels))) for name, kind, labels in rows}
    assert len(told) == len(rows)
    assert told == {name: (type(one), one.labels) for name, one in MEASURES.items()}
    grown = {name for name, kind, _ in rows if kind == "t"}
    assert grown == {name for name, one in MEASURES.items() if isinstance(one, Gauge) and one.grows}


def test_every_metric_of_the_dashboard_is_exported():
    used = set().union(*map(named_in, expressions()))
    assert used <= MEASURES.keys()


def test_the_dashboard_shows_every_metric():
    assert set().union(*map(named_in, expressions())) == MEASURES.keys()


@pytest.mark.parametrize("expression", expressions())
def test_an_expression_uses_labels_that_its_metrics_have(expression):
    known = {"instance", "le"}.union(*(MEASURES[name].labels for name in named_in(expression)))
    grouped = [part for found in re.findall(r"by \(([^)]*)\)", expression) for part in found.split(",")]
    assert {one.strip() for one in grouped} <= known
    matched = [part.partition("=")[0] for found in re.findall(r"\{([^}]*)\}", expression) for part in found.split(",")]
    assert {one.strip() for one in matched} <= known
    assert expression.count("(") == expression.count(")")


def test_legends_name_labels_that_their_expressions_keep():
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", []):
            wanted = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            kept = re.findall(r"by \(([^)]*)\)", target["expr"])
            assert wanted <= {part.strip() for one in kept for part in one.split(",")}, panel["title"]


def test_the_dashboard_can_be_imported_as_it_is():
    """Panels have a place and a number of their own, and ask the data source that is chosen in the page."""
    numbers = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(numbers)) == len(numbers)
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in DASHBOARD["panels"]]
    assert len(set(places)) == len(places)
    assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in DASHBOARD["panels"])
    sources = {panel["datasource"]["uid"] for panel in DASHBOARD["panels"] if "datasource" in panel}
    assert sources == {"${datasource}"}
    assert [one["name"] for one in DASHBOARD["templating"]["list"]] == ["datasource", "instance"]
    rows = [panel["title"] for panel in DASHBOARD["panels"] if panel["type"] == "row"]
    assert rows == ["Budgets", "Approvals and alerts", "Engine", "Settlement", "RPC", "Delta guard"]


def test_names_follow_the_conventions_of_prometheus():
    assert len({one.name for one in ALL}) == len(ALL)
    assert set(ALL) == {*actp_measures.ALL, *measures.ALL}
    listed = {id(value) for value in vars(measures).values() if isinstance(value, (Counter, Gauge, Histogram))}
    assert listed - {id(Counter)} == {id(one) for one in measures.ALL}
    for one in ALL:
        assert re.fullmatch(r"actp(_[a-z]+)+", one.name)
        assert isinstance(one, Histogram) is (one.name.endswith("_seconds") and not isinstance(one, Gauge))
        assert not re.search(r"_(ms|milliseconds|gwei|cents|total|count|sum|bucket)\Z", one.name)
