"""What a call needs before it can be signed: gas, fees, and the ether for both."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, replace

from actp import reverts
from actp.engine import fees
from actp.engine.fees import FeePolicy, Fees
from actp.engine.intents import TRANSFER_GAS, Submission
from actp.engine.replies import Reply, classify
from actp.errors import InsufficientFunds, RpcError, SendError
from actp.rpc import Transport, quantity

__all__ = ["Call", "Pricing", "call_of"]

_MAX_GAS = 2**24
"""No eth transaction may carry more gas (EIP-7825)."""


@dataclass(frozen=True, slots=True)
class Call:
    """What is to be signed, apart from its nonce. `value` is in wei, `to` is None to create a contract.

    `intent_id` is the outbox row that asks for it, 0 while there is none.
    """

    to: str | None
    data: bytes
    value: int
    gas: int
    fees: Fees
    intent_id: int = 0

    def of(self, intent_id: int) -> Call:
        """The same call, for this outbox row."""
        return replace(self, intent_id=intent_id)


class Pricing:
    """Simulates and prices the calls of one account. Any number of threads may share it.

    For `remember` seconds it goes by what it has read of fees and balance before, less what was spent since.
    """

    def __init__(
        self, transport: Transport, address: str, *, chain_id: int, policy: FeePolicy, remember: float = 0.0
    ) -> None:
        self._lock = threading.Lock()
        self._remember = remember
        self._offered: tuple[float, Fees] | None = None
        self._funds: tuple[float, int] | None = None
        self.transport = transport
        self.address = address
        self.chain_id = chain_id
        self.policy = policy

    def call_for(self, to: str | None, data: bytes, value: int, gas: int | None, offered: Fees | None = None) -> Call:
        """The call with its gas limit and fees, once the account can pay for them.

        Raises Reverted, InsufficientFunds, FeeTooHigh, SendError, RpcError, RpcUnavailable.
        """
        limit = self.estimate(to, data, value) if gas is None else gas
        call = Call(to, data, value, limit, offered or self.fees())
        self.require_ether(call)
        return call

    def fees(self) -> Fees:
        """What a send would offer now, in wei per gas. Raises FeeTooHigh if that is above the cap."""
        with self._lock:
            if self._offered is not None and time.monotonic() - self._offered[0] < self._remember:
                return self._offered[1]
        return self._todays_fees()

    def _todays_fees(self) -> Fees:
        offered = fees.suggest(self.transport, self.policy)
        with self._lock:
            self._offered = (time.monotonic(), offered)
        return offered

    def raised(self, call: Call, refused: Fees) -> Call:
        """The call with higher fees than `refused`; `call` has its first offer.

        Raises FeeTooHigh, InsufficientFunds, RpcError, RpcUnavailable.
        """
        higher = fees.raised(call.fees, refused, self._todays_fees(), self.policy)
        raised = replace(call, fees=higher)
        self.require_ether(raised, fresh=True)
        return raised

    def require_ether(self, call: Call, *, fresh: bool = False) -> None:
        """Raises InsufficientFunds, FeeTooHigh, RpcError, RpcUnavailable. `fresh`: goes by today's balance."""
        cost = fees.total_cost(self.transport, call.fees, call.gas, fees.stand_in(call.data), chain_id=self.chain_id)
        self.policy.require(cost)
        needs = call.value + cost.total
        with self._lock:
            known = self._funds
            if not fresh and known is not None and time.monotonic() - known[0] < self._remember and known[1] >= needs:
                self._funds = (known[0], known[1] - needs)
                return
        has = fees.balance(self.transport, self.address)
        if has < needs:
            raise InsufficientFunds(self.address, asset="ETH", has=has, needs=needs)
        with self._lock:
            self._funds = (time.monotonic(), has - needs)

    def require_cap(self, signed: Submission) -> None:
        """Raises FeeTooHigh, RpcError, RpcUnavailable. Asks what these very bytes cost; off OP-stack chains nobody is
        asked.
        """
        fields = signed.fields
        offer = Fees(fields.max_fee_per_gas, fields.max_priority_fee_per_gas, 0)
        cost = fees.total_cost(self.transport, offer, fields.gas, signed.raw, chain_id=self.chain_id)
        self.policy.require(cost)

    def estimate(self, to: str | None, data: bytes, value: int) -> int:
        """Gas limit for a call: what it used when simulated, and 20 % more. Raises Reverted, InsufficientFunds."""
        try:
            used = quantity(self.transport, "eth_estimateGas", [self.simulation(to, data, value)])
        except RpcError as error:
            refusal = self.refused_estimate(error, value)
            raise refusal from error
        return self.limit(used)

    def simulation(self, to: str | None, data: bytes, value: int) -> dict[str, str]:
        """The call as eth_estimateGas takes it."""
        call = {"from": self.address, "data": "0x" + data.hex(), **({"value": hex(value)} if value else {})}
        return call if to is None else {**call, "to": to}

    def limit(self, used: int) -> int:
        """The gas limit for a call that used so much when simulated."""
        # State moves between estimate and block, and 63/64 of the gas must still be enough for inner calls.
        return min(used + used // 5, max(used, _MAX_GAS))

    def refused_estimate(self, error: RpcError, value: int) -> Exception:
        """What it means that a node does not estimate a call."""
        refused = reverts.from_error(error, outcome="not_sent")
        if refused is not None:
            return refused
        if classify(error) is Reply.NO_FUNDS:
            needs = value + self.fees().most_for(TRANSFER_GAS)
            has = fees.balance(self.transport, self.address)
            return InsufficientFunds(self.address, asset="ETH", has=has, needs=needs)
        return SendError(f"The node cannot simulate the call: {error.message}", retryable=error.retryable)


def call_of(one: Submission) -> Call:
    """What a submission does, with its first offer."""
    first, newest = (*one.earlier, one)[0].fields, one.fields
    offered = Fees(first.max_fee_per_gas, first.max_priority_fee_per_gas, 0)
    return Call(newest.to, newest.data, newest.value, newest.gas, offered, one.intent_id)
