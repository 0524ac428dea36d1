"""`coordinator report`: where the money is, and where it went."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from actp.command_line import ExitCode
from coordinator.commands._opening import add_account, opened
from coordinator.commands._parsing import moment

__all__ = ["HELP", "configure"]

HELP = "show every budget: what is spent, reserved and left, of whom and of what"


def configure(noun: argparse.ArgumentParser) -> None:
    """Adds the arguments."""
    add_account(noun)
    form = noun.add_mutually_exclusive_group()
    form.add_argument("--format", choices=("table", "json", "csv"), default="table", help="default: %(default)s")
    form.add_argument("--json", action="store_const", const="json", dest="format", help="the same as --format json")
    noun.add_argument(
        "--over-time",
        action="store_true",
        help="what each agent has spent when, as CSV or JSON, instead of where budgets are now",
    )
    noun.add_argument("--picture", type=Path, metavar="FILE", help="draw that into a .png or .svg, too")
    noun.add_argument(
        "--since", type=moment, metavar="TIME", help="from then on, for what is over time: 2026-11-21, or 7d"
    )
    noun.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    from coordinator.reports import over_time, report
    from coordinator.reports.files import summary_csv, summary_json, timeline_csv, timeline_json

    ledger, account = opened(arguments)
    if arguments.picture is not None:
        from coordinator.reports.picture import draw

        draw(over_time(ledger, account, since=arguments.since), arguments.picture)
        print(f"Drawn into {arguments.picture}", file=sys.stderr)
    if arguments.over_time:
        timeline = over_time(ledger, account, since=arguments.since)
        print(timeline_json(timeline) if arguments.format == "json" else timeline_csv(timeline), end="")
        return ExitCode.OK
    summary = report(ledger, account)
    if arguments.format == "table":
        from coordinator.reports.tables import print_summary

        print_summary(summary, sys.stdout)
    else:
        print(summary_json(summary) if arguments.format == "json" else summary_csv(summary), end="")
    return ExitCode.OK
