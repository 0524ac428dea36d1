"""The intents that only read. Their answers are plain data: amounts as decimal digits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from actp.errors import Reverted, RpcError, RpcUnavailable
from actp.kernel_views import transaction_of
from actp.reads import Read, head, read_all
from actp.types import Transaction
from coordinator.canonical import amount
from coordinator.errors import UnsupportedProtocol
from coordinator.intents.models import Intent, QueryBalance, QueryPositions
from coordinator.intents.world import World
from coordinator.types import BlockRef

__all__ = ["EscrowPosition", "Indexed", "Positions", "run"]


@dataclass(frozen=True, slots=True)
class EscrowPosition:
    """One escrow of a wallet; amounts in base units, chain times."""

    transaction_id: str
    state: str
    requester: str
    provider: str
    amount: int
    remaining: int
    deadline: int
    window_ends: int | None


@dataclass(frozen=True, slots=True)
class Indexed:
    """What an index says of a wallet at a block: some of its escrows, and sums over all of them. See `Position` of the
    index for what they mean.
    """

    block: BlockRef
    escrows: Sequence[EscrowPosition]
    locked: int
    receivable: int
    bonds: int
    credit: int


class Positions(Protocol):
    """Who knows which escrows a wallet has to do with."""

    def transaction_ids(self, wallet: str, limit: int) -> Sequence[str]:
        """Ids of at most so many escrows, the newest first."""

    def indexed(self, wallet: str, newest: BlockRef, limit: int, include_ended: bool) -> Indexed | None:
        """The newest of its escrows, at most so many, from an index that is as new as that block; None if there is
        none.
        """


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
    newest = head(world.client.transport)
    block = BlockRef(newest.number, newest.hash)
    indexed = positions.indexed(world.wallet, block, intent.limit, intent.include_ended)
    if indexed is not None:
        return _answer(world.wallet, indexed.block, indexed.escrows, indexed)
    world.require_salts()
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
        if intent.include_ended or position.remaining:
            found.append(position)
    return _answer(world.wallet, block, found, None)


def _position(record: Transaction, released: int) -> EscrowPosition:
    return EscrowPosition(
        transaction_id=record.transaction_id,
        state=record.state.name,
        requester=record.requester,
        provider=record.provider,
        amount=record.amount,
        # Nothing is in escrow before it is funded; what has ended has released everything.
        remaining=record.amount - released if record.funded else 0,
        deadline=record.deadline,
        window_ends=record.window_ends,
    )


def _answer(wallet: str, block: BlockRef, found: Sequence[EscrowPosition], sums: Indexed | None) -> dict[str, Any]:
    escrows = [
        {
            "transaction_id": one.transaction_id,
            "state": one.state,
            "requester": one.requester,
            "provider": one.provider,
            "amount": amount(one.amount),
            "remaining": amount(one.remaining),
            "deadline": one.deadline,
            "window_ends": one.window_ends,
        }
        for one in found
    ]
    totals = None
    if sums is not None:
        totals = {
            "locked": amount(sums.locked),
            "receivable": amount(sums.receivable),
            "bonds": amount(sums.bonds),
            "credit": amount(sums.credit),
        }
    return {
        "account": wallet,
        "block": {"number": block.number, "hash": block.hash},
        "escrows": escrows,
        "totals": totals,
    }
