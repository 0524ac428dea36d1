"""What happens to schedules, and how parties end a transaction by consent."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from tests.model.governance_model import DAY
from tests.model.kernel_core import REFUND_GRACE, UNDELIVERED, PartStatus, State, Transaction
from tests.model.kernel_model import KernelModel
from tests.model.machine_base import MachineBase, nth, someone
from tests.model.strategies import Caller, callers, mostly_at_the_edge, picks, really
from tests.model.token_model import VAULT
from tests.model.world import ACTORS, KERNEL, Call

SPLIT = "Split(bytes32 transactionId,uint256 requesterAmount,uint256 providerAmount,uint256 validUntil)"

parts = st.sampled_from((*["locked"] * 8, 0, 1, 2, 4, 2**256 - 1))
"""The index of a milestone: mostly of one that is locked."""


class Schedules(MachineBase):
    """Rules for milestones that were agreed at creation, and for consent."""

    def scheduled(self, *states: State) -> list[Transaction]:
        return [tx for tx in self.have(*states) if tx.schedule]

    @precondition(lambda self: self.scheduled(State.IN_PROGRESS))
    @rule(pick=picks, caller=callers, part=parts)
    def pay_milestone(self, pick: int, caller: Caller, part: int | str) -> None:
        tx = nth(self.scheduled(State.IN_PROGRESS), pick)
        self.kernel(
            caller or tx.requester, "payMilestone", KernelModel.pay_milestone, tx.id, _index(tx, part, last=False)
        )

    @precondition(lambda self: self.scheduled(*UNDELIVERED))
    @rule(
        pick=picks,
        caller=st.sampled_from(("requester", "requester", "provider", "stranger", *ACTORS)),
        part=parts,
        last=st.booleans(),
        offset=mostly_at_the_edge,
    )
    def refund_milestone(self, pick: int, caller: str, part: int | str, last: bool, offset: int | None) -> None:
        tx = nth(self.scheduled(*UNDELIVERED), pick)
        sender = {"requester": tx.requester, "provider": tx.provider}.get(caller, caller)
        index = _index(tx, part, last=last)
        if index < len(tx.schedule):
            self.travel(tx.schedule[index].deadline + (0 if sender == tx.requester else REFUND_GRACE), offset)
        self.kernel(sender, "refundMilestone", KernelModel.refund_milestone, tx.id, index)

    @precondition(lambda self: self.scheduled(*UNDELIVERED))
    @rule(pick=picks, really=really, settle=st.booleans())
    def refund_all(self, pick: int, really: bool, settle: bool) -> None:
        """The requester takes back whatever is locked; then nothing is left, and anyone may close it."""
        if not really:
            return
        tx = nth(self.scheduled(*UNDELIVERED), pick)
        for index, part in enumerate(tx.schedule):
            if part.status is PartStatus.LOCKED:
                self.travel(part.deadline, 1)
                self.kernel(tx.requester, "refundMilestone", KernelModel.refund_milestone, tx.id, index)
        if settle:
            self.kernel("stranger", "releaseEscrow", KernelModel.release_escrow, tx.id)

    @precondition(lambda self: self.harness.open_funded())
    @rule(
        pick=picks,
        really=really,
        among=st.sampled_from((State.COMMITTED, *[State.IN_PROGRESS] * 3, State.DELIVERED, *[State.DISPUTED] * 2)),
        sender=st.sampled_from(("requester", "provider", "stranger", "stranger", *ACTORS)),
        requester_bps=st.sampled_from((0, 1, 3_333, 5_000, 9_999, 10_000)),
        surplus=st.sampled_from((0,) * 10 + (-1, 1, 2**256 - 1)),
        valid_for=st.sampled_from((DAY, DAY, DAY, DAY, DAY, 0, -1)),
        flaw=st.sampled_from(
            (*[None] * 14, "one signs", "swapped", "other split", "other transaction", "other chain", "other kernel",
             "cut", "other time")
        ),
    )  # fmt: skip
    def consent(
        self,
        pick: int,
        really: bool,
        among: State,
        sender: str,
        requester_bps: int,
        surplus: int,
        valid_for: int,
        flaw: str | None,
    ) -> None:
        if not really:
            return
        funded = [self.model.transactions[transaction_id] for transaction_id in self.harness.open_funded()]
        tx = nth([tx for tx in funded if tx.state is among] or funded, pick)
        state = tx.state
        caller = someone({"requester": tx.requester, "provider": tx.provider}.get(sender, sender))
        back = tx.held * requester_bps // 10_000
        rest = (tx.held - back + surplus) % 2**256
        words = (tx.id, back, rest, self.harness.now + valid_for)
        signatures, signers = self._signatures(tx, words, flaw)
        self.harness.call(
            Call(caller, KERNEL, "settleByConsent", (*words, *signatures)),
            lambda model, now: model.settle_by_consent(now, caller, *words, signers),
        )
        if self.model.transactions[tx.id].state is not state:
            self.tally.consents[state] += 1

    def _signatures(
        self, tx: Transaction, words: tuple[bytes, int, int, int], flaw: str | None
    ) -> tuple[list[bytes], frozenset[str]]:
        """Of requester and provider, and whose are good; a contract of this system signs nothing."""
        signed = list(words)
        match flaw:
            case "other split":
                signed[1:3] = [words[1] + 1, (words[2] - 1) % 2**256]
            case "other transaction":
                signed[0] = b"\x77" * 32
            case "other time":
                signed[3] = words[3] + 1
        signatures = [
            self.world.sign(
                party if party in ACTORS else "stranger",
                KERNEL,
                SPLIT,
                tuple(signed),
                chain_id=1 if flaw == "other chain" else 0,
                verifier=VAULT if flaw == "other kernel" else None,
            )
            for party in tx.parties
        ]
        good = frozenset(tx.parties) & {*ACTORS}
        match flaw:
            case None:
                return signatures, good
            case "one signs":
                return [b"", signatures[1]], good - {tx.requester}
            case "swapped":
                return signatures[::-1], frozenset()
            case "cut":
                return [signature[:64] for signature in signatures], frozenset()
            case _:
                return signatures, frozenset()


def _index(tx: Transaction, part: int | str, *, last: bool) -> int:
    locked = [index for index, one in enumerate(tx.schedule) if one.status is PartStatus.LOCKED]
    if isinstance(part, int):
        return part
    return (locked or [0])[-1 if last else 0]
