"""What is held is spent or comes back, once, and on the day that it came from."""

from __future__ import annotations

import pytest

from actp.errors import InvalidInput
from coordinator.authority import Change
from coordinator.budget.words import STATE_CHANGES, ReservationState
from coordinator.errors import ForbiddenChange
from coordinator.store import dispatches, operations
from coordinator.store.operations import Draft
from coordinator.store.schema import operations as operations_table
from coordinator.types import BlockRef, IntentType
from tests.coordinator.authority.support import (
    DAY,
    ETH,
    GAS,
    USDC,
    Period,
    ScopeKind,
    agent,
    ask,
    book,
    cell,
    fund,
    hashed,
    total,
)
from tests.coordinator.authority.test_deciding import entries, rule_of, waiting

S = ReservationState
OPEN = (S.HELD, S.SUBMITTING, S.ON_CHAIN)


def held(authority, **other):
    return authority.request(ask(**other)).reservation_id


def carried_out(authority, reservation_id, *states, **last):
    """Takes a reservation through states; what it is after them."""
    for state in states[:-1]:
        authority.move([Change(reservation_id, state)])
    (after,) = authority.move([Change(reservation_id, states[-1], **last)])
    return after


def mine(authority, reservation_id, number, stage="confirmed", code=None):
    """The operation that carries out a reservation is mined in a block."""
    with authority.ledger.write() as connection:
        draft = Draft(f"trace-{reservation_id}", "ann", f"spend-{reservation_id}", IntentType.CREATE_ESCROW, "{}", "0x")
        (operation,) = operations.add(connection, authority.account, [draft], 1.0)
        connection.execute(
            operations_table.update()
            .where(operations_table.c.id == operation.id)
            .values(stage=stage, code=code, block_number=number, block_hash=hashed("block", number))
        )
    (row,) = authority.move([Change(reservation_id, S.SUBMITTING, operation_id=operation.id)])
    return row


def test_a_commit_spends_what_was_held_and_returns_the_rest(authority):
    one = held(authority)
    after = carried_out(authority, one, S.SUBMITTING, S.ON_CHAIN, S.COMMITTED, actual=7 * USDC)
    assert (after.state, after.actual) == (S.COMMITTED, 7 * USDC)
    assert total(authority) == (7 * USDC, 0)
    assert authority.find(one) == after


def test_a_release_gives_everything_back_and_the_grant_is_dropped(authority):
    one = held(authority)
    assert waiting(authority) == [one]
    after = carried_out(authority, one, S.RELEASED, reason="Execution failed: no")
    assert after.denial.message == "Execution failed: no"
    assert total(authority) == (0, 0)
    assert cell(authority, ScopeKind.TREASURY, unit=ETH)[1] == 0
    assert waiting(authority) == []


@pytest.mark.parametrize("first", [S.COMMITTED, S.RELEASED])
@pytest.mark.parametrize("second", [S.COMMITTED, S.RELEASED, S.EXPIRED])
def test_of_commit_release_and_expiry_one_wins(authority, first, second):
    one = held(authority)
    before = carried_out(authority, one, S.SUBMITTING, first)
    usage, journal = authority.usage(), entries(authority)
    after = carried_out(authority, one, second)
    assert after == before
    assert (authority.usage(), entries(authority)) == (usage, journal)


@pytest.mark.parametrize("before", OPEN)
@pytest.mark.parametrize("after", [*S])
@pytest.mark.slow
def test_what_is_open_moves_along_the_table_alone(authority, before, after):
    one = held(authority)
    for state in OPEN[1 : OPEN.index(before) + 1]:
        authority.move([Change(one, state)])
    if after is before or after in STATE_CHANGES[before]:
        assert authority.move([Change(one, after)])[0].state is after
        return
    usage = authority.usage()
    with pytest.raises(ForbiddenChange):
        authority.move([Change(one, after)])
    assert authority.usage() == usage


def test_a_batch_of_changes_moves_as_a_whole_or_not_at_all(authority):
    one, two = held(authority), held(authority)
    with pytest.raises(ForbiddenChange):
        authority.move([Change(one, S.RELEASED), Change(two, S.PENDING_APPROVAL)])
    assert total(authority) == (0, 20 * USDC)


