"""Random lives of a treasury, beside a model of plain integers that says what every answer and every cell must be."""

from __future__ import annotations

import itertools
import secrets
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from coordinator.authority import Change
from coordinator.authority.verifying import verify
from coordinator.budget.rulebook import CategoryRules
from coordinator.budget.words import ReservationState
from coordinator.store import Ledger, operations
from coordinator.store.accounts import Account
from coordinator.store.operations import Draft
from coordinator.store.schema import operations as operations_table
from coordinator.store.seals import seal_all
from coordinator.types import IntentType
from tests.coordinator.authority.support import (
    DAY,
    ETH,
    GAS,
    TOKEN,
    USDC,
    Period,
    ScopeKind,
    agent,
    ask,
    book,
    fund,
    hashed,
    replace,
)

S = ReservationState
HOUR = 3_600
OPEN = {S.PENDING_APPROVAL, S.HELD, S.SUBMITTING, S.ON_CHAIN}
SIGNED = {S.SUBMITTING, S.ON_CHAIN, S.COMMITTED}
AMOUNTS = st.sampled_from([1, 7, 20, 50, 51, 60, 99, 100, 101, 150])
ROLLING = "bob"
DAILY = {"ann": 300, ROLLING: 120, "sue": 250}
CATEGORIES = ("data", "compute")
COMPUTE = 200


@dataclass
class Record:
    """One request, as the model knows it. Amounts are whole USDC."""

    number: int
    agent: str
    key: str
    amount: int
    category: str
    state: ReservationState
    day: int
    hour: int
    answer: Any
    actual: int = 0
    returned: int = 0
    counts: bool = True
    """Whether its hour is still in the agent's rolling window."""
    promised: bool = False
    block: int | None = None
    approved_by: set[str] = field(default_factory=set)
    expires_at: float = 0.0

    @property
    def spent(self) -> int:
        return self.actual - self.returned if self.state is S.COMMITTED else 0

    @property
    def reserved(self) -> int:
        return self.amount if self.state in OPEN else 0

    @property
    def used(self) -> int:
        return self.spent + self.reserved


