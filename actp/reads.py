"""Many views of contracts in one exchange, and in one call where the node takes that; and which block is newest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from actp import artifacts, many_views, reverts
from actp.engine.exchange import ask_all
from actp.errors import NoCode, Reverted, RpcError, RpcUnavailable
from actp.pool.capabilities import Capability, supports
from actp.rpc import Transport, is_rate_limit

__all__ = ["Head", "Read", "ask_together", "head", "read_all"]

_FEW = 2
"""So few views of a block are asked one by one."""
_REVERTED = 3

Call = tuple[str, list[Any]]


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
    calls: list[Call] = [("eth_call", [_fields(read), block]) for read in reads]
    return [_value(transport, read, answer) for read, answer in zip(reads, ask_together(transport, calls), strict=True)]


def ask_together(transport: Transport, calls: Sequence[Call], *, at_once: int | None = None) -> list[Any]:
    """The answers to JSON-RPC calls, in order, as `Transport.batch` gives them. The views of one block among them are
    one call, or a few, where there are many of them and the node takes that. An exchange has `at_once` calls at most.

    Raises RpcUnavailable.
    """
    parts = _parts(transport, calls)
    merged = {place for part in parts for place in part.places}
    others = [place for place in range(len(calls)) if place not in merged]
    asked = [*(calls[place] for place in others), *(part.call for part in parts)]
    found = _exchange(transport, asked, at_once)
    answers = dict(zip(others, found, strict=False))
    for part, refusal in zip(parts, found[len(others) :], strict=True):
        answers |= zip(part.places, part.answers(refusal), strict=True)
    again = [place for place in range(len(calls)) if answers[place] is None and place in merged]
    answers |= zip(again, _exchange(transport, [calls[place] for place in again], at_once), strict=True)
    return [answers[place] for place in range(len(calls))]


@dataclass(frozen=True, slots=True)
class _Part:
    """Views that are asked by one call, and their places among all calls."""

    places: Sequence[int]
    call: Call

    def answers(self, refusal: Any) -> list[Any]:
        """Their answers; None for what has to be asked by itself: what a node does not take as one call, and refusals
        without a reason, since a view of many may just have had too little gas.
        """
        found = many_views.answers_in(refusal, len(self.places))
        if found is not None:
            return [_answer(*one) for one in found]
        limited = isinstance(refusal, RpcError) and is_rate_limit(refusal)
        return [refusal if limited else None] * len(self.places)


def _parts(transport: Transport, calls: Sequence[Call]) -> list[_Part]:
    by_block: dict[str, list[int]] = {}
    for place, (method, params) in enumerate(calls):
        if method == "eth_call" and len(params) == 2 and params[0].keys() == {"to", "data"}:
            by_block.setdefault(repr(params[1]), []).append(place)
    many = [places for places in by_block.values() if len(places) > _FEW]
    if not many or not supports(transport, Capability.MANY_VIEWS):
        return []
    parts = []
    for places in many:
        questions = [(calls[place][1][0]["to"], bytes.fromhex(calls[place][1][0]["data"][2:])) for place in places]
        first = 0
        for chunk in many_views.chunks(questions):
            data = "0x" + many_views.call_data(chunk).hex()
            parts.append(
                _Part(places[first : first + len(chunk)], ("eth_call", [{"data": data}, calls[places[0]][1][1]]))
            )
            first += len(chunk)
    return parts


def _answer(success: bool, data: bytes) -> Any:
    if success:
        return "0x" + data.hex()
    return RpcError(_REVERTED, "execution reverted", "0x" + data.hex()) if data else None


def _exchange(transport: Transport, calls: Sequence[Call], at_once: int | None) -> list[Any]:
    size = at_once or len(calls) or 1
    return [one for start in range(0, len(calls), size) for one in ask_all(transport, calls[start : start + size])]


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
