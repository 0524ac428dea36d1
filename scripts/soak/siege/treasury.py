"""One treasury: its key, its database and its rules. The same in the harness and in the processes that work it.

`python -m scripts.soak.siege.treasury FILE` works the treasury that the file describes, until it is killed.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from actp.client import ACTPClient
from actp.engine import Policy as EnginePolicy
from actp.engine import open_store
from actp.engine.fees import FeePolicy
from actp.networks import connect
from actp.rpc import HttpTransport
from actp.signers import LocalSigner
from coordinator.lifecycle import Lifecycle
from coordinator.policy import PolicySettings
from coordinator.proofs import ProofKey
from coordinator.store.accounts import Account
from scripts.soak.processes import key_of_this_process, say_ready

__all__ = ["CHAIN_ID", "Plan", "Treasury"]

CHAIN_ID = 31_337

_ENGINE = EnginePolicy(
    most_open=400, poll=0.1, resend_after=1.0, stuck_after=20.0, first_pause=0.1, final_check=0.5, wait_for=1.0
)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a process needs to know to work a treasury, besides the key."""

    name: str
    url: str
    folder: str
    tokens: tuple[str, ...]
    policy: Mapping[str, Any]
    standing_allowance: int

    @property
    def database(self) -> str:
        return str(Path(self.folder) / f"{self.name}.db")

    def write(self) -> Path:
        """The file that `read` takes."""
        path = Path(self.folder) / f"{self.name}.json"
        path.write_text(
            json.dumps(
                {
                    "name": self.name,
                    "url": self.url,
                    "folder": self.folder,
                    "tokens": self.tokens,
                    "policy": self.policy,
                    "standing_allowance": self.standing_allowance,
                }
            )
        )
        return path

    @classmethod
    def read(cls, path: Path) -> Plan:
        fields = json.loads(path.read_text())
        return cls(**{**fields, "tokens": tuple(fields["tokens"])})


class Treasury:
    """An account with a lifecycle over a file."""

    def __init__(self, plan: Plan, private_key: str) -> None:
        self.plan = plan
        endpoint = connect(HttpTransport(plan.url), CHAIN_ID)
        store = open_store(f"sqlite:///{plan.database}")
        self.client = ACTPClient(endpoint, LocalSigner(private_key), accepted_arbiters="any", store=store)
        self.lifecycle = Lifecycle(
            self.client,
            policy=PolicySettings.from_mapping(plan.policy),
            standing_allowance=plan.standing_allowance,
            proof_signer=ProofKey.from_file(Path(plan.folder) / f"{plan.name}.key"),
            tokens=plan.tokens,
            engine_policy=_ENGINE,
            fee_policy=FeePolicy(),
        )

    @property
    def name(self) -> str:
        return self.plan.name

    @property
    def wallet(self) -> str:
        return self.client.address

    @property
    def account(self) -> Account:
        return Account(CHAIN_ID, self.wallet)


def main() -> int:
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(message)s", stream=sys.stderr)
    treasury = Treasury(Plan.read(Path(sys.argv[1])), key_of_this_process())
    say_ready()
    treasury.lifecycle.run(threading.Event())
    return 0


if __name__ == "__main__":
    sys.exit(main())
