"""A node whose pool takes eth transactions and does not get them mined."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from actp.errors import RpcError
from actp.rpc import Transport
from actp.units import keccak

__all__ = ["JammedPool"]

_SERVER_ERROR = -32000
_BUMP_PERCENT = 110


@dataclass(frozen=True, slots=True)
class _Held:
    raw: str
    tx_hash: str
    sender: str
    fields: dict[str, int]

    @property
    def lane(self) -> tuple[str, int]:
        return self.sender, self.fields["nonce"]

    def outbids(self, other: _Held) -> bool:
        return all(
            self.fields[name] * 100 >= other.fields[name] * _BUMP_PERCENT
            for name in ("maxFeePerGas", "maxPriorityFeePerGas")
        )

    def as_json(self) -> dict[str, Any]:
        """The eth transaction as nodes show one that waits; only what a sender looks at."""
        numbers = {name: hex(value) for name, value in self.fields.items()}
        place = {"blockHash": None, "blockNumber": None, "transactionIndex": None}
        return {"hash": self.tx_hash, "from": self.sender, "type": "0x2", **numbers, **place}


class JammedPool:
    """A Transport to a node: raw EIP-1559 transactions are taken, answered with their hash, and held.

    They are seen as waiting, count in the "pending" nonce, and can be replaced for a tenth more in both fees. Bytes
    that offer at least `passing_fee` (maxFeePerGas, in wei) are not held. `release` hands on what is held, `forget`
    loses it as a node does that restarts or has no room, `jammed = False` lets later ones through. What a node refuses
    at the door is refused here too: used nonces, too little ether, bytes that it has, replacements that pay too little.
    """

    def __init__(self, node: Transport, *, passing_fee: int | None = None) -> None:
        self._node = node
        self._passing_fee = passing_fee
        self._lock = threading.Lock()
        self._held: dict[tuple[str, int], _Held] = {}
        self.jammed = True
        """Whether what comes now is held."""

    @property
    def label(self) -> str:
        """See Transport."""
        return f"jammed {self._node.label}"

    @property
    def held(self) -> tuple[str, ...]:
        """Hashes of what is held, in the order in which it came."""
        with self._lock:
            return tuple(one.tx_hash for one in self._held.values())

    def release(self, count: int | None = None) -> tuple[str, ...]:
        """Hands the first `count` on, or all; returns their hashes. What the node refuses by now is lost."""
        with self._lock:
            leaving = list(self._held.values())[:count]
            for one in leaving:
                del self._held[one.lane]
        for one in leaving:
            with suppress(RpcError):
                self._node.request("eth_sendRawTransaction", [one.raw])
        return tuple(one.tx_hash for one in leaving)

    def forget(self) -> tuple[str, ...]:
        """Loses all that is held; returns the hashes."""
        with self._lock:
            lost = tuple(one.tx_hash for one in self._held.values())
            self._held.clear()
        return lost

    def request(self, method: str, params: list[Any]) -> Any:
        """See Transport."""
        if method == "eth_sendRawTransaction":
            return self._send(params)
        if method == "eth_getTransactionByHash":
            with self._lock:
                found = next((one for one in self._held.values() if one.tx_hash == params[0]), None)
            return self._node.request(method, params) if found is None else found.as_json()
        result = self._node.request(method, params)
        if method == "eth_getTransactionCount" and params[1:] == ["pending"]:
            nonce = int(result, 16)
            with self._lock:
                while (params[0].lower(), nonce) in self._held:
                    nonce += 1
            return hex(nonce)
        return result

    def batch(self, calls: Sequence[tuple[str, list[Any]]]) -> list[Any]:
        """See Transport."""
        return [self._answer(method, params) for method, params in calls]

    def _answer(self, method: str, params: list[Any]) -> Any:
        try:
            return self.request(method, params)
        except RpcError as error:
            return error

    def _send(self, params: list[Any]) -> Any:
        arriving = _decode(params[0])
        with self._lock:
            holds = self.jammed and (self._passing_fee is None or arriving.fields["maxFeePerGas"] < self._passing_fee)
            waiting = self._held.get(arriving.lane)
            if waiting is not None and waiting.tx_hash == arriving.tx_hash:
                if holds:
                    raise RpcError(_SERVER_ERROR, "already known")
            elif waiting is not None and not arriving.outbids(waiting):
                raise RpcError(_SERVER_ERROR, "replacement transaction underpriced")
            if holds:
                self._admit(arriving)
                self._held[arriving.lane] = arriving
                return arriving.tx_hash
            self._held.pop(arriving.lane, None)
        return self._node.request("eth_sendRawTransaction", params)

    def _admit(self, arriving: _Held) -> None:
        if self._node.request("eth_getTransactionByHash", [arriving.tx_hash]) is not None:
            raise RpcError(_SERVER_ERROR, "already known")
        mined = int(self._node.request("eth_getTransactionCount", [arriving.sender, "latest"]), 16)
        nonce = arriving.fields["nonce"]
        if nonce < mined:
            raise RpcError(_SERVER_ERROR, f"nonce too low: next nonce {mined}, tx nonce {nonce}")
        has = int(self._node.request("eth_getBalance", [arriving.sender, "latest"]), 16)
        needs = arriving.fields["gas"] * arriving.fields["maxFeePerGas"] + arriving.fields["value"]
        if has < needs:
            raise RpcError(_SERVER_ERROR, f"insufficient funds for gas * price + value: have {has} want {needs}")


def _decode(raw: str) -> _Held:
    from eth_account import Account
    from eth_account.typed_transactions.typed_transaction import TypedTransaction
    from hexbytes import HexBytes

    data = HexBytes(raw)
    if data[:1] != b"\x02":
        raise RpcError(_SERVER_ERROR, "transaction type not supported")
    fields = TypedTransaction.from_bytes(data).as_dict()
    names = ("chainId", "nonce", "gas", "value", "maxFeePerGas", "maxPriorityFeePerGas")
    return _Held(
        raw=raw,
        tx_hash="0x" + keccak(bytes(data)).hex(),
        sender=str(Account.recover_transaction(data)).lower(),
        fields={name: int(fields[name]) for name in names},
    )
