"""The raw ceiling: how fast a node takes eth transactions that were all signed before, with nothing remembered.

Batches of 100 in one HTTP request each, over one connection that stays open: what the durable engine is compared with.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from actp.rpc import HttpTransport
from actp.signers import LocalSigner
from actp.types import EthTransaction

__all__ = ["BATCH", "PAYEE", "Rate", "raw_ceiling", "transfers", "wait_until_mined"]

BATCH = 100
PAYEE = "0x" + "05" * 20
_GAS = 21_000
_MAX_FEE = 10 * 10**9
_TIP = 10**9


@dataclass(frozen=True, slots=True)
class Rate:
    """How many eth transactions a second were accepted, and sealed in blocks."""

    accepted: float
    sealed: float


def transfers(signer: LocalSigner, chain_id: int, first_nonce: int, count: int) -> list[str]:
    """Signed transfers of one wei, as 0x hex."""
    return [
        "0x"
        + signer.sign_transaction(
            EthTransaction(chain_id, first_nonce + index, PAYEE, 1, b"", _GAS, _MAX_FEE, _TIP)
        ).hex()
        for index in range(count)
    ]


def raw_ceiling(transport: HttpTransport, signer: LocalSigner, chain_id: int, count: int) -> Rate:
    """Sends `count` pre-signed transfers as fast as the node takes them."""
    nonce = int(transport.request("eth_getTransactionCount", [signer.address, "latest"]), 16)
    signed = transfers(signer, chain_id, nonce, count)
    start = time.perf_counter()
    for index in range(0, count, BATCH):
        answers = transport.batch([("eth_sendRawTransaction", [raw]) for raw in signed[index : index + BATCH]])
        if not all(isinstance(answer, str) for answer in answers):
            raise RuntimeError(f"the node refused a transfer: {answers}")
    accepted = time.perf_counter() - start
    wait_until_mined(transport, signer.address, nonce + count)
    return Rate(count / accepted, count / (time.perf_counter() - start))


def wait_until_mined(transport: HttpTransport, address: str, nonce: int, *, timeout: float = 120.0) -> None:
    """Returns once the account has mined `nonce` eth transactions."""
    end = time.monotonic() + timeout
    while int(transport.request("eth_getTransactionCount", [address, "latest"]), 16) < nonce:
        if time.monotonic() > end:
            raise RuntimeError(f"not mined within {timeout:g} s")
        time.sleep(0.02)
