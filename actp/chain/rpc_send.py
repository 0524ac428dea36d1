"""Methods that send, and the development accounts for which this chain signs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from actp.chain.calls import estimate_gas, read_call
from actp.chain.dev import dev_accounts
from actp.chain.fees import SUGGESTED_TIP
from actp.chain.node import SERVER_ERROR, Node
from actp.chain.params import Params, invalid_params, to_address, to_quantity
from actp.errors import RpcError

__all__ = ["METHODS"]


def _accounts(node: Node, params: Params) -> list[str]:
    return [account.address.lower() for account in dev_accounts()]


def _send_raw(node: Node, params: Params) -> str:
    try:
        transaction = node.evm.decode(params.data(0))
    except ValueError as error:
        raise RpcError(SERVER_ERROR, f"failed to decode signed transaction: {error}") from None
    return node.send(transaction)


def _send(node: Node, params: Params) -> str:
    """Signs for a development account, with gas, nonce and fees filled in where they are missing."""
    fields = params.object(0)
    sender = to_address(fields.get("from"), "from")
    key = _keys().get(sender)
    if key is None:
        raise RpcError(SERVER_ERROR, "unknown account")
    if to_quantity(fields.get("chainId", node.evm.chain_id), "chainId") != node.evm.chain_id:
        raise invalid_params(f"chainId: this is chain {node.evm.chain_id}")
    call = read_call(fields)
    next_header = node.next_header()
    if fields.get("gas") is None:
        call = replace(call, gas=estimate_gas(node, next_header, call))
    legacy = fields.get("gasPrice")
    tip = to_quantity(fields.get("maxPriorityFeePerGas", legacy or SUGGESTED_TIP), "maxPriorityFeePerGas")
    # Twice the base fee stays enough for as long as it takes to rise by that much, six full blocks.
    ample = 2 * int(next_header.base_fee_per_gas) + tip
    max_fee = to_quantity(fields.get("maxFeePerGas", legacy or ample), "maxFeePerGas")
    nonce = to_quantity(fields.get("nonce", node.nonce_after_pool(sender)), "nonce")
    return node.send(node.evm.sign(key, nonce=nonce, call=call, max_fee=max_fee, max_priority_fee=min(tip, max_fee)))


def _keys() -> dict[bytes, str]:
    return {bytes.fromhex(account.address[2:]): account.private_key for account in dev_accounts()}


METHODS: dict[str, Callable[[Node, Params], Any]] = {
    "eth_accounts": _accounts,
    "eth_sendRawTransaction": _send_raw,
    "eth_sendTransaction": _send,
}
