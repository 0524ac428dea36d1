"""The bot tells how late it was and what it did for which purchase; the index tells how far it is."""

from __future__ import annotations

import pytest

from actp import observing
from actp.testing import FakeClock
from coordinator.index import Index
from coordinator.metrics.ledger import LedgerReadings
from coordinator.metrics.tracing import ids_of
from coordinator.store import open_ledger
from tests.coordinator.metrics.support import by_name
from tests.coordinator.metrics.test_traces import attributes, recording
from tests.coordinator.settlement.conftest import clock, faulty, timed, town
from tests.coordinator.settlement.support import HOUR, Town
from tests.heard import hearing

__all__ = ["clock", "faulty", "timed", "town"]


@pytest.mark.slow
def test_lateness_is_observed_once_for_each_escrow_by_what_was_done(town: Town):
    delivered = town.delivered(3)
    town.later(HOUR + 100)
    with hearing() as heard, recording() as exporter:
        assert town.bot().wait()
        assert town.bot().wait()
    late = heard.seconds["actp_settlement_lateness_seconds", "settle"]
    assert len(late) == 3
    assert all(90 <= one <= 200 for one in late)
    spans = [one for one in exporter.get_finished_spans() if one.name == "settle"]
    assert {one.context.trace_id for one in spans} == {ids_of(one)[0] for one in delivered}
    for one in spans:
        assert one.parent is not None
        assert one.parent.span_id == ids_of(str(attributes(one)["transaction_id"]))[1]
        assert attributes(one)["kind"] == "settle"
        assert ((one.end_time or 0) - (one.start_time or 0)) / 1e9 == pytest.approx(late[0], abs=60)


@pytest.mark.slow
def test_what_is_due_and_how_far_the_index_is_are_gauges(timed: Town, clock: FakeClock):
    town = timed
    town.delivered(2)
    town.funded(1)
    ledger = open_ledger(town.store)
    index = Index(ledger, town.client(5))
    assert ("actp_index_lag_blocks", index.kernel.kernel) not in by_name(observing.readings())
    index.catch_up(limit=1)
    head = int(town.chain.request("eth_blockNumber", []), 16)
    lag = by_name(observing.readings())["actp_index_lag_blocks", index.kernel.kernel]
    assert lag == head - index.kernel.block.number > 0
    index.catch_up()
    assert by_name(observing.readings())["actp_index_lag_blocks", index.kernel.kernel] == 0
    clock.advance(town.chain.now() - clock.time())
    shown = by_name(LedgerReadings(ledger, town.wallet())())
    assert shown["actp_index_block", index.kernel.kernel] == head
    assert not [key for key in shown if key[0] == "actp_settlement_due"]
    clock.advance(2 * HOUR)
    shown = by_name(LedgerReadings(ledger, town.wallet())())
    assert {key[1]: value for key, value in shown.items() if key[0] == "actp_settlement_due"} == {"settle": 2}
