"""Escrows by the thousand on an anvil, made by accounts that the node itself signs for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from actp import artifacts
from actp.chain import dev_accounts
from actp.deploy import deploy_contracts
from actp.deployments import AddressBook, Deployment
from actp.engine import Sender
from actp.networks import Endpoint
from actp.orders import salted_id
from actp.rpc import HttpTransport, Transport, genesis_hash
from actp.signers import LocalSigner

__all__ = ["AMOUNT", "NET", "PROVIDERS", "WINDOW", "CountingTransport", "World"]

AMOUNT = 10_000_000
NET = 9_900_000
"""Base units of each escrow, and what its provider gets of them."""
WINDOW = 3_600
_DAY = 24 * 3_600
_BATCH = 100
_GAS = hex(2**24)
PROVIDERS = (2, 3, 4, 5, 6, 7)
"""Development accounts that deliver; the first is the one to whom most is owed."""


class CountingTransport:
    """A node, and how often each method was asked of it: each within a batch counts."""

    def __init__(self, node: Transport) -> None:
        self._node = node
        self.label = node.label
        self.counts: Counter[str] = Counter()

    def request(self, method: str, params: list[Any]) -> Any:
        """See Transport."""
        self.counts[method] += 1
        return self._node.request(method, params)

    def batch(self, calls: Sequence[tuple[str, list[Any]]]) -> list[Any]:
        """See Transport."""
        self.counts.update(method for method, _ in calls)
        return self._node.batch(calls)


class World:
    """Contracts on an anvil, in the address book if they are to be `stored`. Account 0 deployed them, account 1 pays
    for escrows.
    """

    def __init__(self, url: str, chain_id: int, *, stored: bool = False) -> None:
        self.node = HttpTransport(url)
        self.chain_id = chain_id
        self.genesis = genesis_hash(self.node, chain_id)
        self.accounts = dev_accounts()
        book = AddressBook(chain_id, self.genesis, in_memory=not stored, development=True)
        self.deployment: Deployment = deploy_contracts(
            Sender(self.node, LocalSigner(self.accounts[0].private_key), chain_id=chain_id), book
        )
        self._salt = 0

    def endpoint(self, node: Transport | None = None) -> Endpoint:
        """The deployment, through some way to the node."""
        return Endpoint(node or self.node, self.chain_id, self.genesis, self.deployment)

    def send(self, account: int, contract: str, function: str, *arguments: Any) -> str:
        """The hash of an eth transaction of a development account."""
        address = self.deployment.token if contract == "TestUSDC" else self.deployment.address_of(contract)
        data = artifacts.load(contract).call_data(function, list(arguments))
        fields = {"from": self.accounts[account].address, "to": address, "data": "0x" + data.hex(), "gas": _GAS}
        return str(self.node.request("eth_sendTransaction", [fields]))

    def fund(self, amount: int) -> None:
        """The payer has so many base units, and the vault may take them."""
        self.send(0, "TestUSDC", "mint", self.accounts[1].address, amount)
        self.send(1, "TestUSDC", "approve", self.deployment.vault, amount)
        for provider in PROVIDERS:
            # Who has been paid before costs less to pay.
            self.send(0, "TestUSDC", "mint", self.accounts[provider].address, 1)

    def open_escrows(self, count: int, provider: int, *, window: int = WINDOW) -> list[str]:
        """Ids of so many funded escrows."""
        payee, payer = self.accounts[provider].address, self.accounts[1].address
        deadline = self.now() + _DAY
        ids: list[str] = []
        for start in range(0, count, _BATCH):
            orders = []
            for _ in range(min(_BATCH, count - start)):
                self._salt += 1
                salt = self._salt.to_bytes(32, "big")
                orders.append((payee, AMOUNT, deadline, window, bytes(32), salt))
                ids.append(salted_id(self.chain_id, self.deployment.kernel, payer, "0x" + salt.hex()))
            self.send(1, "ACTPKernel", "createFundedBatch", orders)
        return ids

    def deliver(self, ids: Sequence[str], provider: int) -> None:
        """The provider delivers."""
        for start in range(0, len(ids), _BATCH):
            part = [bytes.fromhex(one[2:]) for one in ids[start : start + _BATCH]]
            self.send(provider, "ACTPKernel", "deliverBatch", part)

    def now(self) -> int:
        """The chain's time."""
        return int(self.node.request("eth_getBlockByNumber", ["latest", False])["timestamp"], 16)

    def travel(self, seconds: int) -> None:
        """The chain's time goes on."""
        self.node.request("evm_increaseTime", [seconds])
        self.node.request("evm_mine", [])

    def balance(self, account: int) -> int:
        """Base units of a development account."""
        return self.held(self.accounts[account].address)

    def held(self, address: str) -> int:
        """Base units of an account."""
        data = artifacts.load("TestUSDC").call_data("balanceOf", [address])
        call = {"to": self.deployment.token, "data": "0x" + data.hex()}
        return int(self.node.request("eth_call", [call, "latest"]), 16)

    def gas_used(self, tx_hash: str) -> int:
        """Of a mined eth transaction."""
        return int(self.node.request("eth_getTransactionReceipt", [tx_hash])["gasUsed"], 16)
