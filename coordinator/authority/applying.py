"""Making rules hold: a new version, and its limits on every cell that is in use now."""

from __future__ import annotations

from sqlalchemy import Connection

from coordinator.authority.counters import Booked, Counters
from coordinator.authority.deciding import rules_changed
from coordinator.budget.limits import limits
from coordinator.budget.rulebook import RuleBook
from coordinator.budget.words import ScopeKind
from coordinator.store import journal, rulebooks, scopes, treasuries
from coordinator.store.accounts import Account

__all__ = ["apply"]


def apply(connection: Connection, account: Account, book: RuleBook, token: str, by: str, now: float) -> int:
    """The version of these rules, from this commit on: a new one, unless they are those that hold already. Rules that
    were derived from a version (and still carry its number) replace that one only. Raises RulesChanged.

    What is held stays held: a limit that is lower than what is in use only denies what is new.
    """
    treasury = treasuries.read(connection, account, lock=True)
    before = 0 if treasury is None else treasury.rulebook
    enacted = rulebooks.read(connection, account, before)
    if enacted is not None and enacted.book.content_hash == book.content_hash:
        return before
    if book.version not in (0, before):
        raise rules_changed()
    version = before + 1
    rulebooks.add(connection, account, book, version, by, now)
    treasuries.set_rulebook(connection, account, version)
    wanted = {one.scope: one.limit for one in limits(book, token)}
    known = [row.scope for row in scopes.listed(connection, account) if row.scope.kind is not ScopeKind.TREASURY]
    counters = Counters(connection, account, now, charged=known)
    booked = Booked()
    for scope in known:
        counters.set_limit(scope, wanted.get(scope), booked)
    counters.write()
    detail = {"version": version, "content_hash": book.content_hash, "by": by} | booked.detail
    journal.add(connection, account, [journal.Entry("rules_applied", "", detail=detail)], now)
    return version
