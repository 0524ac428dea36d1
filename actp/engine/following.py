"""Seeing through what is open: settled when it is mined, broadcast again when nothing moves, replaced when it is stuck,
and open again when the chain takes it back.
"""

from __future__ import annotations

import logging

from actp.engine.broadcasting import Broadcasting
from actp.engine.connection import Connection
from actp.engine.counting import count_mined
from actp.engine.handover import Handover
from actp.engine.lane import Lane
from actp.engine.mistaken import refused_but_mined
from actp.engine.overtaken import Overtaken
from actp.engine.policy import Policy
from actp.engine.pricing import call_of
from actp.engine.replies import Reply
from actp.engine.store.schema import AttemptState
from actp.engine.watching import Watching
from actp.rpc import Transport

__all__ = ["Following"]

_log = logging.getLogger(__name__)
_LONGEST_RESEND = 60.0
_BUSY_FACTOR = 20


class Following:
    """Follows one lane's open submissions. Needs the turn."""

    def __init__(
        self, transport: Transport, connection: Connection, lane: Lane, broadcasting: Broadcasting, policy: Policy
    ) -> None:
        self._transport = transport
        self._connection = connection
        self._lane = lane
        self._broadcasting = broadcasting
        self._policy = policy
        self._clock = lane.store.clock
        self._watching = Watching(transport, lane, policy)
        self._overtaken = Overtaken(transport, lane, policy)
        self._looked_at = self._checked_at = float("-inf")
        self._progress_at = self._resent_at = self._bumped_at = self._clock.monotonic()
        self._resend_gap = policy.resend_after
        self._refused: tuple[str, int] | None = None
        """What holds up all others and is refused for good, and the height since which it is."""

    def recover(self, handover: Handover) -> None:
        """What an earlier writer left: looked up first, and then broadcast again as it is.

        Raises OtherChain, RpcError, RpcUnavailable, StoreError.
        """
        self._broadcasting.forget()
        # Old bytes must not go to another chain.
        self._connection.lane(check=True)
        count_mined(self._transport, self._lane)
        self._reopen()
        self._watching.look()
        self._resend(handover)
        self._progress_at = self._clock.monotonic()

    def look_again(self, handover: Handover) -> None:
        """Blocks may be gone: what was in them is open again, and broadcast. Raises RpcError, RpcUnavailable,
        StoreError.
        """
        reopened = self._reopen()
        self._watching.look()
        if reopened:
            self._resend(handover)
        self._lane.suspicion.clear()
        # Nobody waits for what is open again: one more look, at the next occasion, finds it mined.
        self._lane.suspicion.raised = reopened

    def round(self, handover: Handover, *, busy: bool = False) -> None:
        """Looks at the chain, if it is time to; less often while there is much to send. Raises as `recover`."""
        now = self._clock.monotonic()
        if now - self._looked_at < self._policy.poll * (_BUSY_FACTOR if busy else 1):
            return
        self._looked_at = now
        if self._watching.look():
            self._progress_at, self._resend_gap = now, self._policy.resend_after
            self._broadcasting.mined(self._lane.mined)
        self._note_refused()
        if now - self._checked_at >= self._policy.final_check:
            self._checked_at = now
            self._reopen()
            self._requeue_overtaken()
        if not self._lane.opened():
            self._progress_at = now
            return
        if now - max(self._progress_at, self._resent_at) >= self._resend_gap:
            self._resend_gap = min(self._resend_gap * 2, _LONGEST_RESEND)
            self._connection.lane(check=True)
            self._resend(handover)
        if now - max(self._progress_at, self._bumped_at) >= self._policy.stuck_after:
            self._bumped_at = now
            self._replace_lowest(handover)

    def _reopen(self) -> bool:
        nonce = self._watching.check_blocks()
        if nonce is None:
            return False
        _log.warning("Blocks are gone from the chain: nonce %d and later ones are open again.", nonce)
        self._lane.taken_back(nonce)
        self._looked_at = float("-inf")
        self._resent_at = self._progress_at = self._clock.monotonic() - self._resend_gap
        return True

    def _requeue_overtaken(self) -> None:
        lost, unknown = self._overtaken.look()
        for one in lost:
            if one.hashes != one.call_hashes:
                job = self._lane.job(one.intent_id)
                reason = (job and job.reason) or "A node refused it for good, and its nonce was taken back."
                self._lane.withdrawn(one, code="refused", reason=reason, state=AttemptState.REPLACED)
                continue
            if refused_but_mined(self._transport, self._lane, one):
                continue
            self._lane.withdrawn(
                one, code="overtaken", reason=f"Somebody else used nonce {one.nonce} of this account.",
                due_at=self._clock.time(), state=AttemptState.REPLACED,
            )  # fmt: skip
        for one in unknown:
            _log.error("Nobody tells what became of intent %d: see `actp outbox show`.", one.intent_id)
            self._lane.unresolved(
                one, code="nonce_used",
                reason=f"Nonce {one.nonce} was used so long ago that this node keeps neither the state that tells in "
                "which block, nor any of these signatures. Look them up elsewhere; if none is mined, "
                f"`actp outbox retry --not-paid {one.intent_id}` sends the call again.",
            )  # fmt: skip

    def _resend(self, handover: Handover) -> None:
        """The bytes of everything that is open, lowest nonce first: a node may have lost all of it."""
        self._resent_at = self._clock.monotonic()
        opened = [one for one in self._lane.opened() if one.nonce >= self._lane.mined]
        self._broadcasting.give(self._lane, handover, [(call_of(one), one) for one in opened])

    def _replace_lowest(self, handover: Handover) -> None:
        """What all others wait for is signed again with higher fees; or, if it is refused for good and may have been
        taken before, a transfer of nothing with its nonce.
        """
        lowest = self._lane.lowest(self._lane.mined)
        if lowest is None:
            return
        if lowest.cancels:
            higher = handover.cancel(lowest)
        elif self._refused is None:
            higher = handover.bid_again(call_of(lowest), lowest)
        elif self._watching.height - self._refused[1] >= self._policy.buried:
            _log.warning("Intent %d is refused for good: a transfer of nothing takes its nonce.", lowest.intent_id)
            higher = handover.cancel(lowest)
        else:
            return  # it may yet be mined
        if higher is not None:
            self._broadcasting.give(self._lane, handover, [(call_of(higher), higher)])

    def _note_refused(self) -> None:
        lowest = self._lane.lowest(self._lane.mined)
        if lowest is None or lowest.cancels or self._lane.refusals.get(lowest.tx_hash) is not Reply.REJECTED:
            self._refused = None
        elif self._refused is None or self._refused[0] != lowest.tx_hash:
            self._refused = (lowest.tx_hash, self._watching.height)
