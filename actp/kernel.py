"""The kernel: creating transactions and taking them from state to state.

Every verb sends one eth transaction (`dispute` and `post_bond` may approve the bond before it), waits until it is mined
and returns a `TxResult`; `create_transaction` returns the new id. What the kernel would refuse is not sent: the error
is the contract's own (`Reverted`), with its values.
"""

from __future__ import annotations

from typing import Any

from actp.binding import Session, TxResult
from actp.errors import ActpError, InvalidInput, Reverted
from actp.kernel_views import Generation, KernelViews
from actp.orders import Acceptance
from actp.proofs import free_bytes, quote_proof, ruling_proof, window_proof
from actp.terms import check_deadline, check_terms, require_seconds
from actp.token import Token
from actp.types import State, Transaction
from actp.units import require_address, require_base_units, require_bytes32, shown

__all__ = ["Kernel"]


class Kernel(KernelViews):
    """The kernel of one deployment, as one account sees it."""

    def __init__(
        self,
        session: Session,
        address: str,
        *,
        vault: str,
        token: Token,
        generation: Generation,
        version: str,
        acceptance: Acceptance | None = None,
    ) -> None:
        """`acceptance` says which clauses this client works under as a provider; the usual ones if it is left out."""
        super().__init__(session, address, generation=generation, version=version, acceptance=acceptance)
        self._vault = vault
        self._token = token

    # ---------------------------------------------------------------- create, quote, fund

    def create_transaction(
        self,
        *,
        requester: str,
        provider: str,
        amount: int,
        deadline: int,
        dispute_window: int | None = None,
        metadata: str | bytes = "0x",
        agent_id: int = 0,
        requester_agent_id: int = 0,
    ) -> str:
        """Opens a transaction and returns its id (0x and 64 hex digits). No tokens move.

        `requester` must be this client's account. `amount` is base units, `deadline` unix seconds of the chain's
        clock, `dispute_window` a duration in seconds (the kernel's default if left out). `metadata` says what is
        bought: "0x" is nothing, 32 bytes are taken as a hash, anything else is hashed. Raises InvalidInput, Reverted.
        """
        terms = check_terms(
            requester=requester,
            provider=provider,
            amount=amount,
            deadline=deadline,
            dispute_window=dispute_window,
            metadata=metadata,
            agent_id=agent_id,
            requester_agent_id=requester_agent_id,
            signer=self._session.address,
            contracts={self.address: "the kernel", self._vault: "the vault", self._token.address: "the token"},
            limits=self.limits,
            now=None,
        )
        try:
            receipt = self._binding.send_raw(
                "createTransaction",
                terms.provider,
                terms.requester,
                terms.amount,
                terms.deadline,
                terms.dispute_window,
                bytes.fromhex(terms.service_hash[2:]),
                terms.agent_id,
                terms.requester_agent_id,
            )
        except (InvalidInput, Reverted) as error:
            # The kernel compares the deadline with its clock itself; the clock is read to say what is wrong with it.
            if error.outcome == "not_sent":
                check_deadline(terms.deadline, self.limits, self._session.now())
            raise
        # The kernel's first log is TransactionCreated in every generation, whatever follows its id there.
        first = next((log for log in receipt.logs if log.address == self.address), None)
        if first is None or len(first.topics) < 2:
            raise ActpError(
                f"The eth transaction {receipt.tx_hash} is mined, and its receipt does not name the transaction.",
                code="no_transaction_id",
                hint=f"Check that {self.address} is an ACTP kernel.",
                outcome="none",
            )
        return first.topics[1]

    def submit_quote(self, transaction_id: str, quote: str | bytes = "0x") -> TxResult:
        """The provider quotes a price; `quote` is its text or the hash of it, "0x" for none."""
        return self._transition(transaction_id, State.QUOTED, quote_proof(quote))

    def accept_quote(self, transaction_id: str, amount: int) -> TxResult:
        """The requester takes the quoted price, in base units."""
        return self._send("acceptQuote", transaction_id, self.limits.check_amount(amount))

    def link_escrow(self, transaction_id: str, *, vault: str | None = None, escrow_id: str | None = None) -> TxResult:
        """The requester funds the transaction out of an allowance that the vault has already.

        The deployment's vault and the transaction's own id are used if nothing else is given. Raises MissingAllowance.
        """
        escrow = require_bytes32(transaction_id if escrow_id is None else escrow_id, "escrow_id")
        payee = self._vault if vault is None else require_address(vault, "vault")
        with self._token.explaining(payee, lambda: self.get_transaction(transaction_id).amount):
            return self._send("linkEscrow", transaction_id, payee, bytes.fromhex(escrow[2:]))

    def simulate_link(self, transaction_id: str) -> None:
        """Raises Reverted with what `link_escrow` would be refused for, and UnknownTransaction."""
        own = self._id(transaction_id)
        with self._explaining(transaction_id):
            self._binding.simulate("linkEscrow", own, self._vault, own)

    # ---------------------------------------------------------------- the provider's work

    def start(self, transaction_id: str) -> TxResult:
        """The provider starts the work, unless the transaction has clauses that this client does not accept
        (UnacceptedClauses).
        """
        return self._transition(transaction_id, State.IN_PROGRESS)

    def deliver(self, transaction_id: str, window_seconds: int | None = None) -> TxResult:
        """The provider delivers, and the dispute window starts: the agreed one, or a longer one.

        Needs no start before, except on older kernels. Raises UnacceptedClauses as `start` does.
        """
        if window_seconds is None and self.generation is Generation.G1:
            # G1 replaces the agreed window by its default if it is not told.
            window_seconds = self.get_transaction(transaction_id).dispute_window
        if window_seconds is not None:
            require_seconds(window_seconds, "window_seconds")
        return self._transition(transaction_id, State.DELIVERED, window_proof(window_seconds))

    def release_milestone(self, transaction_id: str, amount: int) -> TxResult:
        """The requester pays a part of the escrow (base units) to the provider while the work is in progress.

        On kernels of ours a transaction whose milestones paid out all of the escrow can only be settled from then on.
        """
        return self._send("releaseMilestone", transaction_id, require_base_units(amount))

    def pay_milestone(self, transaction_id: str, index: int) -> TxResult:
        """The requester pays a part of the agreed schedule, by its index, while the work is in progress."""
        self.require("pay_milestone")
        return self._send("payMilestone", transaction_id, _index(index))

    def refund_milestone(self, transaction_id: str, index: int) -> TxResult:
        """A part of the schedule that is still locked goes back to the requester once its deadline has passed: asked
        for by the requester, a week later by anyone; not once the work is delivered.
        """
        self.require("refund_milestone")
        return self._send("refundMilestone", transaction_id, _index(index))

    def anchor_attestation(self, transaction_id: str, attestation_uid: str | bytes) -> TxResult:
        """A party attaches the UID of an attestation (bytes32) to a transaction, once: delivered, disputed or settled,
        on kernels of ours also settled without a delivery.
        """
        uid = require_bytes32(attestation_uid, "attestation_uid")
        return self._send("anchorAttestation", transaction_id, bytes.fromhex(uid[2:]))

    # ---------------------------------------------------------------- ends

    def settle(self, transaction_id: str) -> TxResult:
        """Pays the provider: the requester at any time after delivery, anyone once the dispute window is over."""
        return self._transition(transaction_id, State.SETTLED)

    def cancel(self, transaction_id: str) -> TxResult:
        """Ends a transaction and refunds what it holds: before funding by the requester; then by the provider at any
        time, by the requester after the deadline, by anyone after the grace that follows it. On kernels of ours not
        once milestones have paid out all of it: then it can only be settled.
        """
        return self._transition(transaction_id, State.CANCELLED)

    def announce_cancellation(self, transaction_id: str) -> TxResult:
        """The requester announces to walk away; the provider may still start during the notice.

        The announcement lapses if it is not carried out within a day of the end of the notice; then it takes another.
        """
        self.require("announce_cancellation")
        return self._send("announceCancellation", transaction_id)

    def cancel_early(self, transaction_id: str) -> TxResult:
        """The requester walks away after the notice, within a day of its end, and pays the penalty."""
        self.require("cancel_early")
        return self._send("cancelEarly", transaction_id)

    # ---------------------------------------------------------------- disputes

    def dispute(self, transaction_id: str, evidence: str | bytes = b"") -> TxResult:
        """A party disputes a delivery inside the window, with evidence of any kind (bytes or 0x hex).

        The bond is approved to the vault, for exactly what is missing. Where the token refuses to move it, the dispute
        stands and the bond is owed. Raises InsufficientFunds if the account does not hold the bond.
        """
        proof = free_bytes(evidence, "evidence")
        record = self.get_transaction(transaction_id)
        bond = self._bond_due(record, self._session.address)
        return self._paying(bond, "transitionState", transaction_id, State.DISPUTED.value, proof)

    def post_bond(self, transaction_id: str, party: str | None = None) -> TxResult:
        """Posts the dispute bond for a party, whoever pays: ahead of its dispute, or when it is owed.

        If the party turns out to be right the bond goes back to its poster. One that somebody else posted ahead and
        that is not needed becomes the poster's credit, see `withdraw_credit`.
        """
        self.require("post_bond")
        account = self._session.address if party is None else require_address(party, "party")
        return self._paying(self.required_bond(transaction_id), "postBond", transaction_id, account)

    def resolve(
        self,
        transaction_id: str,
        requester_amount: int | None = None,
        provider_amount: int | None = None,
        provider_at_fault: bool | None = None,
        mediator: str | None = None,
        mediator_amount: int | None = None,
        outcome: State = State.SETTLED,
    ) -> TxResult:
        """A resolver ends a dispute. The amounts (base units) must sum to what the escrow holds.

        Without any amounts the provider gets everything (SETTLED) or the requester does (CANCELLED). A split without
        `provider_at_fault` counts as the provider's fault, as in every generation: its bond goes to the requester.
        """
        if outcome not in (State.SETTLED, State.CANCELLED):
            raise InvalidInput(
                f"A dispute cannot end as {shown(outcome)}.", hint="Use State.SETTLED or State.CANCELLED."
            )
        proof = ruling_proof(requester_amount, provider_amount, provider_at_fault, mediator, mediator_amount)
        return self._transition(transaction_id, outcome, proof)

    def close_timed_out_dispute(self, transaction_id: str) -> TxResult:
        """Anyone ends a dispute on which nobody ruled in time; the split agreed at creation applies."""
        self.require("close_timed_out_dispute")
        return self._send("closeTimedOutDispute", transaction_id)

    # ---------------------------------------------------------------- any step, and what is owed

    def transition_state(self, transaction_id: str, new_state: State, proof: str | bytes = "0x") -> TxResult:
        """Takes a transaction to `new_state` with a proof of one's own (bytes or 0x hex); see the verbs above."""
        if not isinstance(new_state, State):
            raise InvalidInput(f"{shown(new_state)} is not a State.", hint="Use State.DELIVERED and the like.")
        if new_state in (State.INITIATED, State.COMMITTED):
            raise InvalidInput(
                f"No transition leads to {new_state.name}.",
                hint="Use create_transaction for INITIATED, and fund_transaction for COMMITTED.",
            )
        return self._transition(transaction_id, new_state, free_bytes(proof))

    def withdraw_credit(self, payee: str | None = None) -> TxResult:
        """Pays a credit to its owner (this account by default); anyone may ask for it. Credits are payments that the
        token refused to move, and bonds that were posted ahead and not needed.
        """
        self.require("withdraw_credit")
        account = self._session.address if payee is None else require_address(payee, "payee")
        return self._binding.send("withdrawCredit", account)

    def withdraw_fees(self) -> TxResult:
        """The fee recipient takes the accrued fees."""
        self.require("withdraw_fees")
        return self._binding.send("withdrawFees")

    # ---------------------------------------------------------------- internals

    def _transition(self, transaction_id: str, state: State, proof: bytes = b"") -> TxResult:
        if state in (State.IN_PROGRESS, State.DELIVERED):
            self.require_acceptable(transaction_id)
        return self._send("transitionState", transaction_id, state.value, proof)

    def _send(self, function: str, transaction_id: str, *arguments: Any) -> TxResult:
        own = self._id(transaction_id)
        with self._explaining(transaction_id):
            return self._binding.send(function, own, *arguments)

    def _paying(self, bond: int, function: str, transaction_id: str, *arguments: Any) -> TxResult:
        if not bond:
            return self._send(function, transaction_id, *arguments)

        def attempt() -> None:
            with self._explaining(transaction_id):
                self._binding.simulate(function, self._id(transaction_id), *arguments)

        def send() -> TxResult:
            with self._token.explaining(self._vault, lambda: bond):
                return self._send(function, transaction_id, *arguments)

        return self._token.spend(self._vault, lambda: bond, attempt, send)

    def _bond_due(self, record: Transaction, account: str) -> int:
        """What the account has to pay if it disputes now."""
        if self.generation is Generation.OURS:
            bonds = self.bonds_of(record.transaction_id)
            held = bonds.requester if account == record.requester else bonds.provider
            if held.amount:
                return 0
        return self.required_bond(record.transaction_id)


def _index(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise InvalidInput(
            f"index must be an int from 0 on, not {shown(value)}.", hint="milestones(id) lists the parts."
        )
    return require_base_units(value, "index")
