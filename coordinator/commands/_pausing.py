"""Whom one can pause."""

from __future__ import annotations

from typing import TYPE_CHECKING

from actp.errors import InvalidInput

if TYPE_CHECKING:
    from coordinator.store import Ledger
    from coordinator.store.accounts import Account

__all__ = ["require_known"]


def require_known(ledger: Ledger, account: Account, agent: str) -> None:
    """Raises InvalidInput for an agent that the rules do not know and that never asked for anything: a slip of the pen
    must not leave the one who was meant at work.
    """
    from coordinator.store import operations, reservations, rulebooks, treasuries

    with ledger.read() as connection:
        treasury = treasuries.read(connection, account)
        enacted = None if treasury is None else rulebooks.read(connection, account, treasury.rulebook)
        known = (
            (enacted is not None and agent in enacted.book.agents)
            or operations.listed(connection, account, agent=agent, limit=1)
            or reservations.listed(connection, account, agent=agent, limit=1)
        )
    if not known:
        raise InvalidInput(f"There is no agent {agent}.", hint="`coordinator agents list` shows those that there are.")
