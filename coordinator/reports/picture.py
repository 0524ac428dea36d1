"""A picture of what agents have spent over time, as PNG or SVG: needs matplotlib, which the extra `reports` brings."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from actp.errors import ConfigError, InvalidInput
from actp.units import format_usdc
from coordinator.reports.overtime import DAY, HOUR, WEEK, Timeline

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw"]

# Told apart also by those who see red and green alike: Okabe and Ito's, without black.
_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442")
_OTHERS = "#999999"
_LONGEST = 28
_TICKS = 10
_FEW = 6
"""A bar is never wider than if there were so many."""
_UNITS = {HOUR: "hour", DAY: "day", WEEK: "week", 4 * WEEK: "four weeks"}


def draw(timeline: Timeline, path: Path, *, title: str = "Spent by agents") -> None:
    """Draws a timeline: a bar for each step, in it the agents that have spent most, the others as one.

    The kind of the file is that of its name, .png or .svg. Raises InvalidInput for other names, ConfigError if
    matplotlib is not installed or the file cannot be written.
    """
    kind = path.suffix.lower().removeprefix(".")
    if kind not in ("png", "svg"):
        raise InvalidInput(f"{path.name} is neither a .png nor an .svg.", hint="Name the picture so.")
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise ConfigError(
            "Pictures are drawn with matplotlib, which is not installed.", hint="pip install 'actp-escrow[reports]'"
        ) from error
    # Without pyplot, so without a display; the same numbers give the same bytes.
    with (
        mpl.rc_context({"svg.hashsalt": "actp", "svg.fonttype": "none", "text.parse_math": False}),
        warnings.catch_warnings(),
    ):
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # names may be in any script
        figure = Figure(figsize=(10, 5), dpi=120, layout="constrained")
        axes = figure.add_subplot()
        _fill(axes, timeline)
        axes.set_title(_short(title, 80), loc="left", fontsize=12)
        try:
            figure.savefig(path, format=kind, metadata={"Date": None} if kind == "svg" else {"Software": None})
        except OSError as error:
            raise ConfigError(f"{path} cannot be written: {error.strerror}.") from error


def _fill(axes: Axes, timeline: Timeline) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    if not timeline.amounts:
        axes.set_axis_off()
        axes.text(0.5, 0.5, "Nothing was spent", ha="center", va="center", transform=axes.transAxes, color="#666666")
        return
    positions = range(timeline.steps)
    bottoms = [0.0] * timeline.steps
    handles, labels = [], []
    for label, colour, amounts in _layers(timeline):
        heights = [amount / 1e6 for amount in amounts]
        bars = axes.bar(positions, heights, 0.85, bottom=bottoms, color=colour, linewidth=0)
        bottoms = [below + height for below, height in zip(bottoms, heights, strict=True)]
        handles.append(bars[0])
        labels.append(f"{label}: {format_usdc(sum(amounts))}")
    # In the order of the bars, the topmost first.
    axes.legend(handles[::-1], labels[::-1], loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, fontsize=9)
    axes.set_ylabel(f"USDC per {_UNITS.get(timeline.seconds, f'{timeline.seconds:,} s')}")
    axes.yaxis.set_major_formatter(lambda value, _position: f"{value:,.6f}".rstrip("0").rstrip("."))
    axes.grid(axis="y", color="#DDDDDD", linewidth=0.6)
    axes.set_axisbelow(True)
    # Set, as matplotlib leaves no room above a bar on which an empty one stands.
    axes.set_ylim(0, max(bottoms) * 1.05)
    beside = 0.1 + max(0, _FEW - timeline.steps) / 2
    axes.set_xlim(-0.5 - beside, timeline.steps - 0.5 + beside)
    every = max(1, -(-timeline.steps // _TICKS))
    ticks = list(range(0, timeline.steps, every))
    axes.set_xticks(ticks, _times([timeline.starts()[tick] for tick in ticks], timeline.seconds))
    axes.set_xlabel("UTC, by when it was asked for")


def _layers(timeline: Timeline) -> list[tuple[str, str, Sequence[int]]]:
    """(label, colour, amounts) from the bottom to the top."""
    agents = list(timeline.amounts.items())
    shown = agents if len(agents) <= len(_COLOURS) else agents[: len(_COLOURS) - 1]
    layers: list[tuple[str, str, Sequence[int]]] = [
        (_short(name, _LONGEST), colour, amounts) for (name, amounts), colour in zip(shown, _COLOURS, strict=False)
    ]
    others = agents[len(shown) :]
    if others:
        sums = [sum(step) for step in zip(*(amounts for _, amounts in others), strict=True)]
        layers.append((f"{len(others)} others", _OTHERS, sums))
    return layers


def _times(starts: Sequence[int], seconds: int) -> list[str]:
    times = [datetime.fromtimestamp(one, UTC) for one in starts]
    if seconds % DAY == 0:
        return _with_changes(times, "%d %b", "%Y")
    return _with_changes(times, "%H:%M", "%d %b")


def _with_changes(times: Sequence[datetime], always: str, on_change: str) -> list[str]:
    """Each time in one form, and below it in another where that is not what it was before."""
    shown, before = [], ""
    for one in times:
        below = one.strftime(on_change)
        shown.append(one.strftime(always) + (f"\n{below}" if below != before else ""))
        before = below
    return shown


def _short(text: str, longest: int) -> str:
    clean = "".join(one if one.isprintable() else "?" for one in text) or "?"
    return clean if len(clean) <= longest else clean[: longest - 1] + "…"
