"""Deploy the escrow contracts and write them into deployments/<chainId>.json.

    python scripts/deploy.py --network local           a served `actp chain`
    python scripts/deploy.py --network anvil           an anvil on this machine
    python scripts/deploy.py --network base-sepolia    asks before it sends; the key is read from DEPLOYER_PRIVATE_KEY
                                                       or from an encrypted keystore

A chain counts as live under any --network unless it has a development chain's id (1337, 31337) or is served by a
development node (such as anvil) on this machine. A keystore is used without asking only for a chain that has such an id
and is on this machine. A well-known development key deploys nothing where the node is no development node.

It can be interrupted and run again: what is on the chain is found and not deployed twice.
"""

from __future__ import annotations

import argparse
import getpass
import sys
from collections.abc import Sequence
from pathlib import Path

from actp.chain import dev_accounts
from actp.command_line import CHAIN_IDS, whole_number
from actp.config import RPC_URL_VARIABLE, rpc_url
from actp.deploy import DeploymentPlan, Economics, Forecast, deploy_contracts
from actp.deployments import DEFAULT_NAME, AddressBook, is_development_id
from actp.engine import Sender
from actp.errors import ActpError, ConfigError, OutcomeUnknown
from actp.rpc import LIVE_GENESIS, HttpTransport, genesis_hash, is_development_node, require_chain
from actp.signers import LocalSigner
from actp.types import Network
from actp.units import format_ether

KEY_VARIABLE = "DEPLOYER_PRIVATE_KEY"


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code: 0 deployed, 1 failed, 2 wrong usage, 5 outcome unknown."""
    arguments = _parser().parse_args(argv)
    try:
        _deploy(arguments)
    except OutcomeUnknown as error:
        print(f"Outcome unknown: {error}", file=sys.stderr)
        return 5
    except ActpError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    return 0


def _deploy(arguments: argparse.Namespace) -> None:
    network = Network.parse(arguments.network)
    chain_id = network.chain_id if arguments.chain_id is None else arguments.chain_id
    setting = rpc_url(network, arguments.rpc_url)
    transport = HttpTransport(setting.url, origin=setting.origin)
    plan = _plan(arguments)
    toy = is_development_id(chain_id)
    # A key that is missing or wrong is said before the node is asked for anything.
    signer = _own_signer(arguments, needed=network.live or not (toy or transport.loopback))
    require_chain(transport, chain_id)
    genesis = genesis_hash(transport, chain_id)
    if not network.live and LIVE_GENESIS.get(chain_id) == genesis:
        raise ConfigError(
            f"The node {transport.label} serves a live chain, not a development chain.", hint="Use its own --network."
        )
    development_node = is_development_node(transport)
    live = network.live or not (toy or (transport.loopback and development_node))
    signer = signer or _own_signer(arguments, needed=live) or LocalSigner(dev_accounts()[0].private_key)
    if not (toy or development_node):
        _refuse_public_key(signer.address, chain_id)
    book = AddressBook(
        chain_id, genesis, folder=arguments.deployments_dir, development=transport.loopback and development_node
    )
    # Somebody's own key may be worth something wherever the chain is not certainly a toy.
    ask = not arguments.yes and (live or (arguments.keystore is not None and not (toy and transport.loopback)))
    sends = False

    def confirm(forecast: Forecast) -> bool:
        nonlocal sends
        sends = True
        print(f"Deploying {plan.name!r} from {signer.address} on chain {chain_id} over {transport.label}.")
        return _confirm(forecast, ask=ask)

    deployment = deploy_contracts(
        Sender(transport, signer, chain_id=chain_id), book, plan, confirm=confirm, report=print
    )
    if not sends:
        print(f"Nothing to deploy: {plan.name!r} is on chain {chain_id} already.")
    print(f"Token   {deployment.token}")
    print(f"Kernel  {deployment.kernel} ({deployment.generation})")
    print(f"Vault   {deployment.vault}")
    print(f"Written to {book.path}." if sends else f"The address book is {book.path}.")


def _plan(arguments: argparse.Namespace) -> DeploymentPlan:
    return DeploymentPlan(
        name=arguments.name,
        token=arguments.token,
        admin=arguments.admin,
        pauser=arguments.pauser,
        fee_recipient=arguments.fee_recipient,
        agent_registry=arguments.agent_registry,
        economics=Economics(
            platform_fee_bps=arguments.platform_fee_bps,
            requester_penalty_bps=arguments.requester_penalty_bps,
            dispute_bond_bps=arguments.dispute_bond_bps,
            min_fee=arguments.min_fee,
            min_dispute_bond=arguments.min_dispute_bond,
        ),
    )


def _confirm(forecast: Forecast, *, ask: bool) -> bool:
    for step in forecast.steps:
        print(f"  {step.name:<20} at most {step.gas:>10,} gas")
    print(
        f"  {'together':<20} at most {forecast.gas:>10,} gas x {forecast.max_fee_per_gas:,} wei "
        f"= {format_ether(forecast.cost)} ETH; the account has {format_ether(forecast.balance)} ETH."
    )
    if not ask:
        return True
    print("On Base the fee for L1 data comes on top; it is usually much smaller.")
    if not sys.stdin.isatty():
        raise ConfigError("There is nobody to ask.", code="not_confirmed", hint="Give --yes to deploy without asking.")
    return input("Send these eth transactions? [y/N] ").strip().lower() in ("y", "yes")


def _own_signer(arguments: argparse.Namespace, *, needed: bool) -> LocalSigner | None:
    """The user's own key: from the keystore, else from the environment if one is needed."""
    if arguments.keystore is not None:
        return LocalSigner.from_keystore(arguments.keystore, _password(arguments))
    if needed:
        where = f"Set the environment variable {KEY_VARIABLE}, or give --keystore FILE."
        return LocalSigner.from_env(KEY_VARIABLE, if_missing=where)
    return None


