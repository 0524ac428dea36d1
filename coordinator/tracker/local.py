"""Budgets of one process: dictionaries under a lock."""

from __future__ import annotations

import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from heapq import heapify, heappop, heappush
from itertools import count
from types import TracebackType
from typing import NamedTuple, Self

from actp import observing
from actp.errors import InvalidInput
from actp.units import shown
from coordinator.tracker.errors import ForeignToken, TokenUsed, UnitMismatch, UnknownToken, exceeded, too_much
from coordinator.tracker.measuring import counted, readings
from coordinator.tracker.money import amount_of, checked_scope, checked_scopes, checked_ttl, micros_of, unit_of
from coordinator.tracker.words import (
    DEFAULT_TTL_SECONDS,
    KEPT_SECONDS,
    LARGEST,
    Amount,
    Committed,
    Reservation,
    ReservationToken,
    TokenState,
    Unit,
    Usage,
)

__all__ = ["LocalTracker", "steady_clock"]

_MOST_KEPT = 100_000
_SLACK = 1_000


def steady_clock() -> Callable[[], float]:
    """A clock of seconds since 1970 that goes on steadily, whatever becomes of the system's clock."""
    start = time.time() - time.monotonic()
    return lambda: start + time.monotonic()


class _Cell:
    """The counters of one scope."""

    __slots__ = ("late", "limit", "overruns", "reservations", "reserved", "spent", "unit")

    def __init__(self, unit: Unit) -> None:
        self.unit = unit
        self.limit: int | None = None
        self.spent = 0
        self.reserved = 0
        self.reservations = 0
        self.overruns = 0
        self.late = 0


class _Past(NamedTuple):
    """A reservation that holds nothing any more: since when, and what it was committed with."""

    at: float
    token: ReservationToken
    done: Committed | None = None


