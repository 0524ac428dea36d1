"""One ordinary escrow as the rules see it, to be changed in one place per test."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from coordinator.policy import Counts, Facts
from coordinator.types import AllowanceChange, Call, Effects, IntentType, Subject

USDC = "0xe7f1725E7734CE288F8367e1Bb143E90bb3F0512"
KERNEL = "0x5FbDB2315678afecb367f032d93F642f64180aa3"
VAULT = "0xCf7Ed3AccA5a467e9e704C703E8D87F634fB0Fc9"
WALLET = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
PROVIDER = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
STRANGER = "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC"
CREATE, APPROVE = bytes.fromhex("12345678"), bytes.fromhex("095ea7b3")
NOW = 1_800_000_000

ESCROW = Facts(
    type=IntentType.CREATE_ESCROW,
    agent="research",
    wallet=WALLET,
    subject=Subject(USDC, 1_000, PROVIDER, locks=True),
    call=Call(KERNEL, CREATE + bytes(64)),
    effects=Effects(allowances=(AllowanceChange(USDC, WALLET, VAULT, used=1_000),)),
    now=NOW,
    vault=VAULT,
    max_fee_wei=700,
    balances={USDC: 10_000, "ETH": 10_000},
    locked={USDC: 5_000},
    locked_at={(KERNEL, USDC): 4_000},
    locked_with={(PROVIDER, USDC): 3_000},
    peaks={USDC: 20_000, "ETH": 10_000},
    lost_today={USDC: 50, "ETH": 300},
    agent_counts=Counts(1, 10, 100),
    wallet_counts=Counts(2, 20, 200),
)
"""An escrow of 1,000 of the wallet's 10,000, with 5,000 in others."""


def about(facts: Facts = ESCROW, **subject: Any) -> Facts:
    """The same with another subject."""
    return replace(facts, subject=replace(facts.subject, **subject))


def granting(spender: str, amount: int = 100) -> Facts:
    """An allowance."""
    return replace(
        ESCROW,
        type=IntentType.APPROVE_ERC20,
        subject=Subject(USDC, 0, spender),
        call=Call(USDC, APPROVE + bytes(64)),
        effects=Effects(allowances=(AllowanceChange(USDC, WALLET, spender, to=amount),)),
    )
