"""Reading the events of kernel and vault in chain order, with a cursor to go on from.

page = client.events.since(cursor)
for event in page: ...
cursor = page.cursor                # store it together with what was derived from the events
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from actp.decoding import Arguments, Event, EventDecoder
from actp.engine.receipts import parse_log
from actp.errors import ActpError, InvalidInput, RpcError, RpcUnavailable
from actp.rpc import Transport, is_rate_limit, quantity, wants_smaller_range
from actp.types import Log
from actp.units import require_address, require_bytes32, shown

__all__ = ["Arguments", "Cursor", "Event", "EventPage", "Events", "StaleCursor"]

_ATTEMPTS = 5
_PAUSE_SECONDS = 0.2
_NEWEST_BLOCKS = 8
"""How many blocks the nodes behind one endpoint may be apart: these are read by hash."""
_FIRST_BLOCKS = 2_000
"""How many blocks to ask for at first where the number of events is bounded and nothing is known of their density."""
_TRUST = 16
"""After so many answers in a row a range that was refused once is tried again: it may have been a crowded one."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far events were read: everything up to and including `block`, on the chain in which it has `block_hash`.

    `str(cursor)` can be stored, `Cursor.parse` reads it back.
    """

    block: int
    block_hash: str

    def __str__(self) -> str:
        return f"{self.block}:{self.block_hash}"

    @classmethod
    def parse(cls, text: str) -> Cursor:
        """The cursor that `str` wrote. Raises InvalidInput."""
        block, _, block_hash = text.partition(":")
        if not (block.isascii() and block.isdigit()):
            raise InvalidInput(
                f"{shown(text)} is not a cursor.", hint="A cursor is a block number, a colon and its hash."
            )
        return cls(int(block), require_bytes32(block_hash, "the cursor's block hash"))


@dataclass(frozen=True, slots=True)
class EventPage:
    """The events up to `cursor`, in chain order. `unknown` are the logs of the same contracts that are no events which
    this program knows: those of a newer generation.
    """

    events: tuple[Event, ...]
    cursor: Cursor
    unknown: tuple[Log, ...] = ()

    def __iter__(self) -> Iterator[Event]:
        return iter(self.events)

    def __len__(self) -> int:
        return len(self.events)


class StaleCursor(ActpError):
    """The block that a cursor names is no longer part of the chain: it was reorganised, or is another chain.

    Events that were read up to this cursor may never have happened, which only their reader can take back. So nothing
    is rewound silently.
    """

    default_code = "stale_cursor"

    def __init__(self, cursor: Cursor, actual_hash: str) -> None:
        super().__init__(
            f"Block {cursor.block} has the hash {actual_hash} now, not {cursor.block_hash}: the chain was reorganised.",
            hint="Undo what you derived from the newest blocks and read on from an older cursor, or from the start.",
        )
        self.cursor = cursor
        self.actual_hash = actual_hash


class _NotYet(Exception):
    """The node cannot be read consistently just now; the argument says what it did."""


@dataclass(frozen=True, slots=True)
class _Block:
    number: int
    hash: str
    parent_hash: str


class _Span:
    """How many blocks of logs to ask for at once: learned from what the node answers and refuses, and remembered from
    one page to the next. Threads may share one: they only learn from each other.
    """

    def __init__(self) -> None:
        self._blocks: int | None = None
        self._refused: int | None = None
        self._answers = 0

    def size(self, left: int, most_events: int | None) -> int:
        """For a range of which so many blocks are left."""
        if most_events is None and self._refused is None:
            return left
        return min(left, self._blocks or _FIRST_BLOCKS)

    def refuse(self, size: int) -> None:
        """The node would not serve so many."""
        self._refused, self._blocks, self._answers = size, size // 2, 0

    def answer(self, size: int, found: int, most_events: int | None) -> None:
        """The node has served so many, and found so many events in them."""
        if self._refused is not None:
            self._answers += 1
            if self._answers >= _TRUST:
                self._refused, self._answers = self._refused * 2, 0
        elif most_events is None:
            return
        if most_events is not None and found > most_events:
            self._blocks = max(1, size // 2)
        elif size >= (self._blocks or _FIRST_BLOCKS) and (most_events is None or 4 * found <= most_events):
            # Blocks are not equally full, so the next range may be longer again, below what was refused.
            self._blocks = 2 * size if self._refused is None else max(size, min(2 * size, self._refused - 1))


class Events:
    """The events of one deployment, from block `start` on."""

    def __init__(self, transport: Transport, decoder: EventDecoder, *, start: int = 0) -> None:
        self._transport = transport
        self._decoder = decoder
        self._start = start
        self._span = _Span()

    def since(
        self,
        cursor: Cursor | str | None = None,
        *,
        names: Iterable[str] | None = None,
        transaction_id: str | Iterable[str] | None = None,
        confirmations: int = 0,
        max_blocks: int | None = None,
        max_events: int | None = None,
    ) -> EventPage:
        """Events of the blocks after `cursor` (None: since the deployment) up to the newest one, and a new cursor.

        `names` and `transaction_id` (one or several) choose; `confirmations` leaves out that many of the newest blocks;
        `max_blocks` bounds what one call reads, and so does `max_events`: the page ends with the range in which there
        are so many. Ranges that the node refuses are halved until it answers, which later calls remember, and the
        newest blocks are read one by one, by hash. If the node is behind the cursor, the page is empty and the cursor
        stays: a stale endpoint never moves it back.
        Raises StaleCursor, InvalidInput, RpcError, RpcUnavailable.
        """
        after = Cursor.parse(cursor) if isinstance(cursor, str) else cursor
        if confirmations < 0 or not all(most is None or most >= 1 for most in (max_blocks, max_events)):
            raise InvalidInput(
                f"confirmations must be 0 or more ({confirmations}), max_blocks ({max_blocks}) and max_events "
                f"({max_events}) 1 or more."
            )
        return self._page(after, self._topics(names, transaction_id), confirmations, max_blocks, max_events)

    def created_by(self, requester: str, cursor: Cursor | None = None, *, confirmations: int = 0) -> EventPage:
        """The TransactionCreated events of one requester after `cursor`, without those of as many of the newest blocks
        as `confirmations`. Raises as `since`.
        """
        topics, _ = self._decoder.topics_of(["TransactionCreated"])
        owner = "0x" + "00" * 12 + require_address(requester, "requester")[2:].lower()
        return self._page(cursor, [topics, None, owner], confirmations, None, None)

    def _page(
        self,
        after: Cursor | None,
        topics: list[Any],
        confirmations: int,
        max_blocks: int | None,
        max_events: int | None,
    ) -> EventPage:
        reason = ""
        for attempt in range(_ATTEMPTS):
            time.sleep(_PAUSE_SECONDS * attempt)
            try:
                return self._read(after, topics, confirmations, max_blocks, max_events)
            except _NotYet as error:
                reason = str(error)
        raise RpcUnavailable(
            f"{self._transport.label} {reason} in each of {_ATTEMPTS} attempts to read its events.",
            hint="Read with confirmations=1 or more, or from an endpoint with one node behind it.",
            outcome="none",
        )

    def _topics(self, names: Iterable[str] | None, transaction_id: str | Iterable[str] | None) -> list[Any]:
        topics: list[Any] = [None, None]
        if names is not None:
            topics[0], unknown = self._decoder.topics_of([names] if isinstance(names, str) else names)
            if unknown or not topics[0]:
                raise InvalidInput(
                    f"There are no events named {', '.join(unknown)}." if unknown else "No names of events were given.",
                    hint="Names are those of the contracts' interfaces, such as StateTransitioned.",
                )
        if isinstance(transaction_id, str):
            topics[1] = require_bytes32(transaction_id, "transaction_id")
        elif transaction_id is not None:
            topics[1] = [require_bytes32(one, "transaction_id") for one in transaction_id]
            if not topics[1]:
                raise InvalidInput("No transactions were named.", hint="Leave transaction_id out to read all.")
        return topics if topics[1] is not None else topics[:1]

    def _read(
        self,
        after: Cursor | None,
        topics: list[Any],
        confirmations: int,
        max_blocks: int | None,
        max_events: int | None,
    ) -> EventPage:
        first = self._start if after is None else after.block + 1
        head = quantity(self._transport, "eth_blockNumber", [])
        last = head - confirmations
        if max_blocks is not None:
            last = min(last, first + max_blocks - 1)
        if after is None:
            # A deployment younger than `confirmations` has a cursor too: the block before its first.
            last = max(last, first - 1, 0)
        elif last < after.block:
            return EventPage((), after)
        end = self._block(last)
        if after is not None:
            now = end if after.block == last else self._block(after.block)
            if now.hash != after.block_hash:
                raise StaleCursor(after, now.hash)
            if last == after.block:
                return EventPage((), after)
        newest = max(first, head - _NEWEST_BLOCKS + 1)
        below = None if after is None or newest > first else after.block_hash
        latest = list(self._logs_by_hash(end, newest, topics, below))
        logs, reached = self._logs(first, min(last, newest - 1), topics, max_events)
        if reached < min(last, newest - 1):
            stop = self._block(reached)
        else:
            stop, logs = end, logs + latest
        # If the last block is still the same, so is every block below it: the whole page is of one chain.
        if self._block(last) != end:
            raise _NotYet("changed its newest blocks")
        logs.sort(key=lambda log: (log.block_number, log.log_index))
        events, unknown = self._decoded(logs)
        return EventPage(events, Cursor(stop.number, stop.hash), unknown)

    def _decoded(self, logs: Iterable[Log]) -> tuple[tuple[Event, ...], tuple[Log, ...]]:
        events: list[Event] = []
        unknown: list[Log] = []
        for log in logs:
            event = self._decoder.decode(log)
            if event is None:
                unknown.append(log)
            else:
                events.append(event)
        return tuple(events), tuple(unknown)

    def _block(self, which: int | str) -> _Block:
        by_number = isinstance(which, int)
        method = "eth_getBlockByNumber" if by_number else "eth_getBlockByHash"
        found = self._transport.request(method, [hex(which) if isinstance(which, int) else which, False])
        if found is None:
            raise _NotYet(f"did not have block {which}, which it had named")
        return _Block(int(found["number"], 16), str(found["hash"]), str(found["parentHash"]))

    def _logs_by_hash(self, newest: _Block, first: int, topics: list[Any], below: str | None) -> Iterator[Log]:
        """Logs of the blocks from `newest` down to `first`, the child of `below` unless that is None. A node that has
        not got a block yet refuses its hash, where it would answer for a range as if there were nothing in that block.
        """
        block = newest
        while block.number >= first:
            try:
                answer = self._transport.request("eth_getLogs", [{**self._filter(topics), "blockHash": block.hash}])
            except RpcError as error:
                if is_rate_limit(error):
                    raise
                raise _NotYet(f"did not serve the logs of block {block.number} ({error.message})") from error
            if answer is None:
                raise _NotYet(f"did not have block {block.number}, which it had named")
            yield from map(parse_log, answer)
            if block.number == first:
                if below not in (None, block.parent_hash):
                    # Nodes behind one endpoint are on two forks: what comes next does not follow what was read before.
                    raise _NotYet("showed blocks of two chains")
                return
            block = self._block(block.parent_hash)

    def _logs(self, first: int, last: int, topics: list[Any], max_events: int | None) -> tuple[list[Log], int]:
        """Logs of a range, asked for in as few calls as the node allows, up to the block that is returned: the last
        one, or an earlier one where there are so many events.
        """
        logs: list[Log] = []
        while first <= last:
            size = self._span.size(last - first + 1, max_events)
            bounds = {"fromBlock": hex(first), "toBlock": hex(first + size - 1)}
            try:
                answer = self._transport.request("eth_getLogs", [{**self._filter(topics), **bounds}])
            except (RpcError, RpcUnavailable) as error:
                # A node that is busy, or that cannot even serve one block, is not asking for a smaller range.
                if size == 1 or not wants_smaller_range(error):
                    raise
                self._span.refuse(size)
                continue
            self._span.answer(size, len(answer), max_events)
            logs += map(parse_log, answer)
            first += size
            if max_events is not None and len(logs) >= max_events:
                break
        return logs, first - 1

    def _filter(self, topics: list[Any]) -> dict[str, Any]:
        return {"address": list(self._decoder.addresses), "topics": topics}
