"""Clients of generation G1 find every function, event and constant that they call, and their gas limits suffice."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contracts.kernel_codec import artifact, canonical, signature
from tests.contracts.kernel_support import (
    AMOUNT,
    DAY,
    HOUR,
    SERVICE,
    USDC,
    ZERO32,
    State,
    World,
    words,
)

TRANSITION_GAS = 200_000
FUNDING_GAS = 350_000

VIEW = """
transactionId bytes32, requester address, provider address, state uint8, amount uint256, createdAt uint256,
updatedAt uint256, deadline uint256, serviceHash bytes32, escrowContract address, escrowId bytes32,
attestationUID bytes32, disputeWindow uint256, metadata bytes32, platformFeeBpsLocked uint16,
requesterPenaltyBpsLocked uint16, disputeBondBpsLocked uint16, agentId uint256, requesterAgentId uint256,
disputeInitiator address, disputeBond uint256
"""

# name | types of the inputs | types of the outputs | v for view or pure
KERNEL_FUNCTIONS = """
createTransaction | address,address,uint256,uint256,uint256,bytes32,uint256,uint256 | bytes32 |
acceptQuote | bytes32,uint256 | |
linkEscrow | bytes32,address,bytes32 | |
transitionState | bytes32,uint8,bytes | |
releaseMilestone | bytes32,uint256 | |
releaseEscrow | bytes32 | |
anchorAttestation | bytes32,bytes32 | |
requesterNonces | address | uint256 | v
paused | | bool | v
admin | | address | v
pendingAdmin | | address | v
pauser | | address | v
feeRecipient | | address | v
USDC | | address | v
platformFeeBps | | uint16 | v
requesterPenaltyBps | | uint16 | v
disputeBondBps | | uint16 | v
agentRegistry | | address | v
archiveTreasury | | address | v
approvedEscrowVaults | address | bool | v
approvedMediators | address | bool | v
mediatorApprovedAt | address | uint256 | v
mediatorRevokedAt | address | uint256 | v
pause | | |
unpause | | |
updatePauser | address | |
updateFeeRecipient | address | |
transferAdmin | address | |
acceptAdmin | | |
approveEscrowVault | address,bool | |
approveMediator | address,bool | |
scheduleEconomicParams | uint16,uint16 | |
cancelEconomicParamsUpdate | | |
executeEconomicParamsUpdate | | |
getPendingEconomicParams | | uint16,uint16,uint256,bool | v
updateDisputeBondBps | uint16 | |
kernelVersion | | string | v
"""

VAULT_FUNCTIONS = """
createEscrow | bytes32,address,address,uint256 | |
payoutToProvider | bytes32,uint256 | uint256 |
refundToRequester | bytes32,uint256 | uint256 |
payout | bytes32,address,uint256 | uint256 |
remaining | bytes32 | uint256 | v
verifyEscrow | bytes32,address,address,uint256 | bool,uint256 | v
escrows | bytes32 | address,address,uint256,uint256,bool | v
token | | address | v
kernel | | address | v
"""

# name | parameters, indexed ones with a star
KERNEL_EVENTS = """
TransactionCreated | bytes32*,address*,address*,uint256,bytes32,uint256,uint256,uint256
StateTransitioned | bytes32*,uint8*,uint8*,address,uint256
EscrowLinked | bytes32*,address,bytes32,uint256,uint256
EscrowReleased | bytes32*,address,uint256,uint256
EscrowRefunded | bytes32*,address,uint256,uint256
EscrowMilestoneReleased | bytes32*,uint256,uint256
PlatformFeeAccrued | bytes32*,address*,uint256,uint256
EscrowMediatorPaid | bytes32*,address*,uint256,uint256
AttestationAnchored | bytes32*,bytes32*,address,uint256
DisputeOpened | bytes32*,address*,uint256,uint256
DisputeResolved | bytes32*,bytes32*,address*,bool,uint256,uint256
QuoteAccepted | bytes32*,uint256,uint256,uint256
KernelPaused | address*,uint256
KernelUnpaused | address*,uint256
PauserUpdated | address*,address*
FeeRecipientUpdated | address*,address*
AdminTransferInitiated | address*,address*
AdminTransferred | address*,address*
EscrowVaultApproved | address*,bool
MediatorApproved | address*,bool
EconomicParamsUpdateScheduled | uint16,uint16,uint256
EconomicParamsUpdateCancelled | uint16,uint16,uint256
EconomicParamsUpdated | uint16,uint16,uint256
"""

VAULT_EVENTS = """
EscrowCreated | bytes32*,address*,address*,uint256
EscrowPayout | bytes32*,address*,uint256
"""

CONSTANTS = {
    "DEFAULT_DISPUTE_WINDOW": 2 * DAY,
    "MIN_DISPUTE_WINDOW": HOUR,
    "MAX_DISPUTE_WINDOW": 30 * DAY,
    "MAX_BPS": 10_000,
    "MAX_PLATFORM_FEE_CAP": 500,
    "MAX_REQUESTER_PENALTY_CAP": 5_000,
    "MAX_DISPUTE_BOND_BPS": 2_000,
    "MAX_MEDIATOR_FEE_BPS": 1_000,
    "MIN_TRANSACTION_AMOUNT": 50_000,
    "MAX_TRANSACTION_AMOUNT": 10**15,
    "MAX_DEADLINE": 365 * DAY,
    "MIN_FEE": 50_000,
    "MIN_DISPUTE_BOND": 1_000_000,
    "ECONOMIC_PARAM_DELAY": 2 * DAY,
    "MEDIATOR_APPROVAL_DELAY": 2 * DAY,
}


def rows(table: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.split("|")] for line in table.strip().splitlines()]


def entries(contract: str, kind: str) -> dict[str, dict[str, Any]]:
    return {entry["name"]: entry for entry in artifact(contract)["abi"] if entry["type"] == kind}


def cases(*tables: tuple[str, str]) -> list[Any]:
    return [pytest.param(contract, *row, id=row[0]) for contract, table in tables for row in rows(table)]


@pytest.mark.parametrize(
    ("contract", "name", "inputs", "outputs", "view"),
    cases(("ACTPKernel", KERNEL_FUNCTIONS), ("EscrowVault", VAULT_FUNCTIONS)),
)
def test_g1_function_has_its_exact_signature(contract: str, name: str, inputs: str, outputs: str, view: str) -> None:
    found = entries(contract, "function")[name]
    assert signature(found) == f"{name}({inputs})"
    assert ",".join(map(canonical, found["outputs"])) == outputs
    assert (found["stateMutability"] in {"view", "pure"}) == (view == "v")


@pytest.mark.parametrize(
    ("contract", "name", "parameters"), cases(("ACTPKernel", KERNEL_EVENTS), ("EscrowVault", VAULT_EVENTS))
)
def test_g1_event_has_its_types_and_indexed_arguments(contract: str, name: str, parameters: str) -> None:
    found = entries(contract, "event")[name]
    assert not found["anonymous"]
    assert ",".join(part["type"] + "*" * part["indexed"] for part in found["inputs"]) == parameters


def test_end_of_an_escrow_is_announced_under_its_id() -> None:
    first = entries("EscrowVault", "event")["EscrowCompleted"]["inputs"][0]
    assert (first["type"], first["indexed"]) == ("bytes32", True)


def test_transaction_view_is_one_static_tuple_of_the_21_fields_in_order() -> None:
    (output,) = entries("ACTPKernel", "function")["getTransaction"]["outputs"]
    assert output["type"] == "tuple"
    fields = [f"{part['name']} {part['type']}" for part in output["components"]]
    assert fields == [field.strip() for field in VIEW.replace("\n", " ").split(",")]
    assert len(fields) == 21


def test_vault_names_the_fields_of_an_escrow() -> None:
    outputs = entries("EscrowVault", "function")["escrows"]["outputs"]
    assert [part["name"] for part in outputs] == ["requester", "provider", "amount", "releasedAmount", "active"]


def test_create_names_its_arguments_as_g1_does() -> None:
    names = [part["name"] for part in entries("ACTPKernel", "function")["createTransaction"]["inputs"]]
    assert names == [
        "provider", "requester", "amount", "deadline", "disputeWindow", "serviceHash", "agentId", "requesterAgentId",
    ]  # fmt: skip


def test_kernel_constructor_takes_the_five_addresses_of_g1_and_then_the_economics() -> None:
    (constructor,) = [entry for entry in artifact("ACTPKernel")["abi"] if entry["type"] == "constructor"]
    *five, economics = constructor["inputs"]
    assert [part["type"] for part in five] == ["address"] * 5
    assert [part["name"].strip("_") for part in five] == ["admin", "pauser", "feeRecipient", "agentRegistry", "usdc"]
    fields = [(part["name"], part["type"]) for part in economics["components"]]
    assert fields[:5] == [
        ("platformFeeBps", "uint16"), ("requesterPenaltyBps", "uint16"), ("disputeBondBps", "uint16"),
        ("minFee", "uint256"), ("minDisputeBond", "uint256"),
    ]  # fmt: skip


def test_vault_constructor_takes_token_and_kernel() -> None:
    (constructor,) = [entry for entry in artifact("EscrowVault")["abi"] if entry["type"] == "constructor"]
    assert [(part["type"], part["name"].strip("_")) for part in constructor["inputs"]] == [
        ("address", "token"), ("address", "kernel"),
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["ACTPKernel", "EscrowVault"])
def test_code_fits_the_limit_of_eip_170(name: str) -> None:
    assert len(artifact(name)["deployedBytecode"]["object"]) // 2 - 1 < 24_576


@pytest.mark.parametrize(("name", "value"), CONSTANTS.items())
def test_constant_has_the_documented_value(world: World, name: str, value: int) -> None:
    assert world.kernel.read(name) == value


def test_defect_14_kernel_version_tells_a_kernel_with_schedules_from_older_ones(world: World) -> None:
    assert world.kernel.read("kernelVersion") == "actp-escrow/2"


def test_state_numbers_are_those_of_g1(world: World) -> None:
    """`State` of the tests repeats PROTOCOL's numbers; each is reached by its name and read back as its number."""
    for state in State:
        with world.undone():
            assert world.view(world.reach(state)).state == state.value


