"""`actp doctor`: whether everything that a client needs is in place, and what to do where it is not."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from actp.command_line import CHAIN_IDS, ExitCode, whole_number
from actp.types import Network

if TYPE_CHECKING:
    from actp.doctor import Report

HELP = (
    "Check endpoints, chain, contracts, account, clock and database; exit code 1 if something is wrong. Sends nothing."
)


def configure(parser: argparse.ArgumentParser) -> None:
    names = [network.value for network in Network]
    parser.add_argument("--network", required=True, choices=names, help="local is a served `actp chain`")
    endpoint = parser.add_mutually_exclusive_group()
    endpoint.add_argument("--rpc-url", metavar="URL", help="else ACTP_RPC_POOL_URLS, else ETH_RPC_URL, else the usual")
    endpoint.add_argument("--rpc-pool-urls", metavar="URL,URL", help="several endpoints that are used as one")
    parser.add_argument("--chain-id", type=whole_number(*CHAIN_IDS), help="if the node has another than the network")
    parser.add_argument("--deployment", metavar="NAME", help="a name in the address book")
    account = parser.add_mutually_exclusive_group()
    account.add_argument("--account", metavar="ADDRESS", help="whose balances, allowance and nonce are looked at")
    account.add_argument("--key-variable", metavar="NAME", help="... that of the private key in this variable")
    parser.add_argument("--store", metavar="URL", help="the database of what is sent; else ACTP_STORE_URL, else none")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of lines")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Prints the report; returns 1 if a check failed."""
    from actp.doctor import Subject, examine

    account, origin = _account(arguments)
    report = examine(
        Subject(
            network=Network.parse(arguments.network),
            rpc_url=arguments.rpc_url,
            rpc_pool_urls=arguments.rpc_pool_urls,
            chain_id=arguments.chain_id,
            deployment=arguments.deployment,
            account=account,
            account_origin=origin,
            store=arguments.store,
        )
    )
    print(json.dumps(_to_json(report), indent=2) if arguments.json else "\n".join(_lines(report)))
    return ExitCode.OK if report.ok else ExitCode.FAILED


def _account(arguments: argparse.Namespace) -> tuple[str | None, str]:
    if arguments.key_variable is not None:
        from actp.signers import LocalSigner

        return LocalSigner.from_env(arguments.key_variable).address, f"--key-variable {arguments.key_variable}"
    if arguments.account is None:
        return None, ""
    from actp.units import require_address

    return require_address(arguments.account, "--account"), "--account"


def _lines(report: Report) -> list[str]:
    width = max(len(check.name) for check in report.checks)
    lines = []
    for check in report.checks:
        status = check.status.value
        lines.append(f"{status.upper() if status == 'failed' else status:<8} {check.name:<{width}}  {check.detail}")
        if check.hint:
            lines.append(f"{'':<8} {'':<{width}}  -> {check.hint}")
    lines.append("")
    column = max(len(setting.name) for setting in report.settings)
    lines += [f"{setting.name:<{column}}  {setting.value}  ({setting.origin})" for setting in report.settings]
    failed = sum(check.status.value == "failed" for check in report.checks)
    verdict = f"{failed} {'check' if failed == 1 else 'checks'} failed." if failed else "Nothing is wrong."
    return [*lines, "", verdict]


def _to_json(report: Report) -> dict[str, Any]:
    return {
        "ok": report.ok,
        "checks": [{**asdict(check), "status": check.status.value} for check in report.checks],
        "endpoints": [
            {
                "label": one.label,
                "score": one.score,
                "connected": one.connected,
                "head": one.head,
                "behind": one.behind,
                "dropped": None if one.dropped is None else one.dropped.code,
                "problem": one.problem,
            }
            for one in report.endpoints
        ],
        "database": None if report.database is None else asdict(report.database),
        "settings": [asdict(setting) for setting in report.settings],
    }
