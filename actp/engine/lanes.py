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
    """

    sender: str
    nonce: int
    tx_hash: str
    fields: EthTransaction
    raw: bytes = field(repr=False)


class Lane:
    """Nonces and open submissions of one account on one chain."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._open_lock = threading.Lock()
        self._open: dict[int, Submission] = {}
        self._hashes: deque[str] = deque(maxlen=_REMEMBERED_HASHES)

    @contextmanager
    def turn(self, timeout: float) -> Iterator[None]:
        """The right to sign and hand over the next nonce. Raises SendError if it is not free within `timeout` s."""
        if not self._turn.acquire(timeout=timeout):
            raise SendError(
                f"Other sends of this account were still being handed over after {timeout:g} s.",
                hint="Nothing was sent: try again, and check that the node answers.",
                retryable=True,
            )
        try:
            yield
        finally:
            self._turn.release()

    def next_nonce(self, mined: int) -> int:
        """The lowest free nonce when the chain has mined `mined` of this account. Needs the turn."""
        with self._open_lock:
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
        """The node has these bytes, or may have them: their nonce is used."""
        with self._open_lock:
            self._open[submission.nonce] = submission
            self._hashes.append(submission.tx_hash)

    def settled(self, submission: Submission) -> None:
        """The submission is mined."""
        with self._open_lock:
            if self._open.get(submission.nonce) == submission:
                del self._open[submission.nonce]

    def find(self, tx_hash: str) -> Submission | None:
        """The open submission with this hash."""
        with self._open_lock:
            return next((one for one in self._open.values() if one.tx_hash == tx_hash), None)

    def up_to(self, nonce: int) -> list[Submission]:
        """Open submissions that must be mined before or at `nonce`, in order."""
        with self._open_lock:
            return [self._open[used] for used in sorted(self._open) if used <= nonce]


_lanes: dict[tuple[str, int, str], Lane] = {}
_lanes_lock = threading.Lock()


def lane_for(genesis: str, chain_id: int, address: str) -> Lane:
    """The lane of an account. The genesis hash keeps apart development chains that share an id."""
    with _lanes_lock:
        return _lanes.setdefault((genesis, chain_id, address), Lane())
