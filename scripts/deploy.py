"""Deploy the escrow contracts and write them into deployments/<chainId>.json.

    python scripts/deploy.py --network local           a served `actp chain`
    python scripts/deploy.py --network anvil           an anvil on this machine
    python scripts/deploy.py --network base-sepolia    asks before it sends; the key is read from DEPLOYER_PRIVATE_KEY
                                                       or from an encrypted keystore

A chain that has no development chain's id and is not on this machine counts as live under any --network. A keystore is
used without asking only for a development chain on this machine.

It can be interrupted and run again: what is on the chain is found and not deployed twice.
"""

from __future__ import annotations

import argparse
import getpass
import sys
from collections.abc import Sequence
from pathlib import Path

from actp.chain import dev_accounts
from actp.config import RPC_URL_VARIABLE, rpc_url
from actp.deploy import DeploymentPlan, Economics, Forecast, deploy_contracts
from actp.deployments import DEFAULT_NAME, AddressBook
from actp.engine import Sender
from actp.errors import ActpError, ConfigError, OutcomeUnknown
from actp.rpc import LIVE_GENESIS, HttpTransport, genesis_hash, require_chain
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
    chain_id = arguments.chain_id or network.chain_id
    transport = HttpTransport(rpc_url(network, arguments.rpc_url))
    require_chain(transport, chain_id)
    genesis = genesis_hash(transport, chain_id)
    if not network.live and LIVE_GENESIS.get(chain_id) == genesis:
        raise ConfigError(
            f"The node {transport.label} serves a live chain, not a development chain.", hint="Use its own --network."
        )
    book = AddressBook(chain_id, genesis, folder=arguments.deployments_dir)
    at_home = book.development and transport.loopback
    live = network.live or not (book.development or transport.loopback)
    signer = _signer(live, arguments)
    # Somebody's own key may be worth something wherever the chain is not certainly a toy.
    ask = not arguments.yes and (live or (arguments.keystore is not None and not at_home))
    plan = DeploymentPlan(
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
    print(f"Deploying {plan.name!r} from {signer.address} on chain {chain_id} over {transport.label}.")
    deployment = deploy_contracts(
        Sender(transport, signer, chain_id=chain_id),
        book,
        plan,
        confirm=lambda forecast: _confirm(forecast, ask=ask),
        report=print,
    )
    print(f"Token   {deployment.token}")
    print(f"Kernel  {deployment.kernel} ({deployment.generation})")
    print(f"Vault   {deployment.vault}")
    print(f"Written to {book.path}.")


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


def _signer(live: bool, arguments: argparse.Namespace) -> LocalSigner:
    if arguments.keystore is not None:
        return LocalSigner.from_keystore(arguments.keystore, _password(arguments))
    if live:
        return LocalSigner.from_env(KEY_VARIABLE)
    return LocalSigner(dev_accounts()[0].private_key)


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
    parser.add_argument("--chain-id", type=int, help="of a node that has another one than the network")
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
