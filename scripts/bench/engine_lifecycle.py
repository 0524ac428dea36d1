"""How many JSON-RPC calls an escrow takes from its creation to its payment, one step after the other.

Three ways to buy: `pay`, `deliver`, `settle`, with an idempotency key; the four steps that the protocol asks for
(create, fund, deliver, settle); and five, with a start of the work, which kernels of ours do not need.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
from actp.types import State
from actp.units import usdc

__all__ = ["POLLS", "PURSE", "WAYS", "lifecycles", "traders"]

POLLS = frozenset({"eth_getTransactionReceipt"})
"""Waiting for a block takes as many of these as it lasts."""
PURSE = usdc(10_000)
_PRICE = usdc(2)


@contextmanager
def traders(anvil: AnvilProcess, transport: Transport, folder: Path) -> Iterator[tuple[ACTPClient, ACTPClient]]:
    """A requester with a standing allowance of PURSE, and a provider, on fresh contracts. Their eth transactions go
    over `transport`, and are kept in a file.
    """
    requester, provider = dev_accounts()[3:5]
    direct = HttpTransport(anvil.url)
    genesis = genesis_hash(direct, anvil.chain_id)
    book = AddressBook(anvil.chain_id, genesis, in_memory=True, development=True)
    deployer = Sender(direct, LocalSigner(dev_accounts()[0].private_key), chain_id=anvil.chain_id)
    endpoint = Endpoint(transport, anvil.chain_id, genesis, deploy_contracts(deployer, book))
    store = open_store(folder / "traders.db")
    try:
        buyer = ACTPClient(endpoint, LocalSigner(requester.private_key), store=store)
        seller = ACTPClient(endpoint, LocalSigner(provider.private_key), store=store)
        buyer.token.mint(PURSE, buyer.address)
        buyer.token.approve(buyer.escrow.address, PURSE)
        yield buyer, seller
    finally:
        store.close()


def lifecycles(anvil: AnvilProcess, counted: Transport, calls: list[str], folder: Path) -> dict[str, Counter[str]]:
    """JSON-RPC calls by method of one purchase in each of the WAYS, receipt polls included; `counted` adds to `calls`.

    The two clients have bought and sold before: that is their steady state.
    """
    found: dict[str, Counter[str]] = {}
    with traders(anvil, counted, folder) as (buyer, seller):
        for name, purchase in WAYS.items():
            for _ in range(2):
                deadline = buyer.now() + 3_600
                before = len(calls)
                tx_id = purchase(buyer, seller, deadline, f"{name} {before}")
                found[name] = Counter(calls[before:])
                if buyer.kernel.get_transaction(tx_id).state is not State.SETTLED:
                    raise RuntimeError(f"the purchase in {name} was not settled")
    return found


def _three_verbs(buyer: ACTPClient, seller: ACTPClient, deadline: int, key: str) -> str:
    paid = buyer.pay(
        provider=seller.address, amount=_PRICE, deadline=deadline, dispute_window=3_600, idempotency_key=key
    )
    seller.kernel.deliver(paid.transaction_id)
    buyer.kernel.settle(paid.transaction_id)
    return paid.transaction_id


def _four_steps(buyer: ACTPClient, seller: ACTPClient, deadline: int, _key: str) -> str:
    return _steps(buyer, seller, deadline, started=False)


def _five_steps(buyer: ACTPClient, seller: ACTPClient, deadline: int, _key: str) -> str:
    return _steps(buyer, seller, deadline, started=True)


def _steps(buyer: ACTPClient, seller: ACTPClient, deadline: int, *, started: bool) -> str:
    tx_id = buyer.kernel.create_transaction(
        requester=buyer.address, provider=seller.address, amount=_PRICE, deadline=deadline, dispute_window=3_600
    )
    buyer.fund_transaction(tx_id)
    if started:
        seller.kernel.start(tx_id)
    seller.kernel.deliver(tx_id)
    buyer.release_escrow(tx_id)
    return tx_id


WAYS: dict[str, Callable[[ACTPClient, ACTPClient, int, str], str]] = {
    "three verbs": _three_verbs,
    "four steps": _four_steps,
    "five steps": _five_steps,
}
