"""`actp outbox`: what is to be sent, what became of it, and what was given up."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING, Any

from actp.command_line import STORE_HELP
from actp.errors import InvalidInput

if TYPE_CHECKING:
    from actp.engine.intents import Attempt, Job
    from actp.engine.store import Store

__all__ = ["HELP", "configure"]

HELP = "look at the outbox of a store, and drive or cancel what is in it"

_STATUSES = ("queued", "held", "open", "mined", "failed", "dead", "cancelled", "undone", "unknown")


def configure(noun: argparse.ArgumentParser) -> None:
    """Adds the verbs."""
    verbs = noun.add_subparsers(title="verbs", metavar="VERB", required=True)

    listing = _verb(verbs, "list", "list the newest intents")
    listing.add_argument("--status", action="append", choices=_STATUSES, default=[], help="only these; may be repeated")
    listing.add_argument("--limit", type=_positive, default=50, help="how many at most (default: %(default)s)")
    listing.add_argument("--json", action="store_true", help="print one JSON object per line")
    listing.set_defaults(run=_list)

    showing = _verb(verbs, "show", "show one intent and all of its signatures")
    showing.add_argument("id", type=_positive, help="the intent's number, as `list` shows it")
    showing.add_argument("--json", action="store_true", help="print one JSON object instead of lines")
    showing.set_defaults(run=_show)

    retrying = _verb(verbs, "retry", "put dead or held intents back into the queue")
    retrying.add_argument("ids", type=_positive, nargs="+", metavar="ID")
    retrying.add_argument(
        "--not-paid",
        action="store_true",
        help="unknown ones too: you made sure that none of their hashes is mined",
    )
    retrying.set_defaults(run=_retry)

    cancelling = _verb(verbs, "cancel", "take back intents that nothing was signed for")
    cancelling.add_argument("ids", type=_positive, nargs="+", metavar="ID")
    cancelling.set_defaults(run=_cancel)


def _verb(verbs: argparse._SubParsersAction[argparse.ArgumentParser], name: str, text: str) -> argparse.ArgumentParser:
    parser = verbs.add_parser(name, help=text, description=text, allow_abbrev=False)
    parser.add_argument("--store", metavar="STORE", help=STORE_HELP)
    return parser


def _positive(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 2**63):
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is not a positive number")
    return int(text)


def _open(arguments: argparse.Namespace) -> Store:
    from actp.engine.store.existing import open_existing

    return open_existing(arguments.store)


def _list(arguments: argparse.Namespace) -> int:
    from actp.engine.store import outbox
    from actp.engine.store.schema import IntentStatus

    store = _open(arguments)
    with store.read() as connection:
        jobs = outbox.listed(connection, [IntentStatus(one) for one in arguments.status], limit=arguments.limit)
    if not jobs:
        print("Nothing.", file=sys.stderr)
    elif not arguments.json:
        print(_row("id", "status", "nonce", "age", "to", "value (wei)", "key", ""))
    now = store.clock.time()
    for job in jobs:
        if arguments.json:
            print(json.dumps(_to_json(job)))
            continue
        reason = f"  {job.code}: {job.reason}" if job.code else ""
        nonce = "-" if job.nonce is None else str(job.nonce)
        age = _age(now - job.created_at)
        print(_row(job.id, job.status, nonce, age, job.intent.to or "creation", job.intent.value, job.key, reason))
    return 0


def _row(number: object, status: str, nonce: str, age: str, to: str, value: object, key: str, reason: str) -> str:
    return f"{number:>6}  {status:<9}  {nonce:>6}  {age:>5}  {to:<42}  {value:>12}  {key}{reason}"


def _age(seconds: float) -> str:
    """In the largest unit that there is at least one of: 59s, 5m, 26h, 3d."""
    for unit, size in (("d", 172_800), ("h", 3_600), ("m", 60)):
        if seconds >= size:
            return f"{int(seconds // (86_400 if unit == 'd' else size))}{unit}"
    return f"{max(int(seconds), 0)}s"


def _show(arguments: argparse.Namespace) -> int:
    from actp.engine.store import attempts

    store = _open(arguments)
    job = _require(store, arguments.id)
    with store.read() as connection:
        signed = attempts.of_intents(connection, [job.id])[job.id]
    if arguments.json:
        print(json.dumps({**_to_json(job), "signatures": [_signature_to_json(one) for one in signed]}, indent=2))
        return 0
    lines = {
        "intent": f"{job.id} ({job.kind})",
        "status": f"{job.status}{'' if job.code is None else f' ({job.code}: {job.reason})'}",
        "idempotency key": job.key,
        "to": job.intent.to or "(creates a contract)",
        "value": f"{job.intent.value} wei",
        "data": "0x" + job.intent.data.hex(),
        "gas": "estimated" if job.intent.gas is None else str(job.intent.gas),
        "nonce": "-" if job.nonce is None else str(job.nonce),
        "tries": str(job.tries),
        "mined as": job.tx_hash or "-",
    }
    for name, value in lines.items():
        print(f"{name:<16} {value}")
    for one in signed:
        print(f"signature        {_signature(one)}")
    return 0


def _to_json(job: Job) -> dict[str, Any]:
    """Numbers of wei are text: they outgrow what other languages read as a number."""
    return {
        "id": job.id,
        "kind": str(job.kind),
        "status": str(job.status),
        "code": job.code,
        "reason": job.reason,
        "key": job.key,
        "to": job.intent.to,
        "value": str(job.intent.value),
        "data": "0x" + job.intent.data.hex(),
        "gas": job.intent.gas,
        "nonce": job.nonce,
        "tries": job.tries,
        "due_at": job.due_at,
        "created_at": job.created_at,
        "updated_at": job.updated_at,
        "tx_hash": job.tx_hash,
    }


def _signature_to_json(one: Attempt) -> dict[str, Any]:
    return {
        "tx_hash": one.tx_hash,
        "nonce": one.nonce,
        "state": str(one.state),
        "gas": one.gas,
        "max_fee": str(one.max_fee),
        "tip": str(one.tip),
        "block_number": one.block_number,
        "block_hash": one.block_hash,
        "signed_at": one.signed_at,
    }


def _signature(one: Attempt) -> str:
    block = "" if one.block_number is None else f", block {one.block_number}"
    return f"{one.tx_hash} nonce {one.nonce}, at most {one.max_fee} wei per gas, tip {one.tip}: {one.state}{block}"


def _retry(arguments: argparse.Namespace) -> int:
    from actp.engine.store import outbox

    store = _open(arguments)
    for intent_id in arguments.ids:
        job = _require(store, intent_id)
        with store.write() as connection:
            if not outbox.retry(connection, job.id, store.clock.time(), not_paid=arguments.not_paid):
                raise InvalidInput(
                    f"Intent {intent_id} is {job.status}, and only what is dead or held is driven again.",
                    hint=_instead_of_retry(job),
                )  # fmt: skip
        print(f"{intent_id} is queued")
    return 0


def _instead_of_retry(job: Job) -> str:
    if job.status == "unknown":
        hashes = f"the hashes of `actp outbox show {job.id}`"
        return f"It may have been paid: look up {hashes}. If none is mined, add --not-paid."
    if job.status in ("cancelled", "undone"):
        return "Its key stays used: put the call in again with a new one."
    return f"See `actp outbox show {job.id}`."


def _cancel(arguments: argparse.Namespace) -> int:
    from actp.engine.store import outbox
    from actp.engine.store.schema import IntentStatus

    store = _open(arguments)
    for intent_id in arguments.ids:
        job = _require(store, intent_id)
        waiting = (IntentStatus.QUEUED, IntentStatus.HELD, IntentStatus.DEAD)
        with store.write() as connection:
            if not outbox.move(connection, [job.id], waiting, IntentStatus.CANCELLED, store.clock.time()):
                raise InvalidInput(
                    f"Intent {intent_id} is {job.status}, and only what nothing was signed for can be taken back.",
                    hint="What has a nonce may be mined at any time.",
                )
        print(f"{intent_id} is cancelled")
    return 0


def _require(store: Store, intent_id: int) -> Job:
    from actp.engine.store import outbox

    with store.read() as connection:
        job = outbox.by_id(connection, intent_id)
    if job is None:
        raise InvalidInput(f"There is no intent {intent_id}.", hint="See `actp outbox list`.")
    return job
