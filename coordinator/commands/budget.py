"""`coordinator budget`: what a fleet may spend, what it has spent, and programs that run under such a budget."""

from __future__ import annotations

import argparse
import sys
import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from actp.command_line import ExitCode
from actp.errors import InvalidInput
from coordinator.commands._opening import add_json
from coordinator.commands._printing import counted, print_json, print_lines, print_table
from coordinator.commands._tracking import (
    add_session,
    add_tracker,
    as_json,
    existing,
    place_of,
    print_breakdown,
    reservation_as_json,
    shared,
    used_by,
)

if TYPE_CHECKING:
    from coordinator.tracker import Reservation, Tracker
    from coordinator.tracker.opening import Place

__all__ = ["HELP", "configure"]

HELP = "budgets that a fleet of programs shares: what is used, limits, reservations, and programs under one"

_WATCH_SECONDS = 2.0


def configure(noun: argparse.ArgumentParser) -> None:
    """Adds the verbs."""
    verbs = noun.add_subparsers(title="verbs", metavar="VERB", required=True)
    text = "show limit, spent, reserved and remaining of every scope, in dollars"
    status = verbs.add_parser("status", help=text, description=text, allow_abbrev=False)
    status.add_argument("scopes", nargs="*", metavar="SCOPE", help="only these")
    status.add_argument(
        "--all", action="store_true", help="the scopes of grants that a worker has paid or given up, too"
    )
    add_tracker(status)
    status.add_argument(
        "--watch", type=_seconds, nargs="?", const=_WATCH_SECONDS, metavar="SECONDS",
        help="show it again and again until Ctrl-C (default: every %(const)g seconds); one line each with --json",
    )  # fmt: skip
    status.add_argument("--for", dest="duration", type=_seconds, metavar="SECONDS", help="how long to watch")
    add_json(status)
    status.set_defaults(run=_status)

    text = "set the limit of a scope; what is spent and reserved stays"
    setting = verbs.add_parser("set", help=text, description=text, allow_abbrev=False)
    setting.add_argument("scope", metavar="SCOPE")
    setting.add_argument(
        "limit", metavar="AMOUNT", help='dollars, such as 2.50, or base units of USDC; "none" for none'
    )
    setting.add_argument("--unit", choices=("usd", "usdc"), default="usd", help="(default: %(default)s)")
    add_tracker(setting)
    setting.set_defaults(run=_set)

    text = "list open reservations, the first to expire first"
    listing = verbs.add_parser("reservations", help=text, description=text, allow_abbrev=False)
    listing.add_argument("--scope", metavar="SCOPE", help="only those in this scope")
    add_tracker(listing)
    add_json(listing, lines=True)
    listing.set_defaults(run=_reservations)

    text = "give reservations back, of programs that have died; what a living one spends later on it is not recorded"
    releasing = verbs.add_parser("release", help=text, description=text, allow_abbrev=False)
    which = releasing.add_mutually_exclusive_group(required=True)
    which.add_argument("ids", nargs="*", metavar="ID", default=[], help="those that `reservations` shows")
    which.add_argument("--scope", metavar="SCOPE", help="all in this scope")
    add_tracker(releasing)
    releasing.set_defaults(run=_release)

    text = "run a program under a session's budget; its exit code is the program's"
    running = verbs.add_parser(
        "exec", help=text, description=text, allow_abbrev=False,
        epilog="The program finds its budget in ACTP_BUDGET_TRACKER, _URL, _ROOT and _SESSION: "
        "coordinator.tracker.open_budget() reads them.",
    )  # fmt: skip
    add_tracker(running)
    add_session(running)
    running.add_argument(
        "--stop-when-spent", action="store_true", help="end the program once the session is spent, first with SIGTERM"
    )
    running.add_argument(
        "--least",
        metavar="AMOUNT",
        default="0",
        help="a session with less left is spent, too",
    )
    running.add_argument(
        "--grace", type=_seconds, default=10.0, metavar="SECONDS",
        help="how long it may take to end before it is killed (default: %(default)g)",
    )  # fmt: skip
    running.add_argument("command", nargs=argparse.REMAINDER, metavar="-- COMMAND ...")
    running.set_defaults(run=_exec)


