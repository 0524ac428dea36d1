"""Who may configure the kernel, within which limits, and when it takes effect."""

from __future__ import annotations

import pytest

from actp.errors import RpcError
from tests.contracts.kernel_codec import refusal
from tests.contracts.kernel_support import AMOUNT, DAY, ZERO, Economics, State, World, creation_code


def test_constructor_refuses_rates_above_their_caps_and_missing_addresses(world: World) -> None:
    def refused(error: str, economics: Economics, **addresses: str) -> None:
        usual = {"admin": world.admin, "pauser": ZERO, "fees": world.admin, "registry": ZERO}
        usual["usdc"] = world.token.address
        why = deployment_refusal(world, *(usual | addresses).values(), economics.words())
        assert why == error

    refused("", Economics(500, 5_000, 2_000, 10**15, 10**15))
    refused("RateTooHigh", Economics(fee_bps=501))
    refused("RateTooHigh", Economics(penalty_bps=5_001))
    refused("RateTooHigh", Economics(bond_bps=2_001))
    refused("MinimumTooHigh", Economics(min_fee=10**15 + 1))
    refused("MinimumTooHigh", Economics(min_bond=2**255))
    for missing in ("admin", "fees", "usdc"):
        refused("ZeroAddress", Economics(), **{missing: ZERO})


def deployment_refusal(world: World, *args: object) -> str:
    """Name of the error with which a kernel refuses these constructor arguments, empty if it takes them."""
    call = {"from": world.admin, "data": creation_code("ACTPKernel", *args)}
    try:
        world.chain.request("eth_call", [call, "latest"])
    except RpcError as error:
        return refusal(bytes.fromhex(str(error.data)[2:])).name
    return ""


def test_constructor_arguments_are_kept(world: World) -> None:
    read = world.kernel.read
    roles = [read(name) for name in ("admin", "pauser", "feeRecipient", "agentRegistry", "USDC", "pendingAdmin")]
    assert roles == [world.admin, world.pauser, world.fee_recipient, ZERO, world.token.address, ZERO]
    assert [read(name) for name in ("platformFeeBps", "requesterPenaltyBps", "disputeBondBps")] == [100, 500, 500]
    without_pauser = world.deploy(
        "ACTPKernel", world.admin, ZERO, world.fee_recipient, world.stranger, world.token.address,
        Economics(1, 2, 3, 4, 5).words(),
    )  # fmt: skip
    assert without_pauser.read("pauser") == world.admin
    assert without_pauser.read("agentRegistry") == world.stranger
    assert [without_pauser.read(name) for name in ("MIN_FEE", "MIN_DISPUTE_BOND")] == [4, 5]


ADMIN_CALLS = [
    ("updatePauser", "stranger"), ("updateFeeRecipient", "stranger"), ("transferAdmin", "stranger"),
    ("approveEscrowVault", "stranger", True), ("approveMediator", "stranger", True), ("scheduleEconomicParams", 1, 1),
    ("cancelEconomicParamsUpdate",), ("updateDisputeBondBps", 1),
]  # fmt: skip


@pytest.mark.parametrize("call", ADMIN_CALLS, ids=lambda call: call[0])
def test_only_the_admin_governs(world: World, call: tuple[object, ...]) -> None:
    function, *rest = call
    args = [world.people[value] if isinstance(value, str) else value for value in rest]
    for caller in ("pauser", "fee_recipient", "mediator", "requester", "stranger"):
        world.refuse("NotAdmin", str(function), *args, sender=world.people[caller], admin=world.admin)


def test_roles_are_never_given_to_nobody(world: World) -> None:
    for function in ("updatePauser", "updateFeeRecipient", "transferAdmin"):
        world.refuse("ZeroAddress", function, ZERO, sender=world.admin)
    world.refuse("ZeroAddress", "approveMediator", ZERO, True, sender=world.admin)


