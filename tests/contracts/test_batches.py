"""Defect 11 of the public kernel: every step of every job is a transaction of its own.

Here many orders are funded with one transfer, delivered in one call and settled with one transfer for each payee, and
one bad item of a settlement never undoes the rest (defect 5).
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.contracts.kernel_support import AMOUNT, DAY, FREE, HOUR, USDC, ZERO32, State, World
from tests.contracts.orders import (
    NOT_DUE,
    USUAL,
    Wallet,
    order,
    place,
    place_many,
    placed,
    reason,
    salt,
    salted_id,
    schedule,
    skipped,
    three_parts,
)

OpenWorld = Callable[..., World]
NET = AMOUNT - USDC
UNKNOWN = b"\x42" * 32
BOND = 5 * USDC


def delivered(world: World, count: int, first: int = 1, **changed: object) -> list[bytes]:
    """Payments to the usual provider, funded and delivered by batches."""
    orders = [order(world, first + n, AMOUNT, **changed) for n in range(count)]  # type: ignore[arg-type]
    ids = place_many(world, orders)
    assert world.send("deliverBatch", ids, sender=world.provider).of("BatchItemSkipped") == []
    return ids


def states(world: World, ids: list[bytes]) -> list[State]:
    return [world.state(one) for one in ids]


def transfers(receipt: object, world: World) -> list[tuple[str, int]]:
    """Whom the vault paid, in order."""
    return [(one.recipient, one.amount) for one in receipt.of("EscrowPayout")]  # type: ignore[attr-defined]


# ---------------------------------------------------------------- create and fund


def test_defect_11_many_orders_are_funded_with_one_transfer(world: World) -> None:
    orders = [order(world, n, n * USDC, provider=payee) for n, payee in
              enumerate((world.provider, world.other_provider, world.provider, world.stranger), start=1)]  # fmt: skip
    expected = [salted_id(world, world.requester, salt(n)) for n in range(1, 5)]
    assert list(world.kernel.read("createFundedBatch", orders, sender=world.requester)) == expected
    gained = world.gains(world.requester, world.vault.address)
    receipt = world.send("createFundedBatch", orders, sender=world.requester)
    assert gained() == [-10 * USDC, 10 * USDC]
    assert len(receipt.of("Transfer")) == 1
    assert [one.transactionId for one in receipt.of("EscrowLinked")] == expected
    assert [one.amount for one in receipt.of("EscrowLinked")] == [USDC, 2 * USDC, 3 * USDC, 4 * USDC]
    for number, one in enumerate(expected, start=1):
        assert world.vault.read("escrows", one) == [
            world.requester, orders[number - 1].provider, number * USDC, 0, True,
        ]  # fmt: skip


@pytest.mark.parametrize("bad", range(3))
@pytest.mark.parametrize(
    "trouble", ["ZeroAddress", "InvalidProvider", "AmountOutOfBounds", "DeadlineOutOfBounds", "SaltUsed"]
)
def test_one_bad_order_undoes_the_whole_batch(world: World, trouble: str, bad: int) -> None:
    place(world, order(world, 99))
    orders = [order(world, n) for n in range(3)]
    orders[bad] = {
        "ZeroAddress": orders[bad]._replace(provider="0x" + "00" * 20),
        "InvalidProvider": orders[bad]._replace(provider=world.requester),
        "AmountOutOfBounds": orders[bad]._replace(amount=2**256 - AMOUNT),
        "DeadlineOutOfBounds": orders[bad]._replace(deadline=world.now()),
        "SaltUsed": orders[bad]._replace(salt=salt(99)),
    }[trouble]
    world.refuse(trouble, "createFundedBatch", orders, sender=world.requester)


def test_a_batch_that_costs_more_than_the_allowance_takes_nothing(world: World) -> None:
    world.token.send("approve", world.vault.address, 3 * AMOUNT - 1, sender=world.requester)
    orders = [order(world, n) for n in range(3)]
    world.refuse("ERC20InsufficientAllowance", "createFundedBatch", orders, sender=world.requester, needed=3 * AMOUNT)
    place_many(world, orders[:2])


def test_an_empty_batch_does_nothing(world: World) -> None:
    gained = world.gains(world.requester, world.vault.address)
    assert list(world.kernel.read("createFundedBatch", [], sender=world.requester)) == []
    assert place_many(world, []) == []
    for function in ("deliverBatch", "settleBatch"):
        assert world.kernel.read(function, [], sender=world.provider) == 0
        assert world.send(function, [], sender=world.provider).events == ()
    assert gained() == [0, 0]


# ---------------------------------------------------------------- deliver


def test_defect_11_a_provider_delivers_many_at_once_straight_from_committed(world: World) -> None:
    orders = [order(world, 1), order(world, 2, window=HOUR), order(world, 3, window=30 * DAY), order(world, 4)]
    ids = place_many(world, orders)
    world.start(ids[3])
    assert world.kernel.read("deliverBatch", ids, sender=world.provider) == 4
    receipt = world.send("deliverBatch", ids, sender=world.provider)
    assert states(world, ids) == [State.DELIVERED] * 4
    assert [world.window_end(one) - receipt.timestamp for one in ids] == [2 * DAY, HOUR, 30 * DAY, 2 * DAY]
    assert [world.deadline(one) for one in ids] == [each.deadline for each in orders]
    moved = [(one.transactionId, one.oldState, one.newState) for one in receipt.of("StateTransitioned")]
    assert moved == [(one, 3 if one == ids[3] else 2, 4) for one in ids]
    assert {one.triggeredBy for one in receipt.of("StateTransitioned")} == {world.provider}


def test_what_cannot_be_delivered_is_skipped_and_reported_and_stops_nothing(world: World) -> None:
    foreign = place(world, order(world, 50, provider=world.other_provider))
    late = place(world, order(world, 51, work=HOUR))
    others = [placed(world, state) for state in (State.DELIVERED, State.DISPUTED, State.SETTLED)]
    unfunded, cancelled = world.reach(State.QUOTED), world.reach(State.CANCELLED)
    good = place_many(world, [order(world, 60), order(world, 61)])
    batch = [foreign, good[0], UNKNOWN, *others, unfunded, cancelled, late, good[0], ZERO32, good[1]]
    world.warp(world.deadline(late) + 1)
    before = [world.view(one) for one in (foreign, late, *others, unfunded, cancelled)]
    assert world.kernel.read("deliverBatch", batch, sender=world.provider) == 2
    receipt = world.send("deliverBatch", batch, sender=world.provider)
    reasons = [
        "provider", None, "unknown", "state", "state", "state", "state", "state", "deadline", "state", "unknown", None,
    ]  # fmt: skip
    assert skipped(receipt) == [(n, batch[n], NOT_DUE[why]) for n, why in enumerate(reasons) if why]
    assert states(world, good) == [State.DELIVERED] * 2
    assert [world.view(one) for one in (foreign, late, *others, unfunded, cancelled)] == before
    # The reported reason is what the same call for the item alone reverts with.
    for number, why in enumerate(reasons):
        if why:
            alone = world.kernel.refusal("transitionState", batch[number], 4, b"", sender=world.provider)
            assert alone is not None
            assert NOT_DUE[why] in {reason(f"{alone.name}({types})") for types in (
                "bytes32", "uint8,uint8", "address,address", "uint256,uint256",
            )}  # fmt: skip


@pytest.mark.parametrize("sender", ["requester", "stranger", "admin", "other_provider"])
def test_nobody_delivers_for_the_provider(world: World, sender: str) -> None:
    ids = place_many(world, [order(world, 1), order(world, 2)])
    receipt = world.send("deliverBatch", ids, sender=world.people[sender])
    assert skipped(receipt) == [(n, one, NOT_DUE["provider"]) for n, one in enumerate(ids)]
    assert states(world, ids) == [State.COMMITTED] * 2


# ---------------------------------------------------------------- settle


@pytest.mark.parametrize("count", [1, 2, 5])
def test_defect_11_one_payee_gets_one_transfer_for_many_settlements(world: World, count: int) -> None:
    ids = delivered(world, count)
    world.warp(max(map(world.window_end, ids)) + 1)
    gained = world.gains(world.provider, world.requester, world.stranger)
    assert world.kernel.read("settleBatch", ids, sender=world.stranger) == count
    receipt = world.send("settleBatch", ids, sender=world.stranger)
    assert states(world, ids) == [State.SETTLED] * count
    assert gained() == [count * NET, 0, 0]
    assert transfers(receipt, world) == [(world.provider, count * NET)]
    assert receipt.one("EscrowPayout").escrowId == ZERO32
    released = [(one.transactionId, one.recipient, one.amount) for one in receipt.of("EscrowReleased")]
    assert released == [(one, world.provider, NET) for one in ids]
    fees = [(one.transactionId, one.recipient, one.amount) for one in receipt.of("PlatformFeeAccrued")]
    assert fees == [(one, world.fee_recipient, USDC) for one in ids]
    assert world.kernel.read("accruedFees") == count * USDC
    assert [world.vault.read("remaining", one) for one in ids] == [0] * count


def test_each_payee_gets_one_transfer_whatever_the_order_of_items(world: World) -> None:
    payees = [
        world.provider,
        world.other_provider,
        world.provider,
        world.stranger,
        world.other_provider,
        world.provider,
    ]
    orders = [order(world, n, n * USDC, provider=payee) for n, payee in enumerate(payees, start=1)]
    ids = place_many(world, orders)
    for payee in set(payees):
        world.send("deliverBatch", ids, sender=payee)
    gained = world.gains(world.provider, world.other_provider, world.stranger)
    receipt = world.send("settleBatch", ids, sender=world.requester)
    fees = {n: max(n * 10_000, 50_000) for n in range(1, 7)}
    due = [sum(n * USDC - fees[n] for n in part) for part in ((1, 3, 6), (2, 5), (4,))]
    assert gained() == due
    assert sorted(transfers(receipt, world)) == sorted(
        zip((world.provider, world.other_provider, world.stranger), due, strict=True)
    )


def test_the_requester_settles_its_own_before_the_window_ends_and_nobody_elses(world: World) -> None:
    own = delivered(world, 2)
    other = place(world, order(world, 1), requester=world.other_requester)
    world.deliver(other)
    batch = [own[0], other, own[1]]
    for sender in (world.provider, world.stranger):
        receipt = world.send("settleBatch", batch, sender=sender)
        assert skipped(receipt) == [(n, one, NOT_DUE["window"]) for n, one in enumerate(batch)]
    receipt = world.send("settleBatch", batch, sender=world.requester)
    assert skipped(receipt) == [(1, other, NOT_DUE["window"])]
    assert states(world, batch) == [State.SETTLED, State.DELIVERED, State.SETTLED]


def test_the_window_of_each_item_counts_to_its_last_second(world: World) -> None:
    short, long = place_many(world, [order(world, 1, window=HOUR), order(world, 2)])
    world.send("deliverBatch", [short, long], sender=world.provider)
    world.warp(world.window_end(short))
    assert world.kernel.read("settleBatch", [short, long], sender=world.stranger) == 0
    world.warp(world.window_end(short) + 1)
    receipt = world.send("settleBatch", [short, long], sender=world.stranger)
    assert skipped(receipt) == [(1, long, NOT_DUE["window"])]
    assert states(world, [short, long]) == [State.SETTLED, State.DELIVERED]


def test_defect_05_one_bad_item_never_undoes_the_rest_and_is_reported(world: World) -> None:
    good = delivered(world, 3)
    others = [placed(world, state) for state in (State.COMMITTED, State.IN_PROGRESS, State.DISPUTED, State.SETTLED)]
    world.pass_time(3 * DAY)
    unfunded, cancelled = world.reach(State.INITIATED), world.reach(State.CANCELLED)
    batch = [good[0], UNKNOWN, *others, good[1], good[0], unfunded, ZERO32, cancelled, good[2], good[2]]
    before = [world.view(one) for one in (*others, unfunded, cancelled)]
    gained = world.gains(world.provider)
    receipt = world.send("settleBatch", batch, sender=world.stranger)
    reasons = [None, "unknown", *["state"] * 4, None, "state", "state", "unknown", "state", None, "state"]
    assert skipped(receipt) == [(n, batch[n], NOT_DUE[why]) for n, why in enumerate(reasons) if why]
    assert gained() == [3 * NET]
    assert [world.view(one) for one in (*others, unfunded, cancelled)] == before
    for number, why in enumerate(reasons):
        if why:
            alone = world.kernel.refusal("releaseEscrow", batch[number], sender=world.stranger)
            assert alone is not None
            types = "bytes32" if why == "unknown" else "uint8,uint8"
            assert reason(f"{alone.name}({types})") == NOT_DUE[why]


def test_a_batch_in_which_nothing_is_due_moves_nothing(world: World) -> None:
    ids = [placed(world, State.COMMITTED), UNKNOWN]
    gained = world.gains(world.vault.address)
    receipt = world.send("settleBatch", ids, sender=world.stranger)
    assert {event.name for event in receipt.events} == {"BatchItemSkipped"}
    assert gained() == [0]


@pytest.mark.parametrize("place_of_frozen", [0, 1, 2])
def test_defect_05_one_frozen_payee_gets_a_credit_and_the_others_their_money(
    world: World, place_of_frozen: int
) -> None:
    payees = [world.other_provider, world.stranger]
    payees.insert(place_of_frozen, world.provider)
    ids = place_many(world, [order(world, n, provider=payee) for n, payee in enumerate(payees * 2)])
    for payee in payees:
        world.send("deliverBatch", ids, sender=payee)
    world.block(world.provider)
    gained = world.gains(*payees)
    receipt = world.send("settleBatch", ids, sender=world.requester)
    assert states(world, ids) == [State.SETTLED] * 6
    assert gained() == [0 if payee == world.provider else 2 * NET for payee in payees]
    owed = receipt.one("CreditAccrued")
    assert (owed.transactionId, owed.payee, owed.amount) == (ZERO32, world.provider, 2 * NET)
    world.refuse("PushRefused", "withdrawCredit", world.provider, sender=world.stranger)
    world.unblock(world.provider)
    # The credit is its owner's alone: another gets nothing by asking.
    world.refuse("NothingToWithdraw", "withdrawCredit", world.other_requester, sender=world.other_requester)
    gained = world.gains(world.provider, world.other_requester)
    world.send("withdrawCredit", world.provider, sender=world.other_requester)
    assert gained() == [2 * NET, 0]


@pytest.mark.parametrize("trouble", ["token paused", "vault blocked", "kernel paused", "vault not approved"])
def test_nothing_stops_a_batch_from_settling(world: World, trouble: str) -> None:
    ids = delivered(world, 2)
    world.warp(world.window_end(ids[0]) + 1)
    match trouble:
        case "token paused":
            world.token.send("pause", sender=world.admin)
        case "vault blocked":
            world.block(world.vault.address)
        case "kernel paused":
            world.send("pause", sender=world.pauser)
        case _:
            world.send("approveEscrowVault", world.vault.address, False, sender=world.admin)
    gained = world.gains(world.provider)
    world.send("settleBatch", ids, sender=world.stranger)
    assert states(world, ids) == [State.SETTLED] * 2
    assert gained()[0] + world.credit(world.provider) == 2 * NET


def test_bonds_that_were_posted_ahead_go_back_from_a_batch(world: World) -> None:
    ids = delivered(world, 3)
    world.send("postBond", ids[1], world.requester, sender=world.stranger)
    world.send("postBond", ids[1], world.provider, sender=world.payer)
    gained = world.gains(world.provider)
    receipt = world.send("settleBatch", ids, sender=world.requester)
    assert gained() == [3 * NET]
    credits = [(one.transactionId, one.payee, one.amount) for one in receipt.of("CreditAccrued")]
    assert credits == [(ids[1], world.stranger, BOND), (ids[1], world.payer, BOND)]
    assert len(receipt.of("BondPaid")) == 2


def test_each_item_keeps_the_fee_of_its_creation(world: World) -> None:
    old = delivered(world, 1, work=300 * DAY)
    world.change_rates(500, 0)
    new = delivered(world, 1, 10, work=300 * DAY)
    world.change_rates(0, 0)
    newest = delivered(world, 1, 20)
    receipt = world.send("settleBatch", [*new, *old, *newest, *new], sender=world.requester)
    fees = [(one.transactionId, one.amount) for one in receipt.of("PlatformFeeAccrued")]
    assert fees == [(new[0], 5 * USDC), (old[0], USDC), (newest[0], 50_000)]
    assert world.kernel.read("accruedFees") == 6 * USDC + 50_000


def test_without_a_fee_a_batch_accrues_none(open_world: OpenWorld) -> None:
    world = open_world(economics=FREE)
    ids = delivered(world, 2)
    gained = world.gains(world.provider)
    receipt = world.send("settleBatch", ids, sender=world.requester)
    assert (gained(), receipt.of("PlatformFeeAccrued")) == ([2 * AMOUNT], [])


def test_a_batch_pays_what_milestones_left(world: World) -> None:
    scheduled = placed(world, State.IN_PROGRESS, order(world, 1), schedule(world, 40 * USDC, 60 * USDC))
    world.send("payMilestone", scheduled, 0, sender=world.requester)
    free = placed(world, State.IN_PROGRESS, order(world, 2))
    world.milestone(free, 90 * USDC)
    done = placed(world, State.IN_PROGRESS, order(world, 3))
    world.milestone(done, AMOUNT)
    world.send("deliverBatch", [scheduled, free], sender=world.provider)
    gained = world.gains(world.provider)
    receipt = world.send("settleBatch", [free, done, scheduled], sender=world.requester)
    assert receipt.of("BatchItemSkipped") == []
    assert gained() == [60 * USDC - 600_000 + 10 * USDC - 100_000]


def test_a_batch_settles_transactions_of_g1_and_those_with_clauses_and_other_escrow_ids(world: World) -> None:
    aliased = world.create()
    world.fund(aliased, b"\xa1" * 32)
    ids = [
        aliased, world.reach(State.IN_PROGRESS), place(world),
        place(world, order(world, 2), USUAL._replace(arbiter=world.stranger)),
        place(world, order(world, 3), three_parts(world)),
    ]  # fmt: skip
    world.send("deliverBatch", ids, sender=world.provider)
    gained = world.gains(world.provider)
    assert world.send("settleBatch", ids, sender=world.requester).of("BatchItemSkipped") == []
    assert gained() == [5 * NET]
    assert world.vault.read("escrows", b"\xa1" * 32)[4] is False


def test_a_fee_recipient_that_is_a_payee_too_gets_both(world: World) -> None:
    ids = place_many(world, [order(world, n, provider=world.fee_recipient) for n in range(2)])
    world.send("deliverBatch", ids, sender=world.fee_recipient)
    gained = world.gains(world.fee_recipient)
    world.send("settleBatch", ids, sender=world.requester)
    world.send("withdrawFees", sender=world.fee_recipient)
    assert gained() == [2 * AMOUNT]


def test_contracts_as_requester_and_provider_use_batches(world: World) -> None:
    buyer, seller = Wallet(world, world.payer), Wallet(world, world.stranger)
    buyer.allow()
    orders = [order(world, n, provider=seller.address) for n in range(3)]
    buyer.act("createFundedBatch", orders)
    ids = [salted_id(world, buyer.address, each.salt) for each in orders]
    seller.act("deliverBatch", ids)
    gained = world.gains(seller.address, buyer.address)
    buyer.act("settleBatch", ids)
    assert gained() == [3 * NET, 0]
