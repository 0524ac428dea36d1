"""What commands print: tables, fields and JSON, amounts and times."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from actp.units import format_usdc

__all__ = ["clean", "counted", "print_fields", "print_json", "print_lines", "print_table", "usdc", "when"]

_RIGHT = frozenset({
    "id", "USDC", "seq", "tries", "limit", "spent", "reserved", "remaining", "open", "overruns", "late", "lost",
})  # fmt: skip


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]], *, nothing: str = "Nothing.") -> None:
    """Rows under the names of their columns: a table on a terminal, elsewhere a line for each with nothing left out.
    If there are none, `nothing` is said on standard error.
    """
    if not rows:
        print(nothing, file=sys.stderr)
        return
    texts = [[clean(str(one)) for one in row] for row in rows]
    if not sys.stdout.isatty() or os.environ.get("TERM") == "dumb":
        widths = [max(len(row[index]) for row in (columns, *texts)) for index in range(len(columns))]
        for row in (columns, *texts):
            cells = zip(columns, row, widths, strict=True)
            line = (one.rjust(width) if name in _RIGHT else one.ljust(width) for name, one, width in cells)
            print("  ".join(line).rstrip())
        return
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for name in columns:
        # Numbers and names are to be copied whole; sentences may take several lines.
        table.add_column(
            name, justify="right" if name in _RIGHT else "left", no_wrap=name != columns[-1], overflow="fold"
        )
    for row in texts:
        table.add_row(*map(Text, row))
    Console(highlight=False, markup=False, emoji=False, no_color=bool(os.environ.get("NO_COLOR"))).print(table)


def print_fields(fields: Iterable[tuple[str, object]]) -> None:
    """Names and values in two columns; those without a value are left out."""
    lines = [(name, clean(str(value))) for name, value in fields if value not in (None, "")]
    width = max(len(name) for name, _ in lines)
    for name, value in lines:
        print(f"{name:<{width}}  {value}")


def print_json(content: Any) -> None:
    """One JSON object, on lines of its own."""
    print(json.dumps(content, indent=2))


def print_lines(contents: Iterable[Any]) -> None:
    """One JSON object on each line."""
    for one in contents:
        print(json.dumps(one))


def usdc(amount: int | None) -> str:
    """Base units for people; nothing for None."""
    return "" if amount is None else format_usdc(amount)


def when(at: float | None) -> str:
    """A time in UTC to the second; nothing for None."""
    return "" if at is None else f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S}"


def counted(number: int, what: str) -> str:
    """A number and what it is one of."""
    return f"{number} {what}{'' if number == 1 else 's'}"


def clean(text: str) -> str:
    """A text that others have chosen, without what would move the cursor or colour the terminal."""
    return "".join(one if one.isprintable() else "?" for one in text)
