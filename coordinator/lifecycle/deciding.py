"""From an intent to a decision: built, simulated, judged by the policy, and committed together with what follows."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection

from actp.engine.fees import FeePolicy
from actp.errors import ActpError
from coordinator.errors import LedgerConflict
from coordinator.guard import Point
from coordinator.intents import Spending, parse
from coordinator.lifecycle.allowances import WAITING, Allowances, draws
from coordinator.lifecycle.cases import Case, allowing, asking, code_of, failing, ruling_of
from coordinator.lifecycle.costs import Costs
from coordinator.lifecycle.desk import Desk
from coordinator.lifecycle.handing import hand_over, take_out
from coordinator.lifecycle.kernels import Kernels
from coordinator.lifecycle.measuring import judged
from coordinator.lifecycle.proving import Ended, Links, after
from coordinator.lifecycle.referencing import denied_for, reference_of
from coordinator.lifecycle.treasury import Book, open_book, read_holdings
from coordinator.policy import Facts, evaluate
from coordinator.proofs import ProofKey
from coordinator.simulation import simulate_all
from coordinator.store import approvals, decisions, exposures, moving, operations, pauses, peaks, points, wallets
from coordinator.store.approvals import Approval, ApprovalState
from coordinator.store.exposures import Open
from coordinator.store.points import StoredPoint
from coordinator.store.wallets import WalletRow
from coordinator.types import Decision, IntentType, Reason, Ruling, Stage

__all__ = ["BATCH", "Deciding"]

_log = logging.getLogger(__name__)

BATCH = 256
"""How many are decided in one commit."""
_AGAIN_AFTER = 0.25


@dataclass(slots=True)
class _Round:
    """What one round has read, and what it will write."""

    seen: WalletRow
    under_way: list[Open]
    allowances: Allowances
    cases: list[Case]
    point: StoredPoint | None = None
    """The newest point, which must still be it when the decision is written."""
    short: list[Case] = field(default_factory=list)
    """What the vault's allowance does not suffice for."""


