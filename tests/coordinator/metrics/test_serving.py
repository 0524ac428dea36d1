"""The endpoint: who can reach it, what it answers, and what is said when there can be none."""

from __future__ import annotations

import argparse
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest

from actp import observing
from actp.errors import ConfigError
from actp.measures import TX_SIGNED
from coordinator import measures
from coordinator.measures import MOST_SCOPES, OTHER
from coordinator.metrics.counting import printable
from coordinator.metrics.exposing import Exported
from coordinator.metrics.serving import Address, add_metrics, address_of, serve, serving
from tests.coordinator.metrics.support import families, scrape
from tests.coordinator.worker.support import Firm


def parsed(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_metrics(parser)
    return parser.parse_args(words)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("9464", Address("127.0.0.1", 9464)),
        (":9464", Address("127.0.0.1", 9464)),
        ("0.0.0.0:1", Address("0.0.0.0", 1)),
        ("localhost:65535", Address("localhost", 65535)),
        ("[::1]:80", Address("::1", 80)),
    ],
)
def test_an_address_is_this_machine_unless_another_one_is_named(text, address):
    assert address_of(text) == address
    assert address_of(str(address)) == address


@pytest.mark.parametrize(
    "text",
    ["", "host", "host:", "host:x", "host:65536", "::1:80", "1:2:3", "host:-1", "host:\u0661", f"host:{'0' * 5000}1"],
)
def test_what_is_no_address_is_said(text):
    with pytest.raises(ConfigError, match="is no address for metrics"):
        address_of(text)


@pytest.mark.slow
def test_the_endpoint_answers_while_it_is_open_and_closes_its_port(firm: Firm):
    with serve("127.0.0.1:0", firm.ledger, firm.key) as served:
        TX_SIGNED.add(3)
        assert served.address.host == "127.0.0.1"
        shown = families(scrape(served.url))
        assert shown["actp_tx_signed_total",] == 3
        assert shown["actp_store_up",] == 1
    TX_SIGNED.add(5)  # nobody hears it, and nothing breaks
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(served.url, timeout=1)
    with serve(served.address, firm.ledger, firm.key):  # the port is free again
        assert families(scrape(served.url))["actp_tx_signed_total",] == 0


def test_a_port_in_use_is_said_before_anything_runs(firm: Firm):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ran = False
        with (
            pytest.raises(ConfigError, match=rf"Nobody can listen at 127\.0\.0\.1:{port}: Address already in use"),
            serving(parsed("--metrics-address", str(port)), firm.ledger, firm.key, service="test"),
        ):
            ran = True
        assert not ran
    assert observing._observers == ()


def test_a_host_that_is_not_ours_is_said(firm: Firm):
    with pytest.raises(ConfigError, match="Nobody can listen at"), serve("192.0.2.1:9464", firm.ledger, firm.key):
        pass


