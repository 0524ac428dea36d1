"""Signs, hands over and confirms eth transactions of one account. Any number of threads may share a sender.

Submitting has two halves. `_prepare` reads: it estimates, chooses fees and checks the balance, and whatever it refuses
was not sent. `_hand_over` then holds the account's lane while it signs and broadcasts one nonce.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace

from actp import reverts
from actp.engine import fees, lookup, receipts
from actp.engine.fees import Fees
from actp.engine.lanes import Lane, Submission, lane_for
from actp.engine.replies import Reply, classify
from actp.errors import InsufficientFunds, OutcomeUnknown, RpcError, RpcUnavailable, SendError
from actp.rpc import Transport, genesis_hash, require_chain
from actp.signers import Signer
from actp.types import EthTransaction, Receipt
from actp.units import keccak

__all__ = ["BeforeBroadcast", "Sender"]

BeforeBroadcast = Callable[[Submission], None]
"""Called with the signed bytes before a node sees them: the place to make them durable. It is called again when the
node refuses the bytes for good and others are signed; then only the last ones were ever taken."""

_TRANSFER_GAS = 21_000
_MAX_GAS = 2**24
"""No eth transaction may carry more gas (EIP-7825)."""
_FIRST_PAUSE = 0.01
_LONGEST_PAUSE = 0.5
_PAUSE_GROWTH = 1.5
_REBROADCAST_AFTER = 1.0
_LONGEST_REBROADCAST = 15.0


@dataclass(frozen=True, slots=True)
class _Prepared:
    to: str | None
    data: bytes
    value: int
    gas: int
    fees: Fees


class Sender:
    """Sends for one signer over one transport. Cheap to make; senders of one account share their nonces.

    `timeout` is how many seconds to wait for a receipt, `handover_timeout` how many for a node to take the bytes.
    """

    def __init__(
        self,
        transport: Transport,
        signer: Signer,
        *,
        chain_id: int,
        timeout: float = 120.0,
        handover_timeout: float = 15.0,
    ) -> None:
        self.transport = transport
        self.signer = signer
        self.chain_id = chain_id
        self._timeout = timeout
        self._handover_timeout = handover_timeout
        self._connect_lock = threading.Lock()
        self._lane: Lane | None = None

    @property
    def address(self) -> str:
        """The account that sends and pays the gas."""
        return self.signer.address

    def __repr__(self) -> str:
        return f"Sender({self.address} on chain {self.chain_id} over {self.transport.label})"

    def send(
        self,
        to: str | None,
        data: bytes = b"",
        *,
        value: int = 0,
        gas: int | None = None,
        before_broadcast: BeforeBroadcast | None = None,
    ) -> Receipt:
        """Submits an eth transaction and waits until it is mined and has succeeded. See `submit` and `wait`."""
        return self.wait(self.submit(to, data, value=value, gas=gas, before_broadcast=before_broadcast))

    def submit(
        self,
        to: str | None,
        data: bytes = b"",
        *,
        value: int = 0,
        gas: int | None = None,
        before_broadcast: BeforeBroadcast | None = None,
    ) -> Submission:
        """Signs an eth transaction and hands it to the node. `to` is None to create a contract, `value` is in wei.

        Without `gas` the call is simulated first and 20 % are added to what it used. Raises, with nothing sent:
        Reverted if the simulation fails, InsufficientFunds, WrongChain, RpcUnavailable, SendError. A hand-over without
        a clear answer counts as submitted, and `wait` finds out.
        """
        try:
            lane = self._connected()
            prepared = self._prepare(to, data, value, gas)
            with lane.turn(self._handover_timeout):
                return self._hand_over(lane, prepared, before_broadcast)
        except (RpcError, RpcUnavailable) as error:
            # Only questions get here; what a broadcast answers is judged where it is made.
            error.outcome = "not_sent"
            raise

    def wait(self, submission: Submission, timeout: float | None = None) -> Receipt:
        """The receipt, once the eth transaction is mined and if it has succeeded.

        While it waits it broadcasts the same bytes again: nodes lose what they had accepted. Raises Reverted if it
        failed, OutcomeUnknown if it is not seen mined within `timeout` seconds.
        """
        receipt = self._await_receipt(submission, self._timeout if timeout is None else timeout)
        self._connected().settled(submission)
        if not receipt.succeeded:
            raise receipts.reason_for(self.transport, submission, receipt)
        return receipt

    def find_open(self, tx_hash: str) -> Submission | None:
        """What this process handed over under this hash and has not seen mined: `wait` may still bring it home."""
        return self._connected().find(tx_hash)

    def estimate(self, to: str | None, data: bytes = b"", *, value: int = 0) -> int:
        """Gas limit for a call: what it used when simulated, and 20 % more. Raises Reverted, InsufficientFunds."""
        call = {"from": self.address, "data": "0x" + data.hex(), **({"value": hex(value)} if value else {})}
        if to is not None:
            call["to"] = to
        try:
            used = int(self.transport.request("eth_estimateGas", [call]), 16)
        except RpcError as error:
            refusal = self._refused_estimate(error, value)
            raise refusal from error
        # State moves between estimate and block, and 63/64 of the gas must still be enough for inner calls.
        return min(used + used // 5, max(used, _MAX_GAS))

    def fees(self) -> Fees:
        """What a send would offer now, in wei per gas."""
        return fees.suggest(self.transport)

    def balance(self) -> int:
        """The account's ETH, in wei."""
        return int(self.transport.request("eth_getBalance", [self.address, "latest"]), 16)

    def _connected(self) -> Lane:
        with self._connect_lock:
            if self._lane is None:
                require_chain(self.transport, self.chain_id)
                self._lane = lane_for(genesis_hash(self.transport, self.chain_id), self.chain_id, self.address)
            return self._lane

    def _prepare(self, to: str | None, data: bytes, value: int, gas: int | None) -> _Prepared:
        limit = self.estimate(to, data, value=value) if gas is None else gas
        offered = self.fees()
        self._require_ether(value + offered.most_for(limit))
        return _Prepared(to, data, value, limit, offered)

    def _require_ether(self, needs: int) -> None:
        has = self.balance()
        if has < needs:
            raise InsufficientFunds(self.address, asset="ETH", has=has, needs=needs)

    def _refused_estimate(self, error: RpcError, value: int) -> Exception:
        refused = reverts.from_error(error, outcome="not_sent")
        if refused is not None:
            return refused
        if classify(error) is Reply.NO_FUNDS:
            needs = value + self.fees().most_for(_TRANSFER_GAS)
            return InsufficientFunds(self.address, asset="ETH", has=self.balance(), needs=needs)
        return SendError(f"The node cannot simulate the call: {error.message}", retryable=error.retryable)

    def _hand_over(self, lane: Lane, prepared: _Prepared, before_broadcast: BeforeBroadcast | None) -> Submission:
        """Signs with the next nonce and broadcasts, until the bytes are taken, refused, or nobody knows."""
        until = time.monotonic() + self._handover_timeout
        pause = _FIRST_PAUSE
        while True:
            submission = self._sign(lane, prepared)
            if before_broadcast is not None:
                before_broadcast(submission)
            reply, answer = self._broadcast_until(submission, until)
            if reply in (Reply.ACCEPTED, Reply.UNKNOWN):
                lane.opened(submission)
                return submission
            if reply is Reply.NONCE_USED and not self._used_by_another(submission, until):
                lane.opened(submission)
                return submission
            if reply is Reply.NO_FUNDS:
                self._require_ether(prepared.value + prepared.fees.most_for(prepared.gas))
            retry = reply in (Reply.NONCE_USED, Reply.NONCE_WAITING, Reply.NONCE_AHEAD, Reply.UNDERPRICED)
            if not retry or time.monotonic() >= until:
                raise self._refusal(reply, answer)
            if reply is Reply.NONCE_AHEAD:
                self._rebroadcast(lane, submission.nonce)
            if reply is Reply.UNDERPRICED:
                prepared = replace(prepared, fees=self._fees_for_retry(prepared.fees))
            time.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    def _sign(self, lane: Lane, prepared: _Prepared) -> Submission:
        mined = int(self.transport.request("eth_getTransactionCount", [self.address, "latest"]), 16)
        fields = EthTransaction(
            chain_id=self.chain_id,
            nonce=lane.next_nonce(mined),
            to=prepared.to,
            value=prepared.value,
            data=prepared.data,
            gas=prepared.gas,
            max_fee_per_gas=prepared.fees.max_fee,
            max_priority_fee_per_gas=prepared.fees.tip,
        )
        while True:
            raw = self.signer.sign_transaction(fields)
            tx_hash = "0x" + keccak(raw).hex()
            if not lane.seen(tx_hash):
                return Submission(self.address, fields.nonce, tx_hash, fields, raw)
            # The same call with the same nonce, which a node that lags behind reported as free: with the same hash
            # the receipt of the earlier payment would pass for this one's.
            fields = replace(fields, max_fee_per_gas=fields.max_fee_per_gas + 1)

    def _broadcast_until(self, submission: Submission, until: float) -> tuple[Reply, str]:
        """Broadcasts; a node that only says "later", or cannot be reached, gets the same bytes again."""
        pause = _FIRST_PAUSE
        while True:
            reply, answer = self._broadcast(submission)
            if reply not in (Reply.RATE_LIMITED, Reply.NOT_DELIVERED) or time.monotonic() >= until:
                return reply, answer
            time.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    def _broadcast(self, submission: Submission) -> tuple[Reply, str]:
        try:
            self.transport.request("eth_sendRawTransaction", ["0x" + submission.raw.hex()])
        except (RpcError, RpcUnavailable) as error:
            return classify(error), error.message
        return Reply.ACCEPTED, ""

    def _used_by_another(self, submission: Submission, until: float) -> bool:
        """Whether the nonce was certainly used by other bytes, so that these can never be mined.

        The first question is for our own hash, because "nonce too low" after a lost reply usually means success.
        """
        while True:
            with suppress(RpcError, RpcUnavailable):  # no answer is no proof: ask again, and assume the worst at last
                if lookup.is_known(self.transport, submission.tx_hash):
                    return False
                user = lookup.who_used(self.transport, submission.sender, submission.nonce)
                if user is not None:
                    return user != submission.tx_hash
            if time.monotonic() >= until:
                return False
            time.sleep(_LONGEST_PAUSE)

    def _fees_for_retry(self, refused: Fees) -> Fees:
        offered = self.fees()
        # An eighth more is what nodes ask for, should today's fees be those that were refused.
        return Fees(
            max_fee=max(offered.max_fee, refused.max_fee + refused.max_fee // 8),
            tip=max(offered.tip, refused.tip + refused.tip // 8),
            base_fee=offered.base_fee,
        )

    def _refusal(self, reply: Reply, answer: str) -> SendError:
        if reply in (Reply.NONCE_USED, Reply.NONCE_WAITING):
            return SendError(
                f"Somebody else sends with the key of {self.address}: {answer}",
                hint="Nothing was sent. Use one process per key, or wait until the other one is done.",
                retryable=True,
            )
        retryable = reply in (Reply.RATE_LIMITED, Reply.NOT_DELIVERED, Reply.NONCE_AHEAD, Reply.UNDERPRICED)
        hint = "Nothing was sent: try again later." if retryable else "Nothing was sent."
        return SendError(
            f"The node {self.transport.label} refused the eth transaction: {answer}", hint=hint, retryable=retryable
        )

    def _await_receipt(self, submission: Submission, timeout: float) -> Receipt:
        lane = self._connected()
        start = time.monotonic()
        pause, gap = _FIRST_PAUSE, _REBROADCAST_AFTER
        rebroadcast_at = start + gap
        trouble = ""
        while True:
            try:
                receipt = receipts.fetch(self.transport, submission.tx_hash)
            except (RpcError, RpcUnavailable) as error:
                receipt, trouble = None, f" The node's last error: {error.message}"
            if receipt is not None:
                return receipt
            now = time.monotonic()
            if now - start >= timeout:
                raise OutcomeUnknown(
                    f"The eth transaction {submission.tx_hash} (nonce {submission.nonce} of {submission.sender}) was "
                    f"handed over and not seen mined within {timeout:g} s.{trouble}",
                    tx_hashes=[submission.tx_hash],
                    nonce=submission.nonce,
                )
            if now >= rebroadcast_at:
                self._rebroadcast(lane, submission.nonce)
                gap = min(gap * 2, _LONGEST_REBROADCAST)
                rebroadcast_at = now + gap
            time.sleep(min(pause, max(0.0, timeout - (now - start))))
            pause = min(pause * _PAUSE_GROWTH, _LONGEST_PAUSE)

    def _rebroadcast(self, lane: Lane, nonce: int) -> None:
        """The same bytes again, and first what this nonce waits for. The answers decide nothing: receipts do."""
        for submission in lane.up_to(nonce):
            self._broadcast(submission)
