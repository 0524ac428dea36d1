"""A treasury for tests of the programs' entrance, and coordinators over its ledger."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from actp.chain import DevAccount, EmbeddedChain, dev_accounts
from actp.client import ACTPClient
from actp.deployments import Deployment
from actp.engine.clock import Clock
from actp.engine.store import Store, open_store
from actp.networks import Endpoint
from actp.rpc import genesis_hash
from actp.signers import LocalSigner
from coordinator.api import AgentConfig, BudgetCoordinator, SpendingRequest
from coordinator.store import journal
from coordinator.store.accounts import Account
from coordinator.types import BlockRef

USDC = 1_000_000
PROVIDER = "0x" + "05" * 20
OTHER_PROVIDER = "0x" + "06" * 20
ANN = AgentConfig("ann", "Ann", "0x1111...", 100 * USDC, 300 * USDC, 50 * USDC)
BOSS = AgentConfig("boss", "Boss", "0x2222...", 500 * USDC, 900 * USDC, 500 * USDC, role="senior")


class Office:
    """One treasury without USDC, and its ledger."""

    def __init__(self, chain: EmbeddedChain, deployed: Deployment, account: DevAccount, folder: Path) -> None:
        self.folder = folder
        self.account = account
        self._endpoint = Endpoint(chain, chain.chain_id, genesis_hash(chain, chain.chain_id), deployed, chain=chain)
        self.client = self.client_of(account)
        self.in_a_file = False
        """Whether coordinators open the ledger as other processes would, instead of sharing one in memory: fsync is
        slow."""
        self._stores: list[Store] = []
        self._open: list[BudgetCoordinator] = []

    def client_of(self, account: DevAccount) -> ACTPClient:
        """A client of some account, without a store."""
        return ACTPClient(self._endpoint, LocalSigner(account.private_key))

    def mint(self, amount: int) -> None:
        """Gives the treasury USDC."""
        self.client_of(dev_accounts()[4]).token.mint(amount, self.client.address)

    def use(self, url: str) -> None:
        """Has the ledger in this database."""
        self._stores.append(open_store(url))

    def store(self, clock: Clock | None = None) -> Store:
        """The ledger's database."""
        if self.in_a_file or not self._stores:
            self._stores.append(open_store(self.folder / "ledger.db" if self.in_a_file else "sqlite://", clock=clock))
        return self._stores[-1]

    def coordinator(self, total: int | None = 600 * USDC, *, clock: Clock | None = None, **options: Any):
        """A coordinator over the file, with the agents Ann and Boss."""
        made = BudgetCoordinator(self.client, total, store=self.store(clock), **{"wait_seconds": 60.0, **options})
        self._open.append(made)
        for agent in (ANN, BOSS):
            if agent.id not in made.agents:
                made.register_agent(agent)
        return made

    def deciding(self, total: int | None = 600 * USDC, *, rich: bool = True, **options: Any) -> BudgetCoordinator:
        """One that decides and funds nothing; a `rich` treasury was seen with 5,000 USDC and 1 ETH."""
        made = self.coordinator(total, worker=False, **options)
        if rich:
            made._authority.observe(5_000 * USDC, 10**18, BlockRef(1, "0x" + "01" * 32), 10**14)
        return made

    def events(self, coordinator: BudgetCoordinator) -> list[str]:
        """What the journal has, in order."""
        with coordinator._authority.ledger.read() as connection:
            account = Account(self.client.chain_id, self.client.address)
            return [one.entry.event for one in journal.listed(connection, account)]

    def close(self) -> None:
        for made in self._open:
            made.close()
        for store in self._stores:
            store.close()


def want(amount: int = 10 * USDC, agent: str = "ann", **more: Any) -> SpendingRequest:
    """A request of Ann, without a key unless one is given."""
    return SpendingRequest(agent, amount, more.pop("provider", PROVIDER), more.pop("purpose", "A thing"), **more)
