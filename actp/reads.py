"""Many views of contracts in one exchange, all of the same block; and which block that is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from actp import artifacts, reverts
from actp.errors import NoCode, Reverted, RpcError, RpcUnavailable
from actp.pool.capabilities import Capability, supports
from actp.rpc import Transport

__all__ = ["Head", "Read", "head", "read_all"]


@dataclass(frozen=True, slots=True)
class Head:
    """The newest block. `now` is the chain's time: what a block that is mined now would carry, in unix seconds."""

    number: int
    hash: str
    now: int
    at: str | dict[str, str]
    """The block as a parameter of reads: by its hash; the newest there is where the node cannot be asked by hash."""


@dataclass(frozen=True, slots=True)
class Read:
    """A view of the contract `name` (of an artifact) at `address`."""

    name: str
    address: str
    function: str
    arguments: tuple[Any, ...] = ()


def head(transport: Transport) -> Head:
    """The newest block. Raises RpcUnavailable."""
    tags = ("latest", "pending")
    latest, pending = transport.batch([("eth_getBlockByNumber", [tag, False]) for tag in tags])
    if not isinstance(latest, dict):
        raise RpcUnavailable(f"{transport.label} does not show its newest block.", hint="Try again.")
    # The newest block may be hours old on a chain that mines only when there is something to mine. Nodes that know no
    # pending block answer with an error or with null.
    times = [int(block["timestamp"], 16) for block in (latest, pending) if isinstance(block, dict)]
    by_hash = supports(transport, Capability.READS_BY_HASH)
    return Head(
        number=int(latest["number"], 16),
        hash=latest["hash"],
        now=max(times),
        at={"blockHash": latest["hash"]} if by_hash else "latest",
    )


def read_all(transport: Transport, reads: Sequence[Read], block: str | dict[str, str] = "latest") -> list[Any]:
    """For each view, in order, what `Binding.read` returns for it, or the Reverted that answers it, as a value.

    `block` is a tag, a number in hex, or {"blockHash": ...}. Raises NoCode, ConfigError, and RpcUnavailable also if the
    node answers any of them with an error that is no revert, such as that it does not know the block.
    """
    calls = [(_fields(read), block) for read in reads]
    answers = transport.batch([("eth_call", list(call)) for call in calls]) if calls else []
    return [_value(transport, read, answer) for read, answer in zip(reads, answers, strict=True)]


def _fields(read: Read) -> dict[str, str]:
    data = artifacts.load(read.name).call_data(read.function, read.arguments)
    return {"to": read.address, "data": "0x" + data.hex()}


def _value(transport: Transport, read: Read, answer: Any) -> Any:
    if isinstance(answer, RpcError):
        refusal: Reverted | None = reverts.from_error(answer, outcome="not_sent")
        if refusal is not None:
            return refusal
        raise RpcUnavailable(
            f"{transport.label} did not answer {read.name}.{read.function}: {answer.message}", hint="Try again."
        ) from answer
    data = bytes.fromhex(answer[2:])
    if not data:
        raise NoCode(read.name, read.address)
    values = artifacts.load(read.name).decode_result(read.function, data)
    return values[0] if len(values) == 1 else values
