"""What a batch of decisions becomes: its rows in every table that hears of them, and its cells.

On PostgreSQL that is one statement. What differs among requests goes there as one JSON document, and what is JSON in a
column is a part of that; the cells, which are numbers, go as arrays. There it may also be a commit of its own, of what
was decided by the cells that the last one left (`book_if`): then the database looks whether they are still so.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, TextClause, text

from coordinator.budget.cells import Cell
from coordinator.store import asks, cells, dispatches, journal, reservations
from coordinator.store.accounts import Account
from coordinator.store.asking import commit_at_once, tell
from coordinator.store.asks import AskRow
from coordinator.store.bulk import is_postgresql, numbers_text
from coordinator.store.cells import CellKey
from coordinator.store.journal import Entry
from coordinator.store.reservations import Draft

__all__ = ["Committed", "Decided", "Expected", "book", "book_if", "expected"]

_HELD = "held"


@dataclass(slots=True)
class Decided:
    """A reservation that is not a row yet, its entry in the journal, and the question that it waits for."""

    draft: Draft
    entry: Entry
    ask: AskRow | None = None


@dataclass(frozen=True, slots=True)
class Expected:
    """What has to be so for decisions to hold: these `cells` (see `expected`),
    this version of the rules, this epoch of the writer, nothing paused and none of the scopes frozen, and the hour in
    which `at` lies: no window begins within one. `now` is a test's time, None for the database's.
    """

    cells: dict[str, Any]
    rulebook: int
    epoch: int | None
    at: float
    now: float | None
    number: int
    """How many numbers to draw for the next reservations."""


@dataclass(frozen=True, slots=True)
class Committed:
    """Whether anything was written, the epoch of the writer, None if there is none, the database's time, and numbers
    for the next reservations.
    """

    done: bool
    epoch: int | None
    now: float
    ids: Sequence[int] = ()


def expected(keys: Sequence[CellKey], known: Mapping[CellKey, Cell]) -> dict[str, Any]:
    """Cells as they are to be, before anything is counted on them: those of the keys, which may be none."""
    found = [known.get(key) for key in keys]
    buckets = [None if one is None else cells.buckets_text(one) for one in found]
    return {
        "scopes": numbers_text([scope_id for scope_id, _ in keys]),
        "windows": numbers_text([window for _, window in keys]),
        "old_lim": numbers_text([None if one is None else one.lim for one in found]),
        "old_cap": numbers_text([None if one is None else one.cap for one in found]),
        "old_spent": numbers_text([None if one is None else one.spent for one in found]),
        "old_reserved": numbers_text([None if one is None else one.reserved for one in found]),
        "old_buckets": buckets if any(buckets) else [],
    }


def book(
    connection: Connection, account: Account, decided: Sequence[Decided], changed: Sequence[Cell], now: float
) -> None:
    """Writes decisions, the grants among them to be handed on, and cells that were locked. If one of the keys is taken
    meanwhile, `Ledger.write` raises LedgerConflict.
    """
    if is_postgresql(connection):
        if decided or changed:
            tell(connection, _statement(checked=False), _parameters(account, decided, changed) | {"now": now})
        return
    reservations.add(connection, account, [one.draft for one in decided], now)
    journal.add(connection, account, [one.entry for one in decided], now)
    granted = [(one.draft.id, one.draft.ask.agent) for one in decided if one.draft.state.value == _HELD]
    dispatches.add(connection, account, granted, now)
    asks.add(connection, account, [one.ask for one in decided if one.ask is not None])
    cells.write(connection, changed)


def book_if(
    connection: Connection, account: Account, decided: Sequence[Decided], changed: Sequence[Cell], wanted: Expected
) -> Committed:
    """As `book`, in a commit and one round trip of its own on PostgreSQL, if all is as expected: otherwise nothing is
    written. The cells are locked first, in the order of everybody, so that what is seen then holds until the commit.
    """
    parameters = _parameters(account, decided, changed) | wanted.cells
    parameters |= {"rulebook": wanted.rulebook, "epoch": wanted.epoch, "at": wanted.at, "now": wanted.now}
    parameters["number"] = wanted.number
    row = commit_at_once(connection, [(_LOCK, wanted.cells), (_statement(checked=True), parameters)])
    if row is None:
        return Committed(False, None, wanted.at)
    done, epoch, now, ids = row
    return Committed(bool(done), epoch, now, ids or ())


_document = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), check_circular=False).encode

_LOCK = text(
    "SELECT 1 FROM co_cells WHERE scope_id = ANY(CAST(:scopes AS bigint[])) "
    "AND window_start = ANY(CAST(:windows AS bigint[])) ORDER BY scope_id, window_start FOR UPDATE"
)

_CHECKED = """
writer AS MATERIALIZED (
    SELECT epoch, CAST(extract(epoch FROM clock_timestamp()) AS float8) AS now FROM co_writers
    WHERE chain_id = :chain_id AND wallet = :wallet FOR SHARE
), checked AS MATERIALIZED (
    SELECT w.epoch, w.now, coalesce(CAST(:now AS float8), w.now) AS at,
        w.epoch = CAST(:epoch AS bigint)
        AND floor(coalesce(CAST(:now AS float8), w.now) / 3600) = floor(CAST(:at AS float8) / 3600)
        AND (SELECT rulebook FROM co_treasuries WHERE chain_id = :chain_id AND wallet = :wallet) = :rulebook
        AND NOT EXISTS (SELECT FROM co_pauses WHERE chain_id = :chain_id AND wallet = :wallet)
        AND NOT EXISTS (
            SELECT FROM co_scopes WHERE id = ANY(CAST(:scopes AS bigint[])) AND frozen IS NOT NULL
        )
        AND NOT EXISTS (
            SELECT FROM unnest(
                CAST(:scopes AS bigint[]), CAST(:windows AS bigint[]), CAST(:old_lim AS bigint[]),
                CAST(:old_cap AS bigint[]), CAST(:old_spent AS bigint[]), CAST(:old_reserved AS bigint[]),
                CAST(:old_buckets AS text[])
            ) AS n(scope_id, window_start, lim, cap, spent, reserved, buckets)
            LEFT JOIN co_cells t ON t.scope_id = n.scope_id AND t.window_start = n.window_start
            WHERE (n.lim, n.cap, n.spent, n.reserved, CAST(n.buckets AS jsonb))
                IS DISTINCT FROM (t.lim, t.cap, t.spent, t.reserved, CAST(t.buckets AS jsonb))
        ) AS good
    FROM writer w
), """

_DRAWN = """good, epoch, now,
    (SELECT array_agg(nextval('co_reservations_id_seq')) FROM generate_series(1, CAST(:number AS int)))
