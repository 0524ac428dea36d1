"""Sends eth transactions of one account. Any number of threads may share a sender, and any number of processes a store.

Submitting has two halves. What is refused while the call is simulated and priced leaves no trace. Then it is a row of
the outbox, and the lane is held while one nonce is signed, stored and handed over.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from actp.engine import asking, crash, fees, receipts
from actp.engine.broadcasting import Broadcasting
from actp.engine.connection import Connection
from actp.engine.counting import count_mined
from actp.engine.crash import CrashPoint
from actp.engine.fees import FeePolicy, Fees
from actp.engine.following import Following
from actp.engine.gates import Gate, Hold
from actp.engine.handover import BeforeBroadcast, Handover
from actp.engine.intents import Intent, Job, Submission
from actp.engine.lane import Lane
from actp.engine.lease import LeaseBusy
from actp.engine.policy import Policy
from actp.engine.pricing import Call, Pricing, call_of
from actp.engine.sending import hand_over
from actp.engine.store import Store, StoreError, outbox
from actp.engine.store.schema import IntentStatus
from actp.engine.waiting import Waiting
from actp.engine.watching import Watching
from actp.errors import ActpError, RpcError, RpcUnavailable, SendError
from actp.rpc import Transport
from actp.signers import Signer
from actp.types import Receipt

__all__ = ["BeforeBroadcast", "Sender"]

_SENT = (IntentStatus.OPEN, IntentStatus.MINED, IntentStatus.FAILED)
_LEASE_PATIENCE = 0.5
_DELEGATE_FOR = 2.0
_MANY_OPEN = 64
_POLL = 0.02


class Sender:
    """Sends for one signer over one transport. Cheap to make; senders of one account share their nonces.

    `timeout` is how many seconds to wait for a receipt, and for the sends of others to be handed over first.
    `handover_timeout` is how many seconds a node may ask for patience before it takes the bytes. `fee_policy` caps what
    is paid; without one, ACTP_MAX_FEE_PER_GAS_GWEI and ACTP_MAX_TX_COST_ETH do (ConfigError if they make no sense).
    `store` remembers what was signed, also for other processes; without one a store in memory does, until this process
    ends. `gate` is asked before a call is signed, `hold` in the commit that stores its bytes.
    """

    def __init__(
        self,
        transport: Transport,
        signer: Signer,
        *,
        chain_id: int,
        timeout: float = 120.0,
        handover_timeout: float = 15.0,
        fee_policy: FeePolicy | None = None,
        store: Store | None = None,
        gate: Gate | None = None,
        hold: Hold | None = None,
        policy: Policy | None = None,
    ) -> None:
        self.transport = transport
        self.signer = signer
        self.chain_id = chain_id
        self.fee_policy = FeePolicy.from_environment() if fee_policy is None else fee_policy
        self._timeout = timeout
        self._handover_timeout = handover_timeout
        self._gate = gate
        self._hold = hold
        self._policy = policy or Policy()
        self._connection = Connection(transport, chain_id, signer.address, store)
        # Development chains without a store of their own are set back and changed by hand: there nothing is remembered.
        remember = 0.0 if store is None else self._policy.fees_for
        self._pricing = Pricing(transport, signer.address, chain_id=chain_id, policy=self.fee_policy, remember=remember)

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
        idempotency_key: str | None = None,
    ) -> Receipt:
        """Submits an eth transaction and waits until it is mined and has succeeded. See `submit` and `wait`."""
        submission = self.submit(
            to, data, value=value, gas=gas, before_broadcast=before_broadcast, idempotency_key=idempotency_key
        )
        return self.wait(submission)

    def submit(
        self,
        to: str | None,
        data: bytes = b"",
        *,
        value: int = 0,
        gas: int | None = None,
        before_broadcast: BeforeBroadcast | None = None,
        idempotency_key: str | None = None,
    ) -> Submission:
        """Signs an eth transaction and hands it to the node. `to` is None to create a contract, `value` is in wei.

        Without `gas` the call is simulated first and 20 % are added to what it used. What was submitted with the same
        `idempotency_key` before is not sent again: its submission is returned. A hand-over without a clear answer
        counts as submitted, and `wait` finds out; so does one that is interrupted (`find_open`).

        Raises, with nothing sent unless its `outcome` is "unknown" because the store does not tell: Reverted if the
        simulation fails, InsufficientFunds, FeeTooHigh, WrongChain, OtherChain, RpcUnavailable, SendError, StoreError,
        KeyConflict, Stopped (by the gate), Paused (by the hold).
        """
        with _only_asked():
            lane = self._connection.lane()
            key = idempotency_key or secrets.token_hex(16)
            intent = Intent(to, data, value, gas)
            before = None if idempotency_key is None else asking.earlier(lane, key, intent)
            if before is not None:
                return before
            call = self._pricing.call_for(to, data, value, gas)
        # Until then it is this thread's to send; a worker takes it only if this process died before.
        mine_until = lane.store.clock.time() + self._timeout + self._handover_timeout
        job = asking.enqueued(lane, key, intent, due_at=mine_until)
        crash.point(CrashPoint.AFTER_ENQUEUE)
        try:
            with _only_asked():
                if self._gate is not None:
                    asking.ask(self._gate, lane, job)
                return self._see_to(lane, call, job, before_broadcast)
        except BaseException as error:
            signed = asking.take_back(lane, job, error)
            if signed is None or not isinstance(error, ActpError):
                raise
            self._bring_home(lane)
            return signed

    def wait(self, submission: Submission, timeout: float | None = None) -> Receipt:
        """The receipt, once the eth transaction is mined and if it has succeeded.

        While it waits it broadcasts the same bytes again: nodes lose what they had accepted. All signatures of the call
        are watched; what is stuck is signed again with higher fees. Raises Reverted if it failed, OutcomeUnknown if it
        is not seen mined within `timeout` seconds.
        """
        waiting = Waiting(
            self._connection, self._pricing, submission, policy=self._policy, bump=self._bump,
            look_again=self._look_again,
        )  # fmt: skip
        receipt = waiting.run(self._timeout if timeout is None else timeout)
        if not receipt.succeeded:
            raise receipts.reason_for(self.transport, waiting.submission, receipt)
        return receipt

    def find_open(self, tx_hash: str) -> Submission | None:
        """What was handed over under this hash and has not been seen mined: `wait` may still bring it home."""
        return self._connection.lane().find(tx_hash)

    def estimate(self, to: str | None, data: bytes = b"", *, value: int = 0) -> int:
        """Gas limit for a call: what it used when simulated, and 20 % more. Raises Reverted, InsufficientFunds."""
        return self._pricing.estimate(to, data, value)

    def fees(self) -> Fees:
        """What a send would offer now, in wei per gas. Raises FeeTooHigh if that is above the cap."""
        return fees.suggest(self.transport, self.fee_policy)

    def balance(self) -> int:
        """The account's ETH, in wei."""
        return fees.balance(self.transport, self.address)

    def _see_to(self, lane: Lane, call: Call, job: Job, before_broadcast: BeforeBroadcast | None) -> Submission:
        """Hands the call over, or leaves that to the process that has the lease, whichever comes first."""
        until = time.monotonic() + self._timeout
        while True:
            try:
                return self._hand_over(lane, call, job, before_broadcast)
            except LeaseBusy:
                if before_broadcast is not None or time.monotonic() >= until:
                    raise
            except SendError:
                # A worker may have sent it just before this process got the lease.
                sent = asking.sent(lane, job)
                if sent is None:
                    raise
                return sent
            delegated = self._delegate(lane, job, _DELEGATE_FOR)
            if delegated is not None:
                return delegated

    def _delegate(self, lane: Lane, job: Job, seconds: float) -> Submission | None:
        """What another process has signed for the job, None if it did nothing. Raises SendError if it gave up."""
        with lane.store.write() as connection:
            outbox.hasten(connection, job.id, lane.store.clock.time())
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            sent = asking.sent(lane, job)
            if sent is not None:
                return sent
            now = lane.job(job.id)
            if now is not None and now.status is not IntentStatus.QUEUED:
                raise SendError(
                    f"Another process was asked to send it, and did not: {now.reason or now.status.value}",
                    code=now.code or now.status.value,
                    hint=f"Nothing was sent. See `actp outbox show {job.id}`.",
                )
            time.sleep(_POLL)
        return None

    def _hand_over(self, lane: Lane, call: Call, job: Job, before_broadcast: BeforeBroadcast | None) -> Submission:
        # Only this process can call `before_broadcast`; else the one that has the lease may send it as well.
        patience = self._timeout if before_broadcast is not None else _LEASE_PATIENCE
        with lane.turn(self._timeout, lease_timeout=min(patience, self._timeout)):
            if lane.fresh:
                self._recover(lane)
            elif lane.suspicion.raised:
                self._reopen(lane)
            count_mined(self.transport, lane)
            if len(lane.opened()) >= _MANY_OPEN:
                # Who only submits never hears of receipts, and must not remember everything for ever.
                with suppress(RpcError, RpcUnavailable, StoreError):
                    Watching(self.transport, lane, self._policy).look()
            handover = Handover(self.signer, lane, self._pricing, hold=self._hold, before_broadcast=before_broadcast)
            return hand_over(
                handover, lane, self._pricing, call.of(job.id), timeout=self._handover_timeout,
                look_again=lambda: self._reopen(lane),
            )  # fmt: skip

    def _recover(self, lane: Lane) -> None:
        """What an earlier process signed is looked up and broadcast again first; what it only queued is for a worker,
        which may have a gate.
        """
        if lane.store.durable:
            self._following(lane).recover(Handover(self.signer, lane, self._pricing, hold=self._hold))
        lane.fresh = False

    def _bring_home(self, lane: Lane) -> None:
        """What is signed though its commit seemed to fail was never broadcast; `wait` does it where this cannot."""
        with suppress(ActpError), lane.turn(1.0):
            if lane.fresh:
                self._recover(lane)

    def _reopen(self, lane: Lane) -> None:
        """Blocks that it has seen may be gone: looks whether they are. Needs the turn."""
        self._following(lane).look_again(Handover(self.signer, lane, self._pricing, hold=self._hold))

    def _look_again(self, lane: Lane) -> None:
        with suppress(SendError), lane.turn(1.0):  # who has the turn or the lease meanwhile notices too
            self._reopen(lane)

    def _following(self, lane: Lane) -> Following:
        return Following(self.transport, self._connection, lane, Broadcasting(self._policy), self._policy)

    def _bump(self, stuck: Submission) -> Submission:
        """Signs what is stuck again, with higher fees, if it is what all others of this account wait for."""
        lane = self._connection.lane()
        with suppress(SendError), lane.turn(1.0):
            opened = lane.opened()
            if opened and opened[0].intent_id == stuck.intent_id:
                call = call_of(opened[0])
                handover = Handover(self.signer, lane, self._pricing, hold=self._hold)
                higher = handover.bid_again(call, opened[0])
                if higher is not None:
                    ((reply, answer),) = handover.give([higher])
                    return handover.judge(call, higher, reply, answer, late=True).submission
        return stuck


@contextmanager
def _only_asked() -> Iterator[None]:
    """Errors of a node that get here are of questions before the first broadcast: later every answer is judged."""
    try:
        yield
    except (RpcError, RpcUnavailable) as error:
        error.outcome = "not_sent"
        raise
