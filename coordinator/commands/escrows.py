"""`coordinator escrows`: every escrow of the kernels that are indexed, whoever made it."""

from __future__ import annotations

import argparse
import sys
import time
from typing import TYPE_CHECKING

from actp.command_line import CHAIN_IDS, ExitCode, stop_signals, whole_number
from actp.errors import InvalidInput
from actp.types import State
from actp.units import require_address, require_bytes32
from coordinator.commands._chain import add_node, endpoint_of
from coordinator.commands._escrows import action_json, escrow_json, fields_of, print_escrows, report, tell
from coordinator.commands._kernels import add_kernels, kernels_of
from coordinator.commands._opening import add_json, add_limit, add_store
from coordinator.commands._parsing import moment, moment_ahead
from coordinator.commands._printing import print_fields, print_json

if TYPE_CHECKING:
    from coordinator.store.index_escrows import Escrow

__all__ = ["HELP", "configure"]

HELP = "list, show and watch escrows, and what is due; keep the index that knows them"

_EVERY = 1.0
_SECONDS = whole_number(0, 10**9)
_BLOCKS = whole_number(0, 2**62)


def configure(noun: argparse.ArgumentParser) -> None:
    """Adds the verbs."""
    verbs = noun.add_subparsers(title="verbs", metavar="VERB", required=True)
    text = "list escrows, the newest first"
    listing = verbs.add_parser("list", help=text, description=text, allow_abbrev=False)
    add_kernels(listing)
    listing.add_argument(
        "--state", action="append", type=str.lower, choices=[one.name.lower() for one in State], default=[],
        help="only in this state; may be repeated",
    )  # fmt: skip
    listing.add_argument("--party", metavar="ADDRESS", help="only with this requester or provider")
    listing.add_argument("--due", action="store_true", help="only if anybody may do something about it by now")
    listing.add_argument("--since", type=moment, metavar="TIME", help="only if created since: 2026-11-21, or 24h")
    listing.add_argument("--after", metavar="PLACE", help="go on after this one: the `place` that a list ended with")
    add_limit(listing)
    add_json(listing, lines=True)
    listing.set_defaults(run=_list)

    text = "show one escrow, and what was put right about it"
    showing = verbs.add_parser("show", help=text, description=text, allow_abbrev=False)
    add_kernels(showing)
    showing.add_argument("id", metavar="ID", help="the ACTP transaction id")
    add_json(showing)
    showing.set_defaults(run=_show)

    text = "list what anybody may do: settle, refund, close; the oldest first"
    due = verbs.add_parser("due", help=text, description=text, allow_abbrev=False)
    add_kernels(due)
    due.add_argument("--party", metavar="ADDRESS", help="only with this requester or provider")
    due.add_argument(
        "--by", type=moment_ahead, metavar="TIME",
        help="what is due by then: 2026-11-21, or 24h from now (default: now)",
    )  # fmt: skip
    add_limit(due)
    add_json(due, lines=True)
    due.set_defaults(run=_due)

    text = "print escrows as they change, until Ctrl-C; something has to keep the index meanwhile"
    watching = verbs.add_parser("watch", help=text, description=text, allow_abbrev=False)
    add_kernels(watching)
    watching.add_argument("id", nargs="*", metavar="ID", help="only these ACTP transactions")
    watching.add_argument("--party", metavar="ADDRESS", help="only with this requester or provider")
    watching.add_argument("--for", dest="seconds", type=_SECONDS, metavar="SECONDS", help="end after so many seconds")
    watching.add_argument(
        "--until", type=str.lower, choices=[one.name.lower() for one in State], metavar="STATE",
        help="end when all that are named have reached this state, or one that ends them",
    )  # fmt: skip
    add_json(watching, lines=True)
    watching.set_defaults(run=_watch)

    text = "read a kernel's events into the store, now; needs a node, and no key"
    indexing = verbs.add_parser("index", help=text, description=text, allow_abbrev=False)
    add_store(indexing)
    add_node(indexing)
    indexing.add_argument("--chain-id", type=whole_number(*CHAIN_IDS), metavar="ID", help="if the node has another one")
    indexing.add_argument("--from-block", type=_BLOCKS, metavar="N", help="begin there (default: at the deployment)")
    indexing.add_argument("--follow", action="store_true", help="go on until Ctrl-C or SIGTERM")
    indexing.add_argument("--rebuild", action="store_true", help="drop what is indexed of this kernel, and begin again")
    indexing.add_argument("--verify", action="store_true", help="compare open escrows with the chain's state as well")
    add_json(indexing)
    indexing.set_defaults(run=_index)


