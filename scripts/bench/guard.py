"""How fast operations are decided, sealed, guarded and proved: `make bench NAME=guard`.

Prints a table and, as the last line, one JSON object; exits with 1 if a figure misses its bound. `guarded_ratio`
compares the operations a second that end with a verdict and a proof, each a transfer of ETH with a policy in force,
with what `raw_ceiling` seals on the same anvil in the same run. `decision_p50_ms` is from looking at one pending
operation to the commit of its decision (build, simulation, policy, journal, outbox), less the time of RPC.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from actp.chain import AnvilProcess, dev_accounts
from actp.client import ACTPClient
from actp.deploy import deploy_contracts
from actp.deployments import AddressBook
from actp.engine import Policy as EnginePolicy
from actp.engine import Sender, open_store
from actp.engine.fees import FeePolicy
from actp.networks import Endpoint
from actp.rpc import HttpTransport, Transport, genesis_hash
from actp.signers import LocalSigner
from coordinator.lifecycle import Lifecycle
from coordinator.lifecycle.submitting import Request
from coordinator.policy import PolicySettings
from coordinator.proofs import Proof
from coordinator.proofs.documents import write_document
from coordinator.proofs.verifying import verify
from coordinator.store import operations
from coordinator.store import proofs as proof_rows
from coordinator.store.accounts import Account
from coordinator.types import IntentType, Stage
from scripts.bench.engine import Timed
from scripts.bench.engine_ceiling import PAYEE, raw_ceiling
from scripts.verdicts import conclude

AT_LEAST = {"guarded_ratio": 0.35}
AT_MOST = {"decision_p50_ms": 10.0}
_TIMEOUT = 300.0
_VERIFIED = 5

POLICY = PolicySettings.from_mapping(
    {
        "max_amount": {"ETH": 10**15},
        "max_fee_wei": 10**17,
        "max_concentration_bps": 5_000,
        "max_daily_loss": {"ETH": 10**20},
        "max_drawdown_bps": 5_000,
        "wallet_rate": {"day": 1_000_000},
    }
)
"""Rules that look at every operation, and deny none of these."""


@dataclass(frozen=True, slots=True)
class Case:
    """A wallet with a lifecycle over a file of its own."""

    lifecycle: Lifecycle
    account: Account

    def ended(self) -> tuple[int, int]:
        """How many operations are confirmed, and how many failed."""
        with self.lifecycle.ledger.read() as connection:
            confirmed = operations.count_in(connection, self.account, Stage.CONFIRMED)
            return confirmed, operations.count_in(connection, self.account, Stage.FAILED)


def guarded(endpoint: Endpoint, key: str, count: int, folder: Path) -> float:
    """Operations a second, from handing in the first to the verdict and the proof of the last."""
    case = _case(endpoint, key, folder / f"guard-{time.time_ns()}.db")
    requests = [
        Request(IntentType.TRANSFER_ETH, {"to": PAYEE, "amount": "1"}, f"agent-{index % 10}", f"transfer-{index}")
        for index in range(count)
    ]
    case.lifecycle.step()
    start = time.perf_counter()
    case.lifecycle.submit_all(requests)
    end = time.monotonic() + _TIMEOUT
    while sum(case.ended()) < count:
        if not case.lifecycle.step():
            time.sleep(0.005)
        if time.monotonic() > end:
            raise RuntimeError(f"{case.ended()} of {count} have ended (confirmed, failed)")
    elapsed = time.perf_counter() - start
    if case.ended() != (count, 0):
        raise RuntimeError(f"{case.ended()} of {count} are (confirmed, failed)")
    _require_proofs(case, endpoint.transport, count)
    case.lifecycle.close()
    return count / elapsed


def decision_ms(endpoint: Endpoint, timed: Timed, key: str, count: int, folder: Path) -> list[float]:
    """Milliseconds that the decision about one operation takes, without the time of RPC."""
    case = _case(Endpoint(timed, endpoint.chain_id, endpoint.genesis, endpoint.deployment), key, folder / "decision.db")
    taken = []
    case.lifecycle.step()
    for index in range(count):
        operation = case.lifecycle.submit(
            IntentType.TRANSFER_ETH, {"to": PAYEE, "amount": "1"}, agent="agent", key=f"one-{index}"
        )
        before, start = timed.seconds, time.perf_counter()
        case.lifecycle.decide()
        taken.append((time.perf_counter() - start - (timed.seconds - before)) * 1_000)
        if case.lifecycle.find(operation.id).stage is not Stage.SIGNING:
            raise RuntimeError("it was not decided")
    case.lifecycle.close()
    return taken


def _case(endpoint: Endpoint, key: str, file: Path) -> Case:
    client = ACTPClient(endpoint, LocalSigner(key), store=open_store(file))
    engine = EnginePolicy(batch=100, most_open=1_000_000, resend_after=60, stuck_after=600)
    lifecycle = Lifecycle(client, policy=POLICY, engine_policy=engine, fee_policy=FeePolicy())
    return Case(lifecycle, Account(endpoint.chain_id, client.address))


def _require_proofs(case: Case, transport: Transport, count: int) -> None:
    """Every operation has a link in one unbroken chain; some of them are checked against the node as well."""
    with case.lifecycle.ledger.read() as connection:
        links: list[Proof] = []
        while page := proof_rows.read(connection, case.account, after=links[-1].seq if links else 0):
            links += page
    if sum(link.kind == "proof" for link in links) != count:
        raise RuntimeError("not every operation has a proof")
    for some in (links, links[:: max(1, len(links) // _VERIFIED)]):
        report = verify(write_document(some), None if some is links else transport, signer=case.lifecycle.proof_address)
        if not report.ok:
            raise RuntimeError(f"a proof is wrong: {report.wrong[0]}")


def measure(rounds: int, count: int, folder: Path) -> dict[str, float]:
    """All figures; ceiling and ours in turns, so that whatever else the machine does hits both alike."""
    accounts = dev_accounts()
    ceilings, ours = [], []
    with AnvilProcess(block_time=1) as anvil:
        transport = HttpTransport(anvil.url)
        endpoint = _endpoint(transport, anvil.chain_id, accounts[0].private_key)
        for index in range(rounds):
            ceilings.append(raw_ceiling(transport, LocalSigner(accounts[9].private_key), anvil.chain_id, count).sealed)
            ours.append(guarded(endpoint, accounts[1 + index % 7].private_key, count, folder))
            print(f"round {index + 1}: ceiling {ceilings[-1]:,.0f} sealed, {ours[-1]:,.0f} guarded and proved a second")
        decisions = decision_ms(endpoint, Timed(transport), accounts[8].private_key, 200, folder)
    return {
        "ceiling_sealed_per_s": round(statistics.median(ceilings)),
        "guarded_per_s": round(statistics.median(ours)),
        "guarded_ratio": round(statistics.median(ours) / statistics.median(ceilings), 3),
        "decision_p50_ms": round(statistics.median(decisions), 2),
    }


def _endpoint(transport: HttpTransport, chain_id: int, deployer: str) -> Endpoint:
    genesis = genesis_hash(transport, chain_id)
    book = AddressBook(chain_id, genesis, in_memory=True, development=True)
    deployment = deploy_contracts(Sender(transport, LocalSigner(deployer), chain_id=chain_id), book)
    return Endpoint(transport, chain_id, genesis, deployment)


def misses(found: dict[str, float]) -> Sequence[str]:
    """The figures that miss their bounds."""
    return [
        *(f"{name} is {found[name]}, below {least}" for name, least in AT_LEAST.items() if found[name] < least),
        *(f"{name} is {found[name]}, above {most}" for name, most in AT_MOST.items() if found[name] > most),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=4_000, help="operations per round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where the databases go, for measuring a disk")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        found = measure(arguments.rounds, arguments.count, Path(name))
    return conclude(found, misses(found))


if __name__ == "__main__":
    sys.exit(main())
