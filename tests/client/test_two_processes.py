"""Two processes on the chain that `actp chain` serves: one pays, the other delivers and settles."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from actp import ACTPClient, Network
from actp.chain import dev_accounts
from actp.units import usdc
from tests.chain.cli_process import Running, actp_chain
from tests.client.support import state

ROOT = Path(__file__).resolve().parents[2]
PRICE = usdc(25)
GIFT = usdc(10_000)
"""What each development account has when `actp chain` starts."""

PAYER = """
import os, sys
from actp import ACTPClient, Network, State

client = ACTPClient.create(network=Network.ANVIL, rpc_url=sys.argv[1], private_key=os.environ["PRIVATE_KEY"])
tx_id = client.kernel.create_transaction(
    requester=client.address, provider=sys.argv[2], amount=25_000_000, deadline=client.now() + 3600,
    dispute_window=3600, metadata="a dataset",
)
client.fund_transaction(tx_id)
print(tx_id)
"""

PROVIDER = """
import os, sys, time
from actp import ACTPClient, Network, State

client = ACTPClient.create(network=Network.ANVIL, rpc_url=sys.argv[1], private_key=os.environ["PRIVATE_KEY"])
cursor, job = None, None
give_up_at = time.monotonic() + 60
while job is None:
    assert time.monotonic() < give_up_at, "nobody paid"
    page = client.events.since(cursor, names=["EscrowCreated"])
    cursor = page.cursor
    job = next((event for event in page if event.args["provider"] == client.address), None)
    time.sleep(0.1)
assert client.escrow.verify(
    job.transaction_id, requester=job.args["requester"], provider=client.address, amount=25_000_000
)
client.kernel.start(job.transaction_id)
client.kernel.deliver(job.transaction_id)
print("delivered", job.transaction_id, flush=True)
input()
client.release_escrow(job.transaction_id)
print(client.balances().usdc)
"""


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    """`actp chain` in a process of its own, with its address book where the other processes look."""
    monkeypatch.setenv("ACTP_DEPLOYMENTS_DIR", str(tmp_path))
    monkeypatch.delenv("ETH_RPC_URL", raising=False)
    with actp_chain(tmp_path) as running:
        yield running


def run(program: str, key: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PRIVATE_KEY": key},
    )


@pytest.mark.slow
def test_one_process_pays_and_another_delivers_and_settles(served: Running) -> None:
    url = served.url
    payer_account, provider_account, watcher_account = dev_accounts()[1:4]
    watcher = ACTPClient.create(network=Network.ANVIL, rpc_url=url, private_key=watcher_account.private_key)
    provider = run(PROVIDER, provider_account.private_key, url)
    try:
        payer = run(PAYER, payer_account.private_key, url, provider_account.address)
        paid, errors = payer.communicate(timeout=120)
        assert payer.returncode == 0, errors
        tx_id = paid.strip()
        assert provider.stdout is not None
        assert provider.stdout.readline().split() == ["delivered", tx_id]
        assert state(watcher, tx_id).name == "DELIVERED"
        served.transport.request("evm_increaseTime", [3_601])  # the window passes; from now on anybody may settle
        earned, errors = provider.communicate("settle\n", timeout=120)
        assert provider.returncode == 0, errors
    finally:
        if provider.poll() is None:
            provider.kill()
            provider.communicate()
    assert state(watcher, tx_id).name == "SETTLED"
    assert int(earned) == GIFT + PRICE - usdc("0.25")
    assert watcher.token.balance_of(payer_account.address) == GIFT - PRICE
    assert payer_account.private_key[2:] not in errors
