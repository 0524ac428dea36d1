"""What only a node with blocks of its own shows: reorganisations, and how late settlements are."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from actp.chain import AnvilProcess, DevAccount
from actp.deploy import deploy_contracts
from actp.deployments import AddressBook
from actp.engine import Sender
from actp.engine.store import open_store
from actp.rpc import genesis_hash
from actp.signers import LocalSigner
from actp.types import State
from coordinator.store.index_words import ActionState
from coordinator.types import Stage
from tests.coordinator.settlement.support import HOUR, NET, Town

pytestmark = [pytest.mark.anvil, pytest.mark.slow]

CHAIN_ID = 84_532


class AnvilTown(Town):
    """The same town on an anvil."""

    def later(self, seconds: int = HOUR + 1) -> None:
        self.chain.request("evm_increaseTime", [seconds])
        self.chain.request("evm_mine", [])


def _town(node: AnvilProcess, accounts: tuple[DevAccount, ...], tmp_path) -> AnvilTown:
    book = AddressBook(CHAIN_ID, genesis_hash(node, CHAIN_ID), in_memory=True, development=True)
    deployed = deploy_contracts(Sender(node, LocalSigner(accounts[0].private_key), chain_id=CHAIN_ID), book)
    return AnvilTown(node, node, deployed, open_store(tmp_path / "bots.db"))  # type: ignore[arg-type]


@pytest.fixture
def town(session_anvil: AnvilProcess, accounts: tuple[DevAccount, ...], tmp_path) -> Iterator[AnvilTown]:
    """On a node of its own, as snapshots and reorganisations do not go together."""
    with AnvilProcess(chain_id=CHAIN_ID) as node:
        made = _town(node, accounts, tmp_path)
        yield made
        made.close()


def _until(done: Callable[[], bool], step: Callable[[], object], seconds: float = 60.0) -> None:
    until = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < until, "it took too long"
        step()
        time.sleep(0.02)


def test_a_reorganisation_that_drops_a_settlement_does_not_lose_or_double_it(town: AnvilTown) -> None:
    ids = town.delivered(3)
    before = town.provider.token.balance_of()
    town.later()
    bot = town.bot()
    assert bot.wait()
    assert town.states(ids) == [State.SETTLED] * 3

    town.chain.request("anvil_reorg", [1, []])
    assert town.states(ids) == [State.DELIVERED] * 3
    _until(lambda: town.states(ids) == [State.SETTLED] * 3, bot.step)
    _until(lambda: {one.state for one in town.actions().values()} == {ActionState.DONE}, bot.step)

    assert town.provider.token.balance_of() - before == 3 * NET
    assert town.breaches() == []
    assert {one.stage for one in town.operations()} == {Stage.CONFIRMED}
    (operation,) = town.operations()  # its own bytes were sent again, and nothing else was begun
    rows = town.rows()
    assert all(rows[one].last_tx == operation.tx_hash and not rows[one].open for one in ids)


def test_a_settlement_that_is_dropped_before_it_was_found_done_worries_nobody(town: AnvilTown) -> None:
    ids = town.delivered(3)
    town.later()
    bot = town.bot()
    bot._pass()
    _until(lambda: town.operations()[0].stage is Stage.CONFIRMED, bot._lifecycle.step)
    town.chain.request("anvil_reorg", [1, []])
    assert town.states(ids) == [State.DELIVERED] * 3
    bot._pass()  # the wallet has not noticed yet

    assert {one.state for one in town.actions().values()} == {ActionState.CLAIMED}
    _until(lambda: {one.state for one in town.actions().values()} == {ActionState.DONE}, bot.step)
    assert town.states(ids) == [State.SETTLED] * 3
    assert town.alerts() == []
    assert len(town.operations()) == 1


def test_what_had_failed_is_claimed_again_while_its_operation_is_on_its_way_again(town: AnvilTown) -> None:
    town.delivered(2)
    town.later()
    bot = town.bot(stale_seconds=0.001)
    bot._pass()
    _until(lambda: town.operations()[0].stage is Stage.CONFIRMED, bot._lifecycle.step)
    town.chain.request("anvil_reorg", [1, []])
    bot._pass()
    assert {one.state for one in town.actions().values()} == {ActionState.FAILED}
    _until(lambda: {(one.state, one.attempts) for one in town.actions().values()} == {(ActionState.DONE, 0)}, bot.step)
    assert len(town.operations()) == 1


def test_a_settlement_that_a_reorganisation_replaces_by_a_strangers_is_found_done(town: AnvilTown) -> None:
    ids = town.delivered(2)
    town.later()
    bot = town.bot()
    assert bot.wait()
    (before,) = town.operations()
    town.chain.request("anvil_reorg", [1, []])
    town.requester.settle_many(ids)

    def seen() -> bool:
        (operation,) = town.operations()
        found = {row.open for row in town.rows().values()} == {False}
        return found and operation.stage is Stage.CONFIRMED and operation.block != before.block

    _until(seen, bot.step)
    assert town.states(ids) == [State.SETTLED] * 2
    assert town.breaches() == []


def test_what_becomes_due_while_a_bot_runs_is_settled_within_a_minute(
    town: AnvilTown,
) -> None:
    ids = town.delivered(5)
    town.chain.request("evm_increaseTime", [HOUR - 5])
    town.chain.request("evm_setIntervalMining", [2])
    bot = town.bot()
    bot._every = 2.0
    stop = threading.Event()
    worker = threading.Thread(target=bot.run, args=(stop,))
    worker.start()
    try:
        _until(lambda: sum(one.done for each in town.passes for one in each.outcomes) == len(ids), lambda: None)
    finally:
        stop.set()
        worker.join()
    late = [one.late for each in town.passes for one in each.outcomes]
    assert town.states(ids) == [State.SETTLED] * 5
    assert all(one is not None and 0 < one <= 60 for one in late), late
