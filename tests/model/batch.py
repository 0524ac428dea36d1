"""Many view calls in one `eth_call`.

The batch is a little program that runs as if it deployed a contract: it calls one view after another and returns all
answers at once. That saves most of what a call costs on the embedded chain, and needs no contract of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

WORD = 32

_RETURN, _STATICCALL, _CODECOPY, _MSTORE, _GAS = b"\xf3", b"\xfa", b"\x39", b"\x52", b"\x5a"


class Requests(Protocol):
    def request(self, method: str, params: Sequence[Any]) -> Any: ...


@dataclass(frozen=True)
class View:
    """One call that answers with `words` words of 32 bytes."""

    address: bytes
    call_data: bytes
    words: int


def _push(value: int, size: int = 4) -> bytes:
    return bytes([0x5F + size]) + value.to_bytes(size, "big")


def _program(views: Sequence[View]) -> bytes:
    """Per view: copy its call data to memory, call it, write whether it succeeded in front of its answer."""
    scratch = sum((1 + view.words) * WORD for view in views)
    piece_length = len(_piece(views[0], 0, 0, scratch))
    data_at = piece_length * len(views) + 2 * len(_push(0)) + 1
    code, data, out = b"", b"", 0
    for view in views:
        code += _piece(view, data_at + len(data), out, scratch)
        data += view.call_data
        out += (1 + view.words) * WORD
    return code + _push(scratch) + _push(0) + _RETURN + data


def _piece(view: View, data_at: int, out: int, scratch: int) -> bytes:
    size = len(view.call_data)
    copy = _push(size) + _push(data_at) + _push(scratch) + _CODECOPY
    call = _push(view.words * WORD) + _push(out + WORD) + _push(size) + _push(scratch)
    return copy + call + _push(int.from_bytes(view.address, "big"), 20) + _GAS + _STATICCALL + _push(out) + _MSTORE


def read(chain: Requests, views: Sequence[View]) -> list[tuple[int, ...]]:
    """The words that each view answers; AssertionError if one reverts."""
    answer = bytes.fromhex(chain.request("eth_call", [{"data": "0x" + _program(views).hex()}, "latest"])[2:])
    words = [int.from_bytes(answer[at : at + WORD], "big") for at in range(0, len(answer), WORD)]
    results, at = [], 0
    for view in views:
        assert words[at] == 1, f"a view reverts: 0x{view.call_data.hex()} of 0x{view.address.hex()}"
        results.append(tuple(words[at + 1 : at + 1 + view.words]))
        at += 1 + view.words
    return results
