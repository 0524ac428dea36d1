"""Rows that several processes write at once: one of them wins, and the other one is told."""

from __future__ import annotations

import threading

import pytest
from sqlalchemy import update

from coordinator.errors import LedgerConflict
from coordinator.proofs import Link, ProofChain, ProofKey, ProofRequest, prove
from coordinator.store import (
    approvals,
    escrows,
    exposures,
    journal,
    losses,
    operations,
    pauses,
    peaks,
    points,
    proofs,
    schema,
    wallets,
)
from coordinator.store.accounts import Account
from coordinator.store.approvals import ApprovalState
from coordinator.store.escrows import Locked
from coordinator.store.losses import Loss
from coordinator.types import BlockRef
from tests.coordinator.store.test_moving import draft

BLOCK = BlockRef(7, "0x" + "07" * 32)


def test_a_key_is_taken_once_and_shows_what_it_stands_for(ledger, account):
    with ledger.write() as connection:
        (first,) = operations.add(connection, account, [draft()], ledger.now())
    with ledger.write() as connection:
        again, other = operations.add(
            connection, account, [draft(intent='{"amount":"2"}'), draft(agent="bob")], ledger.now()
        )
    assert again == first
    assert other.id != first.id, "agents have keys of their own"


def test_the_same_key_from_many_threads_is_one_operation(ledger, account):
    found = []

    def add():
        with ledger.write() as connection:
            found.extend(operations.add(connection, account, [draft()], ledger.now()))

    threads = [threading.Thread(target=add) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 6
    assert len({one.id for one in found}) == 1


def test_a_decision_on_facts_that_another_process_has_changed_is_not_written(ledger, account):
    with ledger.write() as connection:
        seen = wallets.require(connection, account)
    with ledger.write() as connection:
        wallets.count_decision(connection, account, seen)

    def decide():
        with ledger.write() as connection:
            operations.add(connection, account, [draft()], ledger.now())
            wallets.count_decision(connection, account, seen)

    with pytest.raises(LedgerConflict):
        decide()
    with ledger.read() as connection:
        assert operations.count(connection, account) == {}


def test_two_links_after_the_same_proof_cannot_both_be_written(ledger, account):
    with ledger.write() as connection:
        seen = wallets.require(connection, account)
    chain = ProofChain(account.chain_id, "0x" + "00" * 32, account.wallet)
    last = Link(seen.proof_seq, seen.proof_hash)
    key = ProofKey()
    one, other = (
        prove([ProofRequest(number, {}, {})], chain=chain, last=last, key=key, made_at=1) for number in (1, 2)
    )
    with ledger.write() as connection:
        proofs.add(connection, account, one, ledger.now(), seen=seen)
    with pytest.raises(LedgerConflict), ledger.write() as connection:
        proofs.add(connection, account, other, ledger.now(), seen=seen)
    with ledger.read() as connection:
        assert proofs.read(connection, account) == one
        assert proofs.of_operation(connection, account, 1) == one
        assert proofs.of_operations(connection, account, [1, 2]) == {1: one[0]}


def test_two_points_after_the_same_point_cannot_both_be_written(ledger, account):
    with ledger.write() as connection:
        points.append(connection, account, BLOCK, "{}", ledger.now(), seen=-1)
    with pytest.raises(LedgerConflict), ledger.write() as connection:
        points.append(connection, account, BLOCK, '{"other":1}', ledger.now(), seen=-1)
    with ledger.read() as connection:
        (kept,) = points.newest(connection, account, limit=10)
    assert (kept.version, kept.block, kept.content) == (0, BLOCK, "{}")


def test_old_points_are_dropped_and_the_newest_come_first(ledger, account):
    for version in range(105):
        with ledger.write() as connection:
            points.append(connection, account, BlockRef(version, BLOCK.hash), "{}", ledger.now(), seen=version - 1)
    with ledger.read() as connection:
        found = points.newest(connection, account, limit=1_000)
    assert [one.version for one in found] == list(range(104, 3, -1))


def test_a_question_is_answered_once_and_not_after_its_time(ledger, account, clock):
    with ledger.write() as connection:
        approvals.ask(connection, account, [1, 2], now=ledger.now(), expires_at=ledger.now() + 60)
    with ledger.write() as connection:
        yes = approvals.answer(connection, 1, ApprovalState.APPROVED, by="a", reason="", now=ledger.now())
        no = approvals.answer(connection, 1, ApprovalState.REJECTED, by="b", reason="", now=ledger.now())
    clock.advance(60)
    with ledger.write() as connection:
        late = approvals.answer(connection, 2, ApprovalState.APPROVED, by="a", reason="", now=ledger.now())
        assert approvals.overdue(connection, account, ledger.now()) == [2]
    assert (yes, no, late) == (True, False, False)


def test_a_pause_holds_once_until_it_is_taken_away_and_the_journal_keeps_both(ledger, account):
    with ledger.write() as connection:
        assert pauses.add(connection, account, "ann", by="me", reason="first", now=ledger.now())
        assert not pauses.add(connection, account, "ann", by="you", reason="second", now=ledger.now())
        assert pauses.add(connection, account, None, by="me", reason="all", now=ledger.now())
    with ledger.read() as connection:
        assert {agent: one.reason for agent, one in pauses.active(connection, account).items()} == {
            "ann": "first",
            pauses.TREASURY: "all",
        }
    with ledger.write() as connection:
        assert pauses.remove(connection, account, "ann", by="me", reason="fine", now=ledger.now())
        assert not pauses.remove(connection, account, "ann", by="me", reason="fine", now=ledger.now())
        assert list(pauses.active(connection, account)) == [pauses.TREASURY]
        events = [(one.entry.event, one.entry.agent) for one in journal.listed(connection, account)]
    assert events == [("paused", "ann"), ("paused", ""), ("resumed", "ann")]


def test_a_loss_counts_once_and_amounts_beyond_sql_integers_survive(ledger, account, clock):
    large = Loss(losses.GAS, "0x01", 1, "ETH", 2**95)
    with ledger.write() as connection:
        losses.add(connection, account, [large, large], ledger.now())
        losses.add(connection, account, [large, Loss(losses.GAS, "0x02", 2, "ETH", 1)], ledger.now())
        assert losses.since(connection, account, ledger.now()) == {"ETH": 2**95 + 1}
        assert losses.since(connection, account, ledger.now() + 1) == {}
        losses.take_back(connection, account, [1])
        assert losses.since(connection, account, 0) == {"ETH": 1}


def test_peaks_only_rise(ledger, account):
    for held in (5, 9, 3):
        with ledger.write() as connection:
            known = peaks.read(connection, account)
            peaks.raise_to(connection, account, known, {"ETH": held}, ledger.now())
    with ledger.read() as connection:
        assert peaks.read(connection, account) == {"ETH": 9}


def test_what_was_allowed_is_counted_by_agent_and_by_how_long_ago_it_was(ledger, account):
    ages = {"ann": (59.0, 60.0, 3_599.0, 3_600.0, 86_399.0, 86_400.0), "bob": (-5.0,), "carl": (90_000.0,)}
    now = 1_000_000.0
    with ledger.write() as connection:
        for owner in (account, Account(account.chain_id, "0x" + "22" * 20)):
            for agent, ago in ages.items():
                added = operations.add(connection, owner, [draft(f"{owner.wallet[2]}{age}", agent) for age in ago], now)
                for one, age in zip(added, ago, strict=True):
                    of_one = update(schema.operations).where(schema.operations.c.id == one.id)
                    connection.execute(of_one.values(decided_at=now - age))
        found = exposures.decided_since(connection, account, [now - 60, now - 3_600, now - 86_400])
    assert found == {"ann": [1, 3, 5], "bob": [1, 1, 1]}


def test_an_escrow_is_open_until_the_chain_says_that_nothing_lies_in_it(ledger, account):
    made = Locked("0x" + "01" * 32, 3, "0x" + "02" * 20, "0x" + "03" * 20, None, 10, 10, True, 5.0)
    with ledger.write() as connection:
        escrows.add(connection, account, [made])
        assert escrows.due(connection, account, 64.9) == []
        assert escrows.due(connection, account, 65.0) == [made]
        escrows.note(connection, account, [(made.transaction_id, 4, True)], 6.0)
        assert [one.locked for one in escrows.all_open(connection, account)] == [4]
        escrows.note(connection, account, [(made.transaction_id, 0, False)], 7.0)
        assert escrows.all_open(connection, account) == []
        assert escrows.due(connection, account, 1_000.0) == []
        escrows.look_again(connection, account, [made.transaction_id], 8.0)
        assert [one.transaction_id for one in escrows.due(connection, account, 8.0)] == [made.transaction_id]
        escrows.forget_of(connection, account, [3])
        assert escrows.listed(connection, account) == []


def locked(number, *, at=0.0, operation_id=3, amount=10):
    """An escrow that was funded at a time."""
    name = f"0x{number:064x}"
    return Locked(name, operation_id, "0x" + "02" * 20, "0x" + "03" * 20, None, amount, amount, True, at)


def test_each_of_two_wallets_of_ours_in_one_escrow_has_a_row_of_its_own(ledger, account):
    other = Account(account.chain_id, "0x" + "22" * 20)
    with ledger.write() as connection:
        escrows.add(connection, account, [locked(1, operation_id=3, amount=10)])
        escrows.add(connection, other, [locked(1, operation_id=4, amount=2)])
        escrows.note(connection, account, [(locked(1).transaction_id, 7, True)], 1.0)
        assert [one.locked for one in escrows.all_open(connection, account)] == [7]
        assert [one.locked for one in escrows.all_open(connection, other)] == [2]
        escrows.forget_of(connection, account, [3, 4])
        assert escrows.listed(connection, account) == []
        assert [one.operation_id for one in escrows.listed(connection, other)] == [4]


def test_what_the_chain_gives_no_answer_about_waits_longer_each_time_and_what_is_known_of_it_stays(ledger, account):
    now = 60.0
    with ledger.write() as connection:
        escrows.add(connection, account, [locked(1)])
        waits = []
        for _ in range(9):
            (one,) = escrows.due(connection, account, now)
            assert (one.locked, one.checked_at) == (10, 0.0)
            escrows.put_off(connection, account, [one], now)
            wait = next(
                wait for wait in (60, 120, 240, 480, 960, 1920, 3600) if escrows.due(connection, account, now + wait)
            )
            waits.append(wait)
            now += wait
        assert waits == [60, 120, 240, 480, 960, 1920, 3600, 3600, 3600]
        escrows.note(connection, account, [(locked(1).transaction_id, 10, True)], now)
        (one,) = escrows.due(connection, account, now + 60)
        assert one.unanswered == 0, "an answer makes it one of the others again"


def test_a_wallet_that_is_paid_all_the_time_sees_every_escrow(ledger, account):
    seen = set()
    with ledger.write() as connection:
        escrows.add(connection, account, [locked(number) for number in range(10)])
        for second in range(5):
            escrows.look_again_at_all(connection, account, 100.0 + second)
            names = [one.transaction_id for one in escrows.due(connection, account, 100.0 + second, limit=2)]
            escrows.note(connection, account, [(name, 10, True) for name in names], 100.0 + second)
            seen.update(names)
    assert len(seen) == 10


def test_a_payment_does_not_bring_what_gets_no_answer_to_the_front_but_a_step_of_ours_does(ledger, account):
    with ledger.write() as connection:
        escrows.add(connection, account, [locked(1), locked(2)])
        escrows.put_off(connection, account, [locked(1)], 100.0)
        escrows.look_again_at_all(connection, account, 101.0)
        assert [one.transaction_id for one in escrows.due(connection, account, 101.0)] == [locked(2).transaction_id]
        assert [one.checked_at for one in escrows.all_open(connection, account)] == [0.0, 0.0]
        escrows.look_again(connection, account, [locked(1).transaction_id], 102.0)
        assert len(escrows.due(connection, account, 102.0)) == 2
