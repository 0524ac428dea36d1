"""Budgets of a fleet, in SQLite or PostgreSQL: in the same cells as the budgets of treasuries, and apart from them."""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Sequence
from decimal import Decimal
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import Self

from actp import observing
from actp.engine.clock import Clock
from actp.engine.store import StoreError
from actp.errors import InvalidInput
from actp.units import shown
from coordinator.store import Ledger
from coordinator.store import tracker_holds as holds
from coordinator.store import tracker_scopes as scope_rows
from coordinator.store.tracker_calls import Answered, Call, Kind
from coordinator.tracker.awaiting import AsyncTracker
from coordinator.tracker.durability import Durability
from coordinator.tracker.errors import (
    ForeignToken,
    TokenUsed,
    TrackerUnavailable,
    UnitMismatch,
    UnknownToken,
    exceeded,
    too_much,
)
from coordinator.tracker.forking import tell_forks
from coordinator.tracker.ledger_opening import Opened, Opening, troubles
from coordinator.tracker.ledger_reading import durability_warnings
from coordinator.tracker.measuring import counted, readings
from coordinator.tracker.money import amount_of, checked_scope, checked_scopes, checked_ttl, micros_of, unit_of
from coordinator.tracker.words import (
    DEFAULT_TTL_SECONDS,
    KEPT_SECONDS,
    Amount,
    Committed,
    Reservation,
    ReservationToken,
    TokenState,
    Unit,
    Usage,
)

__all__ = ["LedgerBudgetTracker", "LedgerTracker", "keys_of"]

_log = logging.getLogger(__name__)
_LONGEST_ROOT = 200
_FORGET_EVERY_SECONDS = 60.0
_FORGET_MORE_SECONDS = 1.0


