"""What lasts: allowances and code. A drain that an approval prepares changes no balance."""

from __future__ import annotations

from collections.abc import Iterable

from coordinator.guard.comparing import due
from coordinator.guard.evidence import Allowance, Finding, Kind, State
from coordinator.guard.happenings import Happened
from coordinator.types import BlockRef

__all__ = ["UNLIMITED", "judge_allowances", "judge_codes"]

UNLIMITED = 2**256 - 1
"""Many tokens do not use up an allowance of this size."""


def judge_allowances(
    start: State, end: State, happened: Iterable[Happened], since: BlockRef, until: BlockRef
) -> tuple[list[Finding], dict[Allowance, int]]:
    """Rule 7: each allowance is the one before, changed by what we signed, in the order in which it was mined. Also
    returns the allowances from which to go on: where one is not told, what it should be.
    """
    base: dict[Allowance, int] = dict(start.allowances)
    used: dict[Allowance, int] = {}
    for one in happened:
        if one.sent is None or not one.succeeded:
            continue
        for change in due(one)[0].allowances:
            key = (change.token, change.owner, change.spender)
            if change.to is not None:
                base[key], used[key] = change.to, 0
            used[key] = used.get(key, 0) + change.used
    findings = []
    known = dict(end.allowances)
    for key in dict.fromkeys((*start.allowances, *end.allowances)):
        token, owner, spender = key
        first, actual = base.get(key), end.allowances.get(key)
        if first is None:
            continue
        expected = first - used.get(key, 0)
        if actual is None:
            known[key] = expected
            text = f"The token {token} does not tell the allowance of {spender}."
            findings.append(Finding(Kind.INCOMPLETE, text, owner, until, since.number, token))
        elif actual != expected and not (first == UNLIMITED == actual):  # tokens need not count that one down
            text = f"The allowance of {spender} is {actual}, and {expected} by what was signed."
            amount = abs(actual - expected)
            findings.append(Finding(Kind.ALLOWANCE_CHANGED, text, owner, until, since.number, token, amount))
    return findings, known


def judge_codes(start: State, end: State, since: BlockRef, until: BlockRef) -> list[Finding]:
    """Rule 7: every account runs the code that it ran before."""
    findings = []
    for account, code in end.codes.items():
        before = start.codes.get(account)
        if before is not None and before != code:
            text = f"The code of the account was {before} and is {code} now."
            findings.append(Finding(Kind.CODE_CHANGED, text, account, until, since.number))
    return findings
