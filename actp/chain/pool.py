"""Transactions that wait for a block: those behind a gap of nonces, and all of them while nothing is mined."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Any

from actp.chain.formats import data

__all__ = ["Pool", "PoolRefusal"]

MAX_WAITING = 4_096
_BUMP_PERCENT = 10


class PoolRefusal(Exception):
    """The pool does not take a transaction; the text is a node's."""


class Pool:
    """Waiting transactions by sender and nonce. A copy is a snapshot. Not thread-safe."""

    def __init__(self) -> None:
        self._by_sender: dict[bytes, dict[int, Any]] = {}
        self._by_hash: dict[str, tuple[int, Any]] = {}
        self._arrivals = 0

    def copy(self) -> Pool:
        other = Pool()
        other._by_sender = {sender: dict(waiting) for sender, waiting in self._by_sender.items()}
        other._by_hash = dict(self._by_hash)
        other._arrivals = self._arrivals
        return other

    def __len__(self) -> int:
        return len(self._by_hash)

    def find(self, tx_hash: str) -> Any | None:
        waiting = self._by_hash.get(tx_hash)
        return None if waiting is None else waiting[1]

    def add(self, transaction: Any) -> None:
        """Takes a transaction; one of the same sender and nonce is replaced if both fees are at least 10 % higher."""
        tx_hash = data(transaction.hash)
        if tx_hash in self._by_hash:
            raise PoolRefusal("already known")
        waiting = self._by_sender.get(transaction.sender, {})
        current = waiting.get(transaction.nonce)
        if current is None:
            if len(self) >= MAX_WAITING:
                raise PoolRefusal("txpool is full")
        elif not _outbids(transaction, current):
            raise PoolRefusal("replacement transaction underpriced")
        else:
            del self._by_hash[data(current.hash)]
        self._by_sender.setdefault(transaction.sender, waiting)[transaction.nonce] = transaction
        self._by_hash[tx_hash] = (self._arrivals, transaction)
        self._arrivals += 1

    def remove(self, transaction: Any) -> None:
        """Forgets a transaction, and does nothing if it is not waiting."""
        if self._by_hash.pop(data(transaction.hash), None) is None:
            return
        waiting = self._by_sender[transaction.sender]
        del waiting[transaction.nonce]
        if not waiting:
            del self._by_sender[transaction.sender]

    def drop_below(self, nonce_of: Callable[[bytes], int]) -> None:
        """Forgets what can never be mined, because the sender's account has passed its nonce."""
        for _, transaction in list(self._by_hash.values()):
            if transaction.nonce < nonce_of(transaction.sender):
                self.remove(transaction)

    def next_nonce(self, sender: bytes, account_nonce: int) -> int:
        """The nonce after the last one that waits without a gap."""
        waiting = self._by_sender.get(sender, {})
        while account_nonce in waiting:
            account_nonce += 1
        return account_nonce

    def executable(self, nonce_of: Callable[[bytes], int], base_fee: int) -> list[Any]:
        """What the next block may take, in order of arrival as far as the order of nonces allows."""
        heads: list[tuple[int, bytes, int]] = []

        def offer(sender: bytes, nonce: int) -> None:
            transaction = self._by_sender[sender].get(nonce)
            if transaction is not None and transaction.max_fee_per_gas >= base_fee:
                arrival, _ = self._by_hash[data(transaction.hash)]
                heapq.heappush(heads, (arrival, sender, nonce))

        for sender in self._by_sender:
            offer(sender, nonce_of(sender))
        result: list[Any] = []
        while heads:
            _, sender, nonce = heapq.heappop(heads)
            result.append(self._by_sender[sender][nonce])
            offer(sender, nonce + 1)
        return result


def _outbids(new: Any, old: Any) -> bool:
    return all(
        getattr(new, fee) * 100 >= getattr(old, fee) * (100 + _BUMP_PERCENT)
        for fee in ("max_fee_per_gas", "max_priority_fee_per_gas")
    )
