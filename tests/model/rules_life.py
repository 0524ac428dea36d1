"""What happens to a transaction: from its creation to its settlement or cancellation."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

from tests.model.governance_model import DAY
from tests.model.kernel_model import (
    CANCELLATION_NOTICE,
    CANCELLATION_VALIDITY,
    MIN_AMOUNT,
    NO_ID,
    REFUND_GRACE,
    UNDELIVERED,
    UNFUNDED,
    KernelModel,
    State,
    Transaction,
)
from tests.model.machine_base import MachineBase, nth
from tests.model.strategies import (
    PARTIES,
    Caller,
    amounts,
    any_amounts,
    any_deadlines,
    any_windows,
    callers,
    deadlines,
    early_or_late,
    mostly_at_the_edge,
    often,
    picks,
    proofs,
    really,
    window_proofs,
    windows,
)
from tests.model.token_model import TOKEN, VAULT, ZERO
from tests.model.world import ACTORS, KERNEL, Call


class Life(MachineBase):
    """Rules for requesters and providers."""

    @initialize(
        lives=st.lists(
            st.tuples(
                amounts,
                deadlines,
                windows,
                st.integers(0, 3),
                st.sampled_from((*State, *[State.DISPUTED] * 3, State.QUOTED)),
                st.sampled_from(("bond", "both bonds", "debt")),
            ),
            min_size=1,
            max_size=2,
        )
    )
    def open_some(self, lives: list[tuple[int, int, int, int, State, str]]) -> None:
        """A run begins with one or two transactions that are under way."""
        for amount, due_in, window, who, goal, kind in lives:
            known = len(self.model.transactions)
            self.create(PARTIES[who % 2], PARTIES[2 + who // 2], amount, due_in, window, None, (0, 0))
            tx = list(self.model.transactions.values())[known]
            if goal is State.QUOTED:
                self.transition(tx.provider, tx, State.QUOTED)
                continue
            for state in (State.COMMITTED, State.IN_PROGRESS, State.DELIVERED):
                if tx.state < min(goal, State.DELIVERED):
                    self.go_to(tx, state)
            if goal is State.DISPUTED and tx.state is State.DELIVERED:
                self.open_dispute(tx, kind)

    @precondition(lambda self: self.in_time(*UNFUNDED, *UNDELIVERED))
    @rule(pick=picks, proof=window_proofs, pay=really)
    def go_on(self, pick: int, proof: bytes, pay: bool) -> None:
        """The next step that everybody hopes for."""
        tx = nth(self.in_time(*UNFUNDED, *UNDELIVERED), pick)
        if tx in self.paid_out():
            self.kernel("stranger", "releaseEscrow", KernelModel.release_escrow, tx.id)
            return
        if pay and tx.state is State.IN_PROGRESS:
            self.kernel(tx.requester, "releaseMilestone", KernelModel.milestone, tx.id, tx.held)
            return
        following = {State.COMMITTED: State.IN_PROGRESS, State.IN_PROGRESS: State.DELIVERED}
        self.go_to(tx, following.get(tx.state, State.COMMITTED), proof)

    @precondition(lambda self: self.in_time(*UNFUNDED, *UNDELIVERED))
    @rule(pick=picks, proof=window_proofs, pay=really)
    def go_on_again(self, pick: int, proof: bytes, pay: bool) -> None:
        """The same once more, so that it is chosen twice as often."""
        self.go_on(pick, proof, pay)

    @precondition(lambda self: self.has_room())
    @rule(
        requester=st.sampled_from((*PARTIES[:2] * 3, *PARTIES)),
        provider=st.sampled_from((*PARTIES[2:] * 4, *PARTIES, TOKEN, KERNEL, VAULT, ZERO)),
        amount=any_amounts,
        due_in=any_deadlines,
        window=any_windows,
        caller=callers,
        agents=st.sampled_from(((0, 0), (7, 0), (0, 2**256 - 1))),
    )
    def create(
        self,
        requester: str,
        provider: str,
        amount: int,
        due_in: int,
        window: int,
        caller: Caller,
        agents: tuple[int, int],
    ) -> None:
        sender = caller or requester
        deadline = self.harness.now + due_in
        service_hash = amount.to_bytes(32, "big")
        call = Call(
            sender,
            KERNEL,
            "createTransaction",
            (provider, requester, amount, deadline, window, service_hash, *agents),
        )
        self.harness.create(
            call,
            lambda model, now, transaction_id: model.create(
                now,
                sender,
                transaction_id=transaction_id,
                provider=provider,
                requester=requester,
                amount=amount,
                deadline=deadline,
                window=window,
                service_hash=service_hash,
                agent_id=agents[0],
                requester_agent_id=agents[1],
            ),
        )

    @precondition(lambda self: self.in_time(State.INITIATED))
    @rule(pick=picks, caller=callers, proof=proofs, offset=early_or_late)
    def quote(self, pick: int, caller: Caller, proof: bytes, offset: int | None) -> None:
        tx = nth(self.in_time(State.INITIATED), pick)
        self.travel(tx.deadline, offset)
        self.transition(caller or tx.provider, tx, State.QUOTED, proof)

    @precondition(lambda self: self.in_time(State.QUOTED))
    @rule(
        pick=picks,
        caller=callers,
        amount=any_amounts,
        offset=early_or_late,
        new_rates=st.sampled_from((None, None, (0, 0, 0), (500, 1_000, 1_000))),
    )
    def accept_quote(
        self, pick: int, caller: Caller, amount: int, offset: int | None, new_rates: tuple[int, int, int] | None
    ) -> None:
        tx = nth(self.in_time(State.QUOTED), pick)
        if new_rates is not None and self.model.pending is None:
            self.replace_rates(*new_rates)
        self.travel(tx.deadline, offset)
        self.kernel(caller or tx.requester, "acceptQuote", KernelModel.accept_quote, tx.id, amount)

    @precondition(lambda self: self.in_time(*UNFUNDED))
    @rule(
        pick=picks,
        caller=callers,
        vault=st.sampled_from((*[VAULT] * 12, KERNEL, ZERO)),
        escrow=st.sampled_from((*["own"] * 6, "new", "new", "next", "next", "taken", "other", "zero")),
        offset=early_or_late,
    )
    def fund(self, pick: int, caller: Caller, vault: str, escrow: str, offset: int | None) -> None:
        tx = nth(self.in_time(*UNFUNDED), pick)
        self.travel(tx.deadline, offset)
        self.kernel(caller or tx.requester, "linkEscrow", KernelModel.link, tx.id, vault, self._escrow_id(tx, escrow))
        if escrow == "next" and tx.escrow_id not in (None, tx.id) and self.has_room():
            # The squatted id gets its transaction, which must not notice anything.
            self.create(tx.requester, tx.provider, 10 * MIN_AMOUNT, 10 * DAY, 2 * DAY, None, (0, 0))
            latest = next(reversed(self.model.transactions.values()))
            if latest is not tx:
                self.go_to(latest, State.COMMITTED)

    def _escrow_id(self, tx: Transaction, kind: str) -> bytes:
        match kind:
            case "new":
                return bytes([0xA1, *tx.id[1:]])
            case "taken":
                return next(iter(self.model.aliases), NO_ID)
            case "other":
                return next(reversed(self.model.transactions))
            case "zero":
                return NO_ID
            case "next":
                # The id that the requester's next transaction will have: a squatter can compute it.
                arguments = (tx.provider, tx.requester, MIN_AMOUNT, self.harness.now + DAY, 2 * DAY, NO_ID, 0, 0)
                return self.world.answer(Call(tx.requester, KERNEL, "createTransaction", arguments)) or NO_ID
            case _:
                return tx.id

    @precondition(lambda self: self.in_time(State.COMMITTED))
    @rule(pick=picks, caller=callers, offset=early_or_late)
    def start(self, pick: int, caller: Caller, offset: int | None) -> None:
        tx = nth(self.in_time(State.COMMITTED), pick)
        self.travel(tx.deadline, offset)
        self.transition(caller or tx.provider, tx, State.IN_PROGRESS)

    @precondition(lambda self: self.in_time(State.IN_PROGRESS))
    @rule(pick=picks, caller=callers, proof=proofs, offset=early_or_late)
    def deliver(self, pick: int, caller: Caller, proof: bytes, offset: int | None) -> None:
        tx = nth(self.in_time(State.IN_PROGRESS), pick)
        self.travel(tx.deadline, offset)
        self.transition(caller or tx.provider, tx, State.DELIVERED, proof)

    @precondition(lambda self: self.have(State.IN_PROGRESS))
    @rule(
        pick=picks,
        caller=callers,
        size=st.sampled_from(
            ("half", "half", "third", "third", "all", "all", "minimum", "dust", "all but one", "more", "nothing")
        ),
    )
    def milestone(self, pick: int, caller: Caller, size: str) -> None:
        tx = nth(self.have(State.IN_PROGRESS), pick)
        sizes = {
            "half": tx.held // 2,
            "third": tx.held // 3,
            "all": tx.held,
            "minimum": MIN_AMOUNT,
            "dust": MIN_AMOUNT - 1,
            "all but one": tx.held - 1,
            "more": tx.held + 1,
            "nothing": 0,
        }
        amount = max(sizes[size], 0)
        self.kernel(caller or tx.requester, "releaseMilestone", KernelModel.milestone, tx.id, amount)

    @precondition(lambda self: self.have(State.DELIVERED) or self.paid_out())
    @rule(
        pick=picks,
        caller=st.sampled_from((*[None] * 6, *["stranger"] * 4, *ACTORS)),
        offset=mostly_at_the_edge,
        gas=st.one_of(st.none(), st.none(), st.integers(60_000, 260_000)),
    )
    def settle(self, pick: int, caller: Caller, offset: int | None, gas: int | None) -> None:
        tx = nth(self.paid_out() + self.have(State.DELIVERED), pick)
        self.travel(tx.window_ends_at, offset)
        sender = caller or tx.requester
        if gas is None:
            self.kernel(sender, "releaseEscrow", KernelModel.release_escrow, tx.id)
        else:
            call = Call(sender, KERNEL, "transitionState", (tx.id, int(State.SETTLED), b""))
            apply = lambda model, now: model.transition(now, sender, tx.id, State.SETTLED, b"")  # noqa: E731
            self.harness.call_with_gas(call, apply, gas)

    @precondition(lambda self: self.have(*UNFUNDED, *UNDELIVERED))
    @rule(
        pick=picks,
        caller=st.sampled_from(("requester", "requester", "provider", "provider", "stranger", "stranger", *ACTORS)),
        offset=mostly_at_the_edge,
        states=st.sampled_from((UNFUNDED, UNDELIVERED, (State.IN_PROGRESS,), (State.IN_PROGRESS,))),
    )
    def cancel(self, pick: int, caller: str, offset: int | None, states: tuple[State, ...]) -> None:
        tx = nth(self.have(*states) or self.have(*UNFUNDED, *UNDELIVERED), pick)
        sender = {"requester": tx.requester, "provider": tx.provider}.get(caller, caller)
        if sender != tx.provider:
            self.travel(tx.deadline + (0 if sender == tx.requester else REFUND_GRACE), offset)
        self.transition(sender, tx, State.CANCELLED)

    @precondition(lambda self: self.have(State.COMMITTED))
    @rule(pick=picks, caller=callers)
    def announce_cancellation(self, pick: int, caller: Caller) -> None:
        tx = nth(self.have(State.COMMITTED), pick)
        self.kernel(caller or tx.requester, "announceCancellation", KernelModel.announce_cancellation, tx.id)

    @precondition(lambda self: self.have(State.COMMITTED))
    @rule(
        pick=picks,
        caller=callers,
        announced=often,
        offset=mostly_at_the_edge,
        after=st.sampled_from(("notice", "notice", "deadline", "validity")),
    )
    def cancel_early(self, pick: int, caller: Caller, announced: bool, offset: int | None, after: str) -> None:
        tx = nth(self.have(State.COMMITTED), pick)
        if after == "deadline":
            # Announced so late that the notice ends with the deadline.
            self.harness.wait_until(tx.deadline - CANCELLATION_NOTICE)
        if announced and (tx.cancellation_at == 0 or after == "deadline"):
            self.kernel(tx.requester, "announceCancellation", KernelModel.announce_cancellation, tx.id)
        moments = {
            "notice": tx.cancellation_at,
            "deadline": tx.deadline,
            "validity": tx.cancellation_at + CANCELLATION_VALIDITY,
        }
        self.travel(moments[after], offset)
        self.kernel(caller or tx.requester, "cancelEarly", KernelModel.cancel_early, tx.id)
