"""`coordinator positions`: what a wallet has in escrows, as the index says."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from actp.command_line import ExitCode
from actp.errors import ConfigError
from actp.units import require_address, to_checksum
from coordinator.commands._chain import add_node, endpoint_of
from coordinator.commands._kernels import add_kernels, kernels_of
from coordinator.commands._opening import add_json, budgeted
from coordinator.commands._printing import counted, print_fields, print_lines, usdc

if TYPE_CHECKING:
    from coordinator.store import Ledger
    from coordinator.store.index_positions import Position

__all__ = ["HELP", "configure"]

HELP = "show what a wallet has locked, is to receive, has posted and is owed"


def configure(noun: argparse.ArgumentParser) -> None:
    """Adds the arguments."""
    noun.description = (
        f"{HELP}, for each kernel that is indexed, as of the block up to which it is; with --network also what it has "
        "free in the token."
    )
    add_kernels(noun)
    whose = noun.add_mutually_exclusive_group()
    whose.add_argument("wallet", nargs="?", metavar="WALLET", help="whose; the store's treasury without it")
    whose.add_argument("--wallet", dest="named", metavar="ADDRESS", help="the same, as other commands spell it")
    add_node(noun, required=False)
    add_json(noun, lines=True)
    noun.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    from coordinator.store import index_positions

    ledger, kernels = kernels_of(arguments)
    wallet = _wallet(arguments, ledger)
    with ledger.snapshot() as connection:
        found = index_positions.of(connection, wallet, [one.id for one in kernels])
    free = _free(arguments, wallet, found)
    if arguments.json:
        print_lines(_json(one, free) for one in found)
        return ExitCode.OK
    for number, one in enumerate(found):
        if number:
            print()
        held = free.get((one.kernel.chain_id, one.kernel.token))
        print_fields(
            [
                ("wallet", wallet),
                ("kernel", f"{one.kernel.kernel} on chain {one.kernel.chain_id}, block {one.kernel.block.number}"),
                ("token", one.kernel.token),
                ("free", None if held is None else f"{usdc(held)} USDC"),
                ("locked", f"{usdc(one.locked)} USDC as requester of {counted(one.as_requester, 'open escrow')}"),
                ("receivable", f"{usdc(one.receivable)} USDC as provider of {counted(one.as_provider, 'open escrow')}"),
                ("bonds", f"{usdc(one.bonds)} USDC"),
                ("credit", f"{usdc(one.credit)} USDC"),
            ]
        )
    return ExitCode.OK


def _wallet(arguments: argparse.Namespace, ledger: Ledger) -> str:
    from coordinator.store import treasuries, wallets

    if arguments.wallet is not None:
        return require_address(arguments.wallet, "WALLET")
    if arguments.named is not None:
        return require_address(arguments.named, "--wallet")
    with ledger.read() as connection:
        accounts = [*wallets.accounts(connection), *treasuries.accounts(connection)]
    known = list(dict.fromkeys(to_checksum(one.wallet) for one in budgeted(ledger, accounts)))
    if len(known) != 1:
        what = f"several wallets: {', '.join(known)}" if known else "no wallet"
        raise ConfigError(f"The store has {what}.", hint="Name one: coordinator positions WALLET.")
    return known[0]


def _free(arguments: argparse.Namespace, wallet: str, found: Sequence[Position]) -> dict[tuple[int, str], int]:
    """What the wallet holds of the tokens of one chain, if there is a node to ask."""
    if arguments.network is None:
        return {}
    from actp.reads import Read, read_all

    endpoint = endpoint_of(arguments)
    tokens = list(dict.fromkeys(one.kernel.token for one in found if one.kernel.chain_id == endpoint.chain_id))
    reads = [Read("TestUSDC", token, "balanceOf", (wallet,)) for token in tokens]
    held = read_all(endpoint.transport, reads)
    return {(endpoint.chain_id, token): amount for token, amount in zip(tokens, held, strict=True)}


def _json(one: Position, free: dict[tuple[int, str], int]) -> dict[str, Any]:
    kernel = one.kernel
    return {
        "wallet": one.wallet, "chain_id": kernel.chain_id, "kernel": kernel.kernel, "token": kernel.token,
        "block": kernel.block.number, "block_hash": kernel.block.hash,
        "free": free.get((kernel.chain_id, kernel.token)), "locked": one.locked, "receivable": one.receivable,
        "bonds": one.bonds, "credit": one.credit, "open_as_requester": one.as_requester,
        "open_as_provider": one.as_provider,
    }  # fmt: skip
