"""`coordinator run settlement`: the bot that ends what is due."""

from __future__ import annotations

import argparse
import logging
import re
import threading
import time
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from actp.command_line import CHAIN_IDS, ExitCode, stop_signals, whole_number
from actp.errors import ConfigError, InvalidInput
from actp.types import Network
from actp.units import require_address
from coordinator.commands._chain import add_connection, add_key, signer_of
from coordinator.commands._opening import add_store
from coordinator.commands._printing import counted, when
from coordinator.commands.alerts import add_urls
from coordinator.metrics.serving import add_metrics, serving

if TYPE_CHECKING:
    from collections.abc import Sequence

    from actp.engine.store import Store
    from actp.networks import Endpoint
    from actp.signers import Signer
    from coordinator.alerts.addresses import Address
    from coordinator.settlement import Pass, Planned, Served, SettlementBot, SettlementSettings, Whom
    from coordinator.store import Ledger

__all__ = ["add_settlement", "configure"]

_TREASURY, _EVERYONE = "treasury", "everyone"
_KINDS = ("settle", "refund", "close")
_HIGHEST_BLOCK = 2**53
_PAYER = "whoever pays for the gas"
_WATCHER = "0x" + "00" * 19 + "01"
"""Who looks where nobody signs."""


class _AtKernel(NamedTuple):
    address: str
    block: int | None


