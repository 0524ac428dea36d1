"""`coordinator request`: asks for a spending, as an agent would."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import TYPE_CHECKING

from actp.command_line import ExitCode, whole_number
from coordinator.commands._chain import add_node, endpoint_of, watching
from coordinator.commands._opening import add_account, add_json, opened
from coordinator.commands._parsing import amount
from coordinator.commands._printing import print_json

if TYPE_CHECKING:
    from coordinator.api import SpendingResponse

__all__ = ["HELP", "configure"]

HELP = "ask for a spending in the name of an agent"

_YEAR = 366 * 86_400


def configure(noun: argparse.ArgumentParser) -> None:
    """Adds the arguments."""
    noun.description = (
        f"{HELP}; the worker funds what is granted. Needs a node, to know the contracts, and no key. Exit code 0: "
        "granted, 3: denied, 4: waits for approval."
    )
    add_account(noun)
    add_node(noun)
    noun.add_argument("--agent", required=True, metavar="ID")
    noun.add_argument("--amount", required=True, type=amount, metavar="AMOUNT", help='"25.50 USDC", or base units')
    noun.add_argument("--provider", required=True, metavar="ADDRESS", help="who delivers, and is paid")
    noun.add_argument("--purpose", required=True, metavar="TEXT", help="for people; never goes on the chain")
    noun.add_argument("--category", metavar="NAME")
    noun.add_argument(
        "--key",
        metavar="TEXT",
        help="the same key is the same purchase, however often it is asked for (default: a new one)",
    )
    seconds = whole_number(1, _YEAR)
    noun.add_argument(
        "--deadline-seconds", type=seconds, metavar="S", help="how long the provider has (default: a day)"
    )
    noun.add_argument("--dispute-window", type=seconds, metavar="S", help="default: an hour")
    noun.add_argument("--terms", default="", metavar="TEXT", help="what was agreed; its hash goes on the chain")
    noun.add_argument("--require-approval", action="store_true", help="ask a person, however small it is")
    noun.add_argument(
        "--wait",
        type=whole_number(0, 86_400),
        default=0,
        metavar="S",
        help="wait so long until it is in escrow (default: 0)",
    )
    add_json(noun)
    noun.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    from coordinator.api import BudgetCoordinator, SpendingRequest
    from coordinator.metrics.tracing import tracing

    endpoint = endpoint_of(arguments)
    ledger, account = opened(arguments, endpoint.chain_id)
    chosen = {
        name: getattr(arguments, name)
        for name in ("deadline_seconds", "dispute_window")
        if getattr(arguments, name) is not None
    }
    request = SpendingRequest(
        arguments.agent,
        arguments.amount,
        arguments.provider,
        arguments.purpose,
        arguments.category,
        arguments.key,
        terms=arguments.terms,
        require_approval=arguments.require_approval,
        **chosen,
    )
    client = watching(endpoint, account.wallet)
    with (
        tracing("coordinator-request"),
        BudgetCoordinator(client, store=ledger.store, worker=False, wait_seconds=float(arguments.wait)) as coordinator,
    ):
        response = coordinator.request_spending(request, wait=arguments.wait > 0)
    if arguments.json:
        print_json(asdict(response))
    else:
        print(_sentence(response))
    if response.requires_approval:
        return ExitCode.WAITS_FOR_APPROVAL
    return ExitCode.OK if response.approved else ExitCode.DENIED


def _sentence(response: SpendingResponse) -> str:
    named = f"Request {response.reservation_id}"
    if response.approved:
        return f"{named} is granted and {response.state}. Transaction {response.tx_id}"
    if response.requires_approval:
        return f"{named} waits for approval: coordinator approvals approve {response.approval_id}"
    return f"{named} is denied by {response.rule}: {response.reason}"
