"""What other people's eth transactions do to our accounts: nothing may leave them that we did not sign."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set

from coordinator.guard.comparing import allowed
from coordinator.guard.evidence import Finding, Holding, Kind, Sent
from coordinator.guard.happenings import Granted, Happened, Moved, net
from coordinator.guard.segment import Segment
from coordinator.types import ETH, Effects

__all__ = ["grants", "outflows", "paid_by", "received", "short", "taken", "use_signatures"]


def use_signatures(happened: Sequence[Happened], signatures: Sequence[Sent], ours: frozenset[str]) -> None:
    """Strangers' eth transactions that carry out what we signed become ours; each signature is used once."""
    unused = list(signatures)
    for one in happened:
        if one.sent is not None or not (outflows(one, ours) or grants(one, ours)):
            continue
        for signature in unused:
            if _carries_out(one, signature, ours):
                one.sent, one.effects = signature, signature.effects
                one.notes.append("Somebody else carried it out.")
                unused.remove(signature)
                break


def received(segment: Segment, ours: frozenset[str]) -> list[Finding]:
    """What others paid us: one finding for each holding, so that dust cannot fill a store."""
    total: dict[Holding, tuple[int, int, Happened]] = {}
    for one in segment.happened:
        if one.sent is not None or not one.succeeded:
            continue
        inflows = [((target, token), amount) for token, source, target, amount in one.transfers if source not in ours]
        if one.value and one.to is not None and one.sender not in ours:
            inflows.append(((one.to, ETH), one.value))
        for holding, amount in inflows:
            if amount and holding[0] in ours:
                amount_so_far, count, first = total.get(holding, (0, 0, one))
                total[holding] = (amount_so_far + amount, count + 1, first)
    return [
        segment.finding(Kind.RECEIVED, f"{count} payment{'s' * (count != 1)} of others.", account, asset, amount, first)
        for (account, asset), (amount, count, first) in total.items()
    ]


def paid_by(happened: Happened, spenders: Set[str], ours: frozenset[str]) -> bool:
    """Whether one of these spenders, such as a vault, paid us in it."""
    return happened.succeeded and any(
        amount and source in spenders and target in ours for _, source, target, amount in happened.transfers
    )


def short(segment: Segment, due: Mapping[str, Effects | None], ours: frozenset[str]) -> list[Finding]:
    """Where we got less than what was due by the terms that a stranger carried out. `due` is by hash of the eth
    transaction; None where it could not be told.
    """
    findings = []
    for one in segment.happened:
        if one.tx_hash not in due:
            continue
        effects = due[one.tx_hash]
        got: dict[Holding, int] = {}
        for token, _, target, amount in one.transfers:
            got[target, token] = got.get((target, token), 0) + amount
        if effects is None:
            text = "The node does not tell what the terms were by which somebody else paid us."
            account, asset = next(holding for holding in got if holding[0] in ours)
            findings.append(segment.finding(Kind.INCOMPLETE, text, account, asset, None, one))
            continue
        for (account, asset), wanted in net(effects.movements).items():
            missing = wanted - got.get((account, asset), 0)
            if account in ours and missing > 0:
                text = f"Somebody else's eth transaction paid {account} {missing} of {asset} less than its terms say."
                findings.append(segment.finding(Kind.TERMS_DIFFER, text, account, asset, missing, one))
    return findings


def taken(segment: Segment, happened: Happened, ours: frozenset[str]) -> list[Finding]:
    """What a stranger's eth transaction took from us, and what it allowed somebody to take."""
    if not happened.succeeded:
        return []
    findings = [
        segment.finding(
            Kind.OUTFLOW,
            f"Somebody else's eth transaction moved tokens of {source} to {target}.",
            source, token, amount, happened,
        )
        for token, source, target, amount in outflows(happened, ours)
    ]  # fmt: skip
    findings.extend(
        segment.finding(
            Kind.APPROVAL,
            f"Somebody else's eth transaction allows {spender} to spend tokens of {owner}.",
            owner, token, amount, happened,
        )
        for token, owner, spender, amount in grants(happened, ours)
    )  # fmt: skip
    return findings


def outflows(happened: Happened, ours: frozenset[str]) -> list[Moved]:
    """Tokens that left our accounts. Anybody can make a token say that nothing was moved from us to somewhere."""
    return [entry for entry in happened.transfers if entry[3] and entry[1] in ours and entry[2] != entry[1]]


def grants(happened: Happened, ours: frozenset[str]) -> list[Granted]:
    """Allowances that our accounts gave. Some tokens report what is left of one even when nothing is moved, which
    anybody can do: that is 0.
    """
    return [entry for entry in happened.approvals if entry[3] and entry[1] in ours]


def _carries_out(happened: Happened, signature: Sent, ours: frozenset[str]) -> bool:
    effects = signature.effects
    signed = sorted(
        (movement.asset, movement.source, movement.target, movement.amount)
        for movement in effects.movements
        if movement.amount and movement.source in ours and movement.target != movement.source
    )
    return sorted(outflows(happened, ours)) == signed and all(
        allowed(effects.allowances, *grant) for grant in grants(happened, ours)
    )
