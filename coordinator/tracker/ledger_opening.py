"""The ledger of a tracker, opened: what it asks and reads, and the troubles of that in this package's words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from actp.engine.clock import Clock
from actp.engine.store import StoreBusy, StoreError, StoreFull, open_store
from actp.engine.store.database import parse_url
from coordinator.combining import Combiner
from coordinator.errors import LedgerConflict
from coordinator.store import Ledger, open_ledger
from coordinator.store import tracker_scopes as scope_rows
from coordinator.store.tracker_calls import Answered, Call
from coordinator.tracker.errors import TrackerUnavailable
from coordinator.tracker.ledger_reading import Reading
from coordinator.tracker.ledger_running import Runner, runner_of

__all__ = ["Opened", "Opening", "troubles"]

_MOST_AT_ONCE = 256


@dataclass(frozen=True, slots=True)
class Opened:
    """A ledger with a root in it. `name` is what tokens call that."""

    ledger: Ledger
    name: str
    runner: Runner
    combiner: Combiner[Call, Answered]
    reading: Reading


@dataclass(frozen=True, slots=True)
class Opening:
    """How to open one: again and again, unless it was given open."""

    given: str | Path | Ledger
    root: str
    clock: Clock | None

    @property
    def owned(self) -> bool:
        """Whether nobody else uses it, so that it is to be closed in the end."""
        return not isinstance(self.given, Ledger)

    def open(self) -> Opened:
        """Raises ConfigError, TrackerUnavailable."""
        if isinstance(self.given, Ledger):
            with troubles(changing=False):
                return self._within(self.given)
        with troubles(changing=False, hint=_what_to_check(self.given)):
            store = open_store(self.given, clock=self.clock)
            try:
                return self._within(open_ledger(store))
            except BaseException:
                store.close()
                raise

    def _within(self, ledger: Ledger) -> Opened:
        owner = scope_rows.owner_of(self.root)
        with ledger.write() as connection:
            name = f"ledger:{scope_rows.require(connection, owner, self.root)}"
        runner = runner_of(ledger, owner)
        return Opened(ledger, name, runner, Combiner(runner.run, most=_MOST_AT_ONCE), Reading(ledger, owner, name))


def _what_to_check(given: str | Path) -> str:
    if parse_url(given).get_backend_name() == "sqlite":
        return "Check that it is the path of a database, and that this user may write to it and to its folder."
    return "Check that it runs, and the host, the port, the user and the name in the URL."


@contextmanager
def troubles(*, changing: bool, hint: str = "") -> Iterator[None]:
    """Turns what a store raises into TrackerUnavailable. `changing`: something may have been changed nevertheless.
    `hint` says what to do if there is no particular reason.
    """
    try:
        yield
    except (StoreError, LedgerConflict) as error:
        if isinstance(error, StoreBusy | StoreFull | LedgerConflict):
            raise TrackerUnavailable(error.message, hint=error.hint, retryable=True, outcome="not_sent") from error
        if not changing:
            raise TrackerUnavailable(
                error.message,
                # Whatever has a reason of its own has a hint of its own, and cannot be cured by trying again.
                hint=f"Nothing was changed. {hint if hint and error.retryable else error.hint}",
                retryable=error.retryable,
                outcome="not_sent",
            ) from error
        raise TrackerUnavailable(
            error.message,
            hint="It may have done what was asked: repeat a commit or a release; what was reserved expires by itself.",
            retryable=error.retryable,
            outcome="unknown",
        ) from error
