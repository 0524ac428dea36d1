"""What rounds of the lifecycle tell those who measure and trace."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from actp.engine.store import StoreError
from coordinator import measures, spans
from coordinator.guard import Examination
from coordinator.lifecycle.cases import Case
from coordinator.lifecycle.desk import Desk
from coordinator.spans import Attribute
from coordinator.store import traces
from coordinator.types import Operation, Stage

__all__ = ["ended", "examined", "judged"]


def examined(found: Examination) -> None:
    """The guard has said this, and it is written."""
    for verdict in found.verdicts:
        measures.GUARD_VERDICTS.add(1, verdict.verdict.value)
    for finding in found.breached:
        measures.GUARD_BREACHES.add(1, finding.kind.value)


def judged(desk: Desk, cases: Sequence[Case], started: float, simulated: float) -> None:
    """These were built and simulated between the two times, then judged, and that is written now."""
    if spans.traced():
        with suppress(StoreError):  # a trace that is not told is no reason to stop anything
            _tell_judged(desk, cases, started, simulated)


def _tell_judged(desk: Desk, cases: Sequence[Case], started: float, simulated: float) -> None:
    now = desk.ledger.now()
    purchases = _purchases(desk, [case.operation for case in cases])
    for case in cases:
        about: dict[str, Attribute | None] = dict(_about(desk, case.operation))
        code = "" if case.failure is None else case.failure[1]
        of_simulation = case.failure is not None and case.failure[0] is Stage.SIMULATING
        ruling = None if case.decision is None else case.decision.ruling.value
        for transaction_id in purchases.get(case.operation.id, ()):
            spans.record("simulate", transaction_id, started, simulated, about, error=code if of_simulation else "")
            if not of_simulation:
                spans.record("judge", transaction_id, simulated, now, about | {"ruling": ruling}, error=code)


def ended(desk: Desk, operations: Sequence[Operation]) -> None:
    """These have ended in a block, and that is written. What the engine did before is told from its rows, whichever
    process it was.
    """
    if operations and spans.traced():
        with suppress(StoreError):
            _tell_ended(desk, operations)


def _tell_ended(desk: Desk, operations: Sequence[Operation]) -> None:
    purchases = _purchases(desk, operations)
    with desk.ledger.read() as connection:
        sent = traces.sent(connection, [one.id for one in operations])
    for one in operations:
        times = sent.get(one.id)
        if times is None:
            continue
        about = dict(_about(desk, one)) | {"tx_hash": one.tx_hash, "signatures": times.signatures}
        code = one.code or "" if one.stage is Stage.FAILED else ""
        for transaction_id in purchases.get(one.id, ()):
            if times.decided_at is not None:
                spans.record("sign", transaction_id, times.decided_at, times.signed_at, about)
            spans.record("submit", transaction_id, times.signed_at, times.sealed_at, about)
            spans.record("confirm", transaction_id, times.sealed_at, one.updated_at, about, error=code)


def _purchases(desk: Desk, operations: Sequence[Operation]) -> dict[int, list[str]]:
    """The ACTP transactions of each."""
    with desk.ledger.read() as connection:
        found = dict(traces.transactions(connection, [one.id for one in operations]))
    for one in operations:
        if one.id not in found and one.transaction_id is not None:
            found[one.id] = [one.transaction_id]
    return found


def _about(desk: Desk, operation: Operation) -> dict[str, Attribute | None]:
    return {
        "operation": operation.id,
        "type": operation.type.value,
        "agent": operation.agent,
        "kernel": desk.client.kernel.address,
    }
