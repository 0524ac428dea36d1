"""What the index knows of escrows; nothing is read twice or forgotten, whatever node, chain and processes do."""

from __future__ import annotations

import logging
import threading
from dataclasses import replace

import pytest

from actp.chain import dev_accounts
from actp.client import ACTPClient
from actp.errors import ConfigError, RpcError, RpcUnavailable
from actp.orders import Milestone
from actp.types import State
from actp.units import keccak, usdc
from coordinator.errors import LedgerConflict, ReorgTooDeep
from coordinator.index import Index
from coordinator.index import index as index_module
from coordinator.store import index_escrows, index_positions, index_records, index_undo
from coordinator.store.index_words import Due, Ending, Operation
from tests.client.g1 import deploy_g1
from tests.client.public_g1 import deploy_public_g1
from tests.client.support import (
    BOND,
    DAY,
    FEE,
    HOUR,
    PRICE,
    act,
    delivered,
    disputed,
    funded,
    open_transaction,
    started,
)
from tests.coordinator.index.support import (
    assert_is_the_chain,
    columns,
    credits_of,
    ids_of,
    kernel_of,
    repaired,
    rows_of,
)


def only(ledger):
    (row,) = rows_of(ledger).values()
    return row


def due(ledger, index, at, *kinds):
    with ledger.read() as connection:
        found = index_escrows.due(connection, index.kernel.id, kinds or Due, chain_now=at)
    return [(one.transaction_id, one.due_kind) for one in found]


