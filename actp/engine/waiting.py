"""Waiting until what was handed over is mined."""

from __future__ import annotations

import time
from collections.abc import Callable

from actp.engine import receipts
from actp.engine.broadcast import broadcast, nudge
from actp.engine.lanes import Lane, Submission
from actp.engine.replies import Reply
from actp.errors import OutcomeUnknown, RpcError, RpcUnavailable, WrongChain
from actp.rpc import Transport
from actp.types import Receipt

__all__ = ["await_receipt"]

_FIRST_PAUSE = 0.01
_LONGEST_PAUSE = 0.5
_PAUSE_GROWTH = 1.5
_REBROADCAST_AFTER = 1.0
_LONGEST_REBROADCAST = 15.0


def await_receipt(
    transport: Transport, connected: Callable[[], Lane], submission: Submission, timeout: float
) -> Receipt:
    """The receipt of whichever signature of the submission is mined. Raises OutcomeUnknown after `timeout` s."""
    start = time.monotonic()
    pause, gap = _FIRST_PAUSE, _REBROADCAST_AFTER
    rebroadcast_at = start + gap
    trouble = ""
    while True:
        try:
            receipt = _find(transport, submission)
            if receipt is not None:
                return receipt
            now = time.monotonic()
            if now >= rebroadcast_at:
                gap = min(gap * 2, _LONGEST_REBROADCAST)
                rebroadcast_at = now + gap
                trouble = _rebroadcast(transport, connected(), submission, now)
        except WrongChain as error:
            raise _unknown(submission, "was signed for another chain than the node serves now.", "") from error
        except (RpcError, RpcUnavailable) as error:
            trouble = error.message
        left = start + timeout - time.monotonic()
        if left <= 0:
            raise _unknown(submission, f"was not seen mined within {timeout:g} s.", trouble)
        time.sleep(min(pause, left))
        pause = min(pause * _PAUSE_GROWTH, _LONGEST_PAUSE)


def _find(transport: Transport, submission: Submission) -> Receipt | None:
    for tx_hash in submission.hashes:
        receipt = receipts.fetch(transport, tx_hash)
        if receipt is not None:
            return receipt
    return None


def _rebroadcast(transport: Transport, lane: Lane, submission: Submission, now: float) -> str:
    """The same bytes again, because nodes lose what they had accepted; what the node says against them."""
    if lane.genesis != submission.genesis:
        # On a new chain the old bytes would be a payment that nobody asked for.
        raise _unknown(submission, "was signed for another chain than the node serves now.", "")
    if lane.may_nudge(now, _REBROADCAST_AFTER):
        nudge(transport, lane, submission)
    reply, answer = broadcast(transport, submission)
    return "" if reply is Reply.ACCEPTED else answer


def _unknown(submission: Submission, why: str, trouble: str) -> OutcomeUnknown:
    said = f" The node's last error: {trouble}" if trouble else ""
    return OutcomeUnknown(
        f"The eth transaction {submission.tx_hash} (nonce {submission.nonce} of {submission.sender}) was handed over "
        f"and {why}{said}",
        tx_hashes=submission.hashes,
        nonce=submission.nonce,
    )
