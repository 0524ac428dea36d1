"""One lane per (chain, account): which nonces are in use, by which bytes, over the store that all writers share.

Everything here that needs "the turn" may only be called between `turn` and its end: then this thread is the only one of
its process, and its process the only one of all, that signs for the account. What is learnt from the chain (`settled`)
needs no turn: a receipt is a fact, whoever reads it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from sqlalchemy import Connection

from actp import measures
from actp.engine import crash
from actp.engine.crash import CrashPoint
from actp.engine.gates import Hold, HoldMissing, Paused
from actp.engine.intents import Settled, Submission
from actp.engine.lease import Grip, Lease, LeaseBusy
from actp.engine.noting import Noting
from actp.engine.remembering import Account, restored
from actp.engine.store import Store, StoreError, attempts, leases, outbox
from actp.engine.store.schema import AttemptState, IntentStatus
from actp.engine.suspicion import Suspicion
from actp.engine.turns import Turns
from actp.errors import SendError
from actp.rpc import LIVE_GENESIS

__all__ = ["Lane", "lane_of"]

_LONGEST_PAUSE = 0.1
_REMEMBERED = 1_000
"""How many mined nonces a store in memory keeps at least."""


class Lane(Noting):
    """Nonces and open submissions of one account on one chain. Get it with `lane_of`."""

    def __init__(self, store: Store, chain_id: int, address: str, genesis: str) -> None:
        super().__init__()
        self.store = store
        self.chain_id = chain_id
        self.address = address
        self.genesis = genesis
        with store.write() as connection:
            self.id = leases.require_lane(connection, chain_id, address).id
        self.account = Account(chain_id, address, genesis)
        self.lease = Lease(store, self.id, chain_id, address)
        self.turns = Turns()
        self.suspicion = Suspicion(reopens=self.reopens)
        self.fresh = True
        """Somebody else may have written since this process last did: what is stored has to be looked at first."""
        self.reloads = 0
        """How often what is stored was read again: whoever remembers something of its own forgets it then."""
        self.recount = True
        """The count of mined nonces has to be asked for, because it may have moved by what is not ours."""
        self.mined = 0
        self.unsigned_from = 0
        """From this nonce on nothing was ever signed."""
        self._lock = threading.Lock()
        self._open: dict[int, Submission] = {}
        self._last_mined: tuple[int, str] | None = None
        self._nudged_at = float("-inf")

    @property
    def reopens(self) -> bool:
        """Whether what vanishes from the chain is sent again. A development chain is set back on purpose, and a process
        without a store of its own goes along with that; elsewhere only a reorganisation takes blocks away.
        """
        return self.store.durable or self.genesis == LIVE_GENESIS.get(self.chain_id)

    # ------------------------------------------------------------------ whose turn it is

    @contextmanager
    def turn(self, timeout: float, *, lease_timeout: float | None = None, keep: bool = False) -> Iterator[None]:
        """The right to sign and hand over. With `keep` other processes stay locked out after it.

        Raises StoreError, SendError if other threads had it for `timeout` s, LeaseBusy if another process had it for
        `lease_timeout` s (as long as `timeout` if that is not given).
        """
        with self.turns.turn(timeout):
            self._take(timeout if lease_timeout is None else lease_timeout)
            try:
                yield
            finally:
                # That a node took bytes is only noted: if the note is lost, the stored bytes are looked up later.
                with suppress(StoreError):
                    self.flush(release=self.store.durable and not keep and self.turns.waiting < 2)

    def _take(self, timeout: float) -> None:
        until = time.monotonic() + timeout
        pause = 0.005
        while True:
            grip = self.lease.try_take()
            if grip is not Grip.BUSY:
                break
            if time.monotonic() >= until:
                raise LeaseBusy(
                    f"Another process was still sending from {self.address} after {timeout:g} s.",
                    hint="Nothing was sent: try again, or put it into the outbox for that process.",
                    retryable=True,
                )
            time.sleep(pause)
            pause = min(pause * 1.5, _LONGEST_PAUSE)
        if grip is Grip.FRESH or self.unsure:
            self._reload()

    def _reload(self) -> None:
        with self.store.read() as connection:
            found = restored(connection, self.account, outbox.open_jobs(connection, self.id))
            last = attempts.last_mined(connection, self.id)
            unsigned_from = attempts.highest_nonce(connection, self.id) + 1
        with self._lock:
            self._open = {one.nonce: one for one in found}
            self._all_may_be_taken(found)
            self._last_mined = last
            self.unsigned_from = unsigned_from
            self.mined = 0 if last is None else last[0] + 1
            self.fresh = self.recount = True
            self.reloads += 1
            self.unsure = False

    # ------------------------------------------------------------------ nonces, in turn

    def free_nonces(self, count: int) -> list[int]:
        """The lowest nonces that nothing of ours uses."""
        free: list[int] = []
        nonce = self.mined
        with self._lock:
            while len(free) < count:
                if nonce not in self._open:
                    free.append(nonce)
                nonce += 1
        return free

    def gaps(self) -> list[int]:
        """Nonces that hold up later ones and that nothing of ours uses."""
        with self._lock:
            return [nonce for nonce in range(self.mined, max(self._open, default=0)) if nonce not in self._open]

    def counted(self, mined: int) -> None:
        """So many nonces are mined, by us or by somebody else with this key: what lies below blocks nothing."""
        with self._lock:
            self.mined = mined
            self.recount = False

    def store_signed(self, signed: Sequence[Submission], *, hold: Hold | None = None, again: bool = False) -> None:
        """Commits nonces and bytes together; nothing of them may reach a node before. Raises LeaseLost, StoreError,
        Paused (if `hold` stops one of them), HoldMissing (if there must be one), SendError (if one was cancelled).
        `again` is for further signatures.
        """
        now = self.store.clock.time()
        with self.writing() as connection:
            if hold is not None:
                self._ask(connection, hold, signed)
            elif leases.needs_hold(connection, self.id):
                raise HoldMissing(self.address)
            self._write_marks(connection, now)
            if not again and not outbox.open_with(connection, [(one.intent_id, one.nonce) for one in signed], now):
                raise SendError("The send was cancelled meanwhile.", code="cancelled", hint="Nothing was sent.")
            for one in signed if again else ():
                outbox.explain(connection, one.intent_id, now, code=None, reason=None)
            attempts.add(connection, self.id, signed, self.lease.token, now)
        self._marks = {}
        (measures.TX_REPLACED if again else measures.TX_SIGNED).add(len(signed))
        crash.point(CrashPoint.AFTER_REPLACE if again else CrashPoint.AFTER_COMMIT)
        with self._lock:
            self._open.update((one.nonce, one) for one in signed)
            self.unsigned_from = max(self.unsigned_from, signed[-1].nonce + 1)

    def require_hold(self, hold: Hold | None) -> None:
        """Raises HoldMissing if who signs here has to ask a hold, and this is none; StoreError."""
        if hold is None:
            with self.store.read() as connection:
                needed = leases.needs_hold(connection, self.id)
            if needed:
                raise HoldMissing(self.address)

    def _ask(self, connection: Connection, hold: Hold, signed: Sequence[Submission]) -> None:
        for job in outbox.by_ids(connection, [one.intent_id for one in signed]).values():
            reason = hold.reason(connection, job)
            if reason is not None:
                raise Paused(f"Sends are paused: {reason}", hint="Nothing was sent.", retryable=True)

    def withdrawn(
        self, submission: Submission, *, code: str, reason: str, due_at: float | None = None,
        state: AttemptState = AttemptState.REFUSED,
    ) -> None:  # fmt: skip
        """None of these bytes will ever be mined, and their nonce is free. The job goes back into the queue for
        `due_at`, or without one becomes a dead letter.
        """
        now = self.store.clock.time()
        with self.writing() as connection:
            attempts.mark(connection, self.id, submission.hashes, state, now, only=attempts.LIVE)
            if due_at is None:
                outbox.move(
                    connection, [submission.intent_id], [IntentStatus.OPEN], IntentStatus.DEAD, now,
                    nonce=None, code=code, reason=reason,
                )  # fmt: skip
            else:
                outbox.postpone(
                    connection, submission.intent_id, due_at, now, code=code, reason=reason, nonce_free=True
                )
        if due_at is None:
            measures.TX_DEAD.add(1, code)
        with self._lock:
            self._open.pop(submission.nonce, None)
            self._over(submission)
        for tx_hash in submission.hashes:
            self._marks.pop(tx_hash, None)

    def unresolved(self, submission: Submission, *, code: str, reason: str) -> None:
        """Its nonce is used, and nobody can tell by which bytes: the job ends as UNKNOWN, and is never sent again by
        itself.
        """
        now = self.store.clock.time()
        with self.writing() as connection:
            outbox.move(
                connection, [submission.intent_id], [IntentStatus.OPEN], IntentStatus.UNKNOWN, now,
                code=code, reason=reason,
            )  # fmt: skip
        with self._lock:
            self._open.pop(submission.nonce, None)
            self._over(submission)

    # ------------------------------------------------------------------ what the chain says, without a turn

    def settled(self, found: Sequence[Settled]) -> None:
        """These are mined in sealed blocks."""
        if not found:
            return
        now = self.store.clock.time()
        crash.point(CrashPoint.BEFORE_SEALED)
        with self.writing(fenced=False) as connection:
            attempts.mark(
                connection, self.id, [one.tx_hash for one in found], AttemptState.SEALED, now,
                only=(*attempts.LIVE, AttemptState.REPLACED, *attempts.MINED),
                blocks=[(one.block_number, one.block_hash) for one in found],
            )  # fmt: skip
            attempts.replace_others(connection, [(one.intent_id, one.tx_hash) for one in found], now)
            outbox.settle(connection, [(one.intent_id, one.tx_hash, one.succeeded) for one in found], now)
            if not self.store.durable and any(one.nonce % _REMEMBERED == 0 for one in found):
                # Memory must not fill up with what nobody will ask for again.
                outbox.forget(connection, self.id, max(one.nonce for one in found) - _REMEMBERED)
        crash.point(CrashPoint.AFTER_SEALED)
        self.suspicion.saw_mined(found)
        with self._lock:
            for one in found:
                opened = self._open.get(one.nonce)
                if opened is not None and opened.intent_id == one.intent_id:
                    del self._open[one.nonce]
                    self._over(opened)
                    measures.TX_CONFIRMED.add(1, "succeeded" if one.succeeded else "reverted")
                    measures.TX_LATENCY.observe(max(0.0, now - opened.first_signed_at))
                if self._last_mined is None or one.nonce > self._last_mined[0]:
                    self._last_mined = (one.nonce, one.tx_hash)
                self.mined = max(self.mined, one.nonce + 1)

    def taken_back(self, nonce: int) -> None:
        """Blocks are gone from the chain, and with them everything of ours from `nonce` on. Needs the turn.

        Where the chain `reopens`, it is open again and will be broadcast; else it is UNDONE.
        """
        now = self.store.clock.time()
        with self.writing() as connection:
            lost = attempts.by_state(connection, self.id, attempts.MINED, from_nonce=nonce)
            ids = sorted({one.intent_id for one in lost})
            mined = (IntentStatus.MINED, IntentStatus.FAILED)
            if self.reopens:
                attempts.unseal(connection, ids, now)
                outbox.move(connection, ids, mined, IntentStatus.OPEN, now, tx_hash=None)
            else:
                attempts.mark(
                    connection, self.id, [one.tx_hash for one in lost], AttemptState.REPLACED, now, only=attempts.MINED
                )
                outbox.move(connection, ids, mined, IntentStatus.UNDONE, now, nonce=None)
            found = restored(connection, self.account, outbox.open_jobs(connection, self.id))
            last = attempts.last_mined(connection, self.id)
        with self._lock:
            self._open = {one.nonce: one for one in found}
            self._all_may_be_taken(found)
            self._last_mined = last
            self.mined = nonce

    def last_mined(self) -> tuple[int, str] | None:
        """The highest of our nonces that was seen mined, and its hash."""
        return self._last_mined

    def opened(self) -> list[Submission]:
        """What is handed over and not known to be mined, by nonce."""
        with self._lock:
            return [self._open[nonce] for nonce in sorted(self._open)]

    def lowest(self, mined: int) -> Submission | None:
        """The open submission that all others wait for, when the chain has mined `mined` of this account."""
        with self._lock:
            waiting = [nonce for nonce in self._open if nonce >= mined]
            return self._open[min(waiting)] if waiting else None

    def may_nudge(self, now: float, gap: float) -> bool:
        """Whether `gap` s have passed since somebody was last told yes: all who wait share this one clock."""
        with self._lock:
            if now - self._nudged_at < gap:
                return False
            self._nudged_at = now
            return True


_lanes_lock = threading.Lock()


def lane_of(store: Store, chain_id: int, address: str, genesis: str) -> Lane:
    """The lane of an account in a store, one for all threads. Raises OtherChain if the store is of another chain."""
    with _lanes_lock:
        lane: Lane | None = store.lanes.get((chain_id, address))
        if lane is None or lane.genesis != genesis:
            store.bind(chain_id, genesis)
            lane = store.lanes[chain_id, address] = Lane(store, chain_id, address, genesis)
        return lane
