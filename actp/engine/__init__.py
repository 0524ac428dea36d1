"""The only place that signs and sends: nonces, fees, broadcast, confirmation.

    sender = Sender(transport, signer, chain_id=84532)
    receipt = sender.send(to, data)                       # estimates, signs, sends, waits
    submission = sender.submit(to, data); ...; receipt = sender.wait(submission)

A send ends in one of three ways, never two: it was not sent, it is mined (succeeded or reverted), or its outcome is
unknown. The last one is never sent again blindly.
"""

from __future__ import annotations

from actp.engine.fees import Fees
from actp.engine.lanes import Submission
from actp.engine.sender import Sender

__all__ = ["Fees", "Sender", "Submission"]