def test_admin_role_changes_in_two_steps(world: World) -> None:
    started = world.send("transferAdmin", world.stranger, sender=world.admin).one("AdminTransferInitiated")
    assert (started.currentAdmin, started.pendingAdmin) == (world.admin, world.stranger)
    assert (world.kernel.read("admin"), world.kernel.read("pendingAdmin")) == (world.admin, world.stranger)
    for caller in (world.admin, world.payer):
        world.refuse("NotPendingAdmin", "acceptAdmin", sender=caller, pendingAdmin=world.stranger)
    accepted = world.send("acceptAdmin", sender=world.stranger).one("AdminTransferred")
    assert (accepted.oldAdmin, accepted.newAdmin) == (world.admin, world.stranger)
    assert (world.kernel.read("admin"), world.kernel.read("pendingAdmin")) == (world.stranger, ZERO)
    world.refuse("NotAdmin", "updatePauser", world.payer, sender=world.admin)
    world.refuse("NotPendingAdmin", "acceptAdmin", sender=world.stranger)


def test_nobody_accepts_a_role_that_was_never_offered(world: World) -> None:
    world.refuse("NotPendingAdmin", "acceptAdmin", sender=ZERO[:-1] + "1")
    world.refuse("NotPendingAdmin", "acceptAdmin", sender=world.stranger)


def test_pauser_and_admin_pause_and_nobody_else(world: World) -> None:
    for caller in (world.pauser, world.admin):
        assert world.send("pause", sender=caller).one("KernelPaused").by == caller
        assert world.kernel.read("paused") is True
        assert world.send("unpause", sender=caller).one("KernelUnpaused").by == caller
        assert world.kernel.read("paused") is False
    for function in ("pause", "unpause"):
        world.refuse("NotPauser", function, sender=world.stranger, caller=world.stranger, pauser=world.pauser)
    world.send("updatePauser", world.stranger, sender=world.admin)
    world.refuse("NotPauser", "pause", sender=world.pauser)
    world.send("pause", sender=world.stranger)


def test_rates_change_only_after_the_time_lock(world: World) -> None:
    receipt = world.send("scheduleEconomicParams", 200, 700, sender=world.admin)
    due = receipt.timestamp + 2 * DAY
    scheduled = receipt.one("EconomicParamsUpdateScheduled")
    assert (scheduled.platformFeeBps, scheduled.requesterPenaltyBps, scheduled.executeAfter) == (200, 700, due)
    assert world.kernel.read("getPendingEconomicParams") == [200, 700, due, True]
    world.refuse("UpdatePending", "scheduleEconomicParams", 1, 1, sender=world.admin, executeAfter=due)
    world.warp(due - 1)
    world.refuse("TimelockRunning", "executeEconomicParamsUpdate", sender=world.admin, executeAfter=due)
    assert world.kernel.read("platformFeeBps") == 100
    world.warp(due)
    updated = world.send("executeEconomicParamsUpdate", sender=world.stranger).one("EconomicParamsUpdated")
    assert (updated.platformFeeBps, updated.requesterPenaltyBps) == (200, 700)
    rates = [world.kernel.read(name) for name in ("platformFeeBps", "requesterPenaltyBps", "disputeBondBps")]
    assert rates == [200, 700, 500]
    assert world.kernel.read("getPendingEconomicParams") == [0, 0, 0, False]
    world.refuse("NoPendingUpdate", "executeEconomicParamsUpdate", sender=world.admin)


def test_a_scheduled_change_can_be_cancelled(world: World) -> None:
    world.refuse("NoPendingUpdate", "cancelEconomicParamsUpdate", sender=world.admin)
    world.send("scheduleEconomicParams", 200, 700, sender=world.admin)
    cancelled = world.send("cancelEconomicParamsUpdate", sender=world.admin).one("EconomicParamsUpdateCancelled")
    assert (cancelled.platformFeeBps, cancelled.requesterPenaltyBps) == (200, 700)
    world.pass_time(3 * DAY)
    world.refuse("NoPendingUpdate", "executeEconomicParamsUpdate", sender=world.admin)