class LedgerTracker:
    """`Tracker` over SQLite (processes of one machine) or PostgreSQL, for all that give the same database and root.

    `ledger` is a URL as `open_store` takes it, or a ledger that is open already: a treasury's, or one without any.
    `root` keeps apart fleets that share a database. What threads ask for at the same time is one commit. Raises
    ConfigError, InvalidInput, TrackerUnavailable.
    """

    def __init__(
        self,
        ledger: str | Path | Ledger,
        root: str = "default",
        *,
        ttl_seconds: float = DEFAULT_TTL_SECONDS,
        clock: Clock | None = None,
    ) -> None:
        self._ttl = checked_ttl(ttl_seconds)
        if type(root) is not str or not 1 <= len(root) <= _LONGEST_ROOT or not root.isprintable():
            raise InvalidInput(
                f"{shown(root)} is no root of budgets.", hint=f"Use 1 to {_LONGEST_ROOT} printable characters."
            )
        self._opening = Opening(ledger, root, clock)
        self._opened = self._opening.open()
        self._owner = scope_rows.owner_of(root)
        self._lock = threading.Lock()
        self._durability = Durability(self._look_at_settings)
        self._forgets_at = time.monotonic() + _FORGET_EVERY_SECONDS * secrets.randbelow(100) / 100
        self._inherited: list[Opened] = []
        self._forked = False
        observing.watch(self, readings)
        tell_forks(self)

    @property
    def ledger(self) -> Ledger:
        """Where everything is."""
        return self._opened.ledger

    def __repr__(self) -> str:
        return f"LedgerTracker({self.ledger.store.label})"

    @property
    def warnings(self) -> tuple[str, ...]:
        """See `Tracker.warnings`."""
        return self._durability.warnings

    def check(self) -> tuple[str, ...]:
        """See `Tracker.check`: whether the database keeps what it has answered."""
        return self._durability.check()

    def reserve(
        self,
        scope: str | Sequence[str],
        amount_usd: Amount,
        *,
        unit: Unit | str = Unit.USD,
        ttl_seconds: float | None = None,
    ) -> ReservationToken:
        """See `Tracker.reserve`."""
        names = checked_scopes(scope)
        kind = unit_of(unit)
        micros = micros_of(amount_usd, kind, positive=True)
        ttl = self._ttl if ttl_seconds is None else checked_ttl(ttl_seconds)
        # Chosen here, so that the ledger knows the call again if its answer was lost and it is repeated.
        token_id = secrets.token_hex(16)
        self._durability.tell()
        answer = self._run(Call(Kind.RESERVE, keys_of(names), names, kind.value, micros, token_id, ttl))
        if answer.what == "denied":
            raise exceeded(answer.scope, answer.limit, answer.spent, answer.reserved, micros, kind)
        if answer.what == "unit":
            raise UnitMismatch(answer.scope, expected=Unit(answer.unit), given=kind)
        return ReservationToken(token_id, self._opened.name, names, micros, kind, answer.expires_at)

    def commit(self, token: ReservationToken, actual_usd: Amount) -> Committed:
        """See `Tracker.commit`."""
        self._check_token(token)
        actual = micros_of(actual_usd, token.unit, name="actual")
        answer = self._end(Kind.COMMIT, token, actual)
        returned = 0 if answer.late else max(0, token.micros - actual)
        overrun = max(0, actual - token.micros)
        return counted(token, Committed(actual, returned, overrun, answer.late, repeated=answer.repeated))

    def release(self, token: ReservationToken) -> None:
        """See `Tracker.release`."""
        self._check_token(token)
        self._end(Kind.RELEASE, token, None)

    def get_spent(self, scope: str) -> Decimal:
        """See `Tracker.get_spent`."""
        return self._look(scope).spent

    def get_reserved(self, scope: str) -> Decimal:
        """See `Tracker.get_reserved`."""
        return self._look(scope).reserved

    def get_budget(self, scope: str) -> Decimal | None:
        """See `Tracker.get_budget`."""
        return self._look(scope).limit

    def set_budget(self, scope: str, limit: Amount | None, *, unit: Unit | str = Unit.USD) -> None:
        """See `Tracker.set_budget`."""
        names = (checked_scope(scope),)
        kind = unit_of(unit)
        micros = None if limit is None else micros_of(limit, kind, name="limit")
        self._durability.tell()
        answer = self._run(Call(Kind.LIMIT, keys_of(names), names, kind.value, micros))
        if answer.what == "unit":
            raise UnitMismatch(answer.scope, expected=Unit(answer.unit), given=kind)

    def reservations(self, scope: str | None = None) -> tuple[Reservation, ...]:
        """See `Tracker.reservations`."""
        name = None if scope is None else checked_scope(scope)
        opened = self._current()
        with troubles(changing=False):
            found = opened.reading.reservations()
        return tuple(one for one in found if name is None or name in one.token.scopes)

    def scopes(self) -> tuple[Usage, ...]:
        """See `Tracker.scopes`."""
        opened = self._current()
        with troubles(changing=False):
            return opened.reading.scopes()

    def close(self) -> None:
        """See `Tracker.close`. A ledger that was given stays open."""
        observing.unwatch(self)
        if self._forked:
            return
        self._opened.runner.close()
        if self._opening.owned:
            self.ledger.store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def forked(self) -> None:
        """See `Forked`: whatever is asked for next opens the ledger anew."""
        self._lock = threading.Lock()
        self._durability.forked()
        self._forked = True

    def _look_at_settings(self) -> tuple[str, ...]:
        opened = self._current()
        with troubles(changing=False):
            return durability_warnings(opened.ledger)

    def _current(self) -> Opened:
        """The ledger as this process has opened it, which it does now if it was forked."""
        if self._forked:
            self._open_again()
        return self._opened

    def _open_again(self) -> None:
        with self._lock:
            if not self._forked:
                return
            if not self._opening.owned or not self.ledger.store.durable:
                raise TrackerUnavailable(
                    f"{self!r} was opened by the process that this one was forked from.",
                    hint="Nothing was done. Open a ledger and its tracker in each process, after it has begun.",
                    outcome="not_sent",
                )
            # Kept, as closing it here, or leaving it to the garbage collector, would end the parent's connections.
            self._inherited.append(self._opened)
            self._opened = self._opening.open()
            self._forked = False

    def _end(self, kind: Kind, token: ReservationToken, actual: int | None) -> Answered:
        names = token.scopes
        answer = self._run(
            Call(kind, keys_of(names), names, token.unit.value, token.micros, token.id, token.expires_at, actual)
        )
        match answer.what:
            case "unknown":
                raise UnknownToken(token.id)
            case "foreign":
                raise ForeignToken(token.id, "is not as it was given out")
            case "used":
                spent = None if answer.actual is None else amount_of(answer.actual, token.unit)
                raise TokenUsed(token.id, TokenState(answer.state), spent)
            case "unit":
                raise UnitMismatch(answer.scope, expected=Unit(answer.unit), given=token.unit)
            case "overflow":
                raise too_much(answer.scope)
        return answer

    def _check_token(self, token: object) -> None:
        if type(token) is not ReservationToken:
            raise InvalidInput(f"{shown(token)} is no token.", hint="Give the token that reserve has returned.")
        if token.tracker != self._opened.name:
            raise ForeignToken(token.id, "belongs to another tracker")

    def _look(self, scope: str) -> Usage:
        name = checked_scope(scope)
        opened = self._current()
        with troubles(changing=False):
            return opened.reading.scope(name, _key(name))

    def _run(self, call: Call) -> Answered:
        opened = self._current()
        with troubles(changing=True):
            (answer,) = opened.combiner.submit([call])
            if isinstance(answer, Exception):
                raise answer
        self._forget()
        return answer

    def _forget(self) -> None:
        """Now and then, deletes what ended so long ago that nobody asks for it any more."""
        with self._lock:
            if time.monotonic() < self._forgets_at:
                return
            self._forgets_at = time.monotonic() + _FORGET_EVERY_SECONDS
        try:
            with self.ledger.write() as connection:
                number = holds.forget(connection, self._owner, self.ledger.now_by(connection) - KEPT_SECONDS)
        except StoreError as error:
            # No trouble of the caller's: what it asked for is done.
            _log.warning("What a tracker may forget was not deleted: %s", error)
            return
        if number >= holds.MOST_FORGOTTEN:
            with self._lock:
                self._forgets_at = time.monotonic() + _FORGET_MORE_SECONDS


class LedgerBudgetTracker(AsyncTracker):
    """Budgets of all processes that share a database, awaited; see `LedgerTracker` for the arguments."""

    def __init__(
        self,
        ledger: str | Path | Ledger,
        root: str = "default",
        *,
        ttl_seconds: float = DEFAULT_TTL_SECONDS,
        clock: Clock | None = None,
    ) -> None:
        super().__init__(LedgerTracker(ledger, root, ttl_seconds=ttl_seconds, clock=clock))


@lru_cache(maxsize=1024)
def _key(name: str) -> str:
    return sha256(name.encode()).hexdigest()


def keys_of(names: Sequence[str]) -> tuple[str, ...]:
    """What the ledger calls scopes of these names."""
    return tuple(_key(name) for name in names)
