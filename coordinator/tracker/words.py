"""What trackers and their callers say to one another: units, tokens, answers, and what a tracker must be able to do.

Money inside is always `micros`, an int: millionths of a dollar, or base units of USDC. `coordinator.tracker.money`
reads and writes it for people.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from types import TracebackType
from typing import NamedTuple, Protocol, Self

__all__ = [
    "DEFAULT_TTL_SECONDS",
    "KEPT_SECONDS",
    "LARGEST",
    "LONGEST_NAME",
    "LONGEST_TTL_SECONDS",
    "MOST_SCOPES",
    "Amount",
    "BudgetTracker",
    "Committed",
    "Reason",
    "Reservation",
    "ReservationToken",
    "TokenState",
    "Tracker",
    "Unit",
    "Usage",
]

Amount = Decimal | str | int
"""Dollars: `Decimal("0.25")`, "0.25", or whole dollars as an int. In USDC: an int of base units, and nothing else."""

LARGEST = 2**63 - 1
"""The most micros that anything can be: an amount, a limit, a sum. What would be more is refused."""

LONGEST_NAME = 10_000
"""Characters of a scope's name."""

MOST_SCOPES = 32
"""Scopes of one reservation."""

DEFAULT_TTL_SECONDS = 900.0
"""How long a reservation holds budget, unless the tracker or the call says otherwise."""

LONGEST_TTL_SECONDS = 30 * 86_400.0

KEPT_SECONDS = 3_600.0
"""How long a reservation is remembered after the time at which it expires, or after its end if that is later. So long
its token is told from an unknown one, and what it cost can still be committed.
"""


class Unit(StrEnum):
    """What a scope's money is. Units never mix."""

    USD = "usd"
    """Dollars, in millionths."""
    USDC = "usdc"
    """USDC, in base units."""


class Reason(StrEnum):
    """Why a reservation was denied."""

    LIMIT = "limit"
    """It does not fit beside what is spent and reserved."""
    NO_LIMIT = "no_limit"
    """Neither the scope nor one before it has a limit."""
    OVERRUN = "overrun"
    """More than the limit is spent already, because something cost more than was reserved for it."""


class TokenState(StrEnum):
    """How a reservation ended."""

    COMMITTED = "committed"
    RELEASED = "released"


class ReservationToken(NamedTuple):
    """A hold on budget, to be committed or released once. It may be pickled and ended by another process.

    `tracker` names the ledger that it belongs to, and `epoch` the time in which that ledger's data are whole: after a
    loss it has another one. `expires_at` is seconds since 1970 by the ledger's clock.
    """

    id: str
    tracker: str
    scopes: tuple[str, ...]
    micros: int
    unit: Unit
    expires_at: float
    epoch: str = ""


class Committed(NamedTuple):
    """What a commit did.

    `overrun_micros` is how much dearer it was than its reservation. `late`: the reservation had expired. `lost`: the
    ledger had lost data since. Whatever it was, all of `micros` is counted as spent, once: `repeated` says that an
    earlier, equal call had done it.
    """

    micros: int
    returned_micros: int = 0
    overrun_micros: int = 0
    late: bool = False
    lost: bool = False
    repeated: bool = False


@dataclass(frozen=True, slots=True)
class Usage:
    """How much of one scope is used. Amounts are in its unit, as `get_spent` gives them; `limit` is its own, if any.

    `reservations` counts the open ones. Of all commits, `overruns` counts those above their reservation, `late` those
    after it had expired, and `lost` those whose reservation was lost with the ledger's data.
    """

    scope: str
    unit: Unit
    limit: Decimal | None
    spent: Decimal
    reserved: Decimal
    reservations: int = 0
    overruns: int = 0
    late: int = 0
    lost: int = 0

    @property
    def remaining(self) -> Decimal | None:
        """What can still be reserved, negative after an overrun; None without a limit of its own."""
        return None if self.limit is None else self.limit - self.spent - self.reserved


@dataclass(frozen=True, slots=True)
class Reservation:
    """An open reservation. `release(reservation.token)` gives it back."""

    token: ReservationToken
    amount: Decimal
    expires_in_seconds: float


class Tracker(Protocol):
    """Cumulative cost against budgets. Thread-safe; every method is one atomic step, for all processes on a ledger.

    Arguments that are wrong in themselves raise InvalidInput, other units UnitMismatch, and a ledger that cannot be
    reached TrackerUnavailable.
    """

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is wrong with the ledger, as far as it was noticed: sentences."""
        ...

    def check(self) -> tuple[str, ...]:
        """Looks at the ledger's settings, unless that was done, and returns `warnings`. The first `set_budget` or
        `reserve` does it, too, and logs what it has found.
        """
        ...

    def reserve(
        self,
        scope: str | Sequence[str],
        amount_usd: Amount,
        *,
        unit: Unit | str = Unit.USD,
        ttl_seconds: float | None = None,
    ) -> ReservationToken:
        """Holds an estimate in every scope, outermost first, or in none. Raises BudgetExceededError."""
        ...

    def commit(self, token: ReservationToken, actual_usd: Amount) -> Committed:
        """Turns a hold into what was spent, in the token's unit; the rest is free again. What is more than the hold is
        recorded in full. After a commit of the same amount nothing changes. Raises TokenUsed, UnknownToken,
        ForeignToken.
        """
        ...

    def release(self, token: ReservationToken) -> None:
        """Gives a hold back: nothing was spent. Again, or after it expired, it changes no budget. Raises TokenUsed if
        it was committed; UnknownToken, ForeignToken.
        """
        ...

    def get_spent(self, scope: str) -> Decimal:
        """What is spent: dollars, or base units of USDC. 0 for a scope that nobody has used."""
        ...

    def get_reserved(self, scope: str) -> Decimal:
        """What open reservations hold."""
        ...

    def get_budget(self, scope: str) -> Decimal | None:
        """The scope's own limit, if it has one."""
        ...

    def set_budget(self, scope: str, limit: Amount | None, *, unit: Unit | str = Unit.USD) -> None:
        """Sets the scope's own limit, or takes it away. What is spent and reserved stays."""
        ...

    def reservations(self, scope: str | None = None) -> tuple[Reservation, ...]:
        """Open reservations, of one scope or all, those that expire first first."""
        ...

    def scopes(self) -> tuple[Usage, ...]:
        """Every scope with a limit or a history, by name."""
        ...

    def close(self) -> None:
        """Lets go of connections. Reservations stay."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class BudgetTracker(Protocol):
    """`Tracker`, awaited. `sync` is the same tracker for callers that do not await."""

    @property
    def sync(self) -> Tracker: ...

    @property
    def warnings(self) -> tuple[str, ...]: ...

    async def check(self) -> tuple[str, ...]: ...

    async def reserve(
        self,
        scope: str | Sequence[str],
        amount_usd: Amount,
        *,
        unit: Unit | str = Unit.USD,
        ttl_seconds: float | None = None,
    ) -> ReservationToken: ...

    async def commit(self, token: ReservationToken, actual_usd: Amount) -> Committed: ...

    async def release(self, token: ReservationToken) -> None: ...

    async def get_spent(self, scope: str) -> Decimal: ...

    async def get_reserved(self, scope: str) -> Decimal: ...

    async def get_budget(self, scope: str) -> Decimal | None: ...

    async def set_budget(self, scope: str, limit: Amount | None, *, unit: Unit | str = Unit.USD) -> None: ...

    async def reservations(self, scope: str | None = None) -> tuple[Reservation, ...]: ...

    async def scopes(self) -> tuple[Usage, ...]: ...

    async def close(self) -> None: ...
