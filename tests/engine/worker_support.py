"""What the tests of workers share: an outbox of transfers to one payee, which shows what was paid, and how often."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from actp.engine.gates import Gate, Hold
from actp.engine.intents import Intent, Job
from actp.engine.outbox import Outbox
from actp.engine.policy import Policy
from actp.engine.store import Store, StoreFull, outbox
from actp.engine.store.schema import IntentStatus
from actp.engine.worker import Worker
from actp.errors import ActpError, ConfigError
from actp.rpc import Transport
from actp.signers import LocalSigner

PAYEE = "0x" + "05" * 20
HASTY = Policy(
    poll=0.0, resend_after=0.2, stuck_after=60, first_pause=0.05, wait_for=0.05, final_check=0.05, fees_for=0.0,
    buried=0, unresolved_for=0.2,
)  # fmt: skip
"""Everything soon, so that tests are."""


class Bench:
    """One account's outbox and worker over a transport. Payment i is of 2**i wei: the sum tells which were paid."""

    def __init__(
        self,
        transport: Transport,
        store: Store,
        private_key: str,
        *,
        chain_id: int = 31337,
        gate: Gate | None = None,
        hold: Hold | None = None,
        **policy: float,
    ) -> None:
        self.transport = transport
        self.store = store
        self.signer = LocalSigner(private_key)
        self.box = Outbox(store, chain_id, self.signer.address)
        self.options = {"chain_id": chain_id, "gate": gate, "hold": hold, "policy": replace(HASTY, **policy)}
        self.worker = self.another()

    def another(self, store: Store | None = None, transport: Transport | None = None) -> Worker:
        """A further worker for the same account, over the same store unless it is given another one."""
        return Worker(transport or self.transport, self.signer, store=store or self.store, **self.options)

    def enqueue(self, count: int, *, start: int = 0, gas: int | None = None) -> list[Job]:
        return self.box.submit_all(
            [(f"k{index}", Intent(PAYEE, b"", 2**index, gas)) for index in range(start, start + count)]
        )

    def work(self, until: Callable[[], bool], *, seconds: float = 20.0, worker: Worker | None = None) -> None:
        """Rounds of the worker, until something is so. Trouble with the node is waited out, as `run` does."""
        end = time.monotonic() + seconds
        while not until():
            assert time.monotonic() < end, f"{self.box.count()} {self.statuses()}"
            try:
                (worker or self.worker).step()
            except (ConfigError, StoreFull):
                raise
            except ActpError:
                time.sleep(0.05)
            time.sleep(0.005)

    def finish(self, **options: object) -> None:
        """Works until nothing is queued or open."""
        self.work(lambda: not {IntentStatus.QUEUED, IntentStatus.OPEN} & self.box.count().keys(), **options)  # type: ignore[arg-type]

    def statuses(self) -> dict[str, str]:
        with self.store.read() as connection:
            return {job.key: f"{job.status} {job.code or ''}".strip() for job in outbox.listed(connection)}

    def job(self, index: int) -> Job:
        found = self.box.find(f"k{index}")
        assert found is not None
        return found


def paid(chain: Transport) -> list[int]:
    """Which payments the payee got; one that came twice would show as the next one."""
    total = int(chain.request("eth_getBalance", [PAYEE, "latest"]), 16)
    return [index for index in range(total.bit_length()) if total >> index & 1]


def nonces(chain: Transport, address: str) -> int:
    return int(chain.request("eth_getTransactionCount", [address, "latest"]), 16)


@contextmanager
def without_automine(chain: Transport) -> Iterator[None]:
    chain.request("evm_setAutomine", [False])
    yield
    chain.request("evm_setAutomine", [True])