class Deciding:
    """Decides about what is pending, a batch at a time. For one thread."""

    def __init__(
        self,
        desk: Desk,
        key: ProofKey,
        *,
        fee_policy: FeePolicy,
        standing_allowance: Callable[[], int],
        approval_seconds: float,
    ) -> None:
        self._desk = desk
        self._key = key
        self._standing = standing_allowance
        self._approval_seconds = approval_seconds
        self._kernels = Kernels(desk.clients)
        self._costs = Costs(desk, fee_policy)
        self._later: dict[int, float] = {}
        """What could not be decided yet, and when to look at it again."""

    def round(self, point: Point | None, room: int = BATCH) -> list[Case] | None:
        """Decides about at most `room` operations; those that changed, None if there was nothing to decide.

        Without a `point` nothing is guarded; else what is on its way is taken off the newest one. If node or store fail
        in the middle of it, nothing has moved. Raises RpcError, RpcUnavailable, StoreError.
        """
        found = self._read(min(room, BATCH), guarded=point is not None)
        if not found.cases:
            return None
        started = self._desk.ledger.now()
        cases = self._build(found)
        assets = {case.built.subject.asset for case in cases if case.built is not None}
        if found.point is not None:
            point = Point.from_json(json.loads(found.point.content))
        holdings = read_holdings(self._desk, point, assets)
        with self._desk.ledger.read() as connection:
            book = open_book(connection, self._desk, found.under_way, holdings, self._desk.ledger.now())
        cases = self._with_allowance(found, cases, book)
        cases = self._simulate(cases)
        simulated = self._desk.ledger.now()
        self._judge(cases, book)
        cases += self._denied_anyway(found, book)
        try:
            self._commit(found, cases, book)
        except LedgerConflict as error:
            _log.info("%s", error)  # the winner's rows say what is true: what is left is read again
            return []
        judged(self._desk, cases, started, simulated)
        return cases

    # ---------------------------------------------------------------- reading

    def _read(self, room: int, *, guarded: bool) -> _Round:
        desk, monotonic = self._desk, self._desk.ledger.store.clock.monotonic()
        self._later = {one: until for one, until in self._later.items() if until > monotonic}
        with desk.ledger.read() as connection:
            seen = wallets.read(connection, desk.account)
            assert seen is not None  # made when the lifecycle was
            paused = pauses.active(connection, desk.account)
            allowances = Allowances.read(connection, desk)
            if room <= 0 or pauses.TREASURY in paused:
                return _Round(seen, [], allowances, [])
            due = operations.undecided(
                connection,
                desk.account,
                without_agents=tuple(paused),
                without_code=WAITING if allowances.pending else None,
                limit=room + len(self._later),
            )
            due = [one for one in due if one.id not in self._later][:room]
            if not due:
                return _Round(seen, [], allowances, [])
            again = [one.id for one in due if one.stage is Stage.SIMULATING]
            answers = approvals.by_operation(connection, again)
            under_way = exposures.under_way(connection, desk.account)
            newest = points.newest(connection, desk.account) if guarded else []
        cases = []
        for one in due:
            intent = parse(one.type, one.intent)
            assert isinstance(intent, Spending)
            cases.append(Case(one, intent, self._approver(answers.get(one.id))))
        return _Round(seen, under_way, allowances, cases, newest[0] if newest else None)

    def _approver(self, answer: Approval | None) -> str | None:
        """Who said yes to it, as long as that counts."""
        if answer is None or answer.state is not ApprovalState.APPROVED or answer.answered_at is None:
            return None
        age = self._desk.ledger.now() - answer.answered_at
        return answer.by if age < self._approval_seconds else None

    # ---------------------------------------------------------------- building and simulating

    def _build(self, found: _Round) -> list[Case]:
        """What is built, or can never be; the rest is for later."""
        busy = {one.transaction_id for one in found.under_way if one.transaction_id is not None}
        held = [case for case in found.cases if not busy.isdisjoint(self._kernels.ids_of(case.intent))]
        self._postpone(held)
        free = [case for case in found.cases if busy.isdisjoint(self._kernels.ids_of(case.intent))]
        done = []
        for case, built in zip(free, self._kernels.build_all([case.intent for case in free]), strict=True):
            if not isinstance(built, ActpError):
                case.built, case.draws = built, draws(self._desk, built)
            elif built.retryable:
                self._postpone([case])
                continue
            else:
                case.failure = (Stage.SIMULATING, built.code, built.message)
            done.append(case)
        return done

    def _postpone(self, cases: Sequence[Case]) -> None:
        until = self._desk.ledger.store.clock.monotonic() + _AGAIN_AFTER
        self._later.update((case.operation.id, until) for case in cases)

    def _with_allowance(self, found: _Round, cases: Sequence[Case], book: Book) -> list[Case]:
        """Those for which the vault's allowance suffices, besides what is on its way; the others are `found.short`."""
        enough = []
        left = book.allowance - book.drawn
        for case in cases:
            if not case.draws or case.draws <= left:  # what is on its way may have drawn on more than is left
                left -= case.draws
            elif found.allowances.refused(case.operation):
                newest = found.allowances.newest
                assert newest is not None
                case.failure = (
                    Stage.SIMULATING,
                    "allowance_failed",
                    f"Operation {newest.id}, which was to raise the vault's allowance, failed: {newest.reason}",
                )
            else:
                found.short.append(case)
                continue
            enough.append(case)
        return enough

    def _simulate(self, cases: Sequence[Case]) -> list[Case]:
        """Those that are simulated, or have failed before. What fails because the vault's allowance has gone since it
        was looked at, as a reorganisation may take it, is for later: then it is raised again.
        """
        built = [case for case in cases if case.failure is None]
        calls = [case.built.call for case in built if case.built is not None]
        for case, simulation in zip(built, simulate_all(self._desk.transport, self._desk.wallet, calls), strict=True):
            case.simulation = simulation
            if not simulation.ok:
                reason = simulation.reason or "The simulation failed."
                case.failure = (Stage.SIMULATING, simulation.code or "simulation_failed", reason)
        drawing = [case for case in built if case.failure is not None and case.draws]
        if not drawing:
            return list(cases)
        left = read_holdings(self._desk, None, ()).allowance
        early = {case.operation.id: case for case in drawing if case.draws > left}
        self._postpone(list(early.values()))
        return [case for case in cases if case.operation.id not in early]

    # ---------------------------------------------------------------- the policy

    def _judge(self, cases: Sequence[Case], book: Book) -> None:
        settings = self._desk.settings
        asked = [case for case in cases if case.failure is None]
        fees: list[int | None] = [None] * len(asked)
        limited = settings.max_fee_wei is not None or settings.max_daily_loss is not None
        if limited or any(case.intent.max_fee_wei is not None for case in asked):
            fees = self._costs.most(
                [(case.built.call, case.simulation) for case in asked if case.built and case.simulation]
            )
        now = self._chain_time(asked)
        high = book.raise_peaks()
        for case, fee in zip(asked, fees, strict=True):
            facts, case.decision = self._evaluate(case, book, high, fee, now)
            if case.decision.ruling is Ruling.DENY:
                reasons = [one for one in case.decision.reasons if one.ruling is Ruling.DENY]
                case.failure = (Stage.POLICY_EVAL, code_of(reasons[0]), " ".join(one.message for one in reasons))
            elif case.decision.ruling is Ruling.ALLOW:
                case.most_fee = fee
                bond = case.operation.type is IntentType.DISPUTE_ESCROW
                book.take(facts.subject, facts.call.to, facts.agent, case.draws, fee=fee, bond=bond)

    def _denied_anyway(self, found: _Round, book: Book) -> list[Case]:
        """What the allowance is not raised for, because the policy denies it whatever the allowance is. Its fee is not
        known before it can be simulated, and is judged then.
        """
        denied = []
        high, now = book.raise_peaks(), self._chain_time(found.short)
        for case in found.short:
            _, decision = self._evaluate(case, book, high, 0, now)
            if decision.ruling is Ruling.DENY:
                case.decision = decision
                reasons = [one for one in decision.reasons if one.ruling is Ruling.DENY]
                case.failure = (Stage.POLICY_EVAL, code_of(reasons[0]), " ".join(one.message for one in reasons))
                denied.append(case)
        found.short = [case for case in found.short if case.failure is None]
        return denied

    def _evaluate(
        self, case: Case, book: Book, high: Mapping[str, int], fee: int | None, now: int
    ) -> tuple[Facts, Decision]:
        reference = reference_of(self._desk, case.intent)
        if isinstance(reference, Reason):
            facts = self._facts(case, book, high, fee, now, None)
            return facts, denied_for(reference, evaluate(facts, self._desk.settings))
        facts = self._facts(case, book, high, fee, now, reference)
        return facts, evaluate(facts, self._desk.settings)

    def _facts(
        self, case: Case, book: Book, high: Mapping[str, int], fee: int | None, now: int, reference: int | None
    ) -> Facts:
        desk, intent, built = self._desk, case.intent, case.built
        assert built is not None
        agent_counts, wallet_counts = book.counts(case.operation.agent)
        return Facts(
            type=case.operation.type,
            agent=case.operation.agent,
            wallet=desk.wallet,
            subject=built.subject,
            call=built.call,
            effects=built.effects,
            now=now,
            vault=desk.vault,
            max_fee_wei=fee,
            fee_limit=intent.max_fee_wei,
            quoted_amount=intent.quoted_amount,
            quoted_at=intent.quoted_at,
            service=intent.service,
            reference_amount=reference,
            balances=book.balances,
            locked=book.locked,
            locked_at=book.locked_at,
            locked_with=book.locked_with,
            peaks=high,
            lost_today=book.lost_today,
            agent_counts=agent_counts,
            wallet_counts=wallet_counts,
            approval_demanded=intent.require_approval,
            approved_by=case.approved_by,
        )

    def _chain_time(self, cases: Sequence[Case]) -> int:
        """The chain's time where a rule looks at it."""
        if self._desk.settings.max_quote_age_seconds is None or not cases:
            return int(self._desk.ledger.now())
        return self._desk.client.now()

    # ---------------------------------------------------------------- the commit

    def _commit(self, found: _Round, cases: Sequence[Case], book: Book) -> None:
        """Decision, journal, proofs of what ended, and the engine's rows of what was allowed: one commit."""
        desk = self._desk
        now = desk.ledger.now()
        failed = [(case, failing(case)) for case in cases if case.failure is not None]
        asked = [case for case in cases if case.failure is None and ruling_of(case) is Ruling.REQUIRE_APPROVAL]
        allowed = [case for case in cases if case.failure is None and ruling_of(case) is Ruling.ALLOW]
        links = Links(desk, self._key, found.seen)
        links.prove([Ended(after(move, now), case.decided) for case, move in failed])
        standing = self._standing() if found.short else 0  # asked outside: whoever knows may have to read
        with desk.ledger.write() as connection:
            if cases:
                wallets.count_decision(connection, desk.account, found.seen)
            if found.point is not None:
                points.require_newest(connection, desk.account, found.point.version)
            numbers = hand_over(connection, desk, allowed, now)
            moves = [move for _, move in failed]
            moves += [asking(case) for case in asked]
            moves += [allowing(case, number, now) for case, number in zip(allowed, numbers, strict=True)]
            moving.move(connection, desk.account, moves, now)
            take_out(connection, [after(move, now) for _, move in failed], now)
            approvals.ask(
                connection,
                desk.account,
                [case.operation.id for case in asked],
                now=now,
                expires_at=now + self._approval_seconds,
            )
            decisions.add(connection, [case.decided for case in cases], now)
            self._note_short(connection, found, book, standing, now)
            peaks.raise_to(connection, desk.account, book.known_peaks, book.peaks, now)
            links.write(connection, now)
        for case in allowed:
            case.allowed_at = now

    def _note_short(self, connection: Connection, found: _Round, book: Book, standing: int, now: float) -> None:
        """What the allowance does not suffice for says so, and the treasury is asked to raise it."""
        if not found.short:
            return
        newest = found.allowances.newest
        if not found.allowances.pending:
            needs = [case.draws for case in found.short]
            newest = found.allowances.ask(connection, self._desk, book, needs, standing)
        assert newest is not None
        reason = f"Operation {newest.id} raises the vault's allowance first."
        for stage in (Stage.PENDING, Stage.SIMULATING):
            notes = [(case.operation.id, WAITING, reason) for case in found.short if case.operation.stage is stage]
            operations.annotate(connection, notes, stage, now)
