"""Signing calls with a lane's next nonces, storing the bytes, giving them to the node, and judging its answers.

A nonce that bytes were broadcast with is left in two cases only: every broadcast was refused in words that prove that
nobody took them, or something else is mined with it. In all other cases the call counts as handed over, and waiting
finds out.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import Enum, auto

from actp import measures
from actp.engine import crash
from actp.engine.crash import CrashPoint
from actp.engine.exchange import broadcast, broadcast_all, mined_count
from actp.engine.fees import Fees
from actp.engine.gates import Hold, HoldMissing, Paused
from actp.engine.giving_up import explain_open
from actp.engine.intents import TRANSFER_GAS, Submission
from actp.engine.lane import Lane
from actp.engine.lookup import used_by_another
from actp.engine.mistaken import refused_but_mined
from actp.engine.pricing import Call, Pricing, call_of
from actp.engine.replies import Reply
from actp.engine.store import StoreError
from actp.engine.store.schema import AttemptState
from actp.errors import ActpError, FeeTooHigh, InsufficientFunds, RpcError, RpcUnavailable, SendError
from actp.signers import Signer
from actp.types import EthTransaction
from actp.units import keccak

__all__ = ["BeforeBroadcast", "Handover", "Judged", "Next", "SignerFailed", "nudge"]

BeforeBroadcast = Callable[[Submission], None]
"""Called with the signed bytes before they are stored and a node sees them. It is called again when a node finds the
bytes too cheap and others are signed: any of `Submission.hashes` may then be the one that is mined. If the nonce went
to somebody else it is called with the next nonce, and what it got before will never be mined."""

_MOST_SIGNATURES = 5


class SignerFailed(ActpError):
    """The signer did not sign: nothing was sent, and another try may help."""

    default_code = "signer_failed"
    default_outcome = "not_sent"


class Next(Enum):
    """What to do after a broadcast."""

    WAIT = auto()
    """A node has the bytes, or may have them: only the chain tells what becomes of them."""
    AGAIN = auto()
    """The same bytes (or the higher ones that `Judged` holds) are to be broadcast again after a pause."""
    REFUSED = auto()
    """None of these bytes was taken, and the nonce may be given to another call."""
    OVERTAKEN = auto()
    """Somebody else's eth transaction is mined with this nonce: this call needs another one."""


@dataclass(frozen=True, slots=True)
class Judged:
    """What is next for a submission, and the answer that it follows from."""

    next: Next
    submission: Submission
    reply: Reply
    answer: str


