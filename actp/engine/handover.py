"""Handing over one call: sign it with the account's next nonce, and broadcast until it is taken or certainly refused.

A nonce that bytes were broadcast with is left in two cases only: every byte of it was refused in words that prove that
it was not taken, or somebody else's eth transaction is mined with it. In all other cases the call counts as handed
over, and waiting finds out.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace

from actp.engine import fees, lookup, receipts
from actp.engine.broadcast import broadcast, mined_count, nudge
from actp.engine.fees import Fees
from actp.engine.lanes import Lane, Submission
from actp.engine.replies import Reply
from actp.errors import ActpError, RpcError, RpcUnavailable, SendError
from actp.rpc import Transport
from actp.signers import Signer
from actp.types import EthTransaction
from actp.units import keccak

__all__ = ["BeforeBroadcast", "Call", "Handover"]

BeforeBroadcast = Callable[[Submission], None]
"""Called with the signed bytes before a node sees them: the place to make them durable. It is called again when a node
finds the bytes too cheap and others are signed: any of `Submission.hashes` may then be the one that is mined. If the
nonce went to somebody else it is called with the next nonce, and what it got before will never be mined."""

_FIRST_PAUSE = 0.01
_LONGEST_PAUSE = 0.5
_MOST_SIGNATURES = 5


@dataclass(frozen=True, slots=True)
class Call:
    """What is to be signed, apart from its nonce. `value` is in wei, `to` is None to create a contract."""

    to: str | None
    data: bytes
    value: int
    gas: int
    fees: Fees


class Handover:
    """One call of one signer, within its lane's turn. `timeout` is how many seconds a node may say "later"."""

    def __init__(
        self,
        transport: Transport,
        signer: Signer,
        lane: Lane,
        *,
        chain_id: int,
        timeout: float,
        before_broadcast: BeforeBroadcast | None,
    ) -> None:
        self._transport = transport
        self._signer = signer
        self._lane = lane
        self._chain_id = chain_id
        self._until = time.monotonic() + timeout
        self._before_broadcast = before_broadcast

    def run(self, call: Call) -> Submission:
        """The bytes that were taken, or may have been. Raises SendError, InsufficientFunds with nothing sent."""
        used = 0
        while True:
            nonce = self._lane.next_nonce(max(self._mined(), used))
            submission = self._hand_over(call, nonce)
            if submission is not None:
                return submission
            used = nonce + 1

    def _hand_over(self, call: Call, nonce: int) -> Submission | None:
        """Hands the call over with this nonce; None if somebody else's eth transaction has certainly used it."""
        submission = self._sign(call, nonce)
        pause = _FIRST_PAUSE
        while True:
            reply, answer = self._broadcast_until(submission)
            if reply in (Reply.ACCEPTED, Reply.UNKNOWN):
                return submission
            if reply is Reply.NONCE_USED:
                if not self._used_by_another(submission):
                    return submission
                self._lane.withdrawn(submission)
                if self._is_late():
                    raise self._refusal(reply, answer)
                return None
            if reply is Reply.UNDERPRICED:
                higher = self._bid_again(call, submission)
                if higher is None:
                    return submission
                submission = higher
            elif reply not in (Reply.NONCE_WAITING, Reply.NONCE_AHEAD) or self._is_late():
                if submission.earlier:
                    return submission
                self._lane.withdrawn(submission)
                if reply is Reply.NO_FUNDS:
                    self._require_ether(call)
                raise self._refusal(reply, answer)
            if reply is Reply.NONCE_AHEAD:
                nudge(self._transport, self._lane, submission)
            time.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    def _mined(self) -> int:
        """The account's count of mined eth transactions, also from a node that lags behind what was seen before."""
        count = mined_count(self._transport, self._signer.address)
        last = self._lane.last_mined()
        if last is None or count > last[0]:
            return count
        if receipts.fetch(self._transport, last[1]) is not None:
            return last[0] + 1
        # Development chains are set back on purpose, and their count is right.
        return count

    def _sign(self, call: Call, nonce: int, earlier: tuple[Submission, ...] = ()) -> Submission:
        fields = EthTransaction(
            chain_id=self._chain_id,
            nonce=nonce,
            to=call.to,
            value=call.value,
            data=call.data,
            gas=call.gas,
            max_fee_per_gas=call.fees.max_fee,
            max_priority_fee_per_gas=call.fees.tip,
        )
        while True:
            raw = self._signer.sign_transaction(fields)
            tx_hash = "0x" + keccak(raw).hex()
            if not self._lane.seen(tx_hash):
                break
            # The same call with the same nonce, which a node that lags behind reported as free: with the same hash
            # the receipt of the earlier payment would pass for this one's.
            fields = replace(fields, max_fee_per_gas=fields.max_fee_per_gas + 1)
        submission = Submission(self._signer.address, nonce, tx_hash, fields, raw, self._lane.genesis, earlier)
        if self._before_broadcast is not None:
            self._before_broadcast(submission)
        self._lane.opened(submission)
        return submission

    def _bid_again(self, call: Call, refused: Submission) -> Submission | None:
        """The call signed again with higher fees; None when it must rest with what was signed.

        Nothing here may end the send: the bytes that were refused may be with another node.
        """
        if len(refused.hashes) >= _MOST_SIGNATURES or self._is_late():
            return None
        refused_fees = replace(
            call.fees, max_fee=refused.fields.max_fee_per_gas, tip=refused.fields.max_priority_fee_per_gas
        )
        try:
            higher = replace(call, fees=fees.raised(call.fees, refused_fees, fees.suggest(self._transport)))
            self._require_ether(higher)
        except ActpError:
            return None
        return self._sign(higher, refused.nonce, (*refused.earlier, refused))

    def _broadcast_until(self, submission: Submission) -> tuple[Reply, str]:
        """Broadcasts; a node that only says "later", or cannot be reached, gets the same bytes again."""
        pause = _FIRST_PAUSE
        while True:
            reply, answer = broadcast(self._transport, submission)
            if reply not in (Reply.RATE_LIMITED, Reply.NOT_DELIVERED) or self._is_late():
                return reply, answer
            time.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    def _used_by_another(self, submission: Submission) -> bool:
        """Whether the nonce was certainly used by other bytes, so that none of these can ever be mined.

        The first question is for our own hashes, because "nonce too low" after a lost reply usually means success.
        """
        while True:
            with suppress(RpcError, RpcUnavailable):  # no answer is no proof: ask again, and assume the worst at last
                if any(lookup.is_known(self._transport, tx_hash) for tx_hash in submission.hashes):
                    return False
                user = lookup.who_used(self._transport, submission.sender, submission.nonce)
                if user is not None:
                    return user not in submission.hashes
            if self._is_late():
                return False
            time.sleep(_LONGEST_PAUSE)

    def _require_ether(self, call: Call) -> None:
        fees.require_ether(self._transport, self._signer.address, call.value + call.fees.most_for(call.gas))

    def _is_late(self) -> bool:
        return time.monotonic() >= self._until

    def _refusal(self, reply: Reply, answer: str) -> SendError:
        if reply in (Reply.NONCE_USED, Reply.NONCE_WAITING):
            return SendError(
                f"Somebody else sends with the key of {self._signer.address}: {answer}",
                hint="Nothing was sent. Use one process per key, or wait until the other one is done.",
                retryable=True,
            )
        retryable = reply in (Reply.RATE_LIMITED, Reply.NOT_DELIVERED, Reply.NONCE_AHEAD)
        hint = "Nothing was sent: try again later." if retryable else "Nothing was sent."
        return SendError(
            f"The node {self._transport.label} refused the eth transaction: {answer}", hint=hint, retryable=retryable
        )
