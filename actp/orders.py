"""Payments as kernels with salts take them: order, clauses, schedule, and the ids that follow from them. No I/O."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Any, Literal

from actp.errors import InvalidInput
from actp.terms import Limits, require_int
from actp.types import Transaction
from actp.units import ZERO_ADDRESS, hash_or_keccak, keccak, require_address, shown

__all__ = [
    "MAX_MILESTONES",
    "USUAL_TIMEOUT_BPS",
    "Acceptance",
    "AgreedClauses",
    "Clauses",
    "Milestone",
    "MilestoneStatus",
    "MilestoneView",
    "Order",
    "authorization_nonce",
    "bound_service_hash",
    "check_clauses",
    "differences",
    "salt_of",
    "salted_id",
]

USUAL_TIMEOUT_BPS = 5_000
"""The requester's share of a dispute on which nobody rules, where nothing else was agreed."""
MAX_MILESTONES = 64
_WHOLE_BPS = 10_000
_KEY_DOMAIN = b"actp.idempotency-key.v1\x00"
_SERVICE_DOMAIN = b"actp.idempotent-service.v1\x00"
_ORDER_TYPE = "(address,uint256,uint256,uint256,bytes32,bytes32)"
_CLAUSES_TYPE = "(address,uint256,uint256,uint256,(uint256,uint256,bytes32)[])"


class MilestoneStatus(IntEnum):
    """What became of a part of a schedule."""

    LOCKED = 0
    PAID = 1
    REFUNDED = 2


@dataclass(frozen=True, slots=True)
class Milestone:
    """One part of a schedule: base units, unix seconds after which it is refundable unless it was paid, and what has to
    be fulfilled ("0x" for nothing; 32 bytes are taken as a hash, anything else is hashed).
    """

    amount: int
    deadline: int
    condition: str | bytes = "0x"


@dataclass(frozen=True, slots=True)
class MilestoneView:
    """A part of a schedule as the kernel has it."""

    amount: int
    deadline: int
    condition_hash: str
    status: MilestoneStatus


@dataclass(frozen=True, slots=True)
class AgreedClauses:
    """Who alone rules on disputes of a transaction (None: the kernel's admin and mediators), and the requester's share,
    in basis points, of a dispute on which nobody rules.
    """

    arbiter: str | None
    timeout_requester_bps: int


