"""Shows a run to a person while it happens: rich tables on a terminal, plain aligned ASCII everywhere else."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TextIO

from rich.box import Box
from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from actp.types import State
from actp.units import format_usdc
from coordinator.crew.conclusions import alerts_said, conclusions, hints, operations_named
from coordinator.crew.records import Decision, Event, Moment, Opening, OperationLine, Report, Step, VaultLine
from coordinator.crew.wording import (
    aligned,
    clock,
    headline,
    opening_lines,
    sentence,
    short_ids,
    vault_sentence,
)

__all__ = ["Narrator", "wants_plain"]

_PLAIN_WIDTH = 80
_MAX_WIDTH = 120
_CLOCK_WIDTH, _STATE_WIDTH = 5, 11
_STATE_STYLES = {
    State.SETTLED: "green",
    State.CANCELLED: "yellow",
    State.DISPUTED: "red",
}
_DECISION_STYLES = {Decision.DENIED: "red", Decision.EXPIRED: "red", Decision.WAITING: "yellow"}
_FOLDED = ("For", "From", "By", "Account", "Operations", "Rule")
"""Columns whose texts may take more than one line; ids and amounts never do."""


def wants_plain(stream: TextIO) -> bool:
    """Whether text for this stream should have neither colours nor lines: no terminal, or the user said so."""
    return not stream.isatty() or bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"


class Narrator:
    """Prints events as they come. Fixed widths keep the rows of all moments in line."""

    def __init__(self, stream: TextIO, *, plain: bool) -> None:
        self._plain = plain
        self._stream = stream
        self._console = _console(stream, plain=plain)
        self._columns = Columns(0, 0)

    def show(self, event: Event) -> None:
        """Takes the next event of a run."""
        match event:
            case Opening():
                self._columns = Columns.fitting(event)
                self._print(
                    Text(), Text(event.title, style="bold"), Text(), *(Text(line) for line in opening_lines(event))
                )
            case Moment():
                self._print(Text(), Text(headline(event), style="bold cyan"))
            case Step():
                self._print(self._row(event))
            case VaultLine():
                indent = (0, 0, 0, _CLOCK_WIDTH + 2)
                self._print(Padding(Text(vault_sentence(event), style="dim" if event.ok else "bold red"), indent))
            case Report():
                tables = [self._table_of_purchases(event), self._table_of_budgets(event)]
                if event.books.denials:
                    tables.append(self._table_of_denials(event))
                for table in (*tables, self._table_of_operations(event), self._table_of_balances(event)):
                    self._print(Text(), table)
                self._print(Text(), _conclusions(event), Text())
                self._print(Text(alerts_said(event.books)), Text())
                self._print(*(Text(line) for line in hints(event.audit)), wrap=False)

    def _row(self, step: Step) -> Table:
        table = Table(box=None, show_header=False, expand=True, pad_edge=False, padding=(0, 2, 0, 0))
        table.add_column(width=_CLOCK_WIDTH)
        table.add_column(width=self._columns.purchase)
        table.add_column(ratio=1)
        table.add_column(width=self._columns.amount)
        table.add_column(width=_STATE_WIDTH)
        table.add_row(
            Text(clock(step.at), style="dim"),
            Text(step.purchase_id or "", style="cyan"),
            Text(sentence(step)),
            Text() if step.amount is None else self._amount(step.amount),
            _state(step.state) if step.decision is None else _decision(step.decision),
        )
        return table

    def _table_of_purchases(self, report: Report) -> Table:
        table = self._table(
            "What became of each purchase", "Purchase", "For", "From", "Amount>", "State", "Transaction"
        )
        for line in report.purchases:
            table.add_row(
                Text(line.purchase_id, style="cyan"),
                Text(line.agent),
                Text(line.provider),
                self._amount(line.amount),
                _state(line.state),
                Text(short_ids(line.transaction_ids), style="dim"),
            )
        return table

    def _table_of_budgets(self, report: Report) -> Table:
        table = self._table(
            "Where the budget went, in USDC (an agent's limit is for a day)",
            "Budget of", "Limit>", "Paid>", "Back>", "Spent>", "Check",
        )  # fmt: skip
        for line in report.books.budgets:
            right = line.difference == 0 and not line.reserved
            table.add_row(
                Text(line.name, style="bold" if line.kind == "total" else ""),
                Text("none".rjust(self._columns.amount)) if line.limit is None else self._amount(line.limit),
                self._amount(line.paid),
                self._amount(line.returned),
                self._amount(line.spent),
                Text("ok", style="green") if right else Text(_signed(line.difference), style="bold red"),
            )
            if line.kind == "total":
                table.add_section()
        return table

    def _table_of_denials(self, report: Report) -> Table:
        table = self._table("What was denied, and by which rule", "Request", "By", "Amount>", "Rule", "Check")
        for line in report.books.denials:
            table.add_row(
                Text(line.request_id, style="cyan"),
                Text(line.agent),
                self._amount(line.amount),
                Text(line.rule or "none"),
                _mark(line.ok, "ok", f"WRONG, not {line.expected}"),
            )
        return table

    def _table_of_operations(self, report: Report) -> Table:
        audit = report.audit
        table = self._table(
            "What the treasury signed, and what the delta guard and the proofs say",
            "Purchase", "Operations", "USDC>", "Guard", "Proofs",
        )  # fmt: skip
        rows: list[tuple[str | None, tuple[OperationLine, ...]]] = [(None, audit.of(None))]
        rows += [(line.purchase_id, audit.of(line.purchase_id)) for line in report.purchases]
        for purchase_id, lines in rows:
            checks = sum(line.checks for line in lines)
            table.add_row(
                Text(purchase_id or "", style="cyan"),
                Text(operations_named(lines) + ("" if purchase_id else ", for all")),
                self._amount(sum(line.change for line in lines)),
                _mark(bool(lines) and all(line.guarded for line in lines), "ok", "WRONG"),
                _mark(bool(lines) and all(line.proved for line in lines), f"{checks} checks ok", "WRONG"),
            )
        if audit.received:
            table.add_row(Text(), Text("paid by others"), self._amount(audit.received), Text(), Text())
        table.add_section()
        table.add_row(
            Text("Explained", style="bold"), Text(), self._amount(audit.explained, style="bold"), Text(), Text()
        )
        return table

    def _table_of_balances(self, report: Report) -> Table:
        table = self._table("Balances in USDC", "Account", "Before>", "Must be>", "Is>", "Check")
        for line in report.balances:
            right = line.difference == 0
            table.add_row(
                Text(line.account.name),
                self._amount(line.before),
                self._amount(line.expected),
                self._amount(line.after),
                Text("ok", style="green") if right else Text(_signed(line.difference), style="bold red"),
            )
        table.add_section()
        lines = report.balances
        totals = (sum(line.before for line in lines), sum(line.expected for line in lines), report.total_after)
        table.add_row(
            Text("All together", style="bold"),
            *(self._amount(total, style="bold") for total in totals),
            Text("ok", style="green")
            if report.nothing_lost
            else Text(_signed(report.total_after - report.opening.minted), style="bold red"),
        )
        return table

    def _table(self, title: str, *headers: str) -> Table:
        table = Table(
            title=title,
            title_justify="left",
            title_style="bold",
            header_style="" if self._plain else "dim",
            box=_box("-") if self._plain else _box("\N{BOX DRAWINGS LIGHT HORIZONTAL}"),
            show_edge=False,
            pad_edge=False,
            padding=(0, 1, 0, 0),
        )
        for header in headers:
            amounts = header.endswith(">")
            table.add_column(
                header[:-1].rjust(self._columns.amount) if amounts else header, no_wrap=header not in _FOLDED
            )
        return table

    def _amount(self, amount: int, style: str = "") -> Text:
        # Padded by hand: rich strips what it justifies, and with it the places of decimals that are not written.
        return Text(aligned(amount).rjust(self._columns.amount), style=style)

    def _print(self, *parts: RenderableType, wrap: bool = True) -> None:
        with self._console.capture() as capture:
            for part in parts:
                self._console.print(part, soft_wrap=not wrap)
        text = capture.get()
        if self._plain:
            # rich pads every cell to its column's width.
            text = "".join(line.rstrip() + "\n" for line in text.splitlines())
        self._stream.write(text)
        self._stream.flush()


@dataclass(frozen=True, slots=True)
class Columns:
    """Widths of the columns that depend on the scenario."""

    purchase: int
    amount: int

    @classmethod
    def fitting(cls, opening: Opening) -> Columns:
        """Wide enough for every id, and for the largest amount that can occur."""
        return cls(max(map(len, opening.purchase_ids + opening.denied_ids)), len(aligned(opening.minted)))


def _box(line: str) -> Box:
    """Lines below the header and above the totals, and none elsewhere."""
    blank, ruled = "    \n", f" {line * 2} \n"
    return Box(blank * 2 + ruled + blank + ruled * 2 + blank * 2, ascii=line.isascii())


def _console(stream: TextIO, *, plain: bool) -> Console:
    if not plain:
        console = Console(file=stream, highlight=False, markup=False, emoji=False, legacy_windows=False)
        console.width = min(console.width, _MAX_WIDTH)
        return console
    width = min(Console(file=stream).width, _MAX_WIDTH) if stream.isatty() else _PLAIN_WIDTH
    return Console(
        file=stream, width=width, color_system=None, force_terminal=False, highlight=False, markup=False, emoji=False
    )


def _state(state: State | None) -> Text:
    return Text() if state is None else Text(state.name, style=_STATE_STYLES.get(state, ""))


def _decision(decision: Decision) -> Text:
    return Text(decision.name, style=_DECISION_STYLES.get(decision, ""))


def _signed(difference: int) -> str:
    return f"{'+' if difference > 0 else ''}{format_usdc(difference)}"


def _conclusions(report: Report) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    for right, text in conclusions(report):
        style = "green" if right else "bold red"
        table.add_row(Text("ok" if right else "WRONG", style=style), Text(text, style=style))
    return table


def _mark(right: bool, good: str, bad: str) -> Text:
    return Text(good, style="green") if right else Text(bad, style="bold red")
