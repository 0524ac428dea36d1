"""One node for two readers that need the same blocks: the engine, which settles what is mined, and the delta guard."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from typing import Any

from actp.engine.exchange import ask_all
from actp.rpc import Transport

__all__ = ["SharedBlocks"]

_METHOD = "eth_getBlockReceipts"
_MOST = 8


class SharedBlocks:
    """One of two ends of a transport. All receipts of a block that the one end has read, the other one gets without
    asking the node: once, so that who reads again to be sure is told by the node.

    A reader that names a block by its number must know its hash: another block may have taken its place since.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._lock = threading.Lock()
        self._found: deque[list[dict[str, Any]]] = deque(maxlen=_MOST)
        """What the other end has read."""
        self._other = self

    @classmethod
    def pair(cls, transport: Transport) -> tuple[SharedBlocks, SharedBlocks]:
        """Both ends."""
        one, other = cls(transport), cls(transport)
        one._other, other._other = other, one
        return one, other

    @property
    def label(self) -> str:
        """See Transport."""
        return self._transport.label

    def request(self, method: str, params: list[Any]) -> Any:
        """See Transport."""
        found = self._take(method, params)
        if found is not None:
            return found
        answer = self._transport.request(method, params)
        self._leave(method, answer)
        return answer

    def batch(self, calls: Sequence[tuple[str, list[Any]]]) -> list[Any]:
        """See Transport."""
        answers: list[Any] = [self._take(method, params) for method, params in calls]
        missing = [index for index, answer in enumerate(answers) if answer is None]
        asked = ask_all(self._transport, [calls[index] for index in missing]) if missing else []
        for index, answer in zip(missing, asked, strict=True):
            self._leave(calls[index][0], answer)
            answers[index] = answer
        return answers

    def _leave(self, method: str, answer: Any) -> None:
        if method != _METHOD or not isinstance(answer, list) or not answer or not isinstance(answer[0], dict):
            return
        with self._other._lock:
            self._other._found.append(answer)

    def _take(self, method: str, params: list[Any]) -> list[dict[str, Any]] | None:
        if method != _METHOD:
            return None
        with self._lock:
            for found in self._found:
                if params[0] in (found[0].get("blockHash"), found[0].get("blockNumber")):
                    self._found.remove(found)
                    return found
        return None
