"""`python -m scripts.soak.town.working PLAN` runs a settlement bot over the store of a plan until it is killed."""

from __future__ import annotations

import json
import logging
import sys
import threading
from dataclasses import asdict, dataclass
from pathlib import Path

from actp.client import ACTPClient
from actp.engine import Policy as EnginePolicy
from actp.engine import open_store
from actp.engine.fees import FeePolicy
from actp.networks import connect
from actp.rpc import HttpTransport
from actp.signers import LocalSigner
from coordinator.index import Index
from coordinator.lifecycle import Lifecycle
from coordinator.proofs import ProofKey
from coordinator.settlement import EVERYONE, Served, SettlementBot, SettlementSettings
from scripts.soak.market.plan import patiently
from scripts.soak.processes import key_of_this_process, say_ready

__all__ = ["BATCH", "ENGINE", "Plan"]

BATCH = 20
ENGINE = EnginePolicy(poll=0.2, resend_after=2.0, stuck_after=10.0, first_pause=0.2, fees_for=2.0, buried=8)
"""Short, as blocks come every second."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Where the chain and the store are."""

    url: str
    chain_id: int
    store: str
    folder: str

    def write(self, path: Path) -> Path:
        """For other processes."""
        path.write_text(json.dumps(asdict(self)), encoding="utf-8")
        return path

    @classmethod
    def read(cls, path: Path) -> Plan:
        """What `write` wrote."""
        return cls(**json.loads(path.read_text(encoding="utf-8")))


def main() -> int:
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(message)s", stream=sys.stderr)
    plan = Plan.read(Path(sys.argv[1]))
    bot = patiently(lambda: _bot(plan))
    say_ready()
    bot.run(threading.Event())
    return 0


def _bot(plan: Plan) -> SettlementBot:
    store = open_store(plan.store)
    client = ACTPClient(connect(HttpTransport(plan.url), plan.chain_id), LocalSigner(key_of_this_process()))
    lifecycle = Lifecycle(
        client,
        store=store,
        proof_signer=ProofKey.from_file(Path(plan.folder) / "proofs.key"),
        engine_policy=ENGINE,
        fee_policy=FeePolicy(),
    )
    settings = SettlementSettings(whom=EVERYONE, batch=BATCH, first_pause=2.0, longest_pause=10.0, stale_seconds=15.0)
    served = [Served(client, Index(lifecycle.ledger, client))]
    return SettlementBot(lifecycle, served, settings, fee_policy=FeePolicy(), every=0.5, verify_every=10.0)


if __name__ == "__main__":
    sys.exit(main())
