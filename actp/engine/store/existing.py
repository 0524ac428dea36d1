"""Opening a store that is there, to look at it: what looks must not make one."""

from __future__ import annotations

import os
from pathlib import Path

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from actp.config import STORE_VARIABLE
from actp.engine.store.database import Store, open_store
from actp.errors import ConfigError

__all__ = ["open_existing"]


def open_existing(url: str | None) -> Store:
    """The store at this URL, or at that in ACTP_STORE_URL. Raises ConfigError if none is named or there."""
    named = url or os.environ.get(STORE_VARIABLE)
    if not named:
        raise ConfigError("No store was named.", hint=f"Give --store URL, or set {STORE_VARIABLE}.")
    try:
        parsed = make_url(named)
    except ArgumentError:
        return open_store(named)  # which says what is wrong with it
    file = parsed.database
    if parsed.get_backend_name() == "sqlite" and (not file or file == ":memory:" or not Path(file).exists()):
        raise ConfigError(f"There is no store in {file or 'memory'}.", hint="Check the path in the URL.")
    return open_store(named)
