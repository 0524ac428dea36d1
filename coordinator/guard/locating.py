"""Finds the blocks in which our eth transactions were mined."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from coordinator.guard.evidence import Point, Sent
from coordinator.guard.reading import Header, Reader
from coordinator.types import BlockRef

__all__ = ["MOST_BLOCKS", "ChainMoved", "Found", "OwnBlock", "locate"]

MOST_BLOCKS = 64
"""How many blocks with eth transactions of ours one examination takes at most."""
_NEWEST = 8
"""So many of the newest blocks are read by hash: there a lagging node would answer for a range as if it were empty."""
_MOST_HEADERS = 256


class ChainMoved(Exception):
    """What was read is not of one chain: blocks were replaced meanwhile, or several nodes answer."""


@dataclass(slots=True)
class OwnBlock:
    """A block that holds eth transactions of ours, by their hashes."""

    ref: BlockRef
    parent: BlockRef
    sent: dict[str, Sent] = field(default_factory=dict)


@dataclass(slots=True)
class Found:
    """`own` in the order of the chain; `newest` are the last headers without a gap, up to the head; `missing` are those
    of ours that are not mined as far as the node tells, though their nonces are used.
    """

    own: list[OwnBlock]
    newest: list[Header]
    missing: list[Sent]

    def cut(self) -> None:
        """Leaves the blocks out that are too many for one examination."""
        self.own = self.own[:MOST_BLOCKS]
        last = self.own[-1].ref.number
        self.newest = [header for header in self.newest if header.ref.number <= last]


def locate(reader: Reader, point: Point, head: Header, mined: Sequence[Sent]) -> Found:
    """The blocks that hold these eth transactions, after the point and up to the head. Raises ChainMoved."""
    first, last = point.block.number + 1, head.ref.number
    if last - first < min(max(_NEWEST, 2 * len(mined)), _MOST_HEADERS):
        headers = _headers(reader, range(first, last), head)
        if headers[0].parent != point.block.hash:
            raise ChainMoved
        return _by_headers(headers, mined)
    return _by_receipts(reader, point, head, mined)


def _headers(reader: Reader, numbers: Iterable[int], head: Header) -> list[Header]:
    """The blocks of consecutive numbers that lead to the head, and it."""
    headers: list[Header] = []
    for header in reader.headers(list(numbers)):
        if header is None:
            raise ChainMoved
        headers.append(header)
    headers.append(head)
    for before, after in pairwise(headers):
        if after.parent != before.ref.hash:
            raise ChainMoved
    return headers


def _by_headers(headers: list[Header], mined: Sequence[Sent]) -> Found:
    waiting = {tx_hash.lower(): one for one in mined for tx_hash in one.tx_hashes}
    own, found = [], set[int]()
    for header in headers:
        sent = {tx_hash: waiting[tx_hash] for tx_hash in header.hashes if tx_hash in waiting}
        if sent:
            own.append(OwnBlock(header.ref, BlockRef(header.ref.number - 1, header.parent), sent))
            found.update(map(id, sent.values()))
    return Found(own, headers, [one for one in mined if id(one) not in found])


def _by_receipts(reader: Reader, point: Point, head: Header, mined: Sequence[Sent]) -> Found:
    newest = _headers(reader, range(head.ref.number - _NEWEST + 1, head.ref.number), head)
    hashes = [(tx_hash.lower(), one) for one in mined for tx_hash in one.tx_hashes]
    places: dict[int, dict[str, Sent]] = {}
    found = set[int]()
    for (tx_hash, one), receipt in zip(hashes, reader.receipts([tx_hash for tx_hash, _ in hashes]), strict=True):
        if receipt is not None:
            number = int(receipt["blockNumber"], 16)
            if not point.block.number < number <= head.ref.number:
                raise ChainMoved
            places.setdefault(number, {})[tx_hash] = one
            found.add(id(one))
    own = []
    # That these blocks hold them is seen when they are read.
    for number, header in zip(sorted(places), reader.headers(sorted(places)), strict=True):
        if header is None:
            raise ChainMoved
        own.append(OwnBlock(header.ref, BlockRef(number - 1, header.parent), places[number]))
    return Found(own, newest, [one for one in mined if id(one) not in found])
