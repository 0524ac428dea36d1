"""`coordinator reconcile`: compares the ledger with the chain, now."""

from __future__ import annotations

import argparse
from collections.abc import Mapping

from actp.command_line import ExitCode
from actp.errors import RpcUnavailable
from coordinator.commands._chain import add_node, endpoint_of, watching
from coordinator.commands._opening import add_account, add_json, authority, opened
from coordinator.commands._printing import print_fields, print_json, usdc

__all__ = ["HELP", "configure"]

HELP = "compare the ledger with the chain, now"


def configure(noun: argparse.ArgumentParser) -> None:
    """Adds the arguments."""
    noun.description = (
        f"{HELP}, at its last final block; the worker does so every few minutes. If they differ, nothing more is "
        "granted until `coordinator resume --frozen`, and the exit code is 1. Needs a node, and no key."
    )
    add_account(noun)
    add_node(noun)
    add_json(noun)
    noun.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    from coordinator.alerts import notice
    from coordinator.worker.reconciling import Reconciling

    endpoint = endpoint_of(arguments)
    ledger, account = opened(arguments, endpoint.chain_id)
    client = watching(endpoint, account.wallet)
    ledger.store.bind(client.chain_id, client.genesis)
    with authority(ledger, account) as made:
        found = Reconciling(client, made, every=0.0).run(once=True)
    notice(ledger, account)  # what is told to people; a worker sends it
    if found is None:
        raise RpcUnavailable(
            f"{endpoint.transport.label} does not show the chain up to a final block.", hint="Try again later."
        )
    if arguments.json:
        content = {
            "block": {"number": found.block.number, "hash": found.block.hash},
            "ledger": _numbers(found.ledger), "chain": _numbers(found.chain),
            "drift": found.drift, "action": found.action,
        }  # fmt: skip
        print_json(content)
    else:
        said = (
            "Ledger and chain agree."
            if not found.drift
            else f"They differ by {usdc(found.drift)} USDC: {found.action}."
        )
        print_fields(
            [
                ("block", f"{found.block.number} {found.block.hash}"),
                *((f"ledger: {name}", _shown(name, value)) for name, value in found.ledger.items()),
                *((f"chain: {name}", _shown(name, value)) for name, value in found.chain.items()),
                ("result", said),
            ]
        )
    return ExitCode.FAILED if found.drift else ExitCode.OK


def _numbers(stored: Mapping[str, object]) -> dict[str, int]:
    """Amounts as ints, as in all other JSON; the store keeps them as text."""
    return {name: int(str(value)) for name, value in stored.items()}


def _shown(name: str, value: object) -> str:
    return str(value) if name == "escrows" else f"{usdc(int(str(value)))} USDC"