def test_created_is_the_first_kernel_log_of_a_create_with_the_id_in_topic_1(world: World) -> None:
    args = (world.provider, world.requester, AMOUNT, world.now() + DAY, 2 * DAY, SERVICE, 7, 8)
    call = {"from": world.requester, "to": world.kernel.address, "data": world.kernel.data("createTransaction", *args)}
    expected = world.kernel.read("createTransaction", *args, sender=world.requester)
    tx_hash = world.chain.request("eth_sendTransaction", [call | {"gas": hex(FUNDING_GAS)}])
    logs = world.chain.request("eth_getTransactionReceipt", [tx_hash])["logs"]
    first = next(log for log in logs if log["address"].lower() == world.kernel.address)
    assert first["topics"][1] == "0x" + expected.hex()
    assert world.view(expected).requester == world.requester


# ---------------------------------------------------------------- gas


def test_create_with_every_field_fits_its_gas(world: World) -> None:
    args = (world.provider, world.requester, AMOUNT, world.now() + DAY, 2 * DAY, SERVICE, 2**256 - 1, 2**256 - 1)
    world.send("createTransaction", *args, sender=world.requester, gas=FUNDING_GAS)


@pytest.mark.parametrize("escrow_id", [None, b"\xa1" * 32], ids=["own id", "alias"])
@pytest.mark.parametrize("state", [State.INITIATED, State.QUOTED])
def test_link_fits_its_gas(world: World, escrow_id: bytes | None, state: State) -> None:
    world.fund(world.reach(state), escrow_id, gas=FUNDING_GAS)


