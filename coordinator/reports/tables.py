"""A summary as tables: rich ones on a terminal, plain aligned text everywhere else."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TextIO

from rich.box import ASCII, SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from actp.units import format_ether, format_usdc
from coordinator.alerts.wording import scope_name
from coordinator.budget.words import LARGEST, Period
from coordinator.reports.summary import Gas, Line, Summary

__all__ = ["print_summary"]

_PLAIN_WIDTH = 120
_PERIODS = {
    Period.HOUR: "hour",
    Period.DAY: "day",
    Period.WEEK: "week",
    Period.MONTH: "month",
    Period.ROLLING_DAY: "24 h",
}
_GAS_PERIODS = {period: f"per {name}" for period, name in _PERIODS.items()} | {Period.EVER: "in all"}
_NEARLY, _FULL = 80, 100


def print_summary(summary: Summary, stream: TextIO, *, plain: bool | None = None) -> None:
    """Writes a summary for people. Without `plain`, colours and lines are for terminals whose user wants them."""
    if plain is None:
        plain = not stream.isatty() or bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"
    console = Console(file=stream, highlight=False, markup=False, emoji=False, no_color=plain, legacy_windows=False)
    if not stream.isatty():
        console.width = _PLAIN_WIDTH
    with console.capture() as capture:
        for title, table in _tables(summary, plain):
            console.print(Text(title, style="bold"))
            console.print(table)
    stream.write("".join(line.rstrip() + "\n" for line in capture.get().splitlines()))


def _tables(summary: Summary, plain: bool) -> Iterator[tuple[str, Table]]:
    treasury = f"Budget of {summary.wallet} on chain {summary.chain_id} in USDC, {_time(summary.at)}"
    yield treasury, _totals(summary, plain)
    if summary.paused:
        yield "Paused until somebody resumes", _paused(summary, plain)
    if summary.agents:
        yield "Agents", _lines(summary.agents, plain)
    if summary.categories:
        yield "Categories", _lines(summary.categories, plain)
    if summary.gas is not None:
        yield "Gas in ETH", _gas(summary.gas, plain)
    if summary.waiting:
        yield "Waiting for approval", _waiting(summary, plain)
    if summary.frozen:
        yield "Frozen until somebody looks", _frozen(summary, plain)


def _totals(summary: Summary, plain: bool) -> Table:
    table = _table(plain)
    for name in ("Budget", "Spent", "Reserved", "Remaining"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_row(
        _or_none(summary.total_budget),
        Text(format_usdc(summary.spent)),
        Text(format_usdc(summary.reserved)),
        _or_none(summary.remaining),
    )
    return table


def _lines(lines: tuple[Line, ...], plain: bool) -> Table:
    table = _table(plain)
    table.add_column("Name", overflow="fold")
    for name in ("Spent", "Reserved", "Budget"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("Limits that start again", overflow="fold")
    for line in lines:
        limits = Text()
        for index, window in enumerate(line.windows):
            text = f"{format_usdc(window.used)} of {format_usdc(window.limit)} per {_PERIODS[window.period]}"
            limits.append(("\n" if index else "") + text, style=_style(window.used, window.limit))
        table.add_row(
            Text(_clean(line.name)),
            Text(format_usdc(line.spent)),
            Text(format_usdc(line.reserved)),
            _or_none(line.limit, used=line.spent + line.reserved),
            limits,
        )
    return table


def _gas(gas: Gas, plain: bool) -> Table:
    table = _table(plain)
    for name in ("Spent", "Reserved", "In the treasury"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("Budget", overflow="fold")
    window = gas.window
    budget = Text("none", style="dim")
    if window is not None:
        how = f"{format_ether(window.used)} of {format_ether(window.limit)} {_GAS_PERIODS[window.period]}"
        budget = Text(how, style=_style(window.used, window.limit))
    held = f"{'at least ' if gas.balance == LARGEST else ''}{format_ether(gas.balance)}"
    table.add_row(Text(format_ether(gas.spent)), Text(format_ether(gas.reserved)), Text(held), budget)
    return table


def _waiting(summary: Summary, plain: bool) -> Table:
    table = _table(plain)
    table.add_column("Approval", no_wrap=True)  # to be copied
    table.add_column("Agent", overflow="fold")
    table.add_column("USDC", justify="right", no_wrap=True)
    table.add_column("Category", overflow="fold")
    table.add_column("Yes", justify="right", no_wrap=True)
    table.add_column("Until", overflow="fold")
    for one in summary.waiting:
        table.add_row(
            Text(one.approval_id),
            Text(_clean(one.agent)),
            Text(format_usdc(one.amount)),
            Text(_clean(one.category)),
            Text(f"{one.yes} of {one.required}"),
            Text(_time(one.expires_at)),
        )
    return table


def _paused(summary: Summary, plain: bool) -> Table:
    table = _table(plain)
    table.add_column("Who", overflow="fold")
    table.add_column("Since", overflow="fold")
    table.add_column("By", overflow="fold")
    table.add_column("Why", overflow="fold")
    for one in summary.paused:
        who = "everything" if one.agent is None else f"agent {_clean(one.agent)}"
        table.add_row(Text(who, style="bold red"), Text(_time(one.at)), Text(_clean(one.by)), Text(_clean(one.reason)))
    return table


def _frozen(summary: Summary, plain: bool) -> Table:
    table = _table(plain)
    table.add_column("Budget", overflow="fold")
    table.add_column("Why", overflow="fold")
    for one in summary.frozen:
        table.add_row(Text(scope_name(one.scope), style="bold red"), Text(_clean(one.reason)))
    return table


def _table(plain: bool) -> Table:
    return Table(box=ASCII if plain else SIMPLE_HEAD)


def _or_none(amount: int | None, *, used: int = 0) -> Text:
    return Text("none", style="dim") if amount is None else Text(format_usdc(amount), style=_style(used, amount))


def _style(used: int, limit: int) -> str:
    if not used or used * 100 < limit * _NEARLY:
        return ""
    return "red" if used * 100 >= limit * _FULL else "yellow"


def _time(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M} UTC"


def _clean(text: str) -> str:
    """A text that others have chosen, without what would move the cursor or colour the terminal."""
    return "".join(one if one.isprintable() else "?" for one in text)