def test_rates_stay_below_their_caps(world: World) -> None:
    for args in ((501, 0), (0, 5_001)):
        world.refuse("RateTooHigh", "scheduleEconomicParams", *args, sender=world.admin, rate=max(args))
    world.refuse("RateTooHigh", "updateDisputeBondBps", 2_001, sender=world.admin, rate=2_001, cap=2_000)
    world.send("updateDisputeBondBps", 2_000, sender=world.admin)
    world.change_rates(500, 5_000)
    rates = [world.kernel.read(name) for name in ("platformFeeBps", "requesterPenaltyBps", "disputeBondBps")]
    assert rates == [500, 5_000, 2_000]


def test_mediators_approval_times(world: World) -> None:
    read = world.kernel.read
    assert (read("approvedMediators", world.stranger), read("mediatorApprovedAt", world.stranger)) == (False, 0)
    approved = world.send("approveMediator", world.stranger, True, sender=world.admin)
    assert (approved.one("MediatorApproved").mediator, approved.one("MediatorApproved").approved) == (
        world.stranger, True,
    )  # fmt: skip
    assert read("mediatorApprovedAt", world.stranger) == approved.timestamp
    world.pass_time(DAY)
    world.send("approveMediator", world.stranger, True, sender=world.admin)
    assert read("mediatorApprovedAt", world.stranger) == approved.timestamp
    revoked = world.send("approveMediator", world.stranger, False, sender=world.admin)
    assert read("mediatorRevokedAt", world.stranger) == revoked.timestamp
    again = world.send("approveMediator", world.stranger, True, sender=world.admin)
    assert read("mediatorApprovedAt", world.stranger) == again.timestamp
    # A new approval starts a new delay: a revoked mediator is not back in office at once.
    disputed = world.reach(State.DISPUTED)
    world.warp(again.timestamp + 2 * DAY - 1)
    world.refuse("NotResolver", "transitionState", disputed, State.SETTLED, b"", sender=world.stranger)


def test_the_first_approved_vault_is_bound_for_good(world: World) -> None:
    kernel = world.deploy_kernel(world.token.address)
    vault = world.deploy("EscrowVault", world.token.address, kernel.address)
    world.refuse("VaultNotApproved", "approveEscrowVault", vault.address, False, sender=world.admin, on=kernel)
    assert kernel.read("approvedEscrowVaults", vault.address) is False
    assert kernel.read("approvedEscrowVaults", ZERO) is False
    approved = kernel.send("approveEscrowVault", vault.address, True, sender=world.admin).one("EscrowVaultApproved")
    assert (approved.vault, approved.approved) == (vault.address, True)
    assert kernel.read("approvedEscrowVaults", vault.address) is True
    other = world.deploy("EscrowVault", world.token.address, kernel.address)
    for flag in (True, False):
        world.refuse(
            "VaultAlreadyBound", "approveEscrowVault", other.address, flag, sender=world.admin, on=kernel,
            bound=vault.address, vault=other.address,
        )  # fmt: skip
    kernel.send("approveEscrowVault", vault.address, False, sender=world.admin)
    assert kernel.read("approvedEscrowVaults", vault.address) is False
    kernel.send("approveEscrowVault", vault.address, True, sender=world.admin)


def test_funding_goes_into_the_approved_vault_only(world: World) -> None:
    transaction_id = world.create()
    for vault in (world.stranger, ZERO, world.token.address):
        world.refuse("VaultNotApproved", "linkEscrow", transaction_id, vault, transaction_id, sender=world.requester)
    unbound = world.deploy_kernel(world.token.address)
    args = (world.provider, world.requester, AMOUNT, world.now() + DAY, 2 * DAY, bytes(32), 0, 0)
    created = unbound.send("createTransaction", *args, sender=world.requester).one("TransactionCreated").transactionId
    world.refuse("VaultNotApproved", "linkEscrow", created, ZERO, created, sender=world.requester, on=unbound)
