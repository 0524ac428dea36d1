"""What an eth transaction offers to pay, and what it may cost at most.

    offered = fees.suggest(transport, policy)               # EIP-1559 fees from the chain's own recent blocks
    cost = fees.total_cost(transport, offered, gas, raw)    # and on OP-stack chains L1 data and the operator
    policy.require(cost)                                    # FeeTooHigh above the cap

Two settings of the environment cap what one eth transaction may pay: ACTP_MAX_FEE_PER_GAS_GWEI and
ACTP_MAX_TX_COST_ETH.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from statistics import median
from typing import Any

from actp.engine.exchange import understanding
from actp.engine.opstack import oracle_for
from actp.errors import ConfigError, FeeTooHigh, InsufficientFunds, InvalidInput
from actp.rpc import Transport, quantity
from actp.units import format_ether, shown

__all__ = [
    "MAX_COST_VARIABLE",
    "MAX_FEE_VARIABLE",
    "Cost",
    "FeePolicy",
    "Fees",
    "balance",
    "from_history",
    "raised",
    "require_ether",
    "stand_in",
    "suggest",
    "total_cost",
]

MAX_FEE_VARIABLE = "ACTP_MAX_FEE_PER_GAS_GWEI"
MAX_COST_VARIABLE = "ACTP_MAX_TX_COST_ETH"

_GWEI = 10**9
_ETHER = 10**18

_BLOCKS = 5
_PERCENTILE = 75
_TIP_PERCENT = 115
"""A little more than most others pay: who offers the same as they do waits behind them."""
MIN_TIP = 1_000_000
"""0.001 gwei: what Base's blocks usually take, and more than a development chain asks for."""
MAX_TIP = 3 * _GWEI
"""A block full of panic must not set our price."""

MAX_GROWTH = 4
"""How many times its first offer, or today's, a replacement offers at most: who pays that and still waits does not wait
for a fee, and no node can talk a sender into more."""

_RAISE_PERCENT = 150
"""Nodes replace bytes only for an eighth more; half more gets from the first offer to the most in five steps."""

# Type, list headers, nine numbers as long as they can be, an address and a signature.
_ENVELOPE_BYTES = 192


@dataclass(frozen=True, slots=True)
class Fees:
    """Wei per gas: the most that is paid, the part of it that goes to the block's producer, and today's base fee."""

    max_fee: int
    tip: int
    base_fee: int

    def most_for(self, gas: int) -> int:
        """The most wei that `gas` can cost. On OP-stack chains the fees of `total_cost` come on top."""
        return gas * self.max_fee


@dataclass(frozen=True, slots=True)
class Cost:
    """The most wei that one eth transaction can cost, apart from its value. The last two are 0 off OP-stack chains."""

    execution: int
    l1_data: int
    operator: int

    @property
    def total(self) -> int:
        return self.execution + self.l1_data + self.operator


