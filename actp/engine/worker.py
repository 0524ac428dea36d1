"""The worker of a lane: takes what is due from the outbox, signs it in batches, and sees it through.

    worker = Worker(transport, signer, chain_id=84532, store=open_store("sqlite:///outbox.db"))
    worker.run(stop)          # until the event is set; or call `step` in a loop of your own

Any number of workers may run for one account: one has the lease, the others wait for it to end or to die.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from contextlib import suppress

from actp.engine.broadcasting import Broadcasting
from actp.engine.connection import Connection
from actp.engine.counting import count_mined
from actp.engine.fees import FeePolicy
from actp.engine.following import Following
from actp.engine.gates import Gate, Hold, HoldMissing, Paused
from actp.engine.giving_up import explain_due, postpone, set_aside
from actp.engine.handover import Handover, SignerFailed
from actp.engine.intents import TRANSFER_GAS, Intent, Job, Kind
from actp.engine.lane import Lane
from actp.engine.lease import LeaseBusy
from actp.engine.policy import Policy
from actp.engine.preparing import Preparing
from actp.engine.pricing import Call, Pricing
from actp.engine.running import run_rounds
from actp.engine.store import Store, StoreError, outbox
from actp.engine.store.leases import LeaseLost
from actp.engine.store.schema import IntentStatus
from actp.errors import ActpError, FeeTooHigh, RpcError, RpcUnavailable, SendError
from actp.rpc import Transport
from actp.signers import Signer

__all__ = ["Worker"]

_log = logging.getLogger(__name__)
_TURN_SECONDS = 60.0
_LEASE_SECONDS = 0.05


class Worker:
    """Sends what is in the outbox of one account. Not for use from several threads at once."""

    def __init__(
        self,
        transport: Transport,
        signer: Signer,
        *,
        chain_id: int,
        store: Store,
        fee_policy: FeePolicy | None = None,
        gate: Gate | None = None,
        hold: Hold | None = None,
        policy: Policy | None = None,
    ) -> None:
        self._transport = transport
        self._signer = signer
        self._gate = gate
        self._hold = hold
        self._policy = policy or Policy()
        self._clock = store.clock
        self._connection = Connection(transport, chain_id, signer.address, store)
        caps = FeePolicy.from_environment() if fee_policy is None else fee_policy
        self._pricing = Pricing(transport, signer.address, chain_id=chain_id, policy=caps)
        self._broadcasting = Broadcasting(self._policy)
        self._busy = False
        self._reloads = 0
        self._too_high: FeeTooHigh | None = None
        self._lane: Lane | None = None
        self._following: Following | None = None
        self._preparing: Preparing | None = None

    def run(self, stop: threading.Event) -> None:
        """Works until `stop` is set. Trouble with node or database is waited out; raises OtherChain, WrongChain,
        HoldMissing.
        """
        try:
            run_rounds(self.step, stop, longest=self._policy.poll, log=_log)
        finally:
            self.release()

    def step(self) -> bool:
        """One round; whether there was anything to do.

        Raises StoreError, RpcError, RpcUnavailable, OtherChain, WrongChain, HoldMissing.
        """
        lane = self._enter()
        # Before it takes the lease: who may not sign must not keep out those who may.
        lane.require_hold(self._hold)
        try:
            with lane.turn(_TURN_SECONDS, lease_timeout=_LEASE_SECONDS, keep=True):
                return self._round(lane)
        except LeaseLost:
            self._broadcasting.forget()
            return False
        except LeaseBusy:
            return False
        except HoldMissing:
            self.release()
            raise

    def release(self) -> None:
        """Lets another process have the lease at once."""
        if self._lane is not None:
            with suppress(StoreError):  # then it ends by itself
                self._lane.flush(release=True)

    def _enter(self) -> Lane:
        lane = self._connection.lane()
        if lane is not self._lane:
            self._lane, self._reloads = lane, lane.reloads
            self._following = Following(self._transport, self._connection, lane, self._broadcasting, self._policy)
            self._preparing = Preparing(lane, self._pricing, self._policy, self._gate)
        return lane

    def _round(self, lane: Lane) -> bool:
        assert self._following is not None
        handover = Handover(self._signer, lane, self._pricing, hold=self._hold)
        if lane.fresh or lane.reloads != self._reloads:
            self._following.recover(handover)
            lane.fresh, self._reloads = False, lane.reloads
        elif lane.recount:
            with suppress(RpcError, RpcUnavailable):  # what is signed with a used nonce is signed again
                count_mined(self._transport, lane)
        self._broadcasting.collect(lane, handover)
        self._following.round(handover, busy=self._busy)
        worked = self._broadcasting.give_again(lane, handover, self._clock.monotonic())
        worked |= self._fill_gaps(lane, handover)
        if self._take_due(lane, handover):
            return True
        self._broadcasting.collect(lane, handover, until=0)
        lane.flush()
        return worked

    def _fill_gaps(self, lane: Lane, handover: Handover) -> bool:
        """Nonces that nothing uses hold up those after them: a transfer of nothing to oneself uses each."""
        if lane.recount:
            return False
        gaps = lane.gaps()[: self._policy.batch]
        if not gaps:
            return False
        assert self._preparing is not None
        try:
            offered = self._preparing.offered()
        except FeeTooHigh:
            return False  # what waits behind the gap says so itself, in its row
        with lane.store.read() as connection:
            if outbox.queued_fills(connection, lane.id):
                return False  # they are due in time, and get the lowest nonces then
        now = self._clock.time()
        nothing = Intent(lane.address, b"", 0, TRANSFER_GAS)
        wanted = [(f"fill-{nonce}-{lane.lease.token}-{int(now * 1_000)}", nothing) for nonce in gaps]
        with lane.writing() as connection:
            jobs = outbox.enqueue(connection, lane.id, wanted, now=now, due_at=now, kind=Kind.FILL)
        self._send(lane, handover, [Call(lane.address, b"", 0, TRANSFER_GAS, offered, job.id) for job in jobs])
        return True

    def _take_due(self, lane: Lane, handover: Handover) -> bool:
        """Signs and broadcasts what is due; whether there may be more."""
        assert self._preparing is not None
        self._busy = False
        room = min(self._policy.group, self._policy.most_open - len(lane.opened()))
        if room <= 0:
            return False
        with lane.store.read() as connection:
            jobs = outbox.due(connection, lane.id, self._clock.time(), room)
        if not jobs:
            return False
        try:
            prepared = self._preparing.run(jobs)
        except FeeTooHigh as error:
            if error is not self._too_high:  # the same one is raised again until fees are asked for again
                explain_due(lane, error.code, error.message)
                self._too_high = error
            return False
        for one in prepared.aside:
            set_aside(lane, self._policy, one)
        calls = self._without_spare_fills(lane, prepared.calls, jobs)
        if calls:
            self._send(lane, handover, calls)
        self._busy = len(jobs) == self._policy.group
        if len(jobs) < min(room, self._policy.batch):
            # There is nothing to sign while a node answers.
            self._broadcasting.collect(lane, handover, until=0)
            lane.flush()
        return True

    def _without_spare_fills(self, lane: Lane, calls: Sequence[Call], jobs: Sequence[Job]) -> list[Call]:
        """What was put in to fill gaps that are closed meanwhile, or that these calls close, is taken back: it would be
        paid for.
        """
        fills = {job.id for job in jobs if job.kind is Kind.FILL}
        if not fills:
            return list(calls)
        room = len(lane.gaps()) - sum(call.intent_id not in fills for call in calls)
        spare = [call.intent_id for call in calls if call.intent_id in fills][max(room, 0) :]
        if spare:
            with lane.writing() as connection:
                outbox.move(connection, spare, [IntentStatus.QUEUED], IntentStatus.CANCELLED, self._clock.time())
        return [call for call in calls if call.intent_id not in spare]

    def _send(self, lane: Lane, handover: Handover, calls: Sequence[Call]) -> None:
        try:
            signed = handover.sign(calls)
        except SignerFailed as error:
            for call in calls:
                postpone(lane, self._policy, call.intent_id, error.code, error.message, endless=True)
            return
        except (FeeTooHigh, Paused, SendError) as error:
            # One of them is too dear, paused or cancelled, and nothing is stored: each for itself, so that it stops no
            # other.
            if len(calls) > 1:
                for call in calls:
                    self._send(lane, handover, [call])
            elif isinstance(error, (Paused, FeeTooHigh)):
                postpone(lane, self._policy, calls[0].intent_id, error.code, error.message, endless=True)
            return
        except (StoreError, RpcError, RpcUnavailable, HoldMissing):
            raise
        except ActpError as error:
            for call in calls:
                postpone(lane, self._policy, call.intent_id, error.code, error.message)
            return
        self._broadcasting.start(lane, handover, list(zip(calls, signed, strict=True)))
