"""A guard for calls that cost money: estimate, reserve, run, commit what it cost.

budget = Budget(tracker, "session:eval")
with budget.spend("workflow:one", estimate="0.02") as call:  # or `async with`
    answer = ask(...)
    call.actual = answer.cost
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from types import TracebackType
from typing import NamedTuple, Self

from actp.errors import InvalidInput
from actp.units import shown
from coordinator.tracker.awaiting import AsyncTracker
from coordinator.tracker.errors import BudgetExceededError, NotCharged, TrackerError, TrackerUnavailable
from coordinator.tracker.local import LocalTracker
from coordinator.tracker.money import amount_of, checked_scope, checked_scopes, checked_ttl, micros_of, unit_of
from coordinator.tracker.stopping import Stop
from coordinator.tracker.words import Amount, ReservationToken, Tracker, Unit

__all__ = ["Budget", "Call", "Unrecorded"]

_log = logging.getLogger(__name__)


class _Within(NamedTuple):
    """A scope that is open in this context, for calls that are counted by this tracker."""

    tracker: Tracker
    name: str


_within: ContextVar[tuple[_Within, ...]] = ContextVar("coordinator.tracker.guarding.within", default=())


class Unrecorded(NamedTuple):
    """What a call has cost, and the ledger could not be told yet."""

    token: ReservationToken
    micros: int


class Budget:
    """Guards calls with a tracker. Thread-safe, and for tasks as well.

    Every call is in `scopes`, outermost first, then in those that `scope` has opened around it, then in its own.
    `ttl_seconds` is how long a call may take before what it has reserved is free for others (the tracker's, if None):
    what it commits later is recorded in full, but others may have been granted the same headroom meanwhile.
    `not_charged` are types of exceptions that say that a call was not charged, besides `NotCharged`: name only what
    cannot follow a charge, which a time-out, a reset connection and whatever a client raises after retries can.
    Once `stop` is set, no call begins.
    """

    def __init__(
        self,
        tracker: Tracker | AsyncTracker,
        *scopes: str,
        unit: Unit | str = Unit.USD,
        ttl_seconds: float | None = None,
        not_charged: tuple[type[BaseException], ...] = (),
        stop: Stop | None = None,
    ) -> None:
        self.tracker: Tracker = tracker.sync if isinstance(tracker, AsyncTracker) else tracker
        self.scopes = checked_scopes(scopes) if scopes else ()
        self.unit = unit_of(unit)
        self.ttl_seconds = None if ttl_seconds is None else checked_ttl(ttl_seconds)
        self.stop = stop
        self._not_charged = not_charged
        self._waits = not isinstance(self.tracker, LocalTracker)
        self._awaited = AsyncTracker(self.tracker, waits=self._waits)
        self._settling = threading.Lock()
        self._trouble: TrackerUnavailable | None = None
        self._lock = threading.Lock()
        self._unrecorded: list[Unrecorded] = []

    @property
    def unrecorded(self) -> tuple[Unrecorded, ...]:
        """What calls have cost and the ledger does not know yet. Until it does, no other call begins."""
        with self._lock:
            return tuple(self._unrecorded)

    def spend(self, scopes: str | Sequence[str] = (), *, estimate: Amount) -> Call:
        """A call that may cost `estimate`, to be opened with `with` or `async with`, once. Opening it raises
        BudgetExceededError, SpendingStopped or TrackerUnavailable, with nothing begun. Raises InvalidInput.
        """
        return Call(self, self._names(scopes), micros_of(estimate, self.unit, name="estimate", positive=True))

    @contextmanager
    def scope(self, name: str) -> Iterator[None]:
        """Everything that is spent within it by this tracker is in this scope, too, in whatever functions and tasks it
        is. Threads start without, unless something carries the context into them, as `asyncio.to_thread` does.
        """
        mine = _Within(self.tracker, checked_scope(name))
        _within.set((*_within.get(), mine))
        try:
            yield
        finally:
            # By hand: a generator may be closed in another context than it was opened in, where a reset fails.
            _within.set(tuple(one for one in _within.get() if one is not mine))

    def settle(self) -> None:
        """Tells the ledger what it could not be told when calls ended. Raises TrackerUnavailable as long as it cannot;
        every call does this before it begins.
        """
        seen = self._trouble
        with self._settling:
            # Whoever had to wait for one that failed fails with it: else each would wait for all those before it.
            if self._trouble is not None and self._trouble is not seen:
                raise self._trouble
            for one in self.unrecorded:
                try:
                    self.tracker.commit(one.token, self.amount(one.micros))
                except TrackerUnavailable as error:
                    self._trouble = error
                    raise
                except TrackerError as error:
                    # Trying again would change nothing, and would hold up everything.
                    _log.error("%s was spent and can never be recorded: %s", self._said(one.micros), error)
                with self._lock:
                    self._unrecorded.remove(one)
            self._trouble = None

    def amount(self, micros: int) -> Amount:
        """Micros as the tracker takes them."""
        return micros if self.unit is Unit.USDC else amount_of(micros)

    def _names(self, scopes: str | Sequence[str]) -> tuple[str, ...]:
        own = () if isinstance(scopes, Sequence) and not scopes else checked_scopes(scopes)
        around = (one.name for one in _within.get() if one.tracker is self.tracker)
        names = tuple(dict.fromkeys((*self.scopes, *around, *own)))
        if not names:
            raise InvalidInput("A call is in no scope.", hint="Name one, or open one with `scope`.")
        return names

    def _begin(self, names: tuple[str, ...], micros: int) -> ReservationToken:
        self._check()
        if self._unrecorded:
            self.settle()
        with self._noting():
            return self.tracker.reserve(names, self.amount(micros), unit=self.unit, ttl_seconds=self.ttl_seconds)

    async def _begin_awaited(self, names: tuple[str, ...], micros: int) -> ReservationToken:
        self._check()
        if self._unrecorded:
            await (asyncio.to_thread(self.settle) if self._waits else _done(self.settle))
        with self._noting():
            return await self._awaited.reserve(names, self.amount(micros), unit=self.unit, ttl_seconds=self.ttl_seconds)

    def _check(self) -> None:
        if self.stop is not None:
            self.stop.check()

    @contextmanager
    def _noting(self) -> Iterator[None]:
        try:
            yield
        except BudgetExceededError as denial:
            if self.stop is not None:
                self.stop.note(denial)
            raise

    def _end(self, token: ReservationToken, micros: int | None, error: BaseException | None) -> None:
        """Commits so much, or releases. What the call has raised goes on whatever happens here."""
        try:
            if micros is None:
                self.tracker.release(token)
            else:
                self.tracker.commit(token, self.amount(micros))
        except TrackerError as trouble:
            if micros is None:
                _log.warning("What was reserved for a call that cost nothing is held until it expires: %s", trouble)
            elif isinstance(trouble, TrackerUnavailable):
                # The answer that was paid for is not thrown away over this; the next call is what fails.
                _log.error("%s was spent and is not recorded yet: %s", self._said(micros), trouble)
                with self._lock:
                    self._unrecorded.append(Unrecorded(token, micros))
            elif error is None:
                raise
            else:
                _log.error("%s was spent and can never be recorded: %s", self._said(micros), trouble)

    async def _end_awaited(self, token: ReservationToken, micros: int | None, error: BaseException | None) -> None:
        if not self._waits:
            self._end(token, micros, error)
            return
        # No task, which the loop's end would cancel: what was spent is recorded also when everything is cancelled.
        ending = asyncio.get_running_loop().run_in_executor(None, self._end, token, micros, error)
        cancelled: asyncio.CancelledError | None = None
        while not ending.done():
            try:
                await asyncio.wait([ending])
            except asyncio.CancelledError as again:
                cancelled = again
        ending.result()
        if cancelled is not None:
            raise cancelled

    def _says_not_charged(self, error: BaseException | None) -> bool:
        if isinstance(error, NotCharged):
            first, error.settled = not error.settled, True
            return first
        return isinstance(error, self._not_charged)

    def _said(self, micros: int) -> str:
        amount = amount_of(micros, self.unit)
        return f"${amount:f}" if self.unit is Unit.USD else f"{amount:f} base units of USDC"


class Call:
    """One guarded call, which may begin once. When it ends:

    | what is known | what is committed |
    |---|---|
    | `actual` is set, whether it failed or not | that |
    | `not_charged()` was called, or what it raises says so | nothing: it is released |
    | it returned, and `actual` is not set | the estimate |
    | it failed in any other way: timed out, was cancelled or interrupted, its stream was closed | the estimate |

    and never less than `at_least`, unless `actual` says so.
    """

    def __init__(self, budget: Budget, scopes: tuple[str, ...], estimate_micros: int) -> None:
        self._budget = budget
        self.scopes = scopes
        self.estimate_micros = estimate_micros
        self._token: ReservationToken | None = None
        self._begun = False
        self._actual: int | None = None
        self._at_least = 0
        self._free = False

    @property
    def token(self) -> ReservationToken:
        """What it has reserved, once it is open."""
        if self._token is None:
            raise RuntimeError("This call has not begun: open it with `with` or `async with`.")
        return self._token

    @property
    def actual(self) -> Amount | None:
        """What it has cost, as far as that was said. Setting it raises InvalidInput for what is no amount."""
        return None if self._actual is None else self._budget.amount(self._actual)

    @actual.setter
    def actual(self, amount: Amount) -> None:
        self._actual = micros_of(amount, self._budget.unit, name="actual")

    @property
    def at_least(self) -> Amount:
        """What it has cost so far, while it still may cost more, as a stream does. It never falls."""
        return self._budget.amount(self._at_least)

    @at_least.setter
    def at_least(self, amount: Amount) -> None:
        self._at_least = max(self._at_least, micros_of(amount, self._budget.unit, name="at_least"))

    def not_charged(self) -> None:
        """Says that it has cost nothing and never will."""
        self._free = True

    def __enter__(self) -> Self:
        self._begin()
        self._token = self._budget._begin(self.scopes, self.estimate_micros)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._budget._end(self.token, self._owed(error), error)

    async def __aenter__(self) -> Self:
        self._begin()
        self._token = await self._budget._begin_awaited(self.scopes, self.estimate_micros)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._budget._end_awaited(self.token, self._owed(error), error)

    def __repr__(self) -> str:
        return f"Call({shown(self.scopes)}, estimate={self._budget.amount(self.estimate_micros)})"

    def _begin(self) -> None:
        if self._begun:
            raise RuntimeError("This call has begun already: ask for a new one with `spend`.")
        self._begun = True

    def _owed(self, error: BaseException | None) -> int | None:
        """What is to be committed, in micros; None to release."""
        if self._actual is not None:
            return self._actual
        if self._budget._says_not_charged(error) or self._free:
            return self._at_least or None
        return max(self.estimate_micros, self._at_least)


async def _done(work: Callable[[], None]) -> None:
    work()
