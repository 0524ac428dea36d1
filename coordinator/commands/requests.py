"""`coordinator requests`: what agents have asked for, and what became of it."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

from actp.command_line import ExitCode
from actp.errors import InvalidInput
from coordinator.budget.categories import shown_category, stored_categories
from coordinator.budget.words import ReservationState
from coordinator.commands._opening import NUMBER, add_account, add_json, add_limit, opened
from coordinator.commands._parsing import moment
from coordinator.commands._printing import print_fields, print_json, print_lines, print_table, usdc, when

if TYPE_CHECKING:
    from coordinator.budget.words import Reservation
    from coordinator.store.asks import AskRow, Vote

__all__ = ["HELP", "configure", "request_json", "what_became"]

HELP = "list and show what agents have asked for, and what became of it"

_COLUMNS = ("id", "asked (UTC)", "agent", "USDC", "category", "state", "what became of it")


def configure(noun: argparse.ArgumentParser) -> None:
    """Adds the verbs."""
    verbs = noun.add_subparsers(title="verbs", metavar="VERB", required=True)
    text = "list the newest requests"
    listing = verbs.add_parser("list", help=text, description=text, allow_abbrev=False)
    add_account(listing)
    listing.add_argument("--agent", metavar="ID", help="only of this agent")
    listing.add_argument(
        "--state", action="append", choices=[one.value for one in ReservationState], default=[],
        help="only in this state; may be repeated",
    )  # fmt: skip
    listing.add_argument("--category", metavar="NAME", help="only of this category; '' for those that name none alone")
    listing.add_argument(
        "--since", type=moment, metavar="TIME", help="only since then: 2026-11-21, or 24h for 24 hours"
    )
    add_limit(listing)
    add_json(listing, lines=True)
    listing.set_defaults(run=_list)

    text = "show a request, its approvals and its history"
    showing = verbs.add_parser("show", help=text, description=text, allow_abbrev=False)
    add_account(showing)
    showing.add_argument("id", metavar="ID", help="the request's number, or the id of its ACTP transaction")
    add_json(showing)
    showing.set_defaults(run=_show)


def _list(arguments: argparse.Namespace) -> int:
    from coordinator.store import asks, reservations

    ledger, account = opened(arguments)
    with ledger.read() as connection:
        found = reservations.listed(
            connection,
            account,
            agent=arguments.agent,
            states=[ReservationState(one) for one in arguments.state],
            categories=() if arguments.category is None else stored_categories(arguments.category),
            since=arguments.since,
            limit=arguments.limit,
        )
        asked = asks.by_reservations(connection, [one.id for one in found]) if found else {}
    if arguments.json:
        print_lines(request_json(one, asked.get(one.id)) for one in found)
    else:
        rows = [
            (
                one.id, when(one.created_at), one.agent, usdc(one.amount), shown_category(one.category),
                one.state.value, what_became(one, asked.get(one.id)),
            )
            for one in found
        ]  # fmt: skip
        print_table(_COLUMNS, rows, nothing="No requests.")
    return ExitCode.OK


def _show(arguments: argparse.Namespace) -> int:
    from coordinator.commands._narrating import sentence, treasury_units
    from coordinator.store import asks, journal

    ledger, account = opened(arguments)
    with ledger.read() as connection:
        one = _find(connection, account, arguments.id)
        asked = asks.by_reservations(connection, [one.id]).get(one.id)
        votes = asks.votes_of(connection, one.id)
        history = journal.listed(connection, account, reservation_id=one.id)
        treasury = treasury_units(connection, account)
    if arguments.json:
        events = [
            {
                "seq": row.seq, "at": row.at, "event": row.entry.event, **_change(row.entry),
                "says": sentence(row.entry, treasury),
            }
            for row in history
        ]  # fmt: skip
        said = [{"approver": vote.approver, "yes": vote.yes, "reason": vote.reason, "at": vote.at} for vote in votes]
        print_json({**request_json(one, asked), "votes": said, "history": events})
        return ExitCode.OK
    print_fields(
        [
            ("request", one.id),
            ("state", one.state.value),
            ("became", what_became(one, asked)),
            ("agent", one.agent),
            ("amount", f"{usdc(one.amount)} USDC"),
            ("provider", one.provider),
            ("category", shown_category(one.category)),
            ("purpose", "erased" if one.purpose is None else one.purpose),
            ("asked", f"{when(one.created_at)} UTC"),
            ("changed", f"{when(one.updated_at)} UTC"),
            ("key", one.key),
            ("transaction", one.transaction_id),
            ("operation", one.operation_id),
            ("paid", None if one.actual is None else f"{usdc(one.actual)} USDC"),
            ("came back", f"{usdc(one.returned)} USDC" if one.returned else None),
            ("rules", f"version {one.rulebook}"),
            *((f"term {name}", value) for name, value in one.terms.items()),
            *((f"{'yes' if vote.yes else 'no'} by", _vote(vote)) for vote in votes),
            *(("history", f"{when(row.at)}  {sentence(row.entry, treasury)}{_states(row.entry)}") for row in history),
        ]
    )
    return ExitCode.OK


def what_became(one: Reservation, asked: AskRow | None) -> str:
    """The most telling thing about a request, in a sentence or a name."""
    if one.denial is not None:
        return f"{one.denial.rule}: {one.denial.message}"
    if one.state is ReservationState.PENDING_APPROVAL and asked is not None:
        return f"waits for {asked.approval_id}"
    if one.state is ReservationState.EXPIRED:
        return "nobody has answered in time"
    if one.returned:
        return f"{usdc(one.returned)} USDC came back"
    if one.operation_id is not None:
        return f"operation {one.operation_id}"
    return "waits for the worker" if one.state is ReservationState.HELD else ""


def request_json(one: Reservation, asked: AskRow | None) -> dict[str, Any]:
    """A request for programs; amounts in base units, the escrow's number as text: it has 128 bits."""
    denial = one.denial
    return {
        "id": one.id,
        "state": one.state.value,
        "agent": one.agent,
        "key": one.key,
        "amount": one.amount,
        "provider": one.provider,
        "category": one.category or None,
        "purpose": one.purpose,
        "terms": dict(one.terms),
        "transaction_id": one.transaction_id,
        "escrow_number": str(one.number),
        "operation_id": one.operation_id,
        "approval_id": None if asked is None else asked.approval_id,
        "rule": None if denial is None else denial.rule,
        "reason": None if denial is None else denial.message,
        "limit": None if denial is None else denial.limit,
        "used": None if denial is None else denial.used,
        "paid": one.actual,
        "returned": one.returned,
        "rules_version": one.rulebook,
        "created_at": one.created_at,
        "updated_at": one.updated_at,
    }


