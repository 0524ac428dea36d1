"""The rules that hold, and what is known of the treasury, read again only when they change."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection

from coordinator.budget.checks import folded
from coordinator.budget.judging import Treasury
from coordinator.budget.rulebook import RuleBook
from coordinator.store import rulebooks, treasuries
from coordinator.store.accounts import Account

__all__ = ["Shelf", "Standing"]


@dataclass(frozen=True, slots=True)
class Standing:
    """What requests are judged by."""

    book: RuleBook
    treasury: Treasury


class Shelf:
    """The newest rules of a wallet. Any thread may use it: what is replaced is one reference."""

    def __init__(self, account: Account, token: str) -> None:
        self._account = account
        self._token = token
        self.known: Standing | None = None
        """What was read last."""
        self._former: tuple[int, frozenset[str]] = (0, frozenset())

    def read(self, connection: Connection) -> Standing:
        """What holds now, by this connection's view. Without any rules, those that deny everything."""
        row = treasuries.read(connection, self._account)
        version = 0 if row is None else row.rulebook
        known = self.known
        if known is not None and known.book.version == version:
            book = known.book
        else:
            enacted = rulebooks.read(connection, self._account, version)
            book = RuleBook() if enacted is None else enacted.book
        treasury = Treasury(self._account.wallet, self._token, 0 if row is None else row.gas_estimate)
        if known is None or known.book is not book or known.treasury != treasury:
            self.known = known = Standing(book, treasury)
        return known

    def former(self, connection: Connection) -> frozenset[str]:
        """The folded names of all agents that there ever were: whoever was removed is not just anybody."""
        version, known = self._former
        newest, names = rulebooks.agents_since(connection, self._account, version)
        if newest != version:
            self._former = newest, known | {folded(one) for one in names}
        return self._former[1]
