"""`python -m scripts.soak.market.working PLAN` works the treasury of a plan until it is killed."""

from __future__ import annotations

import logging
import sys
import threading
from pathlib import Path

from actp.engine.fees import FeePolicy
from coordinator.lifecycle import Lifecycle
from coordinator.proofs import ProofKey
from coordinator.worker import Worker
from scripts.soak.market.plan import ENGINE, Market, Plan, patiently
from scripts.soak.processes import key_of_this_process, say_ready

_RECONCILE_SECONDS = 5.0


def main() -> int:
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(message)s", stream=sys.stderr)
    plan = Plan.read(Path(sys.argv[1]))
    worker = patiently(lambda: _worker(plan))
    say_ready()
    worker.run(threading.Event())
    return 0


def _worker(plan: Plan) -> Worker:
    market = Market(plan, key_of_this_process())
    lifecycle = Lifecycle(
        market.client,
        standing_allowance=plan.rules().total_budget or 0,
        proof_signer=ProofKey.from_file(Path(plan.folder) / "proofs.key"),
        engine_policy=ENGINE,
        fee_policy=FeePolicy(),
    )
    return Worker(market.client, market.authority, lifecycle, reconcile_seconds=_RECONCILE_SECONDS)


if __name__ == "__main__":
    sys.exit(main())