class TestWhatARowSays:
    def test_each_step_is_told_with_its_time_its_operation_and_what_is_left(
        self, ledger, index, requester, provider, endpoint
    ):
        said = []

        def look():
            index.catch_up()
            row = only(ledger)
            said.append((row.state.name, row.operation, row.funded, row.remaining))
            assert row.last_at == requester.kernel.get_transaction(row.transaction_id).updated_at
            assert_is_the_chain(ledger, endpoint, index)

        tx_id = open_transaction(requester, provider)
        look()
        provider.kernel.submit_quote(tx_id)
        look()
        requester.kernel.accept_quote(tx_id, PRICE + 1)
        look()
        requester.fund_transaction(tx_id)
        look()
        provider.kernel.start(tx_id)
        look()
        provider.kernel.deliver(tx_id, 3 * HOUR)
        look()
        row = only(ledger)
        assert row.window_ends_at == row.delivered_at + 3 * HOUR
        requester.kernel.settle(tx_id)
        look()
        whole = PRICE + 1
        assert said == [
            ("INITIATED", "open_escrow", 0, 0),
            ("QUOTED", "quote_escrow", 0, 0),
            ("QUOTED", "accept_quote", 0, 0),
            ("COMMITTED", "create_escrow", whole, whole),
            ("IN_PROGRESS", "accept_escrow", whole, whole),
            ("DELIVERED", "deliver_escrow", whole, whole),
            ("SETTLED", "release_escrow", whole, 0),
        ]
        row = only(ledger)
        assert (row.paid_fee, row.paid_provider, row.ending) == (FEE, whole - FEE, Ending.RELEASED)
        assert row.ended_at == row.last_at
        assert kernel_of(ledger, index).fees == FEE

    def test_a_dispute_its_bond_and_its_ruling(self, ledger, index, requester, provider, resolver, endpoint):
        tx_id = disputed(requester, provider)
        index.catch_up()
        row = only(ledger)
        assert (row.state, row.dispute_initiator) == (State.DISPUTED, requester.address)
        assert (row.bond_requester, row.bond_requester_poster) == (BOND, requester.address)
        assert row.dispute_ends_at == row.disputed_at + 30 * DAY
        assert due(ledger, index, row.dispute_ends_at) == []
        assert due(ledger, index, row.dispute_ends_at + 1) == [(tx_id, Due.CLOSE)]
        resolver.kernel.resolve(tx_id, requester_amount=usdc(30), provider_amount=usdc(70), provider_at_fault=True)
        index.catch_up()
        row = only(ledger)
        assert (row.state, row.ending, row.operation) == (State.SETTLED, Ending.RULED, Operation.RESOLVE_DISPUTE)
        assert (row.paid_requester, row.paid_provider + row.paid_fee) == (usdc(30), usdc(70))
        assert (row.bond_requester, row.bond_paid) == (0, BOND)
        assert_is_the_chain(ledger, endpoint, index)

    @pytest.mark.slow
    def test_a_dispute_on_which_nobody_rules(self, ledger, index, requester, provider, stranger, endpoint):
        tx_id = disputed(requester, provider)
        requester.chain.time_travel(31 * DAY)
        stranger.kernel.close_timed_out_dispute(tx_id)
        index.catch_up()
        row = only(ledger)
        assert (row.ending, row.operation, row.due_kind) == (Ending.TIMED_OUT, Operation.CLOSE_DISPUTE, None)
        assert_is_the_chain(ledger, endpoint, index)

    def test_a_bond_that_the_token_would_not_move_is_owed_until_somebody_posts_it(
        self, ledger, index, requester, provider, stranger, endpoint
    ):
        tx_id = delivered(requester, provider)
        act(endpoint, 0, "TestUSDC", "blacklist", requester.address)
        requester.kernel.dispute(tx_id, b"late")
        index.catch_up()
        assert (only(ledger).bond_owed, only(ledger).bond_requester) == (BOND, 0)
        stranger.kernel.post_bond(tx_id, requester.address)
        index.catch_up()
        row = only(ledger)
        assert (row.bond_owed, row.bond_requester, row.bond_requester_poster) == (0, BOND, stranger.address)
        assert int(requester.chain.request("eth_getBlockByNumber", ["latest", False])["timestamp"], 16) == row.last_at
        assert_is_the_chain(ledger, endpoint, index)

    def test_milestones_are_counted_with_their_amounts(self, ledger, index, requester, provider, endpoint):
        now = requester.now()
        parts = [Milestone(usdc(30), now + HOUR), Milestone(usdc(70), now + 2 * HOUR)]
        payment = requester.pay(
            provider=provider.address, amount=PRICE, deadline=now + DAY, dispute_window=HOUR, milestones=parts
        )
        index.catch_up()
        row = only(ledger)
        assert (row.parts, row.operation) == (2, Operation.CREATE_MILESTONE_ESCROW)
        provider.kernel.start(payment.transaction_id)
        requester.pay_milestone(payment.transaction_id, 0)
        index.catch_up()
        row = only(ledger)
        assert (row.parts_paid, row.parts_paid_amount, row.remaining) == (1, usdc(30), usdc(70))
        assert (row.paid_provider, row.paid_fee) == (usdc(30) - usdc("0.3"), usdc("0.3"))
        requester.chain.time_travel(3 * HOUR)
        requester.refund_milestone(payment.transaction_id, 1)
        index.catch_up()
        row = only(ledger)
        assert (row.parts_refunded, row.parts_refunded_amount, row.remaining) == (1, usdc(70), 0)
        assert due(ledger, index, requester.now()) == [(payment.transaction_id, Due.SETTLE)]
        assert_is_the_chain(ledger, endpoint, index)

    def test_walking_away_early(self, ledger, index, requester, provider, endpoint):
        tx_id = funded(requester, provider)
        requester.kernel.announce_cancellation(tx_id)
        index.catch_up()
        row = only(ledger)
        assert row.cancellation_at == requester.kernel.cancellation_effective_at(tx_id)
        assert row.last_at == row.cancellation_at - HOUR
        requester.chain.time_travel(HOUR + 1)
        requester.kernel.cancel_early(tx_id)
        index.catch_up()
        row = only(ledger)
        assert (row.ending, row.state, row.operation) == (Ending.LEFT_EARLY, State.CANCELLED, Operation.REFUND_ESCROW)
        assert (row.paid_provider, row.paid_requester) == (usdc(5), usdc(95))
        assert_is_the_chain(ledger, endpoint, index)

    def test_a_payment_that_the_token_refused_is_owed_until_it_is_withdrawn(
        self, ledger, index, requester, provider, endpoint
    ):
        tx_id = delivered(requester, provider)
        act(endpoint, 0, "TestUSDC", "blacklist", provider.address)
        requester.kernel.settle(tx_id)
        index.catch_up()
        assert credits_of(ledger, index.kernel) == {provider.address: PRICE - FEE}
        assert_is_the_chain(ledger, endpoint, index)
        act(endpoint, 0, "TestUSDC", "unBlacklist", provider.address)
        provider.kernel.withdraw_credit()
        index.catch_up()
        assert credits_of(ledger, index.kernel) == {}

    def test_positions_are_sums_over_what_is_open(self, ledger, index, requester, provider):
        funded(requester, provider)
        disputed(requester, provider)
        requester.kernel.settle(delivered(requester, provider))
        index.catch_up()
        with ledger.read() as connection:
            (mine,) = index_positions.of(connection, requester.address)
            (theirs,) = index_positions.of(connection, provider.address)
        assert (mine.locked, mine.as_requester, mine.bonds, mine.receivable) == (2 * PRICE, 2, BOND, 0)
        assert (theirs.receivable, theirs.as_provider, theirs.locked, theirs.bonds) == (2 * PRICE, 2, 0, 0)


