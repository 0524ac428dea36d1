"""What this process counts and times, as prometheus-client keeps it. Needs the extra `metrics`."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from prometheus_client import CollectorRegistry
from prometheus_client import Counter as PrometheusCounter
from prometheus_client import Histogram as PrometheusHistogram

from actp import observing
from coordinator.measures import MOST_SCOPES, OTHER

__all__ = ["Counting", "Labels"]

_LONGEST = 80


class Labels:
    """Which values a label may have: the first that came, and one more that stands for all later ones. So nobody who
    may choose names, such as those of scopes, can make a program keep ever more of them.
    """

    def __init__(self, most: int = MOST_SCOPES) -> None:
        self._most = most
        self._known: list[dict[str, str]] = []

    def of(self, values: tuple[str, ...]) -> tuple[str, ...]:
        """The values that are shown for these."""
        while len(self._known) < len(values):
            self._known.append({})
        return tuple(self._shown(known, value) for known, value in zip(self._known, values, strict=False))

    def _shown(self, known: dict[str, str], value: str) -> str:
        shown = known.get(value)
        if shown is None:
            if len(known) >= self._most:
                return OTHER
            shown = known[value] = printable(value)
        return shown


def printable(value: str) -> str:
    """A label's value that is short, and that every reader takes; different ones stay different."""
    plain = value.encode("utf-8", "replace").decode()
    if len(plain) <= _LONGEST:
        return plain
    return f"{plain[: _LONGEST - 10]}~{hashlib.sha256(value.encode('utf-8', 'replace')).hexdigest()[:8]}"


class _Counted:
    """A counter or histogram, its permitted labels, and the children that are in use."""

    def __init__(self, metric: PrometheusCounter | PrometheusHistogram) -> None:
        self.metric = metric
        self.labels = Labels()
        self.children: dict[tuple[str, ...], PrometheusCounter | PrometheusHistogram] = {}

    def child(self, values: tuple[str, ...]) -> PrometheusCounter | PrometheusHistogram:
        found = self.children.get(values)
        if found is None:
            shown = self.labels.of(values)
            found = self.metric.labels(*shown) if shown else self.metric
            if shown == values:  # what is not shown as it is may be anything, and is not kept
                self.children[values] = found
        return found


class Counting:
    """An observer over a registry, in which every measure is from the beginning."""

    def __init__(
        self, registry: CollectorRegistry, measures: Sequence[observing.Counter | observing.Histogram | observing.Gauge]
    ) -> None:
        self._counted: dict[observing.Counter | observing.Histogram, _Counted] = {}
        for one in measures:
            if isinstance(one, observing.Counter):
                self._counted[one] = _Counted(PrometheusCounter(one.name, one.help, one.labels, registry=registry))
            elif isinstance(one, observing.Histogram):
                made = PrometheusHistogram(one.name, one.help, one.labels, buckets=one.buckets, registry=registry)
                self._counted[one] = _Counted(made)

    def counted(self, counter: observing.Counter, amount: float, labels: tuple[str, ...]) -> None:
        """See `Observer`."""
        child = self._counted[counter].child(labels)
        assert isinstance(child, PrometheusCounter)
        child.inc(amount)

    def timed(self, histogram: observing.Histogram, seconds: float, labels: tuple[str, ...]) -> None:
        """See `Observer`."""
        child = self._counted[histogram].child(labels)
        assert isinstance(child, PrometheusHistogram)
        child.observe(seconds)
