"""Everything that is exported, in one registry. Needs the extra `metrics`."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from actp import measures as actp_measures
from actp import observing
from actp.errors import ActpError
from actp.observing import Gauge, Reading
from coordinator import measures
from coordinator.measures import OTHER
from coordinator.metrics.counting import Counting, Labels

__all__ = ["ALL", "Exported"]

ALL: tuple[observing.Counter | observing.Histogram | observing.Gauge, ...] = (*actp_measures.ALL, *measures.ALL)
"""Everything that there is."""

_log = logging.getLogger(__name__)

Source = Callable[[], Iterable[Reading]]
_Family = CounterMetricFamily | GaugeMetricFamily


class Exported:
    """Counts from now on until it is closed, and asks `sources` for gauges, besides what is watched, whenever somebody
    scrapes.
    """

    def __init__(self, *sources: Source) -> None:
        self.registry: CollectorRegistry = _Registry()
        self._counting = Counting(self.registry, ALL)
        self.registry.register(_Gauges(sources))
        observing.listen(self._counting)

    def close(self) -> None:
        """Counts nothing more."""
        observing.unlisten(self._counting)


class _Registry(CollectorRegistry):
    """Without the times at which counters began, which double the number of lines, and which a scrape tells anyway."""

    def collect(self) -> Iterator[Metric]:
        """Every family."""
        for family in super().collect():
            family.samples = [one for one in family.samples if not one.name.endswith("_created")]
            yield family


class _Gauges(Collector):
    """All gauges, read when they are asked for."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self._sources = sources
        self._lock = threading.Lock()

    def describe(self) -> Iterable[_Family]:
        """The names only: whoever registers this must not read a ledger for it."""
        return [_family(one) for one in ALL if isinstance(one, Gauge)]

    def collect(self) -> Iterator[_Family]:
        """Every gauge that anything is known of. One scrape reads after another: those who come at the same time must
        not take all of a database's connections.
        """
        with self._lock:
            found = self._found()
        for gauge, values in found.items():
            family = _family(gauge)
            for labels, value in values.items():
                family.add_metric(labels, value)
            yield family

    def _found(self) -> dict[Gauge, dict[tuple[str, ...], float]]:
        found: dict[Gauge, dict[tuple[str, ...], float]] = {}
        permitted: dict[Gauge, Labels] = {}
        for reading in self._readings():
            gauge = reading.gauge
            labels = permitted.setdefault(gauge, Labels(measures.MOST_SCOPES + 1)).of(reading.labels)
            values = found.setdefault(gauge, {})
            if labels not in values:
                values[labels] = reading.value
            elif OTHER in labels:
                values[labels] += reading.value
            else:
                values[labels] = (min if gauge.lowest else max)(values[labels], reading.value)
        return found

    def _readings(self) -> Iterator[Reading]:
        for source in (*observing.sources(), *self._sources):
            try:
                yield from source()
            except ActpError as error:  # what others count is told all the same
                _log.warning("A gauge cannot be read: %s", error)


def _family(gauge: Gauge) -> _Family:
    kind = CounterMetricFamily if gauge.grows else GaugeMetricFamily
    return kind(gauge.name, gauge.help, labels=gauge.labels)
