"""The intents that only read. Their answers are plain data: amounts as decimal digits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from actp.errors import Reverted, RpcError, RpcUnavailable
from actp.kernel_views import transaction_of
from actp.reads import Read, head, read_all
from actp.types import State, Transaction
from coordinator.canonical import amount
from coordinator.errors import UnsupportedProtocol
from coordinator.intents.models import Intent, QueryBalance, QueryPositions
from coordinator.intents.world import World

__all__ = ["Positions", "run"]


class Positions(Protocol):
    """Who knows which escrows a wallet has to do with."""

    def transaction_ids(self, wallet: str, limit: int) -> Sequence[str]:
        """Ids of at most so many escrows, the newest first."""


def run(intent: Intent, world: World, positions: Positions) -> dict[str, Any]:
    """The answer to a question, as of the block that it names. Raises RpcUnavailable, and UnsupportedProtocol for
    intents that are no questions.
    """
    if isinstance(intent, QueryBalance):
        return _balance(intent, world)
    if isinstance(intent, QueryPositions):
        return _positions(intent, world, positions)
    raise UnsupportedProtocol(f"A {intent.type} is no query.", hint="Submit it.")


def _balance(intent: QueryBalance, world: World) -> dict[str, Any]:
    account = intent.account or world.wallet
    transport = world.client.transport
    newest = head(transport)
    tokens = dict.fromkeys((world.token, *intent.tokens))
    reads = [Read("TestUSDC", token, "balanceOf", (account,)) for token in tokens]
    if world.kernel.has_salts:
        reads.append(Read("ACTPKernel", world.kernel.address, "credits", (account,)))
    (wei,) = transport.batch([("eth_getBalance", [account, newest.at])])
    if isinstance(wei, RpcError):
        raise RpcUnavailable(f"{transport.label} did not tell a balance: {wei.message}", hint="Try again.") from wei
    held = read_all(transport, reads, newest.at)
    credit = held[len(tokens)] if len(held) > len(tokens) else 0
    return {
        "account": account,
        "block": {"number": newest.number, "hash": newest.hash},
        "eth": amount(int(wei, 16)),
        "tokens": {token: _held(value) for token, value in zip(tokens, held, strict=False)},
        "credit": amount(credit),
    }


def _held(value: Any) -> str | None:
    # A contract that answers with a revert is no token.
    return None if isinstance(value, Reverted) else amount(value)


def _positions(intent: QueryPositions, world: World, positions: Positions) -> dict[str, Any]:
    world.require_salts()
    newest = head(world.client.transport)
    ids = list(dict.fromkeys(positions.transaction_ids(world.wallet, intent.limit)))[: intent.limit]
    kernel = world.kernel.address
    views = ("getTransaction", "escrowOf")
    reads = [Read("ACTPKernel", kernel, view, (bytes.fromhex(one[2:]),)) for one in ids for view in views]
    answers = read_all(world.client.transport, reads, newest.at)
    found = []
    for record, escrow in zip(answers[::2], answers[1::2], strict=True):
        # What is not mined yet is no position.
        if isinstance(record, Reverted) or isinstance(escrow, Reverted):
            continue
        position = _position(transaction_of(record), int(escrow[3]))
        if intent.include_ended or position["remaining"] != "0":
            found.append(position)
    return {
        "account": world.wallet,
        "block": {"number": newest.number, "hash": newest.hash},
        "escrows": found,
    }


def _position(record: Transaction, released: int) -> dict[str, Any]:
    # Nothing is in escrow before it is funded; what has ended has released everything.
    holds = record.state not in (State.INITIATED, State.QUOTED) and not record.state.final
    return {
        "transaction_id": record.transaction_id,
        "state": record.state.name,
        "requester": record.requester,
        "provider": record.provider,
        "amount": amount(record.amount),
        "remaining": amount(record.amount - released if holds else 0),
        "deadline": record.deadline,
        "window_ends": record.window_ends,
    }
