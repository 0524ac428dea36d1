"""What an intent becomes, and the pieces that building has in common."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from actp import artifacts
from actp.types import State
from actp.units import hash_or_keccak
from coordinator.errors import MissingRole, WrongState
from coordinator.intents.escrows import EscrowState
from coordinator.intents.world import World
from coordinator.types import Call, Effects, Movement, Subject

__all__ = [
    "Built",
    "kernel_call",
    "missing_role",
    "named_texts",
    "net_of_fee",
    "paid_out",
    "paid_to_provider",
    "token_call",
    "transition",
    "wrong_state",
]


@dataclass(frozen=True, slots=True)
class Built:
    """The call that carries out an intent, what it must do, what it is about, and texts of which only the hash goes on
    the chain, by their hash.
    """

    call: Call
    effects: Effects
    subject: Subject
    texts: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


def kernel_call(world: World, function: str, *arguments: Any) -> Call:
    return Call(world.kernel.address, artifacts.load("ACTPKernel").call_data(function, arguments))


def transition(world: World, escrow: EscrowState, state: State, proof: bytes = b"") -> Call:
    return kernel_call(world, "transitionState", bytes.fromhex(escrow.id[2:]), state.value, proof)


def token_call(token: str, function: str, *arguments: Any) -> Call:
    return Call(token, artifacts.load("TestUSDC").call_data(function, arguments))


def paid_out(world: World, payee: str, amount: int) -> tuple[Movement, ...]:
    """The vault pays; it owes a credit instead if the token refuses the payee. Nothing moves for 0."""
    return (Movement(world.token, world.vault, payee, amount, creditable=True),) if amount else ()


def paid_to_provider(world: World, escrow: EscrowState, amount: int) -> tuple[Movement, ...]:
    """A payout less its fee. The fee stays in the vault, and is pulled later."""
    return paid_out(world, escrow.record.provider, net_of_fee(world, escrow, amount))


def net_of_fee(world: World, escrow: EscrowState, amount: int) -> int:
    """What is left of a payout after the fee of the rate that the escrow has locked."""
    return amount - world.kernel.constants.fee(amount, escrow.record.platform_fee_bps_locked)


def named_texts(*texts: str) -> dict[str, str]:
    """Texts by the hash that goes on the chain; what is a hash already is none."""
    hashes = {hash_or_keccak(text): text for text in texts if text}
    return {name: text for name, text in hashes.items() if name != text.lower()}


def wrong_state(escrow: EscrowState, what: str, *needs: State) -> WrongState:
    needed = " or ".join(state.name for state in needs)
    return WrongState(
        f"The escrow {escrow.id} is {escrow.record.state.name}, and {what} needs {needed}.",
        hint="Wait until it is there, or choose another step.",
    )


def missing_role(world: World, escrow: EscrowState, role: str, account: str | None) -> MissingRole:
    who = "" if account is None else f", {account}"
    return MissingRole(
        f"The wallet {world.wallet} is not the {role} of the escrow {escrow.id}{who}.",
        hint=f"Submit it with the {role}'s wallet.",
    )