def _list(arguments: argparse.Namespace) -> int:
    from coordinator.store import index_escrows
    from coordinator.store.index_escrows import Filters

    ledger, kernels = kernels_of(arguments)
    filters = Filters(
        kernel_ids=tuple(one.id for one in kernels),
        states=tuple(State[one.upper()] for one in arguments.state),
        party=_party(arguments),
        due_by=int(ledger.now()) if arguments.due else None,
        since=None if arguments.since is None else int(arguments.since),
    )
    with ledger.read() as connection:
        found = index_escrows.listed(connection, filters, after=arguments.after, limit=arguments.limit)
    print_escrows(found, kernels, arguments.json, nothing="No escrows.")
    if len(found) == arguments.limit and not arguments.json:
        print(f"There may be more: --after {found[-1].place}", file=sys.stderr)
    return ExitCode.OK


def _due(arguments: argparse.Namespace) -> int:
    from coordinator.store import index_escrows
    from coordinator.store.index_words import Due

    ledger, kernels = kernels_of(arguments)
    now = ledger.now()
    by = int(now if arguments.by is None else arguments.by)
    party = _party(arguments)
    found: list[Escrow] = []
    with ledger.read() as connection:
        for one in kernels:
            # What somebody is doing already, or has tried, is due as well.
            found += index_escrows.due(
                connection,
                one.id,
                Due,
                chain_now=by,
                parties=None if party is None else [party],
                limit=arguments.limit,
                taken=True,
            )
    found.sort(key=lambda one: (one.due_at or 0, one.transaction_id))
    print_escrows(found[: arguments.limit], kernels, arguments.json, nothing="Nothing is due.")
    return ExitCode.OK


def _show(arguments: argparse.Namespace) -> int:
    from coordinator.store import index_actions, index_escrows, index_records

    ledger, kernels = kernels_of(arguments)
    transaction_id = require_bytes32(arguments.id, "the id").lower()
    with ledger.read() as connection:
        found = index_escrows.find(connection, transaction_id, [one.id for one in kernels])
        if not found:
            raise InvalidInput(
                f"No escrow {transaction_id} is in the index.",
                hint="`coordinator escrows list` shows those that are; `escrows index` reads the newest.",
            )
        escrow = found[0]
        actions = index_actions.of(connection, escrow.kernel_id, transaction_id)
        repairs = index_records.repairs_of(connection, escrow.kernel_id, transaction_id=transaction_id)
    (kernel,) = [one for one in kernels if one.id == escrow.kernel_id]
    if arguments.json:
        print_json(
            {
                **escrow_json(escrow, kernel),
                "actions": [action_json(one) for one in actions],
                "repairs": [{name: list(pair) for name, pair in one.differences.items()} for one in repairs],
            }
        )
        return ExitCode.OK
    print_fields(fields_of(escrow, kernel, actions, repairs))
    return ExitCode.OK


def _watch(arguments: argparse.Namespace) -> int:
    from coordinator.store import index_escrows

    ledger, kernels = kernels_of(arguments)
    party, wanted = _party(arguments), {require_bytes32(one, "an id").lower() for one in arguments.id}
    if arguments.until is not None and not wanted:
        raise InvalidInput("--until needs the ids of the escrows that it is about.")
    until = None if arguments.until is None else State[arguments.until.upper()]
    give_up_at = None if arguments.seconds is None else time.monotonic() + arguments.seconds
    places = {one.id: (0 if wanted else one.block.number + 1, "") for one in kernels}
    waiting = set(wanted) if until is not None else set()
    with stop_signals() as stop:
        while not stop.is_set():
            for kernel in kernels:
                while True:
                    with ledger.read() as connection:
                        found = index_escrows.changed(connection, kernel.id, places[kernel.id], among_ids=wanted)
                    if not found:
                        break
                    places[kernel.id] = found[-1].last_block, found[-1].transaction_id
                    for one in found:
                        if party in (None, one.requester, one.provider):
                            tell(one, kernel, arguments.json)
                        if one.state is until or one.state.final:
                            waiting.discard(one.transaction_id)
            if until is not None and not waiting:
                return ExitCode.OK
            if give_up_at is not None and time.monotonic() >= give_up_at:
                return ExitCode.OK if until is None else ExitCode.FAILED
            stop.wait(_EVERY)
    return ExitCode.OK


def _index(arguments: argparse.Namespace) -> int:
    from actp.engine.store import open_store
    from actp.engine.store.existing import named_store
    from coordinator.index import Index
    from coordinator.store import index_records, open_ledger

    url = named_store(arguments.store)
    endpoint = endpoint_of(arguments)
    store = open_store(url)
    try:
        with stop_signals() as stop:
            ledger = open_ledger(store)
            index = Index(ledger, endpoint, None if arguments.rebuild else arguments.from_block)
            if arguments.rebuild:
                index.rebuild(arguments.from_block)
            progress = index.catch_up(stop=stop)
            repairs = index.verify() if arguments.verify else []
            with ledger.read() as connection:
                unknown = index_records.unknown_of(connection, index.kernel.id)
            report(index, progress, repairs, unknown, arguments.json)
            if arguments.follow:
                index.run(stop)
    finally:
        store.close()
    return ExitCode.OK


def _party(arguments: argparse.Namespace) -> str | None:
    return None if arguments.party is None else require_address(arguments.party, "--party")
