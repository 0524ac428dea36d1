"""The settlement bot: no escrow forgotten."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress

from actp.engine.fees import FeePolicy
from actp.engine.running import run_rounds, run_until
from actp.engine.trouble import Trouble
from actp.errors import InvalidInput, RpcError, RpcUnavailable
from coordinator import measures, spans
from coordinator.alerts.noticing import notice
from coordinator.errors import AgentPaused, LedgerConflict
from coordinator.lifecycle import Lifecycle
from coordinator.settlement.beginning import AGENT, Beginning
from coordinator.settlement.following import Following
from coordinator.settlement.gas import PER_ESCROW, Gas
from coordinator.settlement.looking import Looking
from coordinator.settlement.passing import Pass, alerts_of, trouble_alert
from coordinator.settlement.served import Served
from coordinator.settlement.settings import SettlementSettings
from coordinator.store import alerts, pauses, seals, settlements
from coordinator.store.accounts import Account
from coordinator.types import BlockRef

__all__ = ["SettlementBot"]

_log = logging.getLogger(__name__)
_DAY = 86_400
_CHORES_EVERY = 1.0


class SettlementBot:
    """Ends what is due at the kernels that it serves. Any number of bots may work over one store, with one key or
    several: each escrow is claimed by one of them.

    `lifecycle` is that of the wallet that pays for gas; every client in `served` is of that wallet and chain. What is
    due is looked at every `every` seconds, and some rows are compared with the chain's state every `verify_every`.
    `on_pass` is called after each pass that did something.
    """

    def __init__(
        self,
        lifecycle: Lifecycle,
        served: Sequence[Served],
        settings: SettlementSettings,
        *,
        fee_policy: FeePolicy | None = None,
        every: float = 2.0,
        verify_every: float = 60.0,
        on_pass: Callable[[Pass], None] | None = None,
    ) -> None:
        """Raises InvalidInput if a client is of another wallet, or there is none."""
        if not served or any(one.client.address != lifecycle.wallet for one in served):
            raise InvalidInput(
                "A settlement bot serves at least one kernel, as the wallet of its lifecycle.",
                hint="Make each client with the signer of the lifecycle's.",
            )
        client = served[0].client
        ledger = lifecycle.ledger
        self._account = Account(client.chain_id, lifecycle.wallet)
        self._client = client
        self._ledger = ledger
        self._lifecycle = lifecycle
        self._served = tuple(served)
        self._settings = settings
        self._every = every
        self._verify_every = verify_every
        self._on_pass = on_pass
        caps = settings.gas.fee_policy(fee_policy or FeePolicy.from_environment(), settings.batch)
        self._looking = Looking(ledger, served, settings)
        self._following = Following(ledger, self._account, served, settings)
        self._beginning = Beginning(lifecycle, self._account, settings)
        self._gas = Gas(client, ledger, self._account, settings.gas, caps)
        self._looked_at = self._stepped_at = self._verified_at = self._chores_at = float("-inf")
        self._unread = [Trouble(_log, f"The escrows of {one} cannot be read:", every=every) for one in served]
        self._busy = False
        self._trouble: tuple[str, str] | None = None
        self._nothing_due = False
        """What the newest pass has found, of all kernels."""
        self._newest: BlockRef | None = None
        self._now = 0
        """The chain's time in that block."""
        self._turn = threading.Lock()

    def step(self) -> bool:
        """One bounded round; whether there was anything to do. Raises RpcError, RpcUnavailable, StoreError with nothing
        lost: the next round goes on. Raises ConfigError.
        """
        with self._turn:
            now = self._ledger.store.clock.monotonic()
            if not self._busy and now - self._stepped_at < self._every:
                return False  # each look costs the node some answers, and blocks take their time
            self._stepped_at = now
            busy = False
            try:
                if now - self._looked_at >= self._every:
                    self._looked_at = now
                    busy = self._pass()
            finally:
                # Whatever was begun goes on, also while nobody can look at what else is due.
                busy |= self._lifecycle.step()
                self._busy = busy
                self._chores(now)
            return busy

    def run(self, stop: threading.Event) -> None:
        """Works until `stop` is set. Trouble with node or store is waited out; raises ConfigError."""
        try:
            run_rounds(self.step, stop, longest=max(self._every, 0.01), log=_log)
        finally:
            self._lifecycle.close()

    def wait(self, timeout: float = 60.0) -> bool:
        """Works until nothing is due and nothing on its way, or the time is over; whether all is done. What has failed
        and is tried again later counts as done, what waits for gas does not. Trouble with node or store is waited out.
        Raises ConfigError.
        """
        self._nothing_due = False  # who waits wants to know of what is due from now on
        return run_until(self.step, self._idle, bool, timeout=timeout, log=_log)

    def once(self, stop: threading.Event) -> bool:
        """Works until nothing is due and nothing on its way, or nothing more can be begun, or `stop` is set; whether
        all is done. See `wait`.
        """
        self._nothing_due = False
        self._trouble = None

        def over(idle: bool) -> bool:
            return idle or stop.is_set() or (self._trouble is not None and not self._claimed())

        try:
            return run_until(self.step, self._idle, over, timeout=math.inf, log=_log)
        finally:
            self._lifecycle.close()

    @property
    def waits(self) -> str | None:
        """Why nothing more is begun, None if nothing is in the way."""
        return None if self._trouble is None else self._trouble[1]

    # ---------------------------------------------------------------- internals

    def _pass(self) -> bool:
        current = self._catch_up()
        outcomes = self._following.round()
        begun = withdrawn = 0
        trouble: tuple[str, str] | None = None
        planned = [one for one in self._looking.due(self._chain_time()) if one.served in current]
        try:
            self._require_free()
            for one in planned:
                room = self._gas.room(one.groups, self._settings.most)
                begun += self._beginning.begin(one.served, room.groups)
                if room.code is not None and room.reason is not None:
                    trouble = (room.code, room.reason)
                    if room.code != PER_ESCROW:
                        continue
                withdrawn += self._beginning.push(one.served, one.credits)
            withdrawn += self._take_fees(current)
        except AgentPaused as error:
            trouble = (error.code, error.message)
        self._nothing_due = len(current) == len(self._served) and not any(one.groups for one in planned)
        self._tell_trouble(trouble)
        done = Pass(tuple(outcomes), begun, withdrawn, None if trouble is None else trouble[1])
        self._tell(done)
        return done.did_something

    def _catch_up(self) -> list[Served]:
        """The kernels whose index is as far as the chain. One that cannot be read does not hold up the others."""
        verify = self._ledger.store.clock.monotonic() - self._verified_at >= self._verify_every
        current: list[Served] = []
        failures: list[RpcError | RpcUnavailable] = []
        for served, unread in zip(self._served, self._unread, strict=True):
            try:
                if not served.index.catch_up().behind:
                    current.append(served)
                if verify:
                    served.index.verify()
                unread.missed()
            except LedgerConflict as error:
                _log.info("%s", error)  # another process indexes it
            except (RpcError, RpcUnavailable) as error:
                unread.met(error)
                failures.append(error)
        if verify:
            self._verified_at = self._ledger.store.clock.monotonic()
        if len(failures) == len(self._served):
            raise failures[0]
        return current

    def _chain_time(self) -> int:
        """The time of the newest block that was read: what is due by then is due in the next one."""
        newest = max((one.index.kernel.block for one in self._served), key=lambda block: block.number)
        if newest != self._newest:
            found = self._client.transport.request("eth_getBlockByHash", [newest.hash, False])
            if not isinstance(found, dict):
                raise RpcUnavailable(f"{self._client.transport.label} does not show block {newest.number}.")
            self._now, self._newest = int(found["timestamp"], 16), newest
        return self._now

    def _require_free(self) -> None:
        """Raises AgentPaused, before anything is claimed that could not go on."""
        with self._ledger.read() as connection:
            found = pauses.active(connection, self._account)
        pause = found.get(pauses.TREASURY) or found.get(AGENT)
        if pause is not None:
            raise AgentPaused(
                f"{self._account.wallet} was paused by {pause.by}: {pause.reason}",
                hint="Nothing more is begun until somebody resumes it.",
            )

    def _take_fees(self, current: Sequence[Served]) -> int:
        if not self._settings.fees:
            return 0
        taken = 0
        for served in current:
            if served.keeps and served.index.kernel.fees >= self._settings.least_fees:
                taken += self._beginning.take_fees(served)
        return taken

    def _idle(self) -> bool:
        return self._nothing_due and not self._claimed()

    def _claimed(self) -> int:
        """How many escrows something is on its way for."""
        with self._ledger.read() as connection:
            return sum(settlements.count_claimed(connection, one.kernel_id, self._account) for one in self._served)

    # ---------------------------------------------------------------- telling

    def _tell(self, done: Pass) -> None:
        now = self._ledger.now()
        for one in done.outcomes:
            if not one.done:
                _log.warning("%s of %s: %s: %s", one.kind.value, one.transaction_id, one.code, one.reason)
            elif one.late is not None:
                measures.settled(one.kind.value, one.late)
                spans.record(
                    "settle", one.transaction_id, now - one.late, now, {"kind": one.kind.value, "ours": one.ours}
                )
        drafts = alerts_of(done.outcomes)
        if drafts:
            with self._ledger.write() as connection:
                alerts.add(connection, self._account, drafts, self._ledger.now())
        if done.did_something:
            _log.info("%s", done)
            if self._on_pass is not None:
                self._on_pass(done)

    def _tell_trouble(self, trouble: tuple[str, str] | None) -> None:
        """Says once that nothing more is begun, and why, and once that it goes on."""
        before, self._trouble = self._trouble, trouble
        if (before and before[0]) == (trouble and trouble[0]):
            return
        if trouble is None:
            _log.warning("Settling goes on.")
            return
        _log.warning("What is due waits: %s", trouble[1])
        now = self._ledger.now()
        draft = trouble_alert(self._lifecycle.wallet, trouble[0], trouble[1], int(now // _DAY))
        with self._ledger.write() as connection:
            alerts.add(connection, self._account, [draft], now)

    def _chores(self, now: float) -> None:
        """What the store wants of whoever works over it: the journal's chain, and alerts of what is in it."""
        if now - self._chores_at < _CHORES_EVERY:
            return
        self._chores_at = now
        with suppress(LedgerConflict):
            seals.seal_all(self._ledger, self._account)
            notice(self._ledger, self._account)
