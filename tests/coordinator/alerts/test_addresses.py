"""Where URLs of alerts come from, and that what is wrong with them is said without showing them."""

from __future__ import annotations

import pytest

from actp.errors import ConfigError
from coordinator.alerts.addresses import read_addresses
from coordinator.store.alerts import AlertKind

URL = "json://127.0.0.1:9/se3cret"


def read(text):
    return read_addresses(environment={"ACTP_ALERT_URLS": text})


def test_nothing_configured_is_nobody():
    assert read_addresses(environment={}) == ()
    assert read("  \n ") == ()


def test_urls_come_from_the_variable_or_from_a_file(tmp_path):
    path = tmp_path / "alerts"
    path.write_text(f"# to the operators\n{URL}\n\n  # to the arbiter\narbiter={URL}/2 json://127.0.0.1:8/x\n")
    from_file = read_addresses(path, environment={"ACTP_ALERT_URLS": "nonsense"})
    assert from_file == read_addresses(path)
    assert [one.kinds for one in from_file] == [
        frozenset(AlertKind),
        frozenset({AlertKind.DISPUTE}),
        frozenset(AlertKind),
    ]
    assert [one.digest for one in read(f"{URL}\n{URL}/2")] == [one.digest for one in from_file[:2]]


def test_the_same_url_twice_is_told_once():
    assert len(read(f"{URL} {URL}")) == 1


def test_kinds_can_be_listed():
    (one,) = read(f"Budget,drift={URL}")
    assert one.kinds == {AlertKind.BUDGET, AlertKind.DRIFT}


def test_an_equals_sign_within_a_url_is_part_of_it():
    (one,) = read(f"{URL}?method=PUT&x=y://z")
    assert one.kinds == frozenset(AlertKind)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("nonsense", "URL 1 of ACTP_ALERT_URLS"),
        (f"{URL} nosuch://se3cret/token", "URL 2 of ACTP_ALERT_URLS"),
        (f"budgets={URL}", "'budgets'"),
        ("slack://se3cret", "URL 1"),
    ],
)
def test_what_is_wrong_is_said_without_the_url(text, words, caplog):
    caplog.set_level(1)
    with pytest.raises(ConfigError) as caught:
        read(text)
    assert words in str(caught.value)
    said = f"{caught.value} {caught.value.hint} {caplog.text}"
    assert "se3cret" not in said
    assert "nosuch" not in said


def test_a_file_that_cannot_be_read_is_said(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        read_addresses(tmp_path / "missing")
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_addresses(tmp_path / "bytes")
