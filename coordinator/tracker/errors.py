"""What trackers raise on purpose, besides InvalidInput for arguments that are wrong in themselves.

CoordinatorError
`- TrackerError
   |- BudgetExceededError    it does not fit: the denial, as an exception because the interface wants that
   |- UnitMismatch           dollars where USDC is counted, or the other way round
   |- UnknownToken           the ledger has never given out this token, or has forgotten it
   |- ForeignToken           a token of another ledger, or one whose contents were changed
   |- TokenUsed              a reservation that has ended, and otherwise
   |- SpendingStopped        a guarded call was not begun, as everything was stopped before
   `- TrackerUnavailable     the ledger did not answer, or could not do it

`NotCharged` is for guarded calls to raise: it says of themselves that they cost nothing.
"""

from __future__ import annotations

from decimal import Decimal

from coordinator import measures
from coordinator.errors import CoordinatorError
from coordinator.tracker.money import amount_of
from coordinator.tracker.words import LARGEST, LONGEST_NAME, Reason, TokenState, Unit

__all__ = [
    "BudgetExceededError",
    "ForeignToken",
    "NotCharged",
    "SpendingStopped",
    "TokenUsed",
    "TrackerError",
    "TrackerUnavailable",
    "UnitMismatch",
    "UnknownToken",
    "exceeded",
    "shown_scope",
    "too_much",
]

_LONGEST_SHOWN = 80


def shown_scope(name: str) -> str:
    """A scope's name as a sentence may show it: the middle of a long one is left out."""
    assert len(name) <= LONGEST_NAME
    return name if len(name) <= _LONGEST_SHOWN else f"{name[:50]}…{name[-20:]}"


class TrackerError(CoordinatorError):
    """Base of what trackers raise."""

    default_code = "tracker_error"


class BudgetExceededError(TrackerError):
    """A reservation that was denied; nothing changed. `scope` is the one that it does not fit into, `limit` that one's
    (None if neither it nor a scope before it has any), `spent` and `reserved` what is used of it, and `requested` what
    was asked for, all in `unit` as `get_spent` gives them. `reason` says what kind of denial it is.
    """

    default_code = "budget_exceeded"

    def __init__(
        self,
        scope: str,
        limit: Decimal | None,
        spent: Decimal,
        reserved: Decimal,
        *,
        requested: Decimal | None = None,
        unit: Unit = Unit.USD,
        reason: Reason | None = None,
    ) -> None:
        if reason is None:
            over = limit is not None and spent > limit
            reason = Reason.NO_LIMIT if limit is None else Reason.OVERRUN if over else Reason.LIMIT
        asked = "" if requested is None else f"{_money(requested, unit)} does not fit: "
        name = shown_scope(scope)
        if limit is None:
            message = f"{asked}{name} has no limit, and no scope before it has one."
            hint = "Give it one with set_budget: nothing is spent without a limit."
        else:
            used = f"{_money(spent, unit)} is spent and {_money(reserved, unit)} reserved"
            message = f"{asked}{name} has a limit of {_money(limit, unit)}, of which {used}."
            wait = "Wait until reservations end, ask" if reserved else "Ask"
            hint = (
                "Something cost more than was reserved for it: raise the limit, or stop."
                if reason is Reason.OVERRUN
                else f"{wait} for less, or raise the limit."
            )
        super().__init__(message, hint=hint, retryable=reason is Reason.LIMIT and reserved > 0)
        self.scope = scope
        self.limit = limit
        self.spent = spent
        self.reserved = reserved
        self.requested = requested
        self.unit = unit
        self.reason = reason


def exceeded(
    scope: str, limit: int | None, spent: int, reserved: int, requested: int, unit: Unit
) -> BudgetExceededError:
    """The denial of a reservation, from micros; it is counted."""
    error = BudgetExceededError(
        scope,
        None if limit is None else amount_of(limit, unit),
        amount_of(spent, unit),
        amount_of(reserved, unit),
        requested=amount_of(requested, unit),
        unit=unit,
    )
    measures.rejected(scope, error.reason.value)
    return error


def too_much(scope: str) -> TrackerError:
    """What a commit raises whose sum no tracker can count. Nothing changed."""
    return TrackerError(
        f"{shown_scope(scope)} would have spent more than a tracker can count ({LARGEST} millionths).",
        code="overflow",
        hint="Check the actual cost: it is recorded nowhere.",
    )


def _money(amount: Decimal, unit: Unit) -> str:
    return f"${amount:,f}" if unit is Unit.USD else f"{amount:,f} base units of USDC"


class UnitMismatch(TrackerError, ValueError):
    """`scope` counts `expected`, and `given` was asked for. Nothing changed."""

    default_code = "unit_mismatch"

    def __init__(self, scope: str, *, expected: Unit, given: Unit) -> None:
        super().__init__(
            f"{shown_scope(scope)} counts {expected.value}, not {given.value}.",
            hint=f'Say unit="{expected.value}", or use another scope for {given.value}.',
        )
        self.scope = scope
        self.expected = expected
        self.given = given


class UnknownToken(TrackerError):
    """The ledger knows no reservation of this token."""

    default_code = "unknown_token"

    def __init__(self, token_id: str) -> None:
        super().__init__(
            f"There is no reservation {token_id}.",
            hint="It was never made here, or ended so long ago that it is forgotten. Nothing was changed.",
        )
        self.token_id = token_id


class ForeignToken(TrackerError):
    """A token of another ledger, or one that is not as it was given out. Nothing changed."""

    default_code = "foreign_token"

    def __init__(self, token_id: str, what: str) -> None:
        super().__init__(
            f"The token {token_id} {what}.", hint="Use the token that reserve has returned, with the same tracker."
        )
        self.token_id = token_id


class TokenUsed(TrackerError):
    """The reservation has ended as `state`; `actual` is what was committed, if it was. Nothing changed."""

    default_code = "token_used"

    def __init__(self, token_id: str, state: TokenState, actual: Decimal | None = None) -> None:
        spent = "" if actual is None else f" with {actual:f}"
        super().__init__(
            f"The reservation {token_id} is {state.value} already{spent}.",
            hint="Each reservation ends once: reserve anew for what is spent besides.",
        )
        self.token_id = token_id
        self.state = state
        self.actual = actual


class SpendingStopped(TrackerError):
    """A call that was not begun: a `Stop` is set. `denial` is the one that set it, if one did."""

    default_code = "spending_stopped"

    def __init__(self, why: str, denial: BudgetExceededError | None = None) -> None:
        super().__init__(f"Spending was stopped: {why}", hint="Raise the limit and begin again, or leave it at that.")
        self.denial = denial


class NotCharged(Exception):
    """Raised by a guarded call that has failed before it could cost anything: what was reserved for it is released.

    It speaks for the innermost guarded call that it leaves. For one around that it is a failure like any other.
    """

    settled = False


class TrackerUnavailable(TrackerError):
    """The ledger did not answer, or could not do what was asked. Retryable, unless it was set up wrongly.

    `outcome` is `unknown` if it may have been done: doing a commit or a release again is safe, and a reservation whose
    token nobody got ends when it expires. It is `not_sent` if nothing was done: it was only read,
    or nobody was there to be told.
    """

    default_code = "tracker_unavailable"
