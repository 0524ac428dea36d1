"""Stages change only along the table, only from the stage that was read, and never without a row in the journal."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import update

from coordinator.errors import LedgerConflict
from coordinator.store import journal, moving, operations, schema
from coordinator.store.moving import ForbiddenMove, Move, Step
from coordinator.store.operations import Draft
from coordinator.types import TRANSITIONS, IntentType, Stage, may_move

PAIRS = [(before, after) for before in Stage for after in Stage]
ALLOWED = [pair for pair in PAIRS if may_move(*pair)]
FORBIDDEN = [pair for pair in PAIRS if not may_move(*pair)]


def draft(key="one", agent="ann", intent='{"amount":"1"}'):
    return Draft(f"trace-{agent}-{key}", agent, key, IntentType.TRANSFER_ETH, intent, "0x" + "aa" * 32)


def placed(ledger, account, stage):
    """An operation that is in this stage, wherever it came from."""
    with ledger.write() as connection:
        (operation,) = operations.add(connection, account, [draft()], ledger.now())
        connection.execute(update(schema.operations).values(stage=stage.value))
    return replace(operation, stage=stage)


def stage_of(ledger, operation):
    with ledger.read() as connection:
        return operations.by_id(connection, operation.id).stage


def entries(ledger, account):
    with ledger.read() as connection:
        return [(one.entry.before, one.entry.after) for one in journal.listed(connection, account)]


def test_the_table_is_the_one_that_the_lifecycle_was_designed_with():
    order = [stage for stage in Stage if stage is not Stage.FAILED]
    for before, allowed in TRANSITIONS.items():
        if before in (Stage.CONFIRMED, Stage.FAILED):
            assert allowed == {Stage.SUBMITTING}, "only a reorganisation brings an ended operation back"
        else:
            assert Stage.FAILED in allowed, f"{before} cannot fail"
            back = {after for after in allowed if after in order and order.index(after) < order.index(before)}
            again = before in (Stage.APPROVAL_GATE, Stage.SIGNING)
            assert back == ({Stage.SIMULATING} if again else set()), "what had to wait is simulated and judged again"


@pytest.mark.parametrize(("before", "after"), FORBIDDEN, ids=lambda stage: stage.value)
def test_a_change_that_is_not_in_the_table_is_refused_and_leaves_no_trace(ledger, account, before, after):
    operation = placed(ledger, account, before)
    with pytest.raises(ForbiddenMove), ledger.write() as connection:
        moving.move(connection, account, [Move(operation, (Step(after, "test"),))], ledger.now())
    assert stage_of(ledger, operation) is before
    assert entries(ledger, account) == []


@pytest.mark.parametrize(("before", "after"), ALLOWED, ids=lambda stage: stage.value)
def test_a_change_that_is_in_the_table_is_written_with_its_journal(ledger, account, before, after):
    operation = placed(ledger, account, before)
    with ledger.write() as connection:
        moving.move(connection, account, [Move(operation, (Step(after, "test"),))], ledger.now())
    assert stage_of(ledger, operation) is after
    assert entries(ledger, account) == [(before, after)]


def test_a_chain_of_stages_is_checked_link_by_link(ledger, account):
    operation = placed(ledger, account, Stage.PENDING)
    skipping = (Step(Stage.SIMULATING, "a"), Step(Stage.SIGNING, "b"))
    with pytest.raises(ForbiddenMove), ledger.write() as connection:
        moving.move(connection, account, [Move(operation, skipping)], ledger.now())
    whole = (Step(Stage.SIMULATING, "a"), Step(Stage.POLICY_EVAL, "b"), Step(Stage.SIGNING, "c"))
    with ledger.write() as connection:
        moving.move(connection, account, [Move(operation, whole)], ledger.now())
    assert stage_of(ledger, operation) is Stage.SIGNING
    assert entries(ledger, account) == [
        (Stage.PENDING, Stage.SIMULATING),
        (Stage.SIMULATING, Stage.POLICY_EVAL),
        (Stage.POLICY_EVAL, Stage.SIGNING),
    ]


def test_of_two_who_read_the_same_stage_one_moves_it_and_the_other_changes_nothing(ledger, account):
    with ledger.write() as connection:
        first, second = operations.add(connection, account, [draft("a"), draft("b")], ledger.now())
    with ledger.write() as connection:
        moving.move(connection, account, [Move(first, (Step(Stage.SIMULATING, "winner"),))], ledger.now())
    late = [Move(one, (Step(Stage.FAILED, "loser"),), {"code": "late"}) for one in (second, first)]
    with pytest.raises(LedgerConflict), ledger.write() as connection:
        moving.move(connection, account, late, ledger.now())
    assert stage_of(ledger, first) is Stage.SIMULATING
    assert stage_of(ledger, second) is Stage.PENDING, "a batch moves as a whole or not at all"
    assert entries(ledger, account) == [(Stage.PENDING, Stage.SIMULATING)]
