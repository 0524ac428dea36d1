"""On a real node: chains that are reorganised under the index, and an indexer that is killed between its pages."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from dataclasses import replace

import pytest

from actp.chain import dev_accounts
from actp.client import ACTPClient
from actp.deploy import deploy_contracts
from actp.deployments import AddressBook
from actp.engine import Sender
from actp.engine.store import open_store
from actp.networks import Endpoint
from actp.rpc import HttpTransport, genesis_hash
from actp.signers import LocalSigner
from coordinator.index import Index
from coordinator.index import index as index_module
from coordinator.store import open_ledger
from tests.client.support import HOUR, PRICE, delivered, funded, started
from tests.coordinator.index.support import assert_is_the_chain, columns, rows_of

pytestmark = [pytest.mark.anvil, pytest.mark.slow]


@pytest.fixture
def endpoint(anvil) -> Endpoint:
    genesis = genesis_hash(anvil, anvil.chain_id)
    book = AddressBook(anvil.chain_id, genesis, in_memory=True, development=True)
    sender = Sender(anvil, LocalSigner(dev_accounts()[0].private_key), chain_id=anvil.chain_id)
    return Endpoint(anvil, anvil.chain_id, genesis, deploy_contracts(sender, book))


@pytest.fixture
def requester(endpoint) -> ACTPClient:
    return purse(endpoint, 1)


@pytest.fixture
def provider(endpoint) -> ACTPClient:
    return purse(endpoint, 2)


def purse(endpoint, number) -> ACTPClient:
    client = ACTPClient(endpoint, LocalSigner(dev_accounts()[number].private_key))
    client.token.mint(100 * PRICE)
    return client


def mine(anvil, blocks):
    anvil.request("anvil_mine", [hex(blocks)])


@pytest.mark.parametrize("depth", [1, 5, 12])
def test_after_a_reorganisation_of_any_depth_the_index_is_the_chain(
    anvil, endpoint, ledger, requester, provider, depth
):
    index = Index(ledger, endpoint)
    kept = started(requester, provider)
    mine(anvil, 3)
    index.catch_up()
    before = columns(ledger)
    gone = funded(requester, provider)
    provider.kernel.deliver(kept)
    mine(anvil, max(depth - 4, 0))
    index.catch_up()
    assert set(rows_of(ledger)) == {kept, gone}
    anvil.request("anvil_reorg", [depth, []])
    mine(anvil, 2)
    index.catch_up()
    assert_is_the_chain(ledger, endpoint, index)
    if depth == 12:
        assert set(rows_of(ledger)) <= set(before)
    delivered(requester, provider)
    index.catch_up()
    assert_is_the_chain(ledger, endpoint, index)


def test_a_chain_that_was_set_back_is_followed_again(anvil, endpoint, ledger, requester, provider):
    index = Index(ledger, endpoint)
    index.catch_up()
    for number in range(3):
        snapshot = anvil.request("evm_snapshot", [])
        kept = set(rows_of(ledger))
        gone = delivered(requester, provider)
        index.catch_up()
        assert gone in rows_of(ledger)
        anvil.request("evm_revert", [snapshot])
        requester, provider = (ACTPClient(endpoint, one.signer) for one in (requester, provider))
        anvil.request("evm_increaseTime", [HOUR])
        mine(anvil, 8)
        assert index.catch_up().rewinds == 1
        assert set(rows_of(ledger)) == kept
        funded(requester, provider)
        index.catch_up()
        assert len(rows_of(ledger)) == number + 1
        assert_is_the_chain(ledger, endpoint, index)


def _indexer(url, endpoint_fields, store):
    """Indexes page by page until it is killed."""
    transport = HttpTransport(url)
    index_module._MOST_BLOCKS = 1
    index = Index(open_ledger(open_store(store)), replace(endpoint_fields, transport=transport))
    while True:
        index.catch_up()
        time.sleep(0.01)


def test_an_indexer_that_is_killed_at_any_moment_leaves_nothing_out_and_nothing_double(
    anvil, endpoint, tmp_path, requester, provider
):
    for _ in range(8):
        requester.kernel.settle(delivered(requester, provider))
    path = tmp_path / "index.db"
    open_ledger(open_store(path))
    context = multiprocessing.get_context("spawn")
    bare = replace(endpoint, transport=None, chain=None)
    for number in range(4):
        child = context.Process(target=_indexer, args=(anvil.url, bare, path), daemon=True)
        child.start()
        store = open_store(path)
        ledger = open_ledger(store)
        seen, give_up_at = len(rows_of(ledger)), time.monotonic() + 30
        while len(rows_of(ledger)) < min(seen + 2, 8) and time.monotonic() < give_up_at:
            time.sleep(0.002)
        os.kill(child.pid, signal.SIGKILL)
        child.join(10)
        assert child.exitcode == -signal.SIGKILL, number
        store.close()
    ledger = open_ledger(open_store(path))
    index = Index(ledger, endpoint)
    index.catch_up()
    assert len(rows_of(ledger)) == 8
    assert_is_the_chain(ledger, endpoint, index)
