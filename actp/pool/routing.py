"""What a JSON-RPC call needs of the endpoint that it is asked of. Pure: nothing here talks to a node."""

from __future__ import annotations

import re
from enum import Enum
from typing import Any

from actp.errors import RpcError
from actp.pool.capabilities import Capability
from actp.rpc import is_rate_limit, sends, wants_smaller_range

__all__ = [
    "Call",
    "Kind",
    "capability",
    "head_in",
    "is_limit",
    "is_lookup",
    "kind",
    "lacks_data",
    "needed_block",
]

Call = tuple[str, list[Any]]
"""Method and parameters."""

_NUMBER = re.compile("0x[0-9a-fA-F]{1,16}")
_READ_PREFIXES = ("eth_", "net_", "web3_", "debug_", "trace_", "txpool_")
_NO_BLOCK = frozenset({"eth_chainId", "net_version", "web3_clientVersion", "web3_sha3", "eth_syncing"})
_BLOCK_AT = {
    "eth_getBlockByNumber": 0,
    "eth_getBlockReceipts": 0,
    "eth_getBlockTransactionCountByNumber": 0,
    "eth_getTransactionByBlockNumberAndIndex": 0,
    "eth_call": 1,
    "eth_createAccessList": 1,
    "eth_estimateGas": 1,
    "eth_feeHistory": 1,
    "eth_getBalance": 1,
    "eth_getCode": 1,
    "eth_getTransactionCount": 1,
    "eth_simulateV1": 1,
    "eth_getProof": 2,
    "eth_getStorageAt": 2,
}
# Their null says only that this endpoint does not have it. A receipt is not among them: it is asked for again and
# again until it is there, and an endpoint that is not behind has it.
_LOOKUPS = frozenset({"eth_getBlockByHash", "eth_getBlockByNumber", "eth_getBlockReceipts", "eth_getTransactionByHash"})
_LACKS_CODES = frozenset({-32601, -32001, -32004, 4444})
_LACKS_WORDS = re.compile(
    r"header (for hash )?not found|unknown block|block not found|could not find block|missing trie node"
    r"|state .{0,40}(not available|unavailable|pruned)|pruned history|block ?out ?of ?range",
    re.IGNORECASE,
)
_REVERTED = 3


class Kind(Enum):
    """How many endpoints may get a call."""

    RAW = "raw"
    """A signed eth transaction: all healthy endpoints, because the chain takes it once."""
    ONCE = "once"
    """Something that changes what the node does, as its own accounts' sends: one endpoint, and no second one."""
    READ = "read"
    """One endpoint, and if it has no answer another one."""


def kind(method: str) -> Kind:
    """How many endpoints may get a call of this method."""
    if method == "eth_sendRawTransaction":
        return Kind.RAW
    return Kind.READ if method.startswith(_READ_PREFIXES) and not sends(method) else Kind.ONCE


def is_lookup(method: str) -> bool:
    """Whether null means "not here", so that another endpoint may have it."""
    return method in _LOOKUPS


def needed_block(method: str, params: list[Any]) -> int | None:
    """The block that an endpoint must have to answer; None for the newest one that was seen, whatever its number."""
    if method in _NO_BLOCK:
        return 0
    found = _block_parameter(method, params)
    if found == "earliest":
        return 0
    if isinstance(found, str) and _NUMBER.fullmatch(found):
        return int(found, 16)
    return None


def capability(method: str, params: list[Any]) -> Capability | None:
    """What the call needs that not every endpoint can do."""
    if method == "eth_simulateV1":
        return Capability.SIMULATE
    if method == "eth_getBlockReceipts":
        return Capability.BLOCK_RECEIPTS
    if method == "eth_feeHistory" and len(params) > 2 and params[2]:
        return Capability.FEE_REWARDS
    if method in _BLOCK_AT:
        block = params[_BLOCK_AT[method]] if len(params) > _BLOCK_AT[method] else None
        if isinstance(block, dict) and "blockHash" in block:
            return Capability.READS_BY_HASH
        if block in ("finalized", "safe"):
            return Capability.FINALIZED
    return None


def lacks_data(error: RpcError) -> bool:
    """Whether the error says that this endpoint cannot answer, and not that the call is wrong."""
    if error.rpc_code == _REVERTED:
        return False
    return error.rpc_code in _LACKS_CODES or _LACKS_WORDS.search(error.message) is not None


def is_limit(answer: Any, method: str) -> bool:
    """Whether an endpoint only asks for patience, and has not looked at the call."""
    if not isinstance(answer, RpcError) or not is_rate_limit(answer):
        return False
    # One code is used for too many requests and for too many logs, and the latter is the call's fault.
    return method != "eth_getLogs" or not wants_smaller_range(answer)


def head_in(method: str, params: list[Any], answer: Any) -> int | None:
    """The number of the newest block, if the answer to this call tells it."""
    if method == "eth_blockNumber":
        return _number(answer)
    if method == "eth_getBlockByNumber" and params[:1] == ["latest"] and isinstance(answer, dict):
        return _number(answer.get("number"))
    return None


def _block_parameter(method: str, params: list[Any]) -> Any:
    if method == "eth_getLogs":
        wanted = params[0] if params and isinstance(params[0], dict) else {}
        return None if "blockHash" in wanted else wanted.get("toBlock")
    if method not in _BLOCK_AT or len(params) <= _BLOCK_AT[method]:
        return None
    block = params[_BLOCK_AT[method]]
    return block.get("blockNumber") if isinstance(block, dict) else block


def _number(value: Any) -> int | None:
    return int(value, 16) if isinstance(value, str) and _NUMBER.fullmatch(value) else None