class TestWhatIsDue:
    def test_a_delivery_is_due_in_the_first_second_after_its_window(self, ledger, index, requester, provider, stranger):
        tx_id = delivered(requester, provider)
        index.catch_up()
        ends_at = only(ledger).window_ends_at
        assert ends_at == requester.kernel.get_transaction(tx_id).window_ends
        assert due(ledger, index, ends_at) == []
        assert due(ledger, index, ends_at + 1) == [(tx_id, Due.SETTLE)]
        stranger.chain.time_travel(ends_at + 1 - stranger.now())
        stranger.kernel.settle(tx_id)
        index.catch_up()
        assert due(ledger, index, ends_at + 1) == []

    @pytest.mark.parametrize("begin", [funded, pytest.param(started, marks=pytest.mark.slow)])
    def test_what_was_not_delivered_is_refunded_by_anybody_after_the_grace(
        self, ledger, index, requester, provider, stranger, begin
    ):
        tx_id = begin(requester, provider)
        index.catch_up()
        first = only(ledger).deadline + 7 * DAY + 1
        assert due(ledger, index, first - 1) == []
        assert due(ledger, index, first) == [(tx_id, Due.REFUND)]
        stranger.chain.time_travel(first - stranger.now())
        stranger.kernel.cancel(tx_id)
        index.catch_up()
        assert (only(ledger).ending, due(ledger, index, first)) == (Ending.REFUNDED, [])

    def test_parties_and_kinds_choose(self, ledger, index, requester, provider, stranger):
        one, two = delivered(requester, provider), delivered(requester, stranger)
        refundable = funded(requester, provider)
        index.catch_up()
        later = requester.now() + 30 * DAY

        def found(**options):
            with ledger.read() as connection:
                return {
                    row.transaction_id
                    for row in index_escrows.due(connection, index.kernel.id, chain_now=later, **options)
                }

        assert found(kinds=Due) == {one, two, refundable}
        assert found(kinds=[Due.SETTLE]) == {one, two}
        assert found(kinds=Due, parties=[stranger.address]) == {two}
        assert found(kinds=Due, parties=[requester.address, NOBODY]) == {one, two, refundable}
        assert len(found(kinds=Due, limit=2)) == 2


NOBODY = "0x" + "ab" * 20


