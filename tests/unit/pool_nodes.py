"""Small HTTP nodes for tests of the pool: each has a chain of its own length, and misbehaves as told."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from actp.rpc import HttpTransport
from tests.unit.test_rpc import ScriptedNode

__all__ = ["CHAIN", "Clock", "Node", "nodes", "tx_hash_of"]

CHAIN = 84_533
LIMIT = {"code": -32016, "message": "over rate limit"}


def block_hash(genesis: str, number: int) -> str:
    return genesis if number == 0 else f"0x{int(genesis, 16) * 1_000_000 + number:064x}"


def tx_hash_of(raw: str) -> str:
    return f"0x{int(raw, 16):064x}"


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


class Node:
    """An endpoint over HTTP. `answers` replaces methods by a function of (params) or by a JSON-RPC error object."""

    def __init__(self, head: int = 100, *, chain: int = CHAIN, genesis: str = "0x0a") -> None:
        self.head = head
        self.chain = chain
        self.genesis = genesis
        self.answers: dict[str, Callable[[list[Any]], Any] | dict[str, Any]] = {}
        self.status = 200
        """With any other HTTP status there is no JSON at all."""
        self.batches = True
        self.hold: threading.Event | None = None
        """If set, sends wait for it."""
        self.calls: list[str] = []
        self.exchanges = 0
        self.taken: list[str] = []
        self.server = ScriptedNode(self._exchange)
        self.transport = HttpTransport(self.server.url, timeout=5)

    @property
    def label(self) -> str:
        return self.transport.label

    def count(self, method: str) -> int:
        return self.calls.count(method)

    def forget_calls(self) -> None:
        self.calls.clear()
        self.exchanges = 0

    def _exchange(self, body: Any) -> tuple[int, str] | None:
        self.exchanges += 1
        calls = body if isinstance(body, list) else [body]
        self.calls += [call["method"] for call in calls]
        if self.status != 200:
            return self.status, "<html>"
        if isinstance(body, list) and not self.batches:
            return 400, "no batches"
        parts = [{"jsonrpc": "2.0", "id": call["id"], **self._answer(call["method"], call["params"])} for call in calls]
        return 200, json.dumps(parts if isinstance(body, list) else parts[0])

    def _answer(self, method: str, params: list[Any]) -> dict[str, Any]:
        if method == "eth_sendRawTransaction" and self.hold is not None:
            self.hold.wait(5)
        replaced = self.answers.get(method)
        if isinstance(replaced, dict):
            return {"error": replaced}
        if replaced is not None:
            return {"result": replaced(params)}
        if method == "eth_getBlockByNumber":
            return {"result": self._block(params[0])}
        simple: dict[str, Callable[[], Any]] = {
            "eth_chainId": lambda: hex(self.chain),
            "eth_blockNumber": lambda: hex(self.head),
            "eth_getBalance": lambda: hex(self.head),
            "eth_call": lambda: hex(self.head),
            "eth_getTransactionByHash": lambda: None,
            "eth_getLogs": lambda: [],
        }
        if method == "eth_sendRawTransaction":
            self.taken.append(params[0])
            return {"result": tx_hash_of(params[0])}
        if method in simple:
            return {"result": simple[method]()}
        return {"error": {"code": -32601, "message": f"the method {method} does not exist/is not available"}}

    def _block(self, tag: str) -> dict[str, str] | None:
        number = self.head if tag == "latest" else int(tag, 16)
        if number > self.head:
            return None
        block = {"number": hex(number), "hash": block_hash(self.genesis, number)}
        return block if number == 0 else {**block, "parentHash": block_hash(self.genesis, number - 1)}


@contextmanager
def nodes(*wanted: Node) -> Iterator[tuple[Node, ...]]:
    with ExitStack() as stack:
        for node in wanted:
            stack.enter_context(node.server)
        yield wanted
