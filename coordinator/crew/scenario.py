"""What a crew buys, from whom, and how each purchase ends: the model of a scenario file.

Amounts are base units (ints) once read, times are seconds. A model that exists is free of contradictions: everything
that can be refused without a chain is refused here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

from pydantic import Field, model_validator

from actp.units import format_usdc
from coordinator.crew.endings import ENDINGS, Accepted, Agreed, AnyEnding, Disputed, SettledByBot, SilentProvider
from coordinator.crew.fields import Contradiction, Duration, Id, Line, Price, Table
from coordinator.crew.spenders import Agent, Budget, Denied, Provider, Treasury

__all__ = ["SLACK_SECONDS", "TABLES", "Purchase", "Scenario"]

SLACK_SECONDS = 600
"""Time that must lie between two moments that depend on each other: every step takes a block, and so a second."""

_HOUR = 3_600
_MIN_WINDOW, _MAX_WINDOW = _HOUR, 30 * 24 * _HOUR
_USUAL_WINDOW = 48 * _HOUR
_MIN_DEADLINE, _MAX_DEADLINE = 2 * _HOUR, 365 * 24 * _HOUR
_MIN_EXPIRY = 1_800
_MAX_COPIES = 100


class Purchase(Table):
    """One purchase. The deadline and the delivery count from the order, the dispute window from the delivery.

    With `copies` it is that many equal transactions of `amount` each, paid, delivered and settled as one batch.
    """

    id: Id
    agent: str
    provider: str
    amount: Price
    category: str | None = None
    purpose: Line
    ordered_after_seconds: Duration = Field(default=0, alias="ordered_after")
    deadline_seconds: Duration = Field(alias="deadline")
    chosen_window_seconds: Duration | None = Field(default=None, alias="dispute_window")
    delivered_after_seconds: Duration | None = Field(default=None, alias="delivered_after")
    milestones: Annotated[tuple[Price, ...], Field(strict=False)] = ()
    copies: Annotated[int, Field(ge=1, le=_MAX_COPIES)] = 1
    reply_lost: bool = False
    ending: AnyEnding

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
    def dispute_window_seconds(self) -> int:
        """How long a delivery may be disputed; half the time up to the deadline, two days at most, unless the file
        says otherwise.
        """
        chosen = self.chosen_window_seconds
        return min(self.deadline_seconds // 2, _USUAL_WINDOW) if chosen is None else chosen

    @property
    def delivery_seconds(self) -> int:
        """From the order to the delivery; half the time up to the deadline unless the file says otherwise."""
        chosen = self.delivered_after_seconds
        return self.deadline_seconds // 2 if chosen is None else chosen

    @model_validator(mode="after")
    def _refuse_contradictions(self) -> Purchase:
        if not _MIN_DEADLINE <= self.deadline_seconds <= _MAX_DEADLINE:
            raise Contradiction("must be 2h to 365d", at="deadline")
        if not _MIN_WINDOW <= self.dispute_window_seconds <= _MAX_WINDOW:
            raise Contradiction("must be 1h to 30d", at="dispute_window")
        if self.dispute_window_seconds >= self.deadline_seconds:
            raise Contradiction("must be shorter than the deadline", at="dispute_window")
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
    budget: Budget = Field(default_factory=Budget)
    agents: Annotated[tuple[Agent, ...], Field(min_length=1, strict=False)]
    providers: Annotated[tuple[Provider, ...], Field(min_length=1, strict=False)]
    purchases: Annotated[tuple[Purchase, ...], Field(min_length=1, max_length=100, strict=False)]
    denied: Annotated[tuple[Denied, ...], Field(max_length=100, strict=False)] = ()

    @model_validator(mode="after")
    def _refuse_contradictions(self) -> Scenario:
        for table, ids, others in (
            ("agents", [one.id for one in self.agents], ()),
            ("providers", [one.id for one in self.providers], ()),
            ("purchases", [one.id for one in self.purchases], ()),
            ("denied", [one.id for one in self.denied], [one.id for one in self.purchases]),
        ):
            for index, own_id in enumerate(ids):
                if own_id in ids[:index] or own_id in others:
                    raise Contradiction(f"'{own_id}' is the id of an earlier entry", at=f"{table}[{index}].id")
        agents, providers = [one.id for one in self.agents], [one.id for one in self.providers]
        categories = list(self.budget.categories)
        for index, allowed in enumerate(self.budget.providers or ()):
            _require("provider", allowed, providers, at=f"budget.providers[{index}]")
        for index, purchase in enumerate(self.purchases):
            at = f"purchases[{index}]"
            _require("agent", purchase.agent, agents, at=f"{at}.agent")
            _require("provider", purchase.provider, providers, at=f"{at}.provider")
            if purchase.category is not None:
                _require("category", purchase.category, categories, at=f"{at}.category")
        for index, denied in enumerate(self.denied):
            _require("provider", denied.provider, providers, at=f"denied[{index}].provider")
        if not _MIN_EXPIRY <= self.budget.approvals_expire_after_seconds <= _MAX_WINDOW:
            raise Contradiction("must be 30m to 30d", at="budget.approvals_expire_after")
        cost = sum(purchase.total for purchase in self.purchases)
        if cost > self.treasury.funding:
            raise Contradiction(
                f"the purchases cost {format_usdc(cost)} USDC, and the treasury gets "
                f"{format_usdc(self.treasury.funding)} USDC",
                at="treasury.funding",
            )
        return self

    @property
    def total_budget(self) -> int:
        """What all agents may spend together."""
        return self.treasury.funding if self.budget.total is None else self.budget.total

    def agent(self, agent_id: str) -> Agent:
        """The agent of this id."""
        return next(agent for agent in self.agents if agent.id == agent_id)

    def knows(self, agent_id: str) -> bool:
        """Whether this agent is registered."""
        return any(agent.id == agent_id for agent in self.agents)

    def name_of_agent(self, agent_id: str) -> str:
        """Its name, or the id itself of one that nobody has registered."""
        return self.agent(agent_id).name if self.knows(agent_id) else agent_id

    def provider(self, provider_id: str) -> Provider:
        """The provider of this id."""
        return next(provider for provider in self.providers if provider.id == provider_id)


def _require(kind: str, wanted: str, known: Sequence[str], *, at: str) -> None:
    if wanted not in known:
        plural = "categories" if kind == "category" else f"{kind}s"
        raise Contradiction(f"there is no {kind} '{wanted}'; {plural} are {', '.join(sorted(known)) or 'none'}", at=at)


TABLES: Mapping[str, type[Table]] = {
    "": Scenario,
    "treasury": Treasury,
    "budget": Budget,
    "denied": Denied,
    "agents": Agent,
    "providers": Provider,
    "purchases": Purchase,
    **{f"purchases.ending.{kind}": table for kind, table in ENDINGS.items()},
}
"""The tables of a file by where they are."""
