"""What the tests of metrics share: what an endpoint says, as numbers by name and labels."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterable

from prometheus_client.parser import text_string_to_metric_families

from actp.observing import Counter, Gauge, Histogram, Reading

Samples = dict[tuple[str, ...], float]

__all__ = ["Samples", "by_name", "exported_name", "families", "scrape"]


def scrape(url: str) -> str:
    """What Prometheus gets."""
    with urllib.request.urlopen(url, timeout=10) as answer:
        assert answer.status == 200
        return str(answer.read().decode())


def families(text: str) -> Samples:
    """Every sample, by its name and the values of its labels in the order of their names."""
    return {
        (sample.name, *(sample.labels[name] for name in sorted(sample.labels))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def by_name(readings: Iterable[Reading]) -> Samples:
    """Readings in the same form, but labels in the order of the gauge."""
    return {(one.gauge.name, *one.labels): one.value for one in readings}


def exported_name(one: Counter | Histogram | Gauge) -> str:
    """What Prometheus calls it."""
    counts = isinstance(one, Counter) or (isinstance(one, Gauge) and one.grows)
    return f"{one.name}_total" if counts else one.name