def test_every_step_of_the_five_calls_fits_its_gas(world: World) -> None:
    transaction_id = world.create()
    world.move(transaction_id, State.QUOTED, b"\x07" * 32, sender=world.provider, gas=TRANSITION_GAS)
    world.send("acceptQuote", transaction_id, AMOUNT + 1, sender=world.requester, gas=TRANSITION_GAS)
    world.fund(transaction_id, gas=FUNDING_GAS)
    world.move(transaction_id, State.IN_PROGRESS, sender=world.provider, gas=TRANSITION_GAS)
    world.send("releaseMilestone", transaction_id, USDC, sender=world.requester, gas=TRANSITION_GAS)
    world.move(transaction_id, State.DELIVERED, words(3 * DAY), sender=world.provider, gas=TRANSITION_GAS)
    world.settle(transaction_id, gas=TRANSITION_GAS)
    world.send("anchorAttestation", transaction_id, b"\x09" * 32, sender=world.provider, gas=TRANSITION_GAS)


@pytest.mark.parametrize("aliased", [False, True])
def test_settle_for_a_blocked_payee_fits_its_gas(world: World, aliased: bool) -> None:
    transaction_id = world.create()
    world.fund(transaction_id, b"\xa1" * 32 if aliased else None)
    world.start(transaction_id)
    world.deliver(transaction_id)
    world.block(world.provider)
    receipt = world.settle(transaction_id, gas=TRANSITION_GAS)
    assert receipt.one("CreditAccrued").payee == world.provider


