"""What happens around transactions: time, governance, the token, and calls that make no sense."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from tests.model.governance_model import DAY
from tests.model.kernel_model import (
    CANCELLATION_NOTICE,
    NO_ID,
    KernelModel,
)
from tests.model.machine_base import MachineBase, nth, someone
from tests.model.strategies import (
    PARTIES,
    Caller,
    callers,
    mostly_at_the_edge,
    often,
    picks,
    proofs,
    really,
    seldom,
)
from tests.model.token_model import TOKEN, VAULT, ZERO
from tests.model.world import ACTORS, Call


class Surroundings(MachineBase):
    """Rules that are not about one step of one transaction."""

    @precondition(lambda self: self.model.transactions)
    @rule(
        really=really,
        pick=picks,
        by_provider=st.booleans(),
        caller=callers,
        uid=st.sampled_from((b"\x05" * 32, NO_ID)),
    )
    def anchor_attestation(self, really: bool, pick: int, by_provider: bool, caller: Caller, uid: bytes) -> None:
        if not really:
            return
        known = [tx for tx in self.model.transactions.values() if tx.window_ends_at is not None]
        tx = nth(known or list(self.model.transactions.values()), pick)
        sender = caller or tx.parties[by_provider]
        self.kernel(sender, "anchorAttestation", KernelModel.anchor, tx.id, uid)

    @rule(really=really, caller=st.sampled_from(ACTORS), payee=st.sampled_from((*[None] * 30, *ACTORS)))
    def withdraw_credit(self, really: bool, caller: str, payee: Caller) -> None:
        if not really:
            return
        owed = sorted(account for account, amount in self.model.credits.items() if amount > 0)
        if owed or payee is not None:
            self.kernel(caller, "withdrawCredit", KernelModel.withdraw_credit, payee or owed[0])

    @rule(really=really, caller=callers)
    def withdraw_fees(self, really: bool, caller: Caller) -> None:
        if not really:
            return
        if self.model.fees == 0 and caller is None:
            return
        self.kernel(caller or self.model.fee_recipient, "withdrawFees", KernelModel.withdraw_fees)

    @rule(really=really, seconds=st.sampled_from((1, CANCELLATION_NOTICE, DAY, 2 * DAY, 8 * DAY)))
    def wait(self, really: bool, seconds: int) -> None:
        if not really:
            return
        self.harness.wait_until(self.harness.now + seconds)

    @rule(really=really, approved=st.booleans(), paused=st.booleans(), caller=callers)
    def switch(self, really: bool, approved: bool, paused: bool, caller: Caller) -> None:
        """Vault approval and pause."""
        if not really:
            return
        if approved != self.model.vault_approved:
            admin = caller or self.model.admin
            self.kernel(admin, "approveEscrowVault", KernelModel.approve_vault, VAULT, approved)
        if paused != self.model.paused:
            self.set_paused(someone(caller or self.model.pauser), paused)

    @rule(
        really=really,
        caller=callers,
        step=st.sampled_from(("schedule", "execute", "execute", "cancel", "bond")),
        fee_bps=st.sampled_from((0, 1, 100, 250, 500, 501)),
        penalty_bps=st.sampled_from((0, 500, 5_000, 5_001)),
        bond_bps=st.sampled_from((0, 333, 2_000, 2_001)),
        offset=mostly_at_the_edge,
    )
    def change_rates(
        self, really: bool, caller: Caller, step: str, fee_bps: int, penalty_bps: int, bond_bps: int, offset: int | None
    ) -> None:
        if not really:
            return
        admin = caller or self.model.admin
        pending = self.model.pending
        match step:
            case "bond":
                self.kernel(admin, "updateDisputeBondBps", KernelModel.set_bond_rate, bond_bps)
            case "cancel":
                self.kernel(admin, "cancelEconomicParamsUpdate", KernelModel.cancel_rates)
            case "execute" if pending is not None:
                self.travel(pending.execute_after, offset)
                self.kernel(caller or "stranger", "executeEconomicParamsUpdate", KernelModel.execute_rates)
            case _:
                self.kernel(admin, "scheduleEconomicParams", KernelModel.schedule_rates, fee_bps, penalty_bps)
        self.harness.compare_governance()

    @rule(
        really=really,
        caller=callers,
        role=st.sampled_from(("mediator", "mediator", "mediator", "admin", "accept", "pauser", "fees", "vault")),
        account=st.sampled_from(("mediator", "mediator", "mediator", VAULT, *ACTORS, ZERO)),
        approved=often,
        wait=st.sampled_from((False, True, True)),
    )
    def appoint(self, really: bool, caller: Caller, role: str, account: str, approved: bool, wait: bool) -> None:
        if not really:
            return
        admin = caller or self.model.admin
        match role:
            case "mediator":
                self.kernel(admin, "approveMediator", KernelModel.approve_mediator, account, approved)
                if wait:
                    self.harness.wait_until(self.harness.now + 2 * DAY)
            case "admin":
                self.kernel(admin, "transferAdmin", KernelModel.transfer_admin, account)
            case "accept":
                pending = self.model.pending_admin
                self.kernel(
                    caller or (account if pending == ZERO else pending), "acceptAdmin", KernelModel.accept_admin
                )
            case "pauser":
                self.kernel(admin, "updatePauser", KernelModel.update_pauser, account)
            case "fees":
                self.kernel(admin, "updateFeeRecipient", KernelModel.update_fee_recipient, account)
            case _:
                self.kernel(admin, "approveEscrowVault", KernelModel.approve_vault, account, approved)
        self.harness.compare_governance()

    @rule(
        really=really,
        account=st.sampled_from((*PARTIES, *PARTIES, *PARTIES, "mediator", "treasury", "stranger", VAULT)),
        blocked=st.sampled_from((True, True, False)),
        caller=st.sampled_from(("issuer",) * 11 + ("stranger",)),
    )
    def block(self, really: bool, account: str, blocked: bool, caller: str) -> None:
        if not really:
            return
        frozen = sorted(self.model.token.blocked - {TOKEN})
        # A vault that stays blocked would turn everything that follows into credits.
        account = VAULT if VAULT in frozen else account if blocked else next(iter(frozen), account)
        blocked = blocked and account not in frozen
        self.set_blocked(caller, account, blocked)

    @rule(really=really, paused=st.booleans())
    def pause_token(self, really: bool, paused: bool) -> None:
        if really and paused != self.model.token.paused:
            self.set_token_paused(paused)

    @rule(
        really=really,
        caller=st.sampled_from((*PARTIES, "stranger", "admin")),
        kind=st.sampled_from(("approve", "mint", "transfer", "revoke")),
        to=st.sampled_from((VAULT, VAULT, *PARTIES, ZERO)),
        amount=st.sampled_from((0, 1, 10**6, 10**15)),
    )
    def move_tokens(self, really: bool, caller: str, kind: str, to: str, amount: int) -> None:
        if not really:
            return
        match kind:
            case "mint":
                call = Call(caller, TOKEN, "mint", (to, amount))
                self.harness.call(call, lambda model, now: model.token.mint(caller, to, amount))
            case "transfer":
                call = Call(caller, TOKEN, "transfer", (to, amount))
                self.harness.call(call, lambda model, now: model.token.transfer(caller, to, amount))
            case _:
                allowance = 0 if kind == "revoke" and amount == 0 else 2 * 10**15
                call = Call(caller, TOKEN, "approve", (VAULT, allowance))
                self.harness.call(call, lambda model, now: model.token.approve(caller, allowance))

    @precondition(lambda self: self.model.transactions)
    @rule(
        pick=picks,
        really=really,
        unknown=seldom,
        caller=st.sampled_from((*PARTIES, "admin", "stranger")),
        what=st.sampled_from(
            (*range(9), "link", "accept", "settle", "milestone", "announce", "early", "close", "bond")
        ),
        proof=proofs,
    )
    def misuse(self, really: bool, pick: int, unknown: bool, caller: str, what: int | str, proof: bytes) -> None:
        """Any call on any transaction, in whatever state it is."""
        if not really:
            return
        known = nth(list(self.model.transactions.values()), pick)
        tx_id = b"\x99" * 32 if unknown else known.id
        match what:
            case int():
                self.kernel(caller, "transitionState", KernelModel.transition, tx_id, what, proof)
            case "link":
                self.kernel(caller, "linkEscrow", KernelModel.link, tx_id, VAULT, tx_id)
            case "accept":
                self.kernel(caller, "acceptQuote", KernelModel.accept_quote, tx_id, known.amount)
            case "settle":
                self.kernel(caller, "releaseEscrow", KernelModel.release_escrow, tx_id)
            case "milestone":
                self.kernel(caller, "releaseMilestone", KernelModel.milestone, tx_id, known.held)
            case "announce":
                self.kernel(caller, "announceCancellation", KernelModel.announce_cancellation, tx_id)
            case "early":
                self.kernel(caller, "cancelEarly", KernelModel.cancel_early, tx_id)
            case "close":
                self.kernel(caller, "closeTimedOutDispute", KernelModel.close_timed_out, tx_id)
            case _:
                self.kernel(caller, "postBond", KernelModel.post_bond, tx_id, known.requester)