def test_a_late_commit_and_a_late_refund_land_on_their_day(authority, clock):
    one = held(authority)
    carried_out(authority, one, S.SUBMITTING, S.ON_CHAIN)
    clock.advance(DAY)
    held(authority, amount=20 * USDC)
    carried_out(authority, one, S.COMMITTED)
    carried_out(authority, one, S.COMMITTED, returned=4 * USDC)
    days = sorted(
        (cell.window_start, cell.spent, cell.reserved)
        for scope, cell in ((one.scope, one.cell) for one in authority.usage())
        if scope.period is Period.DAY
    )
    assert [(spent, reserved) for _, spent, reserved in days] == [(6 * USDC, 0), (0, 20 * USDC)]
    assert total(authority) == (6 * USDC, 20 * USDC)


def test_what_comes_back_can_be_spent_again_and_is_counted_once(authority):
    authority.apply(book(agent(), total=10 * USDC), "test")
    one = held(authority)
    carried_out(authority, one, S.SUBMITTING, S.ON_CHAIN, S.COMMITTED)
    assert rule_of(authority.request(ask(amount=1))) == "total_budget"
    for _ in range(2):
        carried_out(authority, one, S.COMMITTED, returned=10 * USDC, settled=True)
    assert total(authority) == (0, 0)
    assert authority.request(ask()).state is S.HELD


def test_a_refund_that_a_reorganisation_undoes_is_booked_above_the_limit_and_freezes(authority):
    authority.apply(book(agent(), total=10 * USDC), "test")
    one = held(authority)
    carried_out(authority, one, S.SUBMITTING, S.ON_CHAIN, S.COMMITTED)
    carried_out(authority, one, S.COMMITTED, returned=10 * USDC)
    held(authority, amount=5 * USDC)
    carried_out(authority, one, S.COMMITTED, returned=0)
    assert cell(authority, ScopeKind.TOTAL) == (10 * USDC, 5 * USDC, 10 * USDC, 15 * USDC)
    assert rule_of(authority.request(ask(amount=1))) == "scope_frozen"


def test_what_turns_out_dearer_is_recorded_in_full_and_blocks_what_follows(authority):
    authority.apply(book(agent(), total=15 * USDC), "test")
    one = held(authority)
    carried_out(authority, one, S.COMMITTED, actual=18 * USDC)
    assert cell(authority, ScopeKind.TOTAL) == (18 * USDC, 0, 15 * USDC, 18 * USDC)
    assert rule_of(authority.request(ask(amount=1))) == "scope_frozen"


@pytest.mark.parametrize("returned", [-1, 10 * USDC + 1])
def test_more_than_was_spent_cannot_come_back(authority, returned):
    one = held(authority)
    with pytest.raises(ForbiddenChange):
        authority.move([Change(one, S.HELD, returned=1)])
    carried_out(authority, one, S.COMMITTED)
    with pytest.raises(InvalidInput):
        authority.move([Change(one, S.COMMITTED, returned=returned)])
    assert total(authority) == (10 * USDC, 0)


def test_the_treasury_counts_a_funding_once_before_and_after_its_block_is_seen(authority):
    """Counted twice it denies for nothing; not at all, and the same money is promised twice."""
    one = held(authority, amount=50 * USDC)
    mine(authority, one, 7)
    carried_out(authority, one, S.ON_CHAIN, S.COMMITTED)
    assert cell(authority, ScopeKind.TREASURY)[:3] == (0, 50 * USDC, 10_000 * USDC), "the balance is that of before"
    fund(authority, usdc=10_000, number=6)
    assert cell(authority, ScopeKind.TREASURY)[1] == 50 * USDC
    fund(authority, usdc=9_950, number=7)
    assert cell(authority, ScopeKind.TREASURY)[:3] == (0, 0, 9_950 * USDC)
    assert cell(authority, ScopeKind.TREASURY, unit=ETH)[1] == 0
    assert total(authority) == (50 * USDC, 0)
    fund(authority, usdc=9_950, number=8)
    assert cell(authority, ScopeKind.TREASURY)[:3] == (0, 0, 9_950 * USDC)


def test_a_funding_that_the_balance_shows_first_is_promised_until_it_is_known_as_its_block_may_be_gone(authority):
    one = held(authority, amount=50 * USDC)
    mine(authority, one, 7)
    fund(authority, usdc=9_950, number=7)
    assert cell(authority, ScopeKind.TREASURY)[1] == 50 * USDC, "nobody has followed it yet"
    carried_out(authority, one, S.ON_CHAIN)
    fund(authority, usdc=9_950, number=7)
    assert cell(authority, ScopeKind.TREASURY)[1] == 0


def test_a_balance_of_an_older_block_is_not_taken(authority):
    fund(authority, usdc=100, number=9)
    assert not fund(authority, usdc=10_000, number=8)
    assert cell(authority, ScopeKind.TREASURY)[2] == 100 * USDC


