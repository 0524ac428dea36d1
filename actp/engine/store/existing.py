"""Opening a store that is there, to look at it: what looks must not make one."""

from __future__ import annotations

import os
from pathlib import Path

from actp.config import STORE_VARIABLE
from actp.engine.store.database import Store, open_store, parse_url
from actp.errors import ConfigError

__all__ = ["named_store", "open_existing"]


def named_store(url: str | None) -> str:
    """This URL or path, or else the one in ACTP_STORE_URL. Raises ConfigError if there is neither."""
    named = url or os.environ.get(STORE_VARIABLE)
    if not named:
        raise ConfigError("No store was named.", hint=f"Give --store PATH or URL, or set {STORE_VARIABLE}.")
    return named


def open_existing(url: str | None) -> Store:
    """The store at this URL or path, or at that in ACTP_STORE_URL. Raises ConfigError if none is named or there."""
    named = named_store(url)
    parsed = parse_url(named)
    file = parsed.database
    durable = file not in (None, "", ":memory:")
    if parsed.get_backend_name() == "sqlite" and not (durable and Path(str(file)).exists()):
        raise ConfigError(
            f"There is no store at {file} yet." if durable else "There is no store in memory: it would be a new one.",
            hint="Check the path. A worker makes a store; looking does not.",
        )
    return open_store(named)
