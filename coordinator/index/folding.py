"""From events to rows of escrows, credits and fees. Pure: the same events always make the same rows.

Each event changes what it tells and nothing else. Whatever shows that one before it is missing, such as a step from
another state than the row has, marks the row for a look at the chain's state.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from actp.decoding import Event
from actp.types import State
from actp.units import ZERO_ADDRESS
from coordinator.index.dues import put_due
from coordinator.store.index_escrows import Escrow
from coordinator.store.index_kernels import IndexedKernel
from coordinator.store.index_words import Ending, Operation

__all__ = ["Folding", "payees_in"]

_CREATED = "TransactionCreated"
_REACHED = {
    State.QUOTED: Operation.QUOTE_ESCROW,
    State.COMMITTED: Operation.CREATE_ESCROW,
    State.IN_PROGRESS: Operation.ACCEPT_ESCROW,
    State.DELIVERED: Operation.DELIVER_ESCROW,
    State.DISPUTED: Operation.DISPUTE_ESCROW,
}
_UNFUNDED = (State.INITIATED, State.QUOTED)


@dataclass(slots=True)
class Folding:
    """Folds the events of one page of a kernel, in the order of the chain.

    `rows` are the escrows that the page names and that are known, `credits` what its payees were owed, `fees` what had
    accrued, `times` when blocks were mined, by hash, as not every event says it. After `fold`, `touched` are the ids of
    rows that have changed, `made` of those that are new, `strangers` of escrows whose creation nobody saw, and
    `delivered` of those whose window events do not tell.
    """

    kernel: IndexedKernel
    rows: dict[str, Escrow]
    credits: dict[str, int]
    fees: int
    times: Mapping[str, int]
    touched: dict[str, None] = field(default_factory=dict)
    made: set[str] = field(default_factory=set)
    strangers: dict[str, None] = field(default_factory=dict)
    _part: Event | None = None
    """The last `EscrowMilestoneReleased`: our kernels take the fee out of it in the next log."""
    _early: dict[str, int] = field(default_factory=dict)
    """What kernels of G1 paid out of an escrow in progress before they say that it was for a milestone."""

    def fold(self, events: Iterable[Event]) -> None:
        """Folds events in. Call it once."""
        for event in events:
            self._books(event)
            transaction_id = event.transaction_id
            if transaction_id is None:
                continue
            if event.name == _CREATED and transaction_id not in self.rows:
                self._create(transaction_id, event)
                continue
            change = _CHANGES.get(event.name)
            if change is None:
                # It tells nothing about the escrow, as an item that a batch has skipped; anybody can have the kernel
                # skip any number of ids that nobody has created.
                continue
            row = self.rows.get(transaction_id)
            if row is None:
                self.strangers[transaction_id] = None
                continue
            if row.known_block is not None and event.block <= row.known_block:
                continue
            self.touched[transaction_id] = None
            row.last_event, row.last_block, row.last_tx = event.name, event.block, event.tx_hash
            row.last_at = event.args.get("timestamp", self.times.get(event.block_hash, row.last_at))
            change(self, row, event, event.args)
        for transaction_id in self.touched:
            row = self.rows[transaction_id]
            if row.state.final and self.kernel.ours and row.paid != row.funded and not row.repaired:
                row.look = True
            put_due(row, self.kernel)

    def unclear(self) -> list[str]:
        """Escrows of which the chain's state has to be read."""
        return [*self.strangers, *(one for one in self.touched if self.rows[one].look)]

    def delivered(self) -> list[str]:
        """Escrows that are open and delivered, and whose window is not known yet."""
        return [one for one in self.touched if _lacks_window(self.rows[one])]

    # ---------------------------------------------------------------- what is kept beside escrows

    def _books(self, event: Event) -> None:
        name, args = event.name, event.args
        if name == "PlatformFeeAccrued":
            # Kernels of G1 pay fees out at once.
            self.fees += args["amount"] if self.kernel.ours else 0
        elif name in ("FeesWithdrawn", "FeeRecipientUpdated"):
            self.fees = 0  # all of it left, or became a credit of the recipient before
        elif name == "CreditAccrued":
            self.credits[args["payee"]] = self.credits.get(args["payee"], 0) + args["amount"]
        elif name == "CreditWithdrawn":
            self.credits[args["payee"]] = 0  # all of it, also what was owed before the index begins

    # ---------------------------------------------------------------- one function for each kind of event

    def _create(self, transaction_id: str, event: Event) -> None:
        args = event.args
        self.rows[transaction_id] = Escrow(
            kernel_id=self.kernel.id,
            transaction_id=transaction_id,
            escrow_id=None,
            requester=args["requester"],
            provider=args["provider"],
            state=State.INITIATED,
            open=True,
            amount=args["amount"],
            deadline=args["deadline"],
            created_at=args["timestamp"],
            created_block=event.block,
            operation=Operation.OPEN_ESCROW,
            last_event=event.name,
            last_block=event.block,
            last_tx=event.tx_hash,
            last_at=args["timestamp"],
        )
        self.made.add(transaction_id)
        self.touched[transaction_id] = None

    def _created_again(self, row: Escrow, event: Event, args: Mapping[str, Any]) -> None:
        row.look = True

    def _move(self, row: Escrow, event: Event, args: Mapping[str, Any]) -> None:
        before, after, at = args["oldState"], args["newState"], args["timestamp"]
        if before is not row.state:
            row.look = True
        row.state = after
        if after.final:
            self._end(row, before, after, at)
            return
        row.operation = _REACHED.get(after, Operation.UNKNOWN)
        if after is State.DELIVERED:
            row.delivered_at = at
        elif after is State.DISPUTED:
            row.disputed_at = at
            timeout = self.kernel.timeout_seconds
            row.dispute_ends_at = None if timeout is None else at + timeout

    def _end(self, row: Escrow, before: State, after: State, at: int) -> None:
        row.ended_at, row.remaining, row.bond_owed = at, 0, 0
        if not self.kernel.ours:
            row.bond_requester = row.bond_provider = 0
        if row.ending is not None:
            return  # an event before has said which
        if before is State.DISPUTED:
            row.operation, row.ending = Operation.RESOLVE_DISPUTE, Ending.RULED
        elif after is State.SETTLED:
            row.operation, row.ending = Operation.RELEASE_ESCROW, Ending.RELEASED
        elif before in _UNFUNDED:
            row.operation, row.ending = Operation.CANCEL_ESCROW, Ending.WITHDRAWN
        else:
            row.operation, row.ending = Operation.REFUND_ESCROW, Ending.REFUNDED

    def _quote_accepted(self, row: Escrow, event: Event, args: Mapping[str, Any]) -> None:
        if args["oldAmount"] != row.amount:
            row.look = True
        row.amount = args["newAmount"]
        row.operation = Operation.ACCEPT_QUOTE

    def _linked(self, row: Escrow, event: Event, args: Mapping[str, Any]) -> None:
        row.funded = row.remaining = args["amount"]
        if args["amount"] != row.amount:
            row.look = True
        if args["escrowId"] != row.transaction_id:
            row.escrow_id = args["escrowId"]

    def _released(self, row: Escrow, event: Event, args: Mapping[str, Any]) -> None:
        row.paid_provider += args["amount"]
        self._less(row, args["amount"])
        if row.state is State.IN_PROGRESS:
            self._early[row.transaction_id] = self._early.get(row.transaction_id, 0) + args["amount"]

    def _refunded(self, row: Escrow, event: Event, args: Mapping[str, Any]) -> None:
        row.paid_requester += args["amount"]
        self._less(row, args["amount"])

    def _fee(self, row: Escrow, event: Event, args: Mapping[str, Any]) -> None:
        row.paid_fee += args["amount"]
        part, self._part = self._part, None
        if part is not None and (part.tx_hash, part.log_index + 1) == (event.tx_hash, event.log_index):
            row.paid_provider -= args["amount"]  # which the part has counted as a whole
            return
        self._less(row, args["amount"])
        if row.state is State.IN_PROGRESS:
            self._early[row.transaction_id] = self._early.get(row.transaction_id, 0) + args["amount"]

    def _part_released(self, row: Escrow, event: Event, args: Mapping[str, Any]) -> None:
        row.operation = Operation.RELEASE_MILESTONE
        row.parts_paid += 1
        row.parts_paid_amount += args["amount"]
        early = self._early.pop(row.transaction_id, 0)
        if early:
            # What neither provider nor platform got of it went to the archive's treasury, for which there is no event.
            row.paid_fee += args["amount"] - early
            self._less(row, args["amount"] - early)
            return
        row.paid_provider += args["amount"]
        self._less(row, args["amount"])
        self._part = event

    def _mediator_paid(self, row: Escrow, event: Event, args: Mapping[str, Any]) -> None:
        row.paid_mediator += args["amount"]
        self._less(row, args["amount"])

    def _penalty_paid(self, row: Escrow, event: Event, args: Mapping[str, Any]) -> None:
        row.paid_provider += args["amount"]
        row.ending = Ending.LEFT_EARLY

    def _disputed(self, row: Escrow, event: Event, args: Mapping[str, Any]) -> None:
        row.operation = Operation.DISPUTE_ESCROW
        row.dispute_initiator = args["initiator"]
        if not self.kernel.ours:
            # There the initiator has posted it.
            if args["initiator"] == row.provider:
                row.bond_provider, row.bond_provider_poster = args["bondAmount"], args["initiator"]
            else:
                row.bond_requester, row.bond_requester_poster = args["bondAmount"], args["initiator"]

    def _bond_posted(self, row: Escrow, event: Event, args: Mapping[str, Any]) -> None:
        row.operation = Operation.POST_BOND
        row.bond_owed = 0
        if args["party"] == row.provider:
            row.bond_provider, row.bond_provider_poster = args["amount"], args["poster"]
        else:
            row.bond_requester, row.bond_requester_poster = args["amount"], args["poster"]

    def _bond_owed(self, row: Escrow, event: Event, args: Mapping[str, Any]) -> None:
        row.bond_owed = args["amount"]

    def _bond_paid(self, row: Escrow, event: Event, args: Mapping[str, Any]) -> None:
        row.bond_paid += args["amount"]
        # Which of the two it was is not said; both leave when the escrow ends.
        if row.bond_requester == args["amount"]:
            row.bond_requester = 0
        elif row.bond_provider == args["amount"]:
            row.bond_provider = 0
        else:
            row.look = True

    def _clauses(self, row: Escrow, event: Event, args: Mapping[str, Any]) -> None:
        row.arbiter = None if args["arbiter"] == ZERO_ADDRESS else args["arbiter"]
        row.timeout_requester_bps = args["timeoutRequesterBps"]

    def _part_agreed(self, row: Escrow, event: Event, args: Mapping[str, Any]) -> None:
        row.parts += 1
        if row.funded:
            row.operation = Operation.CREATE_MILESTONE_ESCROW

    def _part_refunded(self, row: Escrow, event: Event, args: Mapping[str, Any]) -> None:
        row.operation = Operation.REFUND_MILESTONE
        row.parts_refunded += 1
        row.parts_refunded_amount += args["amount"]

    def _leaving(self, row: Escrow, event: Event, args: Mapping[str, Any]) -> None:
        row.operation = Operation.ANNOUNCE_CANCELLATION
        row.cancellation_at = args["effectiveAt"]

    def _timed_out(self, row: Escrow, event: Event, args: Mapping[str, Any]) -> None:
        row.operation, row.ending = Operation.CLOSE_DISPUTE, Ending.TIMED_OUT

    def _agreed(self, row: Escrow, event: Event, args: Mapping[str, Any]) -> None:
        row.operation, row.ending = Operation.SETTLE_BY_CONSENT, Ending.BY_CONSENT

    def _attested(self, row: Escrow, event: Event, args: Mapping[str, Any]) -> None:
        row.operation = Operation.ANCHOR_ATTESTATION

    def _noted(self, row: Escrow, event: Event, args: Mapping[str, Any]) -> None:
        """What it says is counted elsewhere."""

    def _less(self, row: Escrow, amount: int) -> None:
        if not row.state.final:
            row.remaining -= amount


