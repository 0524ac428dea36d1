"""Loops around rounds of work, and what they say of trouble that lasts."""

from __future__ import annotations

import logging
import threading

from actp.engine.running import run_rounds
from actp.engine.trouble import Trouble
from actp.errors import FeeTooHigh, RpcUnavailable

LOG = logging.getLogger("tests.running")
AWAY = RpcUnavailable("The node is away.")


def test_trouble_that_lasts_is_said_once_then_every_minute_and_once_when_it_is_over(caplog):
    now = 1000.0
    trouble = Trouble(LOG, clock=lambda: now)
    for _ in range(4 * 150):
        trouble.met(AWAY)
        now += 0.25
    for _ in range(4 * 10):
        trouble.missed()
        now += 0.25
    assert caplog.messages == [
        str(AWAY), f"Still, after 60 s: {AWAY}", f"Still, after 120 s: {AWAY}", f"Over, after 150 s: {AWAY}",
    ]  # fmt: skip
    trouble.met(AWAY)
    assert caplog.messages[-1] == str(AWAY), "the next time is news again"


def test_rounds_that_do_not_ask_the_node_do_not_say_that_it_is_back(caplog):
    now = 0.0
    trouble = Trouble(LOG, "Nothing is decided:", every=10, clock=lambda: now)
    for _ in range(3):
        trouble.met(AWAY)
        for _ in range(10):
            now += 1
            trouble.missed()
    assert caplog.messages == [f"Nothing is decided: {AWAY}"]


def test_another_kind_of_trouble_is_said_at_once_and_once(caplog):
    high = FeeTooHigh("Gas is dear.", asked=2, cap=1)
    trouble = Trouble(LOG, clock=lambda: 0.0)
    for error in (AWAY, high, AWAY, high):
        trouble.met(error)
    assert caplog.messages == [str(AWAY), str(high)]


def test_rounds_that_fail_one_after_another_are_one_line_of_the_log(caplog):
    stop = threading.Event()
    rounds = 0

    def step() -> bool:
        nonlocal rounds
        rounds += 1
        if rounds == 5:
            stop.set()
        raise AWAY

    run_rounds(step, stop, longest=0.01, log=LOG)
    assert rounds == 5
    assert caplog.messages == [str(AWAY)]
