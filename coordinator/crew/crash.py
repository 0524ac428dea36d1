"""A worker that dies right after the node has taken a payment, and a fresh one that goes on: on a chain that outlives
both, over a ledger in a file.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from pathlib import Path
from typing import TextIO

from actp.chain import dev_accounts
from actp.client import ACTPClient
from actp.config import STORE_VARIABLE
from actp.deployments import FOLDER_VARIABLE, AddressBook
from actp.engine import open_store
from actp.engine.crash import CRASH_VARIABLE, CrashPoint
from actp.errors import ActpError
from actp.networks import Endpoint
from actp.rpc import HttpTransport, genesis_hash, quantity
from actp.signers import LocalSigner
from actp.types import Network
from actp.units import format_usdc, usdc
from coordinator.alerts.addresses import URLS_VARIABLE
from coordinator.api import AgentConfig, BudgetCoordinator, SpendingRequest, SpendingResponse
from coordinator.authority import Authority
from coordinator.authority.verifying import verify
from coordinator.budget.limits import treasury_scope
from coordinator.crash import CRASH_VARIABLE as COORDINATOR_CRASH
from coordinator.proofs.keys import KEY_FILE_VARIABLE
from coordinator.store import open_ledger, seals
from coordinator.store.accounts import Account
from coordinator.worker.reconciling import Reconciling

__all__ = ["run_crash"]

_CHAIN_ID = 31_337
_TREASURY, _PROVIDER = dev_accounts()[1], dev_accounts()[2]
_KEY_VARIABLE = "TREASURY_PRIVATE_KEY"
_PRICE, _BUDGET = usdc("25"), usdc("1000")
_AGENT, _KEY = "research", "papers"
_PATIENCE_SECONDS = 60.0
_PAUSE_SECONDS = 0.1
_FOREIGN = (STORE_VARIABLE, CRASH_VARIABLE, COORDINATOR_CRASH, KEY_FILE_VARIABLE, URLS_VARIABLE)
"""Settings of whoever runs this that are not meant for these processes."""
_PAYMENT = 2
"""Which of the worker's broadcasts is the payment: the first one lets the vault take it."""


