"""Waiting until what was handed over is mined."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress

from actp.engine import receipts
from actp.engine.connection import Connection
from actp.engine.exchange import broadcast, understanding
from actp.engine.handover import nudge
from actp.engine.intents import Settled, Submission
from actp.engine.lane import Lane
from actp.engine.policy import Policy
from actp.engine.pricing import Pricing
from actp.engine.replies import Reply
from actp.engine.store import OtherChain, StoreError
from actp.errors import OutcomeUnknown, RpcError, RpcUnavailable, SendError, WrongChain
from actp.rpc import LIVE_GENESIS, Transport
from actp.types import Receipt

__all__ = ["Waiting", "is_sealed"]

_FIRST_PAUSE = 0.01
_LONGEST_PAUSE = 0.5
_PAUSE_GROWTH = 1.5
_REBROADCAST_AFTER = 1.0
_LONGEST_REBROADCAST = 15.0
_TURN_SECONDS = 1.0


class Waiting:
    """Waits for one submission. `bump` signs it again with higher fees; it is called when nothing else helped.
    `look_again` is called when it seems that blocks are gone.
    """

    def __init__(
        self,
        connection: Connection,
        pricing: Pricing,
        submission: Submission,
        *,
        policy: Policy,
        bump: Callable[[Submission], Submission],
        look_again: Callable[[Lane], None],
    ) -> None:
        self._connection = connection
        self._pricing = pricing
        self._transport = pricing.transport
        self._lane = connection.lane_on(submission.genesis)
        self._submission = submission
        with suppress(StoreError):  # it was handed over, whatever the store says now
            self._submission = self._lane.find(submission.tx_hash) or submission
        self._policy = policy
        self._bump = bump
        self._look_again = look_again

    def run(self, timeout: float) -> Receipt:
        """The receipt of whichever signature is mined. Raises OutcomeUnknown after `timeout` s."""
        start = time.monotonic()
        pause, gap = _FIRST_PAUSE, _REBROADCAST_AFTER
        rebroadcast_at, bump_at = start + gap, start + self._policy.stuck_after
        trouble = ""
        while True:
            try:
                receipt = self._find()
                if receipt is not None:
                    if self._lane.suspicion.raised:
                        # That it is mined stays true; what was mined before it may be in other blocks now.
                        with suppress(RpcError, RpcUnavailable, StoreError):
                            self._look_again(self._lane)
                    return receipt
                now = time.monotonic()
                if now >= rebroadcast_at:
                    gap = min(gap * 2, _LONGEST_REBROADCAST)
                    rebroadcast_at = now + gap
                    trouble = self._rebroadcast(now)
                    if self._lane.suspicion.raised:
                        self._look_again(self._lane)
                if now >= bump_at:
                    bump_at = now + self._policy.stuck_after
                    self._submission = self._bump(self._submission)
            except (WrongChain, OtherChain) as error:
                raise self._unknown("was signed for another chain than the node serves now.", "") from error
            except (RpcError, RpcUnavailable, StoreError) as error:
                trouble = error.message
            left = start + timeout - time.monotonic()
            if left <= 0:
                raise self._unknown(f"was not seen mined within {timeout:g} s.", trouble)
            time.sleep(min(pause, left))
            pause = min(pause * _PAUSE_GROWTH, _LONGEST_PAUSE)

    @property
    def submission(self) -> Submission:
        """What is waited for, with its newest signature."""
        return self._submission

    def _find(self) -> Receipt | None:
        for tx_hash in self._submission.call_hashes:
            receipt = receipts.fetch(self._transport, tx_hash)
            if receipt is None or not is_sealed(self._transport, self._lane, receipt, self._policy):
                continue
            mined = Settled(
                self._submission.intent_id, self._submission.nonce, receipt.tx_hash, receipt.block_number,
                receipt.block_hash, receipt.succeeded,
            )  # fmt: skip
            # That it is mined stays true if it cannot be noted; whoever comes next will see it.
            with suppress(StoreError):
                self._lane.settled([mined])
            return receipt
        return None

    def _rebroadcast(self, now: float) -> str:
        """The same bytes again, because nodes lose what they had accepted; what the node says against them."""
        lane = self._connection.lane(check=True)
        if lane.genesis != self._submission.genesis:
            # On a new chain the old bytes would be a payment that nobody asked for.
            raise self._unknown("was signed for another chain than the node serves now.", "")
        # Another process may have signed it again meanwhile, or given it up.
        found = lane.find(self._submission.tx_hash)
        if found is None:
            return ""
        self._submission = found
        if not lane.may_have_been_taken(found) and not self._may_give(lane, found):
            return ""
        if lane.may_nudge(now, _REBROADCAST_AFTER):
            nudge(self._pricing, lane, self._submission)
        reply, answer = broadcast(self._transport, self._submission.raw)
        return "" if reply is Reply.ACCEPTED else answer

    def _may_give(self, lane: Lane, one: Submission) -> bool:
        """Whether bytes may be given that this process knows nobody to have: not while another one may still take a
        refusal of them for a proof.
        """
        with suppress(SendError), lane.turn(_TURN_SECONDS, lease_timeout=0.0):
            if lane.find(one.tx_hash) is not None:
                lane.will_be_given(one)
                return True
        return False

    def _unknown(self, why: str, trouble: str) -> OutcomeUnknown:
        one = self._submission
        said = f" The node's last error: {trouble}" if trouble else ""
        return OutcomeUnknown(
            f"The eth transaction {one.tx_hash} (nonce {one.nonce} of {one.sender}) was handed over and {why}{said}",
            tx_hashes=one.hashes,
            nonce=one.nonce,
        )


def is_sealed(transport: Transport, lane: Lane, receipt: Receipt, policy: Policy) -> bool:
    """Whether the block of a receipt is on the chain. Preconfirmed receipts name blocks that may never be."""
    wanted = policy.check_seal
    if wanted is None:
        wanted = lane.genesis == LIVE_GENESIS.get(lane.chain_id)
    if not wanted:
        return True
    block = transport.request("eth_getBlockByNumber", [hex(receipt.block_number), False])
    with understanding("eth_getBlockByNumber"):
        if block is None or str(block["hash"]).lower() != receipt.block_hash.lower():
            return False
        lane.suspicion.saw_block(block)
        return True
