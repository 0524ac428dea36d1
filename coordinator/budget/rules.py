"""What rules consist of: those of agents, categories, approvals and gas. Frozen, and checked in themselves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from actp.errors import InvalidInput
from actp.units import require_address, shown
from coordinator.budget.checks import RESERVED_NAMES, a_name, an_amount, tracked_address
from coordinator.budget.roles import APPROVING_ROLES
from coordinator.budget.words import Period

__all__ = [
    "DAILY_PERIODS", "RATE_PERIODS", "AgentRules", "ApprovalRules", "CategoryRules", "GasRules", "Tier", "addresses",
    "check_limit", "rates",
]  # fmt: skip

RATE_PERIODS = (Period.HOUR, Period.DAY)
"""What a number of requests may be limited for."""
DAILY_PERIODS = (Period.DAY, Period.ROLLING_DAY)
"""What a daily limit may mean."""

_DAY = 86_400
_LONGEST_WAIT = 365 * _DAY


@dataclass(frozen=True, slots=True)
class CategoryRules:
    """A category of purchases; `budget` None is counted and not limited."""

    budget: int | None = None
    period: Period = Period.EVER

    def __post_init__(self) -> None:
        check_limit(self.budget, "budget")
        object.__setattr__(self, "period", Period(self.period))


@dataclass(frozen=True, slots=True)
class AgentRules:
    """A named spender. Limits are inclusive.

    `spending_limit` is the most of one request, `daily_limit` that of a UTC day (or of the last 24 hours, if
    `daily_period` says so), `budget` that of all time; a request above `requires_approval` waits for a yes.
    `providers` and `categories` None are any. `rate` is the most requests in an hour or a day. `address` is for
    people: nothing is paid to it.
    """

    id: str
    name: str
    address: str = ""
    spending_limit: int | None = None
    daily_limit: int | None = None
    requires_approval: int | None = None
    role: str | None = None
    daily_period: Period = Period.DAY
    weekly_limit: int | None = None
    monthly_limit: int | None = None
    budget: int | None = None
    providers: frozenset[str] | None = None
    categories: frozenset[str] | None = None
    rate: Mapping[Period, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        a_name(self.id, "id")
        if self.id in RESERVED_NAMES:
            raise InvalidInput(f"No agent can be called {self.id!r}.", hint="Choose another id.")
        a_name(self.name, "name")
        tracked_address(self.address, "address")
        for name in (
            "spending_limit", "daily_limit", "requires_approval", "weekly_limit", "monthly_limit", "budget",
        ):  # fmt: skip
            check_limit(getattr(self, name), name)
        if self.role is not None:
            a_name(self.role, "role")
        object.__setattr__(self, "daily_period", _one_of(DAILY_PERIODS, self.daily_period, "daily_period"))
        object.__setattr__(self, "providers", addresses(self.providers, "providers"))
        if self.categories is not None:
            object.__setattr__(self, "categories", frozenset(a_name(one, "categories") for one in self.categories))
        object.__setattr__(self, "rate", rates(self.rate))


@dataclass(frozen=True, slots=True)
class Tier:
    """Above `over` base units it takes `required` yeses, whoever asks."""

    over: int
    required: int


@dataclass(frozen=True, slots=True)
class ApprovalRules:
    """Who may say yes, and how many have to.

    `approvers` are the people who may, empty for anybody; besides them the operator of the process (who gives no name)
    and, up to their own `spending_limit`, agents whose role is one of `roles` may. Nobody approves its own request.
    """

    required: int = 1
    approvers: tuple[str, ...] = ()
    seconds: int = _DAY
    tiers: tuple[Tier, ...] = ()
    roles: frozenset[str] = APPROVING_ROLES

    def __post_init__(self) -> None:
        _count(self.required, "required")
        object.__setattr__(self, "approvers", tuple(sorted({a_name(one, "approvers") for one in self.approvers})))
        if type(self.seconds) is not int or not 0 < self.seconds <= _LONGEST_WAIT:
            raise InvalidInput(f"seconds must be an int from 1 to {_LONGEST_WAIT}, not {shown(self.seconds)}.")
        object.__setattr__(self, "tiers", tuple(sorted(self.tiers, key=lambda tier: tier.over)))
        for tier in self.tiers:
            an_amount(tier.over, "tiers.over")
            _count(tier.required, "tiers.required")
        object.__setattr__(self, "roles", frozenset(a_name(one, "roles") for one in self.roles))

    def needed(self, amount: int, *, asked: bool) -> int:
        """How many yeses an amount takes, if its agent's rules (or the request) ask for any, or a tier does."""
        return max([self.required if asked else 0, *(tier.required for tier in self.tiers if amount > tier.over)])


@dataclass(frozen=True, slots=True)
class GasRules:
    """What may be spent on fees, in wei."""

    budget: int
    period: Period = Period.EVER

    def __post_init__(self) -> None:
        an_amount(self.budget, "budget")
        object.__setattr__(self, "period", Period(self.period))


def check_limit(value: object, name: str) -> None:
    """Raises InvalidInput for what is neither None nor an amount."""
    if value is not None:
        an_amount(value, name)


def _count(value: object, name: str) -> None:
    if type(value) is not int or not 1 <= value <= 1_000:
        raise InvalidInput(f"{name} must be an int from 1 to 1,000, not {shown(value)}.")


def _one_of(periods: tuple[Period, ...], value: object, name: str) -> Period:
    for period in periods:
        if value == period:
            return period
    raise InvalidInput(f"{name} {shown(value)} is none of {', '.join(periods)}.")


def addresses(values: Iterable[str] | None, name: str) -> frozenset[str] | None:
    """Addresses with their checksums; None stays None. Raises InvalidInput."""
    return None if values is None else frozenset(require_address(one, name) for one in values)


def rates(rate: Mapping[Period, int]) -> Mapping[Period, int]:
    """Numbers of requests by period. Raises InvalidInput."""
    for period, most in rate.items():
        _one_of(RATE_PERIODS, period, "rate")
        an_amount(most, f"rate.{period}")
    return MappingProxyType({Period(period): most for period, most in rate.items()})
