"""What the tests of the lifecycle share: a treasury, what it sends, and what is left of it in the store."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from actp.chain import DevAccount, EmbeddedChain, dev_accounts
from actp.client import ACTPClient
from actp.deployments import Deployment
from actp.engine import Policy
from actp.engine.store import Store, outbox
from actp.engine.store.schema import IntentStatus
from actp.networks import Endpoint
from actp.rpc import Transport, genesis_hash
from actp.signers import LocalSigner
from coordinator.lifecycle import Lifecycle
from coordinator.proofs.documents import write_document
from coordinator.proofs.verifying import Report, verify
from coordinator.store import breaches, decisions, journal, proofs, schema, verdicts
from coordinator.store.accounts import Account
from coordinator.store.database import has_ledger
from coordinator.types import Operation, Stage

PAYEE = "0x" + "05" * 20
PURSE = 1_000_000_000
HASTY = Policy(poll=0.0, resend_after=0.2, stuck_after=60, first_pause=0.05, final_check=0.0, fees_for=0.0, buried=0)
DAY = 24 * 3600


class House:
    """One account with PURSE base units of USDC, and lifecycles for it."""

    def __init__(
        self, chain: EmbeddedChain, node: Transport, deployed: Deployment, account: DevAccount, store: Store
    ) -> None:
        self.prepare(chain, node, deployed, account, store)
        minter = self.client_of(dev_accounts()[4])
        minter.token.mint(PURSE, self.wallet)

    def prepare(
        self, chain: EmbeddedChain, node: Transport, deployed: Deployment, account: DevAccount, store: Store
    ) -> None:
        """All but the money."""
        self.chain = chain
        self.node = node
        self.deployed = deployed
        self.account = account
        self.store = store
        self.genesis = genesis_hash(chain, chain.chain_id)
        self.truthful = True
        """Whether nobody has changed what the store says."""
        self.client = self.client_of(account, store)
        self.usdc = self.client.token.address
        self.wallet = self.client.address

    def client_of(self, account: DevAccount, store: Store | None = None, node: Transport | None = None) -> ACTPClient:
        """A client of some account; past the faults, unless it has a store."""
        through = node or (self.chain if store is None else self.node)
        endpoint = Endpoint(through, self.chain.chain_id, self.genesis, self.deployed, chain=self.chain)
        return ACTPClient(endpoint, LocalSigner(account.private_key), store=store)

    def lifecycle(self, client: ACTPClient | None = None, **options: Any) -> Lifecycle:
        """A lifecycle of this treasury; every one shares its store."""
        return Lifecycle(client or self.client, **{"engine_policy": HASTY, **options})

    @property
    def key(self) -> Account:
        return Account(self.chain.chain_id, self.wallet)

    def pay(self, lifecycle: Lifecycle, amount: int = 1, *, agent: str = "ann", key: str | None = None, **more: Any):
        """Submits a transfer of USDC to PAYEE."""
        return lifecycle.submit("transfer_erc20", {"to": PAYEE, "amount": str(amount), **more}, agent=agent, key=key)

    def done(self, lifecycle: Lifecycle, operation: Operation, timeout: float = 20.0) -> Operation:
        """Works until it has ended or waits for somebody."""
        return lifecycle.wait(operation.id, timeout)

    def paid(self, account: str = PAYEE) -> int:
        """What an account has by now."""
        return self.client_of(self.account).token.balance_of(account)

    def jobs(self) -> dict[str, IntentStatus]:
        """The engine's rows, by key."""
        with self.store.read() as connection:
            return {job.key: job.status for job in outbox.listed(connection, limit=1_000)}

    def journal(self, lifecycle: Lifecycle, operation: Operation | None = None) -> list[tuple[str | None, str | None]]:
        """Every change of stage, in order."""
        with lifecycle.ledger.read() as connection:
            number = None if operation is None else operation.id
            entries = [one.entry for one in journal.listed(connection, self.key, operation_id=number)]
        return [
            (None if one.before is None else one.before.value, None if one.after is None else one.after.value)
            for one in entries
        ]

    def proofs(self, lifecycle: Lifecycle):
        """The whole chain of proofs."""
        with lifecycle.ledger.read() as connection:
            return proofs.read(connection, self.key)

    def reports(self) -> dict[str, Report]:
        """What verifying every chain of proofs in the store finds, with the node's help, by wallet."""
        if not has_ledger(self.store):
            return {}
        table = schema.proofs
        with self.store.read() as connection:
            wallets = connection.execute(select(table.c.wallet).distinct()).scalars()
            chains = {one: proofs.read(connection, Account(self.chain.chain_id, one)) for one in wallets}
        return {wallet: verify(write_document(links), self.chain) for wallet, links in chains.items()}

    def close(self) -> None:
        """Ends a test. Whatever it was about, its proofs are right."""
        wrong = {wallet: report.wrong for wallet, report in self.reports().items() if report.wrong}
        self.store.close()
        assert wrong == {} or not self.truthful

    def verdicts(self, lifecycle: Lifecycle):
        """Every verdict, the newest first."""
        with lifecycle.ledger.read() as connection:
            return verdicts.listed(connection, self.key)

    def findings(self, lifecycle: Lifecycle, severity: str | None = "breach"):
        """What the delta guard found."""
        with lifecycle.ledger.read() as connection:
            return breaches.listed(connection, self.key, severity=severity)

    def decided(self, lifecycle: Lifecycle, operation: Operation):
        """The newest decision about an operation, None if there is none."""
        with lifecycle.ledger.read() as connection:
            return decisions.latest(connection, [operation.id]).get(operation.id)


CONFIRMED_WALK = [
    (None, "pending"),
    ("pending", "simulating"),
    ("simulating", "policy_eval"),
    ("policy_eval", "signing"),
    ("signing", "submitting"),
    ("submitting", "confirmed"),
]


def unmoved(house: House, lifecycle: Lifecycle, operation: Operation) -> bool:
    """Whether nothing has happened to an operation since it was handed in."""
    return (
        lifecycle.find(operation.id).stage is Stage.PENDING
        and house.journal(lifecycle, operation) == [(None, "pending")]
        and house.jobs() == {}
        and house.decided(lifecycle, operation) is None
    )
