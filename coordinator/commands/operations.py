"""`coordinator operations`: what the treasury does on the chain, step by step."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from actp.command_line import ExitCode
from actp.errors import InvalidInput
from coordinator.commands._opening import NUMBER, add_account, add_json, add_limit, opened
from coordinator.commands._printing import print_fields, print_json, print_lines, print_table, when
from coordinator.types import Stage

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from coordinator.store.accounts import Account
    from coordinator.types import Operation

__all__ = ["HELP", "asked_for", "configure", "find_operation", "operation_json"]

HELP = "list and show what the treasury does on the chain"

_COLUMNS = ("id", "changed (UTC)", "agent", "what", "stage", "why")


def configure(noun: argparse.ArgumentParser) -> None:
    """Adds the verbs."""
    verbs = noun.add_subparsers(title="verbs", metavar="VERB", required=True)
    text = "list the newest operations"
    listing = verbs.add_parser("list", help=text, description=text, allow_abbrev=False)
    add_account(listing)
    listing.add_argument("--agent", metavar="ID", help="only of this agent")
    listing.add_argument(
        "--stage", action="append", choices=[one.value for one in Stage], default=[],
        help="only in this stage; may be repeated",
    )  # fmt: skip
    add_limit(listing)
    add_json(listing, lines=True)
    listing.set_defaults(run=_list)

    text = "show an operation, what was decided about it, and its history"
    showing = verbs.add_parser("show", help=text, description=text, allow_abbrev=False)
    add_account(showing)
    showing.add_argument("id", type=NUMBER, metavar="ID", help="the operation's number")
    add_json(showing)
    showing.set_defaults(run=_show)


def _list(arguments: argparse.Namespace) -> int:
    from coordinator.store import operations

    ledger, account = opened(arguments)
    with ledger.read() as connection:
        found = operations.listed(
            connection,
            account,
            agent=arguments.agent,
            stages=[Stage(one) for one in arguments.stage],
            limit=arguments.limit,
        )
    if arguments.json:
        print_lines(map(operation_json, found))
    else:
        rows = [(one.id, when(one.updated_at), one.agent, one.type.value, one.stage.value, _why(one)) for one in found]
        print_table(_COLUMNS, rows, nothing="No operations.")
    return ExitCode.OK


def _show(arguments: argparse.Namespace) -> int:
    from coordinator.store import approvals, decisions, journal, proofs

    ledger, account = opened(arguments)
    with ledger.read() as connection:
        one = find_operation(connection, account, arguments.id)
        approval = approvals.by_operation(connection, [one.id]).get(one.id)
        decided = decisions.latest(connection, [one.id]).get(one.id)
        history = journal.listed(connection, account, operation_id=one.id)
        links = proofs.of_operation(connection, account, one.id)
    decision = None if decided is None else decided.decision
    if arguments.json:
        reasons = [] if decision is None else [{"rule": why.rule, "message": why.message} for why in decision.reasons]
        content = {
            **operation_json(one),
            "policy": None if decision is None else {"ruling": decision.ruling.value, "reasons": reasons},
            "approval": None
            if approval is None
            else {
                "state": approval.state.value, "by": approval.by, "reason": approval.reason,
                "asked_at": approval.asked_at, "expires_at": approval.expires_at,
            },
            "history": [{"seq": row.seq, "at": row.at, "event": row.entry.event} for row in history],
            "proofs": [link.proof_hash for link in links],
        }  # fmt: skip
        print_json(content)
        return ExitCode.OK
    print_fields(
        [
            ("operation", f"{one.id} ({one.type.value})"),
            ("stage", one.stage.value),
            ("why", _why(one)),
            ("agent", one.agent),
            *asked_for(one),
            ("policy", None if decision is None else decision.ruling.value),
            *(("", why.message) for why in (() if decision is None else decision.reasons)),
            ("approval", None if approval is None else _approval(approval)),
            ("transaction", one.transaction_id),
            ("eth transaction", one.tx_hash),
            ("block", None if one.block is None else f"{one.block.number} {one.block.hash}"),
            ("asked", f"{when(one.created_at)} UTC"),
            ("key", one.key),
            *(("history", f"{when(row.at)}  {row.entry.event}") for row in history),
            *(("proof", link.proof_hash) for link in links),
        ]
    )
    return ExitCode.OK


def asked_for(one: Operation) -> list[tuple[str, object]]:
    """What an operation is to do, as it was asked for; amounts in base units of their asset."""
    return [
        (f"asked: {name}", f"{len(value)} entries (--json shows them)" if isinstance(value, list) else value)
        for name, value in sorted(one.intent.items())
        if name != "type"
    ]


def find_operation(connection: Connection, account: Account, number: int) -> Operation:
    """The operation of this number. Raises InvalidInput."""
    from coordinator.store import operations

    found = operations.by_id(connection, number)
    if found is None or (found.chain_id, found.wallet) != (account.chain_id, account.wallet):
        raise InvalidInput(f"There is no operation {number}.", hint="See `coordinator operations list`.")
    return found


def operation_json(one: Operation) -> dict[str, Any]:
    """An operation for programs."""
    return {
        "id": one.id,
        "type": one.type.value,
        "stage": one.stage.value,
        "failed_at": None if one.failed_at is None else one.failed_at.value,
        "code": one.code,
        "reason": one.reason,
        "agent": one.agent,
        "key": one.key,
        "trace_id": one.trace_id,
        "intent": dict(one.intent),
        "transaction_id": one.transaction_id,
        "tx_hash": one.tx_hash,
        "block": None if one.block is None else {"number": one.block.number, "hash": one.block.hash},
        "created_at": one.created_at,
        "updated_at": one.updated_at,
    }


def _why(one: Operation) -> str:
    return one.reason or one.code or ""


def _approval(one: Any) -> str:
    by = f" by {one.by}" if one.by else ""
    until = f", until {when(one.expires_at)} UTC" if one.answered_at is None else ""
    return f"{one.state.value}{by}{until}{f': {one.reason}' if one.reason else ''}"
