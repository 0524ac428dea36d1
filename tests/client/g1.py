"""A kernel that has only the functions of generation G1, made out of ours.

Each other function's selector is changed in the creation code by one bit, so that a call of it ends like that of a
function that never existed: reverted, without data.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from actp import artifacts
from actp.chain import EmbeddedChain, dev_accounts
from actp.deploy import Economics
from actp.deployments import G1_NAME, Contract, Deployment
from actp.engine import Sender
from actp.signers import LocalSigner
from actp.units import ZERO_ADDRESS, keccak

_G1_NAMES = """
    createTransaction acceptQuote linkEscrow transitionState releaseMilestone releaseEscrow anchorAttestation
    getTransaction requesterNonces paused admin pendingAdmin pauser feeRecipient USDC platformFeeBps
    requesterPenaltyBps disputeBondBps agentRegistry archiveTreasury approvedEscrowVaults approvedMediators
    mediatorApprovedAt mediatorRevokedAt DEFAULT_DISPUTE_WINDOW MIN_DISPUTE_WINDOW MAX_DISPUTE_WINDOW MAX_BPS
    MAX_PLATFORM_FEE_CAP MAX_REQUESTER_PENALTY_CAP MAX_DISPUTE_BOND_BPS MAX_MEDIATOR_FEE_BPS MIN_TRANSACTION_AMOUNT
    MAX_TRANSACTION_AMOUNT MAX_DEADLINE MIN_FEE MIN_DISPUTE_BOND ECONOMIC_PARAM_DELAY MEDIATOR_APPROVAL_DELAY
    pause unpause updatePauser updateFeeRecipient transferAdmin acceptAdmin approveEscrowVault approveMediator
    scheduleEconomicParams cancelEconomicParamsUpdate executeEconomicParamsUpdate getPendingEconomicParams
    updateDisputeBondBps
"""
G1_FUNCTIONS = frozenset(_G1_NAMES.split())

_PUSH4 = b"\x63"


def functions_beyond_g1() -> list[dict[str, Any]]:
    kernel = artifacts.load("ACTPKernel")
    return [entry for entry in kernel.abi if entry["type"] == "function" and entry["name"] not in G1_FUNCTIONS]


def g1_creation_code(arguments: tuple[Any, ...]) -> bytes:
    kernel = artifacts.load("ACTPKernel")
    code = kernel.bytecode
    for entry in functions_beyond_g1():
        selector = keccak(artifacts.signature_of(entry).encode())[:4]
        assert _PUSH4 + selector in code, f"{entry['name']} is not found in the code"
        code = code.replace(_PUSH4 + selector, _PUSH4 + selector[:3] + bytes([selector[3] ^ 1]))
    return replace(kernel, bytecode=code).creation_code(arguments)


def deploy_g1(chain: EmbeddedChain) -> Deployment:
    """Token, a kernel of G1 and its vault, as an address book has them that somebody else wrote."""
    signer = LocalSigner(dev_accounts()[0].private_key)
    sender = Sender(chain, signer, chain_id=chain.chain_id)

    def create(code: bytes) -> Contract:
        receipt = sender.send(None, code)
        assert receipt.contract_address is not None
        return Contract(receipt.contract_address, block=receipt.block_number)

    rates = Economics()
    economics = (
        rates.platform_fee_bps,
        rates.requester_penalty_bps,
        rates.dispute_bond_bps,
        rates.min_fee,
        rates.min_dispute_bond,
    )
    token = create(artifacts.load("TestUSDC").creation_code())
    roles = (signer.address, signer.address, signer.address, ZERO_ADDRESS)
    kernel = create(g1_creation_code((*roles, token.address, economics)))
    vault = create(artifacts.load("EscrowVault").creation_code((token.address, kernel.address)))
    sender.send(kernel.address, artifacts.load("ACTPKernel").call_data("approveEscrowVault", (vault.address, True)))
    return Deployment(G1_NAME, "G1", token.address, {"ACTPKernel": kernel, "EscrowVault": vault, "MockUSDC": token})
