"""Gas limits of simulated calls, and the most that they may cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from actp.engine import fees
from actp.engine.exchange import ask_all
from actp.engine.fees import FeePolicy, Fees
from actp.errors import RpcError
from actp.rpc import is_rate_limit
from coordinator.lifecycle.desk import Desk
from coordinator.types import Call, Simulation

__all__ = ["Costs", "gas_limit"]

_FEES_FOR = 10.0
_SPARE = 10_000


def gas_limit(simulation: Simulation) -> int | None:
    """The gas limit that follows from a simulation; None if it did not tell, and the engine has to ask.

    What is refunded at the end (a fifth at most) has to be there until then, and calls within calls get only 63 of 64
    parts: half more than was used is enough for both.
    """
    return None if simulation.gas is None else simulation.gas * 3 // 2 + _SPARE


class Costs:
    """What eth transactions may cost, at fees that are not older than ten seconds."""

    def __init__(self, desk: Desk, policy: FeePolicy) -> None:
        self._desk = desk
        self._policy = policy
        self._fees: Fees | None = None
        self._fees_at = 0.0

    def most(self, calls: Sequence[tuple[Call, Simulation]]) -> list[int | None]:
        """The most wei that each call may cost in fees; None where the node refuses to say what it needs.

        Raises FeeTooHigh while today's fees are above the engine's caps, RpcError, RpcUnavailable.
        """
        offered = self._offered()
        limits = self._limits(calls)
        transport, chain_id = self._desk.transport, self._desk.account.chain_id
        known: dict[tuple[int, bytes], int] = {}
        found: list[int | None] = []
        for index, (call, _) in enumerate(calls):
            limit = limits.get(index)
            if limit is None:
                found.append(None)
                continue
            key = (limit, call.data)
            if key not in known:
                raw = fees.stand_in(call.data)
                known[key] = fees.total_cost(transport, offered, limit, raw, chain_id=chain_id).total
            found.append(known[key])
        return found

    def _offered(self) -> Fees:
        now = self._desk.ledger.store.clock.monotonic()
        if self._fees is None or now - self._fees_at >= _FEES_FOR:
            self._fees = fees.suggest(self._desk.transport, self._policy)
            self._fees_at = now
        return self._fees

    def _limits(self, calls: Sequence[tuple[Call, Simulation]]) -> Mapping[int, int]:
        limits: dict[int, int] = {}
        asked = []
        for index, (_, simulation) in enumerate(calls):
            limit = gas_limit(simulation)
            if limit is None:
                asked.append(index)
            else:
                limits[index] = limit
        answers = ask_all(
            self._desk.transport, [("eth_estimateGas", [self._fields(calls[index][0])]) for index in asked]
        )
        for index, answer in zip(asked, answers, strict=True):
            if not isinstance(answer, RpcError):
                # What the engine adds when it asks the same.
                limits[index] = int(answer, 16) * 12 // 10
            elif is_rate_limit(answer):
                raise answer
        return limits

    def _fields(self, call: Call) -> dict[str, str]:
        return {
            "from": self._desk.wallet,
            "to": call.to,
            "data": "0x" + call.data.hex(),
            "value": hex(call.value),
        }
