"""What the tests of the settlement bot share: people who owe one another, and bots that end what is due."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import func, select

from actp.chain import DevAccount, EmbeddedChain, dev_accounts
from actp.client import ACTPClient
from actp.deployments import Deployment
from actp.engine.fees import FeePolicy
from actp.engine.store import Store
from actp.errors import RpcError
from actp.intents import PaymentOrder
from actp.networks import Endpoint
from actp.rpc import Transport, genesis_hash
from actp.signers import LocalSigner
from actp.types import State
from actp.units import usdc
from coordinator.index import Index
from coordinator.lifecycle import Lifecycle
from coordinator.proofs.documents import write_document
from coordinator.proofs.verifying import verify
from coordinator.settlement import EVERYONE, Pass, Served, SettlementBot, SettlementSettings
from coordinator.store import Ledger, alerts, breaches, index_escrows, operations, schema
from coordinator.store import proofs as proof_rows
from coordinator.store.accounts import Account
from coordinator.store.database import has_ledger
from coordinator.store.index_schema import actions
from coordinator.types import Operation
from tests.client.support import act
from tests.coordinator.lifecycle.support import HASTY

PRICE = usdc(10)
NET = usdc("9.9")
"""PRICE less one per cent."""
HOUR = 3_600
DAY = 24 * HOUR
GRACE = 7 * DAY
TIMEOUT = 30 * DAY
BOT, OTHER_BOT = 5, 6
"""Accounts that pay for the gas of settling."""


class Town:
    """A requester, two providers and bots over one chain, and the store that the bots share."""

    def __init__(self, chain: EmbeddedChain, node: Transport, deployed: Deployment, store: Store) -> None:
        self.chain = chain
        self.node = node
        self.deployed = deployed
        self.store = store
        self.genesis = genesis_hash(chain, chain.chain_id)
        self.endpoint = Endpoint(chain, chain.chain_id, self.genesis, deployed, chain=chain)
        self.accounts = dev_accounts()
        self.admin = self.client(0)
        self.requester = self.client(1)
        self.provider = self.client(2)
        self.other = self.client(3)
        for one in (1, 2, 3):
            act(self.endpoint, 4, "TestUSDC", "mint", self.accounts[one].address, usdc(10_000))
        self.passes: list[Pass] = []
        self.truthful = True
        """Whether nobody has changed what the store says."""

    def client(self, index: int, *, node: Transport | None = None, store: Store | None = None) -> ACTPClient:
        """A client of a development account; past the faults unless a node is given."""
        account: DevAccount = self.accounts[index]
        endpoint = Endpoint(node or self.chain, self.chain.chain_id, self.genesis, self.deployed, chain=self.chain)
        return ACTPClient(endpoint, LocalSigner(account.private_key), store=store)

    # ---------------------------------------------------------------- escrows

    def funded(self, count: int = 1, *, provider: ACTPClient | None = None, window: int = HOUR) -> list[str]:
        """So many escrows over PRICE, with a deadline in a day."""
        client = self.requester
        orders = [
            PaymentOrder((provider or self.provider).address, PRICE, client.now() + DAY, dispute_window=window)
            for _ in range(count)
        ]
        return [one.transaction_id for one in client.pay_many(orders, standing_allowance=usdc(10_000))]

    def delivered(self, count: int = 1, *, provider: ACTPClient | None = None, window: int = HOUR) -> list[str]:
        """So many that are delivered."""
        ids = self.funded(count, provider=provider, window=window)
        (provider or self.provider).deliver_many(ids)
        return ids

    def disputed(self) -> str:
        """One that the requester disputes."""
        (one,) = self.delivered()
        self.requester.kernel.dispute(one, b"not what was asked for")
        return one

    def act(self, contract: str, function: str, *arguments: Any, account: int = 0) -> None:
        """A call by the admin, or by another development account."""
        act(self.endpoint, account, contract, function, *arguments)

    def later(self, seconds: int = HOUR + 1) -> None:
        """The chain's time goes on."""
        self.chain.time_travel(seconds)
        self.chain.mine()

    def state(self, transaction_id: str) -> State:
        """What the chain says."""
        return self.admin.kernel.get_transaction(transaction_id).state

    def states(self, ids: list[str]) -> list[State]:
        return [self.state(one) for one in ids]

    # ---------------------------------------------------------------- bots

    def bot(
        self, account: int = BOT, *, node: Transport | None = None, store: Store | None = None,
        lifecycle: dict[str, Any] | None = None, fee_policy: FeePolicy | None = None, verify_every: float = 60.0,
        **settings: Any,
    ) -> SettlementBot:  # fmt: skip
        """A bot over the town's store, through its node; for everyone, unless the settings say otherwise."""
        through = node or self.node
        shared = store or self.store
        chosen = SettlementSettings(**{"whom": EVERYONE, **settings})
        client = self.client(account, node=through, store=shared)
        made = Lifecycle(
            client,
            **{
                "engine_policy": HASTY,
                "policy": chosen.gas.policy_of(None),
                "fee_policy": chosen.gas.fee_policy(fee_policy or FeePolicy(), chosen.batch),
                **(lifecycle or {}),
            },
        )
        served = [Served(client, Index(made.ledger, client))]
        return SettlementBot(
            made, served, chosen, fee_policy=fee_policy or FeePolicy(), every=0.0, verify_every=verify_every,
            on_pass=self.passes.append,
        )  # fmt: skip

    def work(self, bot: SettlementBot, rounds: int = 40) -> None:
        """So many rounds, whatever happens."""
        for _ in range(rounds):
            bot.step()

    def outcomes(self) -> dict[str, list[tuple[bool, str | None]]]:
        """What became of each escrow, in order: whether it is done, and why not."""
        found: dict[str, list[tuple[bool, str | None]]] = {}
        for each in self.passes:
            for one in each.outcomes:
                found.setdefault(one.transaction_id, []).append((one.done, one.code))
        return found

    def wallet(self, account: int = BOT) -> Account:
        return Account(self.chain.chain_id, self.accounts[account].address)

    # ---------------------------------------------------------------- what is left of it

    @property
    def ledger(self) -> Ledger:
        return Ledger(self.store)

    def rows(self) -> dict[str, index_escrows.Escrow]:
        """The index, by id."""
        with self.store.read() as connection:
            found = index_escrows.listed(connection, index_escrows.Filters(), limit=1_000)
        return {one.transaction_id: one for one in found}

    def actions(self) -> dict[tuple[str, str], Any]:
        """Rows of what somebody does or did, by kind and escrow."""
        with self.store.read() as connection:
            return {(row.kind, row.transaction_id): row for row in connection.execute(select(actions))}

    def operations(self, account: int = BOT) -> list[Operation]:
        """The bot's operations, the oldest first."""
        with self.store.read() as connection:
            return operations.listed(connection, self.wallet(account), limit=1_000)[::-1]

    def count_operations(self) -> int:
        with self.store.read() as connection:
            return int(connection.execute(select(func.count()).select_from(schema.operations)).scalar_one())

    def alerts(self, account: int = BOT) -> list[alerts.Alert]:
        with self.store.read() as connection:
            return alerts.listed(connection, self.wallet(account))

    def breaches(self, account: int = BOT) -> list[Any]:
        with self.store.read() as connection:
            return breaches.listed(connection, self.wallet(account), severity="breach")

    def unproved(self) -> list[int]:
        """Operations that have ended without a proof."""
        with self.store.read() as connection:
            ended = [one.id for number in (BOT, OTHER_BOT) for one in self._ended(connection, number)]
            proved = {
                link.operation_id
                for number in (BOT, OTHER_BOT)
                for link in proof_rows.read(connection, self.wallet(number))
            }
        return [one for one in ended if one not in proved]

    def wrong_proofs(self) -> list[str]:
        """What verifying the chains of proofs of both bots finds wrong, with the node's help."""
        with self.store.read() as connection:
            chains = [proof_rows.read(connection, self.wallet(number)) for number in (BOT, OTHER_BOT)]
        return [
            wrong for links in chains if links for wrong in map(str, verify(write_document(links), self.chain).wrong)
        ]

    def _ended(self, connection: Any, account: int) -> list[Operation]:
        found = operations.listed(connection, self.wallet(account), limit=1_000)
        return [one for one in found if one.stage.value in ("confirmed", "failed")]

    def close(self) -> None:
        """Ends a test. Whatever it was about, what has ended is proved, and the proofs are right."""
        known = has_ledger(self.store)
        unproved, wrong = (self.unproved(), self.wrong_proofs()) if known else ([], [])
        self.store.close()
        assert not unproved
        assert not wrong or not self.truthful, str(wrong)


class Meddler:
    """A node between a bot and the chain: `before` is called with each request, `answer` may change what comes back."""

    label = "meddler"

    def __init__(self, chain: EmbeddedChain) -> None:
        self._chain = chain
        self.before: Callable[[str, list[Any]], None] | None = None
        self.answer: Callable[[str, list[Any], Any], Any] | None = None

    def request(self, method: str, params: list[Any]) -> Any:
        (answer,) = self.batch([(method, params)])
        if isinstance(answer, RpcError):
            raise answer
        return answer

    def batch(self, calls: Sequence[tuple[str, list[Any]]]) -> list[Any]:
        answers = []
        for method, params in calls:
            if self.before is not None:
                self.before(method, params)
            (answer,) = self._chain.batch([(method, params)])
            answers.append(answer if self.answer is None else self.answer(method, params, answer))
        return answers
