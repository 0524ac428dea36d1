"""From the name of a network to a node and the contracts there, checked before anything is sent."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from actp.binding import Session
from actp.chain import dev_accounts
from actp.config import rpc_pool_urls as configured_pool
from actp.config import rpc_url as configured_url
from actp.decoding import EventDecoder
from actp.deploy import deploy_contracts
from actp.deployments import DEFAULT_NAME, AddressBook, Deployment, code_at, elsewhere_hint, verify
from actp.engine import Sender
from actp.errors import ConfigError, NoCode
from actp.pool import Pool
from actp.rpc import LIVE_GENESIS, HttpTransport, Transport, genesis_hash, require_chain
from actp.signers import LocalSigner
from actp.token import Token
from actp.types import Network
from actp.units import shown, usdc

if TYPE_CHECKING:
    from actp.chain import EmbeddedChain

__all__ = [
    "LOCAL_GIFT_ETH",
    "LOCAL_GIFT_USDC",
    "Endpoint",
    "connect",
    "connect_local",
    "open_network",
    "transport_for",
    "welcome",
]

LOCAL_GIFT_ETH = 100 * 10**18
"""Wei that an account without any gets on Network.LOCAL."""
LOCAL_GIFT_USDC = usdc(10_000)
"""Base units of test USDC that an account without any, which has never sent anything, gets on Network.LOCAL."""

_DEPLOYER, _MINTER = 0, 9
"""Which of the development accounts deploys on Network.LOCAL (it is admin and fee recipient), and which mints."""


@dataclass(frozen=True)
class Endpoint:
    """A node and one deployment on its chain. `chain` is the embedded chain on Network.LOCAL, else None.

    `code_hash` is that of the kernel's code on the chain, None if nobody looked.
    """

    transport: Transport = field(repr=False)
    chain_id: int
    genesis: str
    deployment: Deployment
    network: Network | None = None
    chain: EmbeddedChain | None = field(default=None, repr=False)
    code_hash: str | None = None

    @property
    def start_block(self) -> int:
        """The block from which on this deployment has events, 0 if the address book does not know."""
        return self.deployment.contracts["ACTPKernel"].block or 0


def open_network(
    network: Network | str,
    *,
    rpc_url: str | None = None,
    rpc_pool_urls: str | Sequence[str] | None = None,
    deployment: str = DEFAULT_NAME,
    chain_id: int | None = None,
) -> Endpoint:
    """Finds the node and the deployment of this name. `rpc_url`, `rpc_pool_urls` and `chain_id` replace what the
    network usually has.

    Raises ConfigError, WrongChain, NoCode, ArtifactMismatch, RpcUnavailable.
    """
    chosen = Network.parse(network)
    if chosen is not Network.LOCAL:
        transport = transport_for(chosen, rpc_url=rpc_url, rpc_pool_urls=rpc_pool_urls, chain_id=chain_id)
        return connect(transport, chosen.chain_id if chain_id is None else chain_id, deployment, network=chosen)
    if rpc_url is not None or rpc_pool_urls is not None or chain_id is not None:
        raise ConfigError(
            "Network.LOCAL is a chain inside this process and takes no RPC URL and no chain id.",
            hint="Use Network.ANVIL for a node on this machine, such as the one that `actp chain` serves.",
        )
    return connect_local(deployment)


def transport_for(
    network: Network,
    *,
    rpc_url: str | None = None,
    rpc_pool_urls: str | Sequence[str] | None = None,
    chain_id: int | None = None,
) -> HttpTransport | Pool:
    """The node of a network, or the pool of its nodes: what is given, else ACTP_RPC_POOL_URLS, else ETH_RPC_URL, else
    the network's own. Asks nobody. Raises ConfigError.
    """
    if rpc_url is not None and rpc_pool_urls is not None:
        raise ConfigError("Both rpc_url and rpc_pool_urls were given.", hint="Give one of them.")
    urls = () if rpc_url else configured_pool(rpc_pool_urls)
    if not urls:
        setting = configured_url(network, rpc_url)
        return HttpTransport(setting.url, origin=setting.origin)
    chain = network.chain_id if chain_id is None else chain_id
    # A live chain is known by its first block; of a development chain the endpoints only have to agree.
    genesis = LIVE_GENESIS.get(chain) if network.live else None
    return Pool([HttpTransport(one.url, origin=one.origin) for one in urls], chain_id=chain, genesis=genesis)


def connect(
    transport: Transport, chain_id: int, name: str = DEFAULT_NAME, *, network: Network | None = None
) -> Endpoint:
    """The deployment of this name in the address book of the chain behind `transport`. Raises as `open_network`."""
    require_chain(transport, chain_id)
    genesis = genesis_hash(transport, chain_id)
    book = AddressBook(chain_id, genesis)
    if book.find(name) is None:
        raise _not_deployed(book, name, network, transport.label)
    deployment = book.get(name)
    hashes = _check(transport, deployment)
    return Endpoint(transport, chain_id, genesis, deployment, network, code_hash=hashes["ACTPKernel"])


def _check(transport: Transport, deployment: Deployment) -> dict[str, str]:
    if deployment.token is not None and "TestUSDC" not in deployment.contracts:
        code_at(transport, deployment.token, "the token")
    return verify(transport, deployment)


def _not_deployed(book: AddressBook, name: str, network: Network | None, node: str) -> ConfigError:
    where = "" if network is None else f" --network {network.value}"
    known = ", ".join(book.names())
    message = f"The deployment {shown(name)} does not exist on chain {book.chain_id} at {node}"
    elsewhere = elsewhere_hint(name)
    if elsewhere:
        return ConfigError(f"{message}; known there: {known or 'none'}.", code="not_deployed", hint=elsewhere)
    if not known and book.path is not None and book.path.is_file():
        return ConfigError(
            f"{message}: {book.path} describes another chain with this id, which has other first blocks "
            f"({book.genesis} is the first one here).",
            code="not_deployed",
            hint=f"If this is a development chain that was started again, deploy again: scripts/deploy.py{where}.",
        )
    return ConfigError(
        f"{message}; known there: {known or 'none'}.",
        code="not_deployed",
        hint=f"Name another deployment, deploy one with scripts/deploy.py{where}, or start `actp chain`, which deploys "
        f"{DEFAULT_NAME!r} itself.{book.searched}",
    )


# -------------------------------------------------------------------- the chain in this process

_local_lock = threading.Lock()
_local_books: dict[str, AddressBook] = {}


def connect_local(name: str = DEFAULT_NAME, chain: EmbeddedChain | None = None) -> Endpoint:
    """The process' own chain (or `chain`), with our contracts on it: whoever comes first deploys them."""
    from actp.chain import shared

    own = shared() if chain is None else chain
    genesis = genesis_hash(own, own.chain_id)
    with _local_lock:
        book = _local_books.setdefault(genesis, AddressBook(own.chain_id, genesis, in_memory=True, development=True))
        deployed = book.find()
        if deployed is None or not _is_there(own, deployed):
            deploy_contracts(Sender(own, _dev_signer(_DEPLOYER), chain_id=own.chain_id), book)
    deployment = book.get(name)
    recorded = deployment.contracts["ACTPKernel"].code_hash
    return Endpoint(own, own.chain_id, genesis, deployment, Network.LOCAL, own, recorded)


