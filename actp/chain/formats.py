"""From py-evm's objects to the JSON that a node answers."""

from __future__ import annotations

from typing import Any

__all__ = [
    "Json",
    "block_json",
    "data",
    "log_json",
    "quantity",
    "receipt_json",
    "transaction_json",
    "transaction_type",
    "word",
]

Json = dict[str, Any]


def quantity(value: int) -> str:
    """An integer as shortest 0x string."""
    return hex(value)


def data(value: bytes) -> str:
    """Bytes as 0x string, two digits each."""
    return "0x" + value.hex()


def word(value: int) -> str:
    """An integer as 32-byte 0x string."""
    return f"0x{value:064x}"


def _bloom(value: int) -> str:
    return f"0x{value:0512x}"


def transaction_type(transaction: Any) -> int:
    """0 for a legacy transaction, else the EIP-2718 type."""
    return int(transaction.type_id or 0)


def effective_gas_price(transaction: Any, base_fee: int) -> int:
    """Wei per gas that the sender pays in a block with this base fee."""
    return int(min(transaction.max_fee_per_gas, transaction.max_priority_fee_per_gas + base_fee))


def transaction_json(transaction: Any, *, block: Json | None, index: int | None, base_fee: int) -> Json:
    """One eth transaction; `block` (as from `block_json`) is None while it waits in the pool."""
    kind = transaction_type(transaction)
    mined = block is not None
    result: Json = {
        "type": quantity(kind),
        "hash": data(transaction.hash),
        "from": data(transaction.sender),
        "to": data(transaction.to) if transaction.to else None,
        "nonce": quantity(transaction.nonce),
        "gas": quantity(transaction.gas),
        "value": quantity(transaction.value),
        "input": data(transaction.data),
        "blockHash": block["hash"] if block is not None else None,
        "blockNumber": block["number"] if block is not None else None,
        "transactionIndex": quantity(index) if index is not None else None,
        "r": quantity(transaction.r),
        "s": quantity(transaction.s),
    }
    if transaction.chain_id is not None:
        result["chainId"] = quantity(transaction.chain_id)
    if kind == 0:
        result["gasPrice"] = quantity(transaction.gas_price)
        result["v"] = quantity(transaction.v)
        return result
    result["v"] = result["yParity"] = quantity(transaction.y_parity)
    result["accessList"] = [
        {"address": data(address), "storageKeys": [word(slot) for slot in slots]}
        for address, slots in transaction.access_list
    ]
    if kind == 1:
        result["gasPrice"] = quantity(transaction.gas_price)
    else:
        result["maxFeePerGas"] = quantity(transaction.max_fee_per_gas)
        result["maxPriorityFeePerGas"] = quantity(transaction.max_priority_fee_per_gas)
        price = effective_gas_price(transaction, base_fee) if mined else transaction.max_fee_per_gas
        result["gasPrice"] = quantity(price)
    return result


def log_json(log: Any, *, transaction: Json, timestamp: str, log_index: int) -> Json:
    """One log; `transaction` is the mined one that emitted it, `log_index` counts within the block."""
    return {
        "address": data(log.address),
        "topics": [word(topic) for topic in log.topics],
        "data": data(log.data),
        "blockHash": transaction["blockHash"],
        "blockNumber": transaction["blockNumber"],
        "blockTimestamp": timestamp,
        "transactionHash": transaction["hash"],
        "transactionIndex": transaction["transactionIndex"],
        "logIndex": quantity(log_index),
        "removed": False,
    }


def receipt_json(receipt: Any, *, transaction: Json, logs: list[Json], gas_used: int, created: bytes | None) -> Json:
    """One receipt; `gas_used` is this transaction's alone, `created` the address of a contract that it deployed."""
    return {
        "type": transaction["type"],
        "status": "0x1" if receipt.state_root == b"\x01" else "0x0",
        "transactionHash": transaction["hash"],
        "transactionIndex": transaction["transactionIndex"],
        "blockHash": transaction["blockHash"],
        "blockNumber": transaction["blockNumber"],
        "from": transaction["from"],
        "to": transaction["to"],
        "contractAddress": data(created) if created is not None else None,
        "gasUsed": quantity(gas_used),
        "cumulativeGasUsed": quantity(receipt.gas_used),
        "effectiveGasPrice": transaction["gasPrice"],
        "logs": logs,
        "logsBloom": _bloom(int(receipt.bloom)),
    }


def block_json(header: Any, *, size: int) -> Json:
    """A block's header fields; who answers a call adds the transactions, as objects or as hashes."""
    return {
        "number": quantity(header.block_number),
        "hash": data(header.hash),
        "parentHash": data(header.parent_hash),
        "sha3Uncles": data(header.uncles_hash),
        "miner": data(header.coinbase),
        "stateRoot": data(header.state_root),
        "transactionsRoot": data(header.transaction_root),
        "receiptsRoot": data(header.receipt_root),
        "logsBloom": _bloom(header.bloom),
        "difficulty": quantity(header.difficulty),
        "totalDifficulty": "0x0",
        "gasLimit": quantity(header.gas_limit),
        "gasUsed": quantity(header.gas_used),
        "timestamp": quantity(header.timestamp),
        "extraData": data(header.extra_data),
        "mixHash": data(header.mix_hash),
        "nonce": data(header.nonce),
        "baseFeePerGas": quantity(header.base_fee_per_gas),
        "withdrawalsRoot": data(header.withdrawals_root),
        "withdrawals": [],
        "blobGasUsed": quantity(header.blob_gas_used),
        "excessBlobGas": quantity(header.excess_blob_gas),
        "parentBeaconBlockRoot": data(header.parent_beacon_block_root),
        "requestsHash": data(header.requests_hash),
        "size": quantity(size),
        "uncles": [],
    }
