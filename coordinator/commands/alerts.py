"""`coordinator alerts`: what people are told, and whom."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from actp.command_line import ExitCode
from actp.errors import ConfigError, InvalidInput
from coordinator.commands._opening import NUMBER, add_account, add_json, add_limit, opened
from coordinator.commands._printing import print_lines, print_table, when

if TYPE_CHECKING:
    from coordinator.store.alerts import Alert

__all__ = ["HELP", "add_urls", "configure"]

HELP = "list what people are told, try it again, and test where it is sent to"

_COLUMNS = ("id", "noticed (UTC)", "kind", "state", "tries", "what")
_STATES = ("waiting", "sent", "dead")
_TEST = ("A test", "Somebody tests where alerts are sent to. Nothing has happened.")


def configure(noun: argparse.ArgumentParser) -> None:
    """Adds the verbs."""
    verbs = noun.add_subparsers(title="verbs", metavar="VERB", required=True)
    text = "list the newest alerts; the worker makes and sends them"
    listing = verbs.add_parser("list", help=text, description=text, allow_abbrev=False)
    add_account(listing)
    listing.add_argument("--state", choices=_STATES, help="only these; dead: nobody could be told")
    add_limit(listing)
    add_json(listing, lines=True)
    listing.set_defaults(run=_list)

    text = "send a message to every address, now; needs no store"
    testing = verbs.add_parser("test", help=text, description=text, allow_abbrev=False)
    add_urls(testing)
    testing.set_defaults(run=_test)

    text = "try dead alerts again, where they were not told"
    retrying = verbs.add_parser("retry", help=text, description=text, allow_abbrev=False)
    add_account(retrying)
    which = retrying.add_mutually_exclusive_group(required=True)
    which.add_argument("ids", type=NUMBER, nargs="*", metavar="ID", default=[])
    which.add_argument("--all", action="store_true", help="all that are dead")
    retrying.set_defaults(run=_retry)


def add_urls(parser: argparse.ArgumentParser) -> None:
    """`--alert-urls`."""
    parser.add_argument(
        "--alert-urls",
        type=Path,
        metavar="FILE",
        help="a file with apprise URLs to tell (default: those in ACTP_ALERT_URLS)",
    )


def _list(arguments: argparse.Namespace) -> int:
    from coordinator.store import alerts
    from coordinator.store.alerts import AlertState

    ledger, account = opened(arguments)
    state = None if arguments.state is None else AlertState(arguments.state)
    with ledger.read() as connection:
        found = alerts.listed(connection, account, state=state, limit=arguments.limit)
    if arguments.json:
        print_lines(map(_json, found))
    else:
        rows = [
            (one.id, when(one.at), one.kind.value, one.state.value, one.attempts, _what(one)) for one in found
        ]  # fmt: skip
        print_table(_COLUMNS, rows, nothing="No alerts.")
    return ExitCode.OK


def _test(arguments: argparse.Namespace) -> int:
    from coordinator.alerts.addresses import URLS_VARIABLE, read_addresses
    from coordinator.alerts.telling import send
    from coordinator.store.alerts import AlertKind

    addresses = read_addresses(arguments.alert_urls)
    if not addresses:
        raise ConfigError("There is nobody to tell.", hint=f"Put URLs into {URLS_VARIABLE}, or name a file of them.")
    failed = 0
    for one in addresses:
        failure = send(one, AlertKind.BUDGET, *_TEST)
        failed += failure is not None
        print(failure or f"{one.name} {one.digest[:6]} has it.")
    return ExitCode.FAILED if failed else ExitCode.OK


def _retry(arguments: argparse.Namespace) -> int:
    from coordinator.store import alerts
    from coordinator.store.alerts import AlertState

    ledger, account = opened(arguments)
    with ledger.write() as connection:
        ids = arguments.ids
        if arguments.all:
            ids = [one.id for one in alerts.listed(connection, account, state=AlertState.DEAD, limit=2**31)]
        for one in ids:
            if not alerts.revive(connection, account, one, ledger.now()):
                raise InvalidInput(f"Alert {one} is not dead.", hint="See `coordinator alerts list --state dead`.")
    print("\n".join(f"{one} is tried again." for one in ids) or "None is dead.")
    return ExitCode.OK


def _what(one: Alert) -> str:
    return one.title if one.error is None else f"{one.title} ({one.error})"


def _json(one: Alert) -> dict[str, Any]:
    return {
        "id": one.id,
        "kind": one.kind.value,
        "reference": one.reference,
        "title": one.title,
        "body": one.body,
        "state": one.state.value,
        "attempts": one.attempts,
        "at": one.at,
        "next_at": one.next_at,
        "sent_at": one.sent_at,
        "error": one.error,
    }
