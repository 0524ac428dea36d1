"""Delivering and settling lists of transactions, in as few eth transactions as their gas allows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from actp import reverts
from actp.binding import Binding, Session, TxResult
from actp.errors import ActpError, InvalidInput, PartialBatch, Reverted, UnacceptedClauses, UnknownTransaction
from actp.kernel import Kernel
from actp.payments import DEFAULT_BATCH, require_batch_size
from actp.types import State
from actp.units import require_bytes32, shown

__all__ = ["BatchResult", "Batches", "ItemOutcome"]


@dataclass(frozen=True, slots=True)
class ItemOutcome:
    """What became of one transaction of a list. If it was left as it is, `reason` names the error that the same call
    for it alone raises, and `hint` says what to do. `tx_hash` is the eth transaction, None if nothing was sent for it.
    """

    transaction_id: str
    done: bool
    reason: str = ""
    hint: str = ""
    tx_hash: str | None = None


@dataclass(frozen=True, slots=True)
class BatchResult:
    """What became of a list, in its order, and the eth transactions that did it."""

    items: tuple[ItemOutcome, ...]
    results: tuple[TxResult, ...]

    @property
    def done(self) -> tuple[ItemOutcome, ...]:
        """What was delivered or settled."""
        return tuple(item for item in self.items if item.done)

    @property
    def skipped(self) -> tuple[ItemOutcome, ...]:
        """What was left as it is."""
        return tuple(item for item in self.items if not item.done)


class Batches:
    """Lists of transactions at one kernel, as one account moves them on."""

    def __init__(self, session: Session, kernel: Kernel) -> None:
        self._kernel = kernel
        self._binding = Binding(session, "ACTPKernel", kernel.address)

    def deliver(self, transaction_ids: Sequence[str], *, batch_size: int = DEFAULT_BATCH) -> BatchResult:
        """See `ACTPClient.deliver_many`."""
        self._kernel.require("deliver_many")
        ids, size = _check_ids(transaction_ids), require_batch_size(batch_size)
        refused: dict[str, ItemOutcome] = {}
        for transaction_id in ids:
            try:
                self._kernel.require_acceptable(transaction_id)
            except UnacceptedClauses as error:
                refused[transaction_id] = ItemOutcome(transaction_id, False, "UnacceptedClauses", str(error))
            except UnknownTransaction:
                continue  # the kernel says so itself, with the others
        accepted = [transaction_id for transaction_id in ids if transaction_id not in refused]
        sent = self._run("deliverBatch", accepted, State.DELIVERED, size)
        outcomes = iter(sent.items)
        return BatchResult(tuple(refused.get(each) or next(outcomes) for each in ids), sent.results)

    def settle(self, transaction_ids: Sequence[str], *, batch_size: int = DEFAULT_BATCH) -> BatchResult:
        """See `ACTPClient.settle_many`."""
        self._kernel.require("settle_many")
        return self._run("settleBatch", _check_ids(transaction_ids), State.SETTLED, require_batch_size(batch_size))

    def _run(self, function: str, ids: list[str], state: State, size: int) -> BatchResult:
        items: list[ItemOutcome] = []
        results: list[TxResult] = []
        for start in range(0, len(ids), size):
            chunk = ids[start : start + size]
            try:
                outcomes, result = self._run_chunk(function, chunk, state)
            except ActpError as error:
                if not results:
                    raise
                hint = "Call again with the whole list: what is done is skipped then."
                raise PartialBatch(items, ids[start:], error, hint=hint) from error
            items += outcomes
            results += [] if result is None else [result]
        return BatchResult(tuple(items), tuple(results))

    def _run_chunk(self, function: str, chunk: list[str], state: State) -> tuple[list[ItemOutcome], TxResult | None]:
        raw = [bytes.fromhex(transaction_id[2:]) for transaction_id in chunk]
        count = self._binding.read(function, raw)
        if not count:
            # An eth transaction that would do nothing is not sent, so no event tells why.
            reasons = [self._refusal(transaction_id, state) for transaction_id in chunk]
            if all(reasons):
                outcomes = zip(chunk, (reason for reason in reasons if reason is not None), strict=True)
                return [ItemOutcome(each, False, reason.name, reason.hint) for each, reason in outcomes], None
        result = self._binding.send(function, raw)
        skipped = {
            event.args["index"]: reverts.named(event.args["reason"])
            for event in result.events
            if event.name == "BatchItemSkipped"
        }
        return [
            ItemOutcome(each, index not in skipped, *skipped.get(index, ("", "")), tx_hash=result.tx_hash)
            for index, each in enumerate(chunk)
        ], result

    def _refusal(self, transaction_id: str, state: State) -> Reverted | None:
        try:
            self._binding.simulate("transitionState", bytes.fromhex(transaction_id[2:]), state.value, b"")
        except Reverted as error:
            return error
        return None


def _check_ids(transaction_ids: Sequence[str]) -> list[str]:
    if isinstance(transaction_ids, (str, bytes)):
        raise InvalidInput(f"transaction_ids is {shown(transaction_ids)}.", hint="Give a list of transaction ids.")
    return [require_bytes32(each, f"transaction_ids[{index}]") for index, each in enumerate(transaction_ids)]
