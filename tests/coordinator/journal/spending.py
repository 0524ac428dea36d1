"""Requests that are decided and end as they do in earnest, with the charges that a test wants."""

from __future__ import annotations

import itertools

from coordinator.authority.deciding import Item, decide_all
from coordinator.authority.ending import Change, move_all
from coordinator.budget.limits import Rule
from coordinator.budget.words import Charge, Period, ReservationState, Ruled, Scope, ScopeKind
from coordinator.store import seals
from tests.coordinator.journal.asks import an_ask

TOKEN = "0x" + "70" * 20
_numbers = itertools.count(1)


def charge(limit, *, kind=ScopeKind.AGENT, key="ann", period=Period.DAY, unit=TOKEN, amount=None):
    """A charge; of the whole amount, if none is given."""
    rule = {ScopeKind.TOTAL: Rule.TOTAL_BUDGET, ScopeKind.CATEGORY: Rule.CATEGORY_BUDGET}.get(kind, Rule.DAILY_LIMIT)
    return Scope(kind, key, period, unit), amount, limit, rule


def spend(ledger, account, amount, *charges, agent="ann", approvals=0, rulebook=0, category="data", seal=True):
    """Asks for an amount, and gives the answer."""
    number = next(_numbers)
    ask = an_ask(agent=agent, key=f"k{number}", amount=amount, category=category, transaction_id=f"0x{number:064x}")
    made = tuple(Charge(scope, amount if of is None else of, limit, rule) for scope, of, limit, rule in charges)
    with ledger.write() as connection:
        item = Item(ask, Ruled(rulebook, None, made, approvals, 3600.0))
        (answer,) = decide_all(connection, account, [item], ledger.now())
    if seal:
        seals.seal_all(ledger, account)
    return answer


def end(ledger, account, answer, state=ReservationState.COMMITTED, **given):
    """What becomes of it."""
    with ledger.write() as connection:
        move_all(connection, account, [Change(answer.reservation_id, state, **given)], ledger.now())
    seals.seal_all(ledger, account)