def welcome(endpoint: Endpoint, account: str) -> None:
    """Gives an account that is new to an embedded chain what it needs to try things out: LOCAL_GIFT_ETH to one that
    has no ETH, LOCAL_GIFT_USDC to one that has no USDC and has never sent anything.
    """
    chain, address = endpoint.chain, endpoint.deployment.token
    if chain is None or address is None:
        return
    minter = Sender(chain, _dev_signer(_MINTER), chain_id=chain.chain_id)
    token = Token(Session(chain, minter, EventDecoder({}), genesis=endpoint.genesis), address)
    with _local_lock:
        if not int(chain.request("eth_getBalance", [account, "latest"]), 16):
            chain.request("anvil_setBalance", [account, hex(LOCAL_GIFT_ETH)])
        sent = int(chain.request("eth_getTransactionCount", [account, "latest"]), 16)
        if not sent and not token.balance_of(account):
            token.mint(LOCAL_GIFT_USDC, account)


def _is_there(chain: EmbeddedChain, deployment: Deployment) -> bool:
    # A chain that was set back to a snapshot may have lost them again.
    try:
        _check(chain, deployment)
    except NoCode:
        return False
    return True


def _dev_signer(index: int) -> LocalSigner:
    return LocalSigner(dev_accounts()[index].private_key)
