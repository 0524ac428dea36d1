"""Batches of deliveries and of settlements: what is not due is skipped and reported, and stops nothing else."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from tests.model.kernel_core import UNDELIVERED, Id, State
from tests.model.machine_base import MachineBase
from tests.model.strategies import MAX_TRANSACTIONS, PARTIES, mostly_at_the_edge, seldom
from tests.model.world import ACTORS

others = st.lists(st.integers(0, MAX_TRANSACTIONS - 1), max_size=3)
"""What else a batch names, whatever its state; also what it names already."""


class Batches(MachineBase):
    """Rules for batches of what is under way."""

    @precondition(lambda self: self.have(*UNDELIVERED))
    @rule(caller=st.sampled_from((*PARTIES[2:] * 4, *ACTORS)), others=others, unknown=seldom, turn=st.integers(0, 3))
    def deliver_batch(self, caller: str, others: list[int], unknown: bool, turn: int) -> None:
        ids = [tx.id for tx in self.have(*UNDELIVERED)]
        self.deliver_all(caller, self._mixed(ids, others, unknown, turn))

    @precondition(lambda self: self.have(State.DELIVERED) or self.paid_out())
    @rule(
        caller=st.sampled_from((*["stranger"] * 5, *PARTIES[:2], *ACTORS)),
        others=others,
        unknown=seldom,
        turn=st.integers(0, 3),
        waits_for=st.integers(0, 3),
        offset=mostly_at_the_edge,
        frozen=st.sampled_from((None, None, None, *PARTIES[2:])),
        gas=st.one_of(st.none(), st.none(), st.none(), st.integers(60_000, 500_000)),
    )
    def settle_batch(
        self,
        caller: str,
        others: list[int],
        unknown: bool,
        turn: int,
        waits_for: int,
        offset: int | None,
        frozen: str | None,
        gas: int | None,
    ) -> None:
        """Time goes to the edge of one of the windows, so that some items are due and some are not."""
        ends = sorted({tx.window_ends_at or 0 for tx in self.have(State.DELIVERED)}, reverse=True)
        if ends:
            self.travel(ends[min(waits_for, len(ends) - 1)], offset)
        if frozen is not None and frozen not in self.model.token.blocked:
            self.set_blocked("issuer", frozen, True)
        ids = [tx.id for tx in (*self.have(State.DELIVERED), *self.paid_out())]
        self.settle_all(caller, self._mixed(ids, others, unknown, turn), gas)
        if frozen is not None and frozen in self.model.token.blocked:
            self.set_blocked("issuer", frozen, False)

    def _mixed(self, ids: Sequence[Id], others: list[int], unknown: bool, turn: int) -> list[Id]:
        known = list(self.model.transactions)
        mixed = [*ids, *(known[place % len(known)] for place in others), *([b"\x99" * 32] if unknown else [])]
        start = turn % len(mixed)
        return mixed[start:] + mixed[:start]
