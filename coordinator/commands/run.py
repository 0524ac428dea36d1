"""`coordinator run`: the worker, which carries out what was granted, and the settlement bot."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from actp.command_line import CHAIN_IDS, ExitCode, stop_signals, whole_number
from coordinator.commands._chain import add_key, add_node, endpoint_of, signer_of
from coordinator.commands._opening import add_store
from coordinator.commands._parsing import amount
from coordinator.commands._printing import counted, usdc
from coordinator.commands._settling import add_settlement
from coordinator.commands._tracking import Budgeted, add_session, add_tracker, in_session
from coordinator.commands.alerts import add_urls
from coordinator.metrics.serving import Served, add_metrics, serving

if TYPE_CHECKING:
    from actp.client import ACTPClient
    from actp.engine.store import Store
    from coordinator.alerts.addresses import Address
    from coordinator.authority import Authority
    from coordinator.policy import PolicySettings

__all__ = ["HELP", "configure"]

HELP = "run the worker, which funds what was granted and keeps the books, or the bot that settles what is due"


def configure(noun: argparse.ArgumentParser) -> None:
    """Adds the verbs."""
    verbs = noun.add_subparsers(title="verbs", metavar="VERB", required=True)
    text = "work until Ctrl-C or SIGTERM; any number of workers may serve one store, and one of them signs"
    worker = verbs.add_parser("worker", help=text, description=text, allow_abbrev=False)
    add_store(worker)
    add_node(worker)
    worker.add_argument("--chain-id", type=whole_number(*CHAIN_IDS), metavar="ID", help="if the node has another one")
    add_key(worker)
    worker.add_argument(
        "--policy", type=Path, metavar="FILE", help="rules of the treasury itself, besides its budgets (TOML)"
    )
    worker.add_argument(
        "--standing-allowance", type=amount, metavar="AMOUNT",
        help="what the vault may take at least, whenever its allowance is raised (default: the total budget)",
    )  # fmt: skip
    add_tracker(worker)
    add_session(worker)
    add_urls(worker)
    add_metrics(worker)
    worker.add_argument("--verbose", action="store_true", help="log every change, not only what is wrong")
    worker.set_defaults(run=_worker)
    add_settlement(verbs)


def _worker(arguments: argparse.Namespace) -> int:
    from actp.client import ACTPClient
    from actp.engine.store import open_store
    from actp.engine.store.existing import named_store
    from coordinator.alerts.addresses import read_addresses
    from coordinator.policy import PolicySettings

    logging.basicConfig(
        level=logging.INFO if arguments.verbose else logging.WARNING, format="%(asctime)s %(name)s: %(message)s"
    )
    # What is wrong with the settings is said before the node is asked for anything.
    url = named_store(arguments.store)
    signer = signer_of(arguments)
    addresses = read_addresses(arguments.alert_urls)
    policy = None if arguments.policy is None else PolicySettings.load(arguments.policy)
    with in_session(arguments) as budget:
        endpoint = endpoint_of(arguments)
        store = open_store(url)
        try:
            return _work(arguments, store, ACTPClient(endpoint, signer, store=store), addresses, policy, budget)
        finally:
            store.close()


def _work(
    arguments: argparse.Namespace,
    store: Store,
    client: ACTPClient,
    addresses: Sequence[Address],
    policy: PolicySettings | None,
    budget: Budgeted | None,
) -> int:
    from coordinator.authority import Authority
    from coordinator.lifecycle import Lifecycle
    from coordinator.store import open_ledger
    from coordinator.store.accounts import Account
    from coordinator.worker import Session, Worker

    account = Account(client.chain_id, client.address)
    with (
        Authority(open_ledger(store), account, token=client.token.address) as authority,
        serving(arguments, authority.ledger, account, service="coordinator-worker") as served,
        stop_signals() as stop,
    ):
        allowance = arguments.standing_allowance

        def standing() -> int:
            """Asked for whenever the allowance is raised: rules are often applied after the worker has begun."""
            return int((authority.book().total_budget or 0) if allowance is None else allowance)

        lifecycle = Lifecycle(client, store=store, policy=policy, standing_allowance=standing)
        session = None if budget is None else Session(authority, budget.tracker, budget.scope)
        worker = Worker(client, authority, lifecycle, addresses=addresses, session=session)
        _introduce(store, authority, lifecycle.proof_address, served, budget)
        worker.run(stop)
    print("Stopped.", flush=True)
    return ExitCode.OK


def _introduce(
    store: Store, authority: Authority, proofs_by: str, served: Served | None, budget: Budgeted | None
) -> None:
    book = authority.book()
    rules = "none: everything is denied until `coordinator policy apply`"
    if book.version:
        total = "no total, so everything is denied" if book.total_budget is None else f"{usdc(book.total_budget)} USDC"
        rules = f"version {book.version}: {total}, {counted(len(book.agents), 'agent')}"
    lines = [
        f"Treasury  {authority.account.wallet} on chain {authority.account.chain_id}",
        f"Store     {store.label}",
        f"Rules     {rules}",
        f"Proofs    signed by {proofs_by}",
        *([] if budget is None else [f"Session   {budget.scope} in {budget.label}"]),
        *([] if served is None else [f"Metrics   {served.url}"]),
        "Stop with Ctrl-C.",
    ]
    print("\n".join(lines), flush=True)
