"""How a purchase ends: a table for each kind of ending."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from coordinator.crew.fields import Amount, Contradiction, Duration, Line, Table

__all__ = [
    "ENDINGS",
    "Accepted",
    "Agreed",
    "AnyEnding",
    "BlockedPayee",
    "Disputed",
    "Ending",
    "SettledByBot",
    "SilentProvider",
]

_HOUR = 3_600


class Accepted(Table):
    """The requester settles as soon as the work is delivered."""

    kind: Literal["accepted"]


class SettledByBot(Table):
    """The requester says nothing; a third party settles once the dispute window is over."""

    kind: Literal["settled_by_bot"]


class Disputed(Table):
    """A party disputes the delivery; the arbiter splits what the escrow still holds."""

    kind: Literal["disputed"]
    opened_by: Literal["requester", "provider"] = "requester"
    opened_after_seconds: Duration = Field(default=1_800, alias="opened_after")
    reason: Line
    requester_gets: Amount
    provider_gets: Amount
    provider_at_fault: bool
    ruled_after_seconds: Duration = Field(default=24 * _HOUR, alias="ruled_after")


class Agreed(Table):
    """After the delivery the parties agree on a split, sign it, and end the transaction by it."""

    kind: Literal["agreed"]
    agreed_after_seconds: Duration = Field(default=1_800, alias="agreed_after")
    requester_gets: Amount
    provider_gets: Amount


class SilentProvider(Table):
    """The provider takes the job, or not even that, and never delivers; the requester reclaims after the deadline."""

    kind: Literal["silent_provider"]
    starts: bool = True


class BlockedPayee(Table):
    """The token blocks the provider, so the settlement leaves it a credit, withdrawn once it is unblocked."""

    kind: Literal["blocked_payee"]
    unblocked_after_seconds: Duration = Field(default=24 * _HOUR, alias="unblocked_after")


_KINDS = ("accepted", "settled_by_bot", "disputed", "agreed", "silent_provider", "blocked_payee")


def _ending(value: object) -> object:
    """A bare word stands for an ending without details."""
    table = {"kind": value} if isinstance(value, str) else value
    if not isinstance(table, Mapping) or "kind" not in table:
        raise Contradiction(f"needs a kind, one of {', '.join(_KINDS)}")
    if table["kind"] not in _KINDS:
        raise Contradiction(f"{table['kind']!r} is no kind of ending; the kinds are {', '.join(_KINDS)}")
    return table


ENDINGS: Mapping[str, type[Table]] = dict(
    zip(_KINDS, (Accepted, SettledByBot, Disputed, Agreed, SilentProvider, BlockedPayee), strict=True)
)
"""The tables by their kinds."""
Ending = Accepted | SettledByBot | Disputed | Agreed | SilentProvider | BlockedPayee
AnyEnding = Annotated[Ending, Field(discriminator="kind"), BeforeValidator(_ending)]
