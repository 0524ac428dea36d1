"""Transfers of one wei, signed by hand, so that every byte and every nonce is the test's own choice."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from actp.chain import AnvilProcess
from actp.rpc import Transport, sends
from actp.signers import LocalSigner
from actp.types import EthTransaction
from actp.units import keccak

SEND = "eth_sendRawTransaction"
PAYEE = "0x" + "05" * 20
GWEI = 10**9


class PunctualAnvil:
    """anvil that answers a send when it is mined: by itself it answers a moment before."""

    def __init__(self, anvil: AnvilProcess) -> None:
        self._anvil = anvil
        self.label = anvil.label

    def request(self, method: str, params: list[Any]) -> Any:
        result = self._anvil.request(method, params)
        if sends(method):
            self._await_block(result)
        return result

    def batch(self, calls: Sequence[tuple[str, list[Any]]]) -> list[Any]:
        results = self._anvil.batch(calls)
        for (method, _), result in zip(calls, results, strict=True):
            if sends(method) and isinstance(result, str):
                self._await_block(result)
        return results

    def _await_block(self, tx_hash: str) -> None:
        give_up_at = time.monotonic() + 10
        while self._anvil.request("eth_getTransactionReceipt", [tx_hash]) is None and time.monotonic() < give_up_at:
            if self._anvil.request("txpool_status", [])["queued"] != "0x0":
                return  # behind a gap, where it stays
            time.sleep(0.002)


def transfer(node: Transport, signer: LocalSigner, *, ahead: int = 0, fee: int = 10 * GWEI, value: int = 1) -> str:
    """Raw bytes that pay `value` wei to PAYEE with the next nonce, or `ahead` after it, at `fee` wei per gas."""
    raw = signer.sign_transaction(
        EthTransaction(
            chain_id=int(node.request("eth_chainId", []), 16),
            nonce=int(node.request("eth_getTransactionCount", [signer.address, "latest"]), 16) + ahead,
            to=PAYEE,
            value=value,
            data=b"",
            gas=21_000,
            max_fee_per_gas=fee,
            max_priority_fee_per_gas=fee // 10,
        )
    )
    return "0x" + raw.hex()


def hash_of(raw: str) -> str:
    return "0x" + keccak(bytes.fromhex(raw[2:])).hex()


def paid(node: Transport) -> int:
    """Wei that PAYEE has on the node itself."""
    return int(node.request("eth_getBalance", [PAYEE, "latest"]), 16)
