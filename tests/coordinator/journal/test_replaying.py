"""The journal of real decisions gives the cells that they have left behind."""

from __future__ import annotations

import random

import pytest
from sqlalchemy import text

from coordinator.authority.verifying import Fault, verify
from coordinator.budget.words import REQUESTS, Period, ReservationState, ScopeKind
from coordinator.types import ETH
from tests.coordinator.journal.spending import charge, end, spend

S = ReservationState
USDC = 1_000_000


def charges(agent, limit):
    return (
        charge(limit * USDC, key=agent, period=Period.DAY),
        charge(limit * USDC, key=agent, period=Period.ROLLING_DAY),
        charge(None, key=agent, period=Period.EVER),
        charge(3_000 * USDC, kind=ScopeKind.CATEGORY, key="data", period=Period.WEEK),
        charge(9_000 * USDC, kind=ScopeKind.TOTAL, key="", period=Period.EVER),
        charge(5, key=agent, period=Period.HOUR, unit=REQUESTS, amount=1),
        charge(10**18, kind=ScopeKind.GAS, key="", period=Period.MONTH, unit=ETH, amount=10**15),
    )


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (2, 3))])
def test_whatever_was_decided_and_became_of_it_replays_to_the_same_cells(ledger, account, clock, seed):
    """Limits that change, days and hours that pass, commits of less, returns and what is taken back, releases."""
    dice = random.Random(seed)
    going, done, denied = [], [], 0
    for _ in range(70):
        clock.advance(dice.choice([0, 60, 3_000, 40_000]))
        agent = dice.choice(["ann", "bob"])
        amount = dice.randint(1, 200)
        limit = dice.choice([400, 500])
        answer = spend(ledger, account, amount * USDC, *charges(agent, limit), agent=agent, seal=dice.random() < 0.5)
        if answer.denial is not None:
            denied += 1
        else:
            going.append((answer, amount * USDC))
        if going and dice.random() < 0.6:
            ended, most = going.pop(dice.randrange(len(going)))
            state = dice.choice([S.COMMITTED, S.COMMITTED, S.RELEASED])
            actual = dice.randint(0, most) if state is S.COMMITTED else None
            end(ledger, account, ended, state, actual=actual, gas_actual=dice.choice([None, 3 * 10**14]))
            if state is S.COMMITTED and actual:
                done.append((ended, actual))
        if done and dice.random() < 0.3:
            ended, actual = dice.choice(done)
            end(ledger, account, ended, returned=dice.randint(0, actual))
    assert denied > 5
    assert len(done) > 5
    report = verify(ledger, account)
    assert report.findings == ()
    assert report.cells > 10
    for column in ("spent", "reserved"):
        with ledger.write() as connection:
            used = f"SELECT min(scope_id) FROM co_cells WHERE {column} > 0"
            one = f"scope_id = ({used}) AND {column} > 0"
            connection.execute(text(f"UPDATE co_cells SET {column} = {column} - 1 WHERE {one}"))
        assert {one.fault for one in verify(ledger, account).findings} == {Fault.CELL}
