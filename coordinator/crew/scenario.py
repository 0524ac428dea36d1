"""What a crew buys, from whom, and how each purchase ends: the model of a scenario file.

Amounts are base units (ints) once read, times are seconds. A model that exists is free of contradictions: everything
that can be refused without a chain is refused here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from actp.errors import InvalidInput
from actp.units import format_usdc, usdc
from coordinator.crew.durations import parse_duration

__all__ = [
    "SLACK_SECONDS",
    "TABLES",
    "Accepted",
    "Agent",
    "Agreed",
    "BlockedPayee",
    "Contradiction",
    "Disputed",
    "Ending",
    "Provider",
    "Purchase",
    "Scenario",
    "SettledByBot",
    "SilentProvider",
    "Treasury",
]

SLACK_SECONDS = 600
"""Time that must lie between two moments that depend on each other: every step takes a block, and so a second."""

_MIN_AMOUNT = usdc("0.05")
_MAX_AMOUNT = usdc("1000000000")
_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,15}", re.ASCII)
_HOUR = 3_600
_MIN_WINDOW, _MAX_WINDOW = _HOUR, 30 * 24 * _HOUR
_MAX_DEADLINE = 365 * 24 * _HOUR
_MAX_COPIES = 100


class Contradiction(ValueError):
    """Something in a scenario that cannot be. `at` is the key path of the culprit, below the table that was read."""

    def __init__(self, text: str, *, at: str = "") -> None:
        super().__init__(text)
        self.at = at


def _amount(value: object) -> int:
    if not isinstance(value, str):
        shown = f', for example "{value}"' if isinstance(value, (int, float)) and not isinstance(value, bool) else ""
        raise Contradiction(f"write an amount of USDC as a string in quotes{shown or ', for example ' + repr('0.05')}")
    try:
        return usdc(value)
    except InvalidInput as error:
        raise Contradiction(
            f'{error.message} Allowed: digits with up to six decimals, for example "150" or "0.05"'
        ) from None


def _price(amount: int) -> int:
    if not _MIN_AMOUNT <= amount <= _MAX_AMOUNT:
        raise Contradiction(
            f"{format_usdc(amount)} USDC is not allowed: a purchase is worth {format_usdc(_MIN_AMOUNT)} to "
            f"{format_usdc(_MAX_AMOUNT)} USDC"
        )
    return amount


def _funding(amount: int) -> int:
    if amount > _MAX_AMOUNT:
        raise Contradiction(f"must be at most {format_usdc(_MAX_AMOUNT)} USDC")
    return amount


def _duration(value: object) -> int:
    if not isinstance(value, str):
        raise Contradiction('write a duration as a string in quotes, for example "30m", "2h" or "1d 12h"')
    try:
        return parse_duration(value)
    except ValueError as error:
        raise Contradiction(f'{error}. Allowed: minutes, hours and days, for example "30m", "2h" or "1d 12h"') from None


def _printable(text: str) -> str:
    if not text.isprintable() or not text.strip():
        raise Contradiction("must be one line of printable text")
    return text.strip()


def _id(text: str) -> str:
    if not _ID.fullmatch(text):
        raise Contradiction(
            f"{text!r} is no id: lower-case letters, digits and hyphens, at most 16, for example 'gpu-1'"
        )
    return text


Amount = Annotated[int, BeforeValidator(_amount)]
Funding = Annotated[Amount, AfterValidator(_funding)]
Price = Annotated[Amount, AfterValidator(_price)]
Duration = Annotated[int, BeforeValidator(_duration)]
Id = Annotated[str, AfterValidator(_id)]
Name = Annotated[str, Field(max_length=32), AfterValidator(_printable)]
Line = Annotated[str, Field(max_length=120), AfterValidator(_printable)]


class Table(BaseModel):
    """One table of the file. A key that nobody reads is a mistake of whoever wrote it, so it is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    @classmethod
    def keys(cls) -> tuple[str, ...]:
        """The keys that the table may have in a file."""
        return tuple(field.alias or name for name, field in cls.model_fields.items())