def _status(arguments: argparse.Namespace) -> int:
    place = existing(place_of(arguments))
    if arguments.watch is None and arguments.duration is not None:
        raise InvalidInput("--for says how long to watch.", hint="Give --watch, too.")
    end = float("inf") if arguments.duration is None else time.monotonic() + arguments.duration
    with place.open() as tracker, suppress(KeyboardInterrupt):
        while True:
            _show(place, tracker, arguments)
            if arguments.watch is None or time.monotonic() + arguments.watch > end:
                break
            time.sleep(arguments.watch)
    return ExitCode.OK


def _show(place: Place, tracker: Tracker, arguments: argparse.Namespace) -> None:
    usages = used_by(tracker, arguments.scopes, ended=arguments.all)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    if arguments.json:
        content = {
            "tracker": place.label,
            "root": place.root,
            "at": now,
            "warnings": list(tracker.check()),
            "scopes": [as_json(one) for one in usages],
        }
        if arguments.watch is None:
            print_json(content)
        else:
            print_lines([content])
    else:
        if arguments.watch is not None:
            print(f"{now}  {place.label}")
        print_breakdown(usages)
    sys.stdout.flush()


def _set(arguments: argparse.Namespace) -> int:
    place = shared(place_of(arguments))
    with place.open() as tracker:
        if arguments.limit == "none":
            tracker.set_budget(arguments.scope, None, unit=arguments.unit)
        else:
            tracker.set_budget(arguments.scope, _limit(arguments.limit, arguments.unit), unit=arguments.unit)
        print_breakdown([one for one in tracker.scopes() if one.scope == arguments.scope])
    return ExitCode.OK


def _reservations(arguments: argparse.Namespace) -> int:
    with existing(place_of(arguments)).open() as tracker:
        found = _open_in(tracker, arguments.scope)
    if arguments.json:
        print_lines(map(reservation_as_json, found))
    else:
        rows = [
            (
                one.token.id,
                f"{one.amount:f} {one.token.unit}",
                f"{max(0.0, one.expires_in_seconds):.0f} s",
                ", ".join(one.token.scopes),
            )
            for one in found
        ]
        print_table(("reservation", "amount", "expires in", "scopes"), rows, nothing="Nothing is reserved.")
    return ExitCode.OK


def _release(arguments: argparse.Namespace) -> int:
    with existing(place_of(arguments)).open() as tracker:
        found = {one.token.id: one.token for one in _open_in(tracker, arguments.scope)}
        for one in arguments.ids:
            if one not in found:
                raise InvalidInput(
                    f"There is no open reservation {one[:80]!r}.", hint="`coordinator budget reservations` lists them."
                )
        released = arguments.ids or list(found)
        for one in released:
            tracker.release(found[one])
    print(f"{counted(len(released), 'reservation')} released.")
    return ExitCode.OK


def _open_in(tracker: Tracker, scope: str | None) -> tuple[Reservation, ...]:
    """Open reservations, of one scope or all. Raises InvalidInput for a scope that nobody has used."""
    if scope is not None:
        used_by(tracker, [scope])
    return tracker.reservations(scope)


def _exec(arguments: argparse.Namespace) -> int:
    from coordinator.commands._executing import execute

    return execute(arguments)


def _limit(text: str, unit: str) -> str | int:
    """A limit as trackers take it: whatever it is in dollars, an int in base units. Raises InvalidInput."""
    if unit == "usd":
        return text
    if not (text.isascii() and text.isdigit() and len(text) <= 40):
        raise InvalidInput(f"{text[:40]!r} is no number of base units.", hint="1 USDC is 1000000 base units.")
    return int(text)


def _seconds(text: str) -> float:
    """An argparse type: a duration."""
    try:
        found = float(text)
    except ValueError:
        found = 0.0
    if not 0.05 <= found <= 1e9:
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is no number of seconds")
    return found
