"""Model and contracts, side by side, through random lives of transactions.

    make test                                      a hundred or two steps per deployment
    pytest tests/model -m slow                     thousands of steps
    ACTP_MODEL_STEPS=50000 ACTP_MODEL_SEED=7 pytest tests/model -m slow -s      as many others as you like

Seeds are fixed, so a checkout walks through the same lives at every run; hypothesis mixes in numbers that it finds in
the sources, so another checkout may walk through others. A disagreement ends the test with the story of the run: one
line per call, and what differs. In `make test` hypothesis looks for a shorter one first. `ACTP_TEST_ARTIFACTS` names
other artifacts: changed contracts must not get through.
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
from tests.model.kernel_core import State
from tests.model.machine import KernelMachine
from tests.model.world import World

DEPLOYMENTS = {
    "usual": Economics(Rates(fee_bps=100, penalty_bps=500, bond_bps=500), min_fee=50_000, min_bond=1_000_000),
    "no minimums": Economics(Rates(fee_bps=250, penalty_bps=5_000, bond_bps=2_000), min_fee=0, min_bond=0),
    "free": Economics(Rates(fee_bps=0, penalty_bps=0, bond_bps=0), min_fee=0, min_bond=0),
}
RULES_PER_RUN = 100
SHORT_RUNS = 2
CI_RUNS = 8
CI_STEPS = 1_500
"""Calls per deployment."""
MOST_ROUNDS = 4
"""How many times as many a run makes that has not seen everything yet."""

MOVES = {
    (State.INITIATED, State.QUOTED),
    (State.INITIATED, State.COMMITTED),
    (State.INITIATED, State.CANCELLED),
    (State.QUOTED, State.COMMITTED),
    (State.QUOTED, State.CANCELLED),
    (State.COMMITTED, State.IN_PROGRESS),
    (State.COMMITTED, State.DELIVERED),
    (State.COMMITTED, State.SETTLED),
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
CALLS = {
    "createFunded",
    "createFundedWith",
    "createSalted",
    "createFundedBatch",
    "createFundedWithPermit",
    "createFundedWithAuthorization",
    "payMilestone",
    "refundMilestone",
    "settleByConsent",
    "deliverBatch",
    "settleBatch",
}
"""What it has to see accepted, beside the moves."""
CONSENTS = {State.COMMITTED, State.IN_PROGRESS, State.DELIVERED, State.DISPUTED}
"""States that it has to end by consent."""
SKIPS = {"WindowOpen", "InvalidTransition", "NotProvider", "UnknownTransaction"}
"""Why its batches have to leave items out."""


@cache
def world(deployment: str) -> World:
    return World(DEPLOYMENTS[deployment])


def missing(tally: Tally) -> list[str]:
    """What no long run may miss, and this one did."""
    wanted = (
        ("moves", MOVES - tally.moves.keys()),
        ("accepted calls", CALLS - tally.functions.keys()),
        ("states ended by consent", CONSENTS - tally.consents.keys()),
        ("reasons to leave out an item of a batch", SKIPS - tally.skips.keys()),
        ("payees paid together", set() if max(tally.settled_together, default=0) > 1 else {2}),
    )
    return [f"{what}: {lacking}" for what, lacking in wanted if lacking]


def run(deployment: str, runs: int, steps: int = 0, *, shrink: bool = True) -> Tally:
    """Sends the machine through `runs` random lives on one deployment.

    With `steps` it does so again until it made that many calls and has seen all that a long run has to, and at most
    until it made MOST_ROUNDS times as many.
    """
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
        if tally.steps >= steps and (not steps or not missing(tally) or tally.steps >= MOST_ROUNDS * steps):
            break
    seconds = time.monotonic() - started
    print(f"\n{deployment}: {tally.steps} calls in {seconds:.0f} s, {tally.accepted} accepted, {tally.exits} exits")
    consents = {state.name: times for state, times in tally.consents.items()}
    print(f"  by consent: {consents}; skipped in batches: {dict(tally.skips)}")
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
    assert missing(tally) == []
