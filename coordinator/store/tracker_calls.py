"""What trackers ask of the ledger, what it answers, and the function of PostgreSQL that does both in one round trip."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from enum import StrEnum
from typing import Any, NamedTuple

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from actp.engine.store.errors import translated
from coordinator.errors import LedgerConflict
from coordinator.store.accounts import Account
from coordinator.store.asking import call
from coordinator.store.database import Ledger

__all__ = ["CALL", "Answered", "Call", "Kind", "TrackerFunction", "asked_text"]

CALL = "SELECT co_track(%s, %s, %s, %s)"
"""The statement: chain id, root, the calls as `asked_text` writes them, and None or a test's time."""

_TRIES = 8


class Kind(StrEnum):
    """What may be asked for."""

    RESERVE = "reserve"
    COMMIT = "commit"
    RELEASE = "release"
    LIMIT = "limit"


class Call(NamedTuple):
    """One call of a tracker. `keys` are the hashes of the scopes' `names`, outermost first.

    `seconds` is how long to hold a reservation, and for a token when it expires, in seconds since 1970; `actual` is
    what was spent. For LIMIT `amount` is the limit, None for none.
    """

    kind: Kind
    keys: tuple[str, ...]
    names: tuple[str, ...]
    unit: str
    amount: int | None
    token: str | None = None
    seconds: float | None = None
    actual: int | None = None


class Answered(NamedTuple):
    """What became of a call. `what` is granted (`expires_at`), denied (`scope`, `limit` None if there is none, `spent`,
    `reserved`), unit (`scope` counts `unit`), committed (`repeated`, `late`), released, used (`state`, `actual`),
    unknown, foreign, overflow (`scope`) or set.
    """

    what: str
    scope: str = ""
    limit: int | None = None
    spent: int = 0
    reserved: int = 0
    unit: str = ""
    expires_at: float = 0.0
    repeated: bool = False
    late: bool = False
    state: str = ""
    actual: int | None = None


def asked_text(calls: Sequence[Call]) -> str:
    """Calls as the function reads them: JSON."""
    places: dict[str, int] = {}
    names: list[str] = []
    rows: list[dict[str, Any]] = []
    for one in calls:
        for key, name in zip(one.keys, one.names, strict=True):
            if key not in places:
                places[key] = len(places) + 1
                names.append(name)
        rows.append(
            {
                "kind": one.kind,
                "token": one.token,
                "unit": one.unit,
                "amount": one.amount,
                "seconds": one.seconds,
                "actual": one.actual,
                "places": [places[key] for key in one.keys],
            }
        )
    return _text({"keys": list(places), "names": names, "calls": rows})


class TrackerFunction:
    """Calls `co_track` on a connection that is kept. Calls never overlap: they would wait for the same rows."""

    def __init__(self, ledger: Ledger, owner: Account) -> None:
        self._ledger = ledger
        self._owner = owner
        self._lock = threading.Lock()
        self._connection: Connection | None = None

    def run(self, calls: Sequence[Call]) -> list[Answered]:
        """What becomes of each, all in one commit. Raises LedgerConflict, StoreError."""
        written = asked_text(calls)
        with self._lock:
            for left in reversed(range(_TRIES)):
                kept = self._connection is not None
                try:
                    with translated(self._ledger.store.label):
                        return [Answered(**row) for row in json.loads(self._call(written))]
                except IntegrityError as error:
                    # Somebody else made the same scope: now it is there.
                    if not left:
                        raise LedgerConflict(
                            "Others were faster again and again.",
                            hint="Nothing was changed. Try again.",
                            retryable=True,
                        ) from error.orig
                except BaseException:
                    # A connection that was kept may have ended long ago. Doing a call again does nothing twice.
                    lost = self._drop()
                    if not (kept and lost and left):
                        raise
        raise AssertionError("unreachable")

    def close(self) -> None:
        """Closes the connection that is kept."""
        with self._lock:
            self._drop()

    def _call(self, written: str) -> str:
        ledger = self._ledger
        if self._connection is None:
            self._connection = ledger.store.engine.connect().execution_options(isolation_level="AUTOCOMMIT")
            self._connection.detach()
        now = None if ledger.shares_clock else ledger.now()
        (text,) = call(self._connection, CALL, (self._owner.chain_id, self._owner.wallet, written, now))
        return str(text)

    def _drop(self) -> bool:
        """Lets go of the connection; whether the server had done so before."""
        connection, self._connection = self._connection, None
        if connection is None:
            return False
        driver: Any = connection.connection.dbapi_connection
        lost = driver is None or bool(driver.closed)
        connection.invalidate()
        connection.close()
        return lost


_text = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode
