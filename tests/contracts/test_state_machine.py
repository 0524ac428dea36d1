"""Every call in every situation by everybody does what the rules say, and everything that they do not say is refused.

A situation is a state at a time. `ALLOWED` is the whole rule book; what it does not list has to revert.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from tests.contracts.kernel_support import (
    AMOUNT,
    DAY,
    HOUR,
    SERVICE,
    USDC,
    ZERO,
    ZERO32,
    Refused,
    State,
    World,
    word,
    words,
)

GRACE = 7 * DAY
TIMEOUT = 30 * DAY
WORK = 10 * DAY
WINDOW = 2 * DAY
NOTICE = HOUR

ALL = frozenset({"requester", "provider", "admin", "mediator", "pauser", "stranger"})
REQUESTER = frozenset({"requester"})
PROVIDER = frozenset({"provider"})
PARTIES = REQUESTER | PROVIDER
RESOLVERS = frozenset({"admin", "mediator"})
NOBODY: frozenset[str] = frozenset()


# ---------------------------------------------------------------- situations


@dataclass(frozen=True)
class Situation:
    """A kind of transaction, and one second in its life; `at` gets the world and the id and returns that second."""

    kind: str
    time: str
    at: Callable[[World, bytes], int]

    def __str__(self) -> str:
        return f"{self.kind}, {self.time}"


def after_deadline(seconds: int) -> Callable[[World, bytes], int]:
    return lambda world, transaction_id: world.deadline(transaction_id) + seconds


def after_window(seconds: int) -> Callable[[World, bytes], int]:
    return lambda world, transaction_id: world.window_end(transaction_id) + seconds


def after_update(seconds: int) -> Callable[[World, bytes], int]:
    return lambda world, transaction_id: int(world.view(transaction_id).updatedAt) + seconds


DEADLINES = {
    "early": lambda world, transaction_id: world.now() + 1,
    "at the deadline": after_deadline(0),
    "after the deadline": after_deadline(1),
    "at the end of grace": after_deadline(GRACE),
    "after grace": after_deadline(GRACE + 1),
}
WINDOWS = {
    "in the window": lambda world, transaction_id: world.now() + 1,
    "at the window's end": after_window(0),
    "after the window": after_window(1),
    "after grace": after_deadline(GRACE + 1),
}
TIMEOUTS = {
    "before the time-out": after_window(1),
    "at the time-out": after_update(TIMEOUT),
    "after the time-out": after_update(TIMEOUT + 1),
}
MUCH_LATER = {"much later": lambda world, transaction_id: world.now() + 400 * DAY}

TIMES = {
    "INITIATED": {time: at for time, at in DEADLINES.items() if time != "at the end of grace"},
    "QUOTED": {time: at for time, at in DEADLINES.items() if time != "at the end of grace"},
    "COMMITTED": DEADLINES,
    "COMMITTED, cancellation announced": {
        "during the notice": lambda world, transaction_id: (
            world.kernel.read("cancellationEffectiveAt", transaction_id) - 1
        ),
        "after the notice": lambda world, transaction_id: world.kernel.read("cancellationEffectiveAt", transaction_id),
        "at the end of its validity": lambda world, transaction_id: (
            world.kernel.read("cancellationEffectiveAt", transaction_id) + DAY
        ),
        "when it has lapsed": lambda world, transaction_id: (
            world.kernel.read("cancellationEffectiveAt", transaction_id) + DAY + 1
        ),
    }
    | DEADLINES,
    "IN_PROGRESS": DEADLINES,
    "IN_PROGRESS, all paid": DEADLINES,
    "DELIVERED": WINDOWS,
    "DISPUTED": TIMEOUTS,
    "DISPUTED, bond owed": TIMEOUTS,
    "SETTLED": MUCH_LATER,
    "SETTLED without delivery": MUCH_LATER,
    "CANCELLED": MUCH_LATER,
}
SITUATIONS = [Situation(kind, time, at) for kind, times in TIMES.items() for time, at in times.items()]

ANNOUNCED_AND_VALID = {"after the notice", "at the end of its validity"}
UP_TO_DEADLINE = {"early", "at the deadline", "during the notice", "when it has lapsed"} | ANNOUNCED_AND_VALID


def make(world: World, kind: str) -> bytes:
    """A transaction of this kind, with a deadline that the window outlives."""
    state = State[kind.split(",")[0].split()[0]]
    if kind == "COMMITTED, cancellation announced":
        transaction_id = world.reach(state)
        world.send("announceCancellation", transaction_id, sender=world.requester)
    elif kind in ("IN_PROGRESS, all paid", "SETTLED without delivery"):
        transaction_id = world.reach(State.IN_PROGRESS)
        world.milestone(transaction_id, AMOUNT)
        if state is State.SETTLED:
            world.settle(transaction_id, sender=world.stranger)
    elif kind == "DISPUTED, bond owed":
        transaction_id = world.reach(State.DELIVERED)
        world.block(world.requester)
        world.dispute(transaction_id)
    else:
        transaction_id = world.reach(state)
    return transaction_id


# ---------------------------------------------------------------- the rule book


def transition(target: State, situation: Situation) -> frozenset[str]:
    """Who may take a transaction in this situation to `target`."""
    kind, time = situation.kind, situation.time
    state = kind.split(",")[0]
    in_time = time in UP_TO_DEADLINE
    match state, target:
        case "INITIATED", State.QUOTED:
            return PROVIDER if in_time else NOBODY
        case "COMMITTED", State.IN_PROGRESS:
            return PROVIDER if in_time else NOBODY
        case "COMMITTED" | "IN_PROGRESS", State.DELIVERED:
            return PROVIDER if in_time else NOBODY
        case "IN_PROGRESS", State.SETTLED:
            return ALL if kind.endswith("all paid") else NOBODY
        case "INITIATED" | "QUOTED", State.CANCELLED:
            return REQUESTER
        case "COMMITTED" | "IN_PROGRESS", State.CANCELLED:
            if kind.endswith("all paid"):
                return NOBODY
            if in_time:
                return PROVIDER
            return ALL if time == "after grace" else PARTIES
        case "DELIVERED", State.SETTLED:
            return ALL if time in {"after the window", "after grace"} else REQUESTER
        case "DELIVERED", State.DISPUTED:
            return PARTIES if time in {"in the window", "at the window's end"} else NOBODY
        case "DISPUTED", State.SETTLED | State.CANCELLED:
            return RESOLVERS
    return NOBODY


def other_call(function: str, situation: Situation) -> frozenset[str]:
    """Who may make another call of the kernel in this situation."""
    kind, time = situation.kind, situation.time
    state = kind.split(",")[0]
    in_time = time in UP_TO_DEADLINE
    match function, state:
        case "acceptQuote", "QUOTED":
            return REQUESTER if in_time else NOBODY
        case "linkEscrow", "INITIATED" | "QUOTED":
            return REQUESTER if in_time else NOBODY
        case "releaseMilestone", "IN_PROGRESS":
            return NOBODY if kind.endswith("all paid") else REQUESTER
        case "releaseEscrow", _:
            return NOBODY if state == "DISPUTED" else transition(State.SETTLED, situation)
        case "announceCancellation", "COMMITTED":
            return REQUESTER
        case "cancelEarly", "COMMITTED":
            # An announcement lapses long before the deadline of these transactions.
            return REQUESTER if kind.endswith("announced") and time in ANNOUNCED_AND_VALID else NOBODY
        case "closeTimedOutDispute", "DISPUTED":
            return ALL if time == "after the time-out" else NOBODY
        case "anchorAttestation", "DELIVERED" | "DISPUTED" | "SETTLED" | "SETTLED without delivery":
            return PARTIES
        case "postBond", "DELIVERED":
            return PARTIES | {"stranger"} if time in {"in the window", "at the window's end"} else NOBODY
        case "postBond", "DISPUTED":
            return (PARTIES | {"stranger"}) - REQUESTER if kind.endswith("owed") else NOBODY
    return NOBODY


def call_arguments(world: World, function: str, transaction_id: bytes) -> tuple[object, ...]:
    return {
        "acceptQuote": (transaction_id, AMOUNT),
        "linkEscrow": (transaction_id, world.vault.address, transaction_id),
        "releaseMilestone": (transaction_id, USDC),
        "anchorAttestation": (transaction_id, b"\x09" * 32),
        "postBond": (transaction_id, world.requester),
    }.get(function, (transaction_id,))


OTHER_CALLS = [
    "acceptQuote", "linkEscrow", "releaseMilestone", "releaseEscrow", "announceCancellation", "cancelEarly",
    "closeTimedOutDispute", "anchorAttestation", "postBond",
]  # fmt: skip


def who_may(world: World, function: str, *args: object) -> frozenset[str]:
    """Everybody whose call would succeed now. A refusal must be one of our errors, not a panic or an empty revert."""
    allowed = set()
    for name in ALL:
        why = world.kernel.refusal(function, *args, sender=world.people[name])
        if why is None:
            allowed.add(name)
        else:
            assert why.name not in {"", "Panic", "Error"}, f"{function} by {name}: {why}"
    return frozenset(allowed)


@pytest.mark.parametrize("situation", SITUATIONS, ids=str)
@pytest.mark.slow
def test_only_the_listed_people_may_take_each_step(world: World, situation: Situation) -> None:
    transaction_id = make(world, situation.kind)
    world.warp(situation.at(world, transaction_id))
    before = world.state(transaction_id)
    for target in State:
        allowed = transition(target, situation)
        assert who_may(world, "transitionState", transaction_id, target, b"") == allowed, target.name
        for name in sorted(allowed)[:1]:
            with world.undone():
                receipt = world.move(transaction_id, target, sender=world.people[name])
                assert world.state(transaction_id) is target
                moved = receipt.one("StateTransitioned")
                assert (moved.transactionId, moved.oldState, moved.newState) == (transaction_id, before, target)
                assert (moved.triggeredBy, moved.timestamp) == (world.people[name], receipt.timestamp)
                assert world.view(transaction_id).updatedAt == receipt.timestamp


@pytest.mark.parametrize("situation", SITUATIONS, ids=str)
@pytest.mark.slow
def test_only_the_listed_people_may_make_each_other_call(world: World, situation: Situation) -> None:
    transaction_id = make(world, situation.kind)
    for bystander in ("admin", "mediator", "pauser"):
        # Without tokens they cannot post a bond, which is all that keeps them from it.
        assert world.balance(world.people[bystander]) == 0
    world.warp(situation.at(world, transaction_id))
    for function in OTHER_CALLS:
        args = call_arguments(world, function, transaction_id)
        assert who_may(world, function, *args) == other_call(function, situation), function


@pytest.mark.parametrize("kind", TIMES)
def test_a_refused_call_leaves_the_transaction_as_it_was(world: World, kind: str) -> None:
    transaction_id = make(world, kind)
    before = world.view(transaction_id)
    refused = set(State) - ({State.SETTLED} if kind == "IN_PROGRESS, all paid" else set())
    for target in sorted(refused):
        with pytest.raises(Refused):
            world.move(transaction_id, target, b"\x01", sender=world.stranger)
    assert world.view(transaction_id) == before


def test_a_number_that_is_no_state_is_refused(world: World) -> None:
    for kind in ("INITIATED", "IN_PROGRESS", "DISPUTED"):
        transaction_id = make(world, kind)
        for sender in (world.requester, world.provider, world.admin):
            assert world.kernel.refusal("transitionState", transaction_id, 8, b"", sender=sender) is not None


# ---------------------------------------------------------------- bounds at their exact edges


def create_args(world: World, **changed: object) -> tuple[object, ...]:
    usual = {
        "provider": world.provider, "requester": world.requester, "amount": AMOUNT, "deadline": world.now() + WORK,
        "window": WINDOW, "service": SERVICE, "agent": 0, "requester_agent": 0,
    }  # fmt: skip
    return tuple((usual | changed).values())


def may_create(world: World, **changed: object) -> bool:
    return world.kernel.refusal("createTransaction", *create_args(world, **changed), sender=world.requester) is None


@pytest.mark.parametrize(
    ("amount", "allowed"),
    [
        (0, False), (49_999, False), (50_000, True),
        (10**15, True), (10**15 + 1, False), (2**50, False), (2**256 - 1, False),
    ],
)  # fmt: skip
def test_amount_bounds(world: World, amount: int, allowed: bool) -> None:
    assert may_create(world, amount=amount) is allowed
    quoted = world.reach(State.QUOTED)
    assert (world.kernel.refusal("acceptQuote", quoted, amount, sender=world.requester) is None) is allowed
    if not allowed:
        limits = {"amount": amount, "minimum": 50_000, "maximum": 10**15}
        args = create_args(world, amount=amount)
        world.refuse("AmountOutOfBounds", "createTransaction", *args, sender=world.requester, **limits)
        world.refuse("AmountOutOfBounds", "acceptQuote", quoted, amount, sender=world.requester, **limits)


@pytest.mark.parametrize(
    ("offset", "allowed"),
    [(-1, False), (0, False), (1, True), (365 * DAY, True), (365 * DAY + 1, False), (2**32, False), (2**255, False)],
)
def test_deadline_bounds(world: World, offset: int, allowed: bool) -> None:
    now = world.now()
    assert may_create(world, deadline=now + offset) is allowed
    if not allowed:
        args = create_args(world, deadline=now + offset)
        limits = {"deadline": now + offset, "minimum": now + 1, "maximum": now + 365 * DAY}
        world.refuse("DeadlineOutOfBounds", "createTransaction", *args, sender=world.requester, **limits)


@pytest.mark.parametrize(
    ("window", "allowed"),
    [
        (0, False), (HOUR - 1, False), (HOUR, True),
        (30 * DAY, True), (30 * DAY + 1, False), (2**26, False), (2**255, False),
    ],
)  # fmt: skip
def test_window_bounds(world: World, window: int, allowed: bool) -> None:
    assert may_create(world, window=window) is allowed
    if not allowed:
        args = create_args(world, window=window)
        world.refuse(
            "DisputeWindowOutOfBounds", "createTransaction", *args, sender=world.requester,
            window=window, minimum=HOUR, maximum=30 * DAY,
        )  # fmt: skip


def test_requester_is_the_caller_and_never_the_provider(world: World) -> None:
    args = create_args(world)
    world.refuse("NotRequester", "createTransaction", *args, sender=world.stranger, requester=world.requester)
    args = create_args(world, provider=world.requester)
    world.refuse("InvalidProvider", "createTransaction", *args, sender=world.requester, provider=world.requester)
    args = create_args(world, provider=ZERO)
    world.refuse("ZeroAddress", "createTransaction", *args, sender=world.requester)


def test_nothing_moves_when_a_transaction_is_created_or_quoted(world: World) -> None:
    before = world.balances(world.requester, world.provider, world.vault.address)
    transaction_id = world.create()
    world.move(transaction_id, State.QUOTED, sender=world.provider)
    world.send("acceptQuote", transaction_id, AMOUNT * 2, sender=world.requester)
    assert world.balances(world.requester, world.provider, world.vault.address) == before


@pytest.mark.parametrize(
    ("proof", "kept"),
    [(b"", ZERO32), (b"\x07" * 32, b"\x07" * 32), (ZERO32, None), (b"\x07" * 31, None), (b"\x07" * 33, None)],
    ids=["empty", "hash", "zero hash", "31 bytes", "33 bytes"],
)
def test_proof_of_a_quote_is_empty_or_a_hash_that_is_kept_as_metadata(
    world: World, proof: bytes, kept: bytes | None
) -> None:
    transaction_id = world.create()
    if kept is None:
        world.refuse("InvalidProof", "transitionState", transaction_id, State.QUOTED, proof, sender=world.provider)
    else:
        world.move(transaction_id, State.QUOTED, proof, sender=world.provider)
        assert world.view(transaction_id).metadata == kept


def test_quoted_price_can_be_accepted_up_to_the_deadline_and_again(world: World) -> None:
    transaction_id = world.reach(State.QUOTED)
    accepted = world.send("acceptQuote", transaction_id, AMOUNT + 5, sender=world.requester).one("QuoteAccepted")
    assert (accepted.oldAmount, accepted.newAmount) == (AMOUNT, AMOUNT + 5)
    again = world.send("acceptQuote", transaction_id, 50_000, sender=world.requester).one("QuoteAccepted")
    assert (again.oldAmount, again.newAmount) == (AMOUNT + 5, 50_000)
    assert world.view(transaction_id).amount == 50_000
    assert world.state(transaction_id) is State.QUOTED


def test_last_second_of_the_deadline_still_counts_for_quote_fund_start_and_deliver(world: World) -> None:
    transaction_id = world.create()
    deadline = world.deadline(transaction_id)
    for step in (
        lambda: world.move(transaction_id, State.QUOTED, sender=world.provider),
        lambda: world.send("acceptQuote", transaction_id, AMOUNT, sender=world.requester),
        lambda: world.fund(transaction_id),
        lambda: world.start(transaction_id),
        lambda: world.deliver(transaction_id),
    ):
        with world.undone():
            world.warp(deadline)
            assert step().timestamp == deadline
        with world.undone():
            world.warp(deadline + 1)
            with pytest.raises(Refused) as refused:
                step()
            why = refused.value.why
            assert (why.name, why.values.deadline, why.values.timestamp) == ("DeadlinePassed", deadline, deadline + 1)
        step()


def test_errors_carry_the_values_and_the_limits(world: World) -> None:
    delivered = world.reach(State.DELIVERED)
    end, now = world.window_end(delivered), world.now()
    world.refuse("WindowOpen", "releaseEscrow", delivered, sender=world.stranger, windowEnd=end, timestamp=now)
    world.warp(end + 1)
    world.refuse(
        "WindowClosed", "transitionState", delivered, State.DISPUTED, b"", sender=world.requester,
        windowEnd=end, timestamp=end + 1,
    )  # fmt: skip
    started = world.reach(State.IN_PROGRESS)
    deadline = world.deadline(started)
    for sender, due in ((world.requester, deadline), (world.stranger, deadline + GRACE)):
        world.refuse(
            "RefundNotDue", "transitionState", started, State.CANCELLED, b"", sender=sender,
            dueAfter=due, timestamp=world.now(),
        )  # fmt: skip
    disputed = world.reach(State.DISPUTED)
    after = world.view(disputed).updatedAt + TIMEOUT
    world.refuse("DisputeNotTimedOut", "closeTimedOutDispute", disputed, sender=world.stranger, timesOutAfter=after)


# ---------------------------------------------------------------- windows and the view


@pytest.mark.parametrize("agreed", [HOUR, WINDOW, 30 * DAY])
@pytest.mark.parametrize("work", [1, HOUR, 365 * DAY])
def test_view_shows_a_duration_until_delivery_and_the_end_of_the_window_after(
    world: World, agreed: int, work: int
) -> None:
    transaction_id = world.create(window=agreed, work=365 * DAY if work > DAY else 4)
    deadline = world.deadline(transaction_id)
    world.fund(transaction_id)
    world.start(transaction_id)
    assert world.view(transaction_id).disputeWindow == agreed
    delivered_at = world.deliver(transaction_id).timestamp
    view = world.view(transaction_id)
    assert view.disputeWindow == delivered_at + agreed
    assert view.deadline == deadline
    world.pass_time(DAY)
    world.settle(transaction_id)
    view = world.view(transaction_id)
    assert (view.disputeWindow, view.deadline) == (delivered_at + agreed, deadline)


@pytest.mark.parametrize("length", [1, 31, 33, 64])
def test_window_in_a_delivery_is_one_word(world: World, length: int) -> None:
    transaction_id = world.reach(State.IN_PROGRESS)
    world.refuse(
        "InvalidProof", "transitionState", transaction_id, State.DELIVERED, bytes(length), sender=world.provider,
        length=length,
    )  # fmt: skip


@pytest.mark.parametrize("proof", [b"", b"x", b"evidence" * 500], ids=["none", "one byte", "long"])
def test_evidence_of_a_dispute_may_be_any_bytes(world: World, proof: bytes) -> None:
    transaction_id = world.reach(State.DELIVERED)
    world.move(transaction_id, State.DISPUTED, proof, sender=world.requester)


def test_all_21_fields_of_the_view(world: World) -> None:
    created_at = world.now()
    transaction_id = world.create(window=3 * DAY, agent=2**256 - 1, requester_agent=2**255 + 1)
    world.move(transaction_id, State.QUOTED, b"\x07" * 32, sender=world.provider)
    alias = b"\xa1" * 32
    world.fund(transaction_id, alias)
    world.start(transaction_id)
    delivered_at = world.deliver(transaction_id, 4 * DAY).timestamp
    world.send("anchorAttestation", transaction_id, b"\x09" * 32, sender=world.provider)
    disputed_at = world.dispute(transaction_id, sender=world.provider).timestamp
    assert vars(world.view(transaction_id)) == {
        "transactionId": transaction_id, "requester": world.requester, "provider": world.provider,
        "state": State.DISPUTED, "amount": AMOUNT, "createdAt": created_at, "updatedAt": disputed_at,
        "deadline": created_at + WORK, "serviceHash": SERVICE, "escrowContract": world.vault.address,
        "escrowId": alias, "attestationUID": b"\x09" * 32, "disputeWindow": delivered_at + 4 * DAY,
        "metadata": b"\x07" * 32, "platformFeeBpsLocked": 100, "requesterPenaltyBpsLocked": 500,
        "disputeBondBpsLocked": 500, "agentId": 2**256 - 1, "requesterAgentId": 2**255 + 1,
        "disputeInitiator": world.provider, "disputeBond": 5 * USDC,
    }  # fmt: skip


def test_view_of_a_new_transaction_is_empty_where_nothing_happened(world: World) -> None:
    view = world.view(world.create(service=ZERO32))
    empty = {
        "escrowContract": ZERO, "escrowId": ZERO32, "attestationUID": ZERO32, "metadata": ZERO32,
        "serviceHash": ZERO32, "agentId": 0, "requesterAgentId": 0, "disputeInitiator": ZERO, "disputeBond": 0,
    }  # fmt: skip
    assert {name: getattr(view, name) for name in empty} == empty


def test_largest_and_latest_terms_survive_packing(world: World) -> None:
    provider = "0x" + "ff" * 20
    args = create_args(world, provider=provider, amount=10**15, deadline=world.now() + 365 * DAY, window=30 * DAY)
    transaction_id = world.kernel.read("createTransaction", *args, sender=world.requester)
    world.send("createTransaction", *args, sender=world.requester)
    view = world.view(transaction_id)
    assert (view.requester, view.provider, view.amount) == (world.requester, provider, 10**15)
    assert (view.deadline, view.disputeWindow, view.createdAt) == (args[3], 30 * DAY, args[3] - 365 * DAY)


def test_ids_are_unique_and_nonces_count_per_requester(world: World) -> None:
    first = [world.create() for _ in range(3)]
    other = world.create(requester=world.other_requester)
    assert len({*first, other}) == 4
    assert world.kernel.read("requesterNonces", world.requester) == 3
    assert world.kernel.read("requesterNonces", world.other_requester) == 1


# ---------------------------------------------------------------- notice and attestation


def test_early_cancellation_takes_a_notice_of_one_hour(world: World) -> None:
    transaction_id = world.reach(State.COMMITTED)
    world.refuse("NoCancellationAnnounced", "cancelEarly", transaction_id, sender=world.requester)
    announced = world.send("announceCancellation", transaction_id, sender=world.requester)
    effective = announced.one("CancellationAnnounced").effectiveAt
    assert effective == announced.timestamp + NOTICE
    assert world.kernel.read("cancellationEffectiveAt", transaction_id) == effective
    world.warp(effective - 1)
    world.refuse("NoticeRunning", "cancelEarly", transaction_id, sender=world.requester, effectiveAt=effective)
    world.warp(effective)
    world.send("cancelEarly", transaction_id, sender=world.requester)
    assert world.state(transaction_id) is State.CANCELLED


def test_an_announcement_can_be_repeated_and_starts_the_notice_again(world: World) -> None:
    transaction_id = world.reach(State.COMMITTED)
    world.send("announceCancellation", transaction_id, sender=world.requester)
    world.pass_time(NOTICE - 10)
    again = world.send("announceCancellation", transaction_id, sender=world.requester)
    world.pass_time(HOUR // 2)
    world.refuse("NoticeRunning", "cancelEarly", transaction_id, sender=world.requester)
    world.warp(again.timestamp + NOTICE)
    world.send("cancelEarly", transaction_id, sender=world.requester)


def test_attestation_is_anchored_once_and_is_not_zero(world: World) -> None:
    transaction_id = world.reach(State.DELIVERED)
    world.refuse("AttestationRefused", "anchorAttestation", transaction_id, ZERO32, sender=world.provider)
    receipt = world.send("anchorAttestation", transaction_id, b"\x01" * 32, sender=world.requester)
    anchored = receipt.one("AttestationAnchored")
    assert (anchored.attestationUID, anchored.attester) == (b"\x01" * 32, world.requester)
    world.refuse("AttestationRefused", "anchorAttestation", transaction_id, b"\x02" * 32, sender=world.provider)


# ---------------------------------------------------------------- who resolves


def test_a_mediator_resolves_only_after_the_delay_and_until_revoked(world: World) -> None:
    transaction_id = world.reach(State.DISPUTED)
    ruling = ("transitionState", transaction_id, State.SETTLED, b"")
    approved = world.send("approveMediator", world.stranger, True, sender=world.admin).timestamp
    world.warp(approved + 2 * DAY - 1)
    world.refuse("NotResolver", *ruling, sender=world.stranger)
    world.warp(approved + 2 * DAY)
    assert world.kernel.refusal(*ruling, sender=world.stranger) is None
    world.send("approveMediator", world.stranger, False, sender=world.admin)
    world.refuse("NotResolver", *ruling, sender=world.stranger, caller=world.stranger)


def test_no_party_resolves_its_own_dispute_whatever_its_role(world: World) -> None:
    for party in (world.requester, world.provider):
        world.send("approveMediator", party, True, sender=world.admin)
    world.pass_time(3 * DAY)
    transaction_id = world.reach(State.DISPUTED)
    world.send("transferAdmin", world.requester, sender=world.admin)
    world.send("acceptAdmin", sender=world.requester)
    for party in (world.requester, world.provider):
        for target in (State.SETTLED, State.CANCELLED):
            world.refuse("NotResolver", "transitionState", transaction_id, target, b"", sender=party, caller=party)


def test_a_dispute_is_not_ruled_into_any_other_state(world: World) -> None:
    transaction_id = world.reach(State.DISPUTED)
    for target in set(State) - {State.SETTLED, State.CANCELLED}:
        for sender in (world.admin, world.provider, world.requester):
            why = world.kernel.refusal("transitionState", transaction_id, target, word(1), sender=sender)
            assert why is not None
            assert why.name == "InvalidTransition"


def test_settled_disputes_stay_settled(world: World) -> None:
    transaction_id = world.reach(State.DISPUTED)
    world.rule(transaction_id, words(AMOUNT // 2, AMOUNT // 2))
    world.pass_time(TIMEOUT + DAY)
    world.refuse("WrongState", "closeTimedOutDispute", transaction_id, sender=world.stranger)
    for target in State:
        assert world.kernel.refusal("transitionState", transaction_id, target, b"", sender=world.admin) is not None
