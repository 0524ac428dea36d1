"""Opening a dispute, ruling on it, closing one on which nobody ruled, and ending an escrow by consent."""

from __future__ import annotations

from actp.kernel_views import Bond, Bonds
from actp.proofs import free_bytes, ruling_proof
from actp.types import State
from actp.units import ZERO_ADDRESS
from coordinator.errors import InvalidIntent, WrongState
from coordinator.intents.built import Built, kernel_call, missing_role, paid_out, transition, wrong_state
from coordinator.intents.escrows import EscrowState
from coordinator.intents.models import CloseDispute, DisputeEscrow, ResolveDispute, SettleByConsent
from coordinator.intents.payments import used_allowance
from coordinator.intents.world import World
from coordinator.types import Effects, Movement, Subject

__all__ = ["close_dispute", "dispute_escrow", "resolve_dispute", "settle_by_consent"]

_WHOLE_BPS = 10_000
_NO_BOND = Bond(ZERO_ADDRESS, 0)
_NO_BONDS = Bonds(_NO_BOND, _NO_BOND, 0)


def dispute_escrow(intent: DisputeEscrow, world: World) -> Built:
    """The wallet posts its bond, unless somebody did so for it; it owes the bond if the token refuses to move it."""
    escrow = world.escrow(intent)
    record, bonds = escrow.record, escrow.bonds or _NO_BONDS
    if record.state is not State.DELIVERED:
        raise wrong_state(escrow, "disputing it", State.DELIVERED)
    if world.wallet not in (record.requester, record.provider):
        raise missing_role(world, escrow, "requester or provider", None)
    if record.window_ends is not None and world.now > record.window_ends:
        raise WrongState(
            f"The dispute window of the escrow {escrow.id} ended at {record.window_ends}; it is {world.now}.",
            code="window_closed",
            hint="It can be released.",
        )
    by_requester = world.wallet == record.requester
    posted = bonds.requester if by_requester else bonds.provider
    bond = 0 if posted.amount else world.kernel.constants.bond(record.amount, record.dispute_bond_bps_locked)
    evidence = intent.evidence if intent.evidence.startswith("0x") else intent.evidence.encode()
    return Built(
        transition(world, escrow, State.DISPUTED, free_bytes(evidence, "evidence")),
        Effects(_posting(world, bond), used_allowance(world, bond)),
        Subject(world.token, bond, record.provider if by_requester else record.requester, escrow.id, locks=bool(bond)),
    )


def resolve_dispute(intent: ResolveDispute, world: World) -> Built:
    escrow = world.escrow(intent)
    if escrow.record.state is not State.DISPUTED:
        raise wrong_state(escrow, "ruling on it", State.DISPUTED)
    _require_judge(escrow, world)
    state, requester_amount, provider_amount, at_fault = _ruling(intent, escrow)
    proof = b""
    if intent.decision == "split":
        proof = ruling_proof(requester_amount, provider_amount, at_fault, None, None)
    return Built(
        transition(world, escrow, state, proof),
        Effects(_payouts(world, escrow, state, requester_amount, provider_amount, at_fault)),
        Subject(world.token, 0, escrow.record.provider, escrow.id),
    )


def close_dispute(intent: CloseDispute, world: World) -> Built:
    """Nobody ruled in time, so nobody is at fault: the split that was agreed, and every bond back to its poster."""
    escrow = world.escrow(intent)
    record = escrow.record
    if record.state is not State.DISPUTED:
        raise wrong_state(escrow, "closing its dispute", State.DISPUTED)
    assert escrow.clauses is not None
    ends = record.updated_at + world.kernel.constants.dispute_timeout_seconds
    if world.now <= ends:
        raise WrongState(
            f"The dispute of the escrow {escrow.id} can be ruled on until {ends}; it is {world.now}.",
            code="dispute_not_timed_out",
            hint="Wait for a ruling, or for the time-out.",
        )
    requester_amount = escrow.remaining * escrow.clauses.timeout_requester_bps // _WHOLE_BPS
    provider_amount = escrow.remaining - requester_amount
    return Built(
        kernel_call(world, "closeTimedOutDispute", bytes.fromhex(escrow.id[2:])),
        Effects(_payouts(world, escrow, State.CANCELLED, requester_amount, provider_amount, False)),
        Subject(world.token, 0, record.requester if world.wallet == record.provider else record.provider, escrow.id),
    )


