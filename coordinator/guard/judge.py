"""The rules over one segment, as functions of evidence: no I/O.

What happened in a segment must explain, to the last unit, how its second state differs from the first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from coordinator.guard.comparing import Difference, add, differences, expected_of, moved
from coordinator.guard.evidence import Finding, Holding, Kind, Scope, Sent, TxVerdict, Verdict
from coordinator.guard.happenings import Happened
from coordinator.guard.segment import Segment
from coordinator.guard.strangers import received, taken
from coordinator.guard.wording import tx_evidence, variance_bps
from coordinator.types import ETH

__all__ = ["judge_segment"]


def judge_segment(
    segment: Segment, ours: frozenset[str], watched: Iterable[Holding] = ()
) -> tuple[list[TxVerdict], list[Finding]]:
    """Rules 1 to 6 over one segment. A watched balance that is not told after it is taken to be what it should be, so
    that the next one that is told shows what happened.
    """
    judging = _Judging(segment, ours, watched)
    for happened in segment.happened:
        if happened.sent is None:
            judging.findings.extend(taken(segment, happened, ours))
        else:
            judging.verdicts.append(judging.verdict(happened, happened.sent))
    judging.findings.extend(received(segment, ours))
    judging.add_residuals()
    return judging.verdicts, judging.findings


class _Judging:
    """One segment: what is left unexplained in it, and what that says about each eth transaction of ours."""

    def __init__(self, segment: Segment, ours: frozenset[str], watched: Iterable[Holding]) -> None:
        self.verdicts: list[TxVerdict] = []
        self.findings: list[Finding] = []
        self._segment = segment
        self._ours = ours
        self._touched_by: dict[Holding, Sent] = {}
        flows, self._unknown = _flows(segment.happened, ours)
        payees = _payees(segment) if segment.scope is Scope.BLOCK else frozenset()
        self._residual: dict[Holding, int] = {}
        self._untold = [one for one in watched if one in segment.before and one not in segment.after]
        for holding in self._untold:
            segment.after[holding] = segment.before[holding] + flows.get(holding, 0)
            text = f"The node does not tell the balance of {holding[1]} of {holding[0]}."
            self.findings.append(
                Finding(Kind.INCOMPLETE, text, holding[0], segment.until, segment.since.number, holding[1])
            )
        for holding, after in segment.after.items():
            before = segment.before.get(holding)
            if before is None or holding in self._unknown or not (holding[0] in ours or holding in payees):
                continue
            rest = after - before - flows.get(holding, 0)
            if rest:
                self._residual[holding] = rest

    def verdict(self, happened: Happened, sent: Sent) -> TxVerdict:
        """The verdict on one eth transaction; adds the findings behind it."""
        segment, residual = self._segment, self._residual
        expected, credited = expected_of(happened)
        actual = moved(happened)
        signed = expected if happened.succeeded else {}
        seen = self._seen(happened, signed, actual)
        notes = [*happened.notes, *credited]
        verdict = Verdict.OK
        missing = self._missing(seen)
        if missing:
            verdict = Verdict.INCOMPLETE
            text = f"The node does not tell {' and '.join(_unknown_text(one, self._unknown) for one in missing)}."
            notes.append(text)
            self.findings.append(segment.finding(Kind.INCOMPLETE, text, sent.sender, missing[0][1], None, happened))
        found = differences(happened, self._ours)
        gains = all(one.holding is not None and one.holding[0] in self._ours and one.amount > 0 for one in found)
        for difference in found:
            notes.append(difference.message)
            finding = self._difference(difference, happened, sent, actual, gains)
            self.findings.append(finding)
            if finding.breach:
                verdict = Verdict.BREACH
            elif finding.kind is Kind.INCOMPLETE and verdict is Verdict.OK:
                verdict = Verdict.INCOMPLETE
        for holding in seen:
            self._touched_by.setdefault(holding, sent)
            if residual.get(holding, 0) < 0:
                verdict = Verdict.BREACH
                notes.append(f"{-residual[holding]} of {holding[1]} of {holding[0]} are gone without an explanation.")
        evidence = tx_evidence(happened, expected, actual, segment.since, segment.until, segment.before,
                               segment.after, residual, seen)  # fmt: skip
        return TxVerdict(
            sent.operation_id, sent.sender, sent.nonce, happened.tx_hash, happened.block, verdict, segment.scope,
            happened.succeeded, *evidence, variance_bps(signed, actual, residual, seen), tuple(notes),
        )  # fmt: skip

    def add_residuals(self) -> None:
        """Adds the findings of what is left unexplained."""
        for holding, rest in sorted(self._residual.items()):
            account, asset = holding
            mine, toucher = account in self._ours, self._touched_by.get(holding)
            if mine:
                kind = Kind.GIFT if rest > 0 else Kind.UNEXPLAINED_LOSS
                text = f"{account} has {rest:+} of {asset} against everything that is known to have happened."
            elif rest < 0 and toucher is not None:
                kind = Kind.RECEIVED_LESS
                text = f"{account} has {-rest} of {asset} less than the token says it was paid."
                account = toucher.sender
            else:
                continue
            self.findings.append(
                Finding(
                    kind, text, account, self._segment.until, self._segment.since.number, asset, abs(rest),
                    operation_id=None if toucher is None else toucher.operation_id,
                )
            )  # fmt: skip

    def _seen(
        self, happened: Happened, signed: Mapping[Holding, int], actual: Mapping[Holding, int]
    ) -> dict[Holding, None]:
        """What has to be explained for one eth transaction: what it changed of ours, and whom it paid, in order."""
        ours = self._ours
        seen = dict.fromkeys(holding for holding in (*signed, *actual) if holding[0] in ours)
        if happened.sender in ours and happened.sender is not None:
            seen[(happened.sender, ETH)] = None
        # Whom a stranger pays by a signature of ours, or effects that are derived again, is not known when balances
        # are read.
        sent, before = happened.sent, self._segment.before
        if self._segment.scope is Scope.BLOCK and sent is not None and sent.nonce is not None:
            as_signed = happened.effects is sent.effects
            for holding, change in signed.items():
                if change > 0 and holding[1] != ETH and (as_signed or holding in before):
                    seen[holding] = None
        return seen

    def _missing(self, seen: Iterable[Holding]) -> list[Holding]:
        before, after = self._segment.before, self._segment.after
        unsure = {*self._unknown, *self._untold}
        return [one for one in seen if one in unsure or one not in before or one not in after]

    def _difference(
        self, difference: Difference, happened: Happened, sent: Sent, actual: Mapping[Holding, int], gains: bool
    ) -> Finding:
        """`gains`: nothing is different but that we have got more."""
        asset, kind = None, Kind.APPROVAL
        if difference.holding is not None:
            account, asset = difference.holding
            if gains:
                kind = Kind.GIFT
            elif happened.doubtful and not (account in self._ours and actual.get(difference.holding, 0) < 0):
                kind = Kind.INCOMPLETE
            else:
                kind = Kind.EFFECTS_DIFFER
        text, amount = difference.message, abs(difference.amount)
        return self._segment.finding(kind, text, sent.sender, asset, amount, happened)


def _unknown_text(holding: Holding, unknown: set[Holding]) -> str:
    account, asset = holding
    return f"all of the fees of {account}" if holding in unknown else f"the balance of {asset} of {account}"


def _flows(happened: Iterable[Happened], ours: frozenset[str]) -> tuple[dict[Holding, int], set[Holding]]:
    """What all eth transactions together changed, fees included, and the holdings for which that is not known."""
    flows: dict[Holding, int] = {}
    unknown: set[Holding] = set()
    for one in happened:
        if one.sender in ours and one.sender is not None:
            if one.fee is None:
                unknown.add((one.sender, ETH))
            else:
                add(flows, (one.sender, ETH), -one.fee)
        for holding, change in moved(one).items():
            add(flows, holding, change)
    return flows, unknown


def _payees(segment: Segment) -> frozenset[Holding]:
    """Whom eth transactions of ours paid in tokens."""
    return frozenset(
        (movement.target, movement.asset)
        for one in segment.happened
        if one.sent is not None and one.sent.nonce is not None and one.succeeded
        for movement in one.effects.movements
        if movement.asset != ETH
    )
