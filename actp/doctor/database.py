"""The checks of the store: whether it can be used, and whether what is in it gets on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from actp.config import STORE_VARIABLE
from actp.doctor.report import Check, Database, Lease, Status, Subject
from actp.engine.store import OtherChain, StoreBusy
from actp.engine.store.peeking import LaneState, Peek, peeking
from actp.engine.store.schema import HEAD, IntentStatus
from actp.errors import ActpError

__all__ = ["Findings", "look_at_store"]

_LONG_QUEUED_SECONDS = 600
_DEAD_HOLDER_SECONDS = 60
"""From then on any process may take the lease over; see `actp.engine.lease`."""


@dataclass(slots=True)
class Findings:
    """What was found. `found` is None where there is no store, or none that can be read."""

    checks: list[Check] = field(default_factory=list)
    found: Database | None = None

    def add(self, name: str, status: Status, detail: str, hint: str = "") -> None:
        """One more check."""
        self.checks.append(Check(name, status, detail, hint))

    def failed(self, name: str, error: ActpError) -> None:
        """One that did not get further than this."""
        self.add(name, Status.FAILED, error.message, error.hint or "Check the store's URL.")


def look_at_store(subject: Subject, now: float, *, genesis: str | None, kernel: str | None) -> Findings:
    """Looks at the store of a subject; `genesis` and `kernel` are what its chain has, if known. Raises nothing."""
    findings = Findings()
    url = subject.store_url
    if url is None:
        why = f"no store was named (--store or {STORE_VARIABLE}): what is sent is remembered until the process ends"
        findings.add("database", Status.SKIPPED, why)
        return findings
    try:
        with peeking(url) as peek:
            _look(findings, peek, subject, now, genesis, kernel)
    except ActpError as error:
        findings.failed("database", error)
    return findings


def _look(
    findings: Findings, peek: Peek, subject: Subject, now: float, genesis: str | None, kernel: str | None
) -> None:
    if peek.current:
        findings.add("database", Status.OK, f"{peek.label}, tables of version {peek.revision}")
    else:
        findings.add(
            "database", Status.WARNING,
            f"{peek.label}, tables of version {peek.revision}, and this program's are of {HEAD}",
            "The next client or worker that opens it brings it up to date; older programs cannot use it then.",
        )  # fmt: skip
    writable = _writes(findings, peek)
    if not peek.current:
        return
    _belongs(findings, peek, subject.expected_chain, genesis, kernel)
    lanes = peek.lanes(subject.expected_chain, subject.account)
    found = findings.found = _summary(peek, lanes, now, writable=writable)
    _outbox(findings, found, [lane.waiting_code for lane in lanes if lane.waiting_code])
    for lease in found.leases:
        _lease(findings, lease)


def _writes(findings: Findings, peek: Peek) -> bool:
    try:
        peek.require_writable()
    except StoreBusy as error:
        findings.add(
            "database writes", Status.FAILED, error.message,
            "Another process has kept it locked for a second: find it (fuser, pg_locks), and end what hangs.",
        )  # fmt: skip
    except ActpError as error:
        findings.failed("database writes", error)
    else:
        findings.add("database writes", Status.OK, "can be written")
        return True
    return False


def _belongs(findings: Findings, peek: Peek, chain_id: int, genesis: str | None, kernel: str | None) -> None:
    known = peek.bound_to(chain_id)
    if known is None:
        return
    for name, theirs, ours in (("first block", known[0], genesis), ("kernel", known[1], kernel)):
        if theirs is not None and ours is not None and theirs.lower() != ours.lower():
            findings.failed(
                "database chain",
                OtherChain(
                    f"It belongs to chain {chain_id} with {name} {theirs}, and the one here has {ours}.",
                    hint="Give each chain and each deployment a store of its own.",
                ),
            )


def _summary(peek: Peek, lanes: Sequence[LaneState], now: float, *, writable: bool) -> Database:
    def count(status: IntentStatus) -> int:
        return sum(lane.counts.get(status, 0) for lane in lanes)

    since = [lane.oldest_queued_at for lane in lanes if lane.oldest_queued_at is not None]
    return Database(
        url=peek.label,
        schema=peek.revision,
        expected_schema=HEAD,
        writable=writable,
        queued=count(IntentStatus.QUEUED),
        held=count(IntentStatus.HELD),
        in_flight=count(IntentStatus.OPEN),
        stuck=sum(lane.stuck for lane in lanes),
        dead=count(IntentStatus.DEAD),
        unknown=count(IntentStatus.UNKNOWN),
        oldest_queued_seconds=int(now - min(since)) if since else None,
        leases=tuple(
            Lease(lane.address, lane.holder, None if lane.holder is None else int(now - lane.beat_at)) for lane in lanes
        ),
    )


def _outbox(findings: Findings, found: Database, codes: Sequence[str]) -> None:
    queued = f"{found.queued} queued"
    if found.oldest_queued_seconds is not None:
        queued += f" (the oldest for {_age(found.oldest_queued_seconds)}{', ' + codes[0] if codes else ''})"
    parts = [
        queued,
        f"{found.in_flight} in flight" + (f" ({found.stuck} of them stuck)" if found.stuck else ""),
        f"{found.dead} dead-lettered",
        *([f"{found.held} held"] if found.held else []),
        *([f"{found.unknown} unknown"] if found.unknown else []),
    ]
    hints = []
    if found.dead or found.unknown:
        hints.append("`actp outbox list --status dead --status unknown` says why they were given up.")
    if found.stuck:
        hints.append("`actp outbox list --status open` says why they are stuck.")
    if (found.oldest_queued_seconds or 0) > _LONG_QUEUED_SECONDS:
        hints.append("Is a worker running? `actp outbox list --status queued` says what they wait for.")
    findings.add("outbox", Status.WARNING if hints else Status.OK, ", ".join(parts), " ".join(hints))


def _lease(findings: Findings, lease: Lease) -> None:
    name = f"lease of {lease.account}"
    if lease.holder is None or lease.seconds is None:
        findings.add(name, Status.OK, "free")
        return
    written = f"held by {lease.holder}, which wrote {_age(lease.seconds)} ago"
    if lease.seconds < 0:
        findings.add(
            name, Status.WARNING, f"held by {lease.holder}, which wrote {_age(-lease.seconds)} in the future",
            "A clock was set back, here or there; leases do not depend on it.",
        )  # fmt: skip
    elif lease.seconds > _DEAD_HOLDER_SECONDS:
        findings.add(name, Status.WARNING, written, "It seems to be dead. The next sender or worker takes it over.")
    else:
        findings.add(name, Status.OK, written)


def _age(seconds: int) -> str:
    for size, unit in ((86_400, "days"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