class TestOnceAndForAll:
    @pytest.mark.slow
    def test_pages_of_any_size_make_the_same_rows(self, ledger, endpoint, requester, provider, resolver, monkeypatch):
        tx_id = disputed(requester, provider)
        resolver.kernel.resolve(tx_id, requester_amount=usdc(30), provider_amount=usdc(70))
        delivered(requester, provider)
        Index(ledger, endpoint).catch_up()
        whole = told(ledger)
        for blocks, events in ((1, 10_000), (3, 10_000), (10_000, 1), (10_000, 5)):
            monkeypatch.setattr(index_module, "_MOST_BLOCKS", blocks)
            monkeypatch.setattr(index_module, "_MOST_EVENTS", events)
            index = Index(ledger, endpoint)
            index.rebuild()
            assert rows_of(ledger) == {}
            index.catch_up()
            assert told(ledger) == whole
            assert_is_the_chain(ledger, endpoint, index)

    def test_a_limit_bounds_what_is_read_and_the_rest_is_read_later(self, ledger, endpoint, requester, provider):
        delivered(requester, provider)
        index = Index(ledger, endpoint)
        first = index.catch_up(limit=3)
        assert (first.blocks, first.behind > 0) == (3, True)
        second = index.catch_up()
        assert second.behind == 0
        assert first.events + second.events == len(requester.events.since(names=names_of_the_kernel()))
        assert index.catch_up().blocks == 0

    def test_two_indexers_of_one_kernel_fold_nothing_twice(self, anywhere, endpoint, requester, provider):
        delivered(requester, provider)
        one, two = Index(anywhere, endpoint), Index(anywhere, endpoint)
        one.catch_up(limit=4)
        two.catch_up()
        with pytest.raises(LedgerConflict):
            # It goes on from where it was when it last looked, as if it had read its page meanwhile.
            one._step(*one._heights(), None)
        one.catch_up()
        assert_is_the_chain(anywhere, endpoint, one)
        assert kernel_of(anywhere, one).fees == 0

    @pytest.mark.slow
    def test_many_indexers_at_once_make_the_same_rows_as_one(
        self, anywhere, endpoint, requester, provider, monkeypatch
    ):
        for _ in range(3):
            requester.kernel.settle(delivered(requester, provider))
        Index(anywhere, endpoint).catch_up()
        whole = told(anywhere)
        Index(anywhere, endpoint).rebuild()
        monkeypatch.setattr(index_module, "_MOST_BLOCKS", 2)
        failures = []

        def work():
            index = Index(anywhere, endpoint)
            for _ in range(200):
                try:
                    if not index.catch_up().behind:
                        return
                except LedgerConflict:
                    continue
                except Exception as error:
                    failures.append(error)
                    raise

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert failures == []
        assert told(anywhere) == whole
        assert kernel_of(anywhere, Index(anywhere, endpoint)).fees == 3 * FEE

    def test_what_fails_before_its_commit_is_read_again_as_if_nothing_had_been(
        self, ledger, endpoint, requester, provider, monkeypatch
    ):
        delivered(requester, provider)
        index = Index(ledger, endpoint)
        monkeypatch.setattr(index_undo, "prune", boom)
        with pytest.raises(RuntimeError):
            index.catch_up()
        assert rows_of(ledger) == {}
        monkeypatch.undo()
        again = Index(ledger, endpoint)
        again.catch_up()
        assert_is_the_chain(ledger, endpoint, again)

    def test_an_index_that_was_begun_elsewhere_is_refused_until_it_is_rebuilt(self, ledger, endpoint, requester):
        Index(ledger, endpoint)
        with pytest.raises(ConfigError, match="is indexed from block"):
            Index(ledger, endpoint, endpoint.start_block + 2)
        Index(ledger, endpoint).rebuild(endpoint.start_block + 2)
        assert Index(ledger, endpoint, endpoint.start_block + 2).kernel.start_block == endpoint.start_block + 2

    def test_from_a_later_block_escrows_of_before_are_read_from_the_state_when_something_happens_to_them(
        self, ledger, endpoint, requester, provider
    ):
        before, silent = started(requester, provider), funded(requester, provider)
        index = Index(ledger, endpoint, requester.events.since().cursor.block + 1)
        provider.kernel.deliver(before)
        after = funded(requester, provider)
        index.catch_up()
        assert set(rows_of(ledger)) == {before, after}
        assert rows_of(ledger)[before].window_ends_at is not None
        index.verify_these([silent])
        assert set(rows_of(ledger)) == {before, after, silent}
        requester.kernel.settle(before)
        index.catch_up()
        assert_is_the_chain_but_for_fees(ledger, endpoint, index)

    @pytest.mark.slow
    def test_what_was_read_from_a_newer_state_is_not_changed_again_by_the_events_up_to_it(
        self, ledger, endpoint, requester, provider, monkeypatch
    ):
        monkeypatch.setattr(index_module, "_MOST_BLOCKS", 1)
        monkeypatch.setattr(index_module, "_KEPT_BLOCKS", 0)
        before = started(requester, provider)
        index = Index(ledger, endpoint, requester.events.since().cursor.block + 1)
        provider.kernel.deliver(before)
        requester.kernel.settle(before)
        head = requester.events.since().cursor.block
        index.catch_up()
        row = only(ledger)
        assert (row.state, row.known_block, row.paid, row.repaired) == (State.SETTLED, head, 0, True)
        assert repaired(ledger, index.kernel) == [before]

    def test_several_kernels_of_one_chain_have_a_cursor_each(self, ledger, endpoint, requester, provider):
        other = replace(endpoint, deployment=deploy_g1(requester.chain))
        first, second = Index(ledger, endpoint), Index(ledger, other)
        funded(requester, provider)
        first.catch_up()
        assert (first.kernel.ours, second.kernel.ours) == (True, False)
        assert (first.kernel.id, first.kernel.block) != (second.kernel.id, second.kernel.block)
        second.catch_up()
        assert {row.kernel_id for row in rows_of(ledger).values()} == {first.kernel.id}


def told(ledger):
    """What events say. The window of an escrow is read from the state, unless it has ended in the page that tells of
    its delivery.
    """
    return {
        one: {**row, "window_ends_at": row["window_ends_at"] if row["open"] else None, "known_block": None}
        for one, row in columns(ledger).items()
    }


def names_of_the_kernel():
    from actp.decoding import _event_types

    return [kind.name for kind in _event_types("ACTPKernel").values()]


