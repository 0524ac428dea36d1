"""The invariants of budgets, in random lives on every backend."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from actp.engine.store import Store, open_store
from actp.testing import FakeClock
from coordinator.authority import Authority
from coordinator.store import Ledger, open_ledger
from tests.coordinator.authority.machine import Treasury
from tests.coordinator.authority.support import NOON, TOKEN


def run(request, backend, tmp_path, examples, steps):
    opened = []

    def make():
        clock = FakeClock(wall=NOON)
        if backend in ("function", "batches"):
            ledger = Ledger(Store(request.getfixturevalue("shared").engine, durable=True, clock=clock))
        else:
            url = "sqlite://" if backend == "memory" else f"sqlite:///{tmp_path / f'{len(opened)}.db'}"
            ledger = open_ledger(open_store(url, clock=clock))
            opened.append(ledger.store)
        return ledger, clock, serve

    def serve(ledger, account):
        authority = Authority(ledger, account, token=TOKEN)
        if backend == "batches":
            authority._direct = None
        return authority

    machine = type("Life", (Treasury,), {"make": staticmethod(make)})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            derandomize=True,
            database=None,
            phases=(Phase.generate,),  # shrinking a life takes minutes
            suppress_health_check=list(HealthCheck),
        ),
    )
    for store in opened:
        store.close()


@pytest.mark.slow
def test_a_short_life_keeps_the_invariants(request, backend, tmp_path):
    run(request, backend, tmp_path, examples=4, steps=25)


@pytest.mark.slow
def test_long_lives_keep_the_invariants(request, backend, tmp_path):
    run(request, backend, tmp_path, examples=60, steps=50)
