"""A chain of its own with the contracts and everybody who takes part in a scenario, each with a client and a key."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from actp.binding import Binding, Session
from actp.chain import EmbeddedChain, dev_accounts
from actp.client import ACTPClient
from actp.decoding import EventDecoder
from actp.deploy import DeploymentPlan, deploy_contracts
from actp.deployments import AddressBook
from actp.engine import Sender, open_store
from actp.engine.store import Store
from actp.networks import Endpoint
from actp.rpc import genesis_hash
from actp.signers import LocalSigner, Signer
from actp.types import Network
from actp.units import keccak
from coordinator.crew.outcome import Rates
from coordinator.crew.records import Account
from coordinator.crew.scenario import Scenario
from coordinator.proofs import ProofKey

__all__ = ["ISSUER_NAME", "LineCut", "Stage", "set_stage"]

ISSUER_NAME = "The token's issuer"

_DAY_SECONDS = 86_400
_MORNING_SECONDS = 8 * 3_600
_GAS_MONEY = 100 * 10**18
"""Wei for each account: gas is not what a scenario is about."""


class LineCut(ConnectionError):
    """The connection broke after the node had taken a transaction, and with it the process that was waiting."""


class BadLine:
    """A line to the chain that breaks as soon as an eth transaction to `contract` has gone through."""

    label = "a line that breaks"

    def __init__(self, chain: EmbeddedChain, contract: str) -> None:
        self._chain = chain
        self._contract = contract

    def request(self, method: str, params: list[Any]) -> Any:
        """See actp.rpc.Transport. Raises LineCut after such an eth transaction."""
        answer = self._chain.request(method, params)
        self._break_after(method, answer)
        return answer

    def batch(self, calls: Sequence[tuple[str, list[Any]]]) -> list[Any]:
        """See actp.rpc.Transport. Raises LineCut if there is such an eth transaction among them."""
        answers = self._chain.batch(calls)
        for (method, _), answer in zip(calls, answers, strict=True):
            self._break_after(method, answer)
        return answers

    def _break_after(self, method: str, answer: Any) -> None:
        if method != "eth_sendRawTransaction" or not isinstance(answer, str):
            return
        if self._chain.request("eth_getTransactionByHash", [answer])["to"].lower() == self._contract.lower():
            raise LineCut("The line broke.")


class StoryClock:
    """The time of the story, by which chain and ledger go: it begins in the morning of the next day, and moves on
    faster than the machine's. See `actp.engine.clock.Clock`.
    """

    def __init__(self) -> None:
        tomorrow = (time.time() // _DAY_SECONDS + 1) * _DAY_SECONDS
        self._ahead = tomorrow + _MORNING_SECONDS - time.time()

    def time(self) -> float:
        """Unix seconds of the story."""
        return time.time() + self._ahead

    def monotonic(self) -> float:
        """Seconds of the story that only grow."""
        return time.monotonic() + self._ahead

    def sleep(self, seconds: float) -> None:
        """Waits for real seconds."""
        time.sleep(seconds)

    def pass_on(self, seconds: float) -> None:
        """Lets time pass at once."""
        self._ahead += seconds


@dataclass(frozen=True)
class Stage:
    """Everybody who takes part. `providers` are clients by the ids of the scenario. The treasury's client only reads:
    what its key signs goes through the lifecycle, whose ledger is in `store` (a file at `store_path`, or memory) and
    whose proofs `proof_key` signs.
    """

    endpoint: Endpoint
    chain: EmbeddedChain
    clock: StoryClock
    store: Store
    store_path: Path | None
    proof_key: ProofKey
    treasury: ACTPClient
    providers: Mapping[str, ACTPClient]
    bot: ACTPClient
    arbiter: ACTPClient
    fee_recipient: ACTPClient
    issuer: Binding
    treasury_signer: Signer
    accounts: tuple[Account, ...]

    @property
    def kernel_address(self) -> str:
        return self.endpoint.deployment.kernel

    @property
    def vault_address(self) -> str:
        return self.endpoint.deployment.vault

    @property
    def token_address(self) -> str:
        return self.issuer.address

    def name_of(self, address: str) -> str:
        """Who has this address."""
        return next(account.name for account in self.accounts if account.address == address)

    def rates(self) -> Rates:
        """The kernel's terms of today, which a purchase locks when it is ordered."""
        kernel = Binding(self.issuer.session, "ACTPKernel", self.kernel_address)
        return Rates(
            fee_bps=kernel.read("platformFeeBps"),
            min_fee=kernel.read("MIN_FEE"),
            bond_bps=kernel.read("disputeBondBps"),
            min_bond=kernel.read("MIN_DISPUTE_BOND"),
        )

    def treasury_on_a_bad_line(self) -> ACTPClient:
        """The treasury in a process of its own, which will not hear what becomes of its next transaction."""
        line = BadLine(self.chain, self.kernel_address)
        return ACTPClient(replace(self.endpoint, transport=line), self.treasury_signer)

    def block_list(self, account: str, *, blocked: bool) -> None:
        """The token's issuer puts an account on its block-list, or takes it off."""
        self.issuer.send("blacklist" if blocked else "unBlacklist", account)

    def balance_of(self, account: str) -> int:
        """Base units of USDC."""
        return self.treasury.token.balance_of(account)

    def now(self) -> int:
        """The time of the newest block."""
        return int(self.chain.request("eth_getBlockByNumber", ["latest", False])["timestamp"], 16)

    def travel_to(self, at: int) -> None:
        """Moves the chain's clock on, to a block that is not older than `at`: simulations run in the newest block."""
        passed = at - self.clock.time()
        if passed > 0:
            self.clock.pass_on(passed)
            self.chain.mine()


