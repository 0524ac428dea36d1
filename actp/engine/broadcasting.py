"""Giving stored bytes to the node while the next ones are signed, and doing what its answers ask for."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from actp.engine import crash
from actp.engine.crash import CrashPoint
from actp.engine.handover import Handover, Judged, Next
from actp.engine.intents import Submission
from actp.engine.lane import Lane
from actp.engine.policy import Policy
from actp.engine.pricing import Call
from actp.engine.replies import Reply
from actp.engine.store.schema import AttemptState

__all__ = ["Broadcasting"]

_FIRST_PAUSE = 0.05
_MOST_FLYING = 8

Given = Sequence[tuple[Call, Submission]]


@dataclass(slots=True)
class _Again:
    """Bytes that a node did not take yet, and when to give them to it again."""

    call: Call
    submission: Submission
    at: float
    pause: float


class Broadcasting:
    """Broadcasts for one lane. Needs the turn. One thread does it, so that nonces arrive in order."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="actp-broadcast")
        self._flying: deque[tuple[Given, Future[list[tuple[Reply, str]]]]] = deque()
        self._again: dict[int, _Again] = {}

    def forget(self) -> None:
        """Somebody else has the lane: what is stored is theirs to see through."""
        for _, future in self._flying:
            future.cancel()
        self._flying.clear()
        self._again.clear()

    def mined(self, count: int) -> None:
        """So many nonces are mined: nothing below is given again."""
        for nonce in [nonce for nonce in self._again if nonce < count]:
            del self._again[nonce]

    def start(self, lane: Lane, handover: Handover, given: Given) -> None:
        """Broadcasts stored bytes, and does not wait for the answers unless too many are awaited."""
        for index in range(0, len(given), self._policy.batch):
            part = given[index : index + self._policy.batch]
            self._flying.append((part, self._thread.submit(handover.give, [one for _, one in part])))
        self.collect(lane, handover, until=_MOST_FLYING)

    def collect(self, lane: Lane, handover: Handover, *, until: int | None = None) -> None:
        """Does what answers ask for: of what has been answered, and of more until only `until` are awaited."""
        while self._flying and (self._flying[0][1].done() or (until is not None and len(self._flying) > until)):
            given, future = self._flying.popleft()
            self._judge(lane, handover, given, future.result())

    def give(self, lane: Lane, handover: Handover, given: Given) -> None:
        """Broadcasts stored bytes again, after all that was started before."""
        self.start(lane, handover, given)
        self.collect(lane, handover, until=0)
        lane.flush()

    def give_again(self, lane: Lane, handover: Handover, now: float) -> bool:
        """Broadcasts what was put off, if its pause is over; whether there was any."""
        due = [self._again[nonce] for nonce in sorted(self._again) if self._again[nonce].at <= now]
        if due:
            self.give(lane, handover, [(one.call, one.submission) for one in due])
        return bool(due)

    def _judge(self, lane: Lane, handover: Handover, given: Given, answers: Sequence[tuple[Reply, str]]) -> None:
        for (call, submission), (reply, answer) in zip(given, answers, strict=True):
            before = self._again.pop(submission.nonce, None)
            judged = handover.judge(call, submission, reply, answer, late=False)
            if judged.next is not Next.WAIT:
                self._act(lane, handover, call, judged, before)
        crash.point(CrashPoint.AFTER_REPLY)

    def _act(self, lane: Lane, handover: Handover, call: Call, judged: Judged, before: _Again | None) -> None:
        one = judged.submission
        now = lane.store.clock
        if judged.next is Next.AGAIN:
            pause = _FIRST_PAUSE if before is None else min(before.pause * 2, self._policy.longest_pause)
            self._again[one.nonce] = _Again(call, one, now.monotonic() + pause, pause)
        elif judged.next is Next.OVERTAKEN:
            lane.withdrawn(one, code="overtaken", reason=judged.answer, due_at=now.time(), state=AttemptState.REPLACED)
        else:
            refusal = handover.refusal(judged)
            job = lane.job(one.intent_id)
            tries = 0 if job is None else job.tries
            # What a node refuses for good is refused tomorrow too; what it refuses for lack of ether may not be.
            final = judged.reply is Reply.REJECTED or tries + 1 >= self._policy.tries
            due_at = None if final else now.time() + self._policy.pause_after(tries)
            lane.withdrawn(one, code=refusal.code, reason=refusal.message, due_at=due_at)
