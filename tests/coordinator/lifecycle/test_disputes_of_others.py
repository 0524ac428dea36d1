"""Disputes that the other party opens past us: the journal has them, and the arbiter is told once."""

from __future__ import annotations

import pytest

from actp.chain import dev_accounts
from coordinator.alerts import notice
from coordinator.lifecycle import Lifecycle
from coordinator.store import alerts, journal, seals
from coordinator.store.alerts import AlertKind
from tests.coordinator.lifecycle.test_escrows import PRICE, locked, opened, step


@pytest.mark.slow
def test_a_dispute_of_the_other_party_is_journalled_and_told_once(house):
    other = Lifecycle(house.client_of(dev_accounts()[2]))  # with a store of its own
    house.client_of(dev_accounts()[4]).token.mint(PRICE, other.wallet)
    lifecycle = house.lifecycle()
    created = opened(house, lifecycle, other)
    step(house, other, "accept_escrow")
    step(house, other, "deliver_escrow")
    step(house, other, "dispute_escrow", evidence="unpaid")
    for _ in range(2):
        with lifecycle.ledger.write() as connection:
            connection.exec_driver_sql("UPDATE co_escrows SET due_at = 0")  # a minute later
        locked(house, lifecycle)
    with lifecycle.ledger.read() as connection:
        entries = [one.entry for one in journal.listed(connection, house.key)]
    (found,) = [one for one in entries if one.event == journal.DISPUTE_OPENED]
    assert (found.operation_id, found.agent) == (created.id, "ann")
    assert found.detail == {"transactionId": created.transaction_id, "by": other.wallet}
    seals.seal_all(lifecycle.ledger, house.key)
    notice(lifecycle.ledger, house.key)
    with lifecycle.ledger.read() as connection:
        (told,) = alerts.listed(connection, house.key)
    assert (told.kind, told.reference) == (AlertKind.DISPUTE, created.transaction_id)
    assert other.wallet in told.body
