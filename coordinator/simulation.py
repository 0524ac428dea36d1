"""What calls would do, run on the state of one block without being sent.

Where the node has `eth_simulateV1`, all calls run in one request and in their order, each on the state that those
before it left, and tell their logs, transfers of ether among them. Elsewhere each runs by itself, and tells whether it
is refused.

In one batch are the calls of many, and not all of them will be sent. So none fails on account of another: what is
refused after the others is run by itself, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from actp import reverts
from actp.engine.replies import Reply, classify
from actp.errors import Reverted, RpcError, RpcUnavailable
from actp.pool.capabilities import Capability, supports
from actp.pool.routing import lacks_data
from actp.reads import Head, head
from actp.rpc import Transport, is_rate_limit
from coordinator.types import BlockRef, Call, Simulation

__all__ = ["simulate_all"]

_EMPTY = "EmptyRevert"
_FAILED = "execution_failed"
# Room for hundreds of calls; what one of them may use is the node's business.
_BLOCK_GAS = 2**30


def simulate_all(transport: Transport, wallet: str, calls: Sequence[Call]) -> list[Simulation]:
    """For each call of `wallet`, in order, what it would do in a block on top of the newest one, which `block` names.

    A refusal is an answer: `ok` is False, `code` the contract's error, such as WindowClosed, and `reason` a sentence.
    A call that passes by itself, and is refused only after the others, is `ok` with the code `after_others`.
    Raises RpcUnavailable if the node does not answer, or not with an answer to the question.
    """
    if not calls:
        return []
    newest = head(transport)
    if not supports(transport, Capability.SIMULATE):
        return _one_by_one(transport, wallet, calls, newest)
    together = _in_one_block(transport, wallet, calls, newest)
    if together is None:
        alone = _one_by_one(transport, wallet, calls, newest)
        passing = [index for index, each in enumerate(alone) if each.ok]
        again = _in_one_block(transport, wallet, [calls[index] for index in passing], newest) or ()
        return _placed(alone, passing, again)
    refused = [index for index, each in enumerate(together) if not each.ok]
    alone = _one_by_one(transport, wallet, [calls[index] for index in refused], newest)
    return _placed(together, refused, alone)


def _placed(answers: list[Simulation], places: Sequence[int], others: Sequence[Simulation]) -> list[Simulation]:
    """The answers, with the others in their places; the better of the two counts."""
    merged = list(answers)
    for index, other in zip(places, others, strict=False):
        first, second = sorted((merged[index], other), key=lambda each: (each.ok, each.has_logs), reverse=True)
        merged[index] = first if first.ok == second.ok else _after_others(first, second)
    return merged


def _after_others(passed: Simulation, refused: Simulation) -> Simulation:
    return replace(passed, code="after_others", reason=f"After the others of its batch it is refused: {refused.reason}")


# -------------------------------------------------------------------- eth_simulateV1


def _in_one_block(transport: Transport, wallet: str, calls: Sequence[Call], newest: Head) -> list[Simulation] | None:
    """None if the node refuses all of it: it does so for one call that cannot even begin, such as one whose value is
    more than the wallet has.
    """
    block = {
        # Without these some nodes simulate at the number and the time of the block below.
        "blockOverrides": {"number": hex(newest.number + 1), "time": hex(newest.now + 1), "gasLimit": hex(_BLOCK_GAS)},
        "calls": [_fields(wallet, call) for call in calls],
    }
    request = {"blockStateCalls": [block], "traceTransfers": True, "validation": False}
    try:
        answer = transport.request("eth_simulateV1", [request, newest.at])
    except RpcError as error:
        if is_rate_limit(error):
            raise _unavailable(transport, error) from error
        return None
    ref = BlockRef(newest.number, newest.hash)
    try:
        results = [_simulated(result, ref) for result in answer[0]["calls"]]
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise RpcUnavailable(f"{transport.label} answered eth_simulateV1 with something else.") from error
    if len(results) != len(calls):
        raise RpcUnavailable(f"{transport.label} did not simulate every call.", hint="Try again.")
    return results


def _simulated(result: dict[str, Any], block: BlockRef) -> Simulation:
    gas = int(result["gasUsed"], 16)
    if int(result["status"], 16):
        logs = tuple((log["address"], tuple(log["topics"]), log["data"]) for log in result["logs"])
        return Simulation(True, block, gas, has_logs=True, logs=logs)
    error = result.get("error") or {}
    said = str(error.get("message", ""))
    # Nodes put the revert data into the error or into what was returned.
    data = reverts.revert_data(error.get("data")) or bytes.fromhex(result.get("returnData", "0x")[2:])
    refusal = reverts.decode(data, outcome="not_sent")
    if refusal.name == _EMPTY and said and "revert" not in said.lower():
        return Simulation(False, block, gas, has_logs=True, code=_FAILED, reason=said)
    return _refused(refusal, block, gas, has_logs=True)


# -------------------------------------------------------------------- eth_call


def _one_by_one(transport: Transport, wallet: str, calls: Sequence[Call], newest: Head) -> list[Simulation]:
    if not calls:
        return []
    answers = transport.batch([("eth_call", [_fields(wallet, call), newest.at]) for call in calls])
    if newest.at == "latest":
        after = head(transport)
        if after.hash != newest.hash:
            raise RpcUnavailable(
                f"{transport.label} came to another block while it simulated.", code="block_changed", hint="Try again."
            )
    block = BlockRef(newest.number, newest.hash)
    return [_answered(transport, answer, block) for answer in answers]


def _answered(transport: Transport, answer: Any, block: BlockRef) -> Simulation:
    if not isinstance(answer, RpcError):
        return Simulation(True, block)
    refusal = reverts.from_error(answer, outcome="not_sent")
    if refusal is not None:
        return _refused(refusal, block)
    if is_rate_limit(answer) or answer.retryable or lacks_data(answer):
        raise _unavailable(transport, answer) from answer
    # Out of gas and the like: the call's own fault, which must not hold up the others.
    broke = classify(answer) is Reply.NO_FUNDS
    return Simulation(False, block, code="insufficient_funds" if broke else _FAILED, reason=answer.message)


def _refused(refusal: Reverted, block: BlockRef, gas: int | None = None, *, has_logs: bool = False) -> Simulation:
    return Simulation(False, block, gas, has_logs=has_logs, code=refusal.name, reason=str(refusal))


def _fields(wallet: str, call: Call) -> dict[str, str]:
    fields = {"from": wallet, "to": call.to}
    if call.data:
        fields["data"] = "0x" + call.data.hex()
    if call.value:
        fields["value"] = hex(call.value)
    return fields


def _unavailable(transport: Transport, error: RpcError) -> RpcUnavailable:
    return RpcUnavailable(f"{transport.label} did not simulate a call: {error.message}", hint="Try again.")