def set_stage(scenario: Scenario, store_path: Path | None = None) -> Stage:
    """Starts a chain, deploys the contracts, and gives everybody what the scenario says. Takes a second or two.

    `store_path` names a file that is not there yet, for the treasury's ledger; without it that is in memory.
    """
    clock = StoryClock()
    chain = EmbeddedChain(clock=clock.time)
    genesis = genesis_hash(chain, chain.chain_id)
    deployer = LocalSigner(dev_accounts()[0].private_key)
    signers = {role: _signer(role) for role in ("treasury", "bot", "fee_recipient", "issuer")}
    deployment = deploy_contracts(
        Sender(chain, deployer, chain_id=chain.chain_id),
        AddressBook(chain.chain_id, genesis, in_memory=True),
        DeploymentPlan(fee_recipient=signers["fee_recipient"].address),
    )
    endpoint = Endpoint(chain, chain.chain_id, genesis, deployment, Network.LOCAL, chain)

    def client(signer: Signer) -> ACTPClient:
        chain.request("anvil_setBalance", [signer.address, hex(_GAS_MONEY)])
        return ACTPClient(endpoint, signer)

    arbiter = ACTPClient(endpoint, deployer)
    token = arbiter.token.address

    def as_token_authority(signer: Signer) -> Binding:
        sender = Sender(chain, signer, chain_id=chain.chain_id)
        return Binding(Session(chain, sender, EventDecoder({}), genesis=genesis), "TestUSDC", token)

    chain.request("anvil_setBalance", [signers["issuer"].address, hex(_GAS_MONEY)])
    as_token_authority(deployer).send("updateBlacklister", signers["issuer"].address)

    treasury = client(signers["treasury"])
    providers = {provider.id: client(_signer(f"provider {provider.id}")) for provider in scenario.providers}
    bot, fee_recipient = client(signers["bot"]), client(signers["fee_recipient"])
    for funding, owner in (
        (scenario.treasury.funding, treasury),
        *((provider.funding, providers[provider.id]) for provider in scenario.providers),
    ):
        if funding:
            arbiter.token.mint(funding, owner.address)
    return Stage(
        endpoint=endpoint,
        chain=chain,
        clock=clock,
        store=open_store("sqlite://" if store_path is None else store_path, clock=clock),
        store_path=store_path,
        proof_key=ProofKey(_secret("proofs")),
        treasury=treasury,
        providers=providers,
        bot=bot,
        arbiter=arbiter,
        fee_recipient=fee_recipient,
        issuer=as_token_authority(signers["issuer"]),
        treasury_signer=signers["treasury"],
        accounts=(
            Account(scenario.treasury.name, "treasury", treasury.address),
            *(Account(one.name, "provider", providers[one.id].address) for one in scenario.providers),
            Account("Settlement bot", "bot", bot.address),
            Account("Arbiter", "arbiter", arbiter.address),
            Account("Fee recipient", "fee_recipient", fee_recipient.address),
            Account("Escrow vault", "vault", deployment.vault),
        ),
    )


def _signer(role: str) -> Signer:
    # Keys that everybody can work out are good enough for a chain that ends with this process, and with them
    # transactions have the same ids in every run.
    return LocalSigner(_secret(role))


def _secret(role: str) -> bytes:
    return keccak(f"crew scenario: {role}".encode())
