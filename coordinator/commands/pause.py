"""`coordinator pause`: one agent, or all of a treasury's, until somebody resumes it."""

from __future__ import annotations

import argparse

from actp.command_line import ExitCode
from coordinator.commands._opening import add_account, add_by, opened
from coordinator.commands._pausing import require_known

__all__ = ["HELP", "configure"]

HELP = "stop an agent, or all of a treasury's, until somebody resumes it"


def configure(noun: argparse.ArgumentParser) -> None:
    """Adds the arguments."""
    noun.description = f"{HELP}: nothing of it is granted, approved or signed meanwhile, and a restart changes nothing."
    add_account(noun)
    add_by(noun)
    who = noun.add_mutually_exclusive_group(required=True)
    who.add_argument("agent", nargs="?", metavar="AGENT")
    who.add_argument("--all", action="store_true", help="everything of this treasury")
    noun.add_argument("--reason", default="paused from the command line", metavar="TEXT", help="default: %(default)s")
    noun.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    from coordinator.store import pauses

    ledger, account = opened(arguments)
    if not arguments.all:
        require_known(ledger, account, arguments.agent)
    with ledger.write() as connection:
        changed = pauses.add(
            connection, account, arguments.agent, by=arguments.by, reason=arguments.reason, now=ledger.now()
        )
    who = "Everything" if arguments.all else arguments.agent
    print(f"{who} {'is paused' if changed else 'was paused already'}.")
    return ExitCode.OK
