"""`actp chain`: a development chain with the contracts on it, until Ctrl-C."""

from __future__ import annotations

import argparse
import sys
import threading
from typing import TYPE_CHECKING

from actp.chain import dev_accounts
from actp.command_line import CHAIN_IDS, stop_signals, whole_number

if TYPE_CHECKING:
    from actp.chain import EmbeddedChain
    from actp.engine import Sender

HELP = "Serve a development chain on 127.0.0.1, with the contracts deployed, until it is stopped."

_LIVENESS_SECONDS = 0.5
_DAY_SECONDS = 86_400
_GIFT_USDC = 10_000_000_000
"""Base units of TestUSDC that each development account gets."""
_KEY_WARNING = """\
THESE ARE WELL-KNOWN DEVELOPMENT KEYS: NEVER USE THEM ON A LIVE NETWORK. Whatever is sent there is stolen at once."""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--port",
        type=whole_number(0, 65_535),
        default=8545,
        help="port to listen on, 0 for a free one (default: 8545)",
    )
    parser.add_argument("--chain-id", type=whole_number(*CHAIN_IDS), default=31_337, help="default: 31337")
    parser.add_argument(
        "--block-time",
        type=whole_number(1, _DAY_SECONDS),
        metavar="S",
        help="mine every S seconds instead of at each transaction",
    )
    parser.add_argument("--anvil", action="store_true", help="run anvil instead of the embedded chain")
    parser.add_argument("--no-deploy", action="store_true", help="start without the contracts")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Serves until SIGINT, SIGTERM or SIGHUP; returns 1 if anvil ends before that."""
    with stop_signals() as stop:
        return _run_anvil(arguments, stop) if arguments.anvil else _run_embedded(arguments, stop)


def _run_embedded(arguments: argparse.Namespace, stop: threading.Event) -> int:
    from actp.chain import ChainServer, EmbeddedChain

    chain = EmbeddedChain(chain_id=arguments.chain_id)
    with ChainServer(chain, arguments.port) as server:
        _introduce(server.url, arguments)
        if arguments.block_time is None:
            stop.wait()
        else:
            _mine_on_schedule(chain, arguments.block_time, stop)
    return 0


def _mine_on_schedule(chain: EmbeddedChain, seconds: int, stop: threading.Event) -> None:
    chain.request("evm_setAutomine", [False])
    while not stop.wait(seconds):
        chain.mine()


def _run_anvil(arguments: argparse.Namespace, stop: threading.Event) -> int:
    from actp.chain import AnvilProcess

    with AnvilProcess(chain_id=arguments.chain_id, port=arguments.port, block_time=arguments.block_time) as anvil:
        _introduce(anvil.url, arguments)
        while not stop.wait(_LIVENESS_SECONDS):
            if not anvil.running:
                print("actp: anvil ended.", file=sys.stderr)
                return 1
    return 0


def _introduce(url: str, arguments: argparse.Namespace) -> None:
    deployed = [] if arguments.no_deploy else _deploy(url, arguments.chain_id)
    wealth = "10,000 ETH" if arguments.no_deploy else "10,000 ETH and 10,000 test USDC"
    lines = [f"RPC URL       {url}", f"Chain id      {arguments.chain_id}", *deployed, ""]
    lines += [f"Accounts with {wealth} each.", _KEY_WARNING]
    lines += [f"{account.address}  {account.private_key}" for account in dev_accounts()]
    print("\n".join([*lines, "", "Stop with Ctrl-C."]), flush=True)


def _deploy(url: str, chain_id: int) -> list[str]:
    """Deploys the contracts from the first development account; returns lines that say where everything is."""
    from actp.deploy import deploy_contracts
    from actp.deployments import AddressBook
    from actp.engine import Sender
    from actp.rpc import HttpTransport, genesis_hash
    from actp.signers import LocalSigner

    transport = HttpTransport(url)
    book = AddressBook(chain_id, genesis_hash(transport, chain_id), development=True)
    sender = Sender(transport, LocalSigner(dev_accounts()[0].private_key), chain_id=chain_id)
    deployment = deploy_contracts(sender, book, report=lambda line: print(line, file=sys.stderr))
    _mint(sender, deployment.contracts["TestUSDC"].address)
    lines = [f"{name:<13} {contract.address}" for name, contract in deployment.contracts.items()]
    return [*lines, f"Address book  {'' if book.path is None else book.path.resolve()}"]


def _mint(sender: Sender, token: str) -> None:
    """Test USDC for every development account, in as few blocks as the chain takes for it."""
    from actp import artifacts

    test_usdc = artifacts.load("TestUSDC")
    minted = [
        sender.submit(token, test_usdc.call_data("mint", (account.address, _GIFT_USDC))) for account in dev_accounts()
    ]
    for submission in minted:
        sender.wait(submission)
