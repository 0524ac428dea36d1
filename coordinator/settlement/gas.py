"""What settling may cost now: what the wallet has, what fees are, and what the limits of the bot leave."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from actp.client import ACTPClient
from actp.engine import fees
from actp.engine.fees import FeePolicy
from actp.errors import FeeTooHigh
from actp.units import format_ether
from coordinator.settlement.choosing import Group
from coordinator.settlement.settings import GasLimits
from coordinator.store import Ledger, exposures, losses
from coordinator.store.accounts import Account
from coordinator.store.index_words import Due
from coordinator.types import ETH

__all__ = ["PER_ESCROW", "Gas", "Room", "least_gas"]

PER_ESCROW = "max_fee_wei"
"""What stands against a group that costs too much for each of its escrows, and against no other."""
_DAY = 86_400
_SINGLE = {Due.SETTLE: 48_000, Due.REFUND: 48_000, Due.CLOSE: 75_000}
_BATCH, _ITEM = 40_000, 14_000
_ID_BYTES = 32


@dataclass(frozen=True, slots=True)
class Room:
    """What can be begun within the limits, and what stands against the rest: a code and a sentence."""

    groups: tuple[Group, ...]
    code: str | None = None
    reason: str | None = None


def least_gas(group: Group) -> int:
    """Less than the gas limit that the operation of a group will have, whatever the token: what not even this much may
    be spent on need not be tried. See the table of gas in contracts/README.md, and `coordinator.lifecycle.costs`.
    """
    used = _SINGLE[group.kind] if len(group.members) == 1 else _BATCH + _ITEM * len(group.members)
    return used * 3 // 2


class Gas:
    """Looks at fees and balance before something is begun. What is begun is judged again with the gas that it was
    simulated with, and its fees are capped when it is signed.
    """

    def __init__(
        self, client: ACTPClient, ledger: Ledger, account: Account, limits: GasLimits, caps: FeePolicy
    ) -> None:
        self._client = client
        self._ledger = ledger
        self._account = account
        self._limits = limits
        self._caps = caps

    def room(self, groups: Sequence[Group], most: int) -> Room:
        """The groups that can be paid for, of those in order, up to so many escrows. Raises RpcError, RpcUnavailable,
        StoreError.
        """
        transport, limits = self._client.transport, self._limits
        try:
            offered = fees.suggest(transport, self._caps)
        except FeeTooHigh as error:
            return Room((), error.code, error.message)
        now = self._ledger.now()
        with self._ledger.read() as connection:
            promised = sum(one.most_fee or 0 for one in exposures.under_way(connection, self._account))
            spent = 0
            if limits.per_day is not None:
                spent = losses.since(connection, self._account, now - now % _DAY).get(ETH, 0) + promised
        left = fees.balance(transport, self._client.address) - promised
        taken: list[Group] = []
        code = reason = None
        escrows = 0
        for group in groups:
            if escrows + len(group.members) > most:
                break
            data = bytes(_ID_BYTES * len(group.members))
            chain_id = self._client.chain_id
            cost = fees.total_cost(transport, offered, least_gas(group), fees.stand_in(data), chain_id=chain_id).total
            if limits.per_escrow is not None and cost > limits.per_escrow * len(group.members):
                code, reason = PER_ESCROW, (
                    f"{_members(group)} would cost at least {format_ether(cost)} ETH, and the limit is "
                    f"{format_ether(limits.per_escrow)} ETH for each."
                )  # fmt: skip
            elif limits.per_day is not None and spent + cost > limits.per_day:
                code, reason = "max_daily_loss", (
                    f"{format_ether(spent)} of the {format_ether(limits.per_day)} ETH of a day are used, and "
                    f"{_members(group)} would cost at least {format_ether(cost)} ETH."
                )  # fmt: skip
            elif cost > left:
                code, reason = "insufficient_funds", (
                    f"{self._client.address} has {format_ether(max(left, 0))} ETH left, and {_members(group)} would "
                    f"cost at least {format_ether(cost)} ETH."
                )  # fmt: skip
            else:
                left -= cost
                spent += cost
                escrows += len(group.members)
                taken.append(group)
        return Room(tuple(taken), code, reason)


def _members(group: Group) -> str:
    return "one escrow" if len(group.members) == 1 else f"{len(group.members)} escrows"
