"""Handing over one call while its caller waits: until a node has it, or has certainly not taken it."""

from __future__ import annotations

import time

from actp.engine.handover import Handover, Judged, Next
from actp.engine.intents import Submission
from actp.engine.lane import Lane
from actp.engine.pricing import Call, Pricing
from actp.engine.replies import Reply
from actp.engine.store.schema import AttemptState

__all__ = ["hand_over"]

_FIRST_PAUSE = 0.01
_LONGEST_PAUSE = 0.5


def hand_over(handover: Handover, lane: Lane, pricing: Pricing, call: Call, *, timeout: float) -> Submission:
    """The bytes that were taken, or may have been. A node may say "later" for `timeout` s. Needs the turn.

    Raises SendError, InsufficientFunds, Paused, StoreError, LeaseLost with nothing sent.
    """
    until = time.monotonic() + timeout
    while True:
        (submission,) = handover.sign([call])
        judged = _decide(handover, call, submission, until)
        if judged.next is Next.WAIT:
            return judged.submission
        refusal = handover.refusal(judged)
        if judged.next is Next.OVERTAKEN and time.monotonic() < until:
            now = lane.store.clock.time()
            lane.withdrawn(
                judged.submission, code="overtaken", reason=refusal.message, due_at=now, state=AttemptState.REPLACED
            )
            continue
        lane.withdrawn(judged.submission, code=refusal.code, reason=refusal.message)
        if judged.reply is Reply.NO_FUNDS:
            pricing.require_ether(call, fresh=True)
        raise refusal


def _decide(handover: Handover, call: Call, submission: Submission, until: float) -> Judged:
    pause = _FIRST_PAUSE
    while True:
        ((reply, answer),) = handover.give([submission])
        judged = handover.judge(call, submission, reply, answer, late=time.monotonic() >= until)
        if judged.next is not Next.AGAIN:
            return judged
        submission = judged.submission
        time.sleep(pause)
        pause = min(pause * 2, _LONGEST_PAUSE)
