"""A development chain that is set back far below what was final there: nothing waits for blocks that never come."""

from __future__ import annotations

import pytest
from sqlalchemy import func, select

from actp.engine.store import open_store
from coordinator.store.schema import points
from coordinator.types import Stage
from tests.coordinator.lifecycle.support import House

LOST = 20


@pytest.fixture(params=["memory", pytest.param("file", marks=pytest.mark.slow)])
def house(request, chain, faulty, deployed, accounts, tmp_path):
    """A treasury over a store that goes along with the chain, and over one that sends again what vanished."""
    store = open_store("sqlite://" if request.param == "memory" else tmp_path / "store.db")
    made = House(chain, faulty, deployed, accounts[1], store)
    yield made
    made.close()


def rounds(lifecycle, count=6):
    for _ in range(count):
        lifecycle.step()


def mine(house, count):
    for _ in range(count):
        house.chain.request("evm_mine", [])


def finally_paid(house, lifecycle):
    """A payment that is final, with many blocks on it, and the chain as it was before."""
    rounds(lifecycle)
    before = house.chain.snapshot()
    operation = house.pay(lifecycle, 7)
    assert house.done(lifecycle, operation).stage is Stage.CONFIRMED
    rounds(lifecycle)
    lifecycle._keeping._finalize()
    assert "finalized" in {one.kind for one in house.proofs(lifecycle)}
    mine(house, LOST)
    rounds(lifecycle)
    return operation, before


def outcome(house, lifecycle, operation):
    """How what was paid on the lost blocks ends: set back with the store in memory, paid again from a durable one."""
    done = lifecycle.find(operation.id)
    assert (done.stage, done.code) == ((Stage.CONFIRMED, None) if house.store.durable else (Stage.FAILED, "undone")), (
        done.reason
    )
    return 7 if house.store.durable else 0


def count_points(house):
    with house.store.read() as connection:
        return connection.execute(select(func.count()).select_from(points)).scalar_one()


def test_what_is_sent_on_the_shorter_chain_is_verified_there(house):
    lifecycle = house.lifecycle()
    operation, before = finally_paid(house, lifecycle)
    house.chain.revert(before)
    second = house.pay(lifecycle, 2)
    assert house.done(lifecycle, second, timeout=8).stage is Stage.CONFIRMED
    house.done(lifecycle, operation, timeout=8)
    assert house.paid() == 2 + outcome(house, lifecycle, operation)
    assert lifecycle.paused() == []
    known = count_points(house)
    rounds(lifecycle)
    assert count_points(house) == known, "it is noticed once"


def test_what_was_final_is_followed_again_though_nothing_new_is_sent(house):
    lifecycle = house.lifecycle()
    operation, before = finally_paid(house, lifecycle)
    house.chain.revert(before)
    mine(house, LOST + 10)
    rounds(lifecycle, 8)
    house.done(lifecycle, operation, timeout=8)
    assert house.paid() == outcome(house, lifecycle, operation)
    assert lifecycle.paused() == []
    kinds = [one.kind for one in lifecycle.proofs_of(operation.id)]
    assert kinds[:3] == ["proof", "reopened", "proof"]


def test_a_node_that_only_lags_behind_takes_nothing_back(house, faulty):
    lifecycle = house.lifecycle()
    operation, _ = finally_paid(house, lifecycle)
    known = count_points(house)
    behind = house.chain.request("eth_getBlockByNumber", ["latest", False])["number"]
    behind = hex(int(behind, 16) - LOST // 2)

    def lag(forward, params):
        if params[0] == "latest":
            return house.chain.request("eth_getBlockByNumber", [behind, False])
        return forward() if params[0].startswith("0x") and int(params[0], 16) <= int(behind, 16) else None

    faulty.always("eth_getBlockByNumber", lag)
    rounds(lifecycle)
    assert lifecycle.find(operation.id).stage is Stage.CONFIRMED
    assert count_points(house) == known