def _refuse_public_key(address: str, chain_id: int) -> None:
    if address in {account.address for account in dev_accounts()}:
        raise ConfigError(
            f"{address} is a development account whose private key everybody has, and chain {chain_id} is not served "
            "by a development node: whoever comes first takes its ETH, and its role as the kernel's admin.",
            code="public_key",
            hint=f"Put a key of your own into {KEY_VARIABLE}, or give --keystore FILE.",
        )


def _password(arguments: argparse.Namespace) -> str:
    if arguments.password_file is not None:
        try:
            return str(arguments.password_file.read_text(encoding="utf-8")).rstrip("\r\n")
        except OSError as error:
            raise ConfigError(f"{arguments.password_file} cannot be read: {error.strerror}.") from error
    if not sys.stdin.isatty():
        raise ConfigError("The keystore needs a password.", hint="Give --password-file.")
    return getpass.getpass("Password of the keystore: ")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="deploy.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--network", required=True, choices=[network.value for network in Network])
    parser.add_argument("--rpc-url", help=f"default: {RPC_URL_VARIABLE}, else the network's usual endpoint")
    parser.add_argument(
        "--chain-id", type=whole_number(*CHAIN_IDS), help="of a node that has another one than the network"
    )
    parser.add_argument("--name", default=DEFAULT_NAME, help="name in the address book (default: %(default)s)")
    parser.add_argument("--deployments-dir", type=Path, help="folder of the address book")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    keys = parser.add_argument_group("key", f"{KEY_VARIABLE} on live networks, a development key elsewhere, or:")
    keys.add_argument("--keystore", type=Path, metavar="FILE", help="encrypted V3 keystore")
    keys.add_argument("--password-file", type=Path, metavar="FILE", help="its password; asked for without this")
    terms = parser.add_argument_group("contracts", "roles default to the deployer")
    terms.add_argument("--token", metavar="ADDRESS", help="existing token; without it a TestUSDC is deployed")
    for role in ("admin", "pauser", "fee-recipient", "agent-registry"):
        terms.add_argument(f"--{role}", metavar="ADDRESS")
    defaults = Economics()
    terms.add_argument("--platform-fee-bps", type=int, default=defaults.platform_fee_bps)
    terms.add_argument("--requester-penalty-bps", type=int, default=defaults.requester_penalty_bps)
    terms.add_argument("--dispute-bond-bps", type=int, default=defaults.dispute_bond_bps)
    terms.add_argument("--min-fee", type=int, default=defaults.min_fee, help="base units")
    terms.add_argument("--min-dispute-bond", type=int, default=defaults.min_dispute_bond, help="base units")
    return parser


if __name__ == "__main__":
    sys.exit(main())
