"""Defect 11 of the public kernel: six transactions per job. Here a signature for the token opens and funds a payment.

A permit binds no terms, so it serves its owner's own call only. An authorization (EIP-3009) has the hash of all terms
as its nonce, so that whoever sends it can change none.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.contracts.kernel_support import AMOUNT, DAY, HOUR, USDC, ZERO, Contract, State, World
from tests.contracts.orders import (
    FOREVER,
    USUAL,
    Authorization,
    Clauses,
    Milestone,
    Order,
    Permit,
    Wallet,
    order,
    salted_id,
    schedule,
    sign,
    sign_authorization,
    sign_permit,
    terms_nonce,
    token_domain,
)

RECEIVE = "receiveWithAuthorization(address,address,uint256,uint256,uint256,bytes32,{})"
TRANSFER = RECEIVE.replace("receive", "transfer")
PARTS = "uint8,bytes32,bytes32"


@pytest.fixture
def broke(world: World) -> World:
    """The requester has tokens and has allowed the vault nothing."""
    world.token.send("approve", world.vault.address, 0, sender=world.requester)
    return world


def relayed(wanted: Order, clauses: Clauses, signed: Authorization, requester: str) -> tuple[Any, ...]:
    return ("createFundedWithAuthorization", requester, wanted, clauses, signed)


def all_clauses(world: World) -> Clauses:
    """Clauses of which every field differs from the usual one."""
    return Clauses(world.mediator, 2_500, 7, 8, schedule(world, 40 * USDC, 60 * USDC).milestones)


def use_permit(world: World, permit: Permit, owner: str) -> None:
    """Anybody takes a permit straight to the token."""
    args = (owner, world.vault.address, permit.value, permit.deadline, permit.v, permit.r, permit.s)
    world.token.send(f"permit(address,address,uint256,uint256,{PARTS})", *args, sender=world.stranger)


# ---------------------------------------------------------------- permit


def test_defect_11_a_permit_opens_and_funds_in_one_transaction_without_an_allowance(broke: World) -> None:
    world, wanted = broke, order(broke)
    world.refuse("ERC20InsufficientAllowance", "createFundedWith", wanted, USUAL, sender=world.requester)
    gained = world.gains(world.requester)
    permit = sign_permit(world, world.requester)
    world.send("createFundedWithPermit", wanted, all_clauses(world), permit, sender=world.requester)
    transaction_id = salted_id(world, world.requester, wanted.salt)
    assert (world.state(transaction_id), gained()) == (State.COMMITTED, [-AMOUNT])
    assert world.kernel.read("clausesOf", transaction_id) == [world.mediator, 2_500]
    assert len(world.kernel.read("milestonesOf", transaction_id)) == 2
    assert world.token.read("allowance", world.requester, world.vault.address) == 0


def test_a_permit_that_somebody_used_first_does_not_stop_its_owner(broke: World) -> None:
    world, permit = broke, sign_permit(broke, broke.requester)
    use_permit(world, permit, world.requester)
    gained = world.gains(world.requester)
    world.send("createFundedWithPermit", order(world), USUAL, permit, sender=world.requester)
    assert gained() == [-AMOUNT]


def test_a_replayed_permit_funds_no_second_payment(broke: World) -> None:
    world, permit = broke, sign_permit(broke, broke.requester)
    world.send("createFundedWithPermit", order(world, 1), USUAL, permit, sender=world.requester)
    world.refuse(
        "ERC20InsufficientAllowance", "createFundedWithPermit", order(world, 2), USUAL, permit, sender=world.requester,
        allowance=0, needed=AMOUNT,
    )  # fmt: skip


@pytest.mark.parametrize("front_run", [False, True])
def test_a_permit_of_another_funds_nothing_for_who_sends_it(broke: World, front_run: bool) -> None:
    world, thief = broke, broke.mediator
    permit = sign_permit(world, world.requester)
    if front_run:
        use_permit(world, permit, world.requester)
    gained = world.gains(world.requester)
    world.refuse("ERC20InsufficientAllowance", "createFundedWithPermit", order(world), USUAL, permit, sender=thief)
    # One who has money of its own pays with that.
    theirs = world.gains(world.payer)
    world.send("createFundedWithPermit", order(world), USUAL, permit, sender=world.payer)
    assert (gained(), theirs()) == ([0], [-AMOUNT])


@pytest.mark.parametrize("wrong", ["expired", "chain", "token", "nonce", "too little", "spender", "paused token"])
def test_a_permit_that_the_token_refuses_opens_nothing(broke: World, wrong: str) -> None:
    world, owner = broke, broke.requester
    permit = {
        "expired": lambda: sign_permit(world, owner, deadline=world.now() - 1),
        "chain": lambda: sign_permit(world, owner, chainId=1),
        "token": lambda: sign_permit(world, owner, verifyingContract=world.vault.address),
        "nonce": lambda: sign_permit(world, owner, nonce=1),
        "too little": lambda: sign_permit(world, owner, AMOUNT - 1),
        "spender": lambda: sign_permit(world, owner)._replace(value=AMOUNT + 1),
        "paused token": lambda: sign_permit(world, owner),
    }[wrong]()
    if wrong == "paused token":
        world.token.send("pause", sender=world.admin)
    error = "TokenPaused" if wrong == "paused token" else "ERC20InsufficientAllowance"
    wanted = order(world)
    world.refuse(error, "createFundedWithPermit", wanted, USUAL, permit, sender=owner)
    transaction_id = salted_id(world, owner, wanted.salt)
    world.refuse("UnknownTransaction", "getTransaction", transaction_id, sender=owner)


def test_a_standing_allowance_serves_where_a_permit_does_not(world: World) -> None:
    worthless = Permit(0, 0, 0, bytes(32), bytes(32))
    world.send("createFundedWithPermit", order(world), USUAL, worthless, sender=world.requester)


# ---------------------------------------------------------------- EIP-3009: the usual way


@pytest.mark.parametrize("sender", ["stranger", "requester", "provider"])
def test_defect_11_anyone_sends_a_payment_for_a_payer_without_allowance(broke: World, sender: str) -> None:
    world, wanted, clauses = broke, order(broke), all_clauses(broke)
    signed = sign_authorization(world, world.requester, wanted, clauses)
    gained = world.gains(world.requester, world.vault.address)
    receipt = world.send(*relayed(wanted, clauses, signed, world.requester), sender=world.people[sender])
    transaction_id = salted_id(world, world.requester, wanted.salt)
    assert (world.state(transaction_id), gained()) == (State.COMMITTED, [-AMOUNT, AMOUNT])
    made = receipt.one("EscrowCreated")
    assert (made.escrowId, made.requester, made.amount) == (transaction_id, world.requester, AMOUNT)
    used = receipt.one("AuthorizationUsed")
    assert used.nonce == terms_nonce(world, world.requester, wanted, clauses)
    view = world.view(transaction_id)
    assert (view.requester, view.agentId, view.requesterAgentId) == (world.requester, 7, 8)
    # Who sent it got no power over it.
    world.refuse("NotRequester", "announceCancellation", transaction_id, sender=world.stranger)
    world.send("announceCancellation", transaction_id, sender=world.requester)


def test_a_payer_without_any_allowance_pays_just_once(broke: World) -> None:
    world, wanted = broke, order(broke)
    signed = sign_authorization(world, world.requester, wanted)
    call = relayed(wanted, USUAL, signed, world.requester)
    gained = world.gains(world.requester)
    world.send(*call, sender=world.stranger)
    world.refuse("SaltUsed", *call, sender=world.stranger)
    assert gained() == [-AMOUNT]


# ---------------------------------------------------------------- EIP-3009: a relayer who changes a term

ORDER_CHANGES: dict[str, Any] = {
    "provider": "other_provider", "amount": AMOUNT + 1, "deadline": 1, "window": 2 * DAY + 1, "service": b"\x5f" * 32,
    "salt": b"\x02" * 32,
}  # fmt: skip
CLAUSE_CHANGES: dict[str, Any] = {
    "arbiter": "stranger", "timeout_requester_bps": 2_501, "agent": 9, "requester_agent": 9, "milestones": (),
}  # fmt: skip
MILESTONE_CHANGES: dict[str, Any] = {"amount": 1, "deadline": 1, "condition": b"\x0d" * 32}


def test_every_field_of_order_clauses_and_milestone_is_changed_below() -> None:
    assert set(ORDER_CHANGES) == set(Order._fields)
    assert set(CLAUSE_CHANGES) == set(Clauses._fields)
    assert set(MILESTONE_CHANGES) == set(Milestone._fields)


def refused_by_signature(world: World, wanted: Order, clauses: Clauses, changed: tuple[Order, Clauses]) -> None:
    signed = sign_authorization(world, world.requester, wanted, clauses)
    gained = world.gains(world.requester, world.provider, world.other_provider)
    call = relayed(*changed, signed, world.requester)
    world.refuse("InvalidSignature", *call, sender=world.stranger, signer=world.requester)
    # The only thing that was wrong is the change.
    world.send(*relayed(wanted, clauses, signed, world.requester), sender=world.stranger)
    assert gained() == [-AMOUNT, 0, 0]


@pytest.mark.parametrize("field", ORDER_CHANGES)
def test_a_relayer_cannot_change_a_term_of_the_order(broke: World, field: str) -> None:
    world, wanted = broke, order(broke)
    value = ORDER_CHANGES[field]
    if field == "provider":
        value = world.people[value]
    elif field == "deadline":
        value = wanted.deadline + value
    refused_by_signature(world, wanted, USUAL, (wanted._replace(**{field: value}), USUAL))


@pytest.mark.parametrize("field", CLAUSE_CHANGES)
@pytest.mark.parametrize("direction", ["from all clauses", "from the usual ones"])
def test_a_relayer_cannot_change_a_clause(broke: World, field: str, direction: str) -> None:
    world, wanted, clauses = broke, order(broke), all_clauses(broke)
    if direction == "from the usual ones":
        other = USUAL._replace(**{field: getattr(clauses, field)})
        refused_by_signature(world, wanted, USUAL, (wanted, other))
        return
    value = CLAUSE_CHANGES[field]
    other = clauses._replace(**{field: world.people[value] if field == "arbiter" else value})
    refused_by_signature(world, wanted, clauses, (wanted, other))


@pytest.mark.parametrize("field", [*MILESTONE_CHANGES, "order of parts", "a part more"])
def test_a_relayer_cannot_change_a_milestone(broke: World, field: str) -> None:
    world, wanted, clauses = broke, order(broke), all_clauses(broke)
    first, second = clauses.milestones
    match field:
        case "amount":
            parts = (first._replace(amount=first.amount + 1), second._replace(amount=second.amount - 1))
        case "deadline":
            parts = (first._replace(deadline=first.deadline + 1), second)
        case "condition":
            parts = (first, second._replace(condition=MILESTONE_CHANGES["condition"]))
        case "order of parts":
            parts = (second, first)
        case _:
            parts = (first, second._replace(amount=second.amount - USDC), second._replace(amount=USDC))
    refused_by_signature(world, wanted, clauses, (wanted, clauses._replace(milestones=parts)))


@pytest.mark.parametrize("field", ["valid_after", "valid_before", "signature"])
def test_a_relayer_cannot_change_the_authorization(broke: World, field: str) -> None:
    world, wanted = broke, order(broke)
    signed = sign_authorization(world, world.requester, wanted, valid_after=5, valid_before=world.now() + DAY)
    changed = signed._replace(
        **{
            "valid_after": {"valid_after": 4},
            "valid_before": {"valid_before": signed.valid_before + 1},
            "signature": {"signature": signed.signature[:-1] + bytes([27 + 28 - signed.signature[64]])},
        }[field]
    )
    world.refuse("InvalidSignature", *relayed(wanted, USUAL, changed, world.requester), sender=world.stranger)
    world.send(*relayed(wanted, USUAL, signed, world.requester), sender=world.stranger)


@pytest.mark.parametrize("cut", [0, 1, 64, 66])
def test_a_signature_of_another_length_is_refused(broke: World, cut: int) -> None:
    world, wanted = broke, order(broke)
    signed = sign_authorization(world, world.requester, wanted)
    changed = signed._replace(signature=(signed.signature + b"\x00")[:cut])
    world.refuse("InvalidSignature", *relayed(wanted, USUAL, changed, world.requester), sender=world.stranger)


def test_a_relayer_cannot_name_another_payer(broke: World) -> None:
    world, wanted = broke, order(broke)
    signed = sign_authorization(world, world.requester, wanted)
    for other in (world.payer, world.stranger, world.other_requester):
        call = relayed(wanted, USUAL, signed, other)
        world.refuse("InvalidSignature", *call, sender=world.stranger, signer=other)


# ---------------------------------------------------------------- EIP-3009: signed for something else


@pytest.mark.parametrize(
    "wrong",
    ["chain of the terms", "kernel of the terms", "another nonce", "chain of the token", "another token", "payee",
     "value", "signer", "kind"],
)  # fmt: skip
def test_a_signature_for_another_chain_kernel_or_payment_opens_nothing(broke: World, wrong: str) -> None:
    world, wanted, payer = broke, order(broke), broke.requester
    changed: dict[str, Any] = {
        "chain of the terms": {"nonce": terms_nonce(world, payer, wanted, chain_id=1)},
        "kernel of the terms": {"nonce": terms_nonce(world, payer, wanted, kernel=world.stranger)},
        "another nonce": {"nonce": wanted.salt},
        "chain of the token": {"chainId": 1},
        "another token": {"verifyingContract": world.vault.address},
        "payee": {"to": world.kernel.address},
        "value": {"value": AMOUNT - 1},
        "signer": {"signer": world.stranger},
        "kind": {"kind": "TransferWithAuthorization"},
    }[wrong]
    signed = sign_authorization(world, payer, wanted, **changed)
    world.refuse("InvalidSignature", *relayed(wanted, USUAL, signed, payer), sender=world.stranger, signer=payer)


def test_a_signature_for_one_kernel_opens_nothing_in_another_of_the_same_token(broke: World) -> None:
    world, wanted = broke, order(broke)
    kernel = world.deploy_kernel(world.token.address)
    vault = world.deploy("EscrowVault", world.token.address, kernel.address)
    kernel.send("approveEscrowVault", vault.address, True, sender=world.admin)
    signed = sign_authorization(world, world.requester, wanted)
    why = kernel.refusal(*relayed(wanted, USUAL, signed, world.requester), sender=world.stranger)
    assert why is not None
    assert why.name == "InvalidSignature"


@pytest.mark.parametrize(("at", "error"), [(-1, "AuthorizationNotYetValid"), (0, "AuthorizationNotYetValid"), (1, ""),
                                           (HOUR - 1, ""), (HOUR, "AuthorizationExpired")])  # fmt: skip
def test_an_authorization_counts_strictly_between_its_times(broke: World, at: int, error: str) -> None:
    world, start = broke, broke.now() + HOUR
    wanted = order(world)
    signed = sign_authorization(world, world.requester, wanted, valid_after=start, valid_before=start + HOUR)
    call = relayed(wanted, USUAL, signed, world.requester)
    world.warp(start + at)
    if error:
        world.refuse(error, *call, sender=world.stranger)
    else:
        world.send(*call, sender=world.stranger)


def test_an_order_that_lapsed_before_a_relayer_sent_it_takes_no_money(broke: World) -> None:
    world, wanted = broke, order(broke, work=HOUR)
    signed = sign_authorization(world, world.requester, wanted)
    world.warp(wanted.deadline)
    call = relayed(wanted, USUAL, signed, world.requester)
    world.refuse("DeadlineOutOfBounds", *call, sender=world.stranger, deadline=wanted.deadline)


# ---------------------------------------------------------------- EIP-3009: straight at the token


@pytest.mark.parametrize("form", [PARTS, "bytes"])
@pytest.mark.parametrize("function", [RECEIVE, TRANSFER])
def test_an_authorization_taken_straight_to_the_token_moves_nothing(broke: World, function: str, form: str) -> None:
    world, wanted = broke, order(broke)
    signed = sign_authorization(world, world.requester, wanted)
    signature = signed.signature
    parts = (signature,) if form == "bytes" else (signature[64], signature[:32], signature[32:64])
    nonce = terms_nonce(world, world.requester, wanted)
    to_vault = (world.requester, world.vault.address, AMOUNT, 0, FOREVER, nonce, *parts)
    to_thief = (world.requester, world.stranger, *to_vault[2:])
    error = "CallerNotPayee" if function == RECEIVE else "InvalidSignature"
    world.refuse(error, function.format(form), *to_vault, sender=world.stranger, on=world.token)
    world.refuse("InvalidSignature", function.format(form), *to_thief, sender=world.stranger, on=world.token)
    world.send(*relayed(wanted, USUAL, signed, world.requester), sender=world.provider)


@pytest.mark.parametrize("sender", ["stranger", "requester", "admin", "provider"])
def test_nobody_but_the_kernel_has_the_vault_collect_an_authorization(broke: World, sender: str) -> None:
    world, wanted = broke, order(broke)
    signed = sign_authorization(world, world.requester, wanted)
    caller = world.people[sender]
    nonce = terms_nonce(world, world.requester, wanted)
    taken = (b"\x01" * 32, world.requester, caller, AMOUNT, 0, FOREVER, nonce, signed.signature)
    world.refuse(
        "NotKernel", "createEscrowWithAuthorization", *taken, sender=caller, on=world.vault, caller=caller,
        kernel=world.kernel.address,
    )  # fmt: skip
    world.refuse("NotKernel", "collect", world.requester, AMOUNT, sender=caller, on=world.vault)


def test_a_canceled_authorization_opens_nothing(broke: World) -> None:
    world, wanted = broke, order(broke)
    wallet = Wallet(world, world.payer)
    signed = sign_authorization(world, wallet.address, wanted, signer=world.payer)
    nonce = terms_nonce(world, wallet.address, wanted)
    values = {"authorizer": wallet.address, "nonce": nonce}
    fields = "address authorizer,bytes32 nonce"
    canceled = sign(world, world.payer, token_domain(world), "CancelAuthorization", fields, values)
    args = (wallet.address, nonce, canceled)
    world.token.send("cancelAuthorization(address,bytes32,bytes)", *args, sender=world.stranger)
    call = relayed(wanted, USUAL, signed, wallet.address)
    world.refuse("AuthorizationUsedOrCanceled", *call, sender=world.stranger, nonce=nonce)


# ---------------------------------------------------------------- EIP-3009: contract wallets


def test_a_contract_wallet_pays_by_its_owners_signature(world: World) -> None:
    wallet, wanted = Wallet(world, world.payer), order(world)
    call = relayed(wanted, USUAL, sign_authorization(world, wallet.address, wanted, signer=world.payer), wallet.address)
    forged = sign_authorization(world, wallet.address, wanted, signer=world.stranger)
    world.refuse("InvalidSignature", *call[:-1], forged, sender=world.stranger, signer=wallet.address)
    gained = world.gains(wallet.address, world.payer)
    world.send(*call, sender=world.stranger)
    assert gained() == [-AMOUNT, 0]
    assert world.view(salted_id(world, wallet.address, wanted.salt)).requester == wallet.address


def test_a_wallet_whose_signature_is_no_accounts_pays_too(world: World) -> None:
    wallet, wanted = Wallet(world, world.payer, "TwoKeyParty", world.stranger), order(world)
    one, two = (
        sign_authorization(world, wallet.address, wanted, signer=signer) for signer in (world.payer, world.stranger)
    )
    both = one._replace(signature=one.signature + two.signature)
    for wrong in (one, two, one._replace(signature=two.signature + one.signature)):
        world.refuse("InvalidSignature", *relayed(wanted, USUAL, wrong, wallet.address), sender=world.admin)
    gained = world.gains(wallet.address)
    world.send(*relayed(wanted, USUAL, both, wallet.address), sender=world.admin)
    assert gained() == [-AMOUNT]


# ---------------------------------------------------------------- who may not pay


@pytest.mark.parametrize("party", ["vault", "provider", "zero"])
def test_neither_the_vault_nor_the_provider_nor_nobody_is_a_payer(broke: World, party: str) -> None:
    world, wanted = broke, order(broke)
    payer = {"vault": world.vault.address, "provider": world.provider, "zero": ZERO}[party]
    signed = sign_authorization(world, payer, wanted, signer=world.stranger)
    error = "InvalidProvider" if party == "provider" else "InvalidSignature"
    world.refuse(error, *relayed(wanted, USUAL, signed, payer), sender=world.stranger)


def test_money_stops_at_a_pause_and_at_an_unapproved_vault(broke: World) -> None:
    world, wanted = broke, order(broke)
    calls = [
        relayed(wanted, USUAL, sign_authorization(world, world.requester, wanted), world.requester),
        ("createFundedWithPermit", wanted, USUAL, sign_permit(world, world.requester)),
    ]
    for call in calls:
        with world.undone():
            world.send("pause", sender=world.pauser)
            world.refuse("KernelIsPaused", *call, sender=world.requester)
            world.send("unpause", sender=world.admin)
            world.send("approveEscrowVault", world.vault.address, False, sender=world.admin)
            world.refuse("VaultNotApproved", *call, sender=world.requester, vault=world.vault.address)
            world.send("approveEscrowVault", world.vault.address, True, sender=world.admin)
            world.send(*call, sender=world.requester)


def test_a_kernel_without_a_vault_takes_no_signature(world: World) -> None:
    kernel: Contract = world.deploy_kernel(world.token.address)
    wanted = order(world)
    for call in (
        relayed(wanted, USUAL, sign_authorization(world, world.requester, wanted), world.requester),
        ("createFundedWithPermit", wanted, USUAL, sign_permit(world, world.requester)),
        ("createFundedWith", wanted, USUAL), ("createFunded", wanted), ("createFundedBatch", [wanted]),
    ):  # fmt: skip
        why = kernel.refusal(*call, sender=world.requester)
        assert why is not None
        assert (why.name, why.values.vault) == ("VaultNotApproved", ZERO)