@pytest.mark.parametrize("state", [State.COMMITTED, State.IN_PROGRESS])
def test_refund_to_a_blocked_requester_fits_its_gas(world: World, state: State) -> None:
    transaction_id = world.reach(state)
    world.block(world.requester)
    world.move(transaction_id, State.CANCELLED, sender=world.provider, gas=TRANSITION_GAS)
    assert world.credit(world.requester) == AMOUNT


@pytest.mark.parametrize("hostile", ["", "blocked", "paused"])
def test_dispute_fits_its_gas(world: World, hostile: str) -> None:
    transaction_id = world.reach(State.DELIVERED)
    if hostile == "blocked":
        world.block(world.requester)
    if hostile == "paused":
        world.token.send("pause", sender=world.admin)
    receipt = world.dispute(transaction_id, gas=TRANSITION_GAS)
    assert len(receipt.of("BondOwed")) == bool(hostile)


@pytest.mark.parametrize(
    ("length", "blocked"),
    [
        *[(length, "") for length in (0, 64, 96, 128, 160)],
        *[(length, who) for length in (0, 64, 96) for who in ("requester", "provider")],
        *[(length, who) for length in (128, 160) for who in ("requester", "provider", "mediator")],
        *[(length, "requester provider") for length in (0, 64, 96, 128, 160)],
    ],
)  # fmt: skip
@pytest.mark.slow
def test_ruling_fits_its_gas(world: World, length: int, blocked: str) -> None:
    transaction_id = world.reach(State.DISPUTED)
    for name in blocked.split():
        world.block(world.people[name])
    mediator = 5 * USDC if length >= 128 else 0
    split = words(40 * USDC, 60 * USDC - mediator)
    fault = words(True) if length in (96, 160) else b""
    paid = words(world.mediator, mediator) if length >= 128 else b""
    proof = (split + fault + paid) if length else b""
    world.move(transaction_id, State.SETTLED, proof, sender=world.admin, gas=TRANSITION_GAS)


@pytest.mark.parametrize("blocked", ["", "provider", "stranger", "provider stranger"])
def test_settle_fits_its_gas_after_a_stranger_has_posted_bonds_for_both_parties(world: World, blocked: str) -> None:
    transaction_id = world.reach(State.DELIVERED)
    for party in (world.requester, world.provider):
        world.send("postBond", transaction_id, party, sender=world.stranger)
    for name in blocked.split():
        world.block(world.people[name])
    world.settle(transaction_id, gas=TRANSITION_GAS)


@pytest.mark.parametrize("blocked", ["", "requester", "provider", "requester provider"])
def test_closing_a_timed_out_dispute_fits_the_gas_of_a_call_beyond_g1(world: World, blocked: str) -> None:
    transaction_id = world.reach(State.DISPUTED)
    world.pass_time(31 * DAY)
    for name in blocked.split():
        world.block(world.people[name])
    world.send("closeTimedOutDispute", transaction_id, sender=world.stranger, gas=FUNDING_GAS)


# ---------------------------------------------------------------- what the first read tells


def test_unknown_ids_revert(world: World) -> None:
    unknown = b"\x42" * 32
    calls: list[tuple[Any, ...]] = [
        ("getTransaction",), ("acceptQuote", AMOUNT), ("linkEscrow", world.vault.address, unknown),
        ("transitionState", State.QUOTED, b""), ("transitionState", State.CANCELLED, b""),
        ("releaseMilestone", AMOUNT), ("releaseEscrow",), ("anchorAttestation", unknown), ("announceCancellation",),
        ("cancelEarly",), ("closeTimedOutDispute",), ("postBond", world.requester), ("requiredBond",), ("bondsOf",),
        ("cancellationEffectiveAt",), ("payMilestone", 0), ("refundMilestone", 0), ("clausesOf",), ("milestonesOf",),
        ("settleByConsent", 0, 0, 0, b"", b""),
    ]  # fmt: skip
    for function, *rest in calls:
        world.refuse("UnknownTransaction", function, unknown, *rest, sender=world.requester, transactionId=unknown)
    world.refuse("UnknownTransaction", "getTransaction", ZERO32, sender=world.requester)