_Change = Callable[[Folding, Escrow, Event, Mapping[str, Any]], None]

_CHANGES: dict[str, _Change] = {
    _CREATED: Folding._created_again,
    "StateTransitioned": Folding._move,
    "QuoteAccepted": Folding._quote_accepted,
    "EscrowLinked": Folding._linked,
    "EscrowReleased": Folding._released,
    "EscrowRefunded": Folding._refunded,
    "PlatformFeeAccrued": Folding._fee,
    "EscrowMilestoneReleased": Folding._part_released,
    "EscrowMediatorPaid": Folding._mediator_paid,
    "PenaltyPaid": Folding._penalty_paid,
    "DisputeOpened": Folding._disputed,
    "DisputeResolved": Folding._noted,
    "BondPosted": Folding._bond_posted,
    "BondOwed": Folding._bond_owed,
    "BondPaid": Folding._bond_paid,
    "ClausesAgreed": Folding._clauses,
    "MilestoneScheduled": Folding._part_agreed,
    "MilestonePaid": Folding._noted,
    "MilestoneRefunded": Folding._part_refunded,
    "CancellationAnnounced": Folding._leaving,
    "DisputeTimedOut": Folding._timed_out,
    "SettledByConsent": Folding._agreed,
    "AttestationAnchored": Folding._attested,
    "CreditAccrued": Folding._noted,
}


def payees_in(events: Iterable[Event]) -> list[str]:
    """Whose credits these events change."""
    named = ("CreditAccrued", "CreditWithdrawn")
    return list(dict.fromkeys(event.args["payee"] for event in events if event.name in named))


def _lacks_window(row: Escrow) -> bool:
    return row.open and row.delivered_at is not None and row.window_ends_at is None and not row.look
