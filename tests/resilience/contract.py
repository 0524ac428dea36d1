"""What every tracker keeps. A test module has a class that inherits from `TrackerContract`, and a fixture `new_ledger`
that gives a `NewLedger`.
"""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from enum import StrEnum
from functools import partial
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from actp.errors import InvalidInput
from coordinator.tracker import (
    BudgetExceededError,
    Committed,
    ForeignToken,
    Reason,
    ReservationToken,
    TokenState,
    TokenUsed,
    Tracker,
    TrackerError,
    Unit,
    UnitMismatch,
    UnknownToken,
)
from coordinator.tracker.words import LARGEST
from tests.resilience.machine import TrackerMachine

MOST = Decimal("9223372036854.775807")
"""The most dollars that can be counted."""


class Ledger(NamedTuple):
    """An empty ledger: a tracker on it, and how to let time pass."""

    tracker: Tracker
    wait: Callable[[float], None]


NewLedger = Callable[[], Ledger]
"""Each call gives another ledger."""

BAD_AMOUNTS: list[Any] = [
    0.5, 1.0, True, None, -1, "-1", "+1", Decimal(-1), Decimal("NaN"), Decimal("sNaN"), Decimal("Infinity"), "NaN", "",
    " ", "1e3", "1_000", "$1", "1,5", "0x1", "٣", "0.0000001", Decimal("0.0000001"), "9223372036854.775808",
    9_223_372_036_855, 10**400, Decimal("1E+999999999999999"), Decimal("1E-999999999999999"),
    "9" * 100_000, b"1", [], object(),
]  # fmt: skip


class Named(StrEnum):
    """Texts that are not of the type `str`: as a sequence, this one would be three scopes."""

    SESSION = "abc"


BAD_SCOPES: list[Any] = [
    "", None, 5, b"session", [], (), {"session"}, {"session": 1}, ["session", "session"], ["session", None],
    [["session"]], iter(["session"]), "a\nb", "a\x00", "\x7f", "\x9f", "\ud800", "x" * 10_001,
    [f"{n}" for n in range(33)], Named.SESSION,
]  # fmt: skip
BAD_SECONDS: list[Any] = [0, -1, 0.0001, float("nan"), float("inf"), True, "5", Decimal(5), 31 * 86_400, 10**400]
STRANGE_NAMES = [
    "a", "A", " a", "a ", "a b", "a:b", "a/b", "a,b", "a}", "{a}", "{", "limit:a", "spent:a", "%7B", "a%", "*", "?",
    "[a]", "\\", "'", '"', "é", "e\u0301", "\u202ea", "日本", "😀", "x" * 10_000, "x" * 9_999 + "y", "😀" * 10_000,
]  # fmt: skip


def usage(tracker: Tracker, scope: str) -> tuple[Decimal, Decimal]:
    return tracker.get_spent(scope), tracker.get_reserved(scope)