class Treasury(RuleBasedStateMachine):
    """Set `make` to something that gives (ledger, clock, serve) before it runs."""

    make: Any = None

    @initialize()
    def begin(self) -> None:
        self.ledger, self.clock, serve = type(self).make()
        self.ledger: Ledger
        self.account = Account(31_337, "0x" + secrets.token_hex(20))
        self.authority = serve(self.ledger, self.account)
        self.numbers = itertools.count()
        self.records: list[Record] = []
        self.total = 1_000
        self.daily = dict(DAILY)
        self.block = 1
        self.chain = 900  # what lies in the wallet at the newest block
        self.seen = 900
        self.apply()
        fund(self.authority, usdc=self.seen, number=self.block)

    def teardown(self) -> None:
        if hasattr(self, "authority"):
            seal_all(self.ledger, self.account)
            report = verify(self.ledger, self.account)
            assert not report.findings, "the journal gives other cells"
            self.authority.close()

    def apply(self) -> None:
        agents = [
            agent("ann", daily_limit=self.daily["ann"] * USDC),
            agent(ROLLING, daily_limit=self.daily[ROLLING] * USDC, daily_period=Period.ROLLING_DAY),
            agent("sue", daily_limit=self.daily["sue"] * USDC, role="senior", requires_approval=None),
        ]
        rules = book(*agents, total=self.total * USDC)
        categories = {"data": CategoryRules(), "compute": CategoryRules(COMPUTE * USDC)}
        self.authority.apply(replace(rules, categories=categories), "machine")

    # what the model says

    def day(self) -> int:
        return int(self.clock.time() // DAY)

    def hour(self, name: str) -> int:
        """The newest hour of an agent's rolling window."""
        hours = [one.hour for one in self.records if one.agent == name and one.counts and one.used]
        return max([int(self.clock.time() // HOUR), *hours])

    def used_today(self, name: str) -> int:
        mine = [one for one in self.records if one.agent == name]
        if name == ROLLING:
            oldest = self.hour(name) - 24
            return sum(one.used for one in mine if one.counts and one.hour >= oldest)
        return sum(one.used for one in mine if one.day == self.day())

    def expected(self, name: str, amount: int, category: str) -> str | None:
        """The rule that denies; None if it must be granted."""
        if amount > 100:
            return "spending_limit"
        if self.used_today(name) + amount > self.daily[name]:
            return "daily_limit"
        if category == "compute" and self.used(category=category) + amount > COMPUTE:
            return "category_budget"
        if self.used() + amount > self.total:
            return "total_budget"
        if sum(one.amount for one in self.records if one.promised) + amount > self.seen:
            return "treasury_balance"
        return None

    def used(self, **which: Any) -> int:
        return sum(
            one.used for one in self.records if all(getattr(one, name) == value for name, value in which.items())
        )

    def place(self, record: Record) -> None:
        """Charges a record to the windows of now."""
        if record.agent == ROLLING:
            now = self.hour(ROLLING)
            for one in self.records:
                if one.agent == ROLLING and one.hour < now - 24:
                    one.counts = False
            record.hour = now
            record.counts = True
        record.day = self.day()
        record.promised = True

    # what happens

    def judge(self, name: str, amount: int, category: str, key: str, answer: Any) -> None:
        denied = self.expected(name, amount, category)
        assert (None if answer.denial is None else answer.denial.rule) == denied
        asks = denied is None and amount > 50 and name != "sue"
        state = S.DENIED if denied else S.PENDING_APPROVAL if asks else S.HELD
        assert answer.state is state
        assert not answer.replayed
        record = Record(answer.reservation_id, name, key, amount, category, S.DENIED, 0, 0, answer)
        if denied is None:
            self.place(record)
            record.state = state
            record.expires_at = self.clock.time() + DAY
        self.records.append(record)

    @rule(name=st.sampled_from(sorted(DAILY)), amount=AMOUNTS, category=st.sampled_from(CATEGORIES))
    def request(self, name: str, amount: int, category: str) -> None:
        key = f"key-{next(self.numbers)}"
        answer = self.authority.request(ask(name, amount * USDC, key, category=category))
        self.judge(name, amount, category, key, answer)

    @rule(wanted=st.lists(st.tuples(st.sampled_from(sorted(DAILY)), AMOUNTS), min_size=2, max_size=5))
    def request_many(self, wanted: list[tuple[str, int]]) -> None:
        keys = [f"key-{next(self.numbers)}" for _ in wanted]
        asks = [ask(name, amount * USDC, key) for (name, amount), key in zip(wanted, keys, strict=True)]
        answers = self.authority.request_all(asks)
        for (name, amount), key, answer in zip(wanted, keys, answers, strict=True):
            self.judge(name, amount, "data", key, answer)

    def pick(self, data: Any, *states: ReservationState) -> Record:
        return data.draw(st.sampled_from([one for one in self.records if one.state in states]))

    def any_in(self, *states: ReservationState) -> bool:
        return any(one.state in states for one in getattr(self, "records", ()))

    @precondition(lambda self: self.any_in(*S))
    @rule(data=st.data())
    def repeat(self, data: Any) -> None:
        one = self.pick(data, *S)
        again = self.authority.request(ask(one.agent, one.amount * USDC, one.key, category=one.category))
        assert (again.reservation_id, again.state, again.replayed) == (one.number, one.state, True)

    @precondition(lambda self: self.any_in(S.PENDING_APPROVAL))
    @rule(data=st.data(), approver=st.sampled_from([None, "olga", "sue", "ann", ROLLING]))
    def approve(self, data: Any, approver: str | None) -> None:
        one = self.pick(data, S.PENDING_APPROVAL)
        answer = self.authority.approve(one.answer.approval_id, approver)
        if one.expires_at <= self.clock.time():
            self.end(one, S.EXPIRED)
        elif approver in ("ann", ROLLING):
            assert answer.denial.rule == "approver"
        else:
            one.state, one.promised = S.DENIED, False  # its hold is given back before it is decided again
            denied = self.expected(one.agent, one.amount, one.category)
            assert (None if answer.denial is None else answer.denial.rule) == denied
            one.state = S.RELEASED
            if denied is None:
                self.place(one)
                one.state = S.HELD
        assert answer.state is one.state

    @precondition(lambda self: self.any_in(S.PENDING_APPROVAL))
    @rule(data=st.data())
    def reject(self, data: Any) -> None:
        one = self.pick(data, S.PENDING_APPROVAL)
        late = one.expires_at <= self.clock.time()
        answer = self.authority.reject(one.answer.approval_id, None, "no")
        self.end(one, S.EXPIRED if late else S.RELEASED)
        assert answer.state is one.state

    @rule()
    def expire(self) -> None:
        late = [one for one in self.records if one.state is S.PENDING_APPROVAL and one.expires_at <= self.clock.time()]
        assert self.authority.expire() == len(late)
        for one in late:
            self.end(one, S.EXPIRED)

    def end(self, one: Record, state: ReservationState) -> None:
        one.state = state
        one.promised = False

    @precondition(lambda self: self.any_in(S.HELD))
    @rule(data=st.data())
    def sign(self, data: Any) -> None:
        one = self.pick(data, S.HELD)
        self.authority.move([Change(one.number, S.SUBMITTING)])
        one.state = S.SUBMITTING

    @precondition(lambda self: self.any_in(S.SUBMITTING))
    @rule(data=st.data())
    def mine(self, data: Any) -> None:
        one = self.pick(data, S.SUBMITTING)
        self.block += 1
        one.block = self.block
        self.chain -= one.amount
        with self.ledger.write() as connection:
            draft = Draft("trace", one.agent, f"op-{next(self.numbers)}", IntentType.CREATE_ESCROW, "{}", "0x")
            (operation,) = operations.add(connection, self.account, [draft], 1.0)
            connection.execute(
                operations_table.update()
                .where(operations_table.c.id == operation.id)
                .values(stage="confirmed", block_number=self.block, block_hash=hashed("block", self.block))
            )
        self.authority.move([Change(one.number, S.ON_CHAIN, operation_id=operation.id)])
        one.state = S.ON_CHAIN

    @precondition(lambda self: self.any_in(S.ON_CHAIN))
    @rule(data=st.data())
    def lose_block(self, data: Any) -> None:
        one = self.pick(data, S.ON_CHAIN)
        self.authority.move([Change(one.number, S.SUBMITTING)])
        self.chain += one.amount
        with self.ledger.write() as connection:
            connection.execute(
                operations_table.update()
                .where(operations_table.c.block_number == one.block, operations_table.c.wallet == self.account.wallet)
                .values(stage="submitting", block_number=None, block_hash=None)
            )
        one.state, one.promised, one.block = S.SUBMITTING, True, None

    @precondition(lambda self: self.any_in(S.ON_CHAIN))
    @rule(data=st.data(), part=st.sampled_from([0, 1, 2]))
    def commit(self, data: Any, part: int) -> None:
        one = self.pick(data, S.ON_CHAIN)
        one.actual = one.amount * part // 2
        for _ in range(2):
            self.authority.move([Change(one.number, S.COMMITTED, actual=one.actual * USDC)])
        one.state = S.COMMITTED

    @precondition(lambda self: self.any_in(S.HELD, S.SUBMITTING))
    @rule(data=st.data())
    def release(self, data: Any) -> None:
        one = self.pick(data, S.HELD, S.SUBMITTING)
        for state in (S.RELEASED, S.COMMITTED, S.RELEASED):
            self.authority.move([Change(one.number, state, reason="no")])
        self.end(one, S.RELEASED)

    @precondition(lambda self: self.any_in(S.COMMITTED))
    @rule(data=st.data(), part=st.sampled_from([1, 2]))
    def come_back(self, data: Any, part: int) -> None:
        one = self.pick(data, S.COMMITTED)
        returned = max(one.returned, one.actual * part // 2)
        self.authority.move([Change(one.number, S.COMMITTED, returned=returned * USDC)] * 2)
        self.chain += returned - one.returned
        one.returned = returned

    @rule()
    def observe(self) -> None:
        self.block += 1
        self.seen = self.chain
        assert fund(self.authority, usdc=self.seen, number=self.block)
        for one in self.records:
            if one.block is not None:
                one.promised = False

    @rule(total=st.sampled_from([0, 150, 400, 1_000]), ann=st.sampled_from([50, 300]), bob=st.sampled_from([40, 120]))
    def change_limits(self, total: int, ann: int, bob: int) -> None:
        self.total, self.daily["ann"], self.daily[ROLLING] = total, ann, bob
        self.apply()

    @rule(hours=st.sampled_from([0.5, 3, 12, 23, 26, 60]))
    def wait(self, hours: float) -> None:
        self.clock.advance(hours * HOUR)

    @rule(hours=st.sampled_from([1, 5, 13]))
    def set_clock_back(self, hours: int) -> None:
        self.clock.set_back(hours * HOUR)

    # what always holds

    @invariant()
    def cells_are_what_the_model_says(self) -> None:
        if not hasattr(self, "records"):
            return
        found: dict[Any, dict[int, Any]] = {}
        for one in self.authority.usage():
            assert one.cell.used <= one.cell.cap
            assert one.row.frozen is None, "nothing here is beyond a limit"
            found.setdefault((one.scope.kind, one.scope.key, one.scope.period, one.scope.unit), {})[
                one.cell.window_start
            ] = one.cell

        def compare(kind: ScopeKind, key: str, records: list[Record], period: Period = Period.EVER) -> None:
            cell = found.get((kind, key, period, TOKEN), {}).get(0)
            sums = (sum(one.spent for one in records) * USDC, sum(one.reserved for one in records) * USDC)
            assert (0, 0) if cell is None else (cell.spent, cell.reserved) == sums

        compare(ScopeKind.TOTAL, "", self.records)
        for name in DAILY:
            compare(ScopeKind.AGENT, name, [one for one in self.records if one.agent == name])
        for name in CATEGORIES:
            compare(ScopeKind.CATEGORY, name, [one for one in self.records if one.category == name])
        rolling = [one for one in self.records if one.agent == ROLLING and one.counts]
        compare(ScopeKind.AGENT, ROLLING, rolling, Period.ROLLING_DAY)
        for name in ("ann", "sue"):
            for start, cell in found.get((ScopeKind.AGENT, name, Period.DAY, TOKEN), {}).items():
                mine = [one for one in self.records if one.agent == name and one.day == start // DAY]
                assert cell.spent == sum(one.spent for one in mine) * USDC
                assert cell.reserved == sum(one.reserved for one in mine) * USDC
        promised = [one for one in self.records if one.promised]
        treasury = found[ScopeKind.TREASURY, "", Period.EVER, TOKEN][0]
        assert (treasury.spent, treasury.reserved) == (0, sum(one.amount for one in promised) * USDC)
        ether = found[ScopeKind.TREASURY, "", Period.EVER, ETH][0]
        assert ether.reserved == GAS * len(promised)

    @invariant()
    def what_is_signed_was_granted(self) -> None:
        for one in getattr(self, "records", ()):
            if one.state in SIGNED:
                assert one.answer.denial is None
                assert one.actual <= one.amount
