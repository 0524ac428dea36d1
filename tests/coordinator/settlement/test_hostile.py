"""What is too dear, or lost and found again, holds up nothing else and worries nobody."""

from __future__ import annotations

import pytest

from actp.engine import fees
from actp.types import State
from coordinator.settlement import GasLimits
from coordinator.settlement import gas as gas_module
from coordinator.store import index_actions
from coordinator.store.index_words import Due
from coordinator.types import Stage
from tests.coordinator.settlement.support import DAY, GRACE, Town


def _between(town: Town) -> GasLimits:
    """More for each escrow than it costs in a batch, and less than it costs alone."""
    return GasLimits(per_escrow=56_000 * fees.suggest(town.chain, fees.FeePolicy()).max_fee)


@pytest.mark.slow
def test_refunds_that_cost_too_much_take_no_place_from_settlements(town: Town) -> None:
    refunds = town.funded(3)
    town.later(DAY + GRACE + 2)
    ids = town.delivered(6)
    town.later()
    bot = town.bot(most=3, batch=3, gas=_between(town))
    town.work(bot, 30)
    assert town.states(ids) == [State.SETTLED] * 6
    assert town.states(refunds) == [State.COMMITTED] * 3
    assert "one escrow would cost" in (bot.waits or "")


@pytest.mark.slow
def test_what_failed_often_and_is_too_dear_alone_takes_no_place_from_the_rest(town: Town) -> None:
    bad = town.delivered(3)
    town.later()
    ids = town.delivered(6)
    town.later()
    bot = town.bot(most=3, batch=3, gas=_between(town))
    bot._catch_up()
    with town.ledger.write() as connection:
        for _ in range(4):
            index_actions.back_off(connection, 1, Due.SETTLE, bad, 0.0, code="PushRefused")
    town.work(bot, 30)
    assert town.states(ids) == [State.SETTLED] * 6
    assert town.states(bad) == [State.DELIVERED] * 3


@pytest.mark.slow
def test_no_more_is_begun_in_a_step_than_the_settings_say(town: Town) -> None:
    town.funded(3)
    town.later(DAY + GRACE + 2)
    town.delivered(6)
    town.later()
    bot = town.bot(most=3, batch=3)
    bot._pass()
    assert len(town.actions()) == 3


@pytest.mark.slow
def test_what_is_denied_for_its_costs_is_not_begun_again_with_every_pass(
    timed: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    town = timed
    town.delivered(2)
    town.later()
    # Its gas looks cheaper before it is simulated than it is.
    monkeypatch.setattr(gas_module, "least_gas", lambda group: 1)
    bot = town.bot(gas=GasLimits(per_escrow=10**6 * fees.suggest(town.chain, fees.FeePolicy()).max_fee // 10**3))
    town.work(bot, 20)
    assert [(one.stage, one.code) for one in town.operations()] == [(Stage.FAILED, "max_fee_wei")]
    town.store.clock.advance(16)
    town.work(bot, 20)
    assert len(town.operations()) == 2
