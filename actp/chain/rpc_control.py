"""Methods that only a chain for tests has, under the names that anvil gave them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from actp.chain.formats import quantity
from actp.chain.node import Node
from actp.chain.params import Params, invalid_params, to_quantity

__all__ = ["METHODS"]

_MAX_BLOCKS_AT_ONCE = 100_000


def _snapshot(node: Node, params: Params) -> str:
    return node.snapshot()


def _revert(node: Node, params: Params) -> bool:
    return node.revert(quantity(params.quantity(0)))


def _increase_time(node: Node, params: Params) -> int:
    return node.time_travel(params.quantity(0))


def _set_next_timestamp(node: Node, params: Params) -> None:
    node.set_next_timestamp(params.quantity(0))


def _mine(node: Node, params: Params) -> str:
    """Mines one block, or as many as an options object (`blocks`, `timestamp` of the first) asks for."""
    options = params.raw(0, {})
    if not isinstance(options, Mapping):
        options = {"timestamp": options}
    if set(options) - {"blocks", "timestamp"}:
        raise invalid_params("argument 0: expected blocks and timestamp only")
    blocks = to_quantity(options.get("blocks", 1), "blocks")
    if blocks > _MAX_BLOCKS_AT_ONCE:
        raise invalid_params(f"blocks: at most {_MAX_BLOCKS_AT_ONCE} at once")
    timestamp = options.get("timestamp")
    if timestamp is not None:
        node.set_next_timestamp(to_quantity(timestamp, "timestamp"))
    for _ in range(blocks):
        node.mine_block()
    return "0x0"


def _set_automine(node: Node, params: Params) -> None:
    node.automine = params.flag(0, default=True)
    if node.automine:
        node.mine_waiting()


def _set_balance(node: Node, params: Params) -> None:
    node.set_balance(params.address(0), params.quantity(1))


METHODS: dict[str, Callable[[Node, Params], Any]] = {
    "evm_snapshot": _snapshot,
    "evm_revert": _revert,
    "evm_increaseTime": _increase_time,
    "evm_setNextBlockTimestamp": _set_next_timestamp,
    "evm_setAutomine": _set_automine,
    "evm_mine": _mine,
    "anvil_setBalance": _set_balance,
}
