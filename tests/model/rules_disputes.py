"""What happens to a transaction that somebody disputes."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from tests.model.governance_model import MEDIATOR_APPROVAL_DELAY
from tests.model.kernel_core import DISPUTE_TIMEOUT, State, Transaction
from tests.model.kernel_model import KernelModel
from tests.model.machine_base import MachineBase, nth
from tests.model.strategies import (
    Caller,
    callers,
    early_or_late,
    mostly_at_the_edge,
    picks,
    sometimes_at_the_edge,
)
from tests.model.token_model import VAULT, ZERO, Account
from tests.model.world import ACTORS


class Disputes(MachineBase):
    """Rules for disputes, their bonds and their ends."""

    def _disputable(self) -> list[Transaction]:
        """Delivered work whose window is open; a rule may let it pass just before its call."""
        return [tx for tx in self.have(State.DELIVERED) if self.harness.now <= (tx.window_ends_at or 0)]

    @precondition(lambda self: self._disputable())
    @rule(
        pick=picks,
        by_provider=st.booleans(),
        caller=callers,
        offset=sometimes_at_the_edge,
        frozen=st.sampled_from((False, False, True)),
    )
    def dispute(self, pick: int, by_provider: bool, caller: Caller, offset: int | None, frozen: bool) -> None:
        tx = nth(self._disputable(), pick)
        party = tx.parties[by_provider]
        if frozen and party not in self.model.token.blocked:
            self.set_blocked("issuer", party, True)
        self.travel(tx.window_ends_at, offset)
        self.transition(caller or party, tx, State.DISPUTED, b"evidence")

    @precondition(lambda self: self._wanting_bond())
    @rule(
        pick=picks,
        by_provider=st.booleans(),
        payer=st.sampled_from(("stranger", "requester_a", "provider_a", "admin")),
        party=callers,
        offset=early_or_late,
    )
    def post_bond(self, pick: int, by_provider: bool, payer: str, party: Caller, offset: int | None) -> None:
        tx = nth(self._wanting_bond(), pick)
        self.travel(tx.window_ends_at, offset)
        wanted = tx.initiator or tx.parties[by_provider]
        self.kernel(payer, "postBond", KernelModel.post_bond, tx.id, party or wanted)

    def _wanting_bond(self) -> list[Transaction]:
        return self._disputable() + self._owing_bond()

    def _owing_bond(self) -> list[Transaction]:
        return [tx for tx in self.have(State.DISPUTED) if tx.owes_bond]

    @precondition(lambda self: self.have(State.DISPUTED))
    @rule(
        pick=picks,
        caller=st.sampled_from((*["resolver"] * 12, *["mediator"] * 4, *ACTORS)),
        outcome=st.sampled_from((State.SETTLED, State.CANCELLED)),
        shape=st.sampled_from((*[0, 2, 3, 3, 4, 5] * 3, 1, "33 bytes", "6 words", "bad flag", "bad address", "wraps")),
        requester_bps=st.sampled_from((0, 0, 1, 3_333, 5_000, 9_999, 10_000)),
        at_fault=st.booleans(),
        mediator=st.sampled_from((*["mediator"] * 6, "arbiter", "arbiter", VAULT, VAULT, *ACTORS, ZERO)),
        mediator_bps=st.sampled_from((0, 300, 1_000, 1_000, 1_001)),
        surplus=st.sampled_from((0,) * 10 + (-1, 1)),
        in_office=st.sampled_from((None, 0, 0, -1)),
    )
    def rule_dispute(
        self,
        pick: int,
        caller: str,
        outcome: State,
        shape: int | str,
        requester_bps: int,
        at_fault: bool,
        mediator: str,
        mediator_bps: int,
        surplus: int,
        in_office: int | None,
    ) -> None:
        tx = nth(self.have(State.DISPUTED), pick)
        if caller == "resolver":
            caller = self.model.admin if tx.arbiter == ZERO else tx.arbiter
        if mediator == "arbiter":
            mediator, in_office = tx.arbiter, None
        if in_office is not None and mediator != ZERO:
            self._appoint(mediator, in_office)
        fee = tx.held * mediator_bps // 10_000 if shape in (4, 5, "bad address") else 0
        back = (tx.held - fee) * requester_bps // 10_000
        words = [back, max(tx.held - fee - back + surplus, 0), int(at_fault), self.world.number(mediator), fee]
        match shape:
            case 4:
                words.pop(2)
            case "6 words":
                words.append(0)
            case "bad flag":
                words[2:] = [2]
            case "bad address":
                words[3] += 2**160
            case "wraps":
                words[:2] = [tx.held + 1, 2**256 - 1]
                words[2:] = []
            case int():
                words = words[:shape]
        proof = b"".join(word.to_bytes(32, "big") for word in words)
        if shape == "33 bytes":
            proof = proof[:33]
        if caller == tx.arbiter != self.model.admin:
            # A named arbiter rules alone: the very ruling is nothing that the admin may make.
            self.transition(self.model.admin, tx, outcome, proof)
        self.transition(caller, tx, outcome, proof)

    @precondition(lambda self: self.have(State.DISPUTED))
    @rule(
        pick=picks,
        outcome=st.sampled_from((State.SETTLED, State.CANCELLED)),
        requester_bps=st.sampled_from((0, 3_333, 10_000)),
        at_fault=st.booleans(),
        mediator=st.sampled_from(("mediator", VAULT)),
    )
    def rule_with_mediator(
        self, pick: int, outcome: State, requester_bps: int, at_fault: bool, mediator: Account
    ) -> None:
        """A ruling that pays a mediator who is in office; the vault is one that cannot be paid."""
        self.rule_dispute(pick, "resolver", outcome, 5, requester_bps, at_fault, mediator, 1_000, 0, 0)

    @precondition(lambda self: self._owing_bond())
    @rule(pick=picks, share_bps=st.sampled_from((0, 1, 5_000)))
    def rule_against_debtor(self, pick: int, share_bps: int) -> None:
        """A bond that its party could not post comes out of its share, which may be too small for that."""
        tx = nth(self._owing_bond(), pick)
        at_fault = tx.initiator == tx.provider
        requester_bps = 10_000 - share_bps if at_fault else share_bps
        position = self.have(State.DISPUTED).index(tx)
        self.rule_dispute(position, "resolver", State.SETTLED, 3, requester_bps, at_fault, "mediator", 0, 0, None)

    def _appoint(self, mediator: Account, offset: int) -> None:
        """Takes time to the moment at which the mediator may begin, or just before."""
        if mediator not in self.model.mediators:
            self.kernel(self.model.admin, "approveMediator", KernelModel.approve_mediator, mediator, True)
        self.travel(self.model.mediators[mediator] + MEDIATOR_APPROVAL_DELAY, offset)

    @precondition(lambda self: self.have(State.DISPUTED))
    @rule(pick=picks, caller=st.sampled_from(ACTORS), offset=mostly_at_the_edge)
    def close_timed_out_dispute(self, pick: int, caller: str, offset: int | None) -> None:
        tx = nth(self.have(State.DISPUTED), pick)
        self.travel(tx.updated_at + DISPUTE_TIMEOUT, offset)
        self.kernel(caller, "closeTimedOutDispute", KernelModel.close_timed_out, tx.id)
