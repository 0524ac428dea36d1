"""Methods that read: blocks, accounts, transactions, logs, fees, simulations."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version
from typing import Any

from actp.chain.calls import estimate_gas, execute, read_call
from actp.chain.fees import SUGGESTED_TIP, fee_history, gas_price, read_percentiles
from actp.chain.formats import Json, block_json, data, quantity, transaction_json, word
from actp.chain.ledger import BlockRecord
from actp.chain.logs import find_logs
from actp.chain.node import Node
from actp.chain.params import BlockRef, Params, invalid_params, to_quantity

__all__ = ["METHODS"]


def _client_version(node: Node, params: Params) -> str:
    return f"actp-chain/py-evm-{version('py-evm')}"


def _chain_id(node: Node, params: Params) -> str:
    return quantity(node.evm.chain_id)


def _net_version(node: Node, params: Params) -> str:
    return str(node.evm.chain_id)


def _block_number(node: Node, params: Params) -> str:
    return quantity(node.ledger.head.number)


def _block_by_number(node: Node, params: Params) -> Json | None:
    ref = params.block(0)
    full = params.flag(1, default=False)
    if ref.tag == "pending":
        return _pending_block(node, full)
    return _block(node.record(ref), full)


def _block_by_hash(node: Node, params: Params) -> Json | None:
    return _block(node.record(BlockRef(hash=params.hash(0))), params.flag(1, default=False))


def _block(record: BlockRecord | None, full: bool) -> Json | None:
    if record is None:
        return None
    transactions = [dict(part) for part in record.transactions] if full else list(record.json["transactions"])
    return {**record.json, "transactions": transactions}


def _pending_block(node: Node, full: bool) -> Json:
    """What would be mined now; fields that only mining fixes are null."""
    header = node.next_header()
    waiting = node.executable()
    block = {**block_json(header, size=0), "hash": None, "nonce": None, "logsBloom": None, "miner": None}
    block["transactions"] = (
        [transaction_json(item, block=None, index=None, base_fee=0) for item in waiting]
        if full
        else [data(item.hash) for item in waiting]
    )
    return block


def _state(node: Node, params: Params, index: int) -> Any:
    return node.evm.state_at(node.header(params.block(index)))


def _balance(node: Node, params: Params) -> str:
    address = params.address(0)
    return quantity(_state(node, params, 1).get_balance(address))


def _code(node: Node, params: Params) -> str:
    address = params.address(0)
    return data(_state(node, params, 1).get_code(address))


def _storage_at(node: Node, params: Params) -> str:
    address, slot = params.address(0), params.quantity(1)
    return word(_state(node, params, 2).get_storage(address, slot))


def _transaction_count(node: Node, params: Params) -> str:
    address = params.address(0)
    if params.block(1).tag == "pending":
        return quantity(node.nonce_after_pool(address))
    return quantity(_state(node, params, 1).get_nonce(address))


def _gas_price(node: Node, params: Params) -> str:
    return quantity(gas_price(node))


def _max_priority_fee(node: Node, params: Params) -> str:
    return quantity(SUGGESTED_TIP)


def _fee_history(node: Node, params: Params) -> Json:
    percentiles = params.raw(2, None)
    return fee_history(
        node, params.quantity(0), params.block(1), None if percentiles is None else read_percentiles(percentiles)
    )


def _call(node: Node, params: Params) -> str:
    _refuse_overrides(params, 2)
    return data(execute(node, node.header(params.block(1)), read_call(params.object(0))))


def _estimate_gas(node: Node, params: Params) -> str:
    _refuse_overrides(params, 2)
    fields = params.object(0)
    offered = fields.get("maxFeePerGas") or fields.get("gasPrice") or 0
    max_fee = to_quantity(offered, "maxFeePerGas")
    return quantity(estimate_gas(node, node.header(params.block(1)), read_call(fields), max_fee=max_fee))


def _refuse_overrides(params: Params, first: int) -> None:
    # Ignoring an override would answer another question than the one that was asked.
    if any(params.raw(index, None) for index in range(first, len(params))):
        raise invalid_params("state and block overrides are not supported by this chain")


def _transaction_by_hash(node: Node, params: Params) -> Json | None:
    tx_hash = params.hash(0)
    mined = node.ledger.find(tx_hash)
    if mined is not None:
        return dict(mined.record.transactions[mined.index])
    waiting = node.pool.find(tx_hash)
    return None if waiting is None else transaction_json(waiting, block=None, index=None, base_fee=0)


def _receipt(node: Node, params: Params) -> Json | None:
    mined = node.ledger.find(params.hash(0))
    return None if mined is None else _copy(mined.record.receipts[mined.index])


def _block_receipts(node: Node, params: Params) -> list[Json] | None:
    value = params.raw(0, "latest")
    is_hash = isinstance(value, str) and len(value) == 66
    record = node.record(BlockRef(hash=params.hash(0)) if is_hash else params.block(0))
    return None if record is None else [_copy(receipt) for receipt in record.receipts]


def _copy(receipt: Json) -> Json:
    """A caller in this process may change what it was given, but not what the next one gets."""
    return {**receipt, "logs": [{**log, "topics": list(log["topics"])} for log in receipt["logs"]]}


def _logs(node: Node, params: Params) -> list[Json]:
    return find_logs(node, params.object(0))


METHODS: dict[str, Callable[[Node, Params], Any]] = {
    "web3_clientVersion": _client_version,
    "net_version": _net_version,
    "eth_chainId": _chain_id,
    "eth_blockNumber": _block_number,
    "eth_getBlockByNumber": _block_by_number,
    "eth_getBlockByHash": _block_by_hash,
    "eth_getBlockReceipts": _block_receipts,
    "eth_getBalance": _balance,
    "eth_getCode": _code,
    "eth_getStorageAt": _storage_at,
    "eth_getTransactionCount": _transaction_count,
    "eth_gasPrice": _gas_price,
    "eth_maxPriorityFeePerGas": _max_priority_fee,
    "eth_feeHistory": _fee_history,
    "eth_call": _call,
    "eth_estimateGas": _estimate_gas,
    "eth_getTransactionByHash": _transaction_by_hash,
    "eth_getTransactionReceipt": _receipt,
    "eth_getLogs": _logs,
}
