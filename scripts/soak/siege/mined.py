"""What is on the chain, read block by block."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from actp.units import keccak, to_checksum
from scripts.soak.siege.field import Field

__all__ = ["Mined", "mined_since"]

_TRANSFER = "0x" + keccak(b"Transfer(address,address,uint256)").hex()
_BLOCKS = 25


@dataclass(frozen=True, slots=True)
class Mined:
    """An eth transaction as the chain has it."""

    tx_hash: str
    sender: str
    to: str | None
    value: int
    succeeded: bool
    fee: int
    block: int
    block_hash: str
    transfers: tuple[tuple[str, str, str, int], ...]
    """(token, source, target, amount)"""


def mined_since(field: Field, last: int) -> list[Mined]:
    """Everything that was mined since the soak began, up to this block."""
    tokens = {address.lower(): address for address in field.tokens.values()}
    found = []
    numbers = range(field.first_block + 1, last + 1)
    for first in range(0, len(numbers), _BLOCKS):
        part = [hex(number) for number in numbers[first : first + _BLOCKS]]
        blocks = field.node.batch([("eth_getBlockByNumber", [number, True]) for number in part])
        receipts = field.node.batch([("eth_getBlockReceipts", [number]) for number in part])
        for block, of_block in zip(blocks, receipts, strict=True):
            for transaction, receipt in zip(block["transactions"], of_block, strict=True):
                found.append(_mined(transaction, receipt, tokens))
    return found


def _mined(transaction: dict[str, Any], receipt: dict[str, Any], tokens: dict[str, str]) -> Mined:
    transfers = []
    for log in receipt["logs"]:
        topics, token = log["topics"], tokens.get(log["address"].lower())
        if token is not None and len(topics) == 3 and topics[0] == _TRANSFER:
            transfers.append((token, _address(topics[1]), _address(topics[2]), int(log["data"], 16)))
    to = transaction.get("to")
    return Mined(
        transaction["hash"], _address(transaction["from"]), None if to is None else _address(to),
        int(transaction["value"], 16), receipt["status"] == "0x1",
        int(receipt["gasUsed"], 16) * int(receipt["effectiveGasPrice"], 16), int(receipt["blockNumber"], 16),
        receipt["blockHash"], tuple(transfers),
    )  # fmt: skip


def _address(word: str) -> str:
    return to_checksum("0x" + word[-40:])
