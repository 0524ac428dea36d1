"""What a coordinator takes from its client: where the ledger is, and whose requests they are."""

from __future__ import annotations

import contextlib
import os
import threading
from pathlib import Path

from actp.client import ACTPClient
from actp.engine.store import Store, open_store
from actp.engine.store.database import parse_url
from actp.errors import ConfigError
from coordinator.budget.requests import Payer

__all__ = ["STATE_VARIABLE", "default_file", "payer_of", "store_of"]

STATE_VARIABLE = "XDG_STATE_HOME"

_in_process: dict[tuple[int, str, str], Store] = {}
_lock = threading.Lock()


def store_of(client: ACTPClient, given: Store | str | None) -> tuple[Store, bool]:
    """The store of a client's treasury, and whether whoever asked has to close it.

    That is the client's durable one; else the one that is given; else a file of its own for each chain, genesis and
    treasury (`default_file`); for a chain that ends with this process one in memory, which ends with it too. Raises
    ConfigError if the client's is another one than the given, StoreError.
    """
    own = client.store
    if own is not None and own.durable:
        if isinstance(given, Store) and given is not own:
            raise _two_stores(own)
        if isinstance(given, str) and parse_url(given) != own.engine.url:
            raise _two_stores(own)
        return own, False
    if isinstance(given, Store):
        return given, False
    if given is not None:
        return open_store(given), True
    if client.endpoint.chain is not None:
        return _of_this_process(client), False
    file = default_file(client.chain_id, client.genesis, client.address)
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        # What agents buy and why is in it, so nobody else may read it. SQLite gives its other files the same mode.
        os.close(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    return open_store(file), True


def default_file(chain_id: int, genesis: str, treasury: str) -> Path:
    """`actp/<chain id>-<start of the genesis hash>-<treasury>.db` in $XDG_STATE_HOME, or else in ~/.local/state: a
    development chain that was started again is another chain.
    """
    named = Path(os.environ.get(STATE_VARIABLE, ""))
    # A relative path is to be ignored, says the XDG specification.
    base = named if named.is_absolute() else Path.home() / ".local" / "state"
    return base / "actp" / f"{chain_id}-{genesis[2:14]}-{treasury.lower()}.db"


def _of_this_process(client: ACTPClient) -> Store:
    key = (client.chain_id, client.genesis, client.address)
    with _lock:
        if key not in _in_process:
            _in_process[key] = open_store("sqlite://")
        return _in_process[key]


def _two_stores(own: Store) -> ConfigError:
    return ConfigError(
        f"The client writes what it sends into another store, {own.label}.",
        hint="Leave `store` out: decisions and what is sent for them have to be in one database. A client has the one "
        "that it was made with, or else that of ACTP_STORE_URL.",
    )


def payer_of(client: ACTPClient) -> Payer:
    """Whose requests they are. Raises ConfigError for a kernel without salts."""
    kernel = client.kernel
    if not kernel.has_salts:
        raise ConfigError(
            "This kernel has no salts, so nothing would keep a request from being paid twice.",
            hint="Use a deployment of this project's own contracts.",
        )
    contracts = {kernel.address: "the kernel", client.escrow.address: "the vault", client.token.address: "the token"}
    return Payer(client.chain_id, client.address, kernel.address, kernel.limits, contracts)
