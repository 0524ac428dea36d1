"""What a client does in one step, beyond the public protocol: pay once, pay by lists and by signature, settle by
consent, pay by schedule.
"""

from __future__ import annotations

from collections.abc import Sequence

from actp.batches import Batches, BatchResult
from actp.binding import Session, TxResult
from actp.consents import Consents
from actp.events import Events
from actp.intents import Intents, Payment, PaymentOrder
from actp.kernel import Kernel
from actp.orders import USUAL_TIMEOUT_BPS, AgreedClauses, Milestone, MilestoneView
from actp.payments import DEFAULT_BATCH, Funding, Payments
from actp.relays import Relays
from actp.signed import PaymentAuthorization, SplitConsent
from actp.stepwise import StepwisePayments
from actp.token import Token
from actp.vault import EscrowVault

__all__ = ["Verbs"]


class Verbs:
    """The verbs of `ACTPClient` for kernels of the version actp-escrow/2; older ones take `pay` only."""

    def __init__(self, session: Session, *, kernel: Kernel, vault: EscrowVault, token: Token, events: Events) -> None:
        self.kernel = kernel
        self.intents = intents = Intents(session, kernel, token, vault.address)
        stepwise = StepwisePayments(session, kernel=kernel, vault=vault, events=events, intents=intents)
        self._payments = Payments(session, kernel=kernel, vault=vault, token=token, intents=intents, stepwise=stepwise)
        self._relays = Relays(session, kernel=kernel, vault=vault.address, token=token, intents=intents)
        self._consents = Consents(session, kernel=kernel, vault=vault)
        self._batches = Batches(session, kernel)

    # ---------------------------------------------------------------- paying in one step

    def pay(
        self,
        *,
        provider: str,
        amount: int,
        deadline: int,
        dispute_window: int | None = None,
        metadata: str | bytes = "0x",
        idempotency_key: str | bytes | None = None,
        arbiter: str | None = None,
        timeout_requester_bps: int = USUAL_TIMEOUT_BPS,
        milestones: Sequence[Milestone] = (),
        agent_id: int = 0,
        requester_agent_id: int = 0,
        funding: Funding = "allowance",
        standing_allowance: int | None = None,
    ) -> Payment:
        """Creates and funds a transaction in one step, by an allowance for the vault.

        Terms are those of `kernel.create_transaction`. `arbiter` alone rules on disputes (None: the kernel's admin and
        mediators), `timeout_requester_bps` is the requester's share of a dispute on which nobody rules, `milestones`
        is a schedule that sums to the amount.

        If the allowance is missing, exactly that is approved first, or `standing_allowance` base units for payments to
        come; with `funding="permit"` it is signed and sent along instead (EIP-2612).

        `idempotency_key` names the payment for the caller: a second call with the same key and terms, in whatever
        process, finds the first payment (`found`) and pays nothing, even after a lost reply; with other terms it raises
        IdempotencyConflict. Without a key every call pays.

        On kernels without salts it takes two eth transactions, and the key is bound into the service hash; see
        `actp.stepwise`. Raises InvalidInput, InsufficientFunds, Reverted, UnsupportedByKernel, UnsupportedByToken.
        """
        return self._payments.pay(
            provider=provider,
            amount=amount,
            deadline=deadline,
            dispute_window=dispute_window,
            metadata=metadata,
            idempotency_key=idempotency_key,
            arbiter=arbiter,
            timeout_requester_bps=timeout_requester_bps,
            milestones=milestones,
            agent_id=agent_id,
            requester_agent_id=requester_agent_id,
            funding=funding,
            standing_allowance=standing_allowance,
        )

    def open_payment(
        self,
        *,
        provider: str,
        amount: int,
        deadline: int,
        dispute_window: int | None = None,
        metadata: str | bytes = "0x",
        idempotency_key: str | bytes | None = None,
        arbiter: str | None = None,
        timeout_requester_bps: int = USUAL_TIMEOUT_BPS,
        milestones: Sequence[Milestone] = (),
        agent_id: int = 0,
        requester_agent_id: int = 0,
    ) -> Payment:
        """As `pay`, without funding it: for a quote, and `fund_transaction` later. A `pay` with the same key and terms
        funds it.
        """
        return self._payments.open(
            provider=provider,
            amount=amount,
            deadline=deadline,
            dispute_window=dispute_window,
            metadata=metadata,
            idempotency_key=idempotency_key,
            arbiter=arbiter,
            timeout_requester_bps=timeout_requester_bps,
            milestones=milestones,
            agent_id=agent_id,
            requester_agent_id=requester_agent_id,
        )

    def pay_many(
        self, orders: Sequence[PaymentOrder], *, batch_size: int = DEFAULT_BATCH, standing_allowance: int | None = None
    ) -> tuple[Payment, ...]:
        """Creates and funds a list of payments, in its order, with one eth transaction for each `batch_size` of them
        (at most 100, which fits the gas of one), each all or nothing.

        What an idempotency key finds is not paid again. Raises PartialBatch if some eth transactions were mined and a
        later one was not.
        """
        return self._payments.pay_many(orders, batch_size=batch_size, standing_allowance=standing_allowance)

    def authorize_payment(
        self,
        *,
        provider: str,
        amount: int,
        deadline: int,
        dispute_window: int | None = None,
        metadata: str | bytes = "0x",
        idempotency_key: str | bytes | None = None,
        arbiter: str | None = None,
        timeout_requester_bps: int = USUAL_TIMEOUT_BPS,
        milestones: Sequence[Milestone] = (),
        agent_id: int = 0,
        requester_agent_id: int = 0,
        valid_for: int = 3_600,
    ) -> PaymentAuthorization:
        """Signs a payment of this account that anybody can send within `valid_for` seconds (EIP-3009). Sends nothing,
        and needs neither ETH nor an allowance. Whoever sends it can change no term.
        """
        return self._relays.authorize(
            provider=provider,
            amount=amount,
            deadline=deadline,
            dispute_window=dispute_window,
            metadata=metadata,
            idempotency_key=idempotency_key,
            arbiter=arbiter,
            timeout_requester_bps=timeout_requester_bps,
            milestones=milestones,
            agent_id=agent_id,
            requester_agent_id=requester_agent_id,
            valid_for=valid_for,
        )

    def submit_authorization(self, authorization: PaymentAuthorization) -> Payment:
        """Sends what a requester signed with `authorize_payment`; this account pays the gas.

        Raises SignatureRefused, with nothing sent, if it is not for this deployment, not valid now, used, or changed;
        IdempotencyConflict if its id belongs to a payment with other terms.
        """
        return self._relays.submit(authorization)

    # ---------------------------------------------------------------- lists

    def deliver_many(self, transaction_ids: Sequence[str], *, batch_size: int = DEFAULT_BATCH) -> BatchResult:
        """The provider delivers a list; what cannot be delivered, or has clauses that this client does not accept, is
        left as it is and reported. Nothing is sent if nothing can be delivered.
        """
        return self._batches.deliver(transaction_ids, batch_size=batch_size)

    def settle_many(self, transaction_ids: Sequence[str], *, batch_size: int = DEFAULT_BATCH) -> BatchResult:
        """Settles a list with one transfer for each payee; what is not due is left as it is and reported. A payee whom
        the token refuses gets a credit. Nothing is sent if nothing is due.
        """
        return self._batches.settle(transaction_ids, batch_size=batch_size)

    # ---------------------------------------------------------------- consent and schedules

    def sign_split(
        self,
        transaction_id: str,
        requester_amount: int,
        provider_amount: int,
        valid_until: int,
        *,
        party: str | None = None,
    ) -> SplitConsent:
        """Signs, as a party, how what the escrow still holds is split (base units; the fee comes out of the provider's
        part). It counts up to `valid_until`, in unix seconds. `party` names a contract wallet that accepts this
        account's signature (ERC-1271). Sends nothing.
        """
        return self._consents.sign(transaction_id, requester_amount, provider_amount, valid_until, party=party)

    def settle_by_consent(self, *consents: SplitConsent) -> TxResult:
        """Ends a transaction by a split that both parties want: with the other party's consent if this account is a
        party, else with both. Raises SignatureRefused, with nothing sent, if one does not count.
        """
        return self._consents.settle(*consents)

    def pay_milestone(self, transaction_id: str, index: int) -> TxResult:
        """The same as `kernel.pay_milestone`."""
        return self.kernel.pay_milestone(transaction_id, index)

    def refund_milestone(self, transaction_id: str, index: int) -> TxResult:
        """The same as `kernel.refund_milestone`."""
        return self.kernel.refund_milestone(transaction_id, index)

    def milestones(self, transaction_id: str) -> tuple[MilestoneView, ...]:
        """The same as `kernel.milestones`."""
        return self.kernel.milestones(transaction_id)

    def clauses(self, transaction_id: str) -> AgreedClauses:
        """The same as `kernel.clauses`."""
        return self.kernel.clauses(transaction_id)