class Treasury(Table):
    """The account whose key pays for all agents."""

    name: Name = "Treasury"
    funding: Funding


class Agent(Table):
    """A named spender. It holds no key: the treasury pays on its behalf."""

    id: Id
    name: Name


class Provider(Table):
    """Who delivers and is paid. `funding` is what it owns already, which it needs only for a dispute of its own."""

    id: Id
    name: Name
    funding: Funding = 0


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


_ENDINGS: tuple[type[Table], ...] = (Accepted, SettledByBot, Disputed, Agreed, SilentProvider, BlockedPayee)
Ending = Accepted | SettledByBot | Disputed | Agreed | SilentProvider | BlockedPayee


class Purchase(Table):
    """One purchase. The deadline and the delivery count from the order, the dispute window from the delivery.

    With `copies` it is that many equal transactions of `amount` each, paid, delivered and settled as one batch.
    """

    id: Id
    agent: str
    provider: str
    amount: Price
    purpose: Line
    ordered_after_seconds: Duration = Field(default=0, alias="ordered_after")
    deadline_seconds: Duration = Field(alias="deadline")
    dispute_window_seconds: Duration = Field(default=48 * _HOUR, alias="dispute_window")
    delivered_after_seconds: Duration | None = Field(default=None, alias="delivered_after")
    milestones: Annotated[tuple[Price, ...], Field(strict=False)] = ()
    copies: Annotated[int, Field(ge=1, le=_MAX_COPIES)] = 1
    reply_lost: bool = False
    ending: Annotated[Ending, Field(discriminator="kind"), BeforeValidator(_ending)]

    @property
    def remaining(self) -> int:
        """What the escrow holds once all milestones are paid."""
        return self.amount - sum(self.milestones)

    @property
    def total(self) -> int:
        """What all copies cost."""
        return self.amount * self.copies

    @property
    def starts(self) -> bool:
        """Whether the provider takes the job."""
        return not isinstance(self.ending, SilentProvider) or self.ending.starts

    @property
    def dispute(self) -> Disputed:
        """The ending of a purchase that is disputed. Raises TypeError for another one."""
        if not isinstance(self.ending, Disputed):
            raise TypeError(f"purchase {self.id!r} ends as {self.ending.kind}")
        return self.ending

    @property
    def agreement(self) -> Agreed:
        """The ending of a purchase whose parties agree on a split. Raises TypeError for another one."""
        if not isinstance(self.ending, Agreed):
            raise TypeError(f"purchase {self.id!r} ends as {self.ending.kind}")
        return self.ending

    @property
    def delivery_seconds(self) -> int:
        """From the order to the delivery; half the time up to the deadline unless the file says otherwise."""
        chosen = self.delivered_after_seconds
        return self.deadline_seconds // 2 if chosen is None else chosen

    @model_validator(mode="after")
    def _refuse_contradictions(self) -> Purchase:
        if not 2 * SLACK_SECONDS <= self.deadline_seconds <= _MAX_DEADLINE:
            raise Contradiction("must be 20m to 365d", at="deadline")
        if not _MIN_WINDOW <= self.dispute_window_seconds <= _MAX_WINDOW:
            raise Contradiction("must be 1h to 30d", at="dispute_window")
        if isinstance(self.ending, SilentProvider):
            if self.delivered_after_seconds is not None:
                raise Contradiction("the ending is silent_provider, which never delivers", at="delivered_after")
        elif not SLACK_SECONDS <= self.delivery_seconds <= self.deadline_seconds - SLACK_SECONDS:
            raise Contradiction(
                "must be at least 10m after the order and at least 10m before the deadline", at="delivered_after"
            )
        if self.milestones and not self.starts:
            raise Contradiction("the provider never starts, and milestones are paid for work", at="milestones")
        if self.remaining < 0:
            raise Contradiction(
                f"they sum to {format_usdc(sum(self.milestones))} USDC, and the amount is "
                f"{format_usdc(self.amount)} USDC",
                at="milestones",
            )
        self._check_batch()
        if isinstance(self.ending, Agreed):
            self._check_split(self.ending, "an agreement")
            if self.ending.agreed_after_seconds + SLACK_SECONDS > self.dispute_window_seconds:
                raise Contradiction(
                    "must be at least 10m before the end of the dispute_window", at="ending.agreed_after"
                )
        if isinstance(self.ending, Disputed):
            self._check_split(self.ending, "a ruling")
            self._check_dispute(self.ending)
        return self

    def _check_batch(self) -> None:
        if self.copies == 1:
            return
        if not isinstance(self.ending, (Accepted, SettledByBot)):
            raise Contradiction("several copies can only be accepted or settled_by_bot", at="ending")
        if self.milestones:
            raise Contradiction("several copies have no milestones", at="milestones")
        if self.reply_lost:
            raise Contradiction("only the reply to a single payment can be lost", at="reply_lost")

    def _check_split(self, split: Disputed | Agreed, name: str) -> None:
        total = split.requester_gets + split.provider_gets
        if total != self.remaining:
            after = " after the milestones" if self.milestones else ""
            raise Contradiction(
                f"requester_gets and provider_gets sum to {format_usdc(total)} USDC, and the escrow holds "
                f"{format_usdc(self.remaining)} USDC{after}: {name} shares out all of it, no more and no less",
                at="ending",
            )

    def _check_dispute(self, dispute: Disputed) -> None:
        if dispute.opened_after_seconds + SLACK_SECONDS > self.dispute_window_seconds:
            raise Contradiction("must be at least 10m before the end of the dispute_window", at="ending.opened_after")
        if dispute.ruled_after_seconds >= _MAX_WINDOW:
            raise Contradiction(
                "must be less than 30d, since anyone may close an older dispute", at="ending.ruled_after"
            )


