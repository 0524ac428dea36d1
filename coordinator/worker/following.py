"""From how far operations are to the states of the reservations that they carry out."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence

from sqlalchemy import Connection

from coordinator.authority import Authority, Change, move_all
from coordinator.authority.freezing import freeze
from coordinator.budget.words import Period, ReservationState, Scope, ScopeKind
from coordinator.crash import CrashPoint, point
from coordinator.store import dispatches, fundings, losses, reservations, treasuries, verdicts
from coordinator.store.fundings import Funding
from coordinator.types import IntentType, Stage
from coordinator.worker import saying

__all__ = ["Following", "shares"]

_log = logging.getLogger(__name__)
_S = ReservationState
_OPEN = frozenset({_S.HELD, _S.SUBMITTING, _S.ON_CHAIN})
_MOST = 256
"""How many reservations are moved in one commit, and those that share an operation with them."""


class Following:
    """Follows the operations that carry out one treasury's grants. For one thread."""

    def __init__(self, authority: Authority, *, most: int = _MOST) -> None:
        self._authority = authority
        self._most = most

    def round(self) -> bool:
        """Moves on what has moved; whether anything had. Each operation is looked at once: of some only a final block
        says more. Raises LedgerConflict, StoreError with nothing changed.
        """
        ledger, account = self._authority.ledger, self._authority.account
        moved, after = False, 0
        while True:
            with ledger.read() as connection:
                due = fundings.changed(connection, account, after=after, limit=self._most)
            if not due:
                return moved
            after = due[-1].operation_id
            moved |= self._move({one.operation_id for one in due})

    def _move(self, ids: Collection[int]) -> bool:
        ledger, account = self._authority.ledger, self._authority.account
        with ledger.write() as connection:
            numbers = [one.reservation_id for one in fundings.of_operations(connection, ids)]
            rows = reservations.by_ids(connection, numbers, lock=True)
            # Read again, now that nobody else can move them: an end that was read is one for ever, but the grants of a
            # failed operation may have been handed on again since.
            parts = fundings.of_operations(connection, ids)
            fees = losses.gas_of(connection, account, sorted(ids))
            did = _succeeded(connection, parts)
            treasury = treasuries.read(connection, account)
            seen = -1 if treasury is None or treasury.block is None else treasury.block.number
            changes: list[Change] = []
            for operation_id in sorted(ids):
                mine = [one for one in parts if one.operation_id == operation_id and one.reservation_id in rows]
                changes += self._changes(mine, fees.get(operation_id), did.get(operation_id, True), seen)
            now = ledger.now_by(connection)
            moved = move_all(connection, account, changes, now)
            left = [after.id for one, after in zip(changes, moved, strict=True) if one.again and after.state is _S.HELD]
            if left:
                dispatches.again(connection, left, alone=True)
            self._freeze(connection, parts, now)
            point(CrashPoint.BEFORE_FOLLOW)
        point(CrashPoint.AFTER_FOLLOW)
        for line in saying.changes({number: row.state for number, row in rows.items()}, moved):
            _log.info("%s", line)
        return bool(changes)

    def _changes(self, parts: Sequence[Funding], fee: int | None, did: bool, seen: int) -> list[Change]:
        """What becomes of the reservations of one operation, which share its fee to the last wei. `seen` is the number
        of the block up to which the treasury's balance is known.
        """
        each = shares(fee, len(parts))
        changes = []
        for part, gas in zip(parts, each, strict=True):
            state = _state(part, did)
            if state is None or part.state not in _OPEN:
                continue
            if state is _S.RELEASED and part.type is IntentType.CREATE_ESCROW_BATCH:
                # Nothing was funded, and one of them may be what was wrong: they are tried one by one.
                state = _S.HELD
                if part.block is not None and seen < part.block.number:
                    continue  # what is promised covers the fee until the balance shows it, and then the next try
            elif state is part.state and part.stage is not Stage.SUBMITTING:
                continue
            if part.state is _S.ON_CHAIN and state in (_S.SUBMITTING, _S.HELD, _S.RELEASED):
                # The block in which it was funded is gone, and what left the wallet in it is there again.
                changes.append(Change(part.reservation_id, _S.SUBMITTING))
            if state is _S.COMMITTED:
                changes.append(Change(part.reservation_id, state, gas_actual=gas))
            elif state in (_S.RELEASED, _S.HELD):
                paid = gas if part.block is not None else None
                reason = part.reason or part.code or "Its operation failed."
                again = state is _S.HELD
                changes.append(Change(part.reservation_id, state, gas_actual=paid, reason=reason, again=again))
            elif state is not _S.SUBMITTING or part.state is not _S.ON_CHAIN:
                # A fee that the balance has shown may be in a block that is gone.
                changes.append(Change(part.reservation_id, state, again=part.stage is Stage.SUBMITTING))
        return changes

    def _freeze(self, connection: Connection, parts: Sequence[Funding], now: float) -> None:
        """Whose operation was mined and is not known to have done what was signed asks for nothing more."""
        account, token = self._authority.account, self._authority.token
        for part in parts:
            fresh = part.state in (_S.HELD, _S.SUBMITTING)
            if fresh and part.stage is Stage.FAILED and part.block is not None and not part.reverted:
                scope = Scope(ScopeKind.AGENT, part.agent, Period.EVER, token)
                reason = f"operation {part.operation_id}: {part.reason or part.code}"
                if freeze(connection, account, scope, reason, now):
                    _log.error("Nothing more is granted to %s: %s", part.agent, reason)


def shares(amount: int | None, number: int) -> list[int | None]:
    """`amount` in so many parts that sum to it, as equal as whole ones can be."""
    if amount is None:
        return [None] * number
    part, left = divmod(amount, number) if number else (0, 0)
    return [part + (index < left) for index in range(number)]


def _state(part: Funding, did: bool) -> ReservationState | None:
    """Where the reservation belongs; None where it is."""
    if part.stage is Stage.SUBMITTING:
        return _S.SUBMITTING
    if part.stage is Stage.CONFIRMED:
        return _S.COMMITTED if part.final else _S.ON_CHAIN
    if part.stage is not Stage.FAILED:
        return None
    if part.block is None:
        # Nothing that was signed for it can be mined any more.
        return _S.RELEASED if part.final else None
    if part.reverted or not did:
        return _S.RELEASED if part.final else _S.SUBMITTING
    return _S.COMMITTED if part.final else _S.ON_CHAIN


def _succeeded(connection: Connection, parts: Sequence[Funding]) -> Mapping[int, bool]:
    """Whether those whose end is no good one were mined as a success, where that is known."""
    doubtful = [one.operation_id for one in parts if one.stage is Stage.FAILED and one.block is not None]
    found = verdicts.latest(connection, sorted(set(doubtful)))
    return {number: bool(one.evidence.get("succeeded", True)) for number, one in found.items()}
