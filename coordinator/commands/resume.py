"""`coordinator resume`: ends pauses, and lets frozen budgets be charged again."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from actp.command_line import ExitCode
from actp.errors import InvalidInput
from coordinator.commands._opening import add_account, add_by, authority, opened

if TYPE_CHECKING:
    from coordinator.store import Ledger
    from coordinator.store.accounts import Account

__all__ = ["HELP", "configure"]

HELP = "end pauses and stops, and let frozen budgets be charged again"


def configure(noun: argparse.ArgumentParser) -> None:
    """Adds the arguments."""
    noun.description = f"{HELP}. What waited goes on at once."
    add_account(noun)
    add_by(noun)
    who = noun.add_mutually_exclusive_group(required=True)
    who.add_argument("agent", nargs="?", metavar="AGENT")
    who.add_argument("--all", action="store_true", help="what `stop` and `pause --all` have stopped; not single agents")
    who.add_argument(
        "--frozen", action="store_true", help="every budget that is frozen because something did not add up"
    )
    noun.add_argument("--reason", default="resumed from the command line", metavar="TEXT", help="default: %(default)s")
    noun.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    ledger, account = opened(arguments)
    if arguments.frozen:
        return _unfreeze(arguments, ledger, account)
    from coordinator.store import pauses, wallets

    with ledger.write() as connection:
        resumed = pauses.remove(
            connection, account, arguments.agent, by=arguments.by, reason=arguments.reason, now=ledger.now()
        )
        left = pauses.active(connection, account)
        others = [
            one for one in wallets.accounts(connection) if one != account and "" in pauses.active(connection, one)
        ]
    if not resumed:
        what = "Not everything is" if arguments.all else f"{arguments.agent} is not"
        raise InvalidInput(f"{what} paused.", hint=_hint([name for name in left if name]))
    print("Everything goes on." if arguments.all else f"{arguments.agent} goes on.")
    if "" in left:
        print("Everything is still paused: see `coordinator resume --all`.", file=sys.stderr)
    for name in left:
        if arguments.all and name:
            print(f"{name} is still paused.", file=sys.stderr)
    if arguments.all:
        for one in others:  # `stop` stops every wallet
            how = f"coordinator resume --all --wallet {one.wallet} --chain-id {one.chain_id}"
            print(f"{one.wallet} on chain {one.chain_id} is still stopped: `{how}`.", file=sys.stderr)
    return ExitCode.OK


def _unfreeze(arguments: argparse.Namespace, ledger: Ledger, account: Account) -> int:
    from coordinator.alerts.wording import scope_name
    from coordinator.store import scopes

    with ledger.read() as connection:
        frozen = [one.scope for one in scopes.listed(connection, account) if one.frozen is not None]
    if not frozen:
        raise InvalidInput("No budget is frozen.")
    with authority(ledger, account) as made:
        for scope in frozen:
            made.unfreeze(scope, f"{arguments.by}: {arguments.reason}")
            print(f"The {scope_name(scope)} can be charged again.")
    return ExitCode.OK


def _hint(paused: list[str]) -> str:
    return f"Paused: {', '.join(paused)}." if paused else "Nobody is paused."
