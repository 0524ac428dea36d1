"""`coordinator proof`: what happened to each operation, as proofs that anybody can check."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from actp.command_line import ExitCode
from actp.errors import ConfigError, InvalidInput
from actp.units import require_address
from coordinator.commands._opening import NUMBER, add_account, opened
from coordinator.commands._printing import counted

if TYPE_CHECKING:
    from coordinator.proofs import Proof
    from coordinator.proofs.verifying import Check, Report
    from coordinator.store import Ledger
    from coordinator.store.accounts import Account

__all__ = ["HELP", "configure"]

HELP = "list, show and export proofs of operations, and verify a file of them"

_HEADING = f"{'link':>6}  {'made (UTC)':19}  {'hash':18}  what it says"


def configure(noun: argparse.ArgumentParser) -> None:
    """Adds the verbs."""
    verbs = noun.add_subparsers(title="verbs", metavar="VERB", required=True)

    listing = _verb(verbs, "list", "list the newest links of a wallet's chain of proofs")
    listing.add_argument("--limit", type=NUMBER, default=50, help="how many at most (default: %(default)s)")
    listing.add_argument("--json", action="store_true", help="print one JSON object per line")
    listing.set_defaults(run=_list)

    showing = _verb(verbs, "show", "show what a proof of an operation says")
    showing.add_argument("id", type=NUMBER, help="the operation's number")
    showing.add_argument("--json", action="store_true", help="print it as it is exported")
    showing.set_defaults(run=_show)

    exporting = _verb(verbs, "export", "write the proofs of operations, and every later link about them, to a file")
    what = exporting.add_mutually_exclusive_group(required=True)
    what.add_argument("ids", type=NUMBER, nargs="*", metavar="ID", default=[], help="numbers of operations")
    what.add_argument("--all", action="store_true", help="the wallet's whole chain")
    exporting.add_argument("--out", type=Path, metavar="FILE", help="where to (default: standard output)")
    exporting.set_defaults(run=_export)

    text = "verify a file of proofs; needs no store"
    verifying = verbs.add_parser("verify", help=text, description=text, allow_abbrev=False)
    verifying.add_argument("file", type=Path, metavar="FILE")
    verifying.add_argument("--rpc-url", metavar="URL", help="a node of the chain; without it the chain is not asked")
    verifying.add_argument("--signer", metavar="ADDRESS", help="whose proofs they should be")
    verifying.add_argument("--json", action="store_true", help="print the report as one JSON object")
    verifying.set_defaults(run=_verify)


def _verb(verbs: argparse._SubParsersAction[argparse.ArgumentParser], name: str, text: str) -> argparse.ArgumentParser:
    parser = verbs.add_parser(name, help=text, description=text, allow_abbrev=False)
    add_account(parser)
    return parser


def _list(arguments: argparse.Namespace) -> int:
    from coordinator.store import proofs

    ledger, account = opened(arguments)
    with ledger.read() as connection:
        found = proofs.newest(connection, account, limit=arguments.limit)
    if not found:
        print("No proofs.", file=sys.stderr)
    elif not arguments.json:
        print(_HEADING)
    for proof in found:
        head = json.loads(proof.head)
        print(json.dumps({**head, "proofHash": proof.proof_hash}) if arguments.json else _line(proof, head))
    return ExitCode.OK


def _show(arguments: argparse.Namespace) -> int:
    from coordinator.proofs.documents import write_document

    ledger, account = opened(arguments)
    links = _links(ledger, account, [arguments.id])
    if arguments.json:
        print(write_document(links).decode(), end="")
        return ExitCode.OK
    print(_HEADING)
    for link in links:
        head = json.loads(link.head)
        print(_line(link, head))
        if link.kind == "proof":
            lines = _summary(head, json.loads(link.parts or b"{}"))
            width = max(len(name) for name, _ in lines)
            for name, value in lines:
                print(f"        {name:<{width}}  {value}")
    return ExitCode.OK


def _export(arguments: argparse.Namespace) -> int:
    from coordinator.proofs.documents import write_document
    from coordinator.store import proofs

    ledger, account = opened(arguments)
    if arguments.all:
        with ledger.read() as connection:
            links: list[Proof] = []
            while page := proofs.read(connection, account, after=links[-1].seq if links else 0):
                links += page
    else:
        links = _links(ledger, account, arguments.ids)
    if not links:
        raise ConfigError("The wallet has no proofs yet.")
    document = write_document(links)
    if arguments.out is None:
        sys.stdout.buffer.write(document)
        return ExitCode.OK
    try:
        arguments.out.write_bytes(document)
    except OSError as error:
        raise ConfigError(f"{arguments.out} cannot be written: {error.strerror}.") from error
    print(f"{counted(len(links), 'link')} in {arguments.out}", file=sys.stderr)
    return ExitCode.OK


def _verify(arguments: argparse.Namespace) -> int:
    from actp.rpc import HttpTransport
    from coordinator.proofs.verifying import verify

    signer = None if arguments.signer is None else require_address(arguments.signer, "signer")
    try:
        raw = arguments.file.read_bytes()
    except OSError as error:
        raise ConfigError(f"{arguments.file} cannot be read: {error.strerror}.") from error
    transport = None if arguments.rpc_url is None else HttpTransport(arguments.rpc_url)
    report = verify(raw, transport, signer=signer)
    if arguments.json:
        print(json.dumps({"ok": report.ok, "checks": [_check_json(check) for check in report.checks]}))
    else:
        _print_report(report)
    return ExitCode.OK if report.ok else ExitCode.FAILED


def _print_report(report: Report) -> None:
    from coordinator.proofs.verifying import Result

    right = sum(check.result is Result.OK for check in report.checks)
    if len(report.checks) == 1 and report.wrong:
        # Not even read: what is in it says nothing of what happened.
        print(f"This is no file of proofs: {report.wrong[0].detail}")
        return
    for check in report.wrong:
        print(f"WRONG        {_where(check)}{check.name}: {check.detail}{_byte(check)}")
    for check in report.not_checked:
        print(f"not checked  {_where(check)}{check.name}: {check.detail}")
    for check in report.stated:
        print(f"only stated  {check.detail}")
    if report.ok:
        left = len(report.not_checked)
        print(f"Verified: {counted(right, 'check')}, none of them wrong; not checked: {left or 'nothing'}.")
    else:
        print(f"Not what happened: {counted(len(report.wrong), 'check')} wrong, {right} right.")


def _where(check: Check) -> str:
    return "" if check.link is None else f"link {check.link}, "


def _byte(check: Check) -> str:
    if check.byte is None:
        return ""
    return f" (byte {check.byte} of the file{'' if check.until is None else f' to {check.until}'})"


def _check_json(check: Check) -> dict[str, Any]:
    return {
        "name": check.name,
        "result": check.result.value,
        "detail": check.detail,
        "link": check.link,
        "byte": check.byte,
        "until": check.until,
    }


def _line(link: Proof, head: dict[str, Any]) -> str:
    made = datetime.fromtimestamp(head["madeAt"], UTC).strftime("%Y-%m-%d %H:%M:%S")
    if link.kind == "proof":
        why = head["code"] or (head["verdict"] and f"guard: {head['verdict']}") or "not guarded"
        what = f"operation {head['operation']}, {head['agent']}: {head['type']} {head['outcome']} ({why})"
    elif link.kind == "reopened":
        what = f"operation {link.operation_id}: taken back, block {head['block']['number']} is gone"
    else:
        final = len(head["proofs"])
        what = f"{counted(final, 'proof')} {'is' if final == 1 else 'are'} final, up to block {head['block']['number']}"
    return f"{link.seq:>6}  {made}  {link.proof_hash[:18]}  {what}"


def _summary(head: dict[str, Any], parts: dict[str, Any]) -> list[tuple[str, str]]:
    """What was asked for, what was decided, and what came of it; amounts in base units of their asset."""
    lines = [("key", head["key"]), ("trace", head["traceId"])]
    asked = {name: value for name, value in sorted(parts["intent"]["body"].items()) if name != "type"}
    lines += [(f"asked: {name}", _short(value)) for name, value in asked.items()]
    policy, simulation, execution = parts["policy"], parts["simulation"], parts["execution"]
    if simulation is not None:
        passed = "passed" if simulation["ok"] else "refused"
        lines.append(("simulation", f"{passed} on block {simulation['block']['number']}"))
    if policy is not None:
        reasons = "; ".join(reason["message"] for reason in policy["reasons"])
        lines.append(("policy", f"{policy['decision']}{f': {reasons}' if reasons else ''}"))
        if policy["approvedBy"]:
            lines.append(("approved by", policy["approvedBy"]))
    if head["reason"]:
        lines.append(("reason", head["reason"]))
    if execution is not None:
        lines += _executed(head, execution)
    return [*lines, ("signed by", head["signer"])]


def _executed(head: dict[str, Any], execution: dict[str, Any]) -> list[tuple[str, str]]:
    receipt, delta = execution["receipt"], execution["delta"]
    block = receipt["block"]
    lines = [("eth transaction", head["txHash"]), ("block", f"{block['number']} {block['hash']}")]
    if not receipt["succeeded"]:
        lines.append(("reverted", "it cost its fee and did nothing else"))
    if delta is None:
        return [*lines, ("delta guard", "none looked at it")]
    told = delta["receipt"]
    lines += [
        ("moved", f"{account} {change} of {asset}")
        for asset, changes in told["deltas"].items()
        for account, change in changes.items()
    ]
    lines.append(("fee", "not all of it is known" if told["fee"] is None else f"{told['fee']} wei"))
    around = "its block" if delta["scope"] == "block" else "several blocks"
    lines.append(("delta guard", f"{delta['verdict']}, by the balances before and after {around}"))
    return [*lines, *(("note", note) for note in delta["notes"])]


def _short(value: Any) -> str:
    if isinstance(value, list):
        return f"{len(value)} entries (--json shows them)"
    return str(value)


def _links(ledger: Ledger, account: Account, ids: Sequence[int]) -> list[Proof]:
    """The proofs of these operations, and the links about them."""
    from coordinator.store import proofs

    with ledger.read() as connection:
        found = {one: proofs.of_operation(connection, account, one) for one in dict.fromkeys(ids)}
        missing = [str(one) for one, links in found.items() if not links]
        if missing:
            raise InvalidInput(
                f"There is no proof of operation {', '.join(missing)}.",
                hint="An operation has one when it has ended: confirmed, failed or denied.",
            )
        links = [link for several in found.values() for link in several]
        links += proofs.finalizing(connection, account, links)
    return sorted(links, key=lambda link: link.seq)
