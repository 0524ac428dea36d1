"""Trackers for callers that await: the same trackers, with whatever waits for a server in a thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from contextvars import copy_context
from decimal import Decimal
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, ParamSpec, Self, TypeVar

from actp.errors import ActpError
from coordinator.tracker.local import LocalTracker
from coordinator.tracker.redis import RedisTracker
from coordinator.tracker.words import (
    DEFAULT_TTL_SECONDS,
    Amount,
    BudgetTracker,
    Committed,
    Reservation,
    ReservationToken,
    Tracker,
    Unit,
    Usage,
)

__all__ = ["AsyncTracker", "LocalBudgetTracker", "RedisBudgetTracker"]

_P = ParamSpec("_P")
_R = TypeVar("_R")


class AsyncTracker:
    """`BudgetTracker` over any `Tracker`. With `waits`, its methods run in threads, and the loop goes on meanwhile."""

    def __init__(self, tracker: Tracker, *, waits: bool = True) -> None:
        self._tracker = tracker
        self._waits = waits

    @property
    def sync(self) -> Tracker:
        """The same tracker, for callers that do not await."""
        return self._tracker

    @property
    def warnings(self) -> tuple[str, ...]:
        """See `Tracker.warnings`."""
        return self._tracker.warnings

    async def check(self) -> tuple[str, ...]:
        """See `Tracker.check`."""
        return await self._run(self._tracker.check)

    async def reserve(
        self,
        scope: str | Sequence[str],
        amount_usd: Amount,
        *,
        unit: Unit | str = Unit.USD,
        ttl_seconds: float | None = None,
    ) -> ReservationToken:
        """See `Tracker.reserve`. What is granted to a caller that was cancelled meanwhile is released."""

        def ask() -> ReservationToken:
            return self._tracker.reserve(scope, amount_usd, unit=unit, ttl_seconds=ttl_seconds)

        if not self._waits:
            return ask()
        asking = _Asking(self._tracker, ask)
        try:
            return await asyncio.to_thread(asking.run)
        except asyncio.CancelledError:
            if asking.abandon():
                asyncio.get_running_loop().run_in_executor(None, asking.give_back)
            raise

    async def commit(self, token: ReservationToken, actual_usd: Amount) -> Committed:
        """See `Tracker.commit`. It is done also if the caller is cancelled meanwhile, as are all other methods."""
        return await self._run(self._tracker.commit, token, actual_usd)

    async def release(self, token: ReservationToken) -> None:
        """See `Tracker.release`."""
        await self._run(self._tracker.release, token)

    async def get_spent(self, scope: str) -> Decimal:
        """See `Tracker.get_spent`."""
        return await self._run(self._tracker.get_spent, scope)

    async def get_reserved(self, scope: str) -> Decimal:
        """See `Tracker.get_reserved`."""
        return await self._run(self._tracker.get_reserved, scope)

    async def get_budget(self, scope: str) -> Decimal | None:
        """See `Tracker.get_budget`."""
        return await self._run(self._tracker.get_budget, scope)

    async def set_budget(self, scope: str, limit: Amount | None, *, unit: Unit | str = Unit.USD) -> None:
        """See `Tracker.set_budget`."""
        await self._run(self._tracker.set_budget, scope, limit, unit=unit)

    async def reservations(self, scope: str | None = None) -> tuple[Reservation, ...]:
        """See `Tracker.reservations`."""
        return await self._run(self._tracker.reservations, scope)

    async def scopes(self) -> tuple[Usage, ...]:
        """See `Tracker.scopes`."""
        return await self._run(self._tracker.scopes)

    async def close(self) -> None:
        """See `Tracker.close`."""
        await self._run(self._tracker.close)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _run(self, method: Callable[_P, _R], *args: _P.args, **named: _P.kwargs) -> _R:
        if not self._waits:
            return method(*args, **named)
        # Shielded: a caller that is cancelled must not take back a commit that waits for a free thread.
        do = partial(copy_context().run, method, *args, **named)
        return await asyncio.shield(asyncio.get_running_loop().run_in_executor(None, do))


class _Asking:
    """A reservation that a thread asks for, and whose caller may go away meanwhile, the event loop with it."""

    def __init__(self, tracker: Tracker, ask: Callable[[], ReservationToken]) -> None:
        self._tracker = tracker
        self._ask = ask
        self._lock = threading.Lock()
        self._token: ReservationToken | None = None
        self._abandoned = False

    def run(self) -> ReservationToken:
        token = self._ask()
        with self._lock:
            self._token = token
            abandoned = self._abandoned
        if abandoned:
            self.give_back()
        return token

    def abandon(self) -> bool:
        """The caller is gone. Says whether it was granted already, and must be given back; else the thread will."""
        with self._lock:
            self._abandoned = True
            return self._token is not None

    def give_back(self) -> None:
        # Nobody is there any more to be told; what cannot be released expires.
        with suppress(ActpError):
            if self._token is not None:
                self._tracker.release(self._token)


if TYPE_CHECKING:
    _keeps_the_protocol: type[BudgetTracker] = AsyncTracker


class LocalBudgetTracker(AsyncTracker):
    """Budgets of one process, awaited; see `LocalTracker` for the arguments."""

    def __init__(
        self,
        limits: Mapping[str, Amount] | None = None,
        *,
        ttl_seconds: float = DEFAULT_TTL_SECONDS,
        clock: Callable[[], float] | None = None,
    ) -> None:
        super().__init__(LocalTracker(limits, ttl_seconds=ttl_seconds, clock=clock), waits=False)


class RedisBudgetTracker(AsyncTracker):
    """Budgets of all processes that share a Redis, awaited; see `RedisTracker` for the arguments."""

    def __init__(
        self,
        url: str,
        root: str = "default",
        prefix: str = "actp:budget",
        *,
        ttl_seconds: float = DEFAULT_TTL_SECONDS,
        client: Any = None,
    ) -> None:
        super().__init__(RedisTracker(url, root, prefix, ttl_seconds=ttl_seconds, client=client))
