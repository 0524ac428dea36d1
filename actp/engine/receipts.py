"""Reading what was mined, and why it failed."""

from __future__ import annotations

from typing import Any

from actp import reverts
from actp.engine.exchange import understanding
from actp.engine.intents import Submission
from actp.errors import Reverted, RpcError, RpcUnavailable
from actp.rpc import Transport
from actp.types import Log, Receipt
from actp.units import to_checksum

__all__ = ["fetch", "parse", "parse_log", "reason_for"]


def fetch(transport: Transport, tx_hash: str) -> Receipt | None:
    """The receipt of a mined eth transaction, None while there is none."""
    answer = transport.request("eth_getTransactionReceipt", [tx_hash])
    with understanding("eth_getTransactionReceipt"):
        return None if answer is None or answer.get("blockNumber") is None else parse(answer)


def parse(answer: dict[str, Any]) -> Receipt:
    """A receipt from a node's JSON."""
    return Receipt(
        tx_hash=answer["transactionHash"],
        succeeded=int(answer["status"], 16) == 1,
        block_number=int(answer["blockNumber"], 16),
        block_hash=answer["blockHash"],
        sender=to_checksum(answer["from"]),
        to=_address(answer.get("to")),
        contract_address=_address(answer.get("contractAddress")),
        gas_used=int(answer["gasUsed"], 16),
        effective_gas_price=int(answer["effectiveGasPrice"], 16),
        logs=tuple(parse_log(entry) for entry in answer["logs"]),
        l1_fee=_number(answer.get("l1Fee")),
        operator_fee=_operator_fee(answer),
    )


def _number(value: Any) -> int | None:
    """A number that nodes send as 0x hex and libraries turn into an int; None where it is absent or neither."""
    if isinstance(value, str):
        try:
            return int(value, 16)
        except ValueError:
            return None
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _operator_fee(answer: dict[str, Any]) -> int | None:
    """What the operator of an OP-stack chain took, from the parameters in the receipt; None where they do not tell.

    Nodes leave both parameters out when both are zero (Isthmus execution engine, "Receipts"), and only then.
    """
    if _number(answer.get("l1Fee")) is None:
        return None
    if answer.get("operatorFeeScalar") is None and answer.get("operatorFeeConstant") is None:
        return 0
    scalar, constant = _number(answer.get("operatorFeeScalar")), _number(answer.get("operatorFeeConstant"))
    if scalar is None or constant is None:
        return None
    if scalar == 0:
        return constant
    # Jovian multiplies by 100 where Isthmus divided by a million; only Jovian's receipts carry a footprint.
    if _number(answer.get("daFootprintGasScalar")) is None:
        return None
    return int(answer["gasUsed"], 16) * scalar * 100 + constant


def _address(value: str | None) -> str | None:
    return to_checksum(value) if value else None


def parse_log(entry: dict[str, Any]) -> Log:
    """A log from a node's JSON, of a receipt or of eth_getLogs."""
    return Log(
        address=to_checksum(entry["address"]),
        topics=tuple(entry["topics"]),
        data=entry["data"],
        block_number=int(entry["blockNumber"], 16),
        block_hash=entry["blockHash"],
        tx_hash=entry["transactionHash"],
        log_index=int(entry["logIndex"], 16),
    )


def reason_for(transport: Transport, submission: Submission, receipt: Receipt) -> Reverted:
    """Why a mined eth transaction failed, found by calling it again on the state around its block."""
    fields = submission.fields
    call = {
        "from": submission.sender,
        "value": hex(fields.value),
        "data": "0x" + fields.data.hex(),
        "gas": hex(fields.gas),
        **({} if fields.to is None else {"to": fields.to}),
    }
    # The state after its block also holds what came before it in there; only if that no longer refuses, or is gone,
    # does the state before the block tell.
    for block in (receipt.block_number, receipt.block_number - 1):
        try:
            transport.request("eth_call", [call, hex(block)])
        except RpcError as error:
            found = reverts.from_error(error, outcome="reverted", tx_hash=receipt.tx_hash)
            if found is not None:
                return found
        except RpcUnavailable:
            continue  # that it failed is certain, whether or not the node can say why
    if receipt.gas_used >= fields.gas:
        return Reverted(
            "OutOfGas", {"gas": fields.gas}, outcome="reverted", tx_hash=receipt.tx_hash,
            hint="Give it more gas, or leave the gas limit to the estimate.",
        )  # fmt: skip
    return Reverted(
        "Unexplained", outcome="reverted", tx_hash=receipt.tx_hash,
        message=f"The eth transaction {receipt.tx_hash} failed, and calling it again does not show why.",
    )  # fmt: skip
