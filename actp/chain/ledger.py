"""What was mined, in the words of JSON-RPC, found by number and by hash without a search."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import rlp  # type: ignore[import-untyped]  # ships no types
from eth._utils.address import generate_contract_address

from actp.chain.formats import Json, block_json, log_json, receipt_json, transaction_json

__all__ = ["BlockRecord", "Ledger", "Mined"]


@dataclass(frozen=True)
class BlockRecord:
    """A block of the canonical chain: py-evm's header and everything that can be asked about it."""

    header: Any
    json: Json
    transactions: tuple[Json, ...]
    receipts: tuple[Json, ...]
    logs: tuple[Json, ...]
    gas_used: tuple[int, ...]
    tips: tuple[int, ...]

    @property
    def number(self) -> int:
        return int(self.header.block_number)

    @property
    def timestamp(self) -> int:
        return int(self.header.timestamp)


@dataclass(frozen=True)
class Mined:
    """Where a transaction is."""

    record: BlockRecord
    index: int


class Ledger:
    """The canonical chain from genesis to head. Not thread-safe."""

    def __init__(self, genesis: Any) -> None:
        self._records: list[BlockRecord] = []
        self._number_of: dict[str, int] = {}
        self._place_of: dict[str, tuple[int, int]] = {}
        self.append(genesis, ())

    @property
    def head(self) -> BlockRecord:
        return self._records[-1]

    def append(self, block: Any, receipts: tuple[Any, ...]) -> BlockRecord:
        """Takes a mined block, the child of the head, as the new head."""
        record = _record(block, receipts)
        self._number_of[record.json["hash"]] = record.number
        for index, transaction in enumerate(record.transactions):
            self._place_of[transaction["hash"]] = (record.number, index)
        self._records.append(record)
        return record

    def truncate(self, number: int) -> None:
        """Forgets every block above `number`."""
        for record in self._records[number + 1 :]:
            del self._number_of[record.json["hash"]]
            for transaction in record.transactions:
                del self._place_of[transaction["hash"]]
        del self._records[number + 1 :]

    def by_number(self, number: int) -> BlockRecord | None:
        return self._records[number] if 0 <= number < len(self._records) else None

    def by_hash(self, block_hash: str) -> BlockRecord | None:
        number = self._number_of.get(block_hash)
        return None if number is None else self._records[number]

    def find(self, tx_hash: str) -> Mined | None:
        place = self._place_of.get(tx_hash)
        return None if place is None else Mined(self._records[place[0]], place[1])

    def between(self, first: int, last: int) -> Iterator[BlockRecord]:
        """The blocks `first` to `last`, both included, as far as they exist."""
        yield from self._records[max(first, 0) : last + 1]


def _record(block: Any, receipts: tuple[Any, ...]) -> BlockRecord:
    header = block.header
    block_part = block_json(header, size=len(rlp.encode(block)))
    base_fee = int(header.base_fee_per_gas)
    transactions: list[Json] = []
    receipt_parts: list[Json] = []
    block_logs: list[Json] = []
    gas_used: list[int] = []
    cumulative = 0
    for index, (transaction, receipt) in enumerate(zip(block.transactions, receipts, strict=True)):
        part = transaction_json(transaction, block=block_part, index=index, base_fee=base_fee)
        logs = [
            log_json(log, transaction=part, timestamp=block_part["timestamp"], log_index=len(block_logs) + offset)
            for offset, log in enumerate(receipt.logs)
        ]
        gas_used.append(receipt.gas_used - cumulative)
        cumulative = receipt.gas_used
        created = None if transaction.to else generate_contract_address(transaction.sender, transaction.nonce)
        receipt_parts.append(receipt_json(receipt, transaction=part, logs=logs, gas_used=gas_used[-1], created=created))
        transactions.append(part)
        block_logs.extend(logs)
    block_part["transactions"] = [part["hash"] for part in transactions]
    return BlockRecord(
        header=header,
        json=block_part,
        transactions=tuple(transactions),
        receipts=tuple(receipt_parts),
        logs=tuple(block_logs),
        gas_used=tuple(gas_used),
        tips=tuple(int(part["gasPrice"], 16) - base_fee for part in transactions),
    )
