"""What a caller wants to pay, checked; and whether the kernel has that payment already."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from actp.binding import Session, TxResult
from actp.errors import ActpError, IdempotencyConflict, InvalidInput, UnknownTransaction
from actp.kernel import Kernel
from actp.orders import (
    USUAL_TIMEOUT_BPS,
    AgreedClauses,
    Clauses,
    Milestone,
    MilestoneView,
    Order,
    check_clauses,
    differences,
    salt_of,
    salted_id,
)
from actp.terms import check_deadline, check_terms
from actp.token import Token
from actp.types import State, Transaction

__all__ = ["Intent", "Intents", "Payment", "PaymentOrder", "naming"]

_LAG_SECONDS = 10.0
_POLL_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class PaymentOrder:
    """One payment of a list: base units, unix seconds, and a window in seconds (None: the kernel's default).

    `metadata` says what is bought: "0x" is nothing, 32 bytes are taken as a hash, anything else is hashed.
    """

    provider: str
    amount: int
    deadline: int
    dispute_window: int | None = None
    metadata: str | bytes = "0x"
    idempotency_key: str | bytes | None = None


@dataclass(frozen=True, slots=True)
class Payment:
    """A payment that exists. `found` says that it did so before, and was not paid again; `state` is where it stands (a
    payment that was found may have been delivered or cancelled since). `result` is the eth transaction that paid it,
    None if this call sent nothing.
    """

    transaction_id: str
    found: bool
    state: State
    result: TxResult | None = None


@dataclass(frozen=True, slots=True)
class Intent:
    """A payment that `requester` wants. `keyed` says that the salt came from an idempotency key."""

    requester: str
    order: Order
    clauses: Clauses
    keyed: bool
    transaction_id: str

    @property
    def opening(self) -> tuple[str, tuple[Any, ...]]:
        """The kernel's function that creates and funds it out of an allowance, and its arguments."""
        clauses = self.clauses
        if clauses.usual and not clauses.agent_id and not clauses.requester_agent_id:
            return "createFunded", (self.order.fields(),)
        return "createFundedWith", (self.order.fields(), clauses.fields())


class Intents:
    """Checks and finds the payments of one account at one kernel."""

    def __init__(self, session: Session, kernel: Kernel, token: Token, vault: str) -> None:
        self._session = session
        self._kernel = kernel
        self._contracts = {kernel.address: "the kernel", vault: "the vault", token.address: "the token"}

    def build(
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
    ) -> Intent:
        """What is wanted, with everything checked that does not depend on the time: a payment that exists is to be
        found after its deadline, too. Raises InvalidInput.
        """
        salt = "0x" + secrets.token_hex(32) if idempotency_key is None else salt_of(idempotency_key)
        requester, limits = self._session.address, self._kernel.limits
        terms = check_terms(
            requester=requester,
            provider=provider,
            amount=amount,
            deadline=deadline,
            dispute_window=dispute_window,
            metadata=metadata,
            agent_id=agent_id,
            requester_agent_id=requester_agent_id,
            signer=requester,
            contracts=self._contracts,
            limits=limits,
            now=None,
        )
        clauses = check_clauses(
            arbiter=arbiter,
            timeout_requester_bps=timeout_requester_bps,
            milestones=milestones,
            agent_id=terms.agent_id,
            requester_agent_id=terms.requester_agent_id,
            parties=(requester, terms.provider),
            amount=terms.amount,
            deadline=terms.deadline,
            limits=limits,
        )
        order = Order(terms.provider, terms.amount, terms.deadline, terms.dispute_window, terms.service_hash, salt)
        return self.of(requester, order, clauses, keyed=idempotency_key is not None)

    def of(self, requester: str, order: Order, clauses: Clauses, *, keyed: bool) -> Intent:
        """The intent for terms that are checked already, with the id that follows from them."""
        chain_id = self._session.sender.chain_id
        return Intent(
            requester, order, clauses, keyed, salted_id(chain_id, self._kernel.address, requester, order.salt)
        )

    def check_times(self, intents: Sequence[Intent], now: int | None = None) -> None:
        """Raises InvalidInput for deadlines that a new payment cannot have. The chain's time is asked for, unless it is
        given as `now`.
        """
        now, limits = self._session.now() if now is None else now, self._kernel.limits
        for intent in intents:
            check_deadline(intent.order.deadline, limits, now)
            for index, part in enumerate(intent.clauses.milestones):
                if part.deadline <= now:
                    raise InvalidInput(
                        f"milestones[{index}].deadline {part.deadline} is in the past: the chain's time is {now}.",
                        hint="Use a later time, such as client.now() + 3600.",
                    )

    def find(self, intent: Intent) -> Transaction | None:
        """The payment that has this intent's id, if there is one. Raises IdempotencyConflict if its terms differ."""
        try:
            record = self._kernel.get_transaction(intent.transaction_id)
        except UnknownTransaction:
            return None
        self.require_same(intent, record)
        return record

    def await_found(self, intent: Intent) -> Transaction | None:
        """As `find`, after the kernel has said that it is there: behind one URL there may be several nodes, and not all
        have its block yet.
        """
        until = time.monotonic() + _LAG_SECONDS
        while True:
            record = self.find(intent)
            if record is not None or time.monotonic() > until:
                return record
            time.sleep(_POLL_SECONDS)

    def require_same(self, intent: Intent, record: Transaction) -> None:
        """Raises IdempotencyConflict if a payment that exists has other terms than the intent."""
        transaction_id = record.transaction_id
        agreed: AgreedClauses | None = None
        parts: tuple[MilestoneView, ...] = ()
        if self._kernel.has_salts:
            agreed, parts = self._kernel.clauses(transaction_id), self._kernel.milestones(transaction_id)
        differing = differences(intent.order, intent.clauses, record, agreed, parts)
        if differing:
            raise IdempotencyConflict(transaction_id, differing)


def naming(intents: Sequence[Intent], send: Callable[[], TxResult]) -> TxResult:
    """Calls `send`; an error that leaves open what became of it says which payments to look for."""
    try:
        return send()
    except ActpError as error:
        if error.outcome == "unknown":
            ids = ", ".join(intent.transaction_id for intent in intents[:3])
            more = f" and {len(intents) - 3} more" if len(intents) > 3 else ""
            again = (
                "Calling again with the same terms and idempotency_key is safe: it finds the payment, or makes it."
                if all(intent.keyed for intent in intents)
                else "Without an idempotency_key a second call would be a second payment."
            )
            error.hint = f"{error.hint} If it is mined, kernel.get_transaction knows {ids}{more}. {again}".lstrip()
        raise