def _find(connection: Any, account: Any, text: str) -> Reservation:
    from coordinator.store import reservations

    if text.startswith("0x"):
        found = reservations.by_transactions(connection, account, [text.lower()])
    else:
        try:
            number = NUMBER(text)
        except argparse.ArgumentTypeError as error:
            raise InvalidInput(f"{error}.", hint="Give the number that `requests list` shows, or 0x...") from None
        found = [
            one
            for one in reservations.by_ids(connection, [number]).values()
            if (one.chain_id, one.wallet) == (account.chain_id, account.wallet)
        ]
    if not found:
        raise InvalidInput(
            f"There is no request {text}.", hint="`coordinator requests list` shows those that there are."
        )
    return found[0]


def _change(entry: Any) -> dict[str, Any]:
    return {
        "before": None if entry.before is None else entry.before.value,
        "after": None if entry.after is None else entry.after.value,
        "detail": json.loads(json.dumps(dict(entry.detail))),
    }


def _states(entry: Any) -> str:
    """From which state to which, unless the event's name, with which its sentence begins, says so already."""
    if entry.after is None or entry.before is entry.after:
        return ""
    if entry.before is None:
        return "" if entry.after.value == entry.event else f" ({entry.after.value})"
    return f" ({entry.before.value} -> {entry.after.value})"


def _vote(vote: Vote) -> str:
    return f"{vote.approver}, {when(vote.at)} UTC{f': {vote.reason}' if vote.reason else ''}"
