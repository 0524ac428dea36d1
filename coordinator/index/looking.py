"""What the chain's state says about escrows: all that is asked for a page, in one exchange."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from actp.errors import Reverted, RpcUnavailable
from actp.kernel_views import bonds_of, clauses_of, milestones_of, transaction_of
from actp.pool.capabilities import Capability, supports
from actp.reads import Read, head, read_all
from actp.rpc import Transport
from coordinator.index.comparing import Seen
from coordinator.store.index_kernels import IndexedKernel
from coordinator.types import BlockRef

__all__ = ["At", "Looking"]

_OURS = ("getTransaction", "escrowOf", "bondsOf", "clausesOf", "milestonesOf", "cancellationEffectiveAt")


@dataclass(frozen=True, slots=True)
class At:
    """The block whose state is read: its number, and what nodes take for it."""

    number: int
    parameter: str | dict[str, str]


class Looking:
    """Reads the state of the escrows of one kernel. Every method raises RpcUnavailable, also if the node has not the
    state of that block.
    """

    def __init__(self, transport: Transport, kernel: IndexedKernel) -> None:
        self._transport = transport
        self._kernel = kernel

    def at(self, block: BlockRef) -> At:
        """Exactly this block, where the node can be asked for it; else the newest."""
        if supports(self._transport, Capability.READS_BY_HASH):
            return At(block.number, {"blockHash": block.hash})
        return self.at_head()

    def at_number(self, number: int) -> At:
        """The block of this number, by its hash where the node can be asked by it."""
        if not supports(self._transport, Capability.READS_BY_HASH):
            return At(number, hex(number))
        found = self._transport.request("eth_getBlockByNumber", [hex(number), False])
        if not isinstance(found, dict):
            raise RpcUnavailable(f"{self._transport.label} does not show block {number}.", hint="Try again.")
        return At(number, {"blockHash": str(found["hash"])})

    def at_head(self) -> At:
        """The newest block."""
        newest = head(self._transport)
        return At(newest.number, newest.at)

    def windows(self, transaction_ids: Sequence[str], at: At) -> dict[str, int | None]:
        """The last second of the dispute window of each, None if it has none: it is not delivered in that block."""
        reads = [self._read("getTransaction", one) for one in transaction_ids]
        answers = read_all(self._transport, reads, at.parameter)
        return {
            one: None if isinstance(answer, Reverted) else transaction_of(answer).window_ends
            for one, answer in zip(transaction_ids, answers, strict=True)
        }

    def states(self, transaction_ids: Sequence[str], at: At) -> dict[str, Seen | None]:
        """Each escrow as that block shows it, None if the kernel has none of this id."""
        if not self._kernel.ours:
            return self._states_of_g1(transaction_ids, at)
        reads = [self._read(view, one) for one in transaction_ids for view in _OURS]
        answers = read_all(self._transport, reads, at.parameter)
        found: dict[str, Seen | None] = {}
        for index, one in enumerate(transaction_ids):
            views = answers[index * len(_OURS) : (index + 1) * len(_OURS)]
            refusals = [view for view in views if isinstance(view, Reverted)]
            if any(refusal.name != "UnknownTransaction" for refusal in refusals):
                raise RpcUnavailable(
                    f"{self._transport.label} did not show the escrow {one}: {refusals[0].message}", hint="Try again."
                )
            found[one] = None if refusals else _seen(views)
        return found

    def owed(self, payees: Sequence[str], at: At) -> tuple[int, dict[str, int]]:
        """The fees that have accrued in a kernel of ours, and what it owes to each of these."""
        kernel = self._kernel.kernel
        reads = [Read("ACTPKernel", kernel, "accruedFees")]
        reads += [Read("ACTPKernel", kernel, "credits", (payee,)) for payee in payees]
        fees, *amounts = read_all(self._transport, reads, at.parameter)
        return int(fees), {payee: int(amount) for payee, amount in zip(payees, amounts, strict=True)}

    def _states_of_g1(self, transaction_ids: Sequence[str], at: At) -> dict[str, Seen | None]:
        reads = [self._read("getTransaction", one) for one in transaction_ids]
        answers = read_all(self._transport, reads, at.parameter)
        # Kernels of G1 have no error of their own for ids that they do not know.
        records = {
            one: transaction_of(answer)
            for one, answer in zip(transaction_ids, answers, strict=True)
            if not isinstance(answer, Reverted)
        }
        funded = [record for record in records.values() if record.funded]
        # Its vaults know escrows by the names that requesters gave them.
        left = read_all(
            self._transport,
            [
                Read("EscrowVault", record.escrow_contract, "remaining", (bytes.fromhex(record.escrow_id[2:]),))
                for record in funded
            ],
            at.parameter,
        )
        amounts = zip(funded, left, strict=True)
        remaining = {
            record.transaction_id: None if isinstance(amount, Reverted) else int(amount) for record, amount in amounts
        }
        found: dict[str, Seen | None] = dict.fromkeys(transaction_ids)
        for one, record in records.items():
            found[one] = Seen(record, remaining.get(one, 0), None, None, None, None)
        return found

    def _read(self, view: str, transaction_id: str) -> Read:
        return Read("ACTPKernel", self._kernel.kernel, view, (bytes.fromhex(transaction_id[2:]),))


def _seen(views: Sequence[Any]) -> Seen:
    record = transaction_of(views[0])
    return Seen(
        record=record,
        remaining=record.amount - int(views[1][3]) if record.funded else 0,
        bonds=bonds_of(views[2]),
        clauses=clauses_of(views[3]),
        milestones=milestones_of(views[4]),
        cancellation_at=int(views[5]),
    )
