"""What is due is ended, once, and proved."""

from __future__ import annotations

import pytest

from actp.orders import Milestone
from actp.types import State
from actp.units import usdc
from coordinator.index import Progress
from coordinator.settlement import SettlementBot, Whom
from coordinator.store.index_words import ActionState, Due
from coordinator.types import IntentType, Stage
from tests.coordinator.settlement.support import BOT, DAY, GRACE, HOUR, NET, OTHER_BOT, PRICE, TIMEOUT, Town


def test_settles_what_is_due_in_one_batch_and_leaves_what_is_not(town: Town) -> None:
    due = town.delivered(3)
    open_one = town.delivered(1, window=3 * HOUR)
    before = town.provider.token.balance_of()
    town.later()

    assert town.bot().wait()

    assert town.states(due) == [State.SETTLED] * 3
    assert town.states(open_one) == [State.DELIVERED]
    assert town.provider.token.balance_of() - before == 3 * NET
    (operation,) = town.operations()
    assert (operation.type, operation.stage) == (IntentType.SETTLE_ESCROW_BATCH, Stage.CONFIRMED)
    assert {(one.kind, one.done, one.ours) for each in town.passes for one in each.outcomes} == {
        (Due.SETTLE, True, True)
    }


@pytest.mark.slow
def test_a_window_is_over_by_the_chains_time_and_not_before(town: Town) -> None:
    (one,) = town.delivered()
    ends = town.admin.kernel.get_transaction(one).window_ends
    assert ends is not None
    bot = town.bot()
    town.later(ends - town.chain.now() - 1)

    assert bot.wait()
    assert town.count_operations() == 0

    town.later(2)
    assert bot.wait()
    assert town.state(one) is State.SETTLED


@pytest.mark.slow
def test_refunds_the_undelivered_and_closes_unruled_disputes(anywhere: Town) -> None:
    town = anywhere
    (undelivered,) = town.funded()
    disputed = town.disputed()
    bot = town.bot()
    town.later(DAY + GRACE + 2)
    assert bot.wait()
    assert town.states([undelivered, disputed]) == [State.CANCELLED, State.DISPUTED]

    town.later(TIMEOUT - DAY - GRACE)
    assert bot.wait()

    assert town.state(disputed) is State.SETTLED
    assert [one.type for one in town.operations()] == [IntentType.REFUND_ESCROW, IntentType.CLOSE_DISPUTE]
    assert {one.stage for one in town.operations()} == {Stage.CONFIRMED}


@pytest.mark.slow
def test_says_how_late_each_was_and_keeps_it(town: Town) -> None:
    ids = town.delivered(2)
    town.later(HOUR + 500)
    assert town.bot().wait()

    late = {one.transaction_id: one.late for each in town.passes for one in each.outcomes}
    rows = town.rows()
    for one in ids:
        row = rows[one]
        assert row.ended_at is not None
        assert row.window_ends_at is not None
        assert late[one] == row.ended_at - row.window_ends_at
        assert 490 <= late[one] <= 560
    (said,) = [each.late for each in town.passes if each.late is not None]
    assert (said.count, said.highest) == (2, max(late.values()))


@pytest.mark.slow
def test_works_for_its_parties_only(town: Town) -> None:
    (mine,) = town.delivered()
    (theirs,) = town.delivered(provider=town.other)
    town.later()
    assert town.bot(whom=Whom(frozenset({town.provider.address}))).wait()
    assert town.states([mine, theirs]) == [State.SETTLED, State.DELIVERED]


@pytest.mark.slow
def test_works_for_the_wallets_of_its_store(town: Town) -> None:
    (mine,) = town.delivered()
    town.later()
    assert town.bot(whom=Whom(treasuries=True)).wait()
    assert town.state(mine) is State.DELIVERED

    town.bot(account=1)  # from now on the store works for the requester, too
    assert town.bot(whom=Whom(treasuries=True)).wait()
    assert town.state(mine) is State.SETTLED


@pytest.mark.slow
def test_what_milestones_have_paid_in_full_is_settled(town: Town) -> None:
    deadline = town.requester.now() + DAY
    paid = town.requester.pay(
        provider=town.provider.address, amount=PRICE, deadline=deadline, milestones=[Milestone(PRICE, deadline)]
    ).transaction_id
    town.provider.kernel.start(paid)
    town.requester.kernel.pay_milestone(paid, 0)
    assert town.bot().wait()
    assert town.state(paid) is State.SETTLED


