"""The lifecycle of one wallet's operations: the entrance to everything in this folder."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from sqlalchemy import Connection

from actp.client import ACTPClient
from actp.engine import Outbox, Worker, open_store
from actp.engine import Policy as EnginePolicy
from actp.engine.fees import FeePolicy
from actp.engine.running import run_rounds, run_until
from actp.engine.store import Store, leases
from actp.engine.trouble import Trouble
from actp.errors import FeeTooHigh, RpcError, RpcUnavailable
from coordinator.errors import LedgerConflict, UnknownOperation
from coordinator.guard import DeltaGuard, Watched
from coordinator.lifecycle import submitting
from coordinator.lifecycle.approving import Approving
from coordinator.lifecycle.cases import ruling_of
from coordinator.lifecycle.deciding import BATCH, Deciding
from coordinator.lifecycle.desk import Desk, Reference
from coordinator.lifecycle.following import Following
from coordinator.lifecycle.holding import Freshness, PauseHold
from coordinator.lifecycle.keeping import Keeping
from coordinator.lifecycle.naming import require_name, require_text
from coordinator.lifecycle.querying import Querying
from coordinator.lifecycle.receipts import ReceiptKeeper
from coordinator.lifecycle.recent import Recent
from coordinator.lifecycle.responding import respond
from coordinator.lifecycle.sharing import SharedBlocks
from coordinator.lifecycle.submitting import Request
from coordinator.policy import PolicySettings
from coordinator.proofs import Proof, ProofKey
from coordinator.store import Ledger, approvals, open_ledger, operations, pauses, verdicts, wallets
from coordinator.store import proofs as proof_rows
from coordinator.store.accounts import Account
from coordinator.store.approvals import Approval
from coordinator.store.pauses import Pause
from coordinator.types import IntentType, Operation, Ruling, Stage

__all__ = ["Lifecycle"]

_log = logging.getLogger(__name__)
_ENDED = (Stage.CONFIRMED, Stage.FAILED)
_DAY = 24 * 3600.0
_MOST_QUEUED = 4 * BATCH


class Lifecycle:
    """Takes intents of agents in, and sees them through. Any number of processes may run one for the same wallet over
    the same store; `step`, `run` and `wait` of one object may be called from several threads.

    `store` is the client's durable one unless another is given, else memory. `policy` says who may spend what; without
    one everything is allowed. `guard` checks every balance after every block, `auto_pause_on_breach` stops whoever
    was involved. `standing_allowance` is how much the vault may take at least, whenever its allowance has to be
    raised; something that is called for it each time may follow a budget that changes. `proof_signer` signs proofs; see
    `ProofKey.for_store` for the key if it is left out. `tokens` are guarded besides the one of the vault.
    `others` are clients of the same account at further kernels, which intents name.
    `reference` knows what services usually cost. `engine_policy` and `fee_policy` are the engine's.
    """

    def __init__(
        self,
        client: ACTPClient,
        *,
        store: Store | None = None,
        policy: PolicySettings | None = None,
        guard: bool = True,
        auto_pause_on_breach: bool = True,
        standing_allowance: int | Callable[[], int] = 0,
        proof_signer: ProofKey | None = None,
        tokens: Sequence[str] = (),
        reference: Reference | None = None,
        approval_seconds: float = _DAY,
        engine_policy: EnginePolicy | None = None,
        fee_policy: FeePolicy | None = None,
        others: Sequence[ACTPClient] = (),
    ) -> None:
        """Asks the chain nothing. Raises StoreError, OtherChain."""
        chosen = store or client.store or open_store("sqlite://")
        chosen.bind(client.chain_id, client.genesis)
        ledger = open_ledger(chosen)
        account = Account(client.chain_id, client.address)
        outbox = Outbox(chosen, client.chain_id, client.address)
        settings = PolicySettings() if policy is None else policy
        desk = self._desk = Desk(client, ledger, account, outbox, settings, reference, tuple(others))
        with ledger.write() as connection:
            wallets.require(connection, account)
            leases.demand_hold(connection, outbox.lane_id)  # a pause must bind everybody who signs from this store
        key = self._key = ProofKey.for_store(chosen.engine.url) if proof_signer is None else proof_signer
        caps = FeePolicy.from_environment() if fee_policy is None else fee_policy
        recent = self._recent = Recent()
        ours, engines = SharedBlocks.pair(client.transport)
        keeper = ReceiptKeeper(ours)
        watched = Watched((desk.wallet,), tuple(dict.fromkeys((desk.token, *tokens))), (desk.vault,))
        examiner = DeltaGuard(keeper, client.chain_id, watched) if guard else None
        standing = standing_allowance
        self._deciding = Deciding(
            desk,
            key,
            fee_policy=caps,
            standing_allowance=standing if callable(standing) else lambda: standing,
            approval_seconds=approval_seconds,
        )
        self._following = Following(desk, key, recent, keeper, examiner, auto_pause=auto_pause_on_breach)
        self._approving = Approving(desk, key)
        self._querying = Querying(desk)
        self._keeping = Keeping(desk, key)
        self._engine_policy = engine_policy or EnginePolicy()
        self._worker = Worker(
            engines,
            client.signer,
            chain_id=client.chain_id,
            store=chosen,
            fee_policy=caps,
            gate=Freshness(desk),
            hold=PauseHold(desk),
            policy=self._engine_policy,
        )
        self._undecided = Trouble(_log, "Nothing is decided for now:")
        self._turn = threading.Lock()

    def __repr__(self) -> str:
        return f"Lifecycle({self._desk.wallet}, {self._desk.ledger!r})"

    @property
    def wallet(self) -> str:
        """The account that signs."""
        return self._desk.wallet

    @property
    def ledger(self) -> Ledger:
        """Where everything is written."""
        return self._desk.ledger

    @property
    def policy(self) -> PolicySettings:
        """Who may spend what."""
        return self._desk.settings

    @property
    def guards(self) -> bool:
        """Whether every balance is checked after every block."""
        return self._following.guards

    @property
    def proof_address(self) -> str:
        """The address of the key that signs proofs."""
        return self._key.address

    # ---------------------------------------------------------------- taking intents in

    def submit(
        self, type: IntentType | str, intent: Mapping[str, Any], *, agent: str, key: str | None = None
    ) -> Operation:
        """Records an intent; it is carried out by `step` or `run`, here or in another process. The same key with the
        same intent is the same operation.

        Raises InvalidIntent, UnsupportedProtocol, AgentPaused, KeyTaken (an IdempotencyConflict), StoreError.
        """
        return self.submit_all([Request(type, intent, agent, key)])[0]

    def submit_all(self, requests: Sequence[Request], *, connection: Connection | None = None) -> list[Operation]:
        """Records many intents, or none of them, in one commit: that of the caller if its `connection` to the same
        store is given. Raises as `submit`.
        """
        return submitting.submit_all(self._desk, requests, connection=connection)

    def query(
        self, type: IntentType | str, intent: Mapping[str, Any], *, agent: str, key: str | None = None
    ) -> Operation:
        """Asks a question; its answer is the operation's `result`. Raises as `submit`, and RpcUnavailable."""
        operation = self.submit(type, intent, agent=agent, key=key)
        return self._querying.answer(operation) if operation.type.query else operation

    # ---------------------------------------------------------------- answers of people

    def approve(self, operation_id: int, by: str, reason: str = "") -> Operation:
        """See `Approving.approve`."""
        return self._approving.approve(operation_id, by, reason)

    def reject(self, operation_id: int, by: str, reason: str) -> Operation:
        """See `Approving.reject`."""
        return self._approving.reject(operation_id, by, reason)

    def waiting(self) -> list[tuple[Operation, Approval]]:
        """What waits for an approval, the most urgent first."""
        return self._approving.waiting()

    def pause(self, agent: str | None = None, *, by: str, reason: str) -> bool:
        """Stops an agent, or without one the whole treasury: nothing of it is signed after this, and nothing taken in
        but questions. False if it was stopped already. Raises InvalidInput, StoreError.
        """
        desk = self._desk
        _require_names(agent, by, reason)
        with desk.ledger.write() as connection:
            return pauses.add(connection, desk.account, agent, by=by, reason=reason, now=desk.ledger.now())

    def resume(self, agent: str | None = None, *, by: str, reason: str) -> bool:
        """Ends a pause; what was held goes on at once. False if there was none. Raises InvalidInput, StoreError."""
        desk = self._desk
        _require_names(agent, by, reason)
        with desk.ledger.write() as connection:
            return pauses.remove(connection, desk.account, agent, by=by, reason=reason, now=desk.ledger.now())

    def paused(self) -> list[Pause]:
        """The pauses that hold."""
        with self._desk.ledger.read() as connection:
            return list(pauses.active(connection, self._desk.account).values())

    # ---------------------------------------------------------------- reading

    def find(self, operation_id: int) -> Operation:
        """The operation of this number. Raises UnknownOperation."""
        with self._desk.ledger.read() as connection:
            found = operations.by_id(connection, operation_id)
        account = self._desk.account
        if found is None or (found.chain_id, found.wallet) != (account.chain_id, account.wallet):
            raise UnknownOperation(f"There is no operation {operation_id} of {account.wallet}.")
        return found

    def proofs_of(self, operation_id: int) -> list[Proof]:
        """The links about an operation in the chain of proofs, the oldest first."""
        with self._desk.ledger.read() as connection:
            return proof_rows.of_operation(connection, self._desk.account, operation_id)

    def response(self, operation: Operation) -> dict[str, Any]:
        """The operation as callers over the wire get to see it; see `respond`."""
        account = self._desk.account
        with self._desk.ledger.read() as connection:
            return respond(
                operation,
                proof=proof_rows.of_operations(connection, account, [operation.id]).get(operation.id),
                verdict=verdicts.latest(connection, [operation.id]).get(operation.id),
                approval=approvals.by_operation(connection, [operation.id]).get(operation.id),
            )

    # ---------------------------------------------------------------- working

    def step(self) -> bool:
        """One bounded round over all stages; whether there was anything to do.

        Raises RpcError, RpcUnavailable, StoreError with nothing lost: the next round goes on. Raises OtherChain,
        WrongChain.
        """
        with self._turn:
            return self._step()

    def follow(self) -> bool:
        """The part of `step` that looks at what is mined; whether anything had moved. Raises RpcError, RpcUnavailable,
        StoreError.
        """
        with self._turn:
            return self._following.round()

    def decide(self) -> bool:
        """The part of `step` that decides about what is pending; whether there was anything. Raises StoreError."""
        with self._turn:
            return self._decide()

    def run(self, stop: threading.Event) -> None:
        """Works until `stop` is set. Trouble with node or store is waited out; raises ConfigError."""
        try:
            run_rounds(self.step, stop, longest=self._engine_policy.poll, log=_log)
        finally:
            self.close()

    def wait(self, operation_id: int, timeout: float = 60.0) -> Operation:
        """Works until an operation has ended or waits for an approval, or the time is over; how far it is then.

        Trouble with node or store is waited out. Raises UnknownOperation, ConfigError.
        """

        def over(operation: Operation) -> bool:
            return operation.stage in _ENDED or operation.stage is Stage.APPROVAL_GATE

        return run_until(self.step, lambda: self.find(operation_id), over, timeout=timeout, log=_log)

    def close(self) -> None:
        """Lets another process sign at once."""
        self._worker.release()

    def _step(self) -> bool:
        try:
            # First of all, so that whom the guard stops signs nothing more.
            busy = self._following.round()
        except (RpcError, RpcUnavailable):
            self._worker.step()  # nothing is decided while nobody can look; what was decided goes on
            raise
        busy |= self._decide()
        busy |= self._worker.step()
        with suppress(LedgerConflict):  # the winner has done it
            busy |= self._approving.expire()
            self._keeping.round()
        return busy

    def _decide(self) -> bool:
        """Decides while the engine has room; the engine and what follows it go on if that fails."""
        desk = self._desk
        try:
            point = self._following.point()
            with desk.ledger.read() as connection:
                # What is paused must not take the room of the others.
                paused = tuple(pauses.active(connection, desk.account))
                queued = operations.count_in(connection, desk.account, Stage.SIGNING, without_agents=paused)
            cases = self._deciding.round(point, _MOST_QUEUED - queued)
            answered = self._querying.round()
        except (FeeTooHigh, RpcError, RpcUnavailable) as error:
            self._undecided.met(error)
            return False
        self._undecided.missed()
        # What waits for an approval is decided again, perhaps by another process.
        self._recent.note(
            (case.allowed_at, case.decided)
            for case in cases or ()
            if case.failure is None and ruling_of(case) is Ruling.ALLOW
        )
        return bool(cases) or answered


def _require_names(agent: str | None, by: str, reason: str) -> None:
    if agent is not None:
        require_name(agent, "An agent's name")
    require_name(by, "The name of whoever asks for it")
    require_text(reason, "A reason")
