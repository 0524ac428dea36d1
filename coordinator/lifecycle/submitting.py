"""Taking intents in: checked in themselves, recorded once per key."""

from __future__ import annotations

import json
import secrets
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from actp.errors import ActpError, IdempotencyConflict, InvalidInput
from coordinator.canonical import canonical, sha256
from coordinator.errors import AgentPaused
from coordinator.intents import body, parse
from coordinator.lifecycle.desk import TREASURY_AGENT, Desk
from coordinator.lifecycle.naming import require_name
from coordinator.store import journal, operations, pauses
from coordinator.store.operations import Draft
from coordinator.types import IntentType, Operation, Stage

__all__ = ["KeyTaken", "Request", "record", "submit_all"]


class KeyTaken(IdempotencyConflict):
    """The key stands for another operation, from which `differing` fields differ."""

    def __init__(self, operation: Operation, wanted: Mapping[str, Any]) -> None:
        known = operation.intent
        differing = sorted(name for name in {*known, *wanted} if known.get(name) != wanted.get(name))
        ActpError.__init__(
            self,
            f"The key {operation.key!r} of {operation.agent} stands for operation {operation.id}, which differs in "
            f"{', '.join(differing)}.",
            hint="Use a new key for a new intent, and the same key only to ask again for the same one.",
        )
        self.transaction_id = operation.transaction_id or ""
        self.differing = tuple(differing)


@dataclass(frozen=True, slots=True)
class Request:
    """An intent that an agent hands in. Without a `key` it is a new one each time."""

    type: IntentType | str
    intent: Mapping[str, Any]
    agent: str
    key: str | None = None


def submit_all(desk: Desk, requests: Sequence[Request], *, connection: Connection | None = None) -> list[Operation]:
    """The operations of these requests, in order: all of them are recorded, or none; in the transaction of the caller
    if its `connection` is given.

    Raises InvalidIntent, UnsupportedProtocol, InvalidInput, AgentPaused, KeyTaken, StoreError.
    """
    drafts = [_draft(request) for request in requests]
    if connection is not None:
        return _submit(connection, desk, drafts)
    with desk.ledger.write() as own:
        return _submit(own, desk, drafts)


def _submit(connection: Connection, desk: Desk, drafts: Sequence[Draft]) -> list[Operation]:
    known = operations.by_keys(connection, desk.account, [(one.agent, one.key) for one in drafts])
    paused = pauses.active(connection, desk.account)
    for one in drafts:
        # Who only asks moves nothing.
        if (one.agent, one.key) not in known and not one.type.query:
            _require_free(paused, one.agent)
    return record(connection, desk, drafts)


def record(
    connection: Connection,
    desk: Desk,
    drafts: Sequence[Draft],
) -> list[Operation]:
    """Writes drafts and their first rows in the journal. Raises KeyTaken if a key stands for another body."""
    now = desk.ledger.now()
    found = operations.add(connection, desk.account, drafts, now)
    for draft, operation in zip(drafts, found, strict=True):
        if draft.body_hash != operation.body_hash:
            raise KeyTaken(operation, json.loads(draft.intent))
    mine = {one.trace_id for one in drafts}
    fresh = {one.id: one for one in found if one.trace_id in mine}
    entries = [
        journal.Entry(
            "submitted", one.agent, one.id, after=Stage.PENDING, detail={"bodyHash": one.body_hash, "key": one.key}
        )
        for one in fresh.values()
    ]
    journal.add(connection, desk.account, entries, now)
    return found


def _draft(request: Request) -> Draft:
    require_name(request.agent, "An agent's name")
    if request.agent == TREASURY_AGENT:
        raise InvalidInput(f"The name {TREASURY_AGENT!r} is the lifecycle's own.", hint="Name another agent.")
    key = secrets.token_hex(16) if request.key is None else request.key
    require_name(key, "An idempotency key")
    intent = parse(request.type, request.intent)
    written = canonical(body(intent))
    return Draft(str(uuid.uuid4()), request.agent, key, intent.type, written.decode(), sha256(written))


def _require_free(paused: Mapping[str, pauses.Pause], agent: str) -> None:
    found = paused.get(pauses.TREASURY) or paused.get(agent)
    if found is not None:
        who = "The treasury" if found.agent is None else f"The agent {agent}"
        raise AgentPaused(
            f"{who} was paused by {found.by}: {found.reason}",
            hint="Only questions are taken in until somebody resumes it.",
        )
