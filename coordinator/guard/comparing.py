"""E against R: what an eth transaction did, and what it should have done."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from coordinator.guard.evidence import Holding
from coordinator.guard.happenings import Happened, net
from coordinator.types import ETH, AllowanceChange, Effects

__all__ = ["Difference", "add", "allowed", "differences", "due", "expected_of", "moved"]


@dataclass(frozen=True, slots=True)
class Difference:
    """Our eth transaction changed a holding by so much more (or less) than signed; or an allowance, if that is None."""

    holding: Holding | None
    amount: int
    message: str


def differences(happened: Happened, ours: frozenset[str]) -> list[Difference]:
    """E against R: where one eth transaction of ours did something else than it should. A revert does nothing."""
    if not happened.succeeded:
        return []
    # What else a stranger does while carrying out a signature of ours concerns others.
    signature = happened.sent is not None and happened.sent.nonce is None
    accounts = ours if signature else _accounts(happened.effects) | ours
    expected, actual = expected_of(happened)[0], moved(happened)
    found = []
    for holding in dict.fromkeys((*expected, *actual)):
        change = actual.get(holding, 0) - expected.get(holding, 0)
        if change and holding[0] in accounts:
            account, asset = holding
            text = f"{account} has {change:+} of {asset} against what was signed."
            found.append(Difference(holding, change, text))
    found.extend(_approval_differences(happened, ours))
    return found


def moved(happened: Happened) -> dict[Holding, int]:
    """What an eth transaction changed by tokens and its value, without its fee; its own value where that is known, else
    what its effects say of ether.
    """
    if not happened.succeeded:
        return {}
    nets: dict[Holding, int] = {}
    for token, source, target, amount in happened.transfers:
        add(nets, (source, token), -amount)
        add(nets, (target, token), amount)
    if happened.value is None:
        for movement in happened.effects.movements:
            if movement.asset == ETH:
                add(nets, (movement.source, ETH), -movement.amount)
                add(nets, (movement.target, ETH), movement.amount)
    elif happened.value:
        if happened.sender is not None:
            add(nets, (happened.sender, ETH), -happened.value)
        if happened.to is not None:
            add(nets, (happened.to, ETH), happened.value)
    return {holding: change for holding, change in nets.items() if change}


def add(nets: dict[Holding, int], holding: Holding, amount: int) -> None:
    nets[holding] = nets.get(holding, 0) + amount


def _accounts(effects: Effects) -> set[str]:
    accounts = set()
    for movement in effects.movements:
        accounts.add(movement.source)
        accounts.add(movement.target)
    return accounts


def expected_of(happened: Happened) -> tuple[dict[Holding, int], list[str]]:
    """What the effects change, by what was due of them; and a note on each movement that was not."""
    effects, notes = due(happened)
    return net(effects.movements), notes


def due(happened: Happened) -> tuple[Effects, list[str]]:
    """The effects without the movements that the token refused, where the kernel noted a debt of just that amount
    instead, and without the allowance that these would have used; and a note on each of them.
    """
    effects, notes = happened.effects, list[str]()
    if not happened.credits and not happened.owed:
        return effects, notes
    credits, owed, done = list(happened.credits), list(happened.owed), list(happened.transfers)
    kept, allowances = [], list(effects.allowances)
    for movement in effects.movements:
        transfer = (movement.asset, movement.source, movement.target, movement.amount)
        credit, debt = (movement.target, movement.amount), (movement.source, movement.amount)
        if transfer in done:
            done.remove(transfer)
        elif movement.creditable and credit in credits:
            credits.remove(credit)
            notes.append(f"{movement.target} got a credit of {movement.amount} instead of a payment.")
            continue
        elif movement.creditable and debt in owed:
            owed.remove(debt)
            notes.append(f"{movement.source} owes a bond of {movement.amount}, as the token refused to move it.")
            use = AllowanceChange(movement.asset, movement.source, movement.target, used=movement.amount)
            if use in allowances:
                allowances.remove(use)
            continue
        kept.append(movement)
    return Effects(tuple(kept), tuple(allowances)), notes


def _approval_differences(happened: Happened, ours: frozenset[str]) -> list[Difference]:
    changes = due(happened)[0].allowances
    found = []
    for token, owner, spender, amount in happened.approvals:
        if owner in ours and not allowed(changes, token, owner, spender, amount):
            found.append(
                Difference(None, amount, f"{spender} may spend {amount} of {token} of {owner}, as nobody signed.")
            )
    for change in changes:
        granted = (change.token, change.owner, change.spender, change.to)
        if change.to is not None and granted not in happened.approvals:
            found.append(
                Difference(None, change.to, f"{change.spender} was not allowed {change.to} of {change.token}.")
            )
    return found


def allowed(changes: Iterable[AllowanceChange], token: str, owner: str, spender: str, amount: int) -> bool:
    # Tokens may report what is left of an allowance when it is used; how much that is, the allowance itself shows.
    return any(
        (change.token, change.owner, change.spender) == (token, owner, spender) and (change.to == amount or change.used)
        for change in changes
    )
