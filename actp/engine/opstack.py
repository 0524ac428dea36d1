"""What an OP-stack chain charges on top of gas, read from its own predeploy.

The L1 data fee follows prices of L1 and is not bounded by the fee per gas that an eth transaction offers; neither is
the operator fee. Elsewhere both are 0. Function names and the rules of the receipt fields are those of the OP stack's
specification (GasPriceOracle; Fjord, Isthmus and Jovian execution engine).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

from actp import reverts
from actp.errors import RpcError, RpcUnavailable
from actp.rpc import Transport, is_development_node
from actp.units import keccak

__all__ = ["OP_STACK_CHAINS", "ORACLE", "Oracle", "oracle_for"]

ORACLE = "0x420000000000000000000000000000000000000F"
"""The GasPriceOracle predeploy, at the same address on every OP-stack chain."""

OP_STACK_CHAINS = frozenset({8453, 84532})
"""Base and Base Sepolia. Other OP-stack chains are known by the code at the predeploy."""

_KEPT_SECONDS = 12.0
"""Prices of L1 change once per block of L1."""
_HOME_KEPT_SECONDS = 60.0
"""How long it is believed that there is a predeploy, or none: a development node may be replaced by another."""
_MARGIN_PERCENT = 150
"""L1 prices rise by an eighth per L1 block at most: this covers three such blocks between the check and the block."""
_SIZE_STEP = 256
_LITERALS = 32
"""FastLZ, whose length the L1 data fee follows, puts a byte before so many that it cannot shorten."""
_SLACK = 64
_GAS_STEP = 2**16
_MOST_KEPT = 256
_WORD = 64


class Oracle:
    """The predeploy behind one transport. Thread-safe; answers are kept for some seconds.

    Sizes and gas are rounded up before they are asked for, so that a few answers serve all eth transactions.
    """

    # The transport is an argument everywhere: the registry below is keyed by it, and one that is held here would be
    # kept alive for ever.

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: dict[tuple[str, int], tuple[float, int | None]] = {}

    def present(self, transport: Transport, chain_id: int | None = None) -> bool:
        """Whether the chain has the predeploy.

        Raises RpcUnavailable if a chain that must have one lacks it: an answer of 0 would hide a cost.
        """

        def ask() -> int:
            code = transport.request("eth_getCode", [ORACLE, "latest"])
            if isinstance(code, str) and len(code) > 2:
                return 1
            if chain_id in OP_STACK_CHAINS and not is_development_node(transport):
                raise RpcUnavailable(
                    f"The node {transport.label} shows no fee oracle on chain {chain_id}, which has one.",
                    hint="The node may be behind or wrongly set up: use another RPC URL.",
                )
            return 0

        return bool(self._remember(("present", chain_id or 0), _HOME_KEPT_SECONDS, ask))

    def l1_fee(self, transport: Transport, raw: bytes) -> int:
        """Wei that the data of an eth transaction with these bytes costs at most, with a margin for rising prices."""
        # The oracle takes 84 bytes and one in 255 for enough, which covers "more than 99.99% of transactions" by the
        # words of its specification: not long ones without any pattern.
        size = _round_up(len(raw) + max(len(raw) // _LITERALS - _SLACK, 0), _SIZE_STEP)
        fee = self._call(transport, "getL1FeeUpperBound(uint256)", size)
        if fee is None:
            # Chains from before Fjord price the very bytes.
            answer = _ask(transport, "getL1Fee(bytes)", _encode_bytes(raw))
            if answer is None:
                raise RpcError(
                    -32000,
                    f"The fee oracle of the chain at {transport.label} does not tell the L1 data fee.",
                    hint="The cost of sending is not known, so nothing was sent.",
                )
            fee = answer
        return -(-fee * _MARGIN_PERCENT // 100)

    def operator_fee(self, transport: Transport, gas: int) -> int:
        """Wei that the operator takes for `gas` at most; 0 where the predeploy has no such function yet."""
        fee = self._call(transport, "getOperatorFee(uint256)", _round_up(gas, _GAS_STEP))
        return 0 if fee is None else fee

    def _call(self, transport: Transport, signature: str, argument: int) -> int | None:
        def ask() -> int | None:
            return _ask(transport, signature, argument.to_bytes(32, "big"))

        return self._remember((signature, argument), _KEPT_SECONDS, ask)

    def _remember(self, key: tuple[str, int], seconds: float, ask: Callable[[], int | None]) -> int | None:
        now = self._clock()
        with self._lock:
            known = self._kept.get(key)
        if known is not None and now - known[0] < seconds:
            return known[1]
        answer = ask()
        with self._lock:
            if len(self._kept) >= _MOST_KEPT:
                self._kept.clear()
            self._kept[key] = (now, answer)
        return answer


_oracles: WeakKeyDictionary[Transport, Oracle] = WeakKeyDictionary()
_oracles_lock = threading.Lock()


def oracle_for(transport: Transport) -> Oracle:
    """The oracle of a transport: everybody who uses the transport shares what it remembers."""
    with _oracles_lock:
        return _oracles.setdefault(transport, Oracle())


def _round_up(value: int, step: int) -> int:
    return -(-value // step) * step


def _encode_bytes(data: bytes) -> bytes:
    return (32).to_bytes(32, "big") + len(data).to_bytes(32, "big") + data + bytes(-len(data) % 32)


def _ask(transport: Transport, signature: str, arguments: bytes) -> int | None:
    """The number that a function of the predeploy returns, None if it refuses, as it does where it lacks it."""
    call_data = "0x" + (keccak(signature.encode())[:4] + arguments).hex()
    try:
        answer: Any = transport.request("eth_call", [{"to": ORACLE, "data": call_data}, "latest"])
    except RpcError as error:
        if reverts.from_error(error) is None:
            raise
        return None
    if not isinstance(answer, str) or len(answer) != 2 + _WORD:
        raise RpcError(-32603, f"The node {transport.label} answered {signature} with something that is not a number.")
    return int(answer, 16)
