"""What lies in the treasury: the limit of what can be promised."""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy import Connection

from coordinator.authority.counters import Booked, Counters
from coordinator.budget.limits import treasury_scope
from coordinator.budget.words import LARGEST, Placed, Reservation, ScopeKind
from coordinator.store import journal, reservations, treasuries
from coordinator.store.accounts import Account
from coordinator.store.reservations import Mined
from coordinator.types import ETH, BlockRef

__all__ = ["observe"]


def observe(
    connection: Connection,
    account: Account,
    *,
    token_balance: int,
    eth_balance: int,
    block: BlockRef,
    gas_estimate: int,
    now: float,
) -> bool:
    """Notes what the wallet had after a block, and takes off in the same commit what that balance shows: the charges of
    reservations whose funding was mined up to there. False, with nothing changed, for a block below the last one.

    Amounts in base units of the token and in wei; `gas_estimate` is what one funding costs in fees at most, in wei.
    """
    treasury = treasuries.read(connection, account, lock=True)
    if treasury is None or (treasury.block is not None and block.number < treasury.block.number):
        return False
    token, ether = treasury_scope(treasury.token), treasury_scope(ETH)
    mined = {one.reservation_id: one for one in reservations.mined(connection, account, block.number)}
    rows = reservations.by_ids(connection, list(mined), lock=True)
    placed = [one for row in rows.values() for one in row.placed]
    counters = Counters(connection, account, now, charged=[token, ether], placed=placed)
    booked = Booked()
    changed = [_take_off(row, mined[row.id], counters, booked) for row in rows.values()]
    changed = [one for one in changed if one != rows[one.id]]
    counters.make(token, min(token_balance, LARGEST), booked)
    counters.make(ether, min(eth_balance, LARGEST), booked)
    counters.write()
    reservations.write(connection, changed, now)
    treasuries.note_block(connection, account, block, gas_estimate, now)
    if booked.detail:
        detail = {"block": [block.number, block.hash], "reservations": [one.id for one in changed]} | booked.detail
        journal.add(connection, account, [journal.Entry("observed", "", detail=detail)], now)
    return True


def _take_off(row: Reservation, mined: Mined, counters: Counters, booked: Booked) -> Reservation:
    left: list[Placed] = []
    promised = False
    for one in row.placed:
        scope = counters.scope(one.scope_id)
        if scope.kind is not ScopeKind.TREASURY:
            left.append(one)
        elif mined.reverted and scope.unit != ETH:
            # Only the fee is gone. The amount is promised until it is known that it will not be spent.
            left.append(one)
            promised = True
        else:
            counters.change(one, 0, -one.amount, booked)
    return replace(row, placed=tuple(left), promised=promised)
