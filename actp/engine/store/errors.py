"""What may be wrong with a store, in types: the database's own words never hold its URL or a value."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from actp.errors import ActpError, ConfigError

__all__ = ["OtherChain", "StoreBusy", "StoreError", "StoreFull", "newer", "translated"]


class StoreError(ActpError):
    """The database cannot be read or written. What was about to be sent was not: bytes are stored first."""

    default_code = "store"
    default_outcome = "not_sent"


class StoreBusy(StoreError):
    """Another process keeps the database locked."""

    default_code = "store_busy"


class StoreFull(StoreError):
    """There is no room for another row."""

    default_code = "store_full"


class OtherChain(ConfigError):
    """The store belongs to a chain with another first block (or another kernel) than the one that is served now."""

    default_code = "other_chain"


_FULL = re.compile(r"disk is full|no space left|disk full|could not extend file|53100", re.IGNORECASE)
_BUSY = re.compile(r"is locked|busy|lock timeout|deadlock detected|could not serialize", re.IGNORECASE)
_READ_ONLY = re.compile(r"read-?only|permission denied", re.IGNORECASE)


def newer(what: str, revision: str | None, head: str) -> StoreError:
    """The error of tables of a version that this program does not know."""
    return StoreError(
        f"{what} was written by a newer version (revision {revision}; this program knows up to {head}).",
        hint="Upgrade the program.",
    )


@contextmanager
def translated(label: str) -> Iterator[None]:
    """Turns the database's errors into StoreError, StoreBusy and StoreFull; `label` names the store in them."""
    try:
        yield
    except IntegrityError:
        raise  # what a unique key says is for the caller to understand
    except (DBAPIError, PoolTimeout) as error:
        found = _typed(label, error)
    else:
        return
    # Raised here and not where it was caught: SQLAlchemy's text shows the statement's values.
    raise found


def _typed(label: str, error: Exception) -> StoreError:
    words = str(error.orig) if isinstance(error, DBAPIError) else "no connection was free in time"
    first = words.strip().splitlines()[0] if words.strip() else type(error).__name__
    if _FULL.search(words):
        return StoreFull(
            f"The store {label} is full: {first}.", hint="Nothing was sent. Make room, then try again.", retryable=True
        )
    if _BUSY.search(words) or isinstance(error, PoolTimeout):
        return StoreBusy(
            f"The store {label} is locked: {first}.", hint="Nothing was sent. Try again shortly.", retryable=True
        )
    if _READ_ONLY.search(words):
        return StoreError(
            f"The store {label} may only be read: {first}.", code="store_read_only",
            hint="Nothing was sent. Give the user of this process the right to write to it, and to its folder.",
        )  # fmt: skip
    return StoreError(
        f"The store {label} cannot be used: {first}.", hint="Check that it exists and may be written.", retryable=True
    )
