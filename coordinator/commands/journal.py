"""`coordinator journal`: what happened, in order, and whether it is what was written."""

from __future__ import annotations

import argparse
import re
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from actp.command_line import ExitCode
from actp.errors import InvalidInput
from coordinator.commands._opening import NUMBER, add_account, add_by, add_json, add_limit, opened
from coordinator.commands._printing import counted, print_json, print_lines, print_table, when

if TYPE_CHECKING:
    from coordinator.store.journal import Written
    from coordinator.store.seals import Seal

__all__ = ["HELP", "configure"]

HELP = "list and verify what happened, and erase what a request was for"

_COLUMNS = ("seq", "at (UTC)", "agent", "about", "event", "change", "what happened")
_KNOWN = re.compile(r"([1-9][0-9]{0,17}):(0x[0-9a-f]{64})\Z")


def configure(noun: argparse.ArgumentParser) -> None:
    """Adds the verbs."""
    verbs = noun.add_subparsers(title="verbs", metavar="VERB", required=True)
    text = "list the newest entries, the oldest of them first"
    listing = verbs.add_parser("list", help=text, description=text, allow_abbrev=False)
    add_account(listing)
    about = listing.add_mutually_exclusive_group()
    about.add_argument("--request", type=NUMBER, metavar="ID", help="only about this request")
    about.add_argument("--operation", type=NUMBER, metavar="ID", help="only about this operation")
    listing.add_argument(
        "--after", type=NUMBER, metavar="SEQ", help="the first ones after this entry, to go on from there"
    )
    add_limit(listing)
    add_json(listing, lines=True)
    listing.set_defaults(run=_list)

    text = "check that no entry was changed, removed or inserted, and that the entries alone give every budget's state"
    verifying = verbs.add_parser("verify", help=text, description=text, allow_abbrev=False)
    add_account(verifying)
    verifying.add_argument("--seal", action="store_true", help="first seal the entries that no worker has sealed yet")
    verifying.add_argument(
        "--known", action="append", type=_known, default=[], metavar="NUMBER:HASH",
        help="an end that was kept from an earlier verification: shows whether what led up to it was written anew; may "
        "be repeated",
    )  # fmt: skip
    add_json(verifying)
    verifying.set_defaults(run=_verify)

    text = "erase what a request was for, for good; the journal still verifies"
    erasing = verbs.add_parser("erase", help=text, description=text, allow_abbrev=False)
    add_account(erasing)
    add_by(erasing)
    erasing.add_argument("request", type=NUMBER, metavar="REQUEST", help="the request's number")
    erasing.set_defaults(run=_erase)


def _list(arguments: argparse.Namespace) -> int:
    from coordinator.commands._narrating import sentence, treasury_units
    from coordinator.store import journal

    ledger, account = opened(arguments)
    with ledger.read() as connection:
        found = journal.listed(
            connection,
            account,
            operation_id=arguments.operation,
            reservation_id=arguments.request,
            after=arguments.after or 0,
            newest=arguments.after is None,
            limit=arguments.limit,
        )
        treasury = treasury_units(connection, account)
    if arguments.json:
        print_lines({**_json(one), "says": sentence(one.entry, treasury)} for one in found)
    else:
        rows = [
            (
                one.seq, when(one.at), one.entry.agent or "-", _about(one), one.entry.event, _change(one),
                sentence(one.entry, treasury),
            )
            for one in found
        ]  # fmt: skip
        print_table(_COLUMNS, rows, nothing="No entries.")
    return ExitCode.OK


def _verify(arguments: argparse.Namespace) -> int:
    from coordinator.authority.verifying import verify
    from coordinator.store import seals

    ledger, account = opened(arguments)
    if arguments.seal:
        seals.seal_all(ledger, account)
    report = verify(ledger, account, known=arguments.known)
    if arguments.json:
        print_json({**asdict(report), "ok": report.ok})
        return ExitCode.OK if report.ok else ExitCode.FAILED
    for one in report.findings:
        where = "" if one.number is None else f"number {one.number}: "
        print(f"WRONG  {one.fault.value}: {where}{one.detail}")
    if report.found > len(report.findings):
        print(f"... and {report.found - len(report.findings)} more.")
    waiting = f", {report.unsealed} not sealed yet" if report.unsealed else ""
    entries = "1 sealed entry" if report.sealed == 1 else f"{report.sealed} sealed entries"
    looked = f"{entries}{waiting}, {counted(report.cells, 'budget window')}"
    if not report.ok:
        print(f"Not what was written: {counted(report.found, 'finding')}. Looked at {looked}.")
        return ExitCode.FAILED
    print(f"Verified: {looked}.")
    if report.end.number:
        print(f"It ends with {report.end.number}:{report.end.hash}; keep that elsewhere, for --known.")
    return ExitCode.OK


def _erase(arguments: argparse.Namespace) -> int:
    from coordinator.store import purposes

    ledger, account = opened(arguments)
    with ledger.write() as connection:
        now = ledger.now_by(connection)
        erased = purposes.erase(connection, account, arguments.request, by=arguments.by, now=now)
    if not erased:
        raise InvalidInput(
            f"There is nothing to erase: request {arguments.request} does not exist, or its purpose is gone already.",
            hint=f"See `coordinator requests show {arguments.request}`.",
        )
    print(f"What request {arguments.request} was for is erased.")
    return ExitCode.OK


def _known(text: str) -> Seal:
    from coordinator.store.seals import Seal

    match = _KNOWN.match(text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is no end of a journal: write NUMBER:0x..., as `verify` does")
    return Seal(int(match[1]), match[2])


def _about(one: Written) -> str:
    entry = one.entry
    if entry.reservation_id is not None:
        return f"request {entry.reservation_id}"
    if entry.operation_id is not None:
        return f"operation {entry.operation_id}"
    return "agent" if entry.agent else "treasury"


def _change(one: Written) -> str:
    before, after = one.entry.before, one.entry.after
    if after is None or before is after:
        return ""
    return after.value if before is None else f"{before.value} -> {after.value}"


def _json(one: Written) -> dict[str, Any]:
    entry = one.entry
    return {
        "seq": one.seq,
        "at": one.at,
        "event": entry.event,
        "agent": entry.agent,
        "request": entry.reservation_id,
        "operation": entry.operation_id,
        "before": None if entry.before is None else entry.before.value,
        "after": None if entry.after is None else entry.after.value,
        "detail": dict(entry.detail),
    }
