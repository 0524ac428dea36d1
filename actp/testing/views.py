"""What a node seems to be: behind, one flashblock ahead of its blocks, an OP-stack chain, another chain.

A view stands between client and node for every request, where a fault strikes single ones. Views can be put one in
front of another.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from typing import Any, Protocol

from actp.engine.opstack import ORACLE
from actp.errors import RpcError
from actp.units import keccak

__all__ = ["Forward", "OpStackFees", "OtherChain", "Preconfirmed", "StaleHead", "View"]

Forward = Callable[[str, list[Any]], Any]
"""Asks what is behind the view: method and parameters."""


class View(Protocol):
    """Answers requests with the help of the node behind it."""

    def request(self, forward: Forward, method: str, params: list[Any]) -> Any:
        """The result of one call. Raises what `forward` raises, and RpcError of its own."""


# Which parameter names the block; without it nodes take the latest one.
_BLOCK_PARAMETER = {
    "eth_call": 1,
    "eth_estimateGas": 1,
    "eth_feeHistory": 1,
    "eth_getBalance": 1,
    "eth_getBlockByNumber": 0,
    "eth_getBlockReceipts": 0,
    "eth_getBlockTransactionCountByNumber": 0,
    "eth_getCode": 1,
    "eth_getStorageAt": 2,
    "eth_getTransactionCount": 1,
}
_NULL_IF_UNKNOWN = frozenset({"eth_getBlockByNumber", "eth_getBlockReceipts", "eth_getBlockTransactionCountByNumber"})
_WITH_BLOCK_NUMBER = {"eth_getTransactionReceipt": "blockNumber", "eth_getBlockByHash": "number"}


class StaleHead:
    """The node is `blocks` behind, or stays at block `at`: newer blocks, their receipts and their state are unknown to
    it. Raw transactions still get to the network, as they do through a node that lags.
    """

    def __init__(self, blocks: int = 1, *, at: int | None = None) -> None:
        self._blocks = blocks
        self._at = at

    def request(self, forward: Forward, method: str, params: list[Any]) -> Any:
        """See View."""
        head = self.head(forward)
        if method == "eth_blockNumber":
            return hex(head)
        if method == "eth_getLogs":
            return self._logs(forward, head, params)
        if method in _BLOCK_PARAMETER:
            return self._at_block(forward, head, method, params)
        result = forward(method, params)
        if isinstance(result, dict):
            if method in _WITH_BLOCK_NUMBER and _number(result[_WITH_BLOCK_NUMBER[method]]) > head:
                return self.hidden(method, result)
            if method == "eth_getTransactionByHash" and _number(result.get("blockNumber")) > head:
                return {**result, "blockNumber": None, "blockHash": None, "transactionIndex": None}
        return result

    def head(self, forward: Forward) -> int:
        """The newest block that the client gets to see."""
        real = int(forward("eth_blockNumber", []), 16)
        return max(real - self._blocks, 0) if self._at is None else min(real, self._at)

    def hidden(self, method: str, result: dict[str, Any]) -> dict[str, Any] | None:
        """What the node says of a receipt or a block above its head."""
        return None

    def pending(self, head: int) -> str:
        """The block that stands for "pending"."""
        return hex(head)

    def _at_block(self, forward: Forward, head: int, method: str, params: list[Any]) -> Any:
        index = _BLOCK_PARAMETER[method]
        values = [*params, *["latest"] * (index + 1 - len(params))]
        block = values[index]
        if block == "latest":
            values[index] = hex(head)
        elif block == "pending":
            values[index] = self.pending(head)
        elif block in ("safe", "finalized"):
            found = forward("eth_getBlockByNumber", [block, False])
            values[index] = hex(min(head, _number(found["number"]))) if found is not None else block
        elif isinstance(block, str) and len(block) < 66 and block != "earliest" and int(block, 16) > head:
            if method in _NULL_IF_UNKNOWN:
                return None
            raise RpcError(-32000, "header not found")
        return forward(method, values)

    def _logs(self, forward: Forward, head: int, params: list[Any]) -> Any:
        query = dict(params[0])
        if "blockHash" not in query:
            for name in ("fromBlock", "toBlock"):
                if query.get(name, "latest") in ("latest", "pending"):
                    query[name] = hex(head)
            if _number(query["fromBlock"]) > head:
                return []
            query["toBlock"] = hex(min(_number(query["toBlock"]), head))
        return forward("eth_getLogs", [query])


class Preconfirmed(StaleHead):
    """The newest block is a flashblock in progress: its receipts can be had, but under a block hash that no sealed
    block will have, and the block itself cannot.

    It is sealed by the next block, by `seal()`, or when its receipts were asked for more than `asks` times. To have one
    never seal, take the block back on the node (`evm_revert`, `anvil_reorg`). What the node has when the view is first
    used counts as sealed.
    """

    def __init__(self, *, asks: int | None = None) -> None:
        super().__init__()
        self._asks = asks
        self._lock = threading.Lock()
        self._asked: Counter[int] = Counter()
        self._sealed: int | None = None
        self._seal_next = False

    def seal(self) -> None:
        """Seals what is in progress."""
        with self._lock:
            self._seal_next = True

    def head(self, forward: Forward) -> int:
        """The newest sealed block."""
        real = int(forward("eth_blockNumber", []), 16)
        with self._lock:
            if self._sealed is None or self._seal_next:
                self._sealed, self._seal_next = real, False
            # A chain that was taken back makes its blocks anew, and they are not sealed yet.
            self._sealed = min(max(self._sealed, real - 1), real)
            return self._sealed

    def hidden(self, method: str, result: dict[str, Any]) -> dict[str, Any] | None:
        """See StaleHead."""
        if method != "eth_getTransactionReceipt":
            return None
        if self._asks is not None:
            with self._lock:
                block = _number(result["blockNumber"])
                self._asked[block] += 1
                if self._asked[block] > self._asks:
                    self._sealed = max(self._sealed or 0, block)
                    return result
        other = "0x" + keccak(b"flashblock" + bytes.fromhex(result["blockHash"][2:])).hex()
        logs = [{**log, "blockHash": other} for log in result["logs"]]
        return {**result, "blockHash": other, "logs": logs}

    def pending(self, head: int) -> str:
        """See StaleHead: here it is the flashblock."""
        return "pending"


class OpStackFees:
    """The chain has the fee predeploy of the OP stack, and its receipts tell the fees. It does not take them.

    `l1_fee` is the L1 data fee of every eth transaction in wei; the operator's is `operator_scalar` times 100 per gas
    and `operator_constant`. With `reported=False` receipts leave the fees out, as some endpoints do; with
    `as_numbers=True` they are JSON numbers instead of 0x hex.
    """

    def __init__(
        self,
        l1_fee: int,
        *,
        operator_scalar: int = 0,
        operator_constant: int = 0,
        reported: bool = True,
        as_numbers: bool = False,
    ) -> None:
        self._l1_fee = l1_fee
        self._scalar = operator_scalar
        self._constant = operator_constant
        self._reported = reported
        self._as_numbers = as_numbers

    def request(self, forward: Forward, method: str, params: list[Any]) -> Any:
        """See View."""
        if method == "eth_getCode" and params[0].lower() == ORACLE.lower():
            return "0x00"
        if method == "eth_call" and str(params[0].get("to", "")).lower() == ORACLE.lower():
            return "0x" + self._oracle(params[0]).to_bytes(32, "big").hex()
        result = forward(method, params)
        if method == "eth_getTransactionReceipt" and result is not None:
            return {**result, **self._fields()}
        if method == "eth_getBlockReceipts" and result is not None:
            return [{**receipt, **self._fields()} for receipt in result]
        return result

    def _oracle(self, call: dict[str, Any]) -> int:
        data = bytes.fromhex(str(call.get("data") or call.get("input") or "0x")[2:])
        for signature in ("getL1Fee(bytes)", "getL1FeeUpperBound(uint256)"):
            if data[:4] == keccak(signature.encode())[:4]:
                return self._l1_fee
        if data[:4] == keccak(b"getOperatorFee(uint256)")[:4]:
            return int.from_bytes(data[4:36], "big") * self._scalar * 100 + self._constant
        raise RpcError(3, "execution reverted", "0x")

    def _fields(self) -> dict[str, Any]:
        if not self._reported:
            return {}
        fields = {"l1Fee": self._l1_fee, "daFootprintGasScalar": 400}
        if self._scalar or self._constant:
            fields |= {"operatorFeeScalar": self._scalar, "operatorFeeConstant": self._constant}
        return {name: value if self._as_numbers else hex(value) for name, value in fields.items()}


class OtherChain:
    """The node says that it serves another chain: another id, other first block, or both."""

    def __init__(self, chain_id: int | None = None, *, genesis: str | None = None) -> None:
        self._chain_id = chain_id
        self._genesis = genesis

    def request(self, forward: Forward, method: str, params: list[Any]) -> Any:
        """See View."""
        if self._chain_id is not None and method == "eth_chainId":
            return hex(self._chain_id)
        if self._chain_id is not None and method == "net_version":
            return str(self._chain_id)
        result = forward(method, params)
        if self._genesis is not None and method.startswith("eth_getBlockBy") and result is not None:
            first = _number(result["number"]) == 0
            return {**result, "hash": self._genesis} if first else result
        return result


def _number(value: Any) -> int:
    """A number in 0x hex; -1 for none, as pending things have no block; 0 for "earliest"."""
    if value is None:
        return -1
    return 0 if value == "earliest" else int(value, 16)
