"""One kernel at one address: callers never notice that rare functions run from a second code account.

That account by itself is a stranger: it has no vault, no admin, no storage, and no say over anybody's money.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.contracts.kernel_codec import artifact, canonical, signature
from tests.contracts.kernel_support import AMOUNT, USDC, ZERO, ZERO32, Contract, State, World, words
from tests.contracts.orders import (
    FOREVER,
    USUAL,
    Authorization,
    Permit,
    order,
    place,
    salt,
    salted_id,
    sign_authorization,
    sign_permit,
)

UNKNOWN = b"\x42" * 32
EMPTY_PERMIT = Permit(0, 0, 27, ZERO32, ZERO32)
EMPTY_AUTHORIZATION = Authorization(0, 0, b"")
SLOTS = 64


def functions(contract: str) -> dict[str, dict[str, Any]]:
    return {signature(entry): entry for entry in artifact(contract)["abi"] if entry["type"] == "function"}


def shape(entry: dict[str, Any]) -> tuple[str, str, str]:
    outputs = ",".join(map(canonical, entry["outputs"]))
    return signature(entry), outputs, entry["stateMutability"]


RARE = sorted(functions("IKernelExtension"))


def calls(world: World) -> dict[str, tuple[tuple[Any, ...], str]]:
    """For each rare function arguments that a stranger uses, and the error that tells that they were looked at."""
    nobody = order(world)._replace(provider=ZERO)
    refused_by_role = dict.fromkeys(["pause", "unpause"], ((), "NotPauser")) | {
        "updatePauser": ((world.stranger,), "NotAdmin"),
        "updateFeeRecipient": ((world.stranger,), "NotAdmin"),
        "transferAdmin": ((world.stranger,), "NotAdmin"),
        "acceptAdmin": ((), "NotPendingAdmin"),
        "approveEscrowVault": ((world.vault.address, False), "NotAdmin"),
        "approveMediator": ((world.stranger, True), "NotAdmin"),
        "scheduleEconomicParams": ((1, 1), "NotAdmin"),
        "cancelEconomicParamsUpdate": ((), "NotAdmin"),
        "executeEconomicParamsUpdate": ((), "NoPendingUpdate"),
        "updateDisputeBondBps": ((1,), "NotAdmin"),
    }
    return refused_by_role | {
        "createSalted": ((nobody, USUAL), "ZeroAddress"),
        "createFundedWith": ((nobody, USUAL), "ZeroAddress"),
        "createFundedWithPermit": ((nobody, USUAL, EMPTY_PERMIT), "ZeroAddress"),
        "createFundedWithAuthorization": ((world.stranger, nobody, USUAL, EMPTY_AUTHORIZATION), "ZeroAddress"),
        "payMilestone": ((UNKNOWN, 0), "UnknownTransaction"),
        "refundMilestone": ((UNKNOWN, 0), "UnknownTransaction"),
        "settleByConsent": ((UNKNOWN, 0, 0, 0, b"", b""), "UnknownTransaction"),
        "releaseMilestone": ((UNKNOWN, 1), "UnknownTransaction"),
        "closeTimedOutDispute": ((UNKNOWN,), "UnknownTransaction"),
        "postBond": ((UNKNOWN, world.stranger), "UnknownTransaction"),
    }


@pytest.fixture
def extension(world: World) -> Contract:
    return Contract(world.chain, "KernelExtension", world.kernel.read("extension"))


def storage(world: World, address: str) -> list[int]:
    return [int(world.chain.request("eth_getStorageAt", [address, hex(n), "latest"]), 16) for n in range(SLOTS)]


@pytest.mark.parametrize("name", RARE)
def test_kernel_has_each_rare_function_as_its_extension_has_it(name: str) -> None:
    wanted = shape(functions("IKernelExtension")[name])
    assert shape(functions("ACTPKernel")[name]) == wanted
    assert shape(functions("KernelExtension")[name]) == wanted


def test_kernel_has_every_function_that_its_extension_has() -> None:
    assert functions("KernelExtension").keys() <= functions("ACTPKernel").keys()


def test_kernel_abi_has_every_error_and_event_that_its_extension_answers_with() -> None:
    def said(contract: str) -> set[str]:
        return {signature(entry) for entry in artifact(contract)["abi"] if entry["type"] in {"error", "event"}}

    assert said("KernelExtension") <= said("ACTPKernel")


@pytest.mark.parametrize("name", sorted(each.split("(")[0] for each in RARE))
def test_kernel_answers_each_rare_function(world: World, name: str) -> None:
    args, error = calls(world)[name]
    world.refuse(error, name, *args, sender=world.stranger)


def test_rare_functions_see_the_kernels_own_roles_and_numbers(world: World) -> None:
    world.refuse("NotAdmin", "updatePauser", world.stranger, sender=world.stranger, admin=world.admin)
    world.refuse("NotPauser", "pause", sender=world.stranger, pauser=world.pauser)
    transaction_id = world.reach(State.DELIVERED)
    assert world.dispute(transaction_id).one("BondPosted").amount == 5 * USDC
    assert world.rule(transaction_id).one("PlatformFeeAccrued").amount == USDC


def test_code_of_the_extension_fits_the_limit_of_eip_170_and_is_there(world: World, extension: Contract) -> None:
    size = len(artifact("KernelExtension")["deployedBytecode"]["object"]) // 2 - 1
    assert size < 24_576
    code = world.chain.request("eth_getCode", [extension.address, "latest"])
    assert len(code) // 2 - 1 == size


def test_extension_has_neither_roles_nor_storage_after_all_that_its_kernel_did(
    world: World, extension: Contract
) -> None:
    world.rule(world.reach(State.DISPUTED))
    world.send("updatePauser", world.stranger, sender=world.admin)
    assert storage(world, extension.address) == [0] * SLOTS
    assert any(storage(world, world.kernel.address))
    for role in ("admin", "pauser", "pendingAdmin"):
        assert extension.read(role) == ZERO
    assert extension.read("credits", world.requester) == 0


@pytest.mark.parametrize("sender", ["admin", "requester", "provider", "stranger"])
def test_extension_called_by_itself_moves_no_money_of_the_kernel_and_obeys_nobody(
    world: World, extension: Contract, sender: str
) -> None:
    caller = world.people[sender]
    delivered, started, disputed = map(world.reach, (State.DELIVERED, State.IN_PROGRESS, State.DISPUTED))
    scheduled = place(world)
    world.pass_time(31 * 86_400)
    wanted = order(world, 7)
    signed = sign_authorization(world, world.requester, wanted)
    permit = sign_permit(world, world.requester)
    before = [storage(world, world.kernel.address), *map(world.view, (delivered, started, disputed, scheduled))]
    balances = world.gains(world.vault.address, *world.people.values())
    attempts: list[tuple[Any, ...]] = [
        ("createFundedWith", wanted, USUAL), ("createFundedWithPermit", wanted, USUAL, permit),
        ("createFundedWithAuthorization", world.requester, wanted, USUAL, signed),
        ("payMilestone", started, 0), ("refundMilestone", started, 0), ("releaseMilestone", started, USDC),
        ("settleByConsent", started, AMOUNT, 0, FOREVER, b"", b""), ("closeTimedOutDispute", disputed),
        ("postBond", disputed, world.requester), ("transitionState", disputed, State.SETTLED, words(AMOUNT, 0)),
        ("transitionState", delivered, State.SETTLED, b""), ("transitionState", delivered, State.DISPUTED, b""),
        ("pause",), ("unpause",), ("updatePauser", caller), ("updateFeeRecipient", caller), ("transferAdmin", caller),
        ("acceptAdmin",), ("approveEscrowVault", world.vault.address, True), ("approveMediator", caller, True),
        ("scheduleEconomicParams", 1, 1), ("cancelEconomicParamsUpdate",), ("executeEconomicParamsUpdate",),
        ("updateDisputeBondBps", 1),
    ]  # fmt: skip
    assert {attempt[0] for attempt in attempts} | {"createSalted"} == set(calls(world)) | {"transitionState"}
    for function, *args in attempts:
        why = extension.refusal(function, *args, sender=caller)
        assert why is not None, function
        assert why.name not in {"", "Panic", "Error"}, function
    assert [storage(world, world.kernel.address), *map(world.view, (delivered, started, disputed, scheduled))] == before
    assert balances() == [0] * (1 + len(world.people))


def test_an_order_made_at_the_extension_exists_in_no_kernel_and_can_never_be_funded(
    world: World, extension: Contract
) -> None:
    wanted = order(world)
    made = extension.send("createSalted", wanted, USUAL, sender=world.requester).one("TransactionCreated")
    assert made.transactionId == salted_id(world, world.requester, wanted.salt, kernel=extension.address)
    world.refuse("UnknownTransaction", "getTransaction", made.transactionId, sender=world.stranger)
    # The same salt is still free where it counts.
    assert place(world, wanted) == salted_id(world, world.requester, salt(1))
