"""Calls of a tracker in one commit, in whatever way its database does that best."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Protocol

from actp.engine.store import StoreBusy
from coordinator.store import Ledger
from coordinator.store import tracker_holds as holds
from coordinator.store import tracker_scopes as scopes
from coordinator.store.accounts import Account
from coordinator.store.tracker_calls import Answered, Call, TrackerFunction
from coordinator.tracker.ledger_judging import Books

__all__ = ["Runner", "runner_of"]

_TRIES = 4


class Runner(Protocol):
    """What becomes of calls that came in at the same time: each by itself, in order. Calls never overlap."""

    def run(self, calls: Sequence[Call]) -> list[Answered]:
        """Raises StoreError, LedgerConflict."""

    def close(self) -> None:
        """Lets go of connections."""


class _Locked:
    """On SQLite: whoever writes is alone. Who waits is served by chance, and gives up after some seconds: among
    many processes that only means that others were luckier.
    """

    def __init__(self, ledger: Ledger, owner: Account) -> None:
        self._ledger = ledger
        self._owner = owner

    def run(self, calls: Sequence[Call]) -> list[Answered]:
        """See `Runner`."""
        for _ in range(_TRIES - 1):
            with suppress(StoreBusy):
                return self._run(calls)
        return self._run(calls)

    def _run(self, calls: Sequence[Call]) -> list[Answered]:
        owner = self._owner
        with self._ledger.write() as connection:
            now = self._ledger.now_by(connection)
            due = holds.due(connection, owner, now)
            found = scopes.by_keys(connection, owner, {key for one in calls for key in one.keys})
            if due:
                expired = scopes.by_ids(connection, owner, {scope_id for one in due for scope_id in one.scope_ids})
                found = {one.key: one for one in expired} | found
            tokens = {one.token for one in calls if one.token is not None}
            books = Books(found.values(), holds.find(connection, owner, tokens), now)
            books.expire(due)
            answers = [books.judge(one) for one in calls]
            scopes.write(connection, owner, list(books.changed.values()))
            for hold, states in books.made:
                hold.scope_ids = tuple(one.id for one in states if one.id is not None)
            holds.insert(connection, owner, [hold for hold, _ in books.made])
            holds.write(connection, list(books.ended.values()))
        return answers

    def close(self) -> None:
        """There is nothing that is kept."""


def runner_of(ledger: Ledger, owner: Account) -> Runner:
    """The way for this database."""
    if ledger.store.engine.dialect.name == "postgresql":
        return TrackerFunction(ledger, owner)
    return _Locked(ledger, owner)