def settle_by_consent(intent: SettleByConsent, world: World) -> Built:
    """Whether the signatures are the parties' is for the contract to say: a party may be a contract itself."""
    escrow = world.escrow(intent)
    record = escrow.record
    if not record.funded:
        raise wrong_state(escrow, "splitting it", State.COMMITTED, State.IN_PROGRESS, State.DELIVERED, State.DISPUTED)
    _require_whole(escrow, intent.requester_amount, intent.provider_amount)
    if world.now > intent.valid_until:
        raise WrongState(
            f"The consent was valid up to {intent.valid_until}, and it is {world.now}.",
            code="consent_expired",
            hint="Let it be signed again, with a later valid_until.",
        )
    signed = {record.requester: intent.requester_signature, record.provider: intent.provider_signature}
    missing = [party for party, signature in signed.items() if signature is None and party != world.wallet]
    if missing:
        raise InvalidIntent(
            f"The consent of {' and '.join(missing)} is missing.",
            code="consent_missing",
            hint="Each party has to sign, except for the one that sends.",
        )
    call = kernel_call(
        world,
        "settleByConsent",
        bytes.fromhex(escrow.id[2:]),
        intent.requester_amount,
        intent.provider_amount,
        intent.valid_until,
        *(bytes.fromhex((signature or "0x")[2:]) for signature in signed.values()),
    )
    # Nobody is found at fault, as with a dispute that is called off: every bond goes back to its poster.
    movements = _payouts(world, escrow, State.CANCELLED, intent.requester_amount, intent.provider_amount, False)
    other = record.requester if world.wallet == record.provider else record.provider
    return Built(call, Effects(movements), Subject(world.token, 0, other, escrow.id))


def _posting(world: World, bond: int) -> tuple[Movement, ...]:
    return (Movement(world.token, world.wallet, world.vault, bond, creditable=True),) if bond else ()


def _require_whole(escrow: EscrowState, requester_amount: int, provider_amount: int) -> None:
    if requester_amount + provider_amount != escrow.remaining:
        raise InvalidIntent(
            f"The parts {requester_amount} and {provider_amount} do not sum to {escrow.remaining}, which is what the "
            f"escrow {escrow.id} holds.",
            code="split_mismatch",
            hint="Divide exactly what is left.",
        )


def _require_judge(escrow: EscrowState, world: World) -> None:
    record = escrow.record
    named = None if escrow.clauses is None else escrow.clauses.arbiter
    entitled = world.may_mediate if named is None else world.wallet == named
    if not entitled or world.wallet in (record.requester, record.provider):
        raise missing_role(world, escrow, "arbiter", named)


def _ruling(intent: ResolveDispute, escrow: EscrowState) -> tuple[State, int, int, bool]:
    """The state that it ends in, the requester's and the provider's part, and whether the provider is at fault."""
    left = escrow.remaining
    if intent.decision == "release":
        return State.SETTLED, 0, left, False
    if intent.decision == "refund":
        return State.CANCELLED, left, 0, False
    requester_amount, provider_amount = intent.requester_amount or 0, intent.provider_amount or 0
    _require_whole(escrow, requester_amount, provider_amount)
    return State.SETTLED, requester_amount, provider_amount, bool(intent.provider_at_fault)


def _payouts(
    world: World, escrow: EscrowState, state: State, requester_amount: int, provider_amount: int, at_fault: bool
) -> tuple[Movement, ...]:
    """What the vault pays, each payee once, as the kernel does: see `Disputes.sol`. The bond of whoever opened the
    dispute goes to the other party if it is wrong, which only a ruling that settles can say; else to its poster. A bond
    that is owed comes out of its party's part. A bond that was posted ahead for the other party becomes a credit.
    """
    record, bonds = escrow.record, escrow.bonds or _NO_BONDS
    by_provider = record.dispute_initiator == record.provider
    bond = bonds.provider if by_provider else bonds.requester
    net = provider_amount - world.kernel.constants.fee(provider_amount, record.platform_fee_bps_locked)
    payee = bond.poster
    if state is State.SETTLED and by_provider == at_fault:
        payee = record.requester if at_fault else record.provider
        if at_fault:
            moved = min(bonds.owed, net)
            net, requester_amount = net - moved, requester_amount + moved
        else:
            moved = min(bonds.owed, requester_amount)
            net, requester_amount = net + moved, requester_amount - moved
    movements: tuple[Movement, ...] = ()
    if payee == record.requester:
        requester_amount += bond.amount
    elif payee == record.provider:
        net += bond.amount
    else:
        movements = paid_out(world, payee, bond.amount)
    return movements + paid_out(world, record.requester, requester_amount) + paid_out(world, record.provider, net)