@dataclass(frozen=True, slots=True)
class FeePolicy:
    """Hard caps, in wei, that no first offer and no replacement goes above. Raises InvalidInput unless positive.

    `max_fee_per_gas` bounds EIP-1559's maxFeePerGas, `max_total_wei` everything that one eth transaction may cost apart
    from its value. `max_tip` bounds the tip of a first offer; replacements may have to tip more, within the fee, and
    `max_growth` bounds them: so many times the first offer or today's, whichever is more.
    """

    max_fee_per_gas: int = 500 * _GWEI
    max_tip: int = MAX_TIP
    max_total_wei: int = _ETHER // 4
    max_growth: int = MAX_GROWTH

    def __post_init__(self) -> None:
        for name in ("max_fee_per_gas", "max_tip", "max_total_wei", "max_growth"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value <= 0:
                unit = "" if name == "max_growth" else " of wei"
                raise InvalidInput(f"{name} must be a positive int{unit}, not {shown(value)}.")

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> FeePolicy:
        """The caps that ACTP_MAX_FEE_PER_GAS_GWEI and ACTP_MAX_TX_COST_ETH set. Raises ConfigError."""
        values = os.environ if environ is None else environ
        defaults = cls()
        return cls(
            max_fee_per_gas=_setting(values, MAX_FEE_VARIABLE, _GWEI, "gwei") or defaults.max_fee_per_gas,
            max_total_wei=_setting(values, MAX_COST_VARIABLE, _ETHER, "ETH") or defaults.max_total_wei,
        )

    def require(self, cost: Cost) -> None:
        """Raises FeeTooHigh if the eth transaction may cost more than the cap."""
        if cost.total > self.max_total_wei:
            raise FeeTooHigh(
                f"The eth transaction may cost {format_ether(cost.total)} ETH in fees, and the cap is "
                f"{format_ether(self.max_total_wei)} ETH.",
                asked=cost.total,
                cap=self.max_total_wei,
                hint=_hint(MAX_COST_VARIABLE),
            )


def _setting(values: Mapping[str, str], name: str, unit: int, unit_name: str) -> int | None:
    text = values.get(name, "").strip()
    if not text:
        return None
    try:
        amount = Decimal(text) * unit
    except InvalidOperation:
        amount = Decimal(0)
    if not amount.is_finite() or amount < 1 or amount != amount.to_integral_value():
        raise ConfigError(
            f"{name} is {shown(text)}, which is not a positive number of {unit_name}.",
            hint=f"Set it to a decimal number such as 0.5, or unset it: {name}=",
        )
    return int(amount)


def _hint(setting: str) -> str:
    return f"Nothing was sent. Try again when fees have fallen, or raise the cap ({setting})."


def suggest(transport: Transport, policy: FeePolicy | None = None) -> Fees:
    """Fees for the next block: twice the base fee, which outlasts six full blocks in a row, and a tip that is a little
    above what three quarters of the gas in recent blocks paid. Raises FeeTooHigh, RpcError, RpcUnavailable.
    """
    history = transport.request("eth_feeHistory", [hex(_BLOCKS), "latest", [_PERCENTILE]])
    with understanding("eth_feeHistory"):
        return from_history(history, policy)


def from_history(history: dict[str, Any], policy: FeePolicy | None = None) -> Fees:
    """Fees from the answer of eth_feeHistory; rewards may be absent, as eth-tester's and empty blocks' are.

    Where the cap leaves less than twice the base fee it is the fee; raises FeeTooHigh where it does not even pay the
    next block.
    """
    caps = policy or FeePolicy()
    base_fee = int(history["baseFeePerGas"][-1], 16)
    paid = [int(rewards[0], 16) for rewards in history.get("reward") or [] if rewards]
    # Empty blocks report a reward of zero, which says nothing about what a block takes.
    wanted = [tip for tip in paid if tip > 0]
    tip = min(max(int(median(wanted)) * _TIP_PERCENT // 100 if wanted else MIN_TIP, MIN_TIP), caps.max_tip)
    needed = base_fee + tip
    if needed > caps.max_fee_per_gas:
        raise _too_high(needed, caps)
    return Fees(max_fee=min(2 * base_fee + tip, caps.max_fee_per_gas), tip=tip, base_fee=base_fee)


def raised(first: Fees, refused: Fees, offered: Fees, policy: FeePolicy | None = None) -> Fees:
    """More than `refused`, which a node found too low: at least an eighth more in both fields, as nodes demand.

    `first` is the first offer of the send and `offered` today's suggestion, which may have moved: the result is at most
    `max_growth` times the one or the other, and never above the caps. Where today's sends offer more than `refused`
    does, the least step is always open: what our own earlier tips did to today's suggestion must not leave a send
    behind it. Raises FeeTooHigh if no such fees are left.
    """
    caps = policy or FeePolicy()
    behind = offered.max_fee > refused.max_fee or offered.tip > refused.tip

    def most(first: int, refused: int, offered: int) -> int:
        grown = caps.max_growth * max(first, offered)
        return max(grown, _an_eighth_more(refused)) if behind else grown

    most_fee = min(most(first.max_fee, refused.max_fee, offered.max_fee), caps.max_fee_per_gas)
    max_fee = _step(refused.max_fee, offered.max_fee, most_fee)
    tip = _step(refused.tip, offered.tip, min(most(first.tip, refused.tip, offered.tip), max_fee))
    if max_fee < _an_eighth_more(refused.max_fee) or tip < _an_eighth_more(refused.tip):
        asked = _an_eighth_more(refused.max_fee)
        if asked > caps.max_fee_per_gas:
            raise _too_high(asked, caps)
        raise FeeTooHigh(
            f"It offers {_gwei(refused)}, {caps.max_growth} times what is usual (today {_gwei(offered)}), or almost.",
            asked=asked,
            cap=most_fee,
            hint="More would not help: see whether the chain makes blocks, and the node passes on what it gets.",
        )
    return Fees(max_fee=max_fee, tip=tip, base_fee=offered.base_fee)


def _step(refused: int, offered: int, most: int) -> int:
    """Half more, or today's offer, within what is allowed."""
    return min(max(offered, refused * _RAISE_PERCENT // 100, _an_eighth_more(refused)), most)


def _gwei(offer: Fees) -> str:
    return f"{offer.max_fee / _GWEI:g} gwei per gas with a tip of {offer.tip / _GWEI:g}"


def _an_eighth_more(fee: int) -> int:
    return -(-fee * 9 // 8)


def _too_high(asked: int, caps: FeePolicy) -> FeeTooHigh:
    return FeeTooHigh(
        f"The next fee would be {asked / _GWEI:g} gwei per gas, and the cap is {caps.max_fee_per_gas / _GWEI:g} gwei.",
        asked=asked,
        cap=caps.max_fee_per_gas,
        hint=_hint(MAX_FEE_VARIABLE),
    )


def total_cost(transport: Transport, fees: Fees, gas: int, raw: bytes, *, chain_id: int | None = None) -> Cost:
    """The most that an eth transaction with these signed bytes (or `stand_in`) and this gas limit can cost.

    Whether the chain is an OP-stack chain is read from its predeploys; `chain_id` lets a node of Base that hides them
    be noticed. Answers are kept for some seconds. Raises RpcError, RpcUnavailable.
    """
    oracle = oracle_for(transport)
    execution = fees.most_for(gas)
    if not oracle.present(transport, chain_id):
        return Cost(execution, 0, 0)
    return Cost(execution, oracle.l1_fee(transport, raw), oracle.operator_fee(transport, gas))


def stand_in(data: bytes) -> bytes:
    """Bytes that cost at least as much L1 data fee as an eth transaction with this call data will when it is signed."""
    # Random bytes, because the fee follows the size after compression.
    return data + hashlib.shake_256(b"signature and fields").digest(_ENVELOPE_BYTES)


def require_ether(transport: Transport, account: str, needs: int) -> None:
    """Raises InsufficientFunds unless `account` holds `needs` wei."""
    has = balance(transport, account)
    if has < needs:
        raise InsufficientFunds(account, asset="ETH", has=has, needs=needs)


def balance(transport: Transport, account: str) -> int:
    """The ETH of an account, in wei."""
    return quantity(transport, "eth_getBalance", [account, "latest"])
