"""How far an operation is decides in which state its reservation is, and nothing else does."""

from __future__ import annotations

import pytest

from coordinator.budget.rules import GasRules
from coordinator.budget.words import Reservation, ReservationState, ScopeKind
from coordinator.store import dispatches, losses, moving, operations, treasuries, verdicts
from coordinator.store.losses import Loss
from coordinator.store.moving import Move, Step
from coordinator.store.verdicts import Verdict
from coordinator.types import ETH, BlockRef, Stage
from coordinator.worker.following import Following
from tests.coordinator.worker.support import COMMITTED, HELD, ON_CHAIN, PURSE, RELEASED, SUBMITTING, USDC, book

BLOCK = {"tx_hash": "0x" + "ab" * 32, "block_number": 7, "block_hash": "0x" + "cd" * 32}
NO_BLOCK = {"tx_hash": None, "block_number": None, "block_hash": None, "code": None, "reason": None}
SIGNED = (Stage.SIMULATING, Stage.POLICY_EVAL, Stage.SIGNING, Stage.SUBMITTING)
FEE = 1_000_001


class Walk:
    """A grant of so many requests that was handed on; its operation goes where the test says."""

    def __init__(self, firm, count=1) -> None:
        firm.authority.apply(book(gas=GasRules(10**18)), "test")
        worker = firm.worker()
        worker.look()
        self.firm = firm
        self.answers = [firm.request() for _ in range(count)]
        assert worker._dispatching.round()
        self.following = Following(firm.authority)
        self.operation = firm.operations()[0]

    def go(self, *stages, **values) -> set[ReservationState]:
        """The states of the reservations once the operation has gone there."""
        self.move(*stages, **values)
        return self.follow()

    def move(self, *stages, **values) -> None:
        """The operation goes there, and nobody follows it."""
        ledger = self.firm.ledger
        with ledger.write() as connection:
            (now,) = operations.by_ids(connection, [self.operation.id]).values()
            steps = tuple(Step(stage, stage.value) for stage in stages)
            moving.move(connection, self.firm.key, [Move(now, steps, values)], ledger.now())

    def seen(self) -> BlockRef:
        """The block at which the treasury was looked at last."""
        with self.firm.ledger.read() as connection:
            return treasuries.read(connection, self.firm.key).block

    def look(self, number) -> None:
        """The treasury is looked at, at a block of this number."""
        block = BlockRef(number, "0x" + "ef" * 32)
        assert self.firm.authority.observe(PURSE, 10**18, block, 10**15)

    def waiting(self) -> list[dispatches.Dispatch]:
        with self.firm.ledger.read() as connection:
            return dispatches.waiting(connection, self.firm.key)

    def held(self) -> Reservation:
        """The only one that is held."""
        (found,) = [row for row in map(self.firm.find, self.answers) if row.state is HELD]
        return found

    def finish(self) -> set[ReservationState]:
        """The same once its block is final."""
        with self.firm.ledger.write() as connection:
            operations.make_final(connection, [self.operation.id])
        return self.follow()

    def pay(self, fee=FEE) -> None:
        """Being mined has cost so much."""
        with self.firm.ledger.write() as connection:
            row = Loss(losses.GAS, BLOCK["tx_hash"], self.operation.id, ETH, fee)
            losses.add(connection, self.firm.key, [row], self.firm.ledger.now())

    def follow(self) -> set[ReservationState]:
        self.following.round()
        assert not self.following.round(), "it is where it belongs, and moves again"
        self.firm.sound()
        return {self.firm.find(one).state for one in self.answers}

    @property
    def gas(self) -> tuple[int, int]:
        return self.firm.cell(ScopeKind.GAS, unit=ETH)


@pytest.fixture
def walk(firm) -> Walk:
    return Walk(firm)


def test_it_is_signed_mined_and_final(walk):
    assert walk.go(*SIGNED[:3]) == {HELD}
    assert walk.go(Stage.SUBMITTING) == {SUBMITTING}
    walk.pay()
    assert walk.go(Stage.CONFIRMED, **BLOCK) == {ON_CHAIN}
    assert walk.firm.cell() == (0, 10 * USDC)
    assert walk.finish() == {COMMITTED}
    assert walk.firm.cell() == (10 * USDC, 0)
    assert walk.gas == (FEE, 0)


def test_a_block_that_is_gone_takes_it_back_to_submitting(walk):
    assert walk.go(*SIGNED, Stage.CONFIRMED, **BLOCK) == {ON_CHAIN}
    assert walk.go(Stage.SUBMITTING, **NO_BLOCK) == {SUBMITTING}
    assert walk.firm.cell() == (0, 10 * USDC)
    assert walk.go(Stage.CONFIRMED, **BLOCK) == {ON_CHAIN}
    assert walk.finish() == {COMMITTED}


