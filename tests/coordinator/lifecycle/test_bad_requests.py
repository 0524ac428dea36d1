"""Whatever is handed in is refused with words, or stored by every database and carried out."""

from __future__ import annotations

import pytest

from actp.errors import InvalidInput
from coordinator.errors import InvalidIntent
from coordinator.types import Stage
from tests.coordinator.lifecycle.support import PAYEE


def deep(levels):
    """A list in a list in a list."""
    nested = []
    for _ in range(levels):
        nested = [nested]
    return nested


@pytest.mark.parametrize(
    ("agent", "key"),
    [("\ud800", "k"), ("ann", "\ud800"), ("a\0b", "k"), ("ann", "a\0b")],
    ids=["half an agent", "half a key", "agent with NUL", "key with NUL"],
)
def test_names_that_a_database_cannot_store_are_refused(house, agent, key):
    lifecycle = house.lifecycle()
    with pytest.raises(InvalidInput, match="has 1 to 200 characters"):
        house.pay(lifecycle, agent=agent, key=key)


BAD = {
    "too many digits": {"to": PAYEE, "amount": 10**5_000},
    "deep amount": {"to": PAYEE, "amount": deep(900)},
    "deep address": {"to": deep(900), "amount": 1},
    "deep memo": {"to": PAYEE, "amount": "1", "memo": deep(5_000)},
    "deep and unknown": {"to": PAYEE, "amount": "1", "deep": deep(900)},
    "half a character": {"to": PAYEE, "amount": "1", "memo": "\ud800"},
    "digits of another script": {"to": PAYEE, "amount": "\uff11\uff12"},
    "no number": {"to": PAYEE, "amount": float("nan")},
    "a time beyond time": {"to": PAYEE, "amount": "1", "quoted_at": 10**30},
    "a number for a name": {1: 2},
}


@pytest.mark.parametrize("body", BAD.values(), ids=BAD)
def test_bodies_that_break_parsers_are_refused(house, body):
    with pytest.raises(InvalidIntent):
        house.lifecycle().submit("transfer_erc20", body, agent="ann")


def test_a_memo_with_nul_is_stored_everywhere_and_paid(anywhere):
    lifecycle = anywhere.lifecycle()
    done = anywhere.done(lifecycle, anywhere.pay(lifecycle, 7, memo="a\0b"))
    assert (done.stage, done.intent["memo"]) == (Stage.CONFIRMED, "a\0b")
