"""The index of one kernel: catches up with its events, however far behind it is, and follows them."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from actp import observing
from actp.client import ACTPClient
from actp.decoding import EventDecoder
from actp.errors import ActpError, ConfigError, Reverted, RpcError, RpcUnavailable
from actp.events import Cursor, Events, StaleCursor
from actp.networks import Endpoint
from actp.reads import Read, read_all
from actp.rpc import Transport
from coordinator import measures
from coordinator.errors import LedgerConflict, ReorgTooDeep
from coordinator.index.pages import Page, write_page
from coordinator.index.verifying import compare, compare_books
from coordinator.store import Ledger, index_escrows, index_kernels, index_undo
from coordinator.store.index_kernels import G1, IndexedKernel, NewKernel
from coordinator.store.index_records import Repair
from coordinator.types import BlockRef

__all__ = ["Index", "Progress"]

_log = logging.getLogger(__name__)
_MOST_BLOCKS = 100_000
_MOST_EVENTS = 10_000
"""A page ends with the range of logs in which there are so many: what lies in memory at once."""
_KEPT_BLOCKS = 64
"""So many of the newest blocks can be taken back, even if the node calls them final: development nodes do so."""
_UNKNOWN_FINALITY = 2_000
"""So many, where the node says nothing of finality."""
_CHECKS_EVERY = 30.0
_LONGEST_PAUSE = 60.0
_MOST_TRIES = 8
_AT_ONCE = 20


@dataclass(frozen=True, slots=True)
class Progress:
    """What catching up has done: how many blocks and events were read, up to which block the kernel is read now, how
    many blocks of the chain are left, and how often it had to go back because the chain did.
    """

    blocks: int
    events: int
    block: BlockRef
    behind: int
    rewinds: int = 0


class Index:
    """Keeps the escrows of one kernel in a ledger. For one thread; any number of processes may keep the same kernel."""

    def __init__(self, ledger: Ledger, node: ACTPClient | Endpoint, start_block: int | None = None) -> None:
        """The index of a deployment's kernel, from a block on (by default that of the deployment). Raises ConfigError
        if it was begun from another one, OtherChain, RpcUnavailable, StoreError.
        """
        endpoint = node.endpoint if isinstance(node, ACTPClient) else node
        ledger.store.bind(endpoint.chain_id, endpoint.genesis)
        self._ledger = ledger
        self._endpoint = endpoint
        self._transport: Transport = endpoint.transport
        self._kernel = self._begin(start_block)
        self._behind: int | None = None
        observing.watch(self, _readings)
        self._events = Events(self._transport, EventDecoder({self._kernel.kernel: "ACTPKernel"}))

    def __repr__(self) -> str:
        return f"Index({self._kernel.kernel} on chain {self._kernel.chain_id}, block {self._kernel.block.number})"

    @property
    def kernel(self) -> IndexedKernel:
        """The kernel, and how far it was read when this index last looked."""
        return self._kernel

    def catch_up(self, limit: int | None = None, *, stop: threading.Event | None = None) -> Progress:
        """Reads on until the chain's end, at most `limit` blocks, or until `stop` is set; each page is a commit. Raises
        RpcError, RpcUnavailable, StoreError, ReorgTooDeep, and LedgerConflict if another indexer was faster: what was
        committed before stays.
        """
        self._reload()
        blocks = events = rewinds = 0
        while True:
            head, final = self._heights()
            left = None if limit is None else limit - blocks
            before = self._kernel.block
            read = self._step(head, final, left)
            self._behind = behind = max(0, head - self._kernel.block.number)
            if read is None:
                rewinds += 1
                # A chain that changes with each look is looked at again later.
                if rewinds <= _MOST_TRIES:
                    continue
            else:
                events += read
                blocks += self._kernel.block.number - before.number
            stopped = stop is not None and stop.is_set()
            stands = read is None or self._kernel.block == before
            if stopped or stands or not behind or (limit is not None and blocks >= limit):
                return Progress(blocks, events, self._kernel.block, behind, rewinds)

    def verify(self, most: int = 100) -> list[Repair]:
        """Compares the open escrows that were not compared for the longest with the chain's state, at most so many, and
        fees and credits; puts right what differs. Raises as `catch_up`.
        """
        self._reload()
        with self._ledger.read() as connection:
            rows = index_escrows.oldest_checked(connection, self._kernel.id, limit=most)
        found = compare(self._ledger, self._transport, self._kernel, rows) or []
        self._reload()
        return [*found, *(compare_books(self._ledger, self._transport, self._kernel, most) or [])]

    def verify_these(self, transaction_ids: Sequence[str]) -> list[Repair]:
        """Catches up, and compares these escrows with the chain's state, also those that are not in the index: what to
        do before something is done about them. Raises as `catch_up`, and RpcUnavailable if the chain moves on so fast
        that nothing can be compared.
        """
        for _ in range(_MOST_TRIES):
            self.catch_up()
            with self._ledger.read() as connection:
                rows = index_escrows.get(connection, self._kernel.id, transaction_ids)
            missing = [one for one in dict.fromkeys(transaction_ids) if one not in rows]
            found = compare(self._ledger, self._transport, self._kernel, list(rows.values()), missing)
            if found is not None:
                return found
        raise RpcUnavailable(f"{self._transport.label} has a new block at each look.", hint="Try again.")

    def run(self, stop: threading.Event, *, every: float = 1.0, checks_every: float = _CHECKS_EVERY) -> None:
        """Follows the chain until `stop` is set, and compares some escrows with its state now and then. What a node or
        the database does not do now is tried again. Raises ReorgTooDeep, and what cannot get better by itself.
        """
        clock = self._ledger.store.clock
        checked_at, pause = clock.monotonic(), every
        while not stop.is_set():
            try:
                self.catch_up(stop=stop)
                pause = every
            except LedgerConflict:
                pause = every
            except ActpError as error:
                if not _passes(error):
                    raise
                pause = min(max(2 * pause, every), _LONGEST_PAUSE)
                _log.warning("The index waits %.0f s: %s", pause, error)
            if clock.monotonic() - checked_at >= checks_every:
                checked_at = clock.monotonic()
                self._verify_if_possible()
            stop.wait(pause)

    def _verify_if_possible(self) -> None:
        """A node that has not the state, or another indexer that is faster, must not hold up the events."""
        try:
            self.verify()
        except ActpError as error:
            if not _passes(error):
                raise
            _log.warning("Rows could not be compared with the chain's state: %s", error)

    def rebuild(self, start_block: int | None = None) -> None:
        """Drops what the index has of this kernel, and begins again, from a block or from the deployment's. Raises
        LedgerConflict, RpcUnavailable, StoreError.
        """
        before = self._before(start_block)
        self._reload()
        with self._ledger.write() as connection:
            self._kernel = index_kernels.forget(connection, self._kernel, before)
            index_undo.add_point(connection, self._kernel)

    # ---------------------------------------------------------------- internals

    def _begin(self, start_block: int | None) -> IndexedKernel:
        endpoint, deployment = self._endpoint, self._endpoint.deployment
        with self._ledger.read() as connection:
            known = index_kernels.find(connection, endpoint.chain_id, deployment.kernel)
        if known is not None:
            if start_block is not None and max(start_block, 1) != known.start_block:
                raise ConfigError(
                    f"The kernel {known.kernel} is indexed from block {known.start_block} on, not {start_block}.",
                    hint="Leave the block out, or let the index be rebuilt from it.",
                )
            return known
        if deployment.token is None:
            raise ConfigError(f"The deployment {deployment.name!r} has no token.", hint="Complete the address book.")
        views = ("kernelVersion", "REFUND_GRACE", "DISPUTE_TIMEOUT")
        answers = read_all(self._transport, [Read("ACTPKernel", deployment.kernel, view) for view in views])
        version, grace, timeout = (None if isinstance(one, Reverted) else one for one in answers)
        new = NewKernel(
            chain_id=endpoint.chain_id,
            genesis=endpoint.genesis,
            kernel=deployment.kernel,
            vault=deployment.vault,
            token=deployment.token,
            version=G1 if version is None else str(version),
            grace_seconds=None if version is None or grace is None else int(grace),
            timeout_seconds=None if version is None or timeout is None else int(timeout),
            before=self._before(start_block),
        )
        with self._ledger.write() as connection:
            made = index_kernels.require(connection, new)
            index_undo.add_point(connection, made)
        return made

    def _before(self, start_block: int | None) -> BlockRef:
        """The block before the first whose events count."""
        start = self._endpoint.start_block if start_block is None else start_block
        number = max(start - 1, 0)
        found = self._transport.request("eth_getBlockByNumber", [hex(number), False])
        if not isinstance(found, dict):
            raise RpcUnavailable(
                f"{self._transport.label} does not show block {number}.", hint="Index from a block that it has."
            )
        return BlockRef(number, str(found["hash"]))

    def _reload(self) -> None:
        with self._ledger.read() as connection:
            found = index_kernels.find(connection, self._kernel.chain_id, self._kernel.kernel)
        assert found is not None
        self._kernel = found

    def _heights(self) -> tuple[int, int | None]:
        """The newest block, and the newest final one if the node knows of any."""
        calls = [("eth_blockNumber", []), ("eth_getBlockByNumber", ["finalized", False])]
        head, final = self._transport.batch(calls)
        if isinstance(head, RpcError) or not isinstance(head, str):
            raise RpcUnavailable(f"{self._transport.label} does not tell its newest block.", hint="Try again.")
        return int(head, 16), int(final["number"], 16) if isinstance(final, dict) else None

    def _step(self, head: int, final: int | None, left: int | None) -> int | None:
        """Folds the next page; how many events it had, None if it went back instead."""
        kernel = self._kernel
        if final is None:
            reachable = head - _UNKNOWN_FINALITY
        else:
            reachable = min(max(final, kernel.final_block), head - _KEPT_BLOCKS)
        most = _MOST_BLOCKS if left is None else min(left, _MOST_BLOCKS)
        if kernel.block.number < reachable:
            # What is final needs nothing to take it back, so a page ends there.
            most = min(most, reachable - kernel.block.number)
        try:
            found = self._events.since(
                Cursor(kernel.block.number, kernel.block.hash), max_blocks=most, max_events=_MOST_EVENTS
            )
        except StaleCursor:
            self._go_back()
            return None
        if found.cursor.block == kernel.block.number:
            return 0
        page = Page(
            events=found,
            look_at=None if found.cursor.block >= head - _KEPT_BLOCKS else head - _KEPT_BLOCKS,
            keep_above=reachable,
            final_block=-1 if final is None else final,
        )
        self._kernel = write_page(self._ledger, self._transport, kernel, page)
        return len(found)

    def _go_back(self) -> None:
        """To the newest end of a page that is still part of the chain."""
        with self._ledger.read() as connection:
            points = index_undo.points_of(connection, self._kernel)
        for start in range(0, len(points), _AT_ONCE):
            part = points[start : start + _AT_ONCE]
            calls = [("eth_getBlockByNumber", [hex(one.block.number), False]) for one in part]
            for point, block in zip(part, self._transport.batch(calls), strict=True):
                if not isinstance(block, dict):
                    # An endpoint that is behind knows nothing of this block: that is no reorganisation.
                    raise RpcUnavailable(
                        f"{self._transport.label} does not show block {point.block.number}.", hint="Try again."
                    )
                if block["hash"] == point.block.hash:
                    if point.block != self._kernel.block:
                        with self._ledger.write() as connection:
                            self._kernel = index_undo.go_back(connection, self._kernel, point)
                        _log.warning("The chain was reorganised: the index went back to block %d.", point.block.number)
                    return
        if points and points[-1].block.number == self._kernel.start_block - 1:
            # All that was ever read can be taken back.
            _log.warning("The chain was reorganised: the index begins again at block %d.", self._kernel.start_block)
            self.rebuild(self._kernel.start_block)
            return
        raise ReorgTooDeep(
            f"The chain was reorganised further back than the index of {self._kernel.kernel} can go.",
            hint="If that is right, and no node lies: coordinator escrows index --rebuild.",
        )


def _passes(error: ActpError) -> bool:
    """Whether it may be over when it is tried again. What a node refuses it may serve a moment later, whatever it calls
    the reason: gateways answer with errors of their own while their nodes are away.
    """
    return error.retryable or isinstance(error, RpcError)


def _readings(index: Index) -> Iterator[observing.Reading]:
    """How far it was behind when it looked last."""
    if index._behind is not None:
        yield observing.Reading(measures.INDEX_LAG, index._behind, (index.kernel.kernel,))
