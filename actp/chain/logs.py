"""`eth_getLogs`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from actp.chain.formats import Json
from actp.chain.ledger import BlockRecord
from actp.chain.node import SERVER_ERROR, Node
from actp.chain.params import BlockRef, invalid_params, to_address, to_hash
from actp.errors import RpcError

__all__ = ["find_logs"]

_FIELDS = frozenset({"fromBlock", "toBlock", "blockHash", "address", "topics"})
_MAX_TOPICS = 4


@dataclass(frozen=True)
class _Filter:
    """Lower-case 0x strings; an empty set matches anything."""

    addresses: frozenset[str]
    topics: tuple[frozenset[str], ...]

    def matches(self, log: Json) -> bool:
        if self.addresses and log["address"] not in self.addresses:
            return False
        emitted = log["topics"]
        if len(self.topics) > len(emitted):
            return False
        return all(not wanted or topic in wanted for wanted, topic in zip(self.topics, emitted, strict=False))


def find_logs(node: Node, fields: Mapping[str, Any]) -> list[Json]:
    """The logs that a filter object describes, in the order in which they were emitted.

    `address` is one or a list, each of at most four `topics` is null, one or a list of alternatives. The range is
    `fromBlock` to `toBlock` (both `latest` by default; blocks that do not exist yet are left out) or `blockHash`.
    """
    unknown = sorted(set(fields) - _FIELDS)
    if unknown:
        raise invalid_params(f"unknown field in filter: {', '.join(unknown)}")
    wanted = _Filter(_addresses(fields.get("address")), _topics(fields.get("topics")))
    return [
        {**log, "topics": list(log["topics"])}
        for record in _records(node, fields)
        for log in record.logs
        if wanted.matches(log)
    ]


def _records(node: Node, fields: Mapping[str, Any]) -> Iterable[BlockRecord]:
    block_hash, first, last = (fields.get(name) for name in ("blockHash", "fromBlock", "toBlock"))
    if block_hash is None:
        start, end = _number(node, first, "fromBlock"), _number(node, last, "toBlock")
        if start > end:
            raise invalid_params(f"invalid block range: fromBlock {start} is after toBlock {end}")
        return node.ledger.between(start, end)
    if first is not None or last is not None:
        raise invalid_params("cannot specify both blockHash and fromBlock/toBlock, choose one or the other")
    record = node.ledger.by_hash(to_hash(block_hash, "blockHash"))
    if record is None:
        raise RpcError(SERVER_ERROR, "unknown block")
    return (record,)


def _number(node: Node, value: Any, what: str) -> int:
    ref = BlockRef.parse("latest" if value is None else value, what)
    if ref.number is not None:
        return ref.number
    record = node.record(ref)
    if record is None:
        raise RpcError(SERVER_ERROR, "unknown block")
    return record.number


def _addresses(value: Any) -> frozenset[str]:
    if value is None:
        return frozenset()
    values = value if isinstance(value, list | tuple) else [value]
    return frozenset("0x" + to_address(item, "address").hex() for item in values)


def _topics(value: Any) -> tuple[frozenset[str], ...]:
    if value is None:
        return ()
    if not isinstance(value, list | tuple) or len(value) > _MAX_TOPICS:
        raise invalid_params(f"topics: expected a list of at most {_MAX_TOPICS}")
    return tuple(_alternatives(item) for item in value)


def _alternatives(value: Any) -> frozenset[str]:
    if value is None:
        return frozenset()
    values = value if isinstance(value, list | tuple) else [value]
    # A null among alternatives matches anything, as an empty list does.
    return frozenset() if None in values else frozenset(to_hash(item, "topics") for item in values)
