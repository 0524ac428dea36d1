"""The coordinator: agents that share one treasury, each within its limits."""

from __future__ import annotations

import logging
import weakref
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Self

from actp.client import ACTPClient
from actp.engine.store import Store
from actp.errors import ConfigError, InvalidInput
from actp.units import shown
from coordinator import spans
from coordinator.alerts.addresses import Address, read_addresses
from coordinator.api.amending import CategoryBudgets, Rules, Whitelist, with_budgets
from coordinator.api.background import Background, Funding
from coordinator.api.home import payer_of, store_of
from coordinator.api.records import AgentConfig, BudgetReport, SpendingRecord, SpendingResponse
from coordinator.api.responses import GRANTED, NOT_FOUND, already_answered, of_answer, of_reservation
from coordinator.api.views import Views
from coordinator.authority import Authority, KeyTaken
from coordinator.budget.requests import SpendingRequest, ask_of
from coordinator.budget.rulebook import RuleBook
from coordinator.budget.wording import decimals
from coordinator.budget.words import Answer, Ask, ReservationState
from coordinator.errors import UnknownApproval
from coordinator.lifecycle import Lifecycle
from coordinator.policy import PolicySettings
from coordinator.store import open_ledger, pauses
from coordinator.store.accounts import Account
from coordinator.store.pauses import Pause
from coordinator.worker import Worker

__all__ = ["BudgetCoordinator"]

_log = logging.getLogger(__name__)
_DAY_SECONDS = 86_400