def assert_is_the_chain_but_for_fees(ledger, endpoint, index):
    """What had accrued before the first block is not known until it is compared."""
    index.verify()
    assert_is_the_chain(ledger, endpoint, index)


def boom(*arguments):
    raise RuntimeError("killed")


class TestWhenTheChainGoesBack:
    def test_what_is_gone_is_taken_back_and_what_came_instead_is_read(
        self, anywhere, endpoint, requester, provider, caplog
    ):
        chain = requester.chain
        stays = started(requester, provider)
        index = Index(anywhere, endpoint)
        index.catch_up()
        kept = columns(anywhere)
        snapshot = chain.snapshot()
        provider.kernel.deliver(stays)
        act(endpoint, 0, "TestUSDC", "blacklist", provider.address)
        requester.kernel.settle(stays)
        gone = funded(requester, provider)
        index.catch_up()
        assert set(rows_of(anywhere)) == {stays, gone}
        assert credits_of(anywhere, index.kernel)
        chain.revert(snapshot)
        assert (index.catch_up().rewinds, set(rows_of(anywhere))) == (0, {stays, gone}), "a node that is behind"
        chain.time_travel(HOUR)
        for _ in range(12):
            chain.mine()
        progress = index.catch_up()
        assert progress.rewinds == 1
        assert columns(anywhere) == kept
        assert credits_of(anywhere, index.kernel) == {}
        assert "went back to block" in caplog.text
        provider.kernel.deliver(stays)
        index.catch_up()
        assert_is_the_chain(anywhere, endpoint, index)

    @pytest.mark.slow
    def test_a_row_that_was_put_right_goes_back_with_the_block_at_which_that_was(
        self, ledger, endpoint, requester, provider, index
    ):
        chain = requester.chain
        tx_id = started(requester, provider)
        index.catch_up()
        kept = columns(ledger)
        snapshot = chain.snapshot()
        chain.mine()
        index.catch_up()
        with ledger.write() as connection:
            connection.exec_driver_sql("UPDATE co_index_escrows SET amount = 1")
        assert [one.transaction_id for one in index.verify()] == [tx_id]
        chain.revert(snapshot)
        chain.time_travel(HOUR)
        for _ in range(3):
            chain.mine()
        assert index.catch_up().rewinds == 1
        assert columns(ledger)[tx_id]["amount"] == 1, "the row before is as it was, and found wrong again"
        index.verify()
        assert columns(ledger)[tx_id]["amount"] == kept[tx_id]["amount"]

    def test_further_back_than_is_kept_nothing_is_guessed(self, ledger, endpoint, requester, provider, monkeypatch):
        monkeypatch.setattr(index_module, "_KEPT_BLOCKS", 2)
        chain = requester.chain
        index = Index(ledger, endpoint)
        snapshot = chain.snapshot()
        funded(requester, provider)
        for _ in range(6):
            chain.mine()
            index.catch_up()
        before = columns(ledger)
        chain.revert(snapshot)
        chain.time_travel(HOUR)
        for _ in range(12):
            chain.mine()
        with pytest.raises(ReorgTooDeep) as caught:
            index.catch_up()
        assert "--rebuild" in caught.value.hint
        assert columns(ledger) == before
        index.rebuild()
        index.catch_up()
        assert_is_the_chain(ledger, endpoint, index)

    @pytest.mark.slow
    def test_what_nothing_can_take_back_any_more_is_not_kept(self, ledger, endpoint, requester, provider, monkeypatch):
        monkeypatch.setattr(index_module, "_KEPT_BLOCKS", 3)
        index = Index(ledger, endpoint)
        for _ in range(6):
            funded(requester, provider)
            index.catch_up()
        with ledger.read() as connection:
            points = index_undo.points_of(connection, index.kernel)
            images = connection.exec_driver_sql("SELECT COUNT(*) FROM co_index_undo").scalar()
        assert len(points) <= 5
        assert images <= 4


