"""`coordinator metrics`: what `run ... --metrics-address` exports, for those who set up a monitoring of it."""

from __future__ import annotations

import argparse
import sys
from importlib import resources

from actp.command_line import ExitCode

__all__ = ["HELP", "configure"]

HELP = "print the Grafana dashboard for what workers export"


def configure(noun: argparse.ArgumentParser) -> None:
    """Adds the verbs."""
    verbs = noun.add_subparsers(title="verbs", metavar="VERB", required=True)
    text = "print a dashboard that Grafana imports as it is; its data source is chosen there"
    printing = verbs.add_parser("dashboard", help=text, description=text, allow_abbrev=False)
    printing.set_defaults(run=_dashboard)


def _dashboard(_: argparse.Namespace) -> int:
    sys.stdout.write(resources.files("coordinator.metrics").joinpath("dashboard.json").read_text(encoding="utf-8"))
    return ExitCode.OK