FROM checked"""


@lru_cache(maxsize=2)
def _statement(*, checked: bool) -> TextClause:
    """The statement that writes all; with `checked` nothing unless everything is as expected."""
    now = "(SELECT at FROM checked)" if checked else "CAST(:now AS float8)"
    good = "(SELECT good FROM checked)" if checked else "true"
    return text(
        f"""
WITH {_CHECKED if checked else ""}d AS MATERIALIZED (
    SELECT {now} AS now, x.* FROM json_to_recordset(CAST(:decided AS json)) AS x(
        id bigint, agent text, key text, body_hash text, provider text, category text, amount bigint, purpose text,
        purpose_salt text, purpose_hash text, terms json, number text, transaction_id text, rulebook bigint, state text,
        placed text, gas bigint, promised boolean, rule text, message text, lim bigint, used bigint,
        event text, detail text, approval_id text, required int, seconds double precision)
    WHERE {good}
), reserved AS (
    INSERT INTO co_reservations (id, chain_id, wallet, agent, key, body_hash, provider, category, amount, purpose,
        purpose_salt, purpose_hash, terms, number, transaction_id, rulebook, state, placed, gas, promised, rule,
        message, lim, used, returned, settled, created_at, updated_at)
    SELECT id, :chain_id, :wallet, agent, key, body_hash, provider, category, amount, purpose, purpose_salt,
        purpose_hash, CAST(terms AS text), number, transaction_id, rulebook, state, placed, gas, promised,
        rule, message, lim, used, 0, false, now, now
    FROM d
), told AS (
    INSERT INTO co_journal (chain_id, wallet, agent, at, event, after, detail, reservation_id)
    SELECT :chain_id, :wallet, agent, now, event, state, detail, id FROM d
), granted AS (
    INSERT INTO co_dispatches (reservation_id, chain_id, wallet, agent, state, alone, created_at)
    SELECT id, :chain_id, :wallet, agent, 'waiting', false, now FROM d WHERE state = '{_HELD}'
), asked AS (
    INSERT INTO co_asks (reservation_id, chain_id, wallet, approval_id, required, state, asked_at, expires_at)
    SELECT id, :chain_id, :wallet, approval_id, required, 'waiting', now, now + seconds
    FROM d WHERE approval_id IS NOT NULL
), counted AS (
    UPDATE co_cells t SET lim = n.lim, cap = n.cap, spent = n.spent, reserved = n.reserved, buckets = n.buckets
    FROM unnest(
        CAST(:new_scopes AS bigint[]), CAST(:new_windows AS bigint[]), CAST(:new_lim AS bigint[]),
        CAST(:new_cap AS bigint[]), CAST(:new_spent AS bigint[]), CAST(:new_reserved AS bigint[]),
        CAST(:new_buckets AS text[])
    ) AS n(scope_id, window_start, lim, cap, spent, reserved, buckets)
    WHERE t.scope_id = n.scope_id AND t.window_start = n.window_start AND {good}
)
SELECT {_DRAWN if checked else "1"}
"""
    )


def _parameters(account: Account, decided: Sequence[Decided], changed: Sequence[Cell]) -> dict[str, Any]:
    buckets = [cells.buckets_text(one) for one in changed]
    return {
        **account.columns,
        "decided": _document([_content(one) for one in decided]),
        "new_scopes": numbers_text([one.scope_id for one in changed]),
        "new_windows": numbers_text([one.window_start for one in changed]),
        "new_lim": numbers_text([one.lim for one in changed]),
        "new_cap": numbers_text([one.cap for one in changed]),
        "new_spent": numbers_text([one.spent for one in changed]),
        "new_reserved": numbers_text([one.reserved for one in changed]),
        "new_buckets": buckets if any(buckets) else [],
    }


def _content(one: Decided) -> dict[str, Any]:
    """What stands in the document of a decision; what does not is null."""
    draft = one.draft
    ask = draft.ask
    found = {
        "id": draft.id,
        "agent": ask.agent,
        "key": ask.key,
        "body_hash": ask.body_hash,
        "provider": ask.provider,
        "category": ask.category,
        "amount": ask.amount,
        "purpose": ask.purpose,
        "purpose_salt": draft.purpose_salt,
        "purpose_hash": draft.purpose_hash,
        "terms": dict(ask.terms),
        "number": str(ask.number),
        "transaction_id": ask.transaction_id,
        "rulebook": draft.rulebook,
        "state": draft.state.value,
        "placed": draft.placed,
        "gas": draft.gas,
        "promised": draft.promised,
        "event": one.entry.event,
        "detail": one.entry.text,
    }
    if draft.denial is not None:
        found |= reservations.denial_columns(draft.denial)
    if one.ask is not None:
        found |= {
            "approval_id": one.ask.approval_id,
            "required": one.ask.required,
            "seconds": one.ask.expires_at - one.ask.asked_at,
        }
    return found