def test_without_the_flag_nobody_listens_and_no_library_is_loaded():
    """A worker without the flag pays for nothing."""
    program = (
        "import argparse, sys\n"
        "from coordinator.metrics.serving import add_metrics, serving\n"
        "parser = argparse.ArgumentParser()\n"
        "add_metrics(parser)\n"
        "with serving(parser.parse_args([]), None, None, service='test') as served:\n"
        "    assert served is None\n"
        "print(sorted(name for name in sys.modules if name.split('.')[0] in ('prometheus_client', 'opentelemetry')))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env={"PATH": ""})
    assert done.stdout.strip() == "[]"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("library", "words", "extra"),
    [("prometheus_client", ["--metrics-address", "0"], "metrics"), ("opentelemetry.sdk.trace", ["--traces"], "traces")],
)
def test_a_missing_extra_is_named(firm: Firm, monkeypatch, library, words, extra):
    for name in [one for one in sys.modules if one.split(".")[0] in ("prometheus_client", "opentelemetry")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(sys.modules, "coordinator.metrics.derived", raising=False)
    monkeypatch.setitem(sys.modules, library, None)
    with (
        pytest.raises(ConfigError) as caught,
        serving(parsed(*words), firm.ledger, firm.key, service="test"),
    ):
        pass
    assert caught.value.hint == f"pip install 'actp-escrow[{extra}]'"


def test_every_counter_and_histogram_is_there_before_anything_happens(firm: Firm):
    """A rate over a line that appears with its first event misses that event; those without labels are there."""
    with serve("127.0.0.1:0", firm.ledger, firm.key) as served:
        shown = families(scrape(served.url))
    for one in (*measures.ALL, TX_SIGNED):
        if isinstance(one, observing.Counter) and not one.labels:
            assert shown[f"{one.name}_total",] == 0
        if isinstance(one, observing.Histogram) and not one.labels:
            assert shown[f"{one.name}_count",] == 0


def test_names_that_others_choose_cannot_fill_memory():
    exported = Exported()
    try:
        for index in range(500):
            measures.rejected(f"scope {index}", "limit")
        measures.rejected("scope 3", "limit")
        measures.rejected("scope 499", "limit")
        value = exported.registry.get_sample_value
        name = "actp_budget_rejections_total"
        assert value(name, {"scope": "scope 3", "reason": "limit"}) == 2
        assert value(name, {"scope": OTHER, "reason": "limit"}) == 500 - MOST_SCOPES + 1
        counted = exported._counting._counted[measures.BUDGET_REJECTIONS]
        assert len(counted.children) <= MOST_SCOPES
    finally:
        exported.close()


@pytest.mark.parametrize("name", ['quo"te', "new\nline", "back\\slash", "\ud800", "x" * 10_000, "{scope}", "ümlaut 🚀"])
def test_a_label_may_be_any_text_and_the_answer_still_parses(firm: Firm, name):
    with serve("127.0.0.1:0", firm.ledger, firm.key) as served:
        measures.rejected(name, "limit")
        shown = families(scrape(served.url))
    assert shown["actp_budget_rejections_total", "limit", printable(name)] == 1
    assert len(printable(name)) <= 80


def test_long_names_stay_different():
    assert printable("x" * 100 + "a") != printable("x" * 100 + "b")


def test_gauges_of_two_with_the_same_labels_are_one_line():
    class Thing:
        """Has a reading."""

    low, high = Thing(), Thing()
    numbers = {low: 3.0, high: 5.0}

    def read(one):
        yield observing.Reading(measures.BUDGET_REMAINING, numbers[one], ("same",))
        yield observing.Reading(measures.BUDGET_RESERVED, numbers[one], ("same",))
        yield observing.Reading(measures.BUDGET_RESERVED, numbers[one], (OTHER,))

    for one in (low, high):
        observing.watch(one, read)
    exported = Exported()
    try:
        value = exported.registry.get_sample_value
        assert value("actp_budget_remaining_usd", {"scope": "same"}) == 3
        assert value("actp_budget_reserved_usd", {"scope": "same"}) == 5
        assert value("actp_budget_reserved_usd", {"scope": OTHER}) == 8
    finally:
        exported.close()


def test_one_source_that_fails_leaves_the_others(firm: Firm):
    def broken():
        raise ConfigError("gone")
        yield

    exported = Exported(broken, lambda: [observing.Reading(measures.STORE_UP, 1)])
    try:
        assert exported.registry.get_sample_value("actp_store_up") == 1
    finally:
        exported.close()


def test_threads_count_exactly_while_others_scrape(firm: Firm):
    with serve("127.0.0.1:0", firm.ledger, firm.key) as served, ThreadPoolExecutor(6) as pool:
        start = threading.Barrier(6)

        def count() -> None:
            start.wait()
            for index in range(2_000):
                TX_SIGNED.add(1)
                measures.rejected(f"scope {index % 100}", "limit")

        def look() -> None:
            start.wait()
            for _ in range(5):
                scrape(served.url)

        for done in [pool.submit(work) for work in (count, count, count, count, look, look)]:
            done.result()
        shown = families(scrape(served.url))
    assert shown["actp_tx_signed_total",] == 8_000
    assert sum(value for name, value in shown.items() if name[0] == "actp_budget_rejections_total") == 8_000
