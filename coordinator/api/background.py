"""The thread in which a coordinator's worker works, and waiting for what it does."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from actp.errors import ActpError
from coordinator.authority import Authority
from coordinator.budget.words import Reservation, ReservationState

__all__ = ["Background", "Funding"]

_log = logging.getLogger(__name__)
_PATIENCE_SECONDS = 30.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.01, 0.25
_WAITING = frozenset({ReservationState.HELD, ReservationState.SUBMITTING})


class Background:
    """Runs `run(stop)` in a thread of its own from the first `start` on."""

    def __init__(self, run: Callable[[threading.Event], None]) -> None:
        self._run = run
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._error: ActpError | None = None

    @property
    def failure(self) -> ActpError | None:
        """What has ended it before anybody closed it."""
        thread = self._thread
        if thread is None or thread.is_alive() or self._stop.is_set():
            return None
        return self._error or ActpError("The worker has stopped.", code="worker", hint="The log says why.")

    @property
    def closed(self) -> bool:
        """Whether somebody has closed it: nothing is funded from here any more."""
        return self._stop.is_set()

    def start(self) -> None:
        """Begins, unless it runs already, or has ended."""
        with self._lock:
            if self._thread is None and not self._stop.is_set():
                # A daemon: a script that never closes its coordinator ends all the same. Nothing is lost by that, as
                # the next one goes on from the ledger.
                self._thread = threading.Thread(target=self._work, name="coordinator-worker", daemon=True)
                self._thread.start()

    def close(self) -> None:
        """Ends it, and waits until it has ended."""
        self._stop.set()
        with self._lock:
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(_PATIENCE_SECONDS)

    def _work(self) -> None:
        try:
            self._run(self._stop)
        except ActpError as error:
            _log.error("The worker has stopped: %s", error)
            self._error = error


class Funding:
    """Sees to it that what was granted is funded: by the worker of this process, or else by that of another one."""

    def __init__(self, authority: Authority, background: Background | None, wait_seconds: float) -> None:
        self._authority = authority
        self._background = background
        self._wait_seconds = wait_seconds

    def begin(self, reservation_id: int) -> Reservation:
        """Lets it be funded; how far it is."""
        if self._background is not None:
            self._background.start()
        found = self._authority.find(reservation_id)
        if found is None:
            raise KeyError(reservation_id)
        return found

    def wait(self, reservation_id: int) -> Reservation:
        """The same once it lies in escrow or has failed, the time is over, or the coordinator is closed. Raises what
        has ended the worker.
        """
        until = time.monotonic() + self._wait_seconds
        pause = _FIRST_PAUSE
        while True:
            found = self.begin(reservation_id)
            if found.state not in _WAITING or time.monotonic() >= until:
                return found
            if self._background is not None and self._background.closed:
                return found
            if self._background is not None and self._background.failure is not None:
                raise self._background.failure
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
