"""The JSON-RPC methods of the embedded chain, by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from actp.chain import rpc_control, rpc_read, rpc_send
from actp.chain.node import Node
from actp.chain.params import Params, invalid_params
from actp.errors import RpcError

__all__ = ["METHOD_NOT_FOUND", "dispatch", "method_names"]

METHOD_NOT_FOUND = -32601

_METHODS: dict[str, Callable[[Node, Params], Any]] = {
    **rpc_read.METHODS,
    **rpc_send.METHODS,
    **rpc_control.METHODS,
}


def method_names() -> tuple[str, ...]:
    """Every method that `dispatch` knows."""
    return tuple(_METHODS)


def dispatch(node: Node, method: str, params: Sequence[Any]) -> Any:
    """The result of one call in a node's format; raises RpcError with a node's code and words."""
    handler = _METHODS.get(method)
    if handler is None:
        raise RpcError(METHOD_NOT_FOUND, f"the method {method} does not exist/is not available")
    if not isinstance(params, list | tuple):
        raise invalid_params("params: expected a list")
    return handler(node, Params(params))