@pytest.mark.slow
def test_what_failed_before_anything_was_signed_gives_all_of_it_back(walk):
    values = {"code": "denied", "reason": "Too much.", "final": True, "failed_at": "policy_eval"}
    assert walk.go(Stage.SIMULATING, Stage.POLICY_EVAL, Stage.FAILED, **values) == {RELEASED}
    assert walk.firm.cell() == (0, 0)
    assert walk.gas == (0, 0)
    assert walk.firm.treasury()[1] == 0
    assert walk.firm.find(walk.answers[0]).denial.message == "Too much."


def test_what_reverted_gives_back_all_but_the_fee_and_only_when_that_is_final(walk):
    walk.go(*SIGNED)
    walk.pay()
    assert walk.go(Stage.FAILED, code="reverted", reason="WrongState", **BLOCK) == {SUBMITTING}
    assert walk.firm.cell() == (0, 10 * USDC)
    assert walk.finish() == {RELEASED}
    assert walk.firm.cell() == (0, 0)
    assert walk.gas == (FEE, 0)


def test_what_reverted_in_another_block_after_it_was_funded_is_promised_again_until_that_is_final(walk):
    assert walk.go(*SIGNED, Stage.CONFIRMED, **BLOCK) == {ON_CHAIN}
    assert walk.go(Stage.SUBMITTING, Stage.FAILED, code="reverted", reason="WrongState") == {SUBMITTING}
    assert walk.firm.treasury()[1] == 10 * USDC
    assert walk.finish() == {RELEASED}


@pytest.mark.parametrize("code", ["delta_breach", "unverified"])
def test_what_was_mined_and_is_not_known_to_be_right_counts_as_spent_and_its_agent_gets_nothing_more(walk, code):
    assert walk.go(*SIGNED, Stage.FAILED, code=code, reason="It did something else.", **BLOCK) == {ON_CHAIN}
    assert "It did something else." in walk.firm.frozen()["agent:ann"]
    assert walk.firm.request().denial.rule == "scope_frozen"
    assert walk.firm.request(who="bob").state is HELD
    assert walk.finish() == {COMMITTED}
    assert walk.firm.cell()[0] == 10 * USDC


def test_what_reverted_and_breached_waits_for_a_final_block_and_holds_up_nothing_else(walk):
    with walk.firm.ledger.write() as connection:
        block = BlockRef(BLOCK["block_number"], BLOCK["block_hash"])
        evidence = {"succeeded": False}
        row = Verdict(walk.operation.id, 0, BLOCK["tx_hash"], block, "breach", None, evidence)
        verdicts.add(connection, walk.firm.key, [row], 1.0)
    values = {"code": "delta_breach", "reason": "It did something else."}
    assert walk.go(*SIGNED) == {SUBMITTING}
    assert walk.go(Stage.FAILED, **values, **BLOCK) == {SUBMITTING}
    assert walk.finish() == {RELEASED}
    assert walk.firm.cell() == (0, 0)


def test_a_batch_whose_block_is_gone_and_that_cannot_be_mined_any_more_is_tried_one_by_one(firm):
    walk = Walk(firm, 2)
    assert walk.go(*SIGNED, Stage.CONFIRMED, **BLOCK) == {ON_CHAIN}
    # Both happened before anybody followed.
    values = NO_BLOCK | {"code": "replaced", "reason": "Its nonce was used.", "final": True}
    assert walk.go(Stage.SUBMITTING, Stage.FAILED, **values) == {HELD}
    with firm.ledger.read() as connection:
        assert [one.alone for one in dispatches.waiting(connection, firm.key)] == [True, True]
    assert firm.treasury()[1] == 20 * USDC


def test_a_batch_that_was_mined_in_vain_is_tried_one_by_one_when_the_balance_shows_its_fee(firm):
    walk = Walk(firm, 3)
    hold = walk.gas[1]
    walk.go(*SIGNED)
    walk.pay()
    block = BLOCK | {"block_number": walk.seen().number + 1}
    assert walk.go(Stage.FAILED, code="reverted", reason="WrongState", **block) == {SUBMITTING}
    assert walk.gas == (0, hold)
    assert walk.finish() == {SUBMITTING}, "what is promised for gas is the fee that the balance does not show yet"
    walk.look(block["block_number"])
    assert firm.treasury(ETH)[1] == 0
    assert walk.follow() == {HELD}
    # The fee of the batch, and as much as before for the three that are to come.
    assert walk.gas == (FEE, hold)
    assert firm.treasury(ETH)[1] == hold
    assert (firm.treasury()[1], firm.cell()) == (30 * USDC, (0, 30 * USDC))
    assert [one.alone for one in walk.waiting()] == [True, True, True]
    walk.look(block["block_number"] + 1)
    assert firm.treasury(ETH)[1] == hold, "no operation carries it out, and none has paid for it"


