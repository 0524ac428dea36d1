"""Orders and clauses as hypothesis draws them, before anybody knows the time."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import strategies as st

from tests.model.kernel_core import MIN_AMOUNT
from tests.model.kernel_model import MAX_MILESTONES
from tests.model.strategies import PARTIES
from tests.model.terms import Clauses, Milestone, Order
from tests.model.token_model import VAULT, ZERO, Account

CONDITION = b"\x0c" * 32


@dataclass(frozen=True)
class ClauseDraft:
    """`parts` is the length of the schedule, 0 for none; `flaw` is what is wrong with it."""

    arbiter: Account = ZERO
    timeout_requester_bps: int = 5_000
    agents: tuple[int, int] = (0, 0)
    parts: int = 0
    flaw: str | None = None

    @property
    def is_plain(self) -> bool:
        """Whether the usual clauses are meant."""
        return self == ClauseDraft()

    def clauses(self, now: int, amount: int, deadline: int) -> Clauses:
        return Clauses(self.arbiter, self.timeout_requester_bps, self.agents, self._schedule(now, amount, deadline))

    def _schedule(self, now: int, amount: int, deadline: int) -> tuple[Milestone, ...]:
        if self.parts == 0:
            return ()
        if self.flaw == "many":
            return (Milestone(MIN_AMOUNT, deadline, CONDITION),) * (MAX_MILESTONES + 1)
        # As many parts as the amount can carry, the last with the rest; their deadlines are spread evenly.
        count = min(self.parts, max(amount // MIN_AMOUNT, 1))
        amounts = [amount // count] * (count - 1) + [amount - amount // count * (count - 1)]
        deadlines = [now + (deadline - now) * (place + 1) // count for place in range(count)]
        match self.flaw:
            case "sum":
                amounts[-1] += 1
            case "late":
                deadlines[-1] = deadline + 1
            case "past":
                deadlines[0] = now
            case "dust":
                amounts = [MIN_AMOUNT - 1, amount - MIN_AMOUNT + 1]
                deadlines = [deadline, deadline]
        hashes = [bytes([place]) * 32 for place in range(len(amounts))]
        parts = zip(amounts, deadlines, hashes, strict=False)
        return tuple(Milestone(max(part, 0), due, condition) for part, due, condition in parts)


@dataclass(frozen=True)
class OrderDraft:
    provider: Account
    amount: int
    due_in: int
    window: int

    def order(self, now: int, salt: bytes) -> Order:
        return Order(self.provider, self.amount, now + self.due_in, self.window, self.amount.to_bytes(32, "big"), salt)


def order_drafts(
    providers: st.SearchStrategy[Account],
    amounts: st.SearchStrategy[int],
    deadlines: st.SearchStrategy[int],
    windows: st.SearchStrategy[int],
) -> st.SearchStrategy[OrderDraft]:
    return st.builds(OrderDraft, providers, amounts, deadlines, windows)


sound_clauses = st.one_of(
    st.just(ClauseDraft()),
    st.builds(
        ClauseDraft,
        arbiter=st.sampled_from((*[ZERO] * 4, "mediator", "stranger", "admin", VAULT)),
        timeout_requester_bps=st.sampled_from((5_000, 5_000, 0, 1, 3_333, 9_999, 10_000)),
        agents=st.sampled_from(((0, 0), (0, 0), (7, 0), (0, 2**256 - 1))),
        parts=st.sampled_from((0, 1, 2, 3, 3, 4)),
    ),
)
any_clauses = st.one_of(
    sound_clauses,
    sound_clauses,
    sound_clauses,
    st.builds(
        ClauseDraft,
        arbiter=st.sampled_from((*[ZERO] * 8, *PARTIES)),
        timeout_requester_bps=st.sampled_from((5_000, 5_000, 5_000, 10_001, 2**256 - 1)),
        parts=st.just(2),
        flaw=st.sampled_from((None, "sum", "late", "past", "dust", "many")),
    ),
)
