"""Which values hypothesis may choose: mostly such that a call is accepted, and the edges more often than the rest."""

from __future__ import annotations

from hypothesis import strategies as st

from tests.model.governance_model import DAY
from tests.model.kernel_model import (
    HOUR,
    MAX_AMOUNT,
    MAX_DEADLINE,
    MAX_WINDOW,
    MIN_AMOUNT,
    MIN_WINDOW,
    NO_ID,
)
from tests.model.token_model import Account
from tests.model.world import ACTORS

MAX_TRANSACTIONS = 8
"""In one run."""

Caller = Account | None
"""None is whoever has the right to."""

PARTIES = ("requester_a", "requester_b", "provider_a", "provider_b")
callers: st.SearchStrategy[Caller] = st.sampled_from((*[None] * 60, *ACTORS))
picks = st.integers(0, MAX_TRANSACTIONS - 1)
often = st.sampled_from((True, True, True, False))
seldom = st.sampled_from((False,) * 7 + (True,))
# For what is not about one transaction: hypothesis chooses among rules evenly, and most calls are to be about one.
really = st.sampled_from((True, False, False, False))
# Seconds around the moment that a call depends on: None leaves the time alone.
early_or_late: st.SearchStrategy[int | None] = st.sampled_from((*[None] * 7, -1, 0, 1))
sometimes_at_the_edge: st.SearchStrategy[int | None] = st.sampled_from((None, None, None, 0, 0, 1))
mostly_at_the_edge: st.SearchStrategy[int | None] = st.sampled_from((None, None, -1, 0, 1, 1))
amounts = st.one_of(
    st.sampled_from((MIN_AMOUNT, MIN_AMOUNT + 1, 1_000_000, 25_000_000, 150_000_003, 10**12 + 7, MAX_AMOUNT)),
    st.integers(MIN_AMOUNT, 10**9),
)
deadlines = st.sampled_from((10 * DAY, HOUR, DAY, 3 * DAY, 60 * DAY, MAX_DEADLINE))
windows = st.sampled_from((2 * DAY, MIN_WINDOW, 7 * DAY, MAX_WINDOW))
# What a creation may try beyond these: most are to be accepted.
any_amounts = st.one_of(amounts, amounts, amounts, st.sampled_from((0, MIN_AMOUNT - 1, MAX_AMOUNT + 1)))
any_deadlines = st.one_of(deadlines, deadlines, deadlines, st.sampled_from((1, 0, MAX_DEADLINE + 1)))
any_windows = st.one_of(windows, windows, windows, st.sampled_from((MIN_WINDOW - 1, MAX_WINDOW + 1)))
window_proofs = st.sampled_from((b"", b"", (1).to_bytes(32, "big"), (5 * DAY).to_bytes(32, "big")))
proofs = st.sampled_from((b"", b"", b"", (1).to_bytes(32, "big"), (5 * DAY).to_bytes(32, "big"),
                          MAX_WINDOW.to_bytes(32, "big"), (MAX_WINDOW + 1).to_bytes(32, "big"),
                          NO_ID, b"\xff" * 32, b"\x01" * 31, b"\x01" * 33))  # fmt: skip
