"""Model and contracts, side by side, through random lives of transactions.

    make test                                      a few hundred steps per deployment, always the same ones
    pytest tests/model -m slow                     thousands of steps, the same ones at every run
    ACTP_MODEL_STEPS=50000 ACTP_MODEL_SEED=7 pytest tests/model -m slow -s      as many others as you like

A disagreement ends the test with the story of the run: one line per call, and what differs. In `make test` hypothesis
looks for a shorter one first. `ACTP_TEST_ARTIFACTS` names other artifacts: changed contracts must not get through.
"""

from __future__ import annotations

import os
import time
from functools import cache
from itertools import count
from zlib import crc32

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.model.governance_model import Economics, Rates
from tests.model.harness import Tally
from tests.model.kernel_model import State
from tests.model.machine import KernelMachine
from tests.model.world import World

DEPLOYMENTS = {
    "usual": Economics(Rates(fee_bps=100, penalty_bps=500, bond_bps=500), min_fee=50_000, min_bond=1_000_000),
    "no minimums": Economics(Rates(fee_bps=250, penalty_bps=5_000, bond_bps=2_000), min_fee=0, min_bond=0),
    "free": Economics(Rates(fee_bps=0, penalty_bps=0, bond_bps=0), min_fee=0, min_bond=0),
}
RULES_PER_RUN = 100
SHORT_RUNS = 8
CI_RUNS = 8
CI_STEPS = 1_500
"""Calls per deployment."""

MOVES = {
    (State.INITIATED, State.QUOTED),
    (State.INITIATED, State.COMMITTED),
    (State.INITIATED, State.CANCELLED),
    (State.QUOTED, State.COMMITTED),
    (State.QUOTED, State.CANCELLED),
    (State.COMMITTED, State.IN_PROGRESS),
    (State.COMMITTED, State.CANCELLED),
    (State.IN_PROGRESS, State.DELIVERED),
    (State.IN_PROGRESS, State.SETTLED),
    (State.IN_PROGRESS, State.CANCELLED),
    (State.DELIVERED, State.SETTLED),
    (State.DELIVERED, State.DISPUTED),
    (State.DISPUTED, State.SETTLED),
    (State.DISPUTED, State.CANCELLED),
}
"""What no long run may miss."""


@cache
def world(deployment: str) -> World:
    return World(DEPLOYMENTS[deployment])


def run(deployment: str, runs: int, steps: int = 0, *, shrink: bool = True) -> Tally:
    """Sends the machine through `runs` random lives on one deployment, again until it made `steps` calls."""
    tally = Tally()
    machine = type("KernelMachine", (KernelMachine,), {"world": world(deployment), "tally": tally})
    profile = settings(
        max_examples=runs,
        stateful_step_count=RULES_PER_RUN,
        database=None,
        deadline=None,
        phases=(Phase.generate, Phase.shrink) if shrink else (Phase.generate,),
        print_blob=False,
        suppress_health_check=list(HealthCheck),
    )
    # The deployments walk through different lives, and each through the same ones at every run.
    first_seed = int(os.environ.get("ACTP_MODEL_SEED", "0")) + crc32(deployment.encode())
    started = time.monotonic()
    for number in count():
        run_state_machine_as_test(seed(first_seed + number)(machine), settings=profile)
        if tally.steps >= steps:
            break
    seconds = time.monotonic() - started
    print(f"\n{deployment}: {tally.steps} calls in {seconds:.0f} s, {tally.accepted} accepted, {tally.exits} exits")
    print(f"  refused: {dict(tally.refusals.most_common())}, {tally.ambiguous_refusals} for more than one reason")
    return tally


@pytest.mark.timeout(900)  # making a story shorter takes its time
@pytest.mark.parametrize("deployment", DEPLOYMENTS)
def test_contracts_do_what_the_model_says(deployment: str) -> None:
    assert run(deployment, SHORT_RUNS).accepted > 0


@pytest.mark.slow
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("deployment", DEPLOYMENTS)
def test_contracts_do_what_the_model_says_for_thousands_of_steps(deployment: str) -> None:
    tally = run(deployment, CI_RUNS, int(os.environ.get("ACTP_MODEL_STEPS", CI_STEPS)), shrink=False)
    assert tally.moves.keys() >= MOVES, f"never tried: {MOVES - tally.moves.keys()}"