def add_settlement(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the verb."""
    text = "end what is due: settle after the dispute window, refund what was not delivered, close unruled disputes"
    configure(verbs.add_parser("settlement", help=text, description=text, allow_abbrev=False))


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments."""
    add_store(parser)
    add_connection(parser)
    parser.add_argument("--chain-id", type=whole_number(*CHAIN_IDS), metavar="ID", help="if the node has another one")
    parser.add_argument(
        "--deployment", dest="deployments", action="append", metavar="NAME", default=[],
        help="a name in the address book, such as agirails-g1; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--kernel", dest="kernels", action="append", type=_kernel, metavar="ADDRESS[:BLOCK]", default=[],
        help="a kernel in the address book, and from which block on it is read; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--for", dest="whom", action="append", metavar="WHOM", required=True,
        help="treasury (the wallets of the store), everyone, or the address of a party; may be repeated",
    )  # fmt: skip
    doing = parser.add_argument_group("what is done")
    doing.add_argument("--only", action="append", choices=_KINDS, help="only this; may be repeated")
    doing.add_argument(
        "--batch", type=whole_number(1, 100), default=50, metavar="N",
        help="settle at most so many escrows in one eth transaction (default: %(default)s)",
    )  # fmt: skip
    doing.add_argument("--push-credits", action="store_true", help="pay out what kernels owe those parties")
    doing.add_argument("--take-fees", action="store_true", help="withdraw accrued fees, where the wallet may")
    gas = parser.add_argument_group("what it may cost, by what is signed")
    gas.add_argument("--max-fee-per-gas", type=_gwei, metavar="GWEI", help="also ACTP_MAX_FEE_PER_GAS_GWEI")
    gas.add_argument("--max-cost-per-escrow", type=_ether, metavar="ETH", help="of an eth transaction, for each escrow")
    gas.add_argument("--max-cost-per-day", type=_ether, metavar="ETH", help="of the wallet, in a UTC day")
    parser.add_argument("--policy", type=Path, metavar="FILE", help="rules of the wallet, as for `run worker` (TOML)")
    add_key(parser, _PAYER)
    add_urls(parser)
    add_metrics(parser)
    parser.add_argument(
        "--every", type=whole_number(1, 3600), default=2, metavar="SECONDS", help="how often to look (default: 2)"
    )
    parser.add_argument("--once", action="store_true", help="end as soon as nothing is due any more")
    parser.add_argument("--dry-run", action="store_true", help="look once, say what is due, sign nothing; needs no key")
    parser.add_argument("--verbose", action="store_true", help="log every change, not only what is wrong")
    parser.set_defaults(run=_settlement)


def _settlement(arguments: argparse.Namespace) -> int:
    from actp.engine.store import open_store
    from actp.engine.store.existing import named_store
    from actp.signers import Watcher
    from coordinator.alerts.addresses import read_addresses

    logging.basicConfig(
        level=logging.INFO if arguments.verbose else logging.WARNING, format="%(asctime)s %(name)s: %(message)s"
    )
    # What is wrong with the settings is said before the node is asked for anything.
    url = named_store(arguments.store)
    settings = _settings(arguments)
    signer: Signer = Watcher(_WATCHER) if arguments.dry_run else signer_of(arguments, _PAYER)
    addresses = () if arguments.dry_run else read_addresses(arguments.alert_urls)
    endpoints = _endpoints(arguments)
    store = open_store(url)
    try:
        return _work(arguments, store, endpoints, signer, settings, addresses)
    finally:
        store.close()


def _work(
    arguments: argparse.Namespace,
    store: Store,
    endpoints: Sequence[tuple[Endpoint, int | None]],
    signer: Signer,
    settings: SettlementSettings,
    addresses: Sequence[Address],
) -> int:
    from actp.client import ACTPClient
    from actp.engine.fees import FeePolicy
    from coordinator.alerts.telling import telling
    from coordinator.index import Index
    from coordinator.lifecycle import Lifecycle
    from coordinator.policy import PolicySettings
    from coordinator.settlement import Served, SettlementBot
    from coordinator.store import open_ledger
    from coordinator.store.accounts import Account

    ledger = open_ledger(store)
    # Without the store, which knows one kernel as that of the treasury: these may be any.
    clients = [ACTPClient(endpoint, signer) for endpoint, _ in endpoints]
    served = [
        Served(client, Index(ledger, client, start)) for client, (_, start) in zip(clients, endpoints, strict=True)
    ]
    if arguments.dry_run:
        return _plan(ledger, served, settings)
    rules = None if arguments.policy is None else PolicySettings.load(arguments.policy)
    caps = FeePolicy.from_environment()
    lifecycle = Lifecycle(
        clients[0],
        store=store,
        policy=settings.gas.policy_of(rules),
        fee_policy=settings.gas.fee_policy(caps, settings.batch),
        others=clients[1:],
    )
    bot = SettlementBot(
        lifecycle, served, settings, fee_policy=caps, every=float(arguments.every), on_pass=_print_pass
    )  # fmt: skip
    account = Account(clients[0].chain_id, lifecycle.wallet)
    with (
        serving(arguments, ledger, account, service="coordinator-settlement") as exposed,
        telling(ledger, account, addresses),
        stop_signals() as stop,
    ):
        _introduce(store, served, settings, lifecycle.wallet, None if exposed is None else exposed.url)
        if arguments.once:
            return _once(bot, stop)
        print("Stop with Ctrl-C.", flush=True)
        bot.run(stop)
    print("Stopped.", flush=True)
    return ExitCode.OK


def _once(bot: SettlementBot, stop: threading.Event) -> int:
    if bot.once(stop):
        print("Nothing is due.", flush=True)
        return ExitCode.OK
    print(f"Not all is done: {bot.waits or 'stopped'}", flush=True)
    return ExitCode.FAILED


def _plan(ledger: Ledger, served: Sequence[Served], settings: SettlementSettings) -> int:
    """Says what would be done; what is known of the escrows is brought up to date, and nothing else is written."""
    from coordinator.settlement import Looking

    for one in served:
        one.index.catch_up()
    planned = Looking(ledger, served, settings).due(served[0].client.now())
    for lines in map(_lines, planned):
        print("\n".join(lines))
    if not planned:
        print("Nothing is due.")
    return ExitCode.OK


def _lines(planned: Planned) -> list[str]:
    lines = [f"Kernel {planned.served}"]
    for group in planned.groups:
        lines.append(f"  {group.kind.value} {counted(len(group.members), 'escrow')} in one eth transaction")
        lines += [f"    {one.transaction_id}  due since {when(one.due_at)}" for one in group.members]
    lines += [f"  push a credit of {one.amount} base units to {one.payee}" for one in planned.credits]
    return lines


def _print_pass(done: Pass) -> None:
    print(f"{when(time.time())}  {done}", flush=True)


def _introduce(
    store: Store, served: Sequence[Served], settings: SettlementSettings, wallet: str, metrics: str | None
) -> None:
    chain_id = served[0].client.chain_id
    lines = [
        f"Wallet    {wallet} on chain {chain_id} pays for gas",
        f"Store     {store.label}",
        *(
            f"Kernel    {one} ({one.client.kernel.version}), from block {one.index.kernel.start_block}"
            for one in served
        ),
        f"For       {settings.whom}",
        *([] if metrics is None else [f"Metrics   {metrics}"]),
    ]
    print("\n".join(lines), flush=True)


# ---------------------------------------------------------------- arguments


def _settings(arguments: argparse.Namespace) -> SettlementSettings:
    from coordinator.settlement import GasLimits, SettlementSettings
    from coordinator.store.index_words import Due

    return SettlementSettings(
        whom=_whom(arguments.whom),
        kinds=frozenset(map(Due, arguments.only or _KINDS)),
        batch=arguments.batch,
        credits=arguments.push_credits,
        fees=arguments.take_fees,
        gas=GasLimits(
            per_gas=arguments.max_fee_per_gas,
            per_escrow=arguments.max_cost_per_escrow,
            per_day=arguments.max_cost_per_day,
        ),
    )


def _whom(named: Sequence[str]) -> Whom:
    from coordinator.settlement import Whom

    parties = frozenset(one for one in named if one not in (_TREASURY, _EVERYONE))
    return Whom(parties, treasuries=_TREASURY in named, everyone=_EVERYONE in named)


def _endpoints(arguments: argparse.Namespace) -> list[tuple[Endpoint, int | None]]:
    """The kernels that are named, each with the block from which it is read; the usual deployment if none is."""
    from actp.deployments import DEFAULT_NAME, AddressBook
    from actp.networks import connect, transport_for
    from actp.rpc import genesis_hash, require_chain

    network = Network.parse(arguments.network)
    transport = transport_for(
        network, rpc_url=arguments.rpc_url, rpc_pool_urls=arguments.rpc_pool_urls, chain_id=arguments.chain_id
    )
    chain_id = network.chain_id if arguments.chain_id is None else arguments.chain_id
    starts: dict[str, int | None] = dict.fromkeys(arguments.deployments)
    if arguments.kernels:
        require_chain(transport, chain_id)
        book = AddressBook(chain_id, genesis_hash(transport, chain_id))
        names = {one.kernel: name for name in book.names() if (one := book.get(name)).complete}
        for kernel in arguments.kernels:
            if kernel.address not in names:
                raise ConfigError(
                    f"No deployment of the address book has the kernel {kernel.address}.",
                    hint=f"Complete {book.path or 'the address book'}: kernel, vault and token. It knows "
                    f"{', '.join(names) or 'none'}.",
                )
            starts[names[kernel.address]] = kernel.block
    if not starts:
        starts = {DEFAULT_NAME: None}
    return [(connect(transport, chain_id, name, network=network), start) for name, start in starts.items()]


def _kernel(text: str) -> _AtKernel:
    address, _, block = text.partition(":")
    try:
        kernel = require_address(address, "--kernel")
    except InvalidInput as error:
        raise argparse.ArgumentTypeError(error.message) from None
    return _AtKernel(kernel, whole_number(0, _HIGHEST_BLOCK)(block) if block else None)


def _ether(text: str) -> int:
    return _wei(text, 18, "ETH")


def _gwei(text: str) -> int:
    return _wei(text, 9, "gwei")


def _wei(text: str, decimals: int, unit: str) -> int:
    try:
        wei = Decimal(re.sub(rf"\s*{unit}\Z", "", text, flags=re.IGNORECASE)).scaleb(decimals)
    except InvalidOperation:
        wei = Decimal(0)
    if not wei.is_finite() or wei < 1 or wei != wei.to_integral_value():
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is no amount of {unit}: write a number such as 0.5")
    return int(wei)
