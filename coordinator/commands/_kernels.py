"""Which kernels of the escrow index are meant, for commands that only look."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from actp.command_line import CHAIN_IDS, whole_number
from actp.errors import ConfigError
from actp.units import require_address
from coordinator.commands._opening import add_store

if TYPE_CHECKING:
    from coordinator.store import Ledger
    from coordinator.store.index_kernels import IndexedKernel

__all__ = ["add_kernels", "kernels_of"]

_NO_INDEX = "`coordinator escrows index` begins one, and so does a settlement bot."


def add_kernels(parser: argparse.ArgumentParser) -> None:
    """`--store`, and which of its kernels."""
    add_store(parser)
    parser.add_argument("--kernel", metavar="ADDRESS", help="only of this kernel")
    parser.add_argument("--chain-id", type=whole_number(*CHAIN_IDS), metavar="ID", help="only on this chain")


def kernels_of(arguments: argparse.Namespace) -> tuple[Ledger, list[IndexedKernel]]:
    """The ledger, and the indexed kernels that are meant. Raises ConfigError if there are none, InvalidInput,
    StoreError.
    """
    from actp.engine.store.existing import open_existing
    from coordinator.store import index_kernels, open_ledger
    from coordinator.store.database import has_ledger

    wanted = None if arguments.kernel is None else require_address(arguments.kernel, "--kernel")
    store = open_existing(arguments.store)
    if not has_ledger(store):  # which looking must not change
        raise ConfigError(f"No kernel is indexed in {store.label}.", hint=_NO_INDEX)
    ledger = open_ledger(store)
    with ledger.read() as connection:
        known = index_kernels.listed(connection, arguments.chain_id)
    fitting = [one for one in known if wanted in (None, one.kernel)]
    if not fitting:
        if not known and wanted is None and arguments.chain_id is None:
            raise ConfigError(f"No kernel is indexed in {store.label}.", hint=_NO_INDEX)
        names = ", ".join(f"{one.kernel} on chain {one.chain_id}" for one in known) or "none"
        raise ConfigError(f"No such kernel is indexed in {store.label}; there is: {names}.", hint=_NO_INDEX)
    return ledger, fitting
