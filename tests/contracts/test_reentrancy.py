"""Defect 13, seen from inside a transfer: a hostile token that calls back into the kernel changes no books.

The token calls a contract wallet that is requester, fee recipient and bond poster at once, so that every call it
tries would succeed if it came from outside. The kernel has to refuse it because of the call that is under way.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from eth_utils.crypto import keccak

from tests.contracts.kernel_codec import Receipt
from tests.contracts.kernel_support import AMOUNT, DAY, HOUR, USDC, Contract, State, World

OpenWorld = Callable[..., World]
GUARD = keccak(text="ReentrancyGuardReentrantCall()")[:4]
Call = tuple[object, ...]


class Wallet:
    """A contract wallet that acts for its owner, and for the token."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.contract = world.deploy("ContractParty", world.requester)
        self.address = self.contract.address
        self.contract.send("setOperator", world.token.address, sender=world.requester)
        world.token.send("mint", self.address, 100 * AMOUNT, sender=world.admin)
        self.act(world.token, "approve", world.vault.address, 100 * AMOUNT)

    def payload(self, on: Contract, function: str, *args: object) -> tuple[str, bytes]:
        return on.address, bytes.fromhex(on.data(function, *args)[2:])

    def act(self, on: Contract, function: str, *args: object) -> Receipt:
        return self.world.send(
            "execute", *self.payload(on, function, *args), sender=self.world.requester, on=self.contract
        )

    def could(self, function: str, *args: object) -> bool:
        payload = self.payload(self.world.kernel, function, *args)
        return self.contract.refusal("execute", *payload, sender=self.world.token.address) is None

    def reach(self, state: State) -> bytes:
        """A transaction of this wallet in this state."""
        world = self.world
        args = (world.provider, self.address, AMOUNT, world.now() + 10 * DAY, 2 * DAY, bytes(32), 0, 0)
        one: bytes = self.act(world.kernel, "createTransaction", *args).one("TransactionCreated").transactionId
        if state >= State.COMMITTED:
            self.act(world.kernel, "linkEscrow", one, world.vault.address, one)
        for step in (State.IN_PROGRESS, State.DELIVERED):
            if state >= step:
                world.move(one, step, sender=world.provider)
        if state is State.DISPUTED:
            self.act(world.kernel, "transitionState", one, state, b"")
        return one


class Stage:
    """One transaction of the wallet for each call, so that all of them are possible at the same time."""

    def __init__(self, world: World) -> None:
        self.world = world
        world.audit = False
        self.wallet = wallet = Wallet(world)
        world.settle(world.reach(State.DELIVERED))
        world.send("updateFeeRecipient", wallet.address, sender=world.admin)  # leaves a credit to the old one
        world.settle(world.reach(State.DELIVERED))  # leaves a fee to the wallet
        timed_out = wallet.reach(State.DISPUTED)
        world.pass_time(31 * DAY)
        leaving = wallet.reach(State.COMMITTED)
        wallet.act(world.kernel, "announceCancellation", leaving)
        world.pass_time(HOUR)
        created, started, delivered, disputed = map(
            wallet.reach, (State.INITIATED, State.IN_PROGRESS, State.DELIVERED, State.DISPUTED)
        )
        self.calls: dict[str, Call] = {
            "fund": ("linkEscrow", created, world.vault.address, created),
            "settle": ("transitionState", delivered, State.SETTLED, b""),
            "release": ("releaseEscrow", delivered),
            "dispute": ("transitionState", delivered, State.DISPUTED, b""),
            "post a bond": ("postBond", delivered, wallet.address),
            "milestone": ("releaseMilestone", started, USDC),
            "leave early": ("cancelEarly", leaving),
            "close the dispute": ("closeTimedOutDispute", timed_out),
            "withdraw a credit": ("withdrawCredit", world.fee_recipient),
            "withdraw fees": ("withdrawFees",),
        }
        # Two calls that others have to make, because the wallet is a party.
        self.by_others: dict[str, tuple[Call, str]] = {
            "refund": (("transitionState", started, State.CANCELLED, b""), world.provider),
            "rule": (("transitionState", disputed, State.SETTLED, b""), world.admin),
        }

        world.audit = True
        world.check_books()

    def run(self, outer: str) -> None:
        if outer in self.by_others:
            call, sender = self.by_others[outer]
            self.world.send(*call, sender=sender)  # type: ignore[arg-type]
        else:
            self.wallet.act(self.world.kernel, *self.calls[outer])  # type: ignore[arg-type]


OUTER = [
    "fund", "settle", "release", "dispute", "post a bond", "milestone", "leave early", "close the dispute",
    "withdraw a credit", "withdraw fees", "refund", "rule",
]  # fmt: skip


@pytest.mark.parametrize("outer", OUTER)
@pytest.mark.slow
def test_defect_13_no_call_of_the_kernel_can_be_entered_while_tokens_move(open_world: OpenWorld, outer: str) -> None:
    world = open_world("ReentrantToken")
    stage = Stage(world)
    token = world.token
    for inner, call in stage.calls.items():
        assert stage.wallet.could(*call), inner
        with world.undone():
            target, data = stage.wallet.payload(world.kernel, *call)  # type: ignore[arg-type]
            attack = stage.wallet.contract.data("execute", target, data)
            token.send("arm", stage.wallet.address, bytes.fromhex(attack[2:]), sender=world.admin)
            world.audit = inner == "settle"
            stage.run(outer)
            assert token.read("attempts") == 1, inner
            assert (token.read("succeeded"), token.read("result")[:4]) == (False, GUARD), inner
