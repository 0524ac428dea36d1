"""`coordinator stop`: the emergency stop."""

from __future__ import annotations

import argparse

from actp.command_line import ExitCode
from coordinator.commands._opening import add_by, add_store, opened_all

__all__ = ["HELP", "configure"]

HELP = "emergency stop: pause every treasury in the store, at once"


def configure(noun: argparse.ArgumentParser) -> None:
    """Adds the arguments."""
    noun.description = (
        f"{HELP}. Nothing is granted, approved or signed from then on, by any process and after any restart, until "
        "`coordinator resume --all`. What was signed before is with the nodes already."
    )
    add_store(noun)
    add_by(noun)
    noun.add_argument("--reason", default="emergency stop", metavar="TEXT", help="default: %(default)s")
    noun.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    from coordinator.store import pauses

    ledger, known = opened_all(arguments)
    for account in known:
        with ledger.write() as connection:
            new = pauses.add(connection, account, None, by=arguments.by, reason=arguments.reason, now=ledger.now())
        print(f"{account.wallet} on chain {account.chain_id} {'is stopped' if new else 'was stopped already'}.")
    return ExitCode.OK
