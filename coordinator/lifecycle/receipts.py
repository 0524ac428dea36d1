"""A transport that keeps the receipts that pass through it, so that whoever needs one again need not ask the node."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from actp.engine import receipts
from actp.engine.exchange import ask_all
from actp.errors import RpcError, RpcUnavailable
from actp.rpc import Transport
from actp.types import Receipt

__all__ = ["ReceiptKeeper"]

_BATCH = 100
_METHODS = ("eth_getBlockReceipts", "eth_getTransactionReceipt")


class ReceiptKeeper:
    """The transport that is given, with a memory. Everything asked of it is asked of that one."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._kept: dict[str, dict[str, Any]] = {}

    @property
    def label(self) -> str:
        """See Transport."""
        return self._transport.label

    def request(self, method: str, params: list[Any]) -> Any:
        """See Transport."""
        answer = self._transport.request(method, params)
        self._keep(method, answer)
        return answer

    def batch(self, calls: Sequence[tuple[str, list[Any]]]) -> list[Any]:
        """See Transport."""
        answers = list(ask_all(self._transport, calls))
        for (method, _), answer in zip(calls, answers, strict=True):
            self._keep(method, answer)
        return answers

    def forget(self) -> None:
        """What was kept is of no use any more."""
        self._kept.clear()

    def receipts_of(self, wanted: Sequence[tuple[str, str]]) -> dict[str, Receipt]:
        """Receipts by hash of the eth transaction, each mined in the block whose hash is given with it.

        Raises RpcUnavailable if the node does not have one of them (any more).
        """
        missing = [tx_hash for tx_hash, block in wanted if self._block_of(tx_hash) != block]
        for start in range(0, len(missing), _BATCH):
            part = missing[start : start + _BATCH]
            self.batch([("eth_getTransactionReceipt", [tx_hash]) for tx_hash in part])
        for tx_hash, block in wanted:
            if self._block_of(tx_hash) != block:
                raise RpcUnavailable(
                    f"{self.label} no longer shows the receipt of {tx_hash} in the block {block}.", hint="Try again."
                )
        return {tx_hash: receipts.parse(self._kept[tx_hash]) for tx_hash, _ in wanted}

    def _block_of(self, tx_hash: str) -> str | None:
        kept = self._kept.get(tx_hash)
        return None if kept is None else str(kept["blockHash"]).lower()

    def _keep(self, method: str, answer: Any) -> None:
        if method not in _METHODS or answer is None or isinstance(answer, RpcError):
            return
        for one in answer if isinstance(answer, list) else [answer]:
            if isinstance(one, dict) and one.get("blockHash") is not None:
                self._kept[str(one["transactionHash"]).lower()] = one
