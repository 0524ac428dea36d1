"""Handing over one call while its caller waits: until a node has it, or has certainly not taken it."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress

from actp.engine.handover import Handover, Judged, Next
from actp.engine.intents import Submission
from actp.engine.lane import Lane
from actp.engine.pricing import Call, Pricing
from actp.engine.replies import Reply
from actp.engine.store.schema import AttemptState
from actp.errors import RpcError, RpcUnavailable

__all__ = ["hand_over"]

_FIRST_PAUSE = 0.01
_LONGEST_PAUSE = 0.5


def hand_over(
    handover: Handover,
    lane: Lane,
    pricing: Pricing,
    call: Call,
    *,
    timeout: float,
    look_again: Callable[[], None],
) -> Submission:
    """The bytes that were taken, or may have been. A node may say "later" for `timeout` s. Needs the turn. `look_again`
    is called when it seems that blocks are gone.

    Raises SendError, InsufficientFunds, FeeTooHigh, RpcError, RpcUnavailable, Paused, StoreError, LeaseLost, with
    nothing sent.
    """
    until = time.monotonic() + timeout
    while True:
        (submission,) = handover.sign([call])
        judged = _decide(handover, lane, call, submission, until, look_again)
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


def _decide(
    handover: Handover,
    lane: Lane,
    call: Call,
    submission: Submission,
    until: float,
    look_again: Callable[[], None],
) -> Judged:
    pause = _FIRST_PAUSE
    while True:
        ((reply, answer),) = handover.give([submission])
        judged = handover.judge(call, submission, reply, answer, late=time.monotonic() >= until)
        if judged.next is not Next.AGAIN:
            return judged
        submission = judged.submission
        if lane.suspicion.raised:
            with suppress(RpcError, RpcUnavailable):
                look_again()
        time.sleep(pause)
        pause = min(pause * 2, _LONGEST_PAUSE)
