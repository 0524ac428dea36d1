"""Who may enter the pool: the checks of a node's `eth_sendRawTransaction`, with its words."""

from __future__ import annotations

from typing import Any

from actp.chain.evm import BLOCK_GAS_LIMIT, MAX_INIT_CODE_BYTES, gas_floor
from actp.chain.formats import transaction_type

__all__ = ["refusal"]

_TYPES = (0, 1, 2)


def refusal(transaction: Any, *, chain_id: int, nonce: int, balance: int) -> str | None:
    """Why a transaction is refused, or None; `nonce` and `balance` (wei) are its sender's in the latest block."""
    return _malformed(transaction, chain_id) or _not_payable(transaction, nonce, balance)


def _malformed(transaction: Any, chain_id: int) -> str | None:
    kind = transaction_type(transaction)
    if kind not in _TYPES:
        return f"transaction type not supported: {kind}"
    if transaction.chain_id is None:
        return "only replay-protected (EIP-155) transactions allowed over RPC"
    if transaction.chain_id != chain_id:
        return f"invalid sender: invalid chain id for signer: have {transaction.chain_id} want {chain_id}"
    if not transaction.to and len(transaction.data) > MAX_INIT_CODE_BYTES:
        return f"max initcode size exceeded: code size {len(transaction.data)}, limit {MAX_INIT_CODE_BYTES}"
    if transaction.gas > BLOCK_GAS_LIMIT:
        return "exceeds block gas limit"
    if transaction.max_priority_fee_per_gas > transaction.max_fee_per_gas:
        return (
            "max priority fee per gas higher than max fee per gas: "
            f"maxPriorityFeePerGas: {transaction.max_priority_fee_per_gas}, "
            f"maxFeePerGas: {transaction.max_fee_per_gas}"
        )
    floor = gas_floor(transaction.to, transaction.data, transaction.access_list)
    if transaction.gas < floor:
        return f"intrinsic gas too low: gas {transaction.gas}, minimum needed {floor}"
    return None


def _not_payable(transaction: Any, nonce: int, balance: int) -> str | None:
    if transaction.nonce < nonce:
        return f"nonce too low: next nonce {nonce}, tx nonce {transaction.nonce}"
    cost = transaction.gas * transaction.max_fee_per_gas + transaction.value
    if balance < cost:
        return (
            f"insufficient funds for gas * price + value: balance {balance}, tx cost {cost}, overshot {cost - balance}"
        )
    return None
