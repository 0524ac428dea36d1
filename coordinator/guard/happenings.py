"""What one eth transaction did to the accounts that matter here, read from a node's JSON. No I/O.

Written for speed: this runs over every receipt of a block. Addresses are looked up in `Names`, never hashed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from actp.engine import receipts
from actp.units import to_checksum
from coordinator.guard.evidence import Holding, Sent, Watched
from coordinator.types import ETH, BlockRef, Effects, Movement

__all__ = [
    "APPROVAL",
    "CREDIT",
    "OWED",
    "TRANSFER",
    "Granted",
    "Happened",
    "Moved",
    "Names",
    "from_logs",
    "from_receipt",
    "net",
    "topic_of",
]

TRANSFER = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
"""Transfer(address,address,uint256)"""
APPROVAL = "0x8c5be1e5ebec7d5bd14f71427d1e84f3dd0314c0f7b2291e5b200ac8c7c3b925"
"""Approval(address,address,uint256)"""
CREDIT = "0x0d2529ad4f217294a993c3b41a44e6469679b4a7770acee7e10b3974246c6928"
"""CreditAccrued(bytes32,address,uint256) of the kernel"""
OWED = "0x11c6481d98ba5c409f5e35eb6236f84dd9f8e243f724aa9e099e319568d7a398"
"""BondOwed(bytes32,address,uint256) of the kernel"""
_WORD_CHARACTERS = 66

Moved = tuple[str, str, str, int]
"""(token, source, target, amount)"""
Granted = tuple[str, str, str, int]
"""(token, owner, spender, amount)"""


class Names:
    """The spelling of every address that is known, by its lower case; others stay in lower case."""

    def __init__(self, watched: Watched) -> None:
        self.ours = frozenset(watched.accounts)
        self.tokens: dict[str, str] = {token.lower(): token for token in watched.tokens}
        self._names = {name.lower(): name for name in (*watched.accounts, *watched.tokens, *watched.spenders)}

    def learn(self, effects: Effects) -> None:
        """From now on also the accounts and tokens of these effects are known."""
        names = self._names
        for movement in effects.movements:
            names[movement.source.lower()] = movement.source
            names[movement.target.lower()] = movement.target
            if movement.asset != ETH:
                names[movement.asset.lower()] = self.tokens[movement.asset.lower()] = movement.asset
        for change in effects.allowances:
            names[change.spender.lower()] = change.spender
            names[change.owner.lower()] = change.owner
            names[change.token.lower()] = self.tokens[change.token.lower()] = change.token

    def of(self, address: str) -> str:
        """An address of any spelling."""
        lower = address.lower()
        return self._names.get(lower, lower)

    def of_topic(self, topic: str) -> str:
        """The address in a topic."""
        lower = "0x" + topic[26:].lower()
        return self._names.get(lower, lower)

    @staticmethod
    def shown(address: str) -> str:
        """An address as people read it."""
        return to_checksum(address)


@dataclass(slots=True)
class Happened:
    """One eth transaction, or as much of it as is known: of a stranger's often only its logs.

    `fee` is everything that its sender paid for being mined, None where that is not (all) known; `value` the wei that
    it carries, None where unknown. `sent` is what it is of ours, and `effects` what it should do: `doubtful` if others
    may have changed that and nobody can tell any more. `credits` and `owed` are what the kernel noted, (account,
    amount), where the token refused to pay the account, or to take a bond from it.
    """

    tx_hash: str
    block: BlockRef
    index: int
    succeeded: bool = True
    sender: str | None = None
    to: str | None = None
    fee: int | None = None
    l1_fee: int | None = None
    operator_fee: int | None = None
    value: int | None = None
    transfers: list[Moved] = field(default_factory=list)
    approvals: list[Granted] = field(default_factory=list)
    credits: list[tuple[str, int]] = field(default_factory=list)
    owed: list[tuple[str, int]] = field(default_factory=list)
    sent: Sent | None = None
    effects: Effects = field(default_factory=Effects)
    doubtful: bool = False
    notes: list[str] = field(default_factory=list)


def from_receipt(answer: Mapping[str, Any], block: BlockRef, names: Names, *, layered: bool) -> Happened:
    """What a receipt tells. `layered`: the chain takes an L1 fee, so that a receipt without one tells no fee.

    Raises KeyError, TypeError or ValueError if what every receipt has is missing.
    """
    to = answer.get("to")
    happened = Happened(
        answer["transactionHash"].lower(),
        block,
        int(answer["transactionIndex"], 16),
        int(answer["status"], 16) == 1,
        names.of(answer["from"]),
        None if to is None else names.of(to),
    )
    _read_fee(happened, answer, layered)
    _read_logs(happened, answer["logs"], names)
    return happened


def from_logs(logs: Iterable[Mapping[str, Any]], names: Names) -> list[Happened]:
    """What logs of eth_getLogs tell, one for each eth transaction that emitted some, in their order.

    Raises as `from_receipt`.
    """
    grouped: dict[str, list[Mapping[str, Any]]] = {}
    seen = set()
    for log in logs:
        key = (log["blockHash"], log["logIndex"])
        if key not in seen:  # a transfer to oneself matches both filters
            seen.add(key)
            grouped.setdefault(log["transactionHash"].lower(), []).append(log)
    found = []
    for tx_hash, own in grouped.items():
        own.sort(key=lambda log: int(log["logIndex"], 16))
        first = own[0]
        block = BlockRef(int(first["blockNumber"], 16), first["blockHash"])
        happened = Happened(tx_hash, block, int(first["transactionIndex"], 16))
        _read_logs(happened, own, names)
        found.append(happened)
    found.sort(key=lambda one: (one.block.number, one.index))
    return found


def net(movements: Iterable[Movement]) -> dict[Holding, int]:
    """What movements change in the end; zeros are left out."""
    nets: dict[Holding, int] = {}
    for movement in movements:
        source, target = (movement.source, movement.asset), (movement.target, movement.asset)
        nets[source] = nets.get(source, 0) - movement.amount
        nets[target] = nets.get(target, 0) + movement.amount
    return {holding: change for holding, change in nets.items() if change}


def topic_of(address: str) -> str:
    """An address as a topic."""
    return "0x" + "0" * 24 + address[2:].lower()


def _read_fee(happened: Happened, answer: Mapping[str, Any], layered: bool) -> None:
    used, price = answer.get("gasUsed"), answer.get("effectiveGasPrice")
    if used is None or price is None:
        return
    fee = int(used, 16) * int(price, 16)
    if layered or answer.get("l1Fee") is not None:
        told = receipts.parse({**answer, "logs": []})
        happened.l1_fee, happened.operator_fee = told.l1_fee, told.operator_fee
        if told.l1_fee is None or told.operator_fee is None:
            return
        fee += told.l1_fee + told.operator_fee
    happened.fee = fee


def _read_logs(happened: Happened, logs: Sequence[Mapping[str, Any]], names: Names) -> None:
    for log in logs:
        topics = log["topics"]
        if len(topics) != 3 or len(log["data"]) != _WORD_CHARACTERS:
            continue
        kind = topics[0]
        if kind in (TRANSFER, APPROVAL):
            token = names.tokens.get(log["address"].lower())
            if token is not None:
                entry = (token, names.of_topic(topics[1]), names.of_topic(topics[2]), int(log["data"], 16))
                (happened.transfers if kind == TRANSFER else happened.approvals).append(entry)
        elif kind in (CREDIT, OWED) and happened.to is not None and names.of(log["address"]) == happened.to:
            # Whoever else emits these events has no debts to note.
            entries = happened.credits if kind == CREDIT else happened.owed
            entries.append((names.of_topic(topics[2]), int(log["data"], 16)))
