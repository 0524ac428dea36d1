"""Through random lives of transactions, with disputes, schedules, consent, credits and chains that go back, the index
says what the chain does: every escrow, every credit, and every unit in the vault.
"""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from actp.deployments import Contract, Deployment
from actp.engine.store import open_store
from actp.networks import Endpoint
from actp.rpc import genesis_hash
from coordinator.index import Index
from coordinator.store import open_ledger
from tests.coordinator.index.support import assert_is_the_chain, repaired, rows_of
from tests.model.harness import Tally
from tests.model.kernel_core import State
from tests.model.machine import KernelMachine
from tests.model.test_kernel_stateful import DEPLOYMENTS
from tests.model.token_model import TOKEN, VAULT
from tests.model.world import KERNEL, World

EVERY = 3
"""How many calls are mined between two looks of the index."""


class IndexedWorld(World):
    """A world that is indexed while it goes on, also within the detours that are undone."""

    index: Index | None = None
    calls = rewinds = 0

    def reset(self) -> None:
        super().reset()
        chain = self.chain
        contracts = {"ACTPKernel": Contract(self._hex(KERNEL), block=1), "EscrowVault": Contract(self._hex(VAULT))}
        deployment = Deployment("model", "actp-escrow/2", self._hex(TOKEN), contracts)
        self.endpoint = Endpoint(chain, chain.chain_id, genesis_hash(chain, chain.chain_id), deployment, chain=chain)
        self.ledger = open_ledger(open_store("sqlite://"))
        self.index = Index(self.ledger, self.endpoint)

    def send(self, call, gas=None):
        receipt = super().send(call) if gas is None else super().send(call, gas)
        self.calls += 1
        if self.index is not None and self.calls % EVERY == 0:
            self.rewinds += self.index.catch_up().rewinds
        return receipt

    def look(self) -> None:
        """Catches up with the chain, which an undone detour may have left shorter than the index knows it."""
        missing = self.index.kernel.block.number - int(self.chain.request("eth_blockNumber", []), 16)
        for _ in range(max(missing, 0) + 1):
            self.chain.mine()
        self.rewinds += self.index.catch_up().rewinds


class IndexedMachine(KernelMachine):
    """The machine of the model; at the end of each life its index is compared with the chain."""

    endings: set

    def teardown(self) -> None:
        if self.harness.is_intact:
            self.world.look()
            unsolicited = self.model.token.unsolicited
            assert_is_the_chain(self.world.ledger, self.world.endpoint, self.world.index, unsolicited=unsolicited)
            rows = rows_of(self.world.ledger)
            assert set(rows) == {"0x" + one.hex() for one in self.model.transactions}
            assert repaired(self.world.ledger, self.world.index.kernel) == []
            self.endings.update((row.state, row.ending) for row in rows.values())
        super().teardown()


def run(deployment: str, runs: int) -> IndexedWorld:
    world = IndexedWorld(DEPLOYMENTS[deployment])
    machine = type("Machine", (IndexedMachine,), {"world": world, "tally": Tally(), "endings": set()})
    profile = settings(
        max_examples=runs, stateful_step_count=60, database=None, deadline=None, phases=(Phase.generate,),
        print_blob=False, suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    run_state_machine_as_test(seed(11)(machine), settings=profile)
    world.endings = machine.endings
    return world


@pytest.mark.timeout(300)
@pytest.mark.parametrize("deployment", [pytest.param("usual", marks=pytest.mark.slow), "no minimums"])
def test_after_any_history_the_index_is_what_the_chain_says(deployment) -> None:
    world = run(deployment, 12 if deployment == "usual" else 1)
    assert world.calls > 5
    if deployment == "usual":
        assert world.calls > 100
        assert world.rewinds > 0
        assert {state for state, _ in world.endings} >= {State.SETTLED, State.CANCELLED}