@pytest.mark.slow
def test_two_bots_of_one_store_never_begin_the_same_escrow(anywhere: Town) -> None:
    town = anywhere
    ids = town.delivered(6)
    town.later()
    bots = [town.bot(BOT, batch=2), town.bot(OTHER_BOT, batch=2)]
    for _ in range(100):
        for bot in bots:
            bot.step()
    assert town.states(ids) == [State.SETTLED] * 6
    begun = [
        one
        for number in (BOT, OTHER_BOT)
        for operation in town.operations(number)
        for one in operation.intent["transaction_ids"]
    ]
    assert sorted(begun) == sorted(ids)
    assert {one.state for one in town.actions().values()} == {ActionState.DONE}


@pytest.mark.slow
def test_what_a_dead_bot_has_claimed_is_taken_over(timed: Town) -> None:
    town = timed
    ids = town.delivered(2)
    town.later()
    dead = town.bot(OTHER_BOT)
    dead._pass()  # claims, and never works again
    assert {one.state for one in town.actions().values()} == {ActionState.CLAIMED}

    bot = town.bot(stale_seconds=600.0)
    bot.step()
    assert town.operations() == []

    town.store.clock.advance(601)
    _until_settled(town, bot, ids)
    assert [one.stage for one in town.operations()] == [Stage.CONFIRMED]


@pytest.mark.slow
def test_credits_are_pushed_and_fees_are_taken_where_it_may(town: Town) -> None:
    (one,) = town.delivered()
    town.act("TestUSDC", "blacklist", town.provider.address)
    town.later()
    assert town.bot(account=BOT).wait()
    assert town.admin.balances(town.provider.address).credit == NET

    town.act("TestUSDC", "unBlacklist", town.provider.address)
    fees = town.admin.token.balance_of()
    bot = town.bot(account=0, credits=True, fees=True)  # the admin is the fee recipient
    for _ in range(30):
        bot.step()
    assert town.state(one) is State.SETTLED
    assert town.admin.balances(town.provider.address).credit == 0
    assert town.admin.token.balance_of() - fees == usdc("0.1")
    assert sorted(each.type for each in town.operations(0)) == [IntentType.WITHDRAW_CREDIT, IntentType.WITHDRAW_FEES]


@pytest.mark.slow
def test_an_idle_pass_asks_as_much_of_a_full_store_as_of_an_empty_one(town: Town) -> None:
    bot = town.bot()
    assert bot.wait()
    bot._chores_at = float("inf")
    few = _asked(town, bot)
    town.delivered(20, window=3 * HOUR)
    assert bot.wait()
    assert _asked(town, bot) == few


def _asked(town: Town, bot: SettlementBot) -> tuple[int, int]:
    from sqlalchemy import event

    statements: list[str] = []

    def note(connection, cursor, statement, *rest) -> None:
        statements.append(statement)

    event.listen(town.store.engine, "before_cursor_execute", note)
    before = len(town.node.calls)
    try:
        bot._pass()
    finally:
        event.remove(town.store.engine, "before_cursor_execute", note)
    return len(statements), len(town.node.calls) - before


def _until_settled(town: Town, bot: SettlementBot, ids: list[str]) -> None:
    for _ in range(60):
        bot.step()
        if town.states(ids) == [State.SETTLED] * len(ids) and {one.state for one in town.actions().values()} == {
            ActionState.DONE
        }:
            return
    pytest.fail("It was not settled in 60 rounds.")


@pytest.mark.slow
def test_what_was_mined_waits_for_an_index_that_is_behind_and_asks_no_state(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = town.delivered(2)
    town.later()
    bot = town.bot()
    bot.step()
    index = bot._served[0].index
    compared: list[list[str]] = []
    with monkeypatch.context() as patched:
        patched.setattr(index, "catch_up", lambda *_: Progress(0, 0, index.kernel.block, behind=5))
        patched.setattr(index, "verify_these", compared.append)
        town.work(bot, 10)
        assert town.operations()[0].stage is Stage.CONFIRMED
        assert {one.state for one in town.actions().values()} == {ActionState.CLAIMED}
        assert compared == []
    assert bot.wait()
    assert town.states(ids) == [State.SETTLED] * 2