@dataclass(frozen=True, slots=True)
class Order:
    """The contracts' `Order`. `service_hash` and `salt` are 0x hex of 32 bytes."""

    provider: str
    amount: int
    deadline: int
    dispute_window: int
    service_hash: str
    salt: str

    def fields(self) -> tuple[Any, ...]:
        """As the ABI takes it."""
        return (
            self.provider, self.amount, self.deadline, self.dispute_window, bytes.fromhex(self.service_hash[2:]),
            bytes.fromhex(self.salt[2:]),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Clauses:
    """The contracts' `Clauses`; `arbiter` is the zero address for none. Conditions of milestones are hashes."""

    arbiter: str = ZERO_ADDRESS
    timeout_requester_bps: int = USUAL_TIMEOUT_BPS
    agent_id: int = 0
    requester_agent_id: int = 0
    milestones: tuple[Milestone, ...] = ()

    @property
    def usual(self) -> bool:
        """Whether a payment needs none of these to be said: no arbiter, half and half, no schedule."""
        return self.arbiter == ZERO_ADDRESS and self.timeout_requester_bps == USUAL_TIMEOUT_BPS and not self.milestones

    def fields(self) -> tuple[Any, ...]:
        """As the ABI takes it."""
        parts = [(part.amount, part.deadline, bytes.fromhex(str(part.condition)[2:])) for part in self.milestones]
        return (self.arbiter, self.timeout_requester_bps, self.agent_id, self.requester_agent_id, parts)


@dataclass(frozen=True, slots=True)
class Acceptance:
    """Which clauses a provider works under. `arbiters` None is any; a transaction without an arbiter always passes."""

    arbiters: frozenset[str] | None = frozenset()
    highest_timeout_requester_bps: int = USUAL_TIMEOUT_BPS

    @classmethod
    def of(cls, arbiters: Collection[str] | Literal["any"], highest_timeout_requester_bps: int) -> Acceptance:
        """From what a client is given. Raises InvalidInput."""
        share = _share(highest_timeout_requester_bps, "highest_timeout_requester_bps")
        if arbiters == "any":
            return cls(None, share)
        if isinstance(arbiters, str):
            raise InvalidInput(
                f"accepted_arbiters is {shown(arbiters)}.", hint='Give a list of addresses, or "any" for all.'
            )
        return cls(frozenset(require_address(arbiter, "accepted arbiter") for arbiter in arbiters), share)

    def accepts(self, clauses: AgreedClauses) -> bool:
        """Whether work may begin under these clauses."""
        known = clauses.arbiter is None or self.arbiters is None or clauses.arbiter in self.arbiters
        return known and clauses.timeout_requester_bps <= self.highest_timeout_requester_bps


def salt_of(key: str | bytes) -> str:
    """The salt of an idempotency key: keccak256("actp.idempotency-key.v1" || 0x00 || key), text as UTF-8.

    Chain, kernel and requester are part of the transaction's id, so the salt binds none of them. Raises InvalidInput.
    """
    if isinstance(key, str):
        try:
            data = key.encode("utf-8")
        except UnicodeEncodeError:
            data = b""
    elif isinstance(key, (bytes, bytearray)):
        data = bytes(key)
    else:
        raise InvalidInput(f"idempotency_key must be text or bytes, not {type(key).__name__}.")
    if not data:
        raise InvalidInput(
            "idempotency_key is empty, or no text.", hint="Give what names this payment for you, or leave it out."
        )
    return "0x" + keccak(_KEY_DOMAIN + data).hex()


def bound_service_hash(salt: str, service_hash: str) -> str:
    """The service hash that stands for an idempotency key on kernels without salts:
    keccak256("actp.idempotent-service.v1" || 0x00 || salt || service hash).
    """
    return "0x" + keccak(_SERVICE_DOMAIN + bytes.fromhex(salt[2:]) + bytes.fromhex(service_hash[2:])).hex()


def salted_id(chain_id: int, kernel: str, requester: str, salt: str) -> str:
    """The id that a kernel gives to a payment with a salt."""
    words = (chain_id.to_bytes(32, "big"), _word(kernel), _word(requester), bytes.fromhex(salt[2:]))
    return "0x" + keccak(b"".join(words)).hex()


def _word(address: str) -> bytes:
    return bytes(12) + bytes.fromhex(address[2:])


def authorization_nonce(chain_id: int, kernel: str, requester: str, order: Order, clauses: Clauses) -> str:
    """The EIP-3009 nonce under which a requester signs a payment: the hash of all of its terms."""
    from eth_abi.abi import encode

    types = ["uint256", "address", "address", _ORDER_TYPE, _CLAUSES_TYPE]
    return "0x" + keccak(encode(types, [chain_id, kernel, requester, order.fields(), clauses.fields()])).hex()


def check_clauses(
    *,
    arbiter: object,
    timeout_requester_bps: object,
    milestones: Sequence[Milestone],
    agent_id: int,
    requester_agent_id: int,
    parties: tuple[str, str],
    amount: int,
    deadline: int,
    limits: Limits,
) -> Clauses:
    """The clauses as the kernel takes them; the deadlines of milestones are compared with the order's only. Raises
    InvalidInput.
    """
    judge = ZERO_ADDRESS if arbiter is None else require_address(arbiter, "arbiter")
    if judge in parties:
        raise InvalidInput(f"arbiter {judge} is a party.", hint="Name somebody who is neither requester nor provider.")
    if not isinstance(milestones, Sequence) or not all(isinstance(part, Milestone) for part in milestones):
        raise InvalidInput("milestones must be a sequence of Milestone.", hint="Use Milestone(amount, deadline).")
    parts = tuple(_check_part(index, part, deadline, limits) for index, part in enumerate(milestones))
    if len(parts) > MAX_MILESTONES:
        raise InvalidInput(f"{len(parts)} milestones are more than {MAX_MILESTONES}.", hint="Join some of them.")
    total = sum(part.amount for part in parts)
    if parts and total != amount:
        raise InvalidInput(
            f"The milestones sum to {total} base units, and the amount is {amount}.",
            hint="A schedule covers all of the amount.",
        )
    return Clauses(
        arbiter=judge,
        timeout_requester_bps=_share(timeout_requester_bps, "timeout_requester_bps"),
        agent_id=agent_id,
        requester_agent_id=requester_agent_id,
        milestones=parts,
    )


def _check_part(index: int, part: Milestone, deadline: int, limits: Limits) -> Milestone:
    name = f"milestones[{index}]"
    limits.check_amount(part.amount, f"{name}.amount")
    if require_int(part.deadline, f"{name}.deadline") > deadline:
        raise InvalidInput(
            f"{name}.deadline {part.deadline} is after the deadline of the payment, {deadline}.",
            hint="No part can be due after the whole.",
        )
    return replace(part, condition=hash_or_keccak(part.condition, f"{name}.condition"))


def _share(value: object, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _WHOLE_BPS:
        raise InvalidInput(f"{name} must be an int of basis points, 0 to {_WHOLE_BPS}, not {shown(value)}.")
    return value


def differences(
    order: Order, clauses: Clauses, record: Transaction, agreed: AgreedClauses | None, parts: Sequence[MilestoneView]
) -> tuple[str, ...]:
    """Names of the terms in which a payment that exists differs. `agreed` is None where the kernel has no clauses.

    A delivery may lengthen the dispute window, and the kernel then keeps its end only: it is compared before that.
    """
    pairs: dict[str, tuple[object, object]] = {
        "provider": (order.provider, record.provider),
        "amount": (order.amount, record.amount),
        "deadline": (order.deadline, record.deadline),
        "metadata": (order.service_hash, record.service_hash),
        "agent_id": (clauses.agent_id, record.agent_id),
        "requester_agent_id": (clauses.requester_agent_id, record.requester_agent_id),
    }
    if record.window_ends is None:
        pairs["dispute_window"] = (order.dispute_window, record.dispute_window)
    if agreed is not None:
        pairs["arbiter"] = (clauses.arbiter, agreed.arbiter or ZERO_ADDRESS)
        pairs["timeout_requester_bps"] = (clauses.timeout_requester_bps, agreed.timeout_requester_bps)
        wanted = [(part.amount, part.deadline, part.condition) for part in clauses.milestones]
        pairs["milestones"] = (wanted, [(part.amount, part.deadline, part.condition_hash) for part in parts])
    return tuple(name for name, (wanted, actual) in pairs.items() if wanted != actual)
