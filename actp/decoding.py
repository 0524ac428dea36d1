"""Logs of kernel and vault as typed events."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from actp import artifacts
from actp.types import Log, State
from actp.units import ZERO_HASH, keccak, to_checksum

__all__ = ["Arguments", "Event", "EventDecoder"]

# The vaults of G1 say how much left an escrow when they close it; ours says it with each payout.
_STATES = frozenset(State)

_G1_EVENTS: dict[str, tuple[dict[str, Any], ...]] = {
    "EscrowVault": (
        {
            "type": "event",
            "name": "EscrowCompleted",
            "inputs": [
                {"name": "escrowId", "type": "bytes32", "indexed": True},
                {"name": "totalReleased", "type": "uint256", "indexed": False},
            ],
        },
    )
}


class Arguments(Mapping[str, Any]):
    """An event's arguments by name, in the order of the contract's declaration. Never changes, can be hashed."""

    __slots__ = ("_values",)

    def __init__(self, values: Iterable[tuple[str, Any]]) -> None:
        self._values = dict(values)

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __hash__(self) -> int:
        return hash(frozenset(self._values.items()))

    def __repr__(self) -> str:
        return f"Arguments({', '.join(f'{name}={value!r}' for name, value in self._values.items())})"


@dataclass(frozen=True, slots=True)
class Event:
    """One event. Names of arguments are the contracts' own (`newState`, `amount`); addresses are checksummed,
    bytes32 are 0x hex, states are `State`.

    `transaction_id` is the ACTP transaction. For an event of the vault it is the escrow id, which is the same unless
    the requester chose another one when it linked. None where the event is about no transaction.
    """

    name: str
    transaction_id: str | None
    args: Arguments
    contract: str
    block: int
    block_hash: str
    tx_hash: str
    log_index: int


@dataclass(frozen=True, slots=True)
class _EventType:
    name: str
    indexed: tuple[dict[str, Any], ...]
    plain: tuple[dict[str, Any], ...]
    order: tuple[str, ...]


class EventDecoder:
    """Reads the logs of the contracts at known addresses.

    `contracts` maps an address to the name of its artifact, such as "ACTPKernel". Logs of other addresses, and events
    that the artifact does not declare, are left out: a kernel of another generation has some of its own.
    """

    def __init__(self, contracts: Mapping[str, str]) -> None:
        self._names = {address.lower(): name for address, name in contracts.items()}

    @property
    def addresses(self) -> tuple[str, ...]:
        """The contracts whose logs are read, lower case."""
        return tuple(self._names)

    def topics_of(self, names: Iterable[str]) -> tuple[list[str], list[str]]:
        """The first topics of these events, and the names that no contract declares."""
        wanted = set(names)
        tables = [_event_types(name) for name in self._names.values()]
        topics = sorted({topic for table in tables for topic, kind in table.items() if kind.name in wanted})
        return topics, sorted(wanted - {kind.name for table in tables for kind in table.values()})

    def decode_all(self, logs: Iterable[Log]) -> tuple[Event, ...]:
        """The events among these logs, in their order."""
        return tuple(event for event in map(self.decode, logs) if event is not None)

    def decode(self, log: Log) -> Event | None:
        """The event, None if it is none of ours: as one that names a state which only a newer kernel has."""
        artifact = self._names.get(log.address.lower())
        if artifact is None or not log.topics:
            return None
        kind = _event_types(artifact).get(log.topics[0].lower())
        if kind is None or len(log.topics) != 1 + len(kind.indexed):
            return None
        try:
            args = _arguments(kind, log)
        except _UnknownState:
            return None
        subject = args.get("transactionId", args.get("escrowId"))
        return Event(
            name=kind.name,
            transaction_id=None if subject == ZERO_HASH else subject,
            args=args,
            contract=log.address,
            block=log.block_number,
            block_hash=log.block_hash,
            tx_hash=log.tx_hash,
            log_index=log.log_index,
        )


class _UnknownState(Exception):
    """A state that only a newer kernel has."""


@cache
def _event_types(artifact: str) -> dict[str, _EventType]:
    declared = [entry for entry in artifacts.load(artifact).abi if entry["type"] == "event"]
    table = {}
    for entry in [*declared, *_G1_EVENTS.get(artifact, ())]:
        inputs = entry["inputs"]
        table["0x" + keccak(artifacts.signature_of(entry).encode()).hex()] = _EventType(
            name=entry["name"],
            indexed=tuple(part for part in inputs if part["indexed"]),
            plain=tuple(part for part in inputs if not part["indexed"]),
            order=tuple(part["name"] for part in inputs),
        )
    return table


def _arguments(kind: _EventType, log: Log) -> Arguments:
    from eth_abi.abi import decode

    # Every indexed argument of these contracts is one word; strings and arrays would only leave their hash here.
    values = {
        part["name"]: _readable(part, decode([part["type"]], bytes.fromhex(topic[2:]))[0])
        for part, topic in zip(kind.indexed, log.topics[1:], strict=True)
    }
    decoded = decode([part["type"] for part in kind.plain], bytes.fromhex(log.data[2:]))
    values.update((part["name"], _readable(part, value)) for part, value in zip(kind.plain, decoded, strict=True))
    return Arguments((name, values[name]) for name in kind.order)


def _readable(part: dict[str, Any], value: Any) -> Any:
    if str(part.get("internalType", "")).endswith(".State"):
        if value not in _STATES:
            raise _UnknownState
        return State(value)
    if part["type"] == "address":
        return to_checksum(value)
    return "0x" + value.hex() if isinstance(value, bytes) else value
