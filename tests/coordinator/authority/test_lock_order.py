"""Cells are locked in one order, also those that are made while somebody waits: nobody waits for one another."""

from __future__ import annotations

import threading
import time

import pytest
from sqlalchemy import text

from coordinator.budget.cells import Cell
from coordinator.budget.periods import window_start
from coordinator.budget.words import ReservationState, Scope
from coordinator.store import cells, scopes
from tests.coordinator.authority.support import DAY, TOKEN, Period, ScopeKind, ask, book, fund

TODAY = Scope(ScopeKind.AGENT, "ann", Period.DAY, TOKEN)
TOTAL = Scope(ScopeKind.TOTAL, "", Period.EVER, TOKEN)


def wait_until_somebody_waits_for(holder):
    """Until a transaction waits for that of this connection."""
    pid = holder.execute(text("SELECT pg_backend_pid()")).scalar_one()
    query = text("SELECT count(*) FROM pg_stat_activity WHERE :pid = ANY(pg_blocking_pids(pid))")
    for _ in range(1_000):
        with holder.engine.connect() as connection:
            if connection.execute(query, {"pid": pid}).scalar_one():
                return
        time.sleep(0.01)
    raise AssertionError("nobody waits")


@pytest.mark.parametrize("backend", ["function", "batches"], indirect=True)
def test_a_cell_that_is_made_while_a_request_waits_is_not_locked_out_of_order(serve, clock):
    authority = serve()
    authority.apply(book(), "test")
    # Its number is lower than those of all other scopes, so it is to be locked first.
    authority.freeze(TODAY, "first")
    authority.unfreeze(TODAY, "of all")
    fund(authority)
    assert authority.request(ask()).state is ReservationState.HELD
    clock.advance(DAY)
    ledger, engine = authority.ledger, authority.ledger.store.engine
    with ledger.read() as connection:
        numbers = {one: row.id for one, row in scopes.find(connection, authority.account, [TODAY, TOTAL]).items()}
    assert numbers[TODAY] < numbers[TOTAL]
    today, total = (numbers[TODAY], window_start(Period.DAY, clock.time())), (numbers[TOTAL], 0)
    answers = []
    asking = threading.Thread(target=lambda: answers.append(authority.request(ask())))
    with ledger.write() as first:
        cells.lock(first, {total})
        asking.start()
        wait_until_somebody_waits_for(first)
        with ledger.write() as maker:
            cells.insert(maker, [Cell.empty(*today, Period.DAY, None)])
        second = engine.connect()
        cells.lock(second, {today})
    try:
        wait_until_somebody_waits_for(second)
        cells.lock(second, {total})  # a deadlock, if the request has it and wants the other one
        second.commit()
    finally:
        second.close()
        asking.join(30)
    assert [one.state for one in answers] == [ReservationState.HELD]
