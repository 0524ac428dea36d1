"""Everybody else on the chain: accounts that send eth transactions of their own, each of which is written down."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from actp import artifacts
from actp.chain import DevAccount
from actp.errors import RpcError
from actp.rpc import Transport
from actp.signers import LocalSigner
from actp.types import EthTransaction
from actp.units import keccak, to_checksum

__all__ = ["Crowd", "Deed", "Party"]

_GAS = 400_000
_GAS_OF_CREATION = 3_000_000
_MAX_FEE = 200 * 10**9
_TIP = 2 * 10**9


@dataclass(frozen=True, slots=True)
class Deed:
    """What somebody other than the engine sent. `gift`: (account, wei) that it forces upon somebody, in no receipt."""

    what: str
    value: int = 0
    to: str | None = None
    gift: tuple[str, int] | None = None


class Party:
    """An account that signs for itself."""

    def __init__(self, account: DevAccount) -> None:
        self.address = account.address
        self.private_key = account.private_key
        self.signer = LocalSigner(account.private_key)


class Crowd:
    """Sends for any party, and knows afterwards what was sent. For one thread."""

    def __init__(self, node: Transport, chain_id: int) -> None:
        self.node = node
        self.chain_id = chain_id
        self.deeds: dict[str, Deed] = {}

    def nonce(self, party: Party) -> int:
        """The next one, counting what waits in the pool."""
        return int(self.node.request("eth_getTransactionCount", [party.address, "pending"]), 16)

    def send(
        self, party: Party, what: str, to: str | None, data: bytes = b"", value: int = 0, *,
        tip: int = _TIP, gift: tuple[str, int] | None = None,
    ) -> str | None:  # fmt: skip
        """The hash; None if the node refuses it, as it may after a reorganisation."""
        gas = _GAS_OF_CREATION if to is None else _GAS
        fields = EthTransaction(self.chain_id, self.nonce(party), to, value, data, gas, _MAX_FEE, tip)
        return self.send_raw(party.signer.sign_transaction(fields), Deed(what, value, to, gift))

    def send_raw(self, raw: bytes, deed: Deed) -> str | None:
        """As `send`, of what was signed already."""
        tx_hash = "0x" + keccak(raw).hex()
        self.deeds[tx_hash] = deed
        try:
            self.node.request("eth_sendRawTransaction", ["0x" + raw.hex()])
        except RpcError:
            return None
        return tx_hash

    def call(self, party: Party, what: str, artifact: str, to: str, function: str, *arguments: Any) -> str | None:
        """A call of a contract."""
        return self.send(party, what, to, artifacts.load(artifact).call_data(function, list(arguments)))

    def receipt(self, tx_hash: str | None, seconds: float = 8.0) -> dict[str, Any] | None:
        """Its receipt once it is mined; None if that takes too long."""
        until = time.monotonic() + seconds
        while tx_hash is not None and time.monotonic() < until:
            found = self.node.request("eth_getTransactionReceipt", [tx_hash])
            if isinstance(found, dict):
                return found
            time.sleep(0.05)
        return None

    def deploy(self, party: Party, artifact: str) -> str:
        """The address of a new contract, which must be mined at once."""
        receipt = self.receipt(self.send(party, "deploy", None, artifacts.load(artifact).creation_code()))
        if receipt is None or receipt["status"] != "0x1":
            raise RuntimeError(f"{artifact} cannot be deployed")
        return to_checksum(receipt["contractAddress"])
