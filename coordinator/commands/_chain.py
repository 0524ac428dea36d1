"""The node, the contracts and the key, for commands that need them."""

from __future__ import annotations

import argparse
import getpass
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from actp.errors import ConfigError
from actp.types import Network

if TYPE_CHECKING:
    from actp.client import ACTPClient
    from actp.networks import Endpoint
    from actp.signers import Signer

__all__ = ["KEY_VARIABLE", "add_connection", "add_key", "add_node", "endpoint_of", "signer_of", "watching"]

KEY_VARIABLE = "TREASURY_PRIVATE_KEY"


def add_node(parser: argparse.ArgumentParser, *, required: bool = True) -> None:
    """`--network`, what replaces its usual settings, and `--deployment`."""
    add_connection(parser, required=required)
    parser.add_argument("--deployment", metavar="NAME", help="a name in the address book")


def add_connection(parser: argparse.ArgumentParser, *, required: bool = True) -> None:
    """`--network`, and what replaces its usual settings."""
    names = [network.value for network in Network]
    parser.add_argument("--network", required=required, choices=names, help="local is a served `actp chain`")
    endpoint = parser.add_mutually_exclusive_group()
    endpoint.add_argument("--rpc-url", metavar="URL", help="else ACTP_RPC_POOL_URLS, else ETH_RPC_URL, else the usual")
    endpoint.add_argument("--rpc-pool-urls", metavar="URL,URL", help="several endpoints that are used as one")


def add_key(parser: argparse.ArgumentParser, whose: str = "the treasury") -> None:
    """Where the key is."""
    keys = parser.add_argument_group(f"key of {whose}")
    which = keys.add_mutually_exclusive_group()
    which.add_argument(
        "--key-variable", metavar="NAME", default=KEY_VARIABLE, help="the environment variable (default: %(default)s)"
    )
    which.add_argument("--keystore", type=Path, metavar="FILE", help="an encrypted V3 keystore")
    keys.add_argument("--password-file", type=Path, metavar="FILE", help="its password; asked for without this")


def endpoint_of(arguments: argparse.Namespace) -> Endpoint:
    """The node and the deployment, checked. Raises ConfigError, RpcUnavailable."""
    from actp.deployments import DEFAULT_NAME
    from actp.networks import connect, transport_for

    network = Network.parse(arguments.network)
    transport = transport_for(
        network, rpc_url=arguments.rpc_url, rpc_pool_urls=arguments.rpc_pool_urls, chain_id=arguments.chain_id
    )
    chain_id = network.chain_id if arguments.chain_id is None else arguments.chain_id
    return connect(transport, chain_id, arguments.deployment or DEFAULT_NAME, network=network)


def signer_of(arguments: argparse.Namespace, whose: str = "the treasury") -> Signer:
    """The key that the flags of `add_key` name. Raises ConfigError, which never shows it."""
    from actp.signers import LocalSigner

    if arguments.keystore is None:
        hint = f"Put the key of {whose} into {arguments.key_variable}, or give --keystore."
        return LocalSigner.from_env(arguments.key_variable, if_missing=hint)
    if arguments.password_file is not None:
        try:
            password = arguments.password_file.read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{arguments.password_file} cannot be read: {type(error).__name__}.") from None
    elif sys.stdin.isatty():
        password = getpass.getpass(f"Password of {arguments.keystore}: ")
    else:
        raise ConfigError("The keystore's password was not given.", hint="Name a file with it: --password-file.")
    return LocalSigner.from_keystore(arguments.keystore, password)


def watching(endpoint: Endpoint, wallet: str) -> ACTPClient:
    """A client that looks and never signs."""
    from actp.client import ACTPClient
    from actp.signers import Watcher

    return ACTPClient(endpoint, Watcher(wallet))
