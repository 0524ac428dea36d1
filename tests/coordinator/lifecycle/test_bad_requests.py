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


UNSTORABLE = {
    "half a character": "\ud800",
    "NUL": "a\0b",
    "too long": "x" * 2_001,
    "no text": None,
    "a number": 7,
    "deep": deep(5_000),
}


@pytest.mark.parametrize("value", UNSTORABLE.values(), ids=UNSTORABLE)
@pytest.mark.parametrize("field", ["by", "reason"])
def test_what_people_say_is_refused_if_a_database_cannot_store_it(house, field, value):
    lifecycle = house.lifecycle()
    operation = house.done(lifecycle, house.pay(lifecycle, require_approval=True))
    assert operation.stage is Stage.APPROVAL_GATE
    said = {"by": "boss", "reason": "fine", field: value}
    calls = [
        lambda: lifecycle.approve(operation.id, **said),
        lambda: lifecycle.reject(operation.id, **said),
        lambda: lifecycle.pause("ann", **said),
        lambda: lifecycle.resume("ann", **said),
        lambda: lifecycle.pause(**said),
    ]
    for call in calls:
        with pytest.raises(InvalidInput, match="characters"):
            call()
    assert lifecycle.find(operation.id).stage is Stage.APPROVAL_GATE
    assert lifecycle.paused() == []


@pytest.mark.parametrize("agent", ["\ud800", "a\0b", "", "x" * 201, 7])
def test_nobody_is_paused_or_resumed_whose_name_is_none(house, agent):
    lifecycle = house.lifecycle()
    lifecycle.pause(by="me", reason="look first")
    for call in (lifecycle.pause, lifecycle.resume):
        with pytest.raises(InvalidInput, match="An agent's name"):
            call(agent, by="me", reason="why not")
    assert [one.agent for one in lifecycle.paused()] == [None], "an empty name is not the treasury's"


BROKEN_TYPES = {
    "half a character": "\ud800",
    "deep": deep(5_000),
    "a number": 7,
    "digits": 10**5_000,
    "in a list": [{}],
}


@pytest.mark.parametrize("type", BROKEN_TYPES.values(), ids=BROKEN_TYPES)
def test_types_that_are_none_are_refused(house, type):
    with pytest.raises(InvalidIntent) as caught:
        house.lifecycle().submit(type, {"to": PAYEE, "amount": "1"}, agent="ann")
    caught.value.message.encode()


BROKEN_BODIES = {
    "deep body": deep(5_000),
    "deep type": {"to": PAYEE, "amount": "1", "type": deep(5_000)},
    "deep and large": {"to": PAYEE, "amount": deep(100_000)},
    "deep address": {"to": deep(100_000), "amount": "1"},
    "half a name": {"to": PAYEE, "amount": "1", "\ud800": 1},
    "half an address": {"to": "\ud800", "amount": "1"},
    "half an amount": {"to": PAYEE, "amount": "\ud800"},
    "half a type": {"to": PAYEE, "amount": "1", "type": "\ud800"},
    "deep in a dict": {"to": PAYEE, "amount": {"a": deep(5_000)}},
}


@pytest.mark.parametrize("body", BROKEN_BODIES.values(), ids=BROKEN_BODIES)
def test_bodies_whose_words_cannot_be_shown_are_refused_in_words_that_can(house, body):
    with pytest.raises(InvalidIntent) as caught:
        house.lifecycle().submit("transfer_erc20", body, agent="ann")
    caught.value.message.encode()


BROKEN_ORDERS = {"deep": deep(5_000), "half": [{"counterparty": "\ud800"}], "deep order": [deep(5_000)], "flat": 7}


@pytest.mark.parametrize("orders", BROKEN_ORDERS.values(), ids=BROKEN_ORDERS)
def test_lists_within_a_body_are_refused_like_fields(house, orders):
    with pytest.raises(InvalidIntent) as caught:
        house.lifecycle().submit("create_escrow_batch", {"orders": orders}, agent="ann")
    caught.value.message.encode()
