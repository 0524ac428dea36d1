"""What an eth transaction offers to pay: EIP-1559 fees from the chain's own recent blocks."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import Any

from actp.errors import InsufficientFunds
from actp.rpc import Transport

__all__ = ["Fees", "balance", "raised", "require_ether", "suggest"]

_BLOCKS = 5
_PERCENTILE = 50
MIN_TIP = 1_000_000
"""0.001 gwei: what Base's blocks usually take, and more than a development chain asks for."""
MAX_TIP = 3_000_000_000
"""3 gwei: a block full of panic must not set our price."""

MAX_GROWTH = 4
"""How many times its first offer one send pays at most, when nodes find it too low."""

_RAISE_PERCENT = 150
"""Nodes replace bytes only for an eighth more; half more gets from the first offer to the most in five steps."""


@dataclass(frozen=True, slots=True)
class Fees:
    """Wei per gas: the most that is paid, the part of it that goes to the block's producer, and today's base fee."""

    max_fee: int
    tip: int
    base_fee: int

    def most_for(self, gas: int) -> int:
        """The most wei that `gas` can cost. On OP-stack chains the fee for L1 data comes on top."""
        return gas * self.max_fee


def suggest(transport: Transport) -> Fees:
    """Fees for the next block: twice the base fee, which outlasts six full blocks in a row, and the median tip."""
    history = transport.request("eth_feeHistory", [hex(_BLOCKS), "latest", [_PERCENTILE]])
    return from_history(history)


def from_history(history: dict[str, Any]) -> Fees:
    """Fees from the answer of eth_feeHistory; rewards may be absent, as eth-tester's and empty blocks' are."""
    base_fee = int(history["baseFeePerGas"][-1], 16)
    paid = [int(rewards[0], 16) for rewards in history.get("reward") or [] if rewards]
    # Empty blocks report a reward of zero, which says nothing about what a block takes.
    wanted = [tip for tip in paid if tip > 0]
    tip = min(max(int(median(wanted)) if wanted else MIN_TIP, MIN_TIP), MAX_TIP)
    return Fees(max_fee=2 * base_fee + tip, tip=tip, base_fee=base_fee)


def raised(first: Fees, refused: Fees, offered: Fees) -> Fees:
    """More than `refused`, which a node found too low; never above MAX_GROWTH times the `first` offer of the send.

    `offered` is today's suggestion, which may have moved.
    """
    max_fee = max(offered.max_fee, refused.max_fee * _RAISE_PERCENT // 100)
    max_fee = max(refused.max_fee, min(max_fee, MAX_GROWTH * first.max_fee))
    tip = min(max(offered.tip, refused.tip * _RAISE_PERCENT // 100), MAX_TIP, max_fee)
    return Fees(max_fee=max_fee, tip=tip, base_fee=offered.base_fee)


def require_ether(transport: Transport, account: str, needs: int) -> None:
    """Raises InsufficientFunds unless `account` holds `needs` wei."""
    has = balance(transport, account)
    if has < needs:
        raise InsufficientFunds(account, asset="ETH", has=has, needs=needs)


def balance(transport: Transport, account: str) -> int:
    """The ETH of an account, in wei."""
    return int(transport.request("eth_getBalance", [account, "latest"]), 16)
