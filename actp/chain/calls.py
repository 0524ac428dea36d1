"""Simulating a message: `eth_call`, and the gas that `eth_estimateGas` finds for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from eth_utils.exceptions import ValidationError

from actp.chain.evm import BLOCK_GAS_LIMIT, Call, CallResult, gas_floor
from actp.chain.formats import data
from actp.chain.node import SERVER_ERROR, Node
from actp.chain.params import invalid_params, to_address, to_bytes, to_hash, to_list, to_quantity
from actp.errors import RpcError

__all__ = ["estimate_gas", "execute", "read_call"]

REVERTED = 3
"""The code with which nodes answer a revert; the error's data is what the contract returned."""

_ERROR_STRING_SELECTOR = bytes.fromhex("08c379a0")
_CALL_STIPEND = 2_300
_ESTIMATE_TOLERANCE = 0.015

_FIELDS = frozenset(
    {
        "from", "to", "gas", "value", "data", "input", "nonce", "gasPrice", "maxFeePerGas", "maxPriorityFeePerGas",
        "chainId", "type", "accessList",
    }
)  # fmt: skip


def read_call(fields: Mapping[str, Any]) -> Call:
    """A call from JSON; raises RpcError for unknown fields and for values that make no sense."""
    unknown = sorted(set(fields) - _FIELDS)
    if unknown:
        raise invalid_params(f"unknown field in call: {', '.join(unknown)}")
    sent = {name: value for name, value in fields.items() if value is not None}
    payloads = {to_bytes(sent[name], name) for name in ("data", "input") if name in sent}
    if len(payloads) > 1:
        raise invalid_params('both "data" and "input" are set and not equal')
    return Call(
        sender=to_address(sent["from"], "from") if "from" in sent else bytes(20),
        to=to_address(sent["to"], "to") if "to" in sent else b"",
        data=payloads.pop() if payloads else b"",
        value=to_quantity(sent.get("value", 0), "value"),
        gas=min(to_quantity(sent.get("gas", BLOCK_GAS_LIMIT), "gas"), BLOCK_GAS_LIMIT),
        access_list=tuple(_access(entry) for entry in to_list(sent.get("accessList", []), "accessList")),
    )


def _access(entry: Any) -> tuple[bytes, tuple[int, ...]]:
    if not isinstance(entry, Mapping) or set(entry) != {"address", "storageKeys"}:
        raise invalid_params("accessList: expected objects of address and storageKeys")
    keys = tuple(int(to_hash(key, "storageKeys"), 16) for key in to_list(entry["storageKeys"], "storageKeys"))
    return to_address(entry["address"], "accessList.address"), keys


def execute(node: Node, header: Any, call: Call) -> bytes:
    """What the call returns on the state under `header`; raises RpcError if it reverts or fails."""
    result = _simulate(node, header, call)
    if result.error is not None:
        raise _failure(result)
    return result.output


def estimate_gas(node: Node, header: Any, call: Call, *, max_fee: int = 0) -> int:
    """A gas limit with which the call succeeds, at most 1.5 % above the least one.

    `max_fee` (wei per gas) bounds the limit by what the sender can pay; 0 does not. Raises RpcError if the call fails
    even with the most gas that it may have.
    """
    high = call.gas
    if max_fee:
        affordable = max(node.evm.state_at(header).get_balance(call.sender) - call.value, 0) // max_fee
        if affordable < high:
            high = affordable
            if high < gas_floor(call.to, call.data, call.access_list):
                raise RpcError(SERVER_ERROR, f"gas required exceeds allowance ({high})")
    result = _simulate(node, header, replace(call, gas=high))
    if result.error is not None:
        raise _failure(result)
    least = max(result.gas_spent, gas_floor(call.to, call.data, call.access_list))
    if _succeeds(node, header, call, least):
        return least
    # Each nested call holds 1/64 back, so one attempt with that on top nearly always is enough.
    low, guess = least, (least + _CALL_STIPEND) * 64 // 63
    while high - low > high * _ESTIMATE_TOLERANCE:
        guess = guess if low < guess < high else (low + high) // 2
        if _succeeds(node, header, call, guess):
            high = guess
        else:
            low = guess
    return high


def _succeeds(node: Node, header: Any, call: Call, gas: int) -> bool:
    return _simulate(node, header, replace(call, gas=gas)).error is None


def _simulate(node: Node, header: Any, call: Call) -> CallResult:
    floor = gas_floor(call.to, call.data, call.access_list)
    if call.gas < floor:
        raise RpcError(SERVER_ERROR, f"intrinsic gas too low: gas {call.gas}, minimum needed {floor}")
    try:
        return node.evm.simulate(header, call)
    except ValidationError:
        balance = node.evm.state_at(header).get_balance(call.sender)
        if balance >= call.value:
            raise
        raise RpcError(
            SERVER_ERROR,
            f"insufficient funds for gas * price + value: address {data(call.sender)} have {balance} want {call.value}",
        ) from None


def _failure(result: CallResult) -> RpcError:
    if not result.reverted:
        return RpcError(SERVER_ERROR, str(result.error))
    reason = _error_string(result.output)
    message = f"execution reverted: {reason}" if reason else "execution reverted"
    return RpcError(REVERTED, message, data(result.output))


def _error_string(output: bytes) -> str:
    """The text of Solidity's `Error(string)`, empty for any other revert data."""
    if not output.startswith(_ERROR_STRING_SELECTOR) or len(output) < 68:
        return ""
    length = int.from_bytes(output[36:68], "big")
    return output[68 : 68 + length].decode("utf-8", errors="replace")