@pytest.mark.parametrize("told", [True, False])
def test_a_batch_that_reverted_before_anybody_followed_is_tried_one_by_one(firm, told):
    walk = Walk(firm, 2)
    hold = walk.gas[1]
    walk.pay()
    block = BLOCK | {"block_number": walk.seen().number}
    values = {"code": "reverted", "reason": "WrongState", "final": True} | block
    walk.move(*SIGNED, Stage.FAILED, **values)
    if told:
        walk.look(block["block_number"])
        assert firm.treasury(ETH)[1] == 0
    assert walk.follow() == {HELD}
    assert walk.gas == (FEE, hold)
    assert firm.treasury(ETH)[1] == hold
    assert {firm.find(one).denial for one in walk.answers} == {None}


def test_what_reverted_together_is_not_tried_again_without_gas_for_it(firm):
    walk = Walk(firm, 2)
    hold = walk.gas[1]
    firm.authority.apply(book(gas=GasRules(hold + FEE - 1)), "test")
    walk.pay()
    block = BLOCK | {"block_number": walk.seen().number}
    values = {"code": "reverted", "reason": "WrongState.", "final": True} | block
    walk.move(*SIGNED, Stage.FAILED, **values)
    states = walk.follow()
    # The first one that is given up leaves room for the second.
    assert states == {RELEASED, HELD}
    assert walk.gas == (FEE, hold // 2)
    (given_up,) = [row for row in map(firm.find, walk.answers) if row.state is RELEASED]
    assert given_up.denial.message == "WrongState. The budget of gas has no room for another try."
    assert [one.reservation_id for one in walk.waiting()] == [walk.held().id]
    assert "gas:" not in firm.frozen()


def test_gas_of_what_reverted_is_promised_again_when_that_block_is_gone(walk):
    hold = walk.gas[1]
    block = BLOCK | {"block_number": walk.seen().number + 1}
    assert walk.go(*SIGNED, Stage.FAILED, code="reverted", reason="WrongState", **block) == {SUBMITTING}
    assert walk.firm.treasury(ETH)[1] == hold
    walk.look(block["block_number"])
    assert walk.firm.treasury(ETH)[1] == 0
    assert walk.follow() == {SUBMITTING}
    assert walk.go(Stage.SUBMITTING, **NO_BLOCK) == {SUBMITTING}
    assert walk.firm.treasury(ETH)[1] == hold
    assert walk.firm.treasury()[1] == 10 * USDC
    assert walk.go(Stage.FAILED, **NO_BLOCK | {"code": "replaced", "reason": "Gone.", "final": True}) == {RELEASED}
    assert (walk.firm.treasury(ETH)[1], walk.gas) == (0, (0, 0))


def test_the_fee_of_a_batch_is_shared_to_the_last_wei(firm):
    walk = Walk(firm, 3)
    walk.go(*SIGNED)
    walk.pay()
    assert walk.go(Stage.CONFIRMED, **BLOCK) == {ON_CHAIN}
    assert walk.finish() == {COMMITTED}
    assert walk.gas == (FEE, 0)


def test_a_fee_that_nobody_tells_is_what_was_reserved_for_it(walk):
    _, reserved = walk.gas
    walk.go(*SIGNED, Stage.CONFIRMED, **BLOCK)
    walk.finish()
    assert walk.gas == (reserved, 0)
    assert reserved > 0


def test_of_two_that_follow_the_slower_one_changes_nothing(firm, monkeypatch):
    walk = Walk(firm, 2)
    values = {"code": "denied", "reason": "Too much.", "final": True, "failed_at": "simulating"}
    ledger = firm.ledger
    with ledger.write() as connection:
        (now,) = operations.by_ids(connection, [walk.operation.id]).values()
        steps = (Step(Stage.SIMULATING, "x"), Step(Stage.FAILED, "x"))
        moving.move(connection, firm.key, [Move(now, steps, values)], ledger.now())
    slow, fast = Following(firm.authority), Following(firm.authority)
    write = ledger.write
    worker = firm.worker()

    def others_first():
        monkeypatch.setattr(ledger, "write", write)
        assert fast.round()
        assert worker._dispatching.round()  # each of them again, alone
        return write()

    monkeypatch.setattr(ledger, "write", others_first)
    slow.round()
    assert not worker._dispatching.round(), "what was handed on again is handed on once more"
    assert [one.type for one in firm.operations()] == ["create_escrow", "create_escrow", "create_escrow_batch"]
    firm.sound()
