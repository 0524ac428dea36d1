"""How a lane writes, and what nodes said to its bytes.

What is said to bytes is noted in memory, and written with the next commit. Where it is not certain that a commit was
done, because its answer was lost, everything is read again before anything else is decided.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from actp.engine.intents import Submission
from actp.engine.lease import Lease
from actp.engine.remembering import Remembering
from actp.engine.replies import Reply
from actp.engine.store import StoreError, attempts
from actp.engine.store.leases import LeaseLost
from actp.engine.store.schema import AttemptState

__all__ = ["Noting"]


class Noting(Remembering):
    """The writes of a lane that are about bytes and answers."""

    lease: Lease

    def __init__(self) -> None:
        self.unsure = False
        """Whether a commit may have been done or not: what is in memory has to be read again."""
        self._marks: dict[str, AttemptState] = {}
        self._taken: set[str] = set()
        self.refusals: dict[str, Reply] = {}
        """How bytes that another node may have were refused last, by hash."""

    @contextmanager
    def writing(self, *, fenced: bool = True) -> Iterator[Connection]:
        """One commit of this lane; facts of the chain need no fence. Raises StoreError, LeaseLost."""
        try:
            with self.store.write() as connection:
                if fenced:
                    self.lease.fence(connection)
                yield connection
        except LeaseLost:
            raise  # nothing was written
        except StoreError:
            self.unsure = True
            raise
        except IntegrityError as error:
            self.unsure = True
            raise StoreError(
                f"What is stored in {self.store.label} is not what this process remembers.",
                hint="It is read again: try again.",
                retryable=True,
            ) from error

    def flush(self, *, release: bool = False) -> None:
        """Writes down what was `noted`, in one commit; `release` lets other processes have the lane."""
        if not self._marks and not release:
            return
        with self.writing(fenced=bool(self._marks)) as connection:
            self._write_marks(connection, self.store.clock.time())
            if release:
                self.lease.release(connection)
        self._marks = {}

    def _write_marks(self, connection: Connection, now: float) -> None:
        for state in set(self._marks.values()):
            hashes = [tx_hash for tx_hash, one in self._marks.items() if one is state]
            attempts.mark_all(connection, self.id, hashes, state, now, only=attempts.LIVE)

    def noted(self, submissions: Iterable[Submission], state: AttemptState) -> None:
        """A node has taken these bytes, or may have; written down with the next `flush`."""
        for one in submissions:
            self._marks[one.tx_hash] = state
            self._taken.add(one.tx_hash)

    def may_have_been_taken(self, submission: Submission) -> bool:
        """Whether any node may have any of these bytes from an earlier broadcast: then no refusal proves anything."""
        return bool(submission.earlier) or submission.tx_hash in self._taken

    def will_be_given(self, submission: Submission) -> None:
        """Somebody is about to broadcast these bytes who does not judge the answer. Needs the turn."""
        self._taken.add(submission.tx_hash)

    def _all_may_be_taken(self, found: Iterable[Submission]) -> None:
        """What was restored may have been broadcast by whoever signed it."""
        self._taken = {tx_hash for one in found for tx_hash in one.hashes}
        self.refusals = {tx_hash: reply for tx_hash, reply in self.refusals.items() if tx_hash in self._taken}

    def _over(self, submission: Submission) -> None:
        """Nothing is asked about these bytes any more."""
        self._taken.difference_update(submission.hashes)
        for tx_hash in submission.hashes:
            self.refusals.pop(tx_hash, None)
