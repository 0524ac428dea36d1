"""The chain itself: time, pool, blocks and snapshots. No lock and no JSON-RPC: see `embedded` and `rpc`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from actp.chain.admission import refusal
from actp.chain.evm import Evm
from actp.chain.formats import data, transaction_type
from actp.chain.ledger import BlockRecord, Ledger
from actp.chain.params import BlockRef, invalid_params
from actp.chain.pool import Pool, PoolRefusal
from actp.errors import RpcError

__all__ = ["SERVER_ERROR", "Node"]

SERVER_ERROR = -32000
"""The code with which geth answers whatever has no code of its own."""


@dataclass(frozen=True)
class _Snapshot:
    number: int
    time_offset: int
    pool: Pool


class Node:
    """One chain. Not thread-safe.

    A new block carries `max(parent + 1, clock() + offset)` as timestamp, unless one was set for it; time travel raises
    the offset. With `automine` every transaction is mined as soon as its nonce is next.
    """

    def __init__(self, *, chain_id: int, clock: Callable[[], float], automine: bool) -> None:
        self._clock = clock
        self._time_offset = 0
        self._timestamp_override: int | None = None
        self._snapshots: dict[str, _Snapshot] = {}
        self._snapshots_taken = 0
        self.automine = automine
        self.pool = Pool()
        self.evm = Evm(chain_id=chain_id, timestamp=int(clock()))
        self.ledger = Ledger(self.evm.genesis)

    # ---- time

    def now(self) -> int:
        """The timestamp that the next block will carry."""
        if self._timestamp_override is not None:
            return self._timestamp_override
        return max(self.ledger.head.timestamp + 1, int(self._clock()) + self._time_offset)

    def time_travel(self, seconds: int) -> int:
        """Moves `now()` ahead by exactly `seconds`; returns how far the chain is ahead of the clock."""
        if seconds < 0:
            raise invalid_params(f"cannot travel back in time by {-seconds} seconds")
        self._follow_from(self.now() + seconds)
        return self._time_offset

    def set_next_timestamp(self, timestamp: int) -> None:
        """Fixes the timestamp of the next block, from which time goes on; it must be later than the head's."""
        head = self.ledger.head.timestamp
        if timestamp <= head:
            raise invalid_params(f"timestamp {timestamp} is not later than the latest block's, {head}")
        self._timestamp_override = timestamp

    def _follow_from(self, timestamp: int) -> None:
        self._timestamp_override = None
        self._time_offset = timestamp - int(self._clock())

    # ---- reading

    def next_header(self) -> Any:
        """The header of the block that would be mined now."""
        return self.evm.header_after(self.ledger.head.header, self.now())

    def state(self) -> Any:
        """The accounts after the latest block."""
        return self.evm.state_at(self.ledger.head.header)

    def record(self, ref: BlockRef) -> BlockRecord | None:
        """The mined block that is meant, None if there is none; the latest one also for `pending`."""
        if ref.hash is not None:
            return self.ledger.by_hash(ref.hash)
        if ref.number is not None:
            return self.ledger.by_number(ref.number)
        return self.ledger.by_number(0) if ref.tag == "earliest" else self.ledger.head

    def header(self, ref: BlockRef) -> Any:
        """The header on which a call about a block executes.

        For `latest` and `pending` that is the next block's, so that what is simulated right after time travel agrees
        with what is mined; for a block by number or hash it is its own. Raises RpcError for an unknown block.
        """
        if ref.tag is not None and ref.tag != "earliest":
            return self.next_header()
        record = self.record(ref)
        if record is None:
            raise RpcError(SERVER_ERROR, "header not found")
        return record.header

    # ---- sending and mining

    def send(self, transaction: Any) -> str:
        """Takes a signed transaction into the pool, mines it if it is its turn, and returns its hash.

        Raises RpcError with a node's words if it is refused. A transaction that reverts is mined like any other.
        """
        state = self.state()
        account_nonce = state.get_nonce(transaction.sender)
        reason = refusal(
            transaction,
            chain_id=self.evm.chain_id,
            nonce=account_nonce,
            balance=state.get_balance(transaction.sender),
        )
        if reason is not None:
            raise RpcError(SERVER_ERROR, reason)
        if self.automine and transaction.nonce == account_nonce:
            self._refuse_below_base_fee(transaction)
        try:
            self.pool.add(transaction)
        except PoolRefusal as error:
            raise RpcError(SERVER_ERROR, str(error)) from None
        if self.automine:
            self.mine_waiting()
        return data(transaction.hash)

    def _refuse_below_base_fee(self, transaction: Any) -> None:
        # A node would let it wait for a lower base fee, but here only new transactions make new blocks.
        base_fee = int(self.next_header().base_fee_per_gas)
        if transaction.max_fee_per_gas < base_fee:
            name = "gasPrice" if transaction_type(transaction) < 2 else "maxFeePerGas"
            raise RpcError(
                SERVER_ERROR,
                f"max fee per gas less than block base fee: address {data(transaction.sender)}, "
                f"{name}: {transaction.max_fee_per_gas}, baseFee: {base_fee}",
            )

    def mine_waiting(self) -> None:
        """Mines blocks until the pool has nothing left that could be mined."""
        while self.executable():
            self.mine_block()

    def mine_block(self) -> BlockRecord:
        """Mines one block with what may be mined; it may be empty."""
        return self._append(self.next_header(), self.executable())

    def set_balance(self, address: bytes, wei: int) -> None:
        """Replaces an account's balance by an empty block, so that reads at any later block agree on it."""
        self._append(self.evm.set_balance(self.next_header(), address, wei), [])

    def nonce_after_pool(self, address: bytes) -> int:
        """The next nonce of an account, its waiting transactions included."""
        return self.pool.next_nonce(address, self.state().get_nonce(address))

    def executable(self) -> list[Any]:
        """The waiting transactions that the next block may take, as far as its gas limit allows."""
        if not len(self.pool):
            return []
        return self.pool.executable(self.state().get_nonce, int(self.next_header().base_fee_per_gas))

    def _append(self, header: Any, transactions: list[Any]) -> BlockRecord:
        built = self.evm.build(header, transactions)
        record = self.ledger.append(built.block, built.receipts)
        if self._timestamp_override is not None:
            self._follow_from(record.timestamp)
        for transaction in built.refused:
            self.pool.remove(transaction)
        if len(self.pool):
            self.pool.drop_below(self.state().get_nonce)
        return record

    # ---- snapshots

    def snapshot(self) -> str:
        """Remembers the chain as it is; returns an id for `revert`."""
        snapshot_id = hex(self._snapshots_taken)
        self._snapshots_taken += 1
        self._snapshots[snapshot_id] = _Snapshot(self.ledger.head.number, self._time_offset, self.pool.copy())
        return snapshot_id

    def revert(self, snapshot_id: str) -> bool:
        """Goes back to a snapshot, which is used up with all that were taken after it; False for an unknown one."""
        snapshot = self._snapshots.get(snapshot_id)
        if snapshot is None:
            return False
        first_lost = int(snapshot_id, 16)
        self._snapshots = {key: kept for key, kept in self._snapshots.items() if int(key, 16) < first_lost}
        self.ledger.truncate(snapshot.number)
        self.pool = snapshot.pool
        self._time_offset = snapshot.time_offset
        self._timestamp_override = None
        return True
