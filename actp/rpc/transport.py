"""What every way to a node has in common: one small protocol, and what can be asked over it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from actp.errors import RpcError, RpcUnavailable, WrongChain

__all__ = [
    "LIVE_GENESIS",
    "RATE_LIMIT_CODES",
    "TIMEOUT",
    "TOO_LARGE",
    "Transport",
    "chain_id",
    "genesis_hash",
    "is_development_node",
    "is_rate_limit",
    "quantity",
    "require_chain",
    "sends",
    "wants_smaller_range",
]

_QUANTITY = re.compile("0x[0-9a-fA-F]{1,64}")
_INTERNAL_ERROR = -32603
# -32016 is what Base's public endpoint says, -32005 what others do; 429 is HTTP's own number, which some put there.
_LIMIT_EXCEEDED = -32005
RATE_LIMIT_CODES = frozenset({-32016, _LIMIT_EXCEEDED, 429})
_RATE_WORDS = re.compile(r"\brate|too many requests|request count|per (second|minute|day)|throttl|quota", re.IGNORECASE)
TIMEOUT, TOO_LARGE = "timeout", "too_large"
"""Codes of RpcUnavailable that say that the answer took too long, and that the request was too large."""

_DEVELOPMENT_NODES = ("actp-chain/", "anvil/", "ethereumjs testrpc/", "ethereumtester/", "ganache/", "hardhatnetwork/")

LIVE_GENESIS: Mapping[int, str] = {
    8453: "0xf712aa9241cc24369b143cf6dce85f0902a9731e70d66818a3a5845b296c73dd",
    84532: "0x0dcc9e089e30b90ddfc55be9a37dd15bc551aeee999d2e2b51414c54eaf934e4",
}
"""Hash of block 0 of Base and Base Sepolia by chain id, as Base's own node software pins it."""


class Transport(Protocol):
    """A way to a node. Must be safe to use from several threads."""

    @property
    def label(self) -> str:
        """What to call the node in messages: never a secret."""

    def request(self, method: str, params: list[Any]) -> Any:
        """The JSON-RPC result. Raises RpcError when the node answers with an error, RpcUnavailable when it does not."""

    def batch(self, calls: Sequence[tuple[str, list[Any]]]) -> list[Any]:
        """Several calls in one exchange: for each (method, params), in their order, its result, or the RpcError that
        answers it as a value. The calls may be run in any order. Raises RpcUnavailable only if the whole exchange
        failed.
        """


def sends(method: str) -> bool:
    """Whether a call of this method may put an eth transaction on its way, so that no answer leaves that open."""
    return method.startswith("eth_send")


def is_rate_limit(error: RpcError) -> bool:
    """Whether the node only asks to come back later, and has not looked at the request."""
    return error.rpc_code in RATE_LIMIT_CODES


def wants_smaller_range(error: RpcError | RpcUnavailable) -> bool:
    """Whether a node that refused eth_getLogs may answer for fewer blocks."""
    if isinstance(error, RpcUnavailable):
        return error.code in (TIMEOUT, TOO_LARGE)
    # -32005 is "limit exceeded", of requests or of results: only the words tell.
    return not is_rate_limit(error) or (error.rpc_code == _LIMIT_EXCEEDED and not _RATE_WORDS.search(error.message))


def chain_id(transport: Transport) -> int:
    """The chain id that the node reports. Raises RpcError if that is no number."""
    return quantity(transport, "eth_chainId", [])


def quantity(transport: Transport, method: str, params: list[Any]) -> int:
    """The number that a call returns as 0x hex. Raises RpcError if the node answers with anything else."""
    answer = transport.request(method, params)
    if isinstance(answer, str) and _QUANTITY.fullmatch(answer):
        return int(answer, 16)
    raise _nonsense(transport, method, "a number in 0x hex")


def _nonsense(transport: Transport, method: str, wanted: str) -> RpcError:
    # The answer is not shown: a gateway may quote the endpoint's key in it.
    return RpcError(
        _INTERNAL_ERROR,
        f"The node {transport.label} answered {method} with something that is not {wanted}.",
        hint="Check that the RPC URL is that of an Ethereum JSON-RPC endpoint.",
    )


def require_chain(transport: Transport, expected: int) -> None:
    """Raises WrongChain unless the node serves chain `expected`."""
    actual = chain_id(transport)
    if actual != expected:
        raise WrongChain(expected, actual, endpoint=transport.label)


def is_development_node(transport: Transport) -> bool:
    """Whether the node calls itself a tool that makes chains to try things out on, whatever their chain id."""
    try:
        name = transport.request("web3_clientVersion", [])
    except RpcError:
        return False
    return isinstance(name, str) and name.lower().startswith(_DEVELOPMENT_NODES)


def genesis_hash(transport: Transport, chain: int) -> str:
    """Hash of block 0 of chain `chain`: tells apart chains that share an id, as two runs of anvil do."""
    try:
        block = transport.request("eth_getBlockByNumber", ["0x0", False])
    except RpcError:
        if chain not in LIVE_GENESIS:
            raise
        block = None
    if isinstance(block, dict):
        if not isinstance(block.get("hash"), str):
            raise _nonsense(transport, "eth_getBlockByNumber", "a block with a hash")
        return str(block["hash"])
    if chain not in LIVE_GENESIS:
        raise RpcUnavailable(f"The node {transport.label} does not serve block 0.", retryable=False)
    # Public endpoints of live chains drop their oldest blocks; a development chain always has its first one.
    return LIVE_GENESIS[chain]
