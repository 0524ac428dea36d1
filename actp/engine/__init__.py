"""The only place that signs and sends: an outbox, nonces, fees, broadcast, confirmation. Start in README.md.

    sender = Sender(transport, signer, chain_id=84532)
    receipt = sender.send(to, data)                       # estimates, signs, stores, sends, waits
    submission = sender.submit(to, data); ...; receipt = sender.wait(submission)

A send ends in one of three ways, never two: it was not sent, it is mined (succeeded or reverted), or its outcome is
unknown. The last one is never sent again blindly.
"""

from __future__ import annotations

from actp.engine.fees import Fees
from actp.engine.gates import Decision, Gate, Hold, Refusal
from actp.engine.intents import Intent, Job, Submission
from actp.engine.outbox import Outbox
from actp.engine.policy import Policy
from actp.engine.sender import Sender
from actp.engine.store import Store, open_store
from actp.engine.worker import Worker

__all__ = [
    "Decision",
    "Fees",
    "Gate",
    "Hold",
    "Intent",
    "Job",
    "Outbox",
    "Policy",
    "Refusal",
    "Sender",
    "Store",
    "Submission",
    "Worker",
    "open_store",
]