def test_of_what_was_reverted_only_the_fee_is_gone(authority):
    one = held(authority, amount=50 * USDC)
    mine(authority, one, 7, "failed", "reverted")
    fund(authority, usdc=10_000, number=7)
    assert cell(authority, ScopeKind.TREASURY)[1] == 50 * USDC
    assert cell(authority, ScopeKind.TREASURY, unit=ETH)[1] == 0
    carried_out(authority, one, S.RELEASED, gas_actual=GAS // 2)
    assert cell(authority, ScopeKind.TREASURY)[1] == 0
    assert total(authority) == (0, 0)


def test_a_fee_of_what_was_released_stays_promised_until_the_balance_shows_it(authority):
    one = held(authority)
    mine(authority, one, 7, "failed", "reverted")
    carried_out(authority, one, S.RELEASED, gas_actual=GAS // 2)
    assert cell(authority, ScopeKind.TREASURY)[1] == 0
    assert cell(authority, ScopeKind.TREASURY, unit=ETH)[1] == GAS
    fund(authority, number=7)
    assert cell(authority, ScopeKind.TREASURY, unit=ETH)[1] == 0


def test_a_funding_whose_block_is_gone_is_promised_again(authority):
    one = held(authority, amount=50 * USDC)
    mine(authority, one, 7)
    carried_out(authority, one, S.ON_CHAIN)
    fund(authority, usdc=9_950, number=7)
    after = carried_out(authority, one, S.SUBMITTING)
    assert after.promised
    assert cell(authority, ScopeKind.TREASURY)[:2] == (0, 50 * USDC)
    assert cell(authority, ScopeKind.TREASURY, unit=ETH)[1] == GAS
    carried_out(authority, one, S.RELEASED)
    assert cell(authority, ScopeKind.TREASURY)[:2] == (0, 0)


def test_gas_is_a_budget_of_its_own_and_pays_what_it_cost(serve):
    from coordinator.budget.rulebook import GasRules

    authority = serve()
    authority.apply(book(gas=GasRules(2 * GAS)), "test")
    fund(authority)
    one = held(authority)
    held(authority)
    assert rule_of(authority.request(ask())) == "gas_budget"
    carried_out(authority, one, S.COMMITTED, gas_actual=GAS // 4)
    assert cell(authority, ScopeKind.GAS, unit=ETH)[:2] == (GAS // 4, GAS)


def test_what_is_tried_again_books_its_fee_once_and_keeps_what_it_holds(serve):
    from coordinator.budget.rulebook import GasRules

    authority = serve()
    authority.apply(book(gas=GasRules(3 * GAS)), "test")
    fund(authority)
    one, other = held(authority), held(authority)
    mine(authority, one, 7, "failed", "reverted")
    fund(authority, number=7)
    assert cell(authority, ScopeKind.TREASURY, unit=ETH)[1] == GAS
    again = Change(one, S.HELD, gas_actual=GAS // 4, reason="WrongState", again=True)
    for left, more in ((2, []), (1, [Change(other, S.RELEASED)])):
        after, *_ = authority.move([again, *more])
        assert (after.state, after.operation_id, after.promised, after.denial) == (S.HELD, None, True, None)
        assert cell(authority, ScopeKind.GAS, unit=ETH)[:2] == (GAS // 4, left * GAS)
        assert cell(authority, ScopeKind.TREASURY, unit=ETH)[1] == left * GAS
        assert cell(authority, ScopeKind.TREASURY)[1] == left * 10 * USDC
    carried_out(authority, one, S.SUBMITTING, S.COMMITTED, gas_actual=GAS // 2)
    assert cell(authority, ScopeKind.GAS, unit=ETH)[:2] == (GAS // 4 + GAS // 2, 0)


def test_a_balance_beyond_64_bits_is_as_good_as_the_largest(authority):
    assert authority.observe(2**200, 10_000 * 10**18, BlockRef(2, hashed("block", 2)), GAS)
    assert cell(authority, ScopeKind.TREASURY, unit=ETH)[2] == 2**63 - 1


def test_grants_are_handed_on_once(authority):
    one = held(authority)
    with authority.ledger.write() as connection:
        (grant,) = dispatches.waiting(connection, authority.account)
        dispatches.hand(connection, {grant.id: 3})
    from coordinator.errors import LedgerConflict

    with pytest.raises(LedgerConflict), authority.ledger.write() as connection:
        dispatches.hand(connection, {grant.id: 4})
    with authority.ledger.write() as connection:
        dispatches.again(connection, [one], alone=True)
        (again,) = dispatches.waiting(connection, authority.account)
    assert again.alone
