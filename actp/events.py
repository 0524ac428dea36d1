"""Reading the events of kernel and vault in chain order, with a cursor to go on from.

page = client.events.since(cursor)
for event in page: ...
cursor = page.cursor                # store it together with what was derived from the events
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from actp.decoding import Arguments, Event, EventDecoder
from actp.engine.receipts import parse_log
from actp.errors import ActpError, InvalidInput, RpcError, RpcUnavailable
from actp.rpc import Transport, is_rate_limit
from actp.types import Log
from actp.units import require_bytes32

__all__ = ["Arguments", "Cursor", "Event", "EventPage", "Events", "StaleCursor"]

_ATTEMPTS = 5


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
            raise InvalidInput(f"{text!r} is not a cursor.", hint="A cursor is a block number, a colon and its hash.")
        return cls(int(block), require_bytes32(block_hash, "the cursor's block hash"))


@dataclass(frozen=True, slots=True)
class EventPage:
    """The events up to `cursor`, in chain order."""

    events: tuple[Event, ...]
    cursor: Cursor

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


class _Reorganised(Exception):
    """The chain changed while it was being read."""


class Events:
    """The events of one deployment, from block `start` on."""

    def __init__(self, transport: Transport, decoder: EventDecoder, *, start: int = 0) -> None:
        self._transport = transport
        self._decoder = decoder
        self._start = start

    def since(
        self,
        cursor: Cursor | str | None = None,
        *,
        names: Iterable[str] | None = None,
        transaction_id: str | None = None,
        confirmations: int = 0,
        max_blocks: int | None = None,
    ) -> EventPage:
        """Events of the blocks after `cursor` (None: since the deployment) up to the newest one, and a new cursor.

        `names` and `transaction_id` choose; `confirmations` leaves out that many of the newest blocks; `max_blocks`
        bounds what one call reads. Ranges that the node refuses are halved until it answers. If the node is behind the
        cursor, the page is empty and the cursor stays: a stale endpoint never moves it back.
        Raises StaleCursor, InvalidInput, RpcError, RpcUnavailable.
        """
        after = Cursor.parse(cursor) if isinstance(cursor, str) else cursor
        if confirmations < 0 or (max_blocks is not None and max_blocks < 1):
            raise InvalidInput(
                f"confirmations must be 0 or more ({confirmations}), max_blocks 1 or more ({max_blocks})."
            )
        topics = self._topics(names, transaction_id)
        for _ in range(_ATTEMPTS):
            try:
                return self._read(after, topics, confirmations, max_blocks)
            except _Reorganised:
                continue
        raise RpcUnavailable(
            f"{self._transport.label} changed its newest blocks in each of {_ATTEMPTS} attempts to read them.",
            hint="Read with confirmations=1 or more.",
            outcome="none",
        )

    def _topics(self, names: Iterable[str] | None, transaction_id: str | None) -> list[Any]:
        topics: list[Any] = [None, None]
        if names is not None:
            topics[0], unknown = self._decoder.topics_of([names] if isinstance(names, str) else names)
            if unknown or not topics[0]:
                raise InvalidInput(
                    f"There are no events named {', '.join(unknown)}." if unknown else "No names of events were given.",
                    hint="Names are those of the contracts' interfaces, such as StateTransitioned.",
                )
        if transaction_id is not None:
            topics[1] = require_bytes32(transaction_id, "transaction_id")
        return topics if topics[1] is not None else topics[:1]

    def _read(self, after: Cursor | None, topics: list[Any], confirmations: int, max_blocks: int | None) -> EventPage:
        first = self._start if after is None else after.block + 1
        last = int(self._transport.request("eth_blockNumber", []), 16) - confirmations
        if max_blocks is not None:
            last = min(last, first + max_blocks - 1)
        if after is None:
            # A deployment younger than `confirmations` has a cursor too: the block before its first.
            last = max(last, first - 1, 0)
        elif last < after.block:
            return EventPage((), after)
        end = self._cursor_at(last)
        if after is not None:
            now = self._cursor_at(after.block)
            if now != after:
                raise StaleCursor(after, now.block_hash)
        logs = sorted(self._logs(first, last, topics), key=lambda log: (log.block_number, log.log_index))
        # If the last block is still the same, so is every block below it: the whole page is of one chain.
        if self._cursor_at(last) != end:
            raise _Reorganised
        return EventPage(self._decoder.decode_all(logs), end)

    def _cursor_at(self, block: int) -> Cursor:
        found = self._transport.request("eth_getBlockByNumber", [hex(block), False])
        if found is None:
            raise _Reorganised
        return Cursor(block, str(found["hash"]))

    def _logs(self, first: int, last: int, topics: list[Any]) -> Iterator[Log]:
        """Logs of a range, asked for in as few calls as the node allows."""
        refused: int | None = None
        span = last - first + 1
        while first <= last:
            end = min(last, first + span - 1)
            try:
                answer = self._transport.request("eth_getLogs", [self._filter(first, end, topics)])
            except RpcError as error:
                size = end - first + 1
                # A node that is busy, or that cannot even serve one block, is not asking for a smaller range.
                if size == 1 or is_rate_limit(error):
                    raise
                refused, span = size, size // 2
                continue
            yield from map(parse_log, answer)
            first = end + 1
            # Blocks are not equally full, so the next range may be longer again, below what was refused.
            span = min(span * 2, refused - 1) if refused is not None else span

    def _filter(self, first: int, last: int, topics: list[Any]) -> dict[str, Any]:
        return {
            "address": list(self._decoder.addresses),
            "fromBlock": hex(first),
            "toBlock": hex(last),
            "topics": topics,
        }
