"""Defects 12 and 13 at the entry points beyond G1: tokens that lie fund nothing, and nothing is entered twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from eth_utils.crypto import keccak

from tests.contracts.kernel_support import AMOUNT, DAY, USDC, Contract, State, World
from tests.contracts.orders import (
    FOREVER,
    USUAL,
    Authorization,
    Order,
    Permit,
    Wallet,
    order,
    salt,
    salted_id,
    schedule,
    sign_split,
)

OpenWorld = Callable[..., World]
Call = tuple[Any, ...]
GUARD = keccak(text="ReentrancyGuardReentrantCall()")[:4]
ANY_PERMIT = Permit(100 * AMOUNT, FOREVER, 27, bytes(32), bytes(32))
ANY_AUTHORIZATION = Authorization(0, FOREVER, b"\x01" * 65)


def entries(requester: str, wanted: Order) -> dict[str, Call]:
    """Every call beyond G1 that takes money of `requester`."""
    second = wanted._replace(salt=keccak(wanted.salt))
    return {
        "alone": ("createFunded", wanted),
        "in a batch": ("createFundedBatch", [wanted, second]),
        "with clauses": ("createFundedWith", wanted, USUAL),
        "by permit": ("createFundedWithPermit", wanted, USUAL, ANY_PERMIT),
        "by authorization": ("createFundedWithAuthorization", requester, wanted, USUAL, ANY_AUTHORIZATION),
        "by a wallet's authorization": (
            "createFundedWithAuthorization", requester, wanted, USUAL, ANY_AUTHORIZATION._replace(signature=b"\x01"),
        ),
    }  # fmt: skip


ENTRIES = list(entries("", Order("", 0, 0, 0, b"", b"")))
BY_ALLOWANCE = ENTRIES[:4]


@pytest.mark.parametrize("entry", BY_ALLOWANCE)
@pytest.mark.parametrize(
    ("token", "off_by"), [("FeeOnTransferToken", -AMOUNT // 100), ("SilentExtraToken", 1), ("LyingToken", -AMOUNT)]
)
def test_defect_12_a_token_that_moves_another_amount_funds_no_order(
    open_world: OpenWorld, token: str, off_by: int, entry: str
) -> None:
    world = open_world(token)
    if token == "LyingToken":
        world.token.send("setLying", True, sender=world.admin)
    times = 2 if entry == "in a batch" else 1
    expected = times * AMOUNT
    received = expected + (1 if token == "SilentExtraToken" else off_by * times)
    call = entries(world.requester, order(world))[entry]
    world.refuse("ReceivedMismatch", *call, sender=world.requester, received=received, expected=expected)


@pytest.mark.parametrize("entry", BY_ALLOWANCE)
def test_defect_12_a_token_that_answers_false_funds_no_order(open_world: OpenWorld, entry: str) -> None:
    world = open_world("FalseReturnToken")
    world.token.send("setRefusing", True, sender=world.admin)
    call = entries(world.requester, order(world))[entry]
    world.refuse("SafeERC20FailedOperation", *call, sender=world.requester, token=world.token.address)
    world.token.send("setRefusing", False, sender=world.admin)
    world.send(*call, sender=world.requester)


@pytest.mark.parametrize("entry", ENTRIES[4:])
@pytest.mark.parametrize("shortfall", [1, AMOUNT])
def test_defect_12_an_authorization_that_moves_less_funds_no_order(
    open_world: OpenWorld, shortfall: int, entry: str
) -> None:
    world = open_world("LooseToken")
    world.token.send("setShortfall", shortfall, sender=world.admin)
    call = entries(world.requester, order(world))[entry]
    world.refuse("ReceivedMismatch", *call, sender=world.stranger, received=AMOUNT - shortfall, expected=AMOUNT)


@pytest.mark.parametrize("entry", ENTRIES)
def test_defect_12_a_token_without_permits_and_authorizations_takes_allowances_only(
    open_world: OpenWorld, entry: str
) -> None:
    world = open_world("PlainERC20")
    call = entries(world.requester, order(world))[entry]
    if entry in BY_ALLOWANCE:
        world.send(*call, sender=world.requester)
    else:
        world.refuse("", *call, sender=world.requester)


@pytest.mark.parametrize("entry", ENTRIES)
def test_defect_12_a_token_without_code_funds_nothing(world: World, entry: str) -> None:
    kernel = world.deploy_kernel(world.stranger)
    vault = world.deploy("EscrowVault", world.stranger, kernel.address)
    why = kernel.refusal("approveEscrowVault", vault.address, True, sender=world.admin)
    assert why is not None
    assert why.name == "NoCode"
    why = kernel.refusal(*entries(world.requester, order(world))[entry], sender=world.requester)
    assert why is not None
    assert why.name == "VaultNotApproved"


def test_defect_12_an_unusual_but_honest_token_goes_through_orders_and_batches(open_world: OpenWorld) -> None:
    for token in ("NoReturnToken", "RevertOnZeroToken"):
        world = open_world(token)
        ids = []
        for number, entry in enumerate(BY_ALLOWANCE):
            receipt = world.send(*entries(world.requester, order(world, number))[entry], sender=world.requester)
            ids += [one.transactionId for one in receipt.of("TransactionCreated")]
        world.send("deliverBatch", ids, sender=world.provider)
        gained = world.gains(world.provider)
        world.send("settleBatch", ids, sender=world.requester)
        assert gained() == [5 * (AMOUNT - USDC)]


# ---------------------------------------------------------------- re-entry


class Stage:
    """A wallet that is requester, bond poster and creditor, and one call of each kind that it could make now.

    The token may act for the wallet. All signatures for the token are accepted by it.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        world.audit = False
        self.wallet = wallet = Wallet(world, world.requester)
        wallet.allow()
        wallet.contract.send("setOperator", world.token.address, sender=world.requester)
        world.settle(world.reach(State.DELIVERED))
        world.send("updateFeeRecipient", wallet.address, sender=world.admin)  # leaves a credit to the old one
        world.settle(world.reach(State.DELIVERED))  # leaves a fee to the wallet
        self.numbers = iter(range(1_000, 2_000))
        timed_out = self.reach(State.DISPUTED)
        world.pass_time(31 * DAY)
        leaving = self.reach(State.COMMITTED)
        wallet.act("announceCancellation", leaving)
        scheduled = self.reach(State.IN_PROGRESS, scheduled=True)
        world.pass_time(DAY + 1)
        delivered = [self.reach(State.DELIVERED) for _ in range(4)]
        agreed = self.reach(State.IN_PROGRESS)
        split = (agreed, AMOUNT // 2, AMOUNT // 2, FOREVER)
        by_provider = sign_split(world, world.provider, *split)
        unfunded = order(world, 500)
        wallet.act("createSalted", unfunded, USUAL)
        unfunded_id = salted_id(world, wallet.address, unfunded.salt)
        new = {name: entries(wallet.address, order(world, n))[name] for n, name in enumerate(ENTRIES, start=600)}
        self.calls: dict[str, Call] = new | {
            "fund": ("linkEscrow", unfunded_id, world.vault.address, unfunded_id),
            "settle": ("transitionState", delivered[0], State.SETTLED, b""),
            "settle a batch": ("settleBatch", delivered[1:3]),
            "dispute": ("transitionState", delivered[3], State.DISPUTED, b""),
            "post a bond": ("postBond", delivered[3], wallet.address),
            "pay a part": ("payMilestone", scheduled, 1),
            "refund a part": ("refundMilestone", scheduled, 0),
            "agree": ("settleByConsent", *split, b"", by_provider),
            "leave early": ("cancelEarly", leaving),
            "close the dispute": ("closeTimedOutDispute", timed_out),
            "withdraw a credit": ("withdrawCredit", world.fee_recipient),
            "withdraw fees": ("withdrawFees",),
        }
        # All of them at once, as soon as tokens move; by itself each one would succeed.
        self.plan = [self.attempt(world.kernel, *call) for call in self.calls.values()]
        for target, payload in self.plan:
            call = {"from": world.token.address, "to": target, "data": "0x" + payload.hex(), "gas": hex(5_000_000)}
            world.chain.request("eth_call", [call, "latest"])
        world.token.send("plan", self.plan, sender=world.admin)
        world.audit = True
        world.check_books()

    def reach(self, state: State, scheduled: bool = False) -> bytes:
        world, wallet = self.world, self.wallet
        wanted = order(world, next(self.numbers))
        clauses = schedule(world, 40 * USDC, 60 * USDC) if scheduled else USUAL
        wallet.act("createFundedWith", wanted, clauses)
        one = salted_id(world, wallet.address, wanted.salt)
        if state is State.IN_PROGRESS:
            world.start(one)
        if state in {State.DELIVERED, State.DISPUTED}:
            world.deliver(one)
        if state is State.DISPUTED:
            wallet.act("transitionState", one, state, b"")
        return one

    def attempt(self, on: Contract, *call: Any) -> tuple[str, bytes]:
        """A call of the kernel as the token makes it through the wallet."""
        inner = self.wallet.contract.data("execute", on.address, bytes.fromhex(on.data(*call)[2:]))
        return self.wallet.address, bytes.fromhex(inner[2:])


@pytest.fixture(scope="module")
def built_stage() -> Stage:
    return Stage(World("LooseToken"))


@pytest.fixture
def stage(built_stage: Stage) -> Iterator[Stage]:
    with built_stage.world.undone():
        yield built_stage


OUTER = [
    *ENTRIES, "fund", "settle", "settle a batch", "dispute", "post a bond", "pay a part", "refund a part", "agree",
    "leave early", "close the dispute", "withdraw a credit", "withdraw fees",
]  # fmt: skip


@pytest.mark.parametrize("outer", OUTER)
@pytest.mark.slow
def test_defect_13_no_call_that_moves_money_can_be_entered_while_tokens_move(stage: Stage, outer: str) -> None:
    token = stage.world.token
    assert set(OUTER) == set(stage.calls)
    receipt = stage.wallet.act(*stage.calls[outer])
    assert list(token.read("answers")) == [GUARD] * len(stage.plan)
    assert token.read("successes") == 0
    assert receipt.of("BatchItemSkipped") == []


@pytest.mark.slow
def test_defect_13_calls_that_move_no_money_do_no_harm_while_tokens_move(stage: Stage) -> None:
    """They are not guarded; what they did from inside of a transfer must be as if they had come after it."""
    world, token, wallet = stage.world, stage.world.token, stage.wallet
    wanted = order(world, 1, provider=world.token.address)
    coming = salted_id(world, wallet.address, wanted.salt)
    deliver = bytes.fromhex(world.kernel.data("deliverBatch", [coming])[2:])
    plan = [
        stage.attempt(world.kernel, "createSalted", order(world, 2), USUAL),
        stage.attempt(world.kernel, "announceCancellation", coming),
        (world.kernel.address, deliver),
        (world.kernel.address, deliver),
    ]
    token.send("plan", plan, sender=world.admin)
    receipt = wallet.act("createFunded", wanted)
    assert token.read("successes") == 4
    assert [one.newState for one in receipt.of("StateTransitioned")] == [State.COMMITTED, State.DELIVERED]
    assert len(receipt.of("BatchItemSkipped")) == 1
    assert world.state(coming) is State.DELIVERED
    assert world.vault.read("escrows", coming) == [wallet.address, token.address, AMOUNT, 0, True]
    world.refuse("WrongState", "cancelEarly", coming, sender=wallet.address)
    assert world.state(salted_id(world, wallet.address, salt(2))) is State.INITIATED


@pytest.mark.slow
def test_defect_13_a_delivery_from_inside_a_funding_that_fails_leaves_nothing(stage: Stage) -> None:
    world, token, wallet = stage.world, stage.world.token, stage.wallet
    wanted = order(world, 1, provider=token.address)
    coming = salted_id(world, wallet.address, wanted.salt)
    deliver = bytes.fromhex(world.kernel.data("deliverBatch", [coming])[2:])
    token.send("setShortfall", 1, sender=world.admin)
    token.send("plan", [(world.kernel.address, deliver)], sender=world.admin)
    call = entries(wallet.address, wanted)["by authorization"]
    world.refuse("ReceivedMismatch", *call, sender=world.stranger)
    world.refuse("UnknownTransaction", "getTransaction", coming, sender=world.stranger)


def test_defect_13_a_batch_that_is_entered_from_its_first_payment_pays_the_others_once(stage: Stage) -> None:
    world, token = stage.world, stage.world.token
    world.pass_time(4 * DAY)
    ids = stage.calls["settle a batch"][1]
    again = bytes.fromhex(world.kernel.data("settleBatch", ids)[2:])
    token.send("plan", [(world.kernel.address, again)], sender=world.admin)
    gained = world.gains(world.provider)
    world.send("settleBatch", ids, sender=world.stranger)
    assert list(token.read("answers")) == [GUARD]
    assert gained() == [len(ids) * (AMOUNT - USDC)]