def run_crash(out: TextIO) -> bool:
    """Tells the story to `out`; whether all of it ends as it must. Raises ActpError if it cannot be told."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="actp-demo-")))
        _say(out, "Starting a chain as a process of its own, on 127.0.0.1, and deploying the contracts ...")
        url = stack.enter_context(_chain(folder))
        return _Story(folder, url, out, stack).tell()


class _Story:
    def __init__(self, folder: Path, url: str, out: TextIO, stack: ExitStack) -> None:
        self._folder = folder
        self._url = url
        self._out = out
        self._ledger_file = folder / "ledger.db"
        self._client = _client(folder, url)
        store = stack.enter_context(closing(open_store(self._ledger_file)))
        self._coordinator = stack.enter_context(
            BudgetCoordinator(self._client, _BUDGET, store=store, worker=False, by="demo")
        )
        self._coordinator.register_agent(
            AgentConfig(_AGENT, "Research Agent", "", spending_limit=usdc("100"), daily_limit=usdc("300"))
        )
        account = Account(_CHAIN_ID, self._client.address)
        self._authority = stack.enter_context(Authority(open_ledger(store), account, token=self._client.token.address))
        self._before = self._client.token.balance_of(self._client.address)
        self._signed_before = self._nonce()

    def tell(self) -> bool:
        say = self._say
        say("")
        say("A worker dies in the middle of a payment")
        say("")
        with self._worker({CRASH_VARIABLE: f"{CrashPoint.AFTER_BROADCAST.value}:{_PAYMENT}"}) as doomed:
            say(f"1. A worker runs, process {doomed.pid}. It will die when the node has taken a payment.")
            self._looked()
            asked = self._granted()
            say(f"2. Research Agent asks for {format_usdc(_PRICE)} USDC: granted within all limits.")
            say(f"   The transaction that it will have: {_short(asked.tx_id)}")
            ended = _end_of(doomed)
        if ended != -signal.SIGKILL:
            raise ActpError(f"The worker ended with {ended}, and not by a kill.", code="scenario")
        say(f"3. The worker was killed, as by `kill -9`: signal {-ended}.")
        held = self._find(asked)
        escrow = self._client.kernel.get_transaction(asked.tx_id or "")
        say(f"   The chain has the transaction: {escrow.state.name}, {format_usdc(escrow.amount)} USDC in escrow.")
        say(f"   The ledger does not know that yet. The request is {held.state}, with its budget:")
        say(f"   {self._budget()}.")
        again = self._granted()
        say("4. Research Agent has heard nothing, and asks again with the same key.")
        say(f"   It is the same request, and has the same transaction: {_short(again.tx_id)}")
        with self._worker({}) as fresh:
            began = time.monotonic()
            say(f"5. A fresh worker runs, process {fresh.pid}. It reads the ledger and asks the chain.")
            done = self._committed(asked)
            say(f"   After {time.monotonic() - began:.0f} seconds the request is {done.state}:")
            say(f"   {self._budget()}.")
            fresh.terminate()
            _end_of(fresh)
        say("")
        results = list(self._checks(asked, again, done))
        for right, text in results:
            say(f"{'ok' if right else 'WRONG':<5} {text}")
        return all(right for right, _ in results)

    def _checks(
        self, asked: SpendingResponse, again: SpendingResponse, done: SpendingResponse
    ) -> Iterator[tuple[bool, str]]:
        client, report = self._client, self._coordinator.get_report()
        escrows = list(client.events.created_by(client.address))
        number = "One escrow is" if len(escrows) == 1 else f"{len(escrows)} escrows are"
        yield (
            [one.transaction_id for one in escrows] == [asked.tx_id] == [again.tx_id],
            f"{number} on the chain, for one purchase that was asked for twice.",
        )
        paid = self._before - client.token.balance_of(client.address)
        yield paid == _PRICE, f"The treasury has paid {format_usdc(paid)} USDC, the price is {format_usdc(_PRICE)}."
        held = client.token.balance_of(client.escrow.address)
        yield held == _PRICE, f"The vault holds {format_usdc(held)} USDC."
        signed = self._nonce() - self._signed_before
        yield signed == _PAYMENT, f"{signed} eth transactions were mined: the vault's allowance, and the payment."
        yield (
            (done.state, report["total_spent"], report["reserved"]) == ("committed", _PRICE, 0),
            f"The request is {done.state}: {self._budget()}.",
        )
        compared = Reconciling(client, self._authority, every=0.0).run()
        drift = None if compared is None else compared.drift
        yield drift == 0, f"Ledger and chain compared: drift {drift}."
        seals.seal_all(self._authority.ledger, self._authority.account)
        journal = verify(self._authority.ledger, self._authority.account)
        kept = "unbroken, and rebuild all counters" if journal.ok else f"wrong: {journal.findings[0].detail}"
        yield journal.ok, f"The journal's {journal.sealed} entries are {kept}."

    def _granted(self) -> SpendingResponse:
        request = SpendingRequest(_AGENT, _PRICE, _PROVIDER.address, "Academic paper API access", "api", _KEY)
        answer = self._coordinator.request_spending(request, wait=False)
        if not answer.approved:
            raise ActpError(f"The request was denied by {answer.rule}: {answer.reason}", code="scenario")
        return answer

    def _looked(self) -> None:
        """Waits until the worker has told the ledger what lies in the treasury: nothing is promised before."""
        scope = treasury_scope(self._authority.token)
        until = time.monotonic() + _PATIENCE_SECONDS
        while not any(one.cell.lim for one in self._authority.usage() if one.scope == scope):
            if time.monotonic() > until:
                raise ActpError("The worker has not looked at the treasury.", code="scenario")
            time.sleep(_PAUSE_SECONDS)

    def _committed(self, asked: SpendingResponse) -> SpendingResponse:
        until = time.monotonic() + _PATIENCE_SECONDS
        while (found := self._find(asked)).state != "committed":
            if time.monotonic() > until or not found.approved:
                raise ActpError(f"The request is {found.state}: {found.reason or 'nobody knows why.'}", code="scenario")
            time.sleep(_PAUSE_SECONDS)
        return found

    def _find(self, asked: SpendingResponse) -> SpendingResponse:
        assert asked.reservation_id is not None
        return self._coordinator.find(asked.reservation_id)

    def _budget(self) -> str:
        report = self._coordinator.get_report()
        parts = (("spent", report["total_spent"]), ("reserved", report["reserved"]), ("left", report["remaining"]))
        return ", ".join(f"{format_usdc(amount)} {name}" for name, amount in parts)

    def _nonce(self) -> int:
        return quantity(self._client.transport, "eth_getTransactionCount", [self._client.address, "latest"])

    def _worker(self, more: Mapping[str, str]) -> AbstractContextManager[subprocess.Popen[str]]:
        where = ("--network", Network.ANVIL.value, "--rpc-url", self._url, "--store", str(self._ledger_file))
        key = {_KEY_VARIABLE: _TREASURY.private_key}
        return _process(self._folder, "coordinator.cli", "run", "worker", *where, settings=key | dict(more))

    def _say(self, line: str) -> None:
        _say(self._out, line)


def _short(transaction_id: str | None) -> str:
    return "none" if transaction_id is None else f"{transaction_id[:10]}..{transaction_id[-8:]}"


def _say(out: TextIO, line: str) -> None:
    print(line, file=out, flush=True)


@contextmanager
def _chain(folder: Path) -> Iterator[str]:
    """`actp chain` on a free port; its URL."""
    with _process(folder, "actp.cli", "chain", "--port", "0", settings={}) as process:
        assert process.stdout is not None
        url = ""
        for line in process.stdout:
            if line.startswith("RPC URL"):
                url = line.split()[-1]
            if line.startswith("Stop with"):
                yield url
                return
    raise ActpError("The chain has ended before it began.", code="scenario")


@contextmanager
def _process(
    folder: Path, module: str, *arguments: str, settings: Mapping[str, str]
) -> Iterator[subprocess.Popen[str]]:
    """A Python process that lives at most as long as the block."""
    inherited = {name: value for name, value in os.environ.items() if name not in _FOREIGN}
    with subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=inherited | {FOLDER_VARIABLE: str(folder)} | dict(settings),
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def _end_of(process: subprocess.Popen[str]) -> int:
    """Its exit code, or the negative number of the signal that has ended it."""
    try:
        return process.wait(_PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        raise ActpError("A worker went on, and should have ended.", code="scenario") from None


def _client(folder: Path, url: str) -> ACTPClient:
    """The treasury's client, which only looks: workers sign."""
    transport = HttpTransport(url)
    genesis = genesis_hash(transport, _CHAIN_ID)
    deployment = AddressBook(_CHAIN_ID, genesis, folder=folder).get()
    endpoint = Endpoint(transport, _CHAIN_ID, genesis, deployment, Network.ANVIL)
    return ACTPClient(endpoint, LocalSigner(_TREASURY.private_key))
