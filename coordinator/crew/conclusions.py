"""English for the end of a run: what adds up and what does not. Pure, as `wording`."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator, Sequence

from actp.units import format_usdc
from coordinator.crew.records import Audit, OperationLine, Report
from coordinator.crew.statements import Books

__all__ = ["alerts_said", "conclusions", "hints", "operations_named"]

_SHOWN_PROBLEMS = 3


def operations_named(lines: Sequence[OperationLine]) -> str:
    """The types of operations in their order, equal ones in one piece."""
    counts = Counter(line.type.value for line in lines)
    return ", ".join(name if count == 1 else f"{name}({count})" for name, count in counts.items()) or "none"


def conclusions(report: Report) -> Iterator[tuple[bool, str]]:
    """Whether something is as it must be, and the sentence that says so or what is wrong. All are right if the report
    is ok.
    """
    audit, minted = report.audit, format_usdc(report.opening.minted)
    if report.nothing_lost:
        yield True, f"All balances together are what was minted: {minted} USDC."
    else:
        total = format_usdc(report.total_after)
        yield False, f"{minted} USDC were minted, and all balances together are {total}."
    if all(line.ok for line in report.vault_lines):
        yield True, f"The vault held exactly what it owed at all {len(report.vault_lines)} times it was looked at."
    else:
        yield False, "The vault did not always hold what it owed; see above."
    if audit.guarded:
        count = len(audit.operations)
        yield True, f"The delta guard: {count} operations did what was signed, nothing else happened."
    else:
        yield False, f"The delta guard says: {_few([*audit.breaches, *_not_guarded(audit)])}."
    yield from _of_books(report.books)
    if report.unexplained:
        yield False, f"The treasury's balance is not explained: {format_usdc(report.unexplained)} USDC are left over."
    else:
        yield True, f"The treasury's change of {format_usdc(audit.explained)} USDC is explained to the last unit."
    if audit.proved and not report.unproved:
        left = f"; not checked: {_few(audit.not_checked)}" if audit.not_checked else ", none left out"
        yield True, f"Every proof is verified against the chain: {audit.checks} checks{left}."
    else:
        yield False, f"Not everything is proved: {_few([*audit.wrong, *_not_proved(report)])}."
    wrong = [line.account.name for line in report.balances if line.difference]
    if wrong:
        yield False, f"These balances are not what the scenario says: {', '.join(wrong)}."
    else:
        yield True, "Every balance is what the scenario says, to the last unit."


def _of_books(books: Books) -> Iterator[tuple[bool, str]]:
    total = books.total
    if books.denied_as_expected:
        denied = f"{len(books.denials)} were denied, each by the rule that had to"
        yield True, f"{books.granted} requests were granted, {books.approved} of them after a yes; {denied}."
    else:
        wrong = [f"{line.request_id} by {line.rule or 'nothing'}" for line in books.denials if not line.ok]
        yield False, f"These requests were not denied as they had to be: {_few(wrong)}."
    if books.as_expected:
        yield True, f"Every budget is what the scenario says: {format_usdc(total.spent)} spent, nothing held."
    else:
        off = [line.name for line in books.budgets if line.difference or line.reserved]
        held = [f"{books.unfinished} not ended"] if books.unfinished else []
        counted = [f"the counters say {format_usdc(books.counted)}"] if books.counted != total.spent else []
        yield False, f"Budgets are not what the scenario says: {_few([*held, *counted, *off])}."
    paid, back = format_usdc(books.on_chain_paid), format_usdc(books.on_chain_returned)
    there = f"{books.escrows} escrows, {paid} paid in, {back} back"
    if books.agreed:
        yield True, f"Ledger and chain agree at block {books.final_block}: {there}, drift 0."
    else:
        ours = f"{books.granted} escrows, {format_usdc(total.paid)} paid in, {format_usdc(total.returned)} back"
        yield (
            False,
            f"Ledger and chain differ, drift {format_usdc(books.drift)}: {ours} in the ledger, {there} on the chain.",
        )
    if books.faults:
        yield False, f"The journal is not what it was: {_few(books.faults)}."
    else:
        yield True, f"The journal's {books.entries} entries are unbroken, and rebuild all {books.cells} counters."


def alerts_said(books: Books) -> str:
    """What people would have been told on the way."""
    told = "; ".join(books.alerts) or "none"
    return f"Alerts (a demo has nobody to tell): {told}."


def hints(audit: Audit) -> tuple[str, ...]:
    """How to look at the ledger by hand."""
    if audit.store is None:
        return (
            "The ledger was in memory. `make demo ARGS='--store FILE'` keeps it, and says how",
            "to look at its budgets, its journal and its proofs.",
        )
    store = f"--store {shlex.quote(f'sqlite:///{audit.store}')}"
    return (
        "Look at it by hand:",
        f"  .venv/bin/coordinator report {store}",
        f"  .venv/bin/coordinator requests list {store}",
        f"  .venv/bin/coordinator journal verify {store}",
        f"  .venv/bin/coordinator proof list {store}",
        f"  .venv/bin/coordinator proof export {store} --all --out proofs.json",
        f"  .venv/bin/coordinator proof verify proofs.json --signer {audit.signer}",
        "The chain has ended with this process, and `verify` says that it was not asked.",
        "For a chain that lives on, add --rpc-url URL.",
    )


def _not_guarded(audit: Audit) -> Iterator[str]:
    for line in audit.operations:
        if not line.guarded:
            yield f"operation {line.id} ({line.type}) is {line.stage}, its verdict {line.verdict or 'missing'}"
    if audit.guarded_to != audit.newest_block:
        yield f"only block {audit.guarded_to} of {audit.newest_block} was reached"


def _not_proved(report: Report) -> Iterator[str]:
    for purchase_id in report.unproved:
        yield f"purchase {purchase_id} lacks an operation that is guarded and proved"
    if not all(line.proved for line in report.audit.of(None)):
        yield "the vault's allowance is not proved"


def _few(problems: Sequence[str]) -> str:
    more = len(problems) - _SHOWN_PROBLEMS
    shown = [problem.rstrip(".") for problem in problems[:_SHOWN_PROBLEMS]]
    return "; ".join([*shown, *([f"and {more} more"] if more > 0 else [])])
