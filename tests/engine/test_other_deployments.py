"""A store belongs to one deployment: another one under the same chain id stops the client, even at the same address."""

from dataclasses import replace

import pytest

from actp.chain import EmbeddedChain, dev_accounts
from actp.client import ACTPClient
from actp.deploy import deploy_contracts
from actp.deployments import AddressBook, code_at, code_hash
from actp.engine import Sender
from actp.engine.store import OtherChain, open_store
from actp.networks import connect, connect_local
from actp.rpc import genesis_hash
from actp.signers import LocalSigner
from actp.testing import FaultyTransport

KERNEL = "ACTPKernel"


@pytest.fixture
def node(monkeypatch, tmp_path):
    """A chain with our contracts, and an address book that names them."""
    monkeypatch.setenv("ACTP_DEPLOYMENTS_DIR", str(tmp_path))
    chain = EmbeddedChain()
    book = AddressBook(chain.chain_id, genesis_hash(chain, chain.chain_id))
    deploy_contracts(Sender(chain, LocalSigner(dev_accounts()[0].private_key), chain_id=chain.chain_id), book)
    return FaultyTransport(chain)


def client(endpoint, store):
    return ACTPClient(endpoint, LocalSigner(dev_accounts()[1].private_key), store=store)


def bound(store):
    with store.read() as connection:
        return connection.exec_driver_sql("SELECT kernel, kernel_code_hash FROM chains").one()


def test_a_client_binds_the_store_to_the_kernel_and_its_code_without_asking_for_it_again(node, file_store):
    endpoint = connect(node, 31337)
    before = node.count("eth_getCode")
    client(endpoint, file_store)
    deployment = endpoint.deployment
    assert tuple(bound(file_store)) == (deployment.kernel, code_hash(code_at(node, deployment.kernel, KERNEL)))
    assert node.count("eth_getCode") == before + 1  # by this test


def test_other_code_at_the_kernels_address_is_a_clear_error(node, file_store, tmp_path):
    endpoint = connect(node, 31337)
    client(endpoint, file_store)
    contracts = {**endpoint.deployment.contracts}
    contracts[KERNEL] = replace(contracts[KERNEL], code_hash="0x" + "ab" * 32)
    other = replace(endpoint.deployment, contracts=contracts)
    for another in (replace(endpoint, code_hash="0x" + "ab" * 32), replace(endpoint, deployment=other, code_hash=None)):
        with pytest.raises(OtherChain, match="kernel code hash") as caught:
            client(another, file_store)
        assert "another deployment" in caught.value.hint
        client(another, open_store(tmp_path / f"{id(another)}.db"))


def test_another_kernel_is_a_clear_error(node, file_store):
    endpoint = connect(node, 31337)
    client(endpoint, file_store)
    contracts = {**endpoint.deployment.contracts}
    contracts[KERNEL] = replace(contracts[KERNEL], address="0x" + "05" * 20)
    other = replace(endpoint, deployment=replace(endpoint.deployment, contracts=contracts))
    with pytest.raises(OtherChain, match="with kernel 0x") as caught:
        client(other, file_store)
    assert "each a store of its own" in caught.value.hint


def test_the_chain_in_this_process_knows_its_kernels_code_too(file_store):
    endpoint = connect_local(chain=EmbeddedChain())
    client(endpoint, file_store)
    assert bound(file_store).kernel_code_hash == endpoint.deployment.contracts[KERNEL].code_hash
    assert endpoint.code_hash is not None