class TestNodes:
    @pytest.mark.slow
    def test_ranges_that_are_refused_are_halved_and_the_good_one_is_remembered(
        self, ledger, endpoint, faulty, requester, provider, monkeypatch
    ):
        for _ in range(8):
            delivered(requester, provider)
        asked = []

        def limited(real, params):
            if "fromBlock" not in params[0]:
                return real()
            size = int(params[0]["toBlock"], 16) - int(params[0]["fromBlock"], 16) + 1
            asked.append(size)
            if size > 3:
                raise RpcError(-32614, "limited to a 3 block range")
            return real()

        monkeypatch.setattr(index_module, "_MOST_BLOCKS", 6)
        monkeypatch.setattr(index_module, "_KEPT_BLOCKS", 0)
        index = Index(ledger, replace(endpoint, transport=faulty))
        faulty.always("eth_getLogs", limited)
        index.catch_up()
        assert_is_the_chain(ledger, endpoint, index)
        assert len(asked) > 8
        assert len([size for size in asked if size > 3]) <= 3, "each page began anew with what the node had refused"

    @pytest.mark.parametrize("missing", ["StateTransitioned", "EscrowReleased", "TransactionCreated", "EscrowLinked"])
    def test_a_missing_event_is_noticed_by_the_next_one_and_the_state_counts(
        self, ledger, endpoint, faulty, requester, provider, missing, caplog
    ):
        index = Index(ledger, replace(endpoint, transport=faulty))
        tx_id = started(requester, provider)
        topic = "0x" + keccak(signature(missing).encode()).hex()
        faulty.always("eth_getLogs", lambda real, params: [one for one in real() if one["topics"][0] != topic])
        index.catch_up()
        if missing != "EscrowReleased":
            faulty.clear()
        provider.kernel.deliver(tx_id)
        requester.kernel.settle(tx_id)
        index.catch_up()
        row = only(ledger)
        assert (row.state, row.remaining) == (State.SETTLED, 0)
        if missing != "StateTransitioned":  # of which the later ones say all that it did
            assert row.repaired
            assert set(repaired(ledger, index.kernel)) == {tx_id}
            assert "events were missing" in caplog.text
        assert_is_the_chain(ledger, endpoint, index)

    def test_a_block_without_its_events_is_noticed_at_the_next_step(
        self, ledger, endpoint, faulty, requester, provider, caplog
    ):
        index = Index(ledger, replace(endpoint, transport=faulty))
        tx_id = open_transaction(requester, provider)
        index.catch_up()
        requester.fund_transaction(tx_id)
        faulty.always("eth_getLogs", lambda real, params: [])
        index.catch_up()
        faulty.clear()
        assert (only(ledger).state, only(ledger).funded) == (State.INITIATED, 0)
        provider.kernel.start(tx_id)
        index.catch_up()
        assert (only(ledger).state, only(ledger).funded, only(ledger).remaining) == (State.IN_PROGRESS, PRICE, PRICE)
        assert repaired(ledger, index.kernel) == [tx_id]
        assert_is_the_chain(ledger, endpoint, index)

    def test_an_event_that_is_missing_with_nothing_after_it_is_found_by_comparing(
        self, ledger, endpoint, faulty, requester, provider, caplog
    ):
        index = Index(ledger, replace(endpoint, transport=faulty))
        tx_id = started(requester, provider)
        index.catch_up()
        provider.kernel.deliver(tx_id)
        faulty.once("eth_getLogs", lambda real, params: [])
        index.catch_up()
        assert only(ledger).state is State.IN_PROGRESS
        (repair,) = index.verify()
        assert repair.differences["state"] == ("IN_PROGRESS", "DELIVERED")
        row = only(ledger)
        assert (row.state, row.repaired, row.due_kind) == (State.DELIVERED, True, Due.SETTLE)
        assert row.window_ends_at == requester.kernel.get_transaction(tx_id).window_ends
        with ledger.read() as connection:
            (kept,) = index_records.repairs_of(connection, index.kernel.id)
        assert kept == repair
        assert "was not what the chain's state says" in caplog.text
        assert index.verify() == []
        requester.kernel.settle(tx_id)
        index.catch_up()
        assert_is_the_chain(ledger, endpoint, index)

    @pytest.mark.slow
    def test_those_that_were_not_compared_for_the_longest_are_compared_first(
        self, ledger, index, faulty, clock, requester, provider
    ):
        ids = {funded(requester, provider) for _ in range(5)}
        index.catch_up()
        seen = set()
        for _ in range(5):
            clock.advance(1)
            index.verify(most=1)
            seen |= {one for one, row in rows_of(ledger).items() if row.checked_at == clock.time()}
        assert seen == ids

    @pytest.mark.slow
    def test_missing_credits_and_fees_are_found_by_comparing(self, ledger, endpoint, index, requester, provider):
        act_on = delivered(requester, provider)
        act(endpoint, 0, "TestUSDC", "blacklist", provider.address)
        requester.kernel.settle(act_on)
        index.catch_up()
        with ledger.write() as connection:
            connection.exec_driver_sql("UPDATE co_index_credits SET amount = '1'")
            connection.exec_driver_sql("UPDATE co_index_kernels SET fees = '2'")
        (repair,) = index.verify()
        assert set(repair.differences) == {"fees", f"credit of {provider.address}"}
        assert_is_the_chain(ledger, endpoint, index)

    @pytest.mark.slow
    def test_an_escrow_that_is_looked_at_by_name_is_made_from_the_state(
        self, ledger, endpoint, faulty, requester, provider
    ):
        index = Index(ledger, replace(endpoint, transport=faulty))
        tx_id = delivered(requester, provider)
        faulty.always("eth_getLogs", lambda real, params: [])
        (repair,) = index.verify_these([tx_id, "0x" + "cd" * 32])
        assert (repair.transaction_id, only(ledger).state) == (tx_id, State.DELIVERED)
        assert_is_the_chain(ledger, endpoint, index)

    def test_events_of_a_newer_kernel_are_counted_and_the_state_counts(
        self, ledger, endpoint, faulty, index, requester, provider, caplog
    ):
        index = Index(ledger, replace(endpoint, transport=faulty))
        tx_id = started(requester, provider)
        index.catch_up()
        provider.kernel.deliver(tx_id)
        news = "0x" + "77" * 32

        def newer(real, params):
            """Tells of the delivery in a way that nobody knows yet."""
            return [{**one, "topics": [news, *one["topics"][1:2]]} for one in real()]

        faulty.always("eth_getLogs", newer)
        index.catch_up()
        assert (only(ledger).state, only(ledger).repaired) == (State.DELIVERED, True)
        with ledger.read() as connection:
            (unknown,) = index_records.unknown_of(connection, index.kernel.id)
        assert (unknown.topic, unknown.number) == (news, 1)
        assert caplog.text.count("this program does not know") == 1
        requester.kernel.settle(tx_id)
        index.catch_up()
        with ledger.read() as connection:
            (unknown,) = index_records.unknown_of(connection, index.kernel.id)
        assert unknown.number > 1
        assert caplog.text.count("this program does not know") == 1
        assert_is_the_chain_but_for_fees(ledger, endpoint, index)

    def test_a_node_that_fails_is_waited_for_and_one_that_is_done_is_left(
        self, ledger, endpoint, faulty, requester, provider, caplog
    ):
        caplog.set_level(logging.WARNING)
        index = Index(ledger, replace(endpoint, transport=faulty))
        tx_id = funded(requester, provider)
        stop = threading.Event()
        for _ in range(2):
            faulty.once("eth_getLogs", lambda real, params: _raise(RpcUnavailable("no connection")))
        runner = threading.Thread(target=index.run, args=(stop,), kwargs={"every": 0.01})
        runner.start()
        for _ in range(500):
            if tx_id in rows_of(ledger):
                break
            stop.wait(0.01)
        stop.set()
        runner.join(10)
        assert not runner.is_alive()
        assert tx_id in rows_of(ledger)
        assert "The index waits" in caplog.text

    @pytest.mark.slow
    def test_a_window_that_a_node_does_not_show_is_asked_for_again(
        self, ledger, endpoint, faulty, requester, provider, clock
    ):
        index = Index(ledger, replace(endpoint, transport=faulty))
        for _ in range(3):
            funded(requester, provider)
        tx_id = started(requester, provider)
        index.catch_up()
        index.verify()
        clock.advance(1)
        provider.kernel.deliver(tx_id)
        old = hex(index.kernel.block.number)
        faulty.always("eth_call", lambda real, params: endpoint.transport.request("eth_call", [params[0], old]))
        index.catch_up()
        assert (rows_of(ledger)[tx_id].state, rows_of(ledger)[tx_id].due_kind) == (State.DELIVERED, None)
        faulty.clear()
        index.verify(most=1)
        assert rows_of(ledger)[tx_id].due_kind is Due.SETTLE
        assert_is_the_chain(ledger, endpoint, index)

    def test_what_cannot_be_compared_holds_up_no_events(self, ledger, endpoint, faulty, requester, provider, caplog):
        index = Index(ledger, replace(endpoint, transport=faulty))
        faulty.always("eth_call", lambda real, params: _raise(RpcUnavailable("missing trie node")))
        tx_id = funded(requester, provider)
        stop = threading.Event()
        runner = threading.Thread(target=index.run, args=(stop,), kwargs={"every": 0.01, "checks_every": -1.0})
        runner.start()
        for _ in range(500):
            if tx_id in rows_of(ledger) and "could not be compared" in caplog.text:
                break
            stop.wait(0.01)
        stop.set()
        runner.join(10)
        assert not runner.is_alive()
        assert tx_id in rows_of(ledger)
        assert "The index waits" not in caplog.text

    @pytest.mark.slow
    def test_an_idle_pass_asks_the_same_few_questions_however_many_escrows_there_are(
        self, ledger, endpoint, faulty, requester, provider
    ):
        index = Index(ledger, replace(endpoint, transport=faulty))
        counts = []
        for _ in range(2):
            for _ in range(3):
                funded(requester, provider)
            index.catch_up()
            before = len(faulty.calls)
            assert index.catch_up().blocks == 0
            counts.append(len(faulty.calls) - before)
        assert counts[0] == counts[1] <= 5

    @pytest.mark.slow
    def test_the_kernel_of_g1_is_followed_with_what_it_says(self, ledger, endpoint, requester, provider):
        deployment = deploy_g1(requester.chain)
        other = replace(endpoint, deployment=deployment)
        index = Index(ledger, other)
        assert (index.kernel.version, index.kernel.grace_seconds, index.kernel.timeout_seconds) == ("G1", None, None)
        old, worker = (ACTPClient(other, one.signer) for one in (requester, provider))
        for one in (old, worker):
            act(other, 4, "TestUSDC", "mint", one.address, 10 * PRICE)
        tx_id = open_transaction(old, worker)
        old.fund_transaction(tx_id)
        worker.kernel.start(tx_id)
        index.catch_up()
        assert only(ledger).due_kind is None, "nobody but the parties may end it there"
        worker.kernel.deliver(tx_id)
        index.catch_up()
        row = only(ledger)
        assert (row.due_kind, row.due_at) == (Due.SETTLE, old.kernel.get_transaction(tx_id).window_ends + 1)
        old.kernel.dispute(tx_id, b"no")
        index.catch_up()
        row = only(ledger)
        assert (row.state, row.bond_requester, row.dispute_ends_at, row.due_kind) == (State.DISPUTED, BOND, None, None)
        assert index.verify() == []

    @pytest.mark.parametrize("archive", [False, pytest.param(True, marks=pytest.mark.slow)])
    def test_a_kernel_that_pays_fees_at_once_and_tells_of_milestones_afterwards(
        self, ledger, endpoint, requester, provider, archive
    ):
        deployment = deploy_public_g1(
            requester.chain, endpoint.chain_id, dev_accounts()[0].private_key, requester.token.address,
            dev_accounts()[0].address, archive=archive,
        )  # fmt: skip
        other = replace(endpoint, deployment=deployment)
        index = Index(ledger, other)
        old, worker = (ACTPClient(other, one.signer) for one in (requester, provider))
        half, back = open_transaction(old, worker), open_transaction(old, worker)
        for one in (half, back):
            old.fund_transaction(one)
        worker.kernel.start(half)
        old.kernel.release_milestone(half, usdc(30))
        index.catch_up()
        row = rows_of(ledger)[half]
        assert (row.remaining, row.parts_paid, row.parts_paid_amount) == (usdc(70), 1, usdc(30))
        assert (row.paid_provider, row.paid_fee) == (usdc(30) - usdc("0.3"), usdc("0.3"))
        assert index.verify() == []
        worker.kernel.cancel(back)
        worker.kernel.deliver(half)
        old.kernel.settle(half)
        index.catch_up()
        rows = rows_of(ledger)
        assert (rows[half].state, rows[half].ending, rows[half].remaining) == (State.SETTLED, Ending.RELEASED, 0)
        assert (rows[back].ending, rows[back].paid_requester) == (Ending.REFUNDED, PRICE)
        assert index.verify_these([half, back]) == []
        assert kernel_of(ledger, index).fees == 0


def signature(name):
    from actp import artifacts

    (entry,) = [one for one in artifacts.load("ACTPKernel").abi if one["type"] == "event" and one["name"] == name]
    return artifacts.signature_of(entry)


def _raise(error):
    raise error


def test_the_columns_of_the_row_are_those_of_the_table():
    from coordinator.store.index_schema import escrows

    assert tuple(escrows.columns.keys()) == index_escrows._NAMES


def test_everything_that_was_ever_created_is_in_the_index(ledger, index, requester, provider):
    for begin in (open_transaction, funded, started, delivered, disputed):
        begin(requester, provider)
    index.catch_up()
    assert set(rows_of(ledger)) == ids_of(requester)


def test_an_endpoint_is_enough_and_so_is_a_client(ledger, endpoint, requester):
    assert Index(ledger, requester).kernel == Index(ledger, endpoint).kernel
