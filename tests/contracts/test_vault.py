"""What the vault takes, shows and pays, and under which ids."""

from __future__ import annotations

import pytest

from tests.contracts.kernel_support import AMOUNT, USDC, ZERO, State, World

ALIAS = b"\xa1" * 32


def test_funding_moves_exactly_the_amount_and_says_so(world: World) -> None:
    transaction_id = world.create()
    moved = world.gains(world.requester, world.vault.address)
    receipt = world.fund(transaction_id)
    assert moved() == [-AMOUNT, AMOUNT]
    linked = receipt.one("EscrowLinked")
    assert (linked.escrowContract, linked.escrowId) == (world.vault.address, transaction_id)
    assert (linked.amount, linked.timestamp) == (AMOUNT, receipt.timestamp)
    created = receipt.one("EscrowCreated")
    assert (created.escrowId, created.requester, created.provider, created.amount) == (
        transaction_id, world.requester, world.provider, AMOUNT,
    )  # fmt: skip
    assert receipt.names(world.vault.address) == ["EscrowCreated"]


def test_funding_takes_the_accepted_price(world: World) -> None:
    transaction_id = world.reach(State.QUOTED)
    world.send("acceptQuote", transaction_id, 3 * AMOUNT, sender=world.requester)
    moved = world.gains(world.requester)
    world.fund(transaction_id)
    assert moved() == [-3 * AMOUNT]


@pytest.mark.parametrize("escrow_id", [None, ALIAS], ids=["own id", "alias"])
def test_views_of_the_vault_follow_an_escrow_through_its_life(world: World, escrow_id: bytes | None) -> None:
    transaction_id = world.create()
    known_as = escrow_id or transaction_id
    read = world.vault.read
    assert read("escrows", known_as) == [ZERO, ZERO, 0, 0, False]
    world.fund(transaction_id, escrow_id)
    parties = [world.requester, world.provider]
    assert world.view(transaction_id).escrowId == known_as
    for one in {known_as, transaction_id}:
        assert read("escrows", one) == [*parties, AMOUNT, 0, True]
    assert read("remaining", known_as) == AMOUNT
    assert read("verifyEscrow", known_as, *parties, AMOUNT) == [True, AMOUNT]
    assert read("verifyEscrow", known_as, *parties, AMOUNT + 1)[0] is False
    assert read("verifyEscrow", known_as, world.stranger, world.provider, AMOUNT)[0] is False
    assert read("verifyEscrow", known_as, world.requester, world.stranger, AMOUNT)[0] is False
    world.start(transaction_id)
    world.milestone(transaction_id, 30 * USDC)
    assert read("escrows", known_as) == [*parties, AMOUNT, 30 * USDC, True]
    assert read("remaining", known_as) == 70 * USDC
    assert read("verifyEscrow", known_as, *parties, 70 * USDC + 1)[0] is False
    world.deliver(transaction_id)
    receipt = world.settle(transaction_id)
    assert receipt.one("EscrowCompleted").escrowId == known_as
    paid = receipt.one("EscrowPayout")
    assert (paid.escrowId, paid.recipient, paid.amount) == (known_as, world.provider, 69_300_000)
    assert read("escrows", known_as) == [*parties, AMOUNT, AMOUNT, False]
    assert read("remaining", known_as) == 0
    assert read("verifyEscrow", known_as, *parties, 0)[0] is False


def test_an_escrow_id_is_taken_once_and_never_shadows_a_transaction(world: World) -> None:
    first, second = world.create(), world.create(requester=world.other_requester)
    link = ("linkEscrow", first, world.vault.address)
    world.refuse("EscrowIdTaken", *link, bytes(32), sender=world.requester)
    world.refuse("EscrowIdTaken", *link, second, sender=world.requester, escrowId=second)
    world.fund(second, ALIAS, sender=world.other_requester)
    world.refuse("EscrowIdTaken", *link, ALIAS, sender=world.requester, escrowId=ALIAS)
    assert world.vault.read("escrows", ALIAS)[0] == world.other_requester


def test_an_alias_set_on_the_id_of_a_later_transaction_neither_blocks_nor_shadows_it(world: World) -> None:
    with world.undone():
        future = world.create()
    squatter = world.create(provider=world.stranger, requester=world.other_requester)
    world.fund(squatter, future, sender=world.other_requester)
    assert world.vault.read("escrows", future)[0] == world.other_requester
    world.pass_time(0)
    created = world.create()
    assert created == future
    assert world.vault.read("escrows", future) == [ZERO, ZERO, 0, 0, False]
    world.fund(created)
    assert world.vault.read("escrows", future)[:2] == [world.requester, world.provider]
    gained = world.gains(world.other_requester, world.requester)
    world.cancel(squatter, sender=world.stranger)
    world.cancel(created, sender=world.provider)
    assert gained() == [AMOUNT, AMOUNT]


def test_only_the_kernel_moves_tokens_of_the_vault(world: World) -> None:
    transaction_id = world.reach(State.COMMITTED)
    calls = [
        ("createEscrow", transaction_id, world.requester, world.provider, USDC), ("pullBond", world.requester, USDC),
        ("closeEscrow", transaction_id, world.stranger, USDC), ("payout", transaction_id, world.stranger, USDC),
        ("payoutToProvider", transaction_id, USDC), ("refundToRequester", transaction_id, USDC),
    ]  # fmt: skip
    for function, *args in calls:
        for caller in (world.admin, world.requester, world.provider, world.stranger):
            world.refuse(
                "NotKernel", function, *args, sender=caller, on=world.vault, caller=caller, kernel=world.kernel.address
            )
        assert world.vault.refusal(function, *args, sender=world.kernel.address) is None
    for function in ("payoutToProvider", "refundToRequester"):
        assert world.vault.read(function, transaction_id, USDC, sender=world.kernel.address) == USDC


def test_a_vault_pays_who_its_kernel_names_and_answers_what_was_paid(world: World) -> None:
    """The kernel's place is taken by a contract wallet, so that the vault's functions can be called one by one."""
    wallet = world.deploy("ContractParty", world.admin)
    vault = world.deploy("EscrowVault", world.token.address, wallet.address)
    world.token.send("mint", vault.address, AMOUNT, sender=world.admin)

    def as_kernel(function: str, *args: object) -> object:
        call = ("execute", vault.address, bytes.fromhex(vault.data(function, *args)[2:]))
        answer = wallet.read(*call, sender=world.admin)
        wallet.send(*call, sender=world.admin)
        return int.from_bytes(answer, "big")

    gained = world.gains(world.provider)
    assert as_kernel("payout", ALIAS, world.provider, 3 * USDC) == 3 * USDC
    assert as_kernel("closeEscrow", ALIAS, world.provider, 4 * USDC) == 4 * USDC
    assert as_kernel("closeEscrow", ALIAS, world.provider, 0) == 0
    assert gained() == [7 * USDC]
    world.block(world.provider)
    assert as_kernel("payout", ALIAS, world.provider, USDC) == 0
    assert as_kernel("closeEscrow", ALIAS, world.provider, USDC) == 0
    assert gained() == [7 * USDC]
