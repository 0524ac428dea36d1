"""From what was asked for to what had to be sent: the call and its effects, as far as the body alone tells them.

What the body leaves to the deployment or to the state of an escrow (a default, the vault, how much is left) is taken
from the call and the effects that are claimed; everything else must be as the body says.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from actp import artifacts
from actp.orders import USUAL_TIMEOUT_BPS, salt_of, salted_id
from actp.proofs import free_bytes, ruling_proof, window_proof
from actp.types import State
from actp.units import ZERO_ADDRESS, hash_or_keccak
from coordinator.intents.built import named_texts
from coordinator.intents.models import (
    AcceptEscrow,
    ApproveErc20,
    CloseDispute,
    CreateEscrow,
    CreateEscrowBatch,
    CreateMilestoneEscrow,
    DeliverEscrow,
    DisputeEscrow,
    Intent,
    OfEscrow,
    Opening,
    OrderTerms,
    RefundEscrow,
    ReleaseEscrow,
    ReleaseMilestone,
    ResolveDispute,
    SettleByConsent,
    SettleEscrowBatch,
    Spending,
    TransferErc20,
    TransferEth,
    WithdrawCredit,
    WithdrawFees,
)
from coordinator.intents.settling import only_id
from coordinator.proofs.claims import EffectsClaim
from coordinator.types import ETH, AllowanceChange, Effects, Movement

__all__ = ["Sent", "calls", "effects", "texts", "transaction_id"]

_WORD = 32
_OF_TOKENS = (TransferErc20, ApproveErc20)
"""What is called is a token, which the kernel that an intent names is not."""


@dataclass(frozen=True, slots=True)
class Sent:
    """Who sent what: `data` as it is in the signed bytes, `effects` as they are claimed."""

    chain_id: int
    wallet: str
    to: str
    data: bytes
    effects: EffectsClaim

    def word(self, index: int) -> int:
        """The number in this word of the arguments; 0 beyond their end."""
        start = 4 + _WORD * index
        return int.from_bytes(self.data[start : start + _WORD], "big")


def calls(intent: Intent, sent: Sent) -> list[tuple[str | None, int, bytes]]:
    """Every (contract, value, data) that carries this out; the contract is None where the body does not name it.
    Nothing for questions. Raises InvalidInput for what cannot be sent.
    """
    made = _CALLS.get(type(intent))
    if made is None:
        return []
    named = intent.kernel if isinstance(intent, Spending) and not isinstance(intent, _OF_TOKENS) else None
    return [(named if to is None else to, value, data) for to, value, data in made(intent, sent)]


def effects(intent: Intent, sent: Sent) -> Effects | None:
    """What must happen; None where that depends on the state of an escrow."""
    moves, changes = sent.effects.movements, sent.effects.allowances
    match intent:
        case TransferEth():
            return Effects((Movement(ETH, sent.wallet, intent.to, intent.amount),))
        case TransferErc20():
            return Effects((Movement(sent.to, sent.wallet, intent.to, intent.amount),))
        case ApproveErc20():
            spender = changes[0].spender if changes else ZERO_ADDRESS
            return Effects((), (AllowanceChange(sent.to, sent.wallet, spender, to=intent.amount),))
        case CreateEscrow() | CreateMilestoneEscrow() | CreateEscrowBatch():
            total = intent.total if isinstance(intent, CreateEscrowBatch) else intent.amount
            token, vault = (moves[0].asset, moves[0].target) if moves else (ZERO_ADDRESS, ZERO_ADDRESS)
            return Effects(
                (Movement(token, sent.wallet, vault, total),),
                (AllowanceChange(token, sent.wallet, vault, used=total),),
            )
        case AcceptEscrow() | DeliverEscrow():
            return Effects()
        case _:
            return None


def transaction_id(intent: Intent, sent: Sent) -> str | None:
    """The ACTP transaction that it is about, None for none, or for several."""
    if isinstance(intent, OfEscrow) and intent.transaction_id is not None:
        return intent.transaction_id
    if isinstance(intent, OfEscrow | Opening):
        creator = intent.creator or sent.wallet
        return salted_id(sent.chain_id, sent.to, creator, salt_of(str(intent.escrow_numeric_id)))
    if isinstance(intent, SettleEscrowBatch):
        return only_id(intent)
    if isinstance(intent, CreateEscrowBatch) and len(intent.orders) == 1:
        return salted_id(sent.chain_id, sent.to, sent.wallet, salt_of(str(intent.orders[0].escrow_numeric_id)))
    return None


def texts(intent: Intent) -> dict[str, str]:
    """The texts of which only the hash goes on the chain, by that hash."""
    match intent:
        case CreateMilestoneEscrow():
            return named_texts(intent.terms, *(part.condition for part in intent.milestones))
        case Opening():
            return named_texts(intent.terms)
        case CreateEscrowBatch():
            return named_texts(*(order.terms for order in intent.orders))
        case _:
            return {}


# -------------------------------------------------------------------- the calls

_Calls = list[tuple[str | None, int, bytes]]


def _token(function: str, *arguments: Any) -> bytes:
    return artifacts.load("TestUSDC").call_data(function, arguments)


def _kernel(function: str, *arguments: Any) -> _Calls:
    return [(None, 0, artifacts.load("ACTPKernel").call_data(function, arguments))]


def _bytes(value: str) -> bytes:
    return bytes.fromhex(value[2:])


def _transfer_eth(intent: TransferEth, sent: Sent) -> _Calls:
    return [(intent.to, intent.amount, b"")]


def _transfer_erc20(intent: TransferErc20, sent: Sent) -> _Calls:
    return [(intent.token, 0, _token("transfer", intent.to, intent.amount))]


def _approve_erc20(intent: ApproveErc20, sent: Sent) -> _Calls:
    spenders = [one.spender for one in sent.effects.allowances] if intent.spender is None else [intent.spender]
    return [(intent.token, 0, _token("approve", spender, intent.amount)) for spender in spenders]


def _order(terms: Opening | OrderTerms, default_window: int) -> tuple[Any, ...]:
    """As the ABI takes it. The kernel fills in a dispute window that was left out."""
    window = default_window if terms.dispute_window is None else terms.dispute_window
    salt = salt_of(str(terms.escrow_numeric_id))
    service = _bytes(hash_or_keccak(terms.terms))
    return terms.provider, terms.amount, terms.deadline, window, service, _bytes(salt)


def _create(intent: CreateEscrow | CreateMilestoneEscrow, sent: Sent) -> _Calls:
    order = _order(intent, sent.word(3))
    parts = intent.milestones if isinstance(intent, CreateMilestoneEscrow) else ()
    if intent.arbiter is None and intent.timeout_requester_bps == USUAL_TIMEOUT_BPS and not parts:
        return _kernel("createFunded", order)
    schedule = [
        (part.amount, part.deadline or intent.deadline, _bytes(hash_or_keccak(part.condition))) for part in parts
    ]
    clauses = (intent.arbiter or ZERO_ADDRESS, intent.timeout_requester_bps, 0, 0, schedule)
    return _kernel("createFundedWith", order, clauses)


def _create_batch(intent: CreateEscrowBatch, sent: Sent) -> _Calls:
    # The arguments begin with where the list is, and how long it is; each order is six words.
    orders = [_order(order, sent.word(2 + 6 * index + 3)) for index, order in enumerate(intent.orders)]
    return _kernel("createFundedBatch", orders)


def _transition(intent: OfEscrow, sent: Sent, state: State, proof: bytes = b"") -> _Calls:
    return _kernel("transitionState", _id(intent, sent), state.value, proof)


def _accept(intent: AcceptEscrow, sent: Sent) -> _Calls:
    return _transition(intent, sent, State.IN_PROGRESS)


def _deliver(intent: DeliverEscrow, sent: Sent) -> _Calls:
    return _transition(intent, sent, State.DELIVERED, window_proof(intent.dispute_window))


def _release(intent: ReleaseEscrow, sent: Sent) -> _Calls:
    """Before the delivery, what is left is paid as a milestone: how much, or which, is in the call."""
    settled = _transition(intent, sent, State.SETTLED)
    return [
        *settled,
        *_kernel("releaseMilestone", _id(intent, sent), sent.word(1)),
        *_kernel("payMilestone", _id(intent, sent), sent.word(1)),
    ]


def _release_milestone(intent: ReleaseMilestone, sent: Sent) -> _Calls:
    if intent.index is not None:
        return _kernel("payMilestone", _id(intent, sent), intent.index)
    return _kernel("releaseMilestone", _id(intent, sent), intent.amount)


def _refund(intent: RefundEscrow, sent: Sent) -> _Calls:
    return _transition(intent, sent, State.CANCELLED)


def _dispute(intent: DisputeEscrow, sent: Sent) -> _Calls:
    evidence = intent.evidence if intent.evidence.startswith("0x") else intent.evidence.encode()
    return _transition(intent, sent, State.DISPUTED, free_bytes(evidence, "evidence"))


def _resolve(intent: ResolveDispute, sent: Sent) -> _Calls:
    if intent.decision == "release":
        return _transition(intent, sent, State.SETTLED)
    if intent.decision == "refund":
        return _transition(intent, sent, State.CANCELLED)
    proof = ruling_proof(intent.requester_amount, intent.provider_amount, intent.provider_at_fault, None, None)
    return _transition(intent, sent, State.SETTLED, proof)


def _settle(intent: SettleByConsent, sent: Sent) -> _Calls:
    signatures = (_bytes(one or "0x") for one in (intent.requester_signature, intent.provider_signature))
    parts = (intent.requester_amount, intent.provider_amount, intent.valid_until)
    return _kernel("settleByConsent", _id(intent, sent), *parts, *signatures)


def _close(intent: CloseDispute, sent: Sent) -> _Calls:
    return _kernel("closeTimedOutDispute", _id(intent, sent))


def _settle_batch(intent: SettleEscrowBatch, sent: Sent) -> _Calls:
    return _kernel("settleBatch", [_bytes(one) for one in intent.transaction_ids])


def _withdraw_credit(intent: WithdrawCredit, sent: Sent) -> _Calls:
    return _kernel("withdrawCredit", intent.payee)


def _withdraw_fees(intent: WithdrawFees, sent: Sent) -> _Calls:
    return _kernel("withdrawFees")


def _id(intent: OfEscrow, sent: Sent) -> bytes:
    return _bytes(transaction_id(intent, sent) or "0x")


_CALLS: dict[type[Intent], Callable[[Any, Sent], _Calls]] = {
    TransferEth: _transfer_eth,
    TransferErc20: _transfer_erc20,
    ApproveErc20: _approve_erc20,
    CreateEscrow: _create,
    CreateMilestoneEscrow: _create,
    CreateEscrowBatch: _create_batch,
    AcceptEscrow: _accept,
    DeliverEscrow: _deliver,
    ReleaseEscrow: _release,
    ReleaseMilestone: _release_milestone,
    RefundEscrow: _refund,
    DisputeEscrow: _dispute,
    ResolveDispute: _resolve,
    SettleByConsent: _settle,
    CloseDispute: _close,
    SettleEscrowBatch: _settle_batch,
    WithdrawCredit: _withdraw_credit,
    WithdrawFees: _withdraw_fees,
}
