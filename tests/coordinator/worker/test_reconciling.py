"""Ledger and chain are compared at a final block: what differs stops all grants, and nothing else does."""

from __future__ import annotations

import pytest

from actp.errors import RpcUnavailable
from actp.testing import drop_before
from coordinator.store import alerts, reconciliations
from coordinator.store.alerts import AlertKind
from tests.coordinator.worker.support import HELD, PURSE, USDC


@pytest.fixture
def bought(firm):
    """(firm, worker, two purchases whose funding is final)."""
    worker = firm.worker(reconcile_seconds=1e9)
    worker.look()
    answers = [firm.request(100 * USDC, key="a"), firm.request(50 * USDC, key="b")]
    firm.funded(worker, *answers)
    return firm, worker, answers


def rows(firm):
    with firm.ledger.read() as connection:
        return reconciliations.listed(connection, firm.key)


@pytest.mark.slow
def test_ledger_and_chain_agree_after_purchases_and_returns(bought):
    firm, worker, (first, _) = bought
    firm.provider.kernel.cancel(first.transaction_id)
    firm.rounds(worker)
    open_one = firm.request(10 * USDC)
    found = worker._reconciling.run()
    assert (found.drift, found.action) == (0, "agreed")
    assert found.ledger == {"escrows": 2, "spent": str(150 * USDC), "returned": str(100 * USDC), "short": "0"}
    assert found.chain == {"escrows": 2, "funded": str(150 * USDC), "returned": str(100 * USDC)}
    assert firm.frozen() == {}
    assert open_one.state is HELD


def test_a_comparison_is_made_only_now_and_then(bought):
    firm, worker, _ = bought
    assert len(rows(firm)) == 1  # the first step has compared
    firm.rounds(worker)
    assert len(rows(firm)) == 1


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE co_reservations SET actual = actual + 1 WHERE key = 'a'",
        "UPDATE co_reservations SET transaction_id = '0x" + "77" * 32 + "' WHERE key = 'a'",
        "UPDATE co_reservations SET state = 'released' WHERE key = 'a'",
        "UPDATE co_reservations SET returned = 1, settled = true WHERE key = 'a'",
    ],
)
def test_a_ledger_that_says_something_else_stops_every_grant_and_people_are_told(bought, change):
    firm, worker, _ = bought
    with firm.ledger.write() as connection:
        connection.exec_driver_sql(change)
    found = worker._reconciling.run()
    assert found.drift > 0
    assert found.action == "frozen"
    assert rows(firm)[0].drift == found.drift
    assert firm.request(who="bob").denial.rule == "scope_frozen"
    worker._chores_at = float("-inf")
    worker.step()
    with firm.ledger.read() as connection:
        assert [one.kind for one in alerts.listed(connection, firm.key)].count(AlertKind.DRIFT) == 1
    second = worker._reconciling.run()
    assert (second.drift, second.action) == (found.drift, "frozen")


def test_an_escrow_that_the_key_has_paid_for_beside_the_ledger_is_a_drift(bought):
    firm, worker, _ = bought
    plain = firm.client_of(firm.account)
    plain.pay(provider=firm.provider.address, amount=3 * USDC, deadline=plain.now() + 9_000)
    assert worker._reconciling.run().drift == 3 * USDC


@pytest.mark.slow
def test_what_the_wallet_paid_for_before_there_was_a_ledger_is_none(firm):
    plain = firm.client_of(firm.account)
    plain.pay(provider=firm.provider.address, amount=3 * USDC, deadline=plain.now() + 9_000)
    worker = firm.worker()
    worker.look()
    firm.funded(worker, firm.request())
    found = worker._reconciling.run()
    assert (found.drift, found.chain["escrows"]) == (0, 1)


