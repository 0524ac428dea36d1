"""Approvals, disputes, breaches and drifts: noticed once each, in words that name them."""

from __future__ import annotations

import pytest
from sqlalchemy import insert, update

from coordinator.alerts import notice
from coordinator.store import alerts, approvals, breaches, journal, operations, seals
from coordinator.store.accounts import Account
from coordinator.store.alerts import AlertKind
from coordinator.store.breaches import Found
from coordinator.store.budget_schema import asks, reconciliations
from coordinator.store.journal import DISPUTE_OPENED, Entry
from coordinator.store.moving import Move, Step, move
from coordinator.store.operations import Draft
from coordinator.types import BlockRef, IntentType, Stage
from tests.coordinator.journal.spending import charge, spend

USDC = 1_000_000
DISPUTED_ID = "0x" + "d1" * 32


def noticed(ledger, account):
    """What is new, after sealing and looking."""
    with ledger.read() as connection:
        before = {one.id for one in alerts.listed(connection, account, limit=1000)}
    seals.seal_all(ledger, account)
    notice(ledger, account)
    with ledger.read() as connection:
        rows = alerts.listed(connection, account, limit=1000)
    return [one for one in reversed(rows) if one.id not in before]


def operation(ledger, account, kind, stages, transaction_id=None):
    with ledger.write() as connection:
        draft = Draft("t", "ann", f"{kind.value}{transaction_id}", kind, "{}", "0x00", transaction_id)
        (made,) = operations.add(connection, account, [draft], ledger.now())
        if stages:
            steps = tuple(Step(stage, stage.value) for stage in stages)
            move(connection, account, [Move(made, steps)], ledger.now())
    return made.id


MINED = (
    Stage.SIMULATING,
    Stage.POLICY_EVAL,
    Stage.SIGNING,
    Stage.SUBMITTING,
    Stage.CONFIRMED,
)


def test_a_request_that_waits_for_a_yes_is_told_once(ledger, account):
    answer = spend(ledger, account, 150 * USDC, charge(None), approvals=2)
    (one,) = noticed(ledger, account)
    assert (one.kind, one.reference) == (AlertKind.APPROVAL, answer.approval_id)
    assert one.title == "150.00 USDC for agent ann waits for approval"
    assert answer.approval_id in one.body
    assert "2 yeses" in one.body
    assert "Papers" not in one.title + one.body, "purposes may be erased later, channels not"
    assert noticed(ledger, account) == []


def test_a_request_that_was_answered_before_anybody_looked_is_not_told(ledger, account):
    spend(ledger, account, 150 * USDC, charge(None), approvals=1)
    with ledger.write() as connection:
        connection.execute(update(asks).values(state="approved"))
    assert noticed(ledger, account) == []


def test_an_operation_that_waits_for_a_yes_is_told_once(ledger, account):
    number = operation(ledger, account, IntentType.TRANSFER_ETH, ())
    with ledger.write() as connection:
        approvals.ask(connection, account, [number], now=ledger.now(), expires_at=ledger.now() + 60)
    (one,) = noticed(ledger, account)
    assert one.kind is AlertKind.APPROVAL
    assert f"Operation {number}" in one.title
    assert noticed(ledger, account) == []


def test_a_dispute_of_our_own_is_told_when_it_is_confirmed(ledger, account):
    number = operation(ledger, account, IntentType.DISPUTE_ESCROW, MINED[:-1], DISPUTED_ID)
    assert noticed(ledger, account) == []
    with ledger.write() as connection:
        made = operations.by_id(connection, number)
        move(connection, account, [Move(made, (Step(Stage.CONFIRMED, "confirmed"),))], ledger.now())
    (one,) = noticed(ledger, account)
    assert (one.kind, one.reference) == (AlertKind.DISPUTE, DISPUTED_ID)
    assert account.wallet in one.body


def test_a_dispute_that_somebody_else_opened_is_told_once_however_often_it_is_seen(ledger, account):
    detail = {"transactionId": DISPUTED_ID, "by": "0x" + "99" * 20}
    for _ in range(2):
        with ledger.write() as connection:
            journal.add(connection, account, [Entry(DISPUTE_OPENED, "ann", detail=detail)], ledger.now())
    (one,) = noticed(ledger, account)
    assert one.kind is AlertKind.DISPUTE
    assert "0x" + "99" * 20 in one.body
    with ledger.write() as connection:
        journal.add(connection, account, [Entry(DISPUTE_OPENED, "ann", detail=detail)], ledger.now())
    assert noticed(ledger, account) == []


def test_operations_that_are_no_disputes_are_not_told(ledger, account):
    operation(ledger, account, IntentType.CREATE_ESCROW, MINED, DISPUTED_ID)
    assert noticed(ledger, account) == []


def test_a_breach_is_told_once_and_what_is_none_is_not(ledger, account):
    block = BlockRef(7, "0x" + "07" * 32)
    found = [
        Found("unexpected_transfer", "breach", 3, block, "0x" + "aa" * 32, {}),
        Found("gift", "notice", None, block, None, {}),
    ]
    with ledger.write() as connection:
        breaches.add(connection, account, found, ledger.now())
    (one,) = noticed(ledger, account)
    assert (one.kind, one.title) == (AlertKind.BREACH, "Breach: unexpected_transfer")
    assert "operation 3" in one.body
    assert "block 7" in one.body
    assert noticed(ledger, account) == []


def reconcile(ledger, account, *drifts):
    with ledger.write() as connection:
        for drift in drifts:
            row = {"block_number": 9, "block_hash": "0x09", "ledger": "{}", "chain": "{}", "action": "frozen"}
            row |= {"drift": drift, "at": ledger.now(), **account.columns}
            connection.execute(insert(reconciliations), [row])


@pytest.mark.parametrize(
    ("drifts", "alerted"),
    [(["0"], 0), (["5"], 1), (["5", "5", "5"], 1), (["0", "5", "0", "5"], 2), (["5", "-6"], 2), (["5", "0"], 1)],
)
def test_a_drift_is_told_when_it_appears_and_when_it_changes(ledger, account, drifts, alerted):
    reconcile(ledger, account, *drifts)
    found = noticed(ledger, account)
    assert [one.kind for one in found] == [AlertKind.DRIFT] * alerted
    assert noticed(ledger, account) == []
    reconcile(ledger, account, drifts[-1])
    assert noticed(ledger, account) == [], "it is the same one"


def test_a_drift_says_how_much(ledger, account):
    reconcile(ledger, account, "-2500000")
    (one,) = noticed(ledger, account)
    assert "-2.50 USDC" in one.body
    assert "block 9" in one.body


def test_the_alerts_of_another_wallet_are_its_own(ledger, account):
    other = Account(account.chain_id, "0x" + "22" * 20)
    reconcile(ledger, account, "5")
    assert noticed(ledger, other) == []
    assert len(noticed(ledger, account)) == 1
