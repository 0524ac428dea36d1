"""Paying in one step: the verbs `pay`, `open_payment` and `pay_many`.

The id of a payment follows from chain, kernel, requester and salt, and an idempotency key makes the salt. So the chain
itself refuses to make one payment twice, whoever lost a reply or raced whom; here that refusal becomes the payment that
exists.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Literal

from actp.binding import Binding, Session, TxResult
from actp.errors import ActpError, InvalidInput, PartialBatch, Reverted
from actp.intents import Intent, Intents, Payment, PaymentOrder, naming
from actp.kernel import Kernel
from actp.stepwise import StepwisePayments
from actp.token import Token
from actp.token_signing import Permit
from actp.types import State, Transaction
from actp.units import require_base_units, shown
from actp.vault import EscrowVault

__all__ = ["DEFAULT_BATCH", "MAX_BATCH", "Funding", "Payments", "require_batch_size"]

DEFAULT_BATCH = 50
MAX_BATCH = 100
"""How many items one eth transaction may carry. Creating and funding takes about 104,000 gas for each, and no eth
transaction may carry more than 2**24 (EIP-7825)."""

Funding = Literal["allowance", "permit"]


def require_batch_size(size: object) -> int:
    """A number of items in one eth transaction. Raises InvalidInput."""
    if isinstance(size, bool) or not isinstance(size, int) or not 1 <= size <= MAX_BATCH:
        raise InvalidInput(f"batch_size must be an int, 1 to {MAX_BATCH}, not {shown(size)}.")
    return size


class Payments:
    """The payments that one account makes at one kernel."""

    def __init__(
        self,
        session: Session,
        *,
        kernel: Kernel,
        vault: EscrowVault,
        token: Token,
        intents: Intents,
        stepwise: StepwisePayments,
    ) -> None:
        """`stepwise` pays on kernels without salts."""
        self._kernel = kernel
        self._vault = vault
        self._token = token
        self._intents = intents
        self._stepwise = stepwise
        self._binding = Binding(session, "ACTPKernel", kernel.address)

    def pay(self, *, funding: Funding = "allowance", standing_allowance: int | None = None, **terms: Any) -> Payment:
        """See `ACTPClient.pay`."""
        intent = self._intents.build(**terms)
        allow = _check_allowance(standing_allowance, intent.order.amount)
        if funding not in ("allowance", "permit"):
            raise InvalidInput(f"funding {shown(funding)} is unknown.", hint='Use "allowance" or "permit".')
        if not self._kernel.has_salts:
            if not intent.clauses.usual:
                self._kernel.require("pay with clauses or milestones")
            if funding == "permit":
                self._kernel.require('pay with funding="permit"')
            return self._stepwise.pay(intent, allow)
        found = self._intents.find(intent) if intent.keyed else None
        if found is not None:
            return self._take(found, allow)
        try:
            result = naming([intent], lambda: self._create_funded(intent, funding, allow))
        except (InvalidInput, Reverted) as error:
            return self._take(self._behind(error, intent), allow)
        return Payment(intent.transaction_id, False, State.COMMITTED, result)

    def open(self, **terms: Any) -> Payment:
        """See `ACTPClient.open_payment`."""
        self._kernel.require("open_payment")
        intent = self._intents.build(**terms)
        found = self._intents.find(intent) if intent.keyed else None
        if found is not None:
            return Payment(found.transaction_id, True, found.state)
        fields = intent.order.fields(), intent.clauses.fields()
        try:
            result = naming([intent], lambda: self._binding.send("createSalted", *fields))
        except (InvalidInput, Reverted) as error:
            found = self._behind(error, intent)
            return Payment(found.transaction_id, True, found.state)
        return Payment(intent.transaction_id, False, State.INITIATED, result)

    def pay_many(
        self, orders: Sequence[PaymentOrder], *, batch_size: int = DEFAULT_BATCH, standing_allowance: int | None = None
    ) -> tuple[Payment, ...]:
        """See `ACTPClient.pay_many`."""
        self._kernel.require("pay_many")
        size = require_batch_size(batch_size)
        intents = [self._intent_of(index, order) for index, order in enumerate(orders)]
        allow = _check_allowance(standing_allowance, 0)
        first_with: dict[str, int] = {}
        for index, intent in enumerate(intents):
            earlier = first_with.setdefault(intent.transaction_id, index)
            if earlier != index:
                raise InvalidInput(
                    f"orders[{index}] has the idempotency_key of orders[{earlier}].", hint="Give each payment its own."
                )
        found = {i.transaction_id: self._intents.find(i) for i in intents if i.keyed}
        left = [intent for intent in intents if found.get(intent.transaction_id) is None]
        self._intents.check_times(left)
        payments = {key: self._take(record, None) for key, record in found.items() if record is not None}
        for start in range(0, len(left), size):
            chunk = left[start : start + size]
            try:
                self._pay_chunk(chunk, allow, payments)
            except ActpError as error:
                if not start and error.outcome != "unknown":
                    raise
                pending = [intent.transaction_id for intent in left if intent.transaction_id not in payments]
                done = [payments[i.transaction_id] for i in intents if i.transaction_id in payments]
                raise PartialBatch(done, pending, error, hint=_again(left)) from error
        return tuple(payments[intent.transaction_id] for intent in intents)

    # ---------------------------------------------------------------- one payment

    def _create_funded(self, intent: Intent, funding: Funding, allow: int | None) -> TxResult:
        vault, amount = self._vault.address, intent.order.amount
        function, arguments = intent.opening
        send = partial(self._send_paid, amount, function, *arguments)
        if funding == "allowance":
            attempt = partial(self._binding.simulate, function, *arguments)
            return self._token.spend(vault, lambda: amount, attempt, send, allow=allow)

        def send_with(permit: Permit) -> TxResult:
            order, clauses = intent.order.fields(), intent.clauses.fields()
            return self._send_paid(amount, "createFundedWithPermit", order, clauses, permit.fields())

        return self._token.spend_by_permit(vault, amount, send, send_with)

    def _send_paid(self, amount: int, function: str, *arguments: Any) -> TxResult:
        with self._token.explaining(self._vault.address, lambda: amount):
            return self._binding.send(function, *arguments)

    def _behind(self, error: InvalidInput | Reverted, intent: Intent) -> Transaction:
        """The payment on account of which the kernel refused this one; else raises what speaks against it."""
        if isinstance(error, Reverted) and error.name == "SaltUsed":
            found = self._intents.await_found(intent)
            if found is not None:
                return found
        elif error.outcome == "not_sent":
            # The kernel compares deadlines with its clock itself; the clock is read to say what is wrong with them.
            self._intents.check_times([intent])
        raise error

    def _take(self, found: Transaction, allow: int | None) -> Payment:
        """A payment that exists, which is funded now if that was not done yet."""
        if found.state in (State.INITIATED, State.QUOTED):
            result = self._vault.fund_once(found.transaction_id, standing_allowance=allow)
            state = State.COMMITTED if result else self._kernel.get_transaction(found.transaction_id).state
            return Payment(found.transaction_id, True, state, result)
        return Payment(found.transaction_id, True, found.state)

    # ---------------------------------------------------------------- many

    def _intent_of(self, index: int, order: PaymentOrder) -> Intent:
        if not isinstance(order, PaymentOrder):
            raise InvalidInput(f"orders[{index}] is {shown(order)}.", hint="Give PaymentOrder(provider=..., ...).")
        try:
            return self._intents.build(
                provider=order.provider,
                amount=order.amount,
                deadline=order.deadline,
                dispute_window=order.dispute_window,
                metadata=order.metadata,
                idempotency_key=order.idempotency_key,
            )
        except InvalidInput as error:
            raise InvalidInput(f"orders[{index}]: {error.message}", hint=error.hint) from error

    def _pay_chunk(self, chunk: list[Intent], allow: int | None, payments: dict[str, Payment]) -> None:
        """Pays a part of the list in one eth transaction. Somebody may pay some of it at the same time; each such
        payment is found, and the rest is sent again.
        """
        for _ in range(len(chunk) + 1):
            left = [intent for intent in chunk if intent.transaction_id not in payments]
            if not left:
                return
            try:
                result = naming(left, partial(self._create_batch, left, allow))
            except Reverted as error:
                used = [intent for intent in left if intent.transaction_id == error.arguments.get("transactionId")]
                if not used:
                    raise
                payments[used[0].transaction_id] = self._take(self._behind(error, used[0]), allow)
                continue
            for intent in left:
                payments[intent.transaction_id] = Payment(intent.transaction_id, False, State.COMMITTED, result)

    def _create_batch(self, intents: Sequence[Intent], allow: int | None) -> TxResult:
        orders = [intent.order.fields() for intent in intents]
        total = sum(intent.order.amount for intent in intents)
        attempt = partial(self._binding.simulate, "createFundedBatch", orders)
        send = partial(self._send_paid, total, "createFundedBatch", orders)
        return self._token.spend(self._vault.address, lambda: total, attempt, send, allow=allow)


def _check_allowance(standing: int | None, amount: int) -> int | None:
    if standing is not None and require_base_units(standing, "standing_allowance") < amount:
        raise InvalidInput(
            f"standing_allowance {standing} is less than the amount, {amount}.", hint="Leave it out, or raise it."
        )
    return standing


def _again(intents: Sequence[Intent]) -> str:
    if all(intent.keyed for intent in intents):
        return "Call again with the same list: what is paid is found by its idempotency_key, the rest is paid."
    return "Look up the pending ids first (kernel.get_transaction): without idempotency keys a second call pays again."