@pytest.mark.slow
def test_what_the_lifecycle_pays_for_at_somebody_elses_request_is_none(bought):
    firm, worker, _ = bought
    order = {
        "escrow_numeric_id": "7", "provider": firm.provider.address, "amount": str(3 * USDC),
        "deadline": firm.client.now() + 9_000,
    }  # fmt: skip
    operation = worker._lifecycle.submit("create_escrow", order, agent="crew")
    worker._lifecycle.wait(operation.id, 20)
    firm.rounds(worker)
    assert worker._reconciling.run().drift == 0


def test_a_treasury_that_holds_less_than_is_promised_is_a_drift_once_that_lasts(bought):
    firm, worker, _ = bought
    firm.request(500 * USDC)
    point = worker._treasury._at_point()
    firm.authority.observe(499 * USDC, 10**18, point.block, 1)
    assert worker._reconciling.run().drift == 0
    assert worker._reconciling.run().drift == 1 * USDC
    assert "less than is promised" in firm.frozen()["total:"]


def test_a_treasury_that_holds_less_than_is_promised_is_found_by_a_single_comparison(bought):
    firm, worker, _ = bought
    firm.request(500 * USDC)
    plain = firm.client_of(firm.account)
    plain.token.transfer("0x" + "06" * 20, 351 * USDC)
    assert worker._reconciling.run().drift == 0, "nobody has looked at the treasury since"
    found = worker._reconciling.run(once=True)
    assert (found.drift, found.action, found.ledger["short"]) == (1 * USDC, "frozen", str(1 * USDC))
    assert "less than is promised" in firm.frozen()["total:"]
    firm.authority.observe(499 * USDC, 10**18, worker._treasury._at_head().block, 1)
    assert worker._reconciling.run(once=True).drift == 1 * USDC


@pytest.mark.slow
def test_what_was_paid_since_somebody_has_looked_is_no_drift_of_a_single_comparison(bought):
    """Else comparing right after a purchase freezes everything."""
    firm, worker, _ = bought
    answers = [firm.request(amount * USDC) for amount in (500, 200, 150)]
    plain = firm.client_of(firm.account)
    assert plain.token.balance_of() == 850 * USDC
    for _ in range(6):
        worker._dispatching.round()
        worker._lifecycle.step()  # pays, and nobody notes it
    assert plain.token.balance_of() == 0
    assert firm.treasury() == (850 * USDC, 850 * USDC)
    found = worker._reconciling.run(once=True)
    assert (found.drift, found.ledger["short"]) == (0, "0")
    firm.funded(worker, *answers)
    assert firm.frozen() == {}


def test_a_wallet_that_looked_short_and_is_not_is_no_drift_of_a_single_comparison(bought):
    firm, worker, _ = bought
    firm.request(500 * USDC)
    firm.authority.observe(499 * USDC, 10**18, worker._treasury._at_head().block, 1)
    found = worker._reconciling.run(once=True)
    assert (found.drift, found.ledger["short"]) == (0, str(1 * USDC))


@pytest.mark.slow
def test_what_is_on_its_way_is_no_drift(bought):
    firm, worker, _ = bought
    answer = firm.request(25 * USDC)
    for _ in range(12):
        worker.step()
        assert worker._reconciling.run().drift == 0
        assert worker._reconciling.run(once=True).drift == 0
    firm.funded(worker, answer)
    assert firm.client.token.balance_of() == PURSE - 175 * USDC


@pytest.mark.slow
def test_a_node_that_is_behind_or_gone_is_no_drift(bought, faulty):
    firm, worker, _ = bought
    count = len(rows(firm))
    faulty.always("eth_blockNumber", lambda forward, params: hex(int(forward(), 16) - 2))
    assert worker._reconciling.run() is None
    faulty.always("eth_blockNumber", drop_before())
    with pytest.raises(RpcUnavailable):
        worker._reconciling.run()
    assert len(rows(firm)) == count
    assert firm.frozen() == {}
    faulty.clear()
    assert worker._reconciling.run().drift == 0