class LocalTracker:
    """`Tracker` for one process: nothing outlives it, and nobody else sees it.

    `limits` are budgets in dollars to begin with; `clock` gives seconds, and must not go back.
    """

    def __init__(
        self,
        limits: Mapping[str, Amount] | None = None,
        *,
        ttl_seconds: float = DEFAULT_TTL_SECONDS,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self._ttl = checked_ttl(ttl_seconds)
        self._clock = clock if clock is not None else steady_clock()
        self._series = secrets.token_hex(8)
        self._name = f"local:{self._series}"
        self._numbers = count(1)
        self._lock = threading.Lock()
        self._cells: dict[str, _Cell] = {}
        self._open: dict[str, ReservationToken] = {}
        self._due: list[tuple[float, str]] = []
        # Ordered by when they ended, so that the oldest are the first to be forgotten.
        self._expired: OrderedDict[str, _Past] = OrderedDict()
        self._ended: OrderedDict[str, _Past] = OrderedDict()
        for scope, limit in (limits or {}).items():
            self.set_budget(scope, limit)
        observing.watch(self, readings)

    @property
    def warnings(self) -> tuple[str, ...]:
        """Nothing can be wrong with a dictionary."""
        return ()

    def check(self) -> tuple[str, ...]:
        """See `Tracker.check`."""
        return ()

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
        kind = unit if type(unit) is Unit else unit_of(unit)
        micros = micros_of(amount_usd, kind, positive=True)
        ttl = self._ttl if ttl_seconds is None else checked_ttl(ttl_seconds)
        with self._lock:
            now = self._now()
            self._object(names, micros, kind)
            for name in names:
                cell = self._cells.get(name) or self._cells.setdefault(name, _Cell(kind))
                cell.reserved += micros
                cell.reservations += 1
            expires_at = now + ttl
            # One number per tracker, not random bits for each token: making those takes longer than all the rest.
            token_id = f"{self._series}-{next(self._numbers)}"
            token = ReservationToken(token_id, self._name, names, micros, kind, expires_at)
            self._open[token_id] = token
            heappush(self._due, (expires_at, token_id))
        return token

    def commit(self, token: ReservationToken, actual_usd: Amount) -> Committed:
        """See `Tracker.commit`."""
        self._check(token)
        actual = micros_of(actual_usd, token.unit, name="actual")
        with self._lock:
            now = self._now()
            known, ended = self._find(token)
            if ended is not None:
                if ended.done is None:
                    raise TokenUsed(token.id, TokenState.RELEASED)
                if ended.done.micros != actual:
                    raise TokenUsed(token.id, TokenState.COMMITTED, amount_of(ended.done.micros, known.unit))
                return ended.done._replace(repeated=True)
            late = known.id not in self._open
            for name in known.scopes:
                there = self._cells.get(name)
                if there is not None and there.unit is not known.unit:
                    raise UnitMismatch(name, expected=there.unit, given=known.unit)
                if there is not None and there.spent + actual > LARGEST:
                    raise too_much(name)
            overrun = max(0, actual - known.micros)
            for name in known.scopes:
                cell = self._cells.get(name) or self._cells.setdefault(name, _Cell(known.unit))
                cell.spent += actual
                cell.overruns += overrun > 0
                cell.late += late
                if not late:
                    cell.reserved -= known.micros
                    cell.reservations -= 1
            done = Committed(actual, 0 if late else max(0, known.micros - actual), overrun, late)
            self._end(known, done, now)
        return counted(known, done)

    def release(self, token: ReservationToken) -> None:
        """See `Tracker.release`."""
        self._check(token)
        with self._lock:
            now = self._now()
            known, ended = self._find(token)
            if ended is not None:
                if ended.done is not None:
                    raise TokenUsed(token.id, TokenState.COMMITTED, amount_of(ended.done.micros, known.unit))
                return
            if known.id in self._open:
                self._give_back(known)
            self._end(known, None, now)

    def get_spent(self, scope: str) -> Decimal:
        """See `Tracker.get_spent`."""
        cell = self._look(scope)
        return amount_of(0) if cell is None else amount_of(cell.spent, cell.unit)

    def get_reserved(self, scope: str) -> Decimal:
        """See `Tracker.get_reserved`."""
        cell = self._look(scope)
        return amount_of(0) if cell is None else amount_of(cell.reserved, cell.unit)

    def get_budget(self, scope: str) -> Decimal | None:
        """See `Tracker.get_budget`."""
        cell = self._look(scope)
        limit = None if cell is None else cell.limit  # once: another thread may take it away
        return None if cell is None or limit is None else amount_of(limit, cell.unit)

    def set_budget(self, scope: str, limit: Amount | None, *, unit: Unit | str = Unit.USD) -> None:
        """See `Tracker.set_budget`."""
        name = checked_scope(scope)
        kind = unit_of(unit)
        micros = None if limit is None else micros_of(limit, kind, name="limit")
        with self._lock:
            self._now()
            cell = self._cells.get(name)
            used = cell is not None and bool(cell.spent or cell.reserved)
            if micros is None:
                if cell is not None and used:
                    cell.limit = None
                elif cell is not None:
                    del self._cells[name]
                return
            if cell is None:
                cell = self._cells[name] = _Cell(kind)
            elif used and cell.unit is not kind:
                raise UnitMismatch(name, expected=cell.unit, given=kind)
            elif cell.unit is not kind:
                cell.overruns = cell.late = 0  # another unit begins another history
            cell.unit, cell.limit = kind, micros

    def reservations(self, scope: str | None = None) -> tuple[Reservation, ...]:
        """See `Tracker.reservations`."""
        name = None if scope is None else checked_scope(scope)
        with self._lock:
            now = self._now()
            found = [token for token in self._open.values() if name is None or name in token.scopes]
        found.sort(key=lambda token: (token.expires_at, token.id))
        return tuple(Reservation(one, amount_of(one.micros, one.unit), one.expires_at - now) for one in found)

    def scopes(self) -> tuple[Usage, ...]:
        """See `Tracker.scopes`."""
        with self._lock:
            self._now()
            # Only copied: whoever reserves must not wait until all is in dollars.
            found = [
                (name, one.unit, one.limit, one.spent, one.reserved, one.reservations, one.overruns, one.late)
                for name, one in self._cells.items()
            ]
        found.sort()
        return tuple(
            Usage(
                scope=name,
                unit=unit,
                limit=None if limit is None else amount_of(limit, unit),
                spent=amount_of(spent, unit),
                reserved=amount_of(reserved, unit),
                reservations=reservations,
                overruns=overruns,
                late=late,
            )
            for name, unit, limit, spent, reserved, reservations, overruns, late in found
        )

    def close(self) -> None:
        """There is nothing to close, and nothing to be measured any more."""
        observing.unwatch(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _object(self, names: tuple[str, ...], micros: int, unit: Unit) -> None:
        """Raises what speaks against a reservation, for the outermost scope that it does not fit into."""
        bounded = False
        for name in names:
            cell = self._cells.get(name)
            if cell is None:
                if not bounded:
                    raise exceeded(name, None, 0, 0, micros, unit)
            elif cell.unit is not unit:
                raise UnitMismatch(name, expected=cell.unit, given=unit)
            elif cell.limit is not None:
                if cell.spent + cell.reserved + micros > cell.limit:
                    raise exceeded(name, cell.limit, cell.spent, cell.reserved, micros, unit)
                bounded = True
            elif not bounded:
                raise exceeded(name, None, cell.spent, cell.reserved, micros, unit)
            elif cell.spent + cell.reserved + micros > LARGEST:
                raise exceeded(name, LARGEST, cell.spent, cell.reserved, micros, unit)

    def _check(self, token: object) -> None:
        if type(token) is not ReservationToken:
            raise InvalidInput(f"{shown(token)} is no token.", hint="Give the token that reserve has returned.")
        if token.tracker != self._name:
            raise ForeignToken(token.id, "belongs to another tracker")

    def _find(self, token: ReservationToken) -> tuple[ReservationToken, _Past | None]:
        """The token as it was given out, and how it was ended, if it was."""
        known, ended = self._open.get(token.id), None
        if known is None:
            ended = self._ended.get(token.id)
            past = ended if ended is not None else self._expired.get(token.id)
            if past is None:
                raise UnknownToken(token.id)
            known = past.token
        if known is not token and known != token:
            raise ForeignToken(token.id, "is not as it was given out")
        return known, ended

    def _look(self, scope: str) -> _Cell | None:
        name = checked_scope(scope)
        with self._lock:
            self._now()
            return self._cells.get(name)

    def _now(self) -> float:
        """The time, with everything ended that is due by it."""
        now = self._clock()
        due = self._due
        if due and due[0][0] <= now:
            self._expire(now)
        return now

    def _expire(self, now: float) -> None:
        while self._due and self._due[0][0] <= now:
            token = self._open.pop(heappop(self._due)[1], None)
            if token is not None:
                self._give_back(token)
                _keep(self._expired, _Past(now, token))

    def _give_back(self, token: ReservationToken) -> None:
        for name in token.scopes:
            cell = self._cells[name]
            cell.reserved -= token.micros
            cell.reservations -= 1

    def _end(self, token: ReservationToken, done: Committed | None, now: float) -> None:
        if self._open.pop(token.id, None) is None:
            self._expired.pop(token.id, None)
        _keep(self._ended, _Past(now, token, done))
        # What has ended leaves its time behind, until those are more than the open ones.
        if len(self._due) > 2 * len(self._open) + _SLACK:
            self._due = [(one.expires_at, one.id) for one in self._open.values()]
            heapify(self._due)


def _keep(kept: OrderedDict[str, _Past], past: _Past) -> None:
    """Remembers how a reservation ended, and forgets what ended long ago."""
    kept[past.token.id] = past
    while len(kept) > _MOST_KEPT or next(iter(kept.values())).at <= past.at - KEPT_SECONDS:
        kept.popitem(last=False)