class BudgetCoordinator:
    """Decides about what agents want to spend out of one treasury, and funds what it grants. Thread-safe; several
    processes may serve one treasury over one database. `asyncio.to_thread` is the way in for async callers.

    Opening a ledger that exists goes on from what is in it: another `total_budget` is a change of that limit, and
    neither agents nor what was spent are forgotten.
    """

    def __init__(
        self,
        client: ACTPClient,
        total_budget: int | None = None,
        *,
        rules: RuleBook | str | Path | None = None,
        store: Store | str | None = None,
        worker: bool = True,
        wait_seconds: float = 120.0,
        policy: PolicySettings | None = None,
        standing_allowance: int | None = None,
        alerts: Sequence[Address] | None = None,
        by: str = "operator",
        verbose: bool = False,
    ) -> None:
        """`client` is the treasury's. `total_budget` is in base units; it may be left out if `rules` (a RuleBook, or
        the path of a TOML file of rules, which replace all that held before) or the ledger have one. As long as none of
        them has, everything is denied.

        `store` is where the ledger is; see `coordinator.api.home.store_of` for where if it is left out. `worker`: fund
        what is granted from this process; without, `coordinator run worker` does. `wait_seconds` is how long a request
        waits for its funding. `policy` are rules of the lifecycle besides the budget's, `standing_allowance` is what
        the vault may take at least whenever its allowance is raised (the total budget, unless told). `alerts` are who
        is told of alerts, else those in the environment variable ACTP_ALERT_URLS. Changes of rules are journalled as
        `by`'s. `verbose` prints what a script's reader wants to see instead of logging it: a library
        says nothing on standard output that nobody has asked for.

        Raises ConfigError, InvalidInput, StoreError (a database from a newer version is one).
        """
        self.client = client
        self.verbose = verbose
        self._payer = payer_of(client)
        store, owned = store_of(client, store)
        self._account = Account(client.chain_id, client.address)
        self._by = by
        self._background: Background | None = None
        try:
            store.bind(client.chain_id, client.genesis)
            self._authority = Authority(open_ledger(store), self._account, token=client.token.address)
            self._rules = Rules(self._authority, by)
            self._rules.open(total_budget, rules)
            if worker:
                held = self._rules  # not `self`, which the worker's thread would keep alive
                lifecycle = Lifecycle(
                    client,
                    store=store,
                    policy=policy,
                    standing_allowance=(lambda: held.book.total_budget or 0)
                    if standing_allowance is None
                    else standing_allowance,
                )
                addresses = read_addresses() if alerts is None else alerts
                self._background = Background(Worker(client, self._authority, lifecycle, addresses=addresses).run)
        except BaseException:
            if owned:
                store.close()
            raise
        self._finalizer = weakref.finalize(self, _close, self._background, self._authority, store if owned else None)
        self._views = Views(self._authority)
        self._funding = Funding(self._authority, self._background, wait_seconds)
        self.reset_interval = _DAY_SECONDS * 1_000
        """Milliseconds: a day."""
        self.last_reset = self._today() * 1_000
        """Unix milliseconds at which the day began whose spending `spending` shows."""

    def __repr__(self) -> str:
        return f"BudgetCoordinator({self._account.wallet}, {self._authority.ledger!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the worker's thread, and closes what this object has opened. What is under way goes on when a
        coordinator is opened again.
        """
        self._finalizer()

    # ---------------------------------------------------------------- agents and rules

    def register_agent(self, config: AgentConfig) -> None:
        """Registers an agent, or gives it other limits. Raises InvalidInput."""
        agent = self._rules.register(config)
        self._say(f"✅ Registered agent: {agent.name}")
        for what, limit in (("Per-tx limit", agent.spending_limit), ("Daily limit", agent.daily_limit)):
            self._say(f"   {what}: {'none' if limit is None else f'{decimals(limit)} USDC'}")

    def remove_agent(self, agent_id: str) -> None:
        """Takes an agent off the list: what it asks for from now on is denied. Raises KeyError if it is not on it."""
        if agent_id not in self._rules.book.agents:
            raise KeyError(agent_id)
        self._rules.amend(
            lambda book: replace(book, agents={name: one for name, one in book.agents.items() if name != agent_id})
        )

    def apply_rules(self, rules: RuleBook | str | Path) -> int:
        """Makes these rules hold, instead of all that held before; their version. Raises RulesError, InvalidInput."""
        return self._rules.replace_all(rules)

    @property
    def rules(self) -> RuleBook:
        """All rules that hold."""
        return self._rules.book

    @property
    def agents(self) -> dict[str, AgentConfig]:
        """The registered agents by id."""
        return {name: AgentConfig.of(agent) for name, agent in self._rules.book.agents.items()}

    @property
    def total_budget(self) -> int:
        """Base units that may be spent in all. Assigning it changes the limit, and nothing that was spent."""
        return self._rules.book.total_budget or 0

    @total_budget.setter
    def total_budget(self, amount: int) -> None:
        self._rules.amend(lambda book: replace(book, total_budget=amount))

    @property
    def category_budgets(self) -> CategoryBudgets:
        """Budgets by category, which can be changed as a dict is; assigning a mapping replaces all of them."""
        return CategoryBudgets(self._rules)

    @category_budgets.setter
    def category_budgets(self, budgets: Mapping[str, int | None]) -> None:
        self._rules.amend(lambda book: with_budgets(book, budgets))

    @property
    def default_category(self) -> str | None:
        """What a request is that names no category: "other", whose budget limits it then, or None if no category's
        budget does; see README.md. It can be assigned.
        """
        return self._rules.book.default_category

    @default_category.setter
    def default_category(self, category: str | None) -> None:
        self._rules.amend(lambda book: replace(book, default_category=category))

    @property
    def provider_whitelist(self) -> Whitelist | None:
        """The only addresses that may be paid, None if anybody may be. It can be changed as a set is, and assigned."""
        return None if self._rules.book.providers is None else Whitelist(self._rules)

    @provider_whitelist.setter
    def provider_whitelist(self, providers: Collection[str] | None) -> None:
        listed = None if providers is None else frozenset(providers)
        self._rules.amend(lambda book: replace(book, providers=listed))

    # ---------------------------------------------------------------- spending

    def request_spending(self, request: SpendingRequest, *, wait: bool = True) -> SpendingResponse:
        """Decides about a request, and waits until what is granted lies in escrow, at most `wait_seconds`; without
        `wait` it returns at once, and the worker goes on.

        A denial is a response. Granted and not funded in time is `approved` with the `state` in which it is then; a
        funding that failed is not, and its budget has returned. Raises InvalidInput for what is no request, KeyTaken if
        its key stands for another one, StoreError; asking again with the same key is safe then.
        """
        self._require_open()
        if not isinstance(request, SpendingRequest):
            raise InvalidInput(f"A SpendingRequest is needed, not {type(request).__name__}.")
        ask = ask_of(request, self._payer)
        with spans.span("request", ask.transaction_id, first=True, agent=ask.agent, amount=ask.amount) as span:
            answer = self._authority.request(ask)
            span.first = not answer.replayed  # a trace has one first span
            self._require_same_purpose(ask, answer)
            return self._complete(answer, ask.agent, wait=wait)

    def approve_spending(
        self, approval_id: str, approver: str | None = None, reason: str = "", *, wait: bool = True
    ) -> SpendingResponse:
        """Says yes to a request that waits, as `approver`, or without a name as the operator of this process. With the
        last yes that it needs it is decided again, under the rules of now, and funded as by `request_spending`.

        A yes that does not count, and one to what was answered or has expired, is a response that says so. Raises
        InvalidInput, StoreError.
        """
        self._require_open()
        try:
            answer = self._authority.approve(approval_id, approver, reason)
        except UnknownApproval:
            return NOT_FOUND
        if answer.replayed:
            return already_answered(answer)
        row = self._authority.find(answer.reservation_id)
        assert row is not None
        response = self._complete(answer, row.agent, wait=wait)
        if answer.state is ReservationState.PENDING_APPROVAL and answer.denial is None:
            return replace(response, reason=f"More approvals are needed. Approval ID: {approval_id}")
        return response

    def reject_spending(self, approval_id: str, reason: str = "", approver: str | None = None) -> SpendingResponse:
        """Says no to a request that waits: its budget is free again. Answers and raises as `approve_spending`."""
        try:
            answer = self._authority.reject(approval_id, approver, reason)
        except UnknownApproval:
            return NOT_FOUND
        if answer.replayed:
            return already_answered(answer)
        if answer.state is not ReservationState.PENDING_APPROVAL:
            self._say(f"❌ Spending rejected: {reason}")
        return of_answer(answer)

    def accept_quote(
        self, approval_id: str, amount: int, *, quoted_at: int | None = None, wait: bool = True
    ) -> SpendingResponse:
        """Takes a provider's offer, in base units, for a request that waits: the request ends, and one for `amount` is
        decided under all rules, also whether it needs a yes. Accepting the same offer again is the same request.
        While the agent, or everything, is paused, or a budget of it is frozen, nothing is accepted, and the request
        still waits. Answers and raises as `request_spending`; what was answered or has expired is as it was.
        """
        waiting = self._views.asked(approval_id)
        if waiting is None:
            return NOT_FOUND
        offered = replace(
            waiting,
            amount=amount,
            quoted_amount=amount,
            quoted_at=quoted_at,
            idempotency_key=f"quote-{amount}-{approval_id}",
        )
        ask_of(offered, self._payer)  # what is no request ends none
        reason = f"Replaced by an offer of {decimals(amount)} USDC"
        answer = self._authority.withdraw(approval_id, reason)
        if answer.state is ReservationState.PENDING_APPROVAL:
            return of_answer(answer)
        if answer.denial is None or not answer.denial.message.endswith(reason):
            return already_answered(answer)
        return self.request_spending(offered, wait=wait)

    def find(self, reservation_id: int) -> SpendingResponse:
        """How far a request is by now. Raises KeyError for a number that no request has."""
        found = self._authority.find(reservation_id)
        if found is None:
            raise KeyError(reservation_id)
        return of_reservation(found)

    # ---------------------------------------------------------------- reading

    def get_report(self) -> BudgetReport:
        """Where the budget is; see `BudgetReport`."""
        return self._views.report()

    def get_category_spending(self, category: str) -> int:
        """Base units of a category in escrows or paid out of them."""
        return self._views.category_spending(category)

    @property
    def pending_approvals(self) -> dict[str, SpendingRequest]:
        """The requests that wait for a yes, by the names of their approvals."""
        return self._views.pending()

    @property
    def spending(self) -> list[SpendingRecord]:
        """What was funded of what was asked for since `last_reset`."""
        return self._views.spending(since=self.last_reset / 1_000)

    @property
    def archived_spending(self) -> list[SpendingRecord]:
        """What was funded of what was asked for on earlier days."""
        return self._views.spending(until=self.last_reset / 1_000)

    def check_budget_reset(self) -> bool:
        """Moves what was spent on earlier days (UTC) from `spending` to `archived_spending`; whether a new day has
        begun. Daily limits begin anew by themselves, and what is spent of the total stays spent.
        """
        today = self._today() * 1_000
        if today <= self.last_reset:
            return False
        self.last_reset = today
        self._say("Budget reset for new period")
        return True

    # ---------------------------------------------------------------- stopping

    def pause(self, agent_id: str | None = None, *, reason: str, by: str | None = None) -> bool:
        """Stops an agent, or without one everything, until it is resumed: also over a restart. Nothing is granted,
        approved or signed meanwhile. False if it was stopped already. Raises InvalidInput for an agent that is none:
        a name that is mistyped must not pass for a stop.
        """
        if agent_id is not None and agent_id not in self._views.agents():
            raise InvalidInput(f"There is no agent {shown(agent_id)}.", hint="Name one of `agents`, or none for all.")
        ledger = self._authority.ledger
        with ledger.write() as connection:
            return pauses.add(connection, self._account, agent_id, by=by or self._by, reason=reason, now=ledger.now())

    def resume(self, agent_id: str | None = None, *, reason: str, by: str | None = None) -> bool:
        """Ends a pause; False if there was none."""
        ledger = self._authority.ledger
        with ledger.write() as connection:
            return pauses.remove(
                connection, self._account, agent_id, by=by or self._by, reason=reason, now=ledger.now()
            )

    def paused(self) -> list[Pause]:
        """The pauses that hold."""
        with self._authority.ledger.read() as connection:
            return list(pauses.active(connection, self._account).values())

    # ---------------------------------------------------------------- inside

    def _require_open(self) -> None:
        if not self._finalizer.alive:
            raise ConfigError("This coordinator is closed.", hint="Open another one over the same ledger.")

    def _require_same_purpose(self, ask: Ask, answer: Answer) -> None:
        """A key that comes again for another purpose is as good as taken, although its hash does not tell."""
        if not answer.replayed:
            return
        found = self._authority.find(answer.reservation_id)
        if found is not None and found.purpose is not None and found.purpose != ask.purpose:
            raise KeyTaken(ask, answer.transaction_id)

    def _complete(self, answer: Answer, agent: str, *, wait: bool) -> SpendingResponse:
        """What became of what was decided, after it was funded if somebody waits for that, and what remains."""
        response = of_answer(answer)
        if answer.state in GRANTED:
            row = self._funding.wait(answer.reservation_id) if wait else self._funding.begin(answer.reservation_id)
            response = of_reservation(row)
            if response.approved:
                self._say(f"💸 Spending approved for {agent}")
                self._say(f"   Amount: {decimals(row.amount)} USDC")
                self._say(f"   Transaction: {row.transaction_id}")
        daily, total = self._views.remaining(agent)
        return replace(response, remaining_daily=daily, remaining_total=total)

    def _today(self) -> int:
        now = self._authority.ledger.now()
        return int(now - now % _DAY_SECONDS)

    def _say(self, line: str) -> None:
        if self.verbose:
            print(line)
        else:
            _log.info("%s", line.strip())


def _close(background: Background | None, authority: Authority, store: Store | None) -> None:
    if background is not None:
        background.close()
    authority.close()
    if store is not None:
        store.close()
