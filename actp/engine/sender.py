"""Sends eth transactions of one account. Any number of threads may share a sender.

Submitting has two halves. `_prepare` reads: it estimates, chooses fees and checks the balance, and whatever it refuses
was not sent. `Handover` then holds the account's lane while it signs and broadcasts one nonce.
"""

from __future__ import annotations

from actp import reverts
from actp.engine import fees, receipts
from actp.engine.connection import Connection
from actp.engine.fees import Fees
from actp.engine.handover import BeforeBroadcast, Call, Handover
from actp.engine.lanes import Submission, lane_for
from actp.engine.replies import Reply, classify
from actp.engine.waiting import await_receipt
from actp.errors import InsufficientFunds, RpcError, RpcUnavailable, SendError
from actp.rpc import Transport
from actp.signers import Signer
from actp.types import Receipt

__all__ = ["BeforeBroadcast", "Sender"]

_TRANSFER_GAS = 21_000
_MAX_GAS = 2**24
"""No eth transaction may carry more gas (EIP-7825)."""


class Sender:
    """Sends for one signer over one transport. Cheap to make; senders of one account share their nonces.

    `timeout` is how many seconds to wait for a receipt, and for the sends of other threads to be handed over first.
    `handover_timeout` is how many seconds a node may ask for patience before it takes the bytes.
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
        self._connection = Connection(transport, chain_id, signer.address)

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
        a clear answer counts as submitted, and `wait` finds out; so does one that is interrupted (`find_open`).
        """
        try:
            lane = self._connection.lane()
            prepared = self._prepare(to, data, value, gas)
            with lane.turn(self._timeout):
                return Handover(
                    self.transport,
                    self.signer,
                    lane,
                    chain_id=self.chain_id,
                    timeout=self._handover_timeout,
                    before_broadcast=before_broadcast,
                ).run(prepared)
        except (RpcError, RpcUnavailable) as error:
            # Only questions from before the first broadcast get here; from then on every answer is judged.
            error.outcome = "not_sent"
            raise

    def wait(self, submission: Submission, timeout: float | None = None) -> Receipt:
        """The receipt, once the eth transaction is mined and if it has succeeded.

        While it waits it broadcasts the same bytes again: nodes lose what they had accepted. All signatures of the call
        are watched. Raises Reverted if it failed, OutcomeUnknown if it is not seen mined within `timeout` seconds.
        """
        lane = lane_for(submission.genesis, self.chain_id, submission.sender)
        submission = lane.find(submission.tx_hash) or submission
        limit = self._timeout if timeout is None else timeout
        receipt = await_receipt(self.transport, self._connection.lane, submission, limit)
        lane.settled(submission, receipt.tx_hash)
        if not receipt.succeeded:
            raise receipts.reason_for(self.transport, submission, receipt)
        return receipt

    def find_open(self, tx_hash: str) -> Submission | None:
        """What this process handed over under this hash and has not seen mined: `wait` may still bring it home."""
        return self._connection.lane().find(tx_hash)

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
        return fees.balance(self.transport, self.address)

    def _prepare(self, to: str | None, data: bytes, value: int, gas: int | None) -> Call:
        limit = self.estimate(to, data, value=value) if gas is None else gas
        offered = self.fees()
        fees.require_ether(self.transport, self.address, value + offered.most_for(limit))
        return Call(to, data, value, limit, offered)

    def _refused_estimate(self, error: RpcError, value: int) -> Exception:
        refused = reverts.from_error(error, outcome="not_sent")
        if refused is not None:
            return refused
        if classify(error) is Reply.NO_FUNDS:
            needs = value + self.fees().most_for(_TRANSFER_GAS)
            return InsufficientFunds(self.address, asset="ETH", has=self.balance(), needs=needs)
        return SendError(f"The node cannot simulate the call: {error.message}", retryable=error.retryable)
