"""Which store, whose treasury, and how to get at them."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from actp.command_line import CHAIN_IDS, STORE_HELP, whole_number
from actp.errors import ConfigError
from actp.units import require_address, to_checksum
from coordinator.commands._parsing import person

if TYPE_CHECKING:
    from coordinator.authority import Authority
    from coordinator.store import Ledger
    from coordinator.store.accounts import Account

__all__ = [
    "NUMBER",
    "add_account",
    "add_by",
    "add_json",
    "add_limit",
    "add_store",
    "authority",
    "budgeted",
    "opened",
    "opened_all",
]

NUMBER = whole_number(1, 2**63 - 1)

_NO_TREASURY = "`coordinator run worker` begins one, and so does a BudgetCoordinator."


def add_store(parser: argparse.ArgumentParser) -> None:
    """`--store`."""
    parser.add_argument("--store", metavar="STORE", help=STORE_HELP)


def add_account(parser: argparse.ArgumentParser) -> None:
    """`--store`, and whose treasury in it."""
    add_store(parser)
    parser.add_argument(
        "--wallet", metavar="ADDRESS", help="whose, if the store has several treasuries, or another wallet is meant"
    )
    parser.add_argument(
        "--chain-id", type=whole_number(*CHAIN_IDS), metavar="ID", help="on which chain, if the wallet is on several"
    )


def add_json(parser: argparse.ArgumentParser, *, lines: bool = False) -> None:
    """`--json`."""
    text = "print one JSON object per line" if lines else "print one JSON object"
    parser.add_argument("--json", action="store_true", help=text)


def add_limit(parser: argparse.ArgumentParser, default: int = 50) -> None:
    """`--limit`."""
    parser.add_argument(
        "--limit", type=NUMBER, default=default, metavar="N", help="at most so many (default: %(default)s)"
    )


def add_by(parser: argparse.ArgumentParser) -> None:
    """`--by`."""
    parser.add_argument(
        "--by", type=person, default="operator", metavar="NAME", help="who does it (default: %(default)s)"
    )


def opened(arguments: argparse.Namespace, chain_id: int | None = None) -> tuple[Ledger, Account]:
    """The ledger and the one treasury in it that is meant, on this chain if it is known; who names no wallet means one
    that has a budget. Raises ConfigError, StoreError, InvalidInput.
    """
    ledger, known = opened_all(arguments)
    wallet = None if arguments.wallet is None else require_address(arguments.wallet, "--wallet")
    chain = arguments.chain_id if chain_id is None else chain_id
    fitting = [one for one in known if wallet in (None, to_checksum(one.wallet)) and chain in (None, one.chain_id)]
    if wallet is None:
        fitting = budgeted(ledger, fitting)
    if len(fitting) == 1:
        return ledger, fitting[0]
    names = ", ".join(f"{one.wallet} on chain {one.chain_id}" for one in known)
    if fitting:
        raise ConfigError(f"The store has several wallets: {names}.", hint="Choose with --wallet and --chain-id.")
    raise ConfigError(f"The store knows no such wallet; it knows: {names}.")


def budgeted(ledger: Ledger, known: list[Account]) -> list[Account]:
    """Those that have a budget, all if none has: a settlement bot with a key of its own only signs, and a command that
    names no wallet is not about it. Raises StoreError.
    """
    from coordinator.store import treasuries

    with ledger.read() as connection:
        having = treasuries.accounts(connection)
    return [one for one in known if one in having] or known


def opened_all(arguments: argparse.Namespace) -> tuple[Ledger, list[Account]]:
    """The ledger and every treasury in it. Raises ConfigError, also if there is none; StoreError."""
    from actp.engine.store.existing import open_existing
    from coordinator.store import open_ledger, treasuries, wallets
    from coordinator.store.database import has_ledger

    store = open_existing(arguments.store)
    if not has_ledger(store):  # which looking must not change
        raise ConfigError(f"There is no treasury in {store.label}.", hint=_NO_TREASURY)
    ledger = open_ledger(store)
    with ledger.read() as connection:
        known = dict.fromkeys((*wallets.accounts(connection), *treasuries.accounts(connection)))
    if not known:
        raise ConfigError(f"There is no treasury in {store.label}.", hint=_NO_TREASURY)
    return ledger, list(known)


@contextmanager
def authority(ledger: Ledger, account: Account) -> Iterator[Authority]:
    """The budget authority of a treasury, for a command that changes something. Raises ConfigError if it has none."""
    from coordinator.authority import Authority, AuthoritySettings
    from coordinator.store import treasuries

    with ledger.read() as connection:
        row = treasuries.read(connection, account)
    if row is None:
        raise ConfigError(f"{account.wallet} on chain {account.chain_id} has no budget.", hint=_NO_TREASURY)
    settings = AuthoritySettings(connections=1, leading=False)
    with Authority(ledger, account, token=row.token, settings=settings) as made:
        yield made