class Handover:
    """Signs for one lane. Needs the lane's turn."""

    def __init__(
        self,
        signer: Signer,
        lane: Lane,
        pricing: Pricing,
        *,
        hold: Hold | None = None,
        before_broadcast: BeforeBroadcast | None = None,
    ) -> None:
        self._signer = signer
        self._lane = lane
        self._pricing = pricing
        self._transport = pricing.transport
        self._hold = hold
        self._before_broadcast = before_broadcast

    def sign(self, calls: Sequence[Call]) -> list[Submission]:
        """Signs calls with the lowest free nonces, and stores nonces and bytes in one commit. Nothing is sent.

        Raises FeeTooHigh, RpcError, RpcUnavailable, StoreError, LeaseLost, Paused, HoldMissing, SendError.
        """
        crash.point(CrashPoint.BEFORE_SIGN)
        nonces = self._lane.free_nonces(len(calls))
        signed = [self._sign(call, nonce, ()) for call, nonce in zip(calls, nonces, strict=True)]
        for one in signed:
            self._pricing.require_cap(one)
        self._store(signed, again=False)
        return signed

    def give(self, signed: Sequence[Submission]) -> list[tuple[Reply, str]]:
        """Broadcasts what is stored; the node's answers, in order."""
        crash.point(CrashPoint.BEFORE_BROADCAST)
        started = time.perf_counter()
        answers = broadcast_all(self._transport, signed)
        measures.TX_SUBMIT_SECONDS.observe(time.perf_counter() - started)
        crash.point(CrashPoint.AFTER_BROADCAST)
        return answers

    def judge(self, call: Call, submission: Submission, reply: Reply, answer: str, *, late: bool) -> Judged:
        """Does what an answer asks for: notes, withdraws or signs again. `late`: there is no time for another try."""

        def judged(what: Next, newer: Submission | None = None) -> Judged:
            return Judged(what, newer or submission, reply, answer)

        if reply in (Reply.ACCEPTED, Reply.UNKNOWN):
            state = AttemptState.ACCEPTED if reply is Reply.ACCEPTED else AttemptState.HANDED
            self._lane.noted([submission], state)
            if reply is Reply.ACCEPTED and self._lane.refusals.pop(submission.tx_hash, None) is not None:
                self._explain(submission, None, None)
            return judged(Next.WAIT)
        if reply is Reply.NONCE_USED:
            self._lane.recount = True
            theirs = used_by_another(self._transport, submission.sender, submission.nonce, submission.hashes)
            if theirs and self._lane.may_have_been_taken(submission):
                return judged(Next.WAIT)  # until theirs lies deep enough: a reorganisation may bring ours back
            if theirs:
                if self._refused_but_mined(submission):
                    return judged(Next.WAIT)
                self._lane.counted(max(self._lane.mined, submission.nonce + 1))
                return judged(Next.OVERTAKEN)
            return judged(Next.WAIT if late or theirs is False else Next.AGAIN)
        if reply is Reply.UNDERPRICED:
            # Other nodes may have taken what this one refuses: it must not drive the price up at once.
            enough = late or len(submission.hashes) >= _MOST_SIGNATURES
            higher = None if enough else self.bid_again(call, submission)
            return judged(Next.WAIT) if higher is None else judged(Next.AGAIN, higher)
        if reply in (Reply.NONCE_WAITING, Reply.NONCE_AHEAD, Reply.RATE_LIMITED, Reply.NOT_DELIVERED) and not late:
            if reply is Reply.NONCE_AHEAD:
                self._lane.recount = True
                nudge(self._pricing, self._lane, submission)
            return judged(Next.AGAIN)
        if self._lane.may_have_been_taken(submission):
            # What one node refuses now, another one may have from an earlier broadcast or signature.
            if reply in (Reply.REJECTED, Reply.NO_FUNDS):
                self._lane.refusals[submission.tx_hash] = reply
                self._explain(submission, "refused", f"Refused now, and perhaps taken before: {answer}")
            return judged(Next.WAIT)
        return judged(Next.REFUSED)

    def bid_again(self, call: Call, refused: Submission) -> Submission | None:
        """The call signed again with higher fees, and stored; None when it must rest with what was signed.

        Nothing here may end the send: the bytes that were refused may be with another node.
        """
        offered = Fees(refused.fields.max_fee_per_gas, refused.fields.max_priority_fee_per_gas, call.fees.base_fee)
        try:
            signed = self._sign(self._pricing.raised(call, offered), refused.nonce, (*refused.earlier, refused))
            if refused.cancels or (call.to, call.data, call.value) != _content(refused):
                signed = replace(signed, cancels=True)
            self._pricing.require_cap(signed)
            crash.point(CrashPoint.BEFORE_REPLACE)
            self._store([signed], again=True)
        except (FeeTooHigh, HoldMissing, InsufficientFunds, Paused) as error:
            self._explain(refused, error.code, f"Not replaced with higher fees: {error.message}")
            return None
        except ActpError:
            return None
        return signed

    def cancel(self, refused: Submission) -> Submission | None:
        """A transfer of nothing with the same nonce and higher fees, stored; None if that cannot be signed now.

        Whichever is mined, the other never will be: so what no node takes any more, and one may have, comes to an end.
        """
        job = self._lane.job(refused.intent_id)
        call = replace(call_of(refused), to=self._lane.address, data=b"", value=0, gas=TRANSFER_GAS)
        signed = self.bid_again(call, refused)
        if signed is not None:
            self._explain(refused, "refused", None if job is None else job.reason)
        return signed

    def _refused_but_mined(self, submission: Submission) -> bool:
        with suppress(RpcError, RpcUnavailable, StoreError):
            return refused_but_mined(self._transport, self._lane, submission)
        return True  # nothing is proved: as long as it may be this very call, it gets no other nonce

    def _explain(self, submission: Submission, code: str | None, reason: str | None) -> None:
        with suppress(StoreError):  # it says what happens, and decides nothing
            explain_open(self._lane, submission.intent_id, code, reason)

    def _sign(self, call: Call, nonce: int, earlier: tuple[Submission, ...]) -> Submission:
        fields = EthTransaction(
            chain_id=self._lane.chain_id,
            nonce=nonce,
            to=call.to,
            value=call.value,
            data=call.data,
            gas=call.gas,
            max_fee_per_gas=call.fees.max_fee,
            max_priority_fee_per_gas=call.fees.tip,
        )
        while True:
            raw = self._signed(fields)
            tx_hash = "0x" + keccak(raw).hex()
            if nonce >= self._lane.unsigned_from or not self._lane.seen(tx_hash):
                break
            # The same call with the same nonce, which a node that lags behind reported as free: with the same hash
            # the receipt of the earlier payment would pass for this one's.
            fields = replace(fields, max_fee_per_gas=fields.max_fee_per_gas + 1)
        now = self._lane.store.clock.time()
        return Submission(
            self._lane.address, nonce, tx_hash, fields, raw, self._lane.genesis, earlier, call.intent_id, signed_at=now
        )

    def _signed(self, fields: EthTransaction) -> bytes:
        started = time.perf_counter()
        try:
            raw = self._signer.sign_transaction(fields)
        except ActpError:
            raise
        except Exception as error:  # somebody else's code: a key service fails as it likes
            # Its words are not shown: they may hold what must not be logged.
            raise SignerFailed(
                f"The signer of {self._lane.address} failed with {type(error).__name__}.",
                hint="Nothing was signed. Check the key service or device, then try again.",
                retryable=True,
            ) from error
        measures.TX_SIGN_SECONDS.observe(time.perf_counter() - started)
        return raw

    def _store(self, signed: Sequence[Submission], *, again: bool) -> None:
        if not again:
            crash.point(CrashPoint.AFTER_SIGN)
        if self._before_broadcast is not None:
            for one in signed:
                self._before_broadcast(one)
        self._lane.store_signed(signed, hold=self._hold, again=again)

    def refusal(self, judged: Judged) -> SendError:
        """The error for a call that was not sent."""
        if judged.reply in (Reply.NONCE_USED, Reply.NONCE_WAITING):
            return SendError(
                f"Somebody else sends with the key of {self._lane.address}: {judged.answer}",
                hint="Nothing was sent. Let all who use this key share one store, or wait until the other is done.",
                retryable=True,
            )
        retryable = judged.reply in (Reply.RATE_LIMITED, Reply.NOT_DELIVERED, Reply.NONCE_AHEAD)
        hint = "Nothing was sent: try again later." if retryable else "Nothing was sent."
        return SendError(
            f"The node {self._transport.label} refused the eth transaction: {judged.answer}",
            hint=hint,
            retryable=retryable,
        )


def _content(one: Submission) -> tuple[str | None, bytes, int]:
    return one.fields.to, one.fields.data, one.fields.value


def nudge(pricing: Pricing, lane: Lane, waiting: Submission) -> None:
    """Broadcasts what `waiting` waits for, as the node may have lost it: the lowest nonce that is not mined.

    One is enough: when it is mined the next one is the lowest. The answer decides nothing; receipts do.
    """
    with suppress(RpcError, RpcUnavailable):
        count = mined_count(pricing.transport, waiting.sender)
        lane.suspicion.saw_count(count, lane.last_mined())
        lowest = lane.lowest(count)
        # What nobody has yet is still on its way for the first time, and a refusal must stay a proof.
        if lowest is not None and lowest.nonce < waiting.nonce and lane.may_have_been_taken(lowest):
            broadcast(pricing.transport, lowest.raw)
