"""Bytes of ours that were refused and taken all the same: behind one address one node refuses what another one has."""

from __future__ import annotations

import logging

from actp.engine import receipts
from actp.engine.intents import Submission
from actp.engine.lane import Lane
from actp.engine.store import attempts, outbox
from actp.engine.store.schema import AttemptState, IntentStatus
from actp.rpc import Transport

__all__ = ["refused_but_mined"]

_log = logging.getLogger(__name__)
_GIVEN_UP = (IntentStatus.QUEUED, IntentStatus.HELD, IntentStatus.DEAD, IntentStatus.CANCELLED)


def refused_but_mined(transport: Transport, lane: Lane, submission: Submission) -> bool:
    """Whether the nonce of `submission` was used by refused bytes of its own call, which then needs no other nonce.

    If they are another call's, that one is open again, so that it is found mined and not sent a second time. Needs the
    turn. Raises StoreError, RpcError, RpcUnavailable.
    """
    with lane.store.read() as connection:
        refused = attempts.by_state(connection, lane.id, (AttemptState.REFUSED,), from_nonce=submission.nonce)
    for one in refused:
        if one.nonce != submission.nonce or receipts.fetch(transport, one.tx_hash) is None:
            continue
        now = lane.store.clock.time()
        with lane.writing() as connection:
            attempts.mark(connection, lane.id, [one.tx_hash], AttemptState.HANDED, now, only=(AttemptState.REFUSED,))
            if one.intent_id != submission.intent_id:
                outbox.postpone(
                    connection, submission.intent_id, now, now, code="overtaken",
                    reason=f"Intent {one.intent_id} used nonce {one.nonce}.", nonce_free=True, counts=False,
                )  # fmt: skip
                outbox.move(
                    connection, [one.intent_id], _GIVEN_UP, IntentStatus.OPEN, now,
                    nonce=one.nonce, code=None, reason=None,
                )  # fmt: skip
        _log.warning("Intent %d is mined though a node refused it.", one.intent_id)
        lane.unsure = True
        return one.intent_id == submission.intent_id
    return False
