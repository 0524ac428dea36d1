"""The client: one account, one network, one deployment.

    from actp import ACTPClient, Network, State

    client = ACTPClient.create(network=Network.LOCAL)
    tx_id = client.kernel.create_transaction(
        requester=client.address, provider="0x...", amount=25_000_000, deadline=client.now() + 3600,
        dispute_window=3600,
    )
    client.fund_transaction(tx_id)

`client.pay` and the other verbs of `actp.verbs` do this in one step. `client.kernel` has the protocol's verbs,
`client.escrow` the vault, `client.token` the USDC, `client.events` what happened. A client may be shared by any number
of threads.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from actp.binding import Session, TxResult
from actp.chain.embedded import EmbeddedChain
from actp.config import STORE_VARIABLE
from actp.decoding import EventDecoder
from actp.deployments import DEFAULT_NAME
from actp.engine import Sender
from actp.engine.store import Store, open_store
from actp.errors import ConfigError
from actp.events import Events
from actp.kernel import Kernel
from actp.kernel_views import Generation, generation_of
from actp.networks import Endpoint, open_network, welcome
from actp.orders import USUAL_TIMEOUT_BPS, Acceptance
from actp.rpc import Transport, quantity
from actp.signers import LocalSigner, Signer
from actp.token import Token
from actp.types import Network
from actp.units import require_address
from actp.vault import EscrowVault
from actp.verbs import Verbs

__all__ = ["ACTPClient", "Balances"]


@dataclass(frozen=True, slots=True)
class Balances:
    """What one account has: wei of ETH, base units of USDC, and base units that the vault owes it as a credit."""

    account: str
    eth: int
    usdc: int
    credit: int


class ACTPClient(Verbs):
    """Escrowed payments of one account. Make one with `create`."""

    def __init__(
        self,
        endpoint: Endpoint,
        signer: Signer,
        *,
        accepted_arbiters: Collection[str] | Literal["any"] = (),
        highest_timeout_requester_bps: int = USUAL_TIMEOUT_BPS,
        store: Store | None = None,
    ) -> None:
        """A client for a deployment that was found and checked already; see `actp.networks`, and `create` for the
        clauses that it works under. `store` remembers what is sent, for other processes and restarts; see
        `actp.engine.store`.
        """
        acceptance = Acceptance.of(accepted_arbiters, highest_timeout_requester_bps)
        deployment = endpoint.deployment
        decoder = EventDecoder({deployment.kernel: "ACTPKernel", deployment.vault: "EscrowVault"})
        if store is not None:
            # What was read to check the deployment, or else what the address book says: another question would only
            # repeat it.
            code_hash = endpoint.code_hash or deployment.contracts["ACTPKernel"].code_hash
            store.bind(endpoint.chain_id, endpoint.genesis, kernel=deployment.kernel, kernel_code_hash=code_hash)
        sender = Sender(endpoint.transport, signer, chain_id=endpoint.chain_id, store=store)
        session = Session(endpoint.transport, sender, decoder, genesis=endpoint.genesis)
        generation, version = generation_of(session, deployment.kernel)
        if deployment.token is None:
            raise ConfigError(f"The deployment {deployment.name!r} has no token.", hint="Complete the address book.")
        self._endpoint = endpoint
        self._store = store
        self._session = session
        self.token = Token(session, deployment.token)
        self.kernel = Kernel(
            session,
            deployment.kernel,
            vault=deployment.vault,
            token=self.token,
            generation=generation,
            version=version,
            acceptance=acceptance,
        )
        self.escrow = EscrowVault(session, deployment.vault, kernel=self.kernel, token=self.token)
        self.events = Events(endpoint.transport, decoder, start=endpoint.start_block)
        super().__init__(session, kernel=self.kernel, vault=self.escrow, token=self.token, events=self.events)

    @classmethod
    def create(
        cls,
        network: Network | str = Network.LOCAL,
        private_key: str | bytes | None = None,
        *,
        rpc_url: str | None = None,
        rpc_pool_urls: str | Sequence[str] | None = None,
        deployment: str = DEFAULT_NAME,
        signer: Signer | None = None,
        chain_id: int | None = None,
        accepted_arbiters: Collection[str] | Literal["any"] = (),
        highest_timeout_requester_bps: int = USUAL_TIMEOUT_BPS,
        store: Store | str | None = None,
    ) -> ACTPClient:
        """A client for one account on a network, after checking chain, genesis, code and key. Sends nothing, except on
        Network.LOCAL: there the contracts deploy themselves, an account without ETH gets 100, and one without USDC that
        never sent anything gets 10,000.

        `network`: a Network or its name. `private_key`: 64 hex digits or 32 bytes; on LOCAL a fresh one if left out.
        `signer` signs instead, if given. `rpc_url`: else ETH_RPC_URL, else loopback for ANVIL and the public endpoint
        for BASE_SEPOLIA. `rpc_pool_urls`: several endpoints of the chain, used as one; else ACTP_RPC_POOL_URLS, which
        counts before ETH_RPC_URL. `deployment`: a name in the address book ("agirails-g1" for the live AGIRAILS
        contracts). `chain_id`: if a node of one's own has another one than the network. `accepted_arbiters`: who may
        alone rule on disputes of what this client works on as a provider (none, unless they are named; "any" for
        anybody); `highest_timeout_requester_bps`: the highest share of the requester, in basis points, that it accepts
        for a dispute on which nobody rules. `store`: a database (or its URL) in which every eth transaction is written
        down before it is sent; else ACTP_STORE_URL, and without that (on LOCAL always, whose chain ends with the
        process) memory.

        Raises ConfigError (also WrongChain, NoCode, ArtifactMismatch), InvalidInput, RpcUnavailable.
        """
        chosen = Network.parse(network)
        account = _signer(chosen, private_key, signer)
        endpoint = open_network(
            chosen, rpc_url=rpc_url, rpc_pool_urls=rpc_pool_urls, deployment=deployment, chain_id=chain_id
        )
        if endpoint.chain is not None:
            welcome(endpoint, account.address)
        return cls(
            endpoint,
            account,
            accepted_arbiters=accepted_arbiters,
            highest_timeout_requester_bps=highest_timeout_requester_bps,
            store=_store(chosen, store),
        )

    def __repr__(self) -> str:
        return f"ACTPClient({self.address} on chain {self.chain_id}, {self.kernel!r})"

    @property
    def address(self) -> str:
        """The account that signs, with its checksum."""
        return self._session.address

    @property
    def chain_id(self) -> int:
        return self._endpoint.chain_id

    @property
    def transport(self) -> Transport:
        """The node, or the nodes, that this client speaks to."""
        return self._endpoint.transport

    @property
    def endpoint(self) -> Endpoint:
        """The node and the deployment that this client works with."""
        return self._endpoint

    @property
    def genesis(self) -> str:
        """Hash of the first block of the chain: two development chains with one id differ in it."""
        return self._endpoint.genesis

    @property
    def signer(self) -> Signer:
        """What signs for this client."""
        return self._session.sender.signer

    @property
    def store(self) -> Store | None:
        """The database in which eth transactions are written down before they are sent; None if that is memory."""
        return self._store

    @property
    def network(self) -> Network | None:
        """The network that was chosen, None if this client was made for a transport of one's own."""
        return self._endpoint.network

    @property
    def chain(self) -> EmbeddedChain:
        """The chain in this process, for time travel and snapshots. Raises ConfigError on other networks."""
        if self._endpoint.chain is None:
            raise ConfigError(
                "Only Network.LOCAL has a chain of its own.",
                hint="Elsewhere time passes by itself; on a development node use evm_increaseTime.",
            )
        return self._endpoint.chain

    def now(self) -> int:
        """The chain's time in unix seconds, by which deadlines and windows are measured."""
        return self._session.now()

    def balances(self, account: str | None = None) -> Balances:
        """What an account has, this client's by default. Kernels of G1 keep no credits."""
        holder = self.address if account is None else require_address(account, "account")
        ours = self.kernel.generation is Generation.OURS
        return Balances(
            account=holder,
            eth=quantity(self._session.transport, "eth_getBalance", [holder, "latest"]),
            usdc=self.token.balance_of(holder),
            credit=self.kernel.credits(holder) if ours else 0,
        )

    def fund_transaction(self, transaction_id: str) -> TxResult:
        """Puts a transaction's amount into escrow; the same as `escrow.fund`."""
        return self.escrow.fund(transaction_id)

    def release_escrow(self, transaction_id: str) -> TxResult:
        """Pays the provider of a delivered transaction; the same as `kernel.settle`."""
        return self.kernel.settle(transaction_id)


def _store(network: Network, given: Store | str | None) -> Store | None:
    if isinstance(given, str):
        return open_store(given)
    named = os.environ.get(STORE_VARIABLE)
    if given is not None or not named or network is Network.LOCAL:
        return given
    return open_store(named)


def _signer(network: Network, private_key: str | bytes | None, signer: Signer | None) -> Signer:
    if signer is not None:
        if private_key is not None:
            raise ConfigError("Both a signer and a private key were given.", hint="Give one of them.")
        return signer
    if private_key is None and network is Network.LOCAL:
        return LocalSigner(secrets.token_bytes(32))
    return LocalSigner(private_key)