class Scenario(Table):
    """A whole file."""

    title: Line
    treasury: Treasury
    agents: Annotated[tuple[Agent, ...], Field(min_length=1, strict=False)]
    providers: Annotated[tuple[Provider, ...], Field(min_length=1, strict=False)]
    purchases: Annotated[tuple[Purchase, ...], Field(min_length=1, max_length=100, strict=False)]

    @model_validator(mode="after")
    def _refuse_contradictions(self) -> Scenario:
        known = {"agent": {one.id for one in self.agents}, "provider": {one.id for one in self.providers}}
        for table, ids in (
            ("agents", [one.id for one in self.agents]),
            ("providers", [one.id for one in self.providers]),
            ("purchases", [one.id for one in self.purchases]),
        ):
            for index, own_id in enumerate(ids):
                if own_id in ids[:index]:
                    raise Contradiction(f"'{own_id}' is the id of an earlier entry", at=f"{table}[{index}].id")
        for index, purchase in enumerate(self.purchases):
            for role, wanted in (("agent", purchase.agent), ("provider", purchase.provider)):
                if wanted not in known[role]:
                    raise Contradiction(
                        f"there is no {role} '{wanted}'; {role}s are {', '.join(sorted(known[role]))}",
                        at=f"purchases[{index}].{role}",
                    )
        cost = sum(purchase.total for purchase in self.purchases)
        if cost > self.treasury.funding:
            raise Contradiction(
                f"the purchases cost {format_usdc(cost)} USDC, and the treasury gets "
                f"{format_usdc(self.treasury.funding)} USDC",
                at="treasury.funding",
            )
        return self

    def agent(self, agent_id: str) -> Agent:
        """The agent of this id."""
        return next(agent for agent in self.agents if agent.id == agent_id)

    def provider(self, provider_id: str) -> Provider:
        """The provider of this id."""
        return next(provider for provider in self.providers if provider.id == provider_id)


TABLES: Mapping[str, type[Table]] = {
    "": Scenario,
    "treasury": Treasury,
    "agents": Agent,
    "providers": Provider,
    "purchases": Purchase,
    **{f"purchases.ending.{kind}": table for kind, table in zip(_KINDS, _ENDINGS, strict=True)},
}
"""The tables of a file by where they are."""
