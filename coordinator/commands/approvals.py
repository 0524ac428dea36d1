"""`coordinator approvals`: what waits for somebody's yes, and answering."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from actp.command_line import ExitCode
from actp.errors import InvalidInput
from coordinator.budget.categories import shown_category
from coordinator.commands._answering import Said, approve, operation_named, reject
from coordinator.commands._opening import add_account, add_json, opened
from coordinator.commands._printing import print_fields, print_json, print_lines, print_table, usdc, when
from coordinator.commands.operations import asked_for, find_operation, operation_json
from coordinator.commands.requests import request_json
from coordinator.errors import UnknownApproval, UnknownOperation
from coordinator.types import IntentType

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from coordinator.store import Ledger
    from coordinator.store.accounts import Account
    from coordinator.types import Operation

__all__ = ["HELP", "configure"]

HELP = "list, show, approve and reject what waits for somebody's yes"

_COLUMNS = ("approval", "until (UTC)", "agent", "USDC", "yes", "what for")


def configure(noun: argparse.ArgumentParser) -> None:
    """Adds the verbs."""
    verbs = noun.add_subparsers(title="verbs", metavar="VERB", required=True)
    text = "list what waits: requests of agents, and operations that the treasury's policy holds up"
    listing = verbs.add_parser("list", help=text, description=text, allow_abbrev=False)
    add_account(listing)
    add_json(listing, lines=True)
    listing.set_defaults(run=_list)

    showing = _verb(verbs, "show", "show what is asked for, and who has said what")
    showing.set_defaults(run=_show)

    text = "say yes; with the last yes that is needed it is judged again, by the rules of now"
    approving = _verb(verbs, "approve", text)
    approving.add_argument("--by", metavar="NAME", help="who says so (default: the operator)")
    approving.add_argument("--reason", default="", metavar="TEXT")
    approving.set_defaults(run=lambda arguments: _answer(arguments, approve))

    rejecting = _verb(verbs, "reject", "say no, which ends it; one no is enough")
    rejecting.add_argument("--by", metavar="NAME", help="who says so (default: the operator)")
    rejecting.add_argument("--reason", default="", metavar="TEXT")
    rejecting.set_defaults(run=lambda arguments: _answer(arguments, reject))


def _verb(verbs: Any, name: str, text: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = verbs.add_parser(name, help=text, description=text, allow_abbrev=False)
    add_account(parser)
    add_json(parser)
    parser.add_argument("id", metavar="APPROVAL", help="as `list` shows it: approval-..., or operation-12")
    return parser


def _list(arguments: argparse.Namespace) -> int:
    ledger, account = opened(arguments)
    with ledger.read() as connection:
        now = ledger.now_by(connection)
        found = [*_requests(connection, account, now), *_operations(connection, account, now)]
    found.sort(key=lambda one: (one["expires_at"], one["approval_id"]))
    if arguments.json:
        print_lines(found)
    else:
        rows = [
            (
                one["approval_id"], when(one["expires_at"]), one["agent"], usdc(one["amount"]),
                f"{one['yes']} of {one['required']}", _what_for(one),
            )
            for one in found
        ]  # fmt: skip
        print_table(_COLUMNS, rows, nothing="Nothing waits for approval.")
    return ExitCode.OK


def _requests(connection: Connection, account: Account, now: float) -> list[dict[str, Any]]:
    from coordinator.store import asks, reservations

    waiting = [one for one in asks.waiting(connection, account) if one.expires_at > now]
    rows = reservations.by_ids(connection, [one.reservation_id for one in waiting]) if waiting else {}
    return [
        {
            **request_json(rows[one.reservation_id], one),
            "yes": sum(vote.yes for vote in asks.votes_of(connection, one.reservation_id)),
            "required": one.required,
            "expires_at": one.expires_at,
        }
        for one in waiting
    ]


def _operations(connection: Connection, account: Account, now: float) -> list[dict[str, Any]]:
    from coordinator.store import approvals, operations

    waiting = [one for one in approvals.waiting(connection, account) if one.expires_at > now]
    rows = operations.by_ids(connection, [one.operation_id for one in waiting]) if waiting else {}
    return [
        {
            "approval_id": f"operation-{one.operation_id}",
            **operation_json(rows[one.operation_id]),
            "amount": _amount(rows[one.operation_id]),
            "yes": 0,
            "required": 1,
            "expires_at": one.expires_at,
        }
        for one in waiting
    ]


def _amount(operation: Operation) -> int | None:
    """What goes into an escrow; of other assets it would not be USDC."""
    return int(operation.intent["amount"]) if operation.type is IntentType.CREATE_ESCROW else None


def _what_for(one: dict[str, Any]) -> str:
    if "type" in one:
        return f"{one['type']}: {one['reason'] or 'the policy asks'}"
    return f"{shown_category(one['category'] or '')}: {one['purpose'] or 'no purpose'}"


def _show(arguments: argparse.Namespace) -> int:
    ledger, account = opened(arguments)
    number = operation_named(arguments.id)
    return _show_request(arguments, ledger, account) if number is None else _show_operation(arguments, ledger, account)


def _show_request(arguments: argparse.Namespace, ledger: Ledger, account: Account) -> int:
    from coordinator.store import asks, reservations

    with ledger.read() as connection:
        asked = asks.by_approval(connection, account, arguments.id)
        if asked is None:
            raise _unknown(arguments.id)
        one = reservations.by_ids(connection, [asked.reservation_id])[asked.reservation_id]
        votes = asks.votes_of(connection, one.id)
    if arguments.json:
        said = [{"approver": vote.approver, "yes": vote.yes, "reason": vote.reason, "at": vote.at} for vote in votes]
        print_json(
            {
                **request_json(one, asked), "approval_state": asked.state.value,
                "yes": sum(vote.yes for vote in votes), "required": asked.required, "expires_at": asked.expires_at,
                "votes": said,
            }
        )  # fmt: skip
        return ExitCode.OK
    print_fields(
        [
            ("approval", f"{asked.approval_id} ({asked.state.value})"),
            ("request", one.id),
            ("agent", one.agent),
            ("amount", f"{usdc(one.amount)} USDC"),
            ("provider", one.provider),
            ("category", shown_category(one.category)),
            ("purpose", "erased" if one.purpose is None else one.purpose),
            ("yes", f"{sum(vote.yes for vote in votes)} of {asked.required}, until {when(asked.expires_at)} UTC"),
            *((f"{'yes' if vote.yes else 'no'} by", f"{vote.approver} {vote.reason}".strip()) for vote in votes),
        ]
    )
    return ExitCode.OK


def _show_operation(arguments: argparse.Namespace, ledger: Ledger, account: Account) -> int:
    from coordinator.store import approvals

    number = operation_named(arguments.id)
    assert number is not None
    with ledger.read() as connection:
        one = find_operation(connection, account, number)
        asked = approvals.by_operation(connection, [number]).get(number)
    if asked is None:
        raise _unknown(arguments.id)
    if arguments.json:
        print_json(
            {
                "approval_id": arguments.id, **operation_json(one), "approval_state": asked.state.value,
                "expires_at": asked.expires_at, "by": asked.by,
            }
        )  # fmt: skip
        return ExitCode.OK
    print_fields(
        [
            ("approval", f"{arguments.id} ({asked.state.value})"),
            ("operation", f"{one.id} ({one.type.value}), {one.stage.value}"),
            ("agent", one.agent),
            *asked_for(one),
            ("why", one.reason),
            ("needs", f"1 yes, until {when(asked.expires_at)} UTC" if asked.by is None else None),
            ("answered by", None if asked.by is None else f"{asked.by} {asked.reason or ''}".strip()),
        ]
    )
    return ExitCode.OK


def _answer(arguments: argparse.Namespace, answer: Any) -> int:
    ledger, account = opened(arguments)
    try:
        said: Said = answer(ledger, account, arguments.id, arguments.by, arguments.reason)
    except (UnknownApproval, UnknownOperation):
        raise _unknown(arguments.id) from None
    if arguments.json:
        print_json(said.content)
    else:
        print(said.sentence)
    return said.code


def _unknown(approval_id: str) -> InvalidInput:
    return InvalidInput(f"There is no approval {approval_id}.", hint="`coordinator approvals list` shows what waits.")