class TrackerContract:
    """The interface's promises, one test each."""

    @pytest.fixture
    def ledger(self, new_ledger: NewLedger) -> Ledger:
        return new_ledger()

    @pytest.fixture
    def tracker(self, ledger: Ledger) -> Tracker:
        return ledger.tracker

    def test_what_is_reserved_is_held_and_what_is_committed_is_spent(self, tracker: Tracker) -> None:
        tracker.set_budget("s", "10")
        token = tracker.reserve("s", "2.50")
        assert usage(tracker, "s") == (Decimal(0), Decimal("2.5"))
        assert tracker.commit(token, "1.25") == Committed(1_250_000, 1_250_000)
        assert usage(tracker, "s") == (Decimal("1.25"), Decimal(0))
        assert tracker.get_budget("s") == Decimal(10)

    def test_what_is_released_is_free_again(self, tracker: Tracker) -> None:
        tracker.set_budget("s", 1)
        tracker.release(tracker.reserve("s", 1))
        assert usage(tracker, "s") == (Decimal(0), Decimal(0))
        tracker.reserve("s", 1)

    def test_a_denial_has_its_numbers_and_changes_nothing(self, tracker: Tracker) -> None:
        tracker.set_budget("s", 10)
        tracker.commit(tracker.reserve("s", 4), 4)
        tracker.reserve("s", 3)
        before = tracker.scopes()
        with pytest.raises(BudgetExceededError) as caught:
            tracker.reserve("s", "3.000001")
        denial = caught.value
        assert (denial.scope, denial.limit, denial.spent, denial.reserved) == ("s", 10, 4, 3)
        assert (denial.requested, denial.reason, denial.code) == (Decimal("3.000001"), Reason.LIMIT, "budget_exceeded")
        assert tracker.scopes() == before
        tracker.reserve("s", 3)

    def test_all_scopes_must_fit_or_none_is_charged(self, tracker: Tracker) -> None:
        tracker.set_budget("session", 10)
        tracker.set_budget("workflow", 2)
        with pytest.raises(BudgetExceededError) as caught:
            tracker.reserve(["session", "workflow"], 3)
        assert caught.value.scope == "workflow"
        assert usage(tracker, "session") == usage(tracker, "workflow") == (Decimal(0), Decimal(0))
        tracker.commit(tracker.reserve(("session", "workflow"), 2), 1)
        assert usage(tracker, "session") == usage(tracker, "workflow") == (Decimal(1), Decimal(0))

    def test_a_scope_without_a_limit_is_bounded_by_the_one_before_it(self, tracker: Tracker) -> None:
        tracker.set_budget("session", 5)
        tracker.commit(tracker.reserve(["session", "workflow", "step"], 4), 4)
        assert tracker.get_budget("workflow") is None
        assert tracker.get_spent("step") == 4
        with pytest.raises(BudgetExceededError) as caught:
            tracker.reserve(["session", "workflow", "step"], 2)
        assert (caught.value.scope, caught.value.reason) == ("session", Reason.LIMIT)

    @pytest.mark.parametrize(
        ("scopes", "named"), [("x", "x"), (["x", "limited"], "x"), (["workflow", "x"], "workflow")]
    )
    def test_without_a_limit_on_it_or_before_it_nothing_is_granted(
        self, tracker: Tracker, scopes: str | list[str], named: str
    ) -> None:
        tracker.set_budget("limited", 5)
        tracker.release(tracker.reserve(["limited", "workflow"], 1))
        before = tracker.scopes()
        with pytest.raises(BudgetExceededError) as caught:
            tracker.reserve(scopes, "0.000001")
        assert (caught.value.scope, caught.value.limit, caught.value.reason) == (named, None, Reason.NO_LIMIT)
        assert tracker.scopes() == before

    def test_a_limit_that_is_taken_away_denies(self, tracker: Tracker) -> None:
        tracker.set_budget("s", 5)
        token = tracker.reserve("s", 1)
        tracker.set_budget("s", None)
        assert tracker.get_budget("s") is None
        with pytest.raises(BudgetExceededError, match="no limit"):
            tracker.reserve("s", 1)
        tracker.commit(token, 1)
        assert tracker.get_spent("s") == 1
        tracker.set_budget("s", 5)
        assert tracker.get_spent("s") == 1, "a limit that comes back finds what was spent"

    def test_a_limit_of_nothing_grants_nothing(self, tracker: Tracker) -> None:
        tracker.set_budget("s", 0)
        with pytest.raises(BudgetExceededError) as caught:
            tracker.reserve("s", "0.000001")
        assert (caught.value.limit, caught.value.reason) == (0, Reason.LIMIT)

    def test_a_lower_limit_leaves_what_is_held_and_grants_nothing_new(self, tracker: Tracker) -> None:
        tracker.set_budget("s", 10)
        token = tracker.reserve("s", 8)
        tracker.set_budget("s", 5)
        with pytest.raises(BudgetExceededError):
            tracker.reserve("s", "0.01")
        assert tracker.commit(token, 8).overrun_micros == 0
        assert tracker.get_spent("s") == 8

    def test_an_overrun_is_recorded_in_full_counted_and_blocks(self, tracker: Tracker) -> None:
        tracker.set_budget("s", 2)
        assert tracker.commit(tracker.reserve("s", 1), 3) == Committed(3_000_000, 0, 2_000_000)
        (found,) = tracker.scopes()
        assert (found.spent, found.remaining, found.overruns, found.late) == (3, -1, 1, 0)
        with pytest.raises(BudgetExceededError) as caught:
            tracker.reserve("s", "0.000001")
        assert caught.value.reason is Reason.OVERRUN

    def test_what_expires_is_free_without_anybody_doing_anything(self, ledger: Ledger) -> None:
        tracker = ledger.tracker
        tracker.set_budget("s", 1)
        tracker.reserve("s", 1, ttl_seconds=0.01)
        ledger.wait(0.02)
        assert tracker.get_reserved("s") == 0
        assert tracker.reservations() == ()
        tracker.reserve(["s"], 1)

    def test_a_reservation_expires_in_all_its_scopes_at_once(self, ledger: Ledger) -> None:
        tracker = ledger.tracker
        tracker.set_budget("a", 1)
        tracker.reserve(["a", "b", "c"], 1, ttl_seconds=0.01)
        ledger.wait(0.02)
        assert [tracker.get_reserved(scope) for scope in ("c", "a", "b")] == [0, 0, 0]

    def test_a_late_commit_is_recorded_in_full_and_counted(self, ledger: Ledger) -> None:
        tracker = ledger.tracker
        tracker.set_budget("s", 10)
        token = tracker.reserve(["s", "w"], 2, ttl_seconds=0.01)
        ledger.wait(0.02)
        kept = tracker.reserve("s", 9)
        assert tracker.commit(token, 2) == Committed(2_000_000, 0, 0, late=True)
        assert usage(tracker, "s") == (Decimal(2), Decimal(9)), "the other reservation still holds its own"
        assert [one.late for one in tracker.scopes()] == [1, 1]
        assert tracker.commit(token, 2).repeated
        tracker.release(kept)

    def test_another_unit_begins_another_history(self, ledger: Ledger) -> None:
        tracker = ledger.tracker
        tracker.set_budget("s", 2)
        token = tracker.reserve("s", 1, ttl_seconds=0.01)
        ledger.wait(0.05)
        tracker.commit(token, 0)
        assert [one.late for one in tracker.scopes()] == [1]
        tracker.set_budget("s", 2, unit="usdc")
        assert [(one.late, one.overruns) for one in tracker.scopes()] == [(0, 0)]

    def test_commit_and_release_after_expiry_are_told_apart(self, ledger: Ledger) -> None:
        tracker = ledger.tracker
        tracker.set_budget("s", 10)
        released = tracker.reserve("s", 2, ttl_seconds=0.01)
        ledger.wait(0.02)
        tracker.release(released)
        tracker.release(released)
        assert usage(tracker, "s") == (Decimal(0), Decimal(0))
        with pytest.raises(TokenUsed) as caught:
            tracker.commit(released, 2)
        assert caught.value.state is TokenState.RELEASED

    def test_committing_twice_counts_once(self, tracker: Tracker) -> None:
        tracker.set_budget("s", 10)
        token = tracker.reserve("s", 2)
        first = tracker.commit(token, 1)
        again = tracker.commit(token, "1.00")
        assert (first.repeated, again) == (False, first._replace(repeated=True))
        assert usage(tracker, "s") == (Decimal(1), Decimal(0))
        with pytest.raises(TokenUsed) as caught:
            tracker.commit(token, 2)
        assert (caught.value.state, caught.value.actual) == (TokenState.COMMITTED, 1)
        with pytest.raises(TokenUsed):
            tracker.release(token)
        assert usage(tracker, "s") == (Decimal(1), Decimal(0))

    def test_a_commit_of_nothing_is_fine(self, tracker: Tracker) -> None:
        tracker.set_budget("s", 10)
        assert tracker.commit(tracker.reserve("s", 2), 0) == Committed(0, 2_000_000)

    def test_what_was_released_cannot_be_committed(self, tracker: Tracker) -> None:
        tracker.set_budget("s", 10)
        token = tracker.reserve("s", 2)
        tracker.release(token)
        tracker.release(token)
        with pytest.raises(TokenUsed) as caught:
            tracker.commit(token, 0)
        assert (caught.value.state, caught.value.actual) == (TokenState.RELEASED, None)
        assert usage(tracker, "s") == (Decimal(0), Decimal(0))

    def test_tokens_that_are_not_this_trackers_change_nothing(self, tracker: Tracker, new_ledger: NewLedger) -> None:
        for one in (tracker, stranger := new_ledger().tracker):
            one.set_budget("s", 10)
            one.set_budget("t", 10)
        token, theirs = tracker.reserve("s", 2), stranger.reserve("s", 2)
        changed = [
            token._replace(scopes=("t",)), token._replace(scopes=("s", "t")), token._replace(micros=1),
            token._replace(unit=Unit.USDC), token._replace(expires_at=token.expires_at + 60),
        ]  # fmt: skip
        before = tracker.scopes()
        for one in [theirs, *changed]:
            with pytest.raises(ForeignToken):
                tracker.commit(one, 1)
            with pytest.raises(ForeignToken):
                tracker.release(one)
        unknown = token._replace(id="0" * 32)
        with pytest.raises(UnknownToken):
            tracker.commit(unknown, 1)
        with pytest.raises(UnknownToken):
            tracker.release(unknown)
        for none in (None, "token", token.id, tuple(token)):
            with pytest.raises(InvalidInput):
                tracker.commit(none, 1)  # type: ignore[arg-type]
            with pytest.raises(InvalidInput):
                tracker.release(none)  # type: ignore[arg-type]
        assert tracker.scopes() == before
        tracker.commit(token, 1)

    def test_a_token_may_travel(self, tracker: Tracker) -> None:
        tracker.set_budget("s", 10)
        travelled = pickle.loads(pickle.dumps(tracker.reserve(["s", "w"], 2)))
        tracker.commit(travelled, 2)
        assert tracker.get_spent("w") == 2

    def test_dollars_and_usdc_never_mix(self, tracker: Tracker) -> None:
        tracker.set_budget("usdc", 2_500_000, unit="usdc")
        token = tracker.reserve("usdc", 250_000, unit=Unit.USDC)
        assert (token.micros, token.unit) == (250_000, Unit.USDC)
        assert usage(tracker, "usdc") == (Decimal(0), Decimal(250_000))
        assert tracker.get_budget("usdc") == Decimal(2_500_000)
        before = tracker.scopes()
        with pytest.raises(UnitMismatch) as caught:
            tracker.reserve("usdc", 1)
        assert (caught.value.scope, caught.value.expected, caught.value.given) == ("usdc", Unit.USDC, Unit.USD)
        with pytest.raises(UnitMismatch):
            tracker.set_budget("usdc", 1)
        for wrong in ("1", Decimal(1), 0.5, True):
            with pytest.raises(InvalidInput):
                tracker.commit(token, wrong)  # type: ignore[arg-type]
        with pytest.raises(InvalidInput):
            tracker.reserve("usdc", 1, unit="eur")
        assert tracker.scopes() == before
        tracker.commit(token, 250_000)
        tracker.set_budget("dollars", 5)
        with pytest.raises(UnitMismatch):
            tracker.reserve(["dollars", "usdc"], 1)
        assert tracker.get_reserved("dollars") == 0

    def test_a_scope_that_nobody_has_used_may_change_its_unit(self, tracker: Tracker) -> None:
        tracker.set_budget("s", 5)
        tracker.release(tracker.reserve("s", 5))
        tracker.set_budget("s", 5, unit="usdc")
        tracker.reserve("s", 5, unit="usdc")

    @pytest.mark.parametrize("amount", BAD_AMOUNTS, ids=lambda one: repr(one)[:20])
    def test_an_amount_that_is_none_is_refused(self, tracker: Tracker, amount: Any) -> None:
        tracker.set_budget("s", MOST)
        token = tracker.reserve("s", 1)
        before = tracker.scopes()
        with pytest.raises(InvalidInput):
            tracker.reserve("s", amount)
        with pytest.raises(InvalidInput):
            tracker.commit(token, amount)
        if amount is not None:
            with pytest.raises(InvalidInput):
                tracker.set_budget("s", amount)
        assert tracker.scopes() == before

    @pytest.mark.parametrize("nothing", [0, "0", "0.00", Decimal(0), Decimal("-0")])
    def test_a_reservation_of_nothing_is_refused(self, tracker: Tracker, nothing: Any) -> None:
        tracker.set_budget("s", 1)
        with pytest.raises(InvalidInput, match="is 0"):
            tracker.reserve("s", nothing)

    def test_names_that_are_none_are_refused(self, tracker: Tracker) -> None:
        tracker.set_budget("session", 10)
        before = tracker.scopes()
        for scope in BAD_SCOPES:
            with pytest.raises(InvalidInput):
                tracker.reserve(scope, 1)
            if not isinstance(scope, (list, tuple)) or not scope:
                for call in (tracker.get_spent, tracker.get_reserved, tracker.get_budget):
                    with pytest.raises(InvalidInput):
                        call(scope)
                with pytest.raises(InvalidInput):
                    tracker.set_budget(scope, 1)
        assert tracker.scopes() == before

    def test_times_that_are_none_are_refused(self, tracker: Tracker) -> None:
        tracker.set_budget("s", 10)
        for seconds in BAD_SECONDS:
            with pytest.raises(InvalidInput):
                tracker.reserve("s", 1, ttl_seconds=seconds)
        assert tracker.get_reserved("s") == 0

    def test_no_name_meets_another_whatever_is_in_it(self, tracker: Tracker) -> None:
        for number, name in enumerate(STRANGE_NAMES, start=1):
            tracker.set_budget(name, 100)
            tracker.commit(tracker.reserve(name, number), number)
        for number, name in enumerate(STRANGE_NAMES, start=1):
            assert tracker.get_spent(name) == number
            assert tracker.get_budget(name) == 100
        assert [one.scope for one in tracker.scopes()] == sorted(STRANGE_NAMES)
        chosen = STRANGE_NAMES[:28:2]
        token = tracker.reserve(chosen, 1)
        assert [one.token for one in tracker.reservations("\\")] == [token]
        tracker.commit(token, 1)

    def test_the_longest_list_of_scopes_is_charged_in_all(self, tracker: Tracker) -> None:
        names = [f"scope {number}" for number in range(32)]
        tracker.set_budget(names[0], 1)
        tracker.commit(tracker.reserve(names, 1), "0.5")
        assert {one.spent for one in tracker.scopes()} == {Decimal("0.5")}

    @pytest.mark.parametrize("micros", [10**9, 10**15, 2**53, 2**53 + 1, 10**18, 2**62 + 1, LARGEST])
    def test_not_one_millionth_is_lost_where_doubles_lose_it(self, tracker: Tracker, micros: int) -> None:
        def dollars(amount: int) -> Decimal:
            return Decimal(f"{amount // 10**6}.{amount % 10**6:06d}")

        tracker.set_budget("s", dollars(micros))
        token = tracker.reserve(["s", "w"], dollars(micros - 1))
        assert tracker.get_reserved("s") == dollars(micros - 1)
        with pytest.raises(BudgetExceededError) as caught:
            tracker.reserve("s", "0.000002")
        assert (caught.value.limit, caught.value.reserved) == (dollars(micros), dollars(micros - 1))
        last = tracker.reserve("s", "0.000001")
        tracker.commit(token, dollars(micros - 1))
        tracker.commit(last, "0.000001")
        assert usage(tracker, "s") == (dollars(micros), Decimal(0))
        with pytest.raises(BudgetExceededError):
            tracker.reserve("s", "0.000001")

    def test_a_sum_that_cannot_be_counted_is_refused_as_a_whole(self, tracker: Tracker) -> None:
        tracker.set_budget("s", MOST)
        tracker.commit(tracker.reserve("s", MOST - 2), MOST - 2)
        token = tracker.reserve(["s", "w"], 1)
        before = tracker.scopes()
        with pytest.raises(TrackerError) as caught:
            tracker.commit(token, 3)
        assert caught.value.code == "overflow"
        assert tracker.scopes() == before
        tracker.commit(token, 2)
        assert usage(tracker, "s") == (MOST, Decimal(0))

    def test_open_reservations_are_listed_with_what_releases_them(self, ledger: Ledger) -> None:
        tracker = ledger.tracker
        tracker.set_budget("a", 10)
        second = tracker.reserve(["a", "b"], 2, ttl_seconds=60)
        first = tracker.reserve("a", 1, ttl_seconds=30)
        tracker.reserve("a", 1, ttl_seconds=0.01)
        tracker.release(tracker.reserve("a", 3))
        ledger.wait(0.02)
        assert [one.token for one in tracker.reservations()] == [first, second]
        (found,) = tracker.reservations("b")
        assert (found.token, found.amount) == (second, 2)
        assert 50 < found.expires_in_seconds <= 60
        assert [(one.scope, one.reservations) for one in tracker.scopes()] == [("a", 2), ("b", 1)]
        for one in tracker.reservations():
            tracker.release(one.token)
        assert tracker.reservations() == ()

    def test_a_scope_without_limit_and_history_is_forgotten(self, tracker: Tracker) -> None:
        tracker.set_budget("s", 10)
        tracker.release(tracker.reserve("s", 1))
        tracker.set_budget("s", None)
        tracker.set_budget("never", None)
        assert tracker.scopes() == ()

    def test_what_nobody_has_used_is_nothing(self, tracker: Tracker) -> None:
        assert (usage(tracker, "s"), tracker.get_budget("s")) == ((Decimal(0), Decimal(0)), None)
        assert (tracker.scopes(), tracker.reservations(), tracker.reservations("s")) == ((), (), ())

    def test_ten_threads_are_granted_exactly_the_limit(self, tracker: Tracker) -> None:
        tracker.set_budget("session", 100)
        for number in range(10):
            tracker.set_budget(f"workflow {number}", 100)
        granted: list[int] = []

        def spend(number: int) -> None:
            for turn in range(25):
                try:
                    token = tracker.reserve(["session", f"workflow {number}"], 1)
                except BudgetExceededError:
                    continue
                granted.append(1)
                tracker.commit(token, 1 if turn % 2 else "0.999999")

        _together([partial(spend, number) for number in range(10)])
        spent = tracker.get_spent("session")
        assert spent <= 100
        assert len(granted) == 100, "what partial commits give back is too little for one more"
        assert sum(one.spent for one in tracker.scopes() if one.scope != "session") == spent
        assert tracker.get_reserved("session") == 0

    def test_commit_and_release_at_once_have_one_winner(self, tracker: Tracker) -> None:
        tracker.set_budget("s", 100)
        for _ in range(5):
            token = tracker.reserve("s", 1)
            before = tracker.get_spent("s")
            won: list[str] = []
            lost: list[tuple[str, TokenState]] = []

            def end(way: str, token: ReservationToken, won: list[str], lost: list[tuple[str, TokenState]]) -> None:
                try:
                    if way == "release":
                        tracker.release(token)
                    elif not tracker.commit(token, 1).repeated:
                        won.append(way)
                except TokenUsed as error:
                    lost.append((way, error.state))

            _together([partial(end, way, token, won, lost) for way in ["commit", "release"] * 4])
            assert tracker.get_spent("s") - before == len(won) <= 1
            assert set(lost) == {("release", TokenState.COMMITTED) if won else ("commit", TokenState.RELEASED)}
            assert tracker.get_reserved("s") == 0

    def test_any_order_of_calls_agrees_with_the_model(self, new_ledger: NewLedger) -> None:
        self.run_machine(new_ledger, examples=12)

    @pytest.mark.slow
    def test_any_order_of_calls_agrees_with_the_model_many_times(self, new_ledger: NewLedger) -> None:
        self.run_machine(new_ledger, examples=150)

    def run_machine(self, new_ledger: NewLedger, examples: int) -> None:
        run_state_machine_as_test(
            lambda: TrackerMachine(*new_ledger()),
            settings=settings(
                max_examples=examples,
                stateful_step_count=40,
                deadline=None,
                derandomize=True,
                database=None,
                suppress_health_check=list(HealthCheck),
            ),
        )


def _together(calls: list[Callable[[], None]]) -> None:
    """Runs these at once; the first error that one of them raises is raised here."""
    start = threading.Barrier(len(calls))

    def run(call: Callable[[], None]) -> None:
        start.wait(timeout=30)
        call()

    with ThreadPoolExecutor(len(calls)) as threads:
        for _ in threads.map(run, calls):
            pass
