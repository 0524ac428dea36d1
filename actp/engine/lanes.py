"""One lane per (chain, account): who may use which nonce, and what was handed over and is not settled yet.

All senders of a process share the lanes, because the chain counts nonces per account and not per object. A lane gives
out one nonce at a time and the next one only after the node has taken (or certainly not taken) the bytes before it, so
a refused send leaves no gap: its nonce is simply given out again.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from actp.errors import SendError
from actp.types import EthTransaction

__all__ = ["Lane", "Submission", "lane_for"]

_REMEMBERED_HASHES = 1024


@dataclass(frozen=True, slots=True)
class Submission:
    """A signed eth transaction that was handed to a node, or is about to be. `raw` can be broadcast any number of
    times: the chain takes it once.

    `earlier` are the signatures of the same call with the same nonce that a node found too cheap: at most one of them
    all is ever mined, and it may be any. `genesis` is the chain they were signed for.
    """

    sender: str
    nonce: int
    tx_hash: str
    fields: EthTransaction
    raw: bytes = field(repr=False)
    genesis: str = field(repr=False)
    earlier: tuple[Submission, ...] = ()

    @property
    def hashes(self) -> tuple[str, ...]:
        """Every hash under which this call may be mined, the newest first."""
        return (self.tx_hash, *(one.tx_hash for one in reversed(self.earlier)))


class Lane:
    """Nonces and open submissions of one account on one chain."""

    def __init__(self, genesis: str) -> None:
        self.genesis = genesis
        self._lock = threading.Lock()
        self._queue: deque[threading.Event] = deque()
        self._open: dict[int, Submission] = {}
        self._hashes: deque[str] = deque(maxlen=_REMEMBERED_HASHES)
        self._last_mined: tuple[int, str] | None = None
        self._nudged_at = float("-inf")

    @contextmanager
    def turn(self, timeout: float) -> Iterator[None]:
        """The right to sign and hand over the next nonce, first come first served.

        Raises SendError if it is not free within `timeout` s.
        """
        mine = threading.Event()
        try:
            with self._lock:
                self._queue.append(mine)
                self._queue[0].set()
            if not mine.wait(timeout):
                raise SendError(
                    f"Other sends of this account were still being handed over after {timeout:g} s.",
                    hint="Nothing was sent: try again, and check that the node answers.",
                    retryable=True,
                )
            yield
        finally:
            with self._lock:
                if mine in self._queue:
                    self._queue.remove(mine)
                if self._queue:
                    self._queue[0].set()

    def next_nonce(self, mined: int) -> int:
        """The lowest free nonce when the chain has mined `mined` of this account. Needs the turn."""
        with self._lock:
            # What lies below was mined, by us or by somebody else with this key: neither blocks anything.
            for nonce in [nonce for nonce in self._open if nonce < mined]:
                del self._open[nonce]
            while mined in self._open:
                mined += 1
        return mined

    def seen(self, tx_hash: str) -> bool:
        """Whether this hash was handed over before."""
        return tx_hash in self._hashes

    def opened(self, submission: Submission) -> None:
        """A node is about to get these bytes: from now on their nonce is used, whatever interrupts the broadcast."""
        with self._lock:
            self._open[submission.nonce] = submission
            self._hashes.append(submission.tx_hash)

    def withdrawn(self, submission: Submission) -> None:
        """No node took any of these bytes, or their nonce went to somebody else: they will never be mined."""
        with self._lock:
            if self._open.get(submission.nonce) == submission:
                del self._open[submission.nonce]
            for tx_hash in submission.hashes:
                if tx_hash in self._hashes:
                    self._hashes.remove(tx_hash)

    def settled(self, submission: Submission, tx_hash: str) -> None:
        """The submission is mined, under this one of its hashes."""
        with self._lock:
            if self._open.get(submission.nonce) == submission:
                del self._open[submission.nonce]
            if self._last_mined is None or submission.nonce > self._last_mined[0]:
                self._last_mined = (submission.nonce, tx_hash)

    def last_mined(self) -> tuple[int, str] | None:
        """The highest nonce that this process has seen mined, and its hash."""
        return self._last_mined

    def find(self, tx_hash: str) -> Submission | None:
        """The open submission with this hash, or with an earlier signature of this hash."""
        with self._lock:
            return next((one for one in self._open.values() if tx_hash in one.hashes), None)

    def lowest(self, mined: int) -> Submission | None:
        """The open submission that all others wait for, when the chain has mined `mined` of this account."""
        with self._lock:
            waiting = [nonce for nonce in self._open if nonce >= mined]
            return self._open[min(waiting)] if waiting else None

    def may_nudge(self, now: float, gap: float) -> bool:
        """Whether `gap` s have passed since somebody was last told yes: all who wait share this one clock."""
        with self._lock:
            if now - self._nudged_at < gap:
                return False
            self._nudged_at = now
            return True


_lanes: dict[tuple[str, int, str], Lane] = {}
_lanes_lock = threading.Lock()


def lane_for(genesis: str, chain_id: int, address: str) -> Lane:
    """The lane of an account. The genesis hash keeps apart development chains that share an id."""
    with _lanes_lock:
        return _lanes.setdefault((genesis, chain_id, address), Lane(genesis))
