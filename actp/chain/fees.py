"""`eth_feeHistory` and the fees that are suggested from it."""

from __future__ import annotations

from bisect import bisect_left
from itertools import accumulate
from typing import Any

from actp.chain.formats import Json, quantity
from actp.chain.ledger import BlockRecord
from actp.chain.node import SERVER_ERROR, Node
from actp.chain.params import BlockRef, invalid_params
from actp.errors import RpcError

__all__ = ["SUGGESTED_TIP", "fee_history", "gas_price", "read_percentiles"]

SUGGESTED_TIP = 10**9
"""Wei per gas that `eth_maxPriorityFeePerGas` suggests; any tip is taken, this is the one that anvil suggests."""

_MAX_BLOCKS = 1_024


def gas_price(node: Node) -> int:
    """Wei per gas that a legacy transaction should offer for the next block."""
    return int(node.next_header().base_fee_per_gas) + SUGGESTED_TIP


def fee_history(node: Node, count: int, newest: BlockRef, percentiles: list[float] | None) -> Json:
    """Base fees of `count` blocks up to `newest` and of the one after, how full they were, and the tips paid."""
    last = node.record(newest)
    if last is None:
        raise RpcError(SERVER_ERROR, "request beyond head block")
    count = min(count, _MAX_BLOCKS, last.number + 1)
    if count == 0:
        return {"oldestBlock": "0x0", "gasUsedRatio": [], "baseFeePerGas": []}
    records = list(node.ledger.between(last.number - count + 1, last.number))
    following = node.ledger.by_number(last.number + 1)
    after: Any = following.header if following is not None else node.next_header()
    base_fees = [record.header.base_fee_per_gas for record in records] + [after.base_fee_per_gas]
    result: Json = {
        "oldestBlock": quantity(records[0].number),
        "baseFeePerGas": [quantity(int(fee)) for fee in base_fees],
        "gasUsedRatio": [record.header.gas_used / record.header.gas_limit for record in records],
        "baseFeePerBlobGas": ["0x1"] * (count + 1),
        "blobGasUsedRatio": [0.0] * count,
    }
    if percentiles:
        result["reward"] = [[quantity(tip) for tip in _tips(record, percentiles)] for record in records]
    return result


def read_percentiles(value: Any) -> list[float]:
    """Ascending percentages from 0 to 100, at most 100 of them."""
    if not isinstance(value, list) or not all(_is_number(item) for item in value) or len(value) > 100:
        raise invalid_params("reward percentiles: expected a list of at most 100 numbers")
    percentiles = [float(item) for item in value]
    if percentiles != sorted(percentiles) or any(not 0 <= item <= 100 for item in percentiles):
        raise invalid_params("reward percentiles: must ascend from 0 to 100")
    return percentiles


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _tips(record: BlockRecord, percentiles: list[float]) -> list[int]:
    """For each percentile of the block's gas, the tip of the transaction that used it; 0 in an empty block."""
    paid = sorted(zip(record.tips, record.gas_used, strict=True))
    if not paid:
        return [0] * len(percentiles)
    ends = list(accumulate(gas for _, gas in paid))
    thresholds = (ends[-1] * percentile / 100 for percentile in percentiles)
    return [paid[bisect_left(ends, threshold)][0] for threshold in thresholds]
