"""How many JSON-RPC calls an escrow takes from its creation to its payment, one step after the other."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from actp.chain import AnvilProcess, dev_accounts
from actp.client import ACTPClient
from actp.deploy import deploy_contracts
from actp.deployments import AddressBook
from actp.engine import Sender
from actp.engine.store import open_store
from actp.networks import Endpoint
from actp.rpc import HttpTransport, Transport, genesis_hash
from actp.signers import LocalSigner
from actp.units import usdc

__all__ = ["POLLS", "lifecycle"]

POLLS = frozenset({"eth_getTransactionReceipt"})
_PRICE = usdc(2)


def lifecycle(anvil: AnvilProcess, counted: Transport, calls: list[str], folder: Path) -> Counter[str]:
    """JSON-RPC calls by method of one purchase, receipt polls included; `counted` adds to `calls`.

    The two clients have sent before, and the requester keeps an allowance for the vault: that is their steady state.
    """
    requester, provider = dev_accounts()[3:5]
    direct = HttpTransport(anvil.url)
    genesis = genesis_hash(direct, anvil.chain_id)
    book = AddressBook(anvil.chain_id, genesis, in_memory=True, development=True)
    deployer = Sender(direct, LocalSigner(dev_accounts()[0].private_key), chain_id=anvil.chain_id)
    endpoint = Endpoint(counted, anvil.chain_id, genesis, deploy_contracts(deployer, book))
    store = open_store(folder / "lifecycle.db")
    buyer = ACTPClient(endpoint, LocalSigner(requester.private_key), store=store)
    seller = ACTPClient(endpoint, LocalSigner(provider.private_key), store=store)
    buyer.token.mint(usdc(100), buyer.address)
    buyer.token.approve(buyer.escrow.address, usdc(100))
    _purchase(buyer, seller, direct)
    before = len(calls)
    _purchase(buyer, seller, direct)
    store.close()
    return Counter(calls[before:])


def _purchase(buyer: ACTPClient, seller: ACTPClient, direct: Transport) -> None:
    newest = direct.request("eth_getBlockByNumber", ["latest", False])
    tx_id = buyer.kernel.create_transaction(
        requester=buyer.address,
        provider=seller.address,
        amount=_PRICE,
        deadline=int(newest["timestamp"], 16) + 3_600,
        dispute_window=3_600,
    )
    buyer.fund_transaction(tx_id)
    seller.kernel.start(tx_id)
    seller.kernel.deliver(tx_id)
    buyer.release_escrow(tx_id)
