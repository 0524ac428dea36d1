"""Sending what is in the outbox.

Each address is told of an alert once, and that it was is committed right after it. A process that dies between the two
sends that one alert to that one address again: nobody can commit in two places at once. So an alert comes at least
once, unless every attempt fails, and once more for each crash (or freeze longer than the claim) in just that moment,
but never more often than there are attempts.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from actp.engine.running import run_rounds
from actp.engine.store import StoreError
from coordinator.alerts.addresses import Address
from coordinator.alerts.quiet import quiet
from coordinator.errors import LedgerConflict
from coordinator.store import Ledger, alerts
from coordinator.store.accounts import Account
from coordinator.store.alerts import Alert, AlertKind, AlertState

__all__ = ["ATTEMPTS", "Teller", "send", "telling"]

ATTEMPTS = 10
"""How often an alert is tried; with the pauses in between, for about three hours."""

_FIRST_PAUSE = 30.0
_LONGEST_PAUSE = 3600.0
_SEND_SECONDS = 20.0
_LOOK_EVERY = 2.0
_END_SECONDS = 0.25
_CLAIM_SECONDS = 120.0
_MANY = 50
_STATUS = re.compile(r"error[=:]\s?(\d{3})\b")
_BAD = frozenset({AlertKind.BREACH, AlertKind.DRIFT})

_log = logging.getLogger(__name__)


class Teller:
    """Sends the alerts of one wallet. Give it a thread of its own: addresses may be slow. Any number of processes."""

    def __init__(self, ledger: Ledger, account: Account, addresses: Sequence[Address]) -> None:
        self._ledger = ledger
        self._account = account
        self._addresses = tuple(addresses)

    def step(self) -> int:
        """Tells what is due now; how many alerts everybody has by now who should. Does nothing without any address:
        what waits is sent when there is one. Raises StoreError.
        """
        if not self._addresses:
            return 0
        ledger = self._ledger
        with ledger.read() as connection:
            due = alerts.due(connection, self._account, ledger.now(), limit=_MANY)
        return sum(map(self._try, due))

    def run(self, stop: threading.Event, *, every: float = 2.0) -> None:
        """Steps until `stop` is set. A store that cannot be used for a while is tried again."""
        while not stop.is_set():
            try:
                self.step()
            except (LedgerConflict, StoreError) as error:
                _log.warning("alerts: %s", error)
            stop.wait(every)

    def _try(self, alert: Alert) -> bool:
        """One attempt; whether the alert is with everybody."""
        ledger = self._ledger
        with ledger.write() as connection:
            if not alerts.claim(connection, alert, until=ledger.now() + _CLAIM_SECONDS):
                return False  # another process has it
        wanted = [one for one in self._addresses if alert.kind in one.kinds]
        sent = list(alert.sent_to)
        failures = []
        for address in wanted:
            if address.digest in sent:
                continue
            failure = send(address, alert.kind, alert.title, alert.body)
            if failure is not None:
                failures.append(failure)
                continue
            sent.append(address.digest)
            with ledger.write() as connection:
                alerts.note_sent(connection, alert, sent, until=ledger.now() + _CLAIM_SECONDS)
        self._end(alert, failures if wanted else [f"No address takes alerts of the kind {alert.kind.value}."], wanted)
        return bool(wanted) and not failures

    def _end(self, alert: Alert, failures: Sequence[str], wanted: Sequence[Address]) -> None:
        attempts = alert.attempts + 1
        error = " ".join(failures)
        with self._ledger.write() as connection:
            now = self._ledger.now()
            if not failures:
                alerts.finish(connection, alert, AlertState.SENT, now=now)
            elif attempts >= ATTEMPTS or not wanted:
                alerts.finish(connection, alert, AlertState.DEAD, now=now, error=error)
            else:
                alerts.put_off(connection, alert, until=now + pause(attempts), error=error)
        if failures:
            _log.warning("alert %d (%s), attempt %d: %s", alert.id, alert.kind.value, attempts, error)


@contextmanager
def telling(ledger: Ledger, account: Account, addresses: Sequence[Address]) -> Iterator[None]:
    """While this lasts, alerts are sent by a thread of their own, if there is any address."""
    if not addresses:
        yield
        return
    teller = Teller(ledger, account, addresses)
    stop = threading.Event()

    def tell() -> None:
        run_rounds(lambda: teller.step() > 0, stop, longest=_LOOK_EVERY, log=_log)

    thread = threading.Thread(target=tell, name="coordinator-alerts", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(_END_SECONDS)


def pause(attempts: int) -> float:
    """Seconds to wait after so many attempts."""
    return float(min(_FIRST_PAUSE * 2 ** (attempts - 1), _LONGEST_PAUSE))


def send(address: Address, kind: AlertKind, title: str, body: str) -> str | None:
    """Why an address does not have an alert now; None if it has. Neither says anything of the URL."""
    from apprise import Apprise, NotifyFormat, NotifyType

    with quiet() as warnings:
        told = Apprise(address.service).notify(
            title=title,
            body=body,
            notify_type=NotifyType.FAILURE if kind in _BAD else NotifyType.WARNING,
            body_format=NotifyFormat.TEXT,
            timeout=_SEND_SECONDS,
        )
    if told:
        return None
    status = _STATUS.search(" ".join(warnings))
    how = "did not take it" if status is None else f"answered with {status[1]}"
    return f"{address.name} {address.digest[:6]} {how}."
