"""A chain on which calls of the kernel are weighed. Deterministic: fixed clock, fixed accounts, committed artifacts.

Everything is warm: requester, provider, vault and fee account have been used before, and the allowance stands and is
larger than the amount by far, but not unlimited.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from eth_account import Account
from eth_account.signers.local import LocalAccount
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from actp.artifacts import Artifact, load
from actp.chain import EmbeddedChain

CLOCK = 1_800_000_000
AMOUNT = 25_000_000
ALLOWANCE = 10**15
UNLIMITED = 2**256 - 1
HOUR = 3_600
SERVICE = b"\x5e" * 32
GAS_LIMIT = 16_000_000
CREATED = keccak(text="TransactionCreated(bytes32,address,address,uint256,bytes32,uint256,uint256,uint256)")


@dataclass(frozen=True)
class Deployed:
    artifact: Artifact
    address: str


class GasWorld:
    """A chain of its own with kernel and vault over one token, all warm; gas is what the receipts say."""

    def __init__(self, token: Artifact) -> None:
        self.chain = EmbeddedChain(clock=lambda: CLOCK)
        self.admin, self.requester, self.provider, self.fee_recipient, self.stranger = (
            account.address for account in self.chain.accounts[:5]
        )
        self._signers: dict[str, LocalAccount] = {}
        self._orders = 0x0101
        self.token = self._deploy(token)
        economics = (100, 500, 500, 50_000, 1_000_000)
        nobody = "0x" + "00" * 20
        self.kernel = self._deploy(
            load("ACTPKernel"),
            (self.admin, nobody, self.fee_recipient, nobody, self.token.address, economics),
        )
        self.vault = self._deploy(load("EscrowVault"), (self.token.address, self.kernel.address))
        self.send(self.admin, self.kernel, "approveEscrowVault", self.vault.address, True)
        for holder in (self.requester, self.provider):
            self.send(self.admin, self.token, "mint", holder, ALLOWANCE)
        self.allow(ALLOWANCE)
        self.five_calls()

    def allow(self, allowance: int) -> None:
        """What the vault may take from the requester, for all that follows."""
        self.send(self.requester, self.token, "approve", self.vault.address, allowance)

    def send(self, sender: str, target: Deployed, function: str, *arguments: Any) -> dict[str, Any]:
        """The receipt of a mined call; a revert ends the benchmark."""
        return self._mine(sender, target.artifact.call_data(function, arguments), target.address, function)

    def payees(self, count: int) -> list[str]:
        """Accounts that hold ETH and tokens already, and whose keys this world has."""
        signers = [Account.from_key(keccak(text=f"payee {number}")) for number in range(count)]
        for signer in signers:
            self._signers[signer.address] = signer
            self.chain.request("anvil_setBalance", [signer.address, hex(10**18)])
            self.send(self.admin, self.token, "mint", signer.address, AMOUNT)
        return [signer.address for signer in signers]

    def five_calls(self) -> dict[str, int]:
        """Gas of one purchase by the calls of G1, by step."""
        terms = (self.provider, self.requester, AMOUNT, self._deadline(), 48 * HOUR, SERVICE, 0, 0)
        created = self.send(self.requester, self.kernel, "createTransaction", *terms)
        transaction_id = _created_ids(created)[0]
        link = (transaction_id, self.vault.address, transaction_id)
        linked = self.send(self.requester, self.kernel, "linkEscrow", *link)
        started = self.send(self.provider, self.kernel, "transitionState", transaction_id, 3, b"")
        return {
            "create": _gas(created),
            "link": _gas(linked),
            "start": _gas(started),
            **self._deliver_and_settle(transaction_id),
        }

    def three_calls(self) -> dict[str, int]:
        """Gas of one purchase that is created and funded at once and delivered without a start, by step."""
        paid = self.send(self.requester, self.kernel, "createFunded", self._order(self.provider))
        return {"create and fund": _gas(paid), **self._deliver_and_settle(_created_ids(paid)[0])}

    def batch(self, providers: list[str]) -> dict[str, float]:
        """Gas per escrow of a batch with one escrow for each of `providers`, by step; a stranger settles it."""
        orders = [self._order(provider) for provider in providers]
        paid = self.send(self.requester, self.kernel, "createFundedBatch", orders)
        transaction_ids = _created_ids(paid)
        by_provider: dict[str, list[bytes]] = {}
        for provider, transaction_id in zip(providers, transaction_ids, strict=True):
            by_provider.setdefault(provider, []).append(transaction_id)
        delivered = [self.send(provider, self.kernel, "deliverBatch", ids) for provider, ids in by_provider.items()]
        self.chain.time_travel(49 * HOUR)
        settled = self.send(self.stranger, self.kernel, "settleBatch", transaction_ids)
        gas = {
            "create and fund": _gas(paid),
            "deliver": sum(map(_gas, delivered)),
            "net settlement": _gas(settled),
        }
        return {step: total / len(orders) for step, total in gas.items()}

    def _deliver_and_settle(self, transaction_id: bytes) -> dict[str, int]:
        delivered = self.send(self.provider, self.kernel, "transitionState", transaction_id, 4, b"")
        settled = self.send(self.requester, self.kernel, "transitionState", transaction_id, 5, b"")
        return {"deliver": _gas(delivered), "settle": _gas(settled)}

    def _order(self, provider: str) -> tuple[Any, ...]:
        """Terms under a salt that was never used; like a hash, it has no zero bytes that would make it cheap."""
        self._orders += 1
        salt = self._orders.to_bytes(2, "big").rjust(32, b"\xa7")
        return (provider, AMOUNT, self._deadline(), 48 * HOUR, SERVICE, salt)

    def _deadline(self) -> int:
        return self.chain.now() + 24 * HOUR

    def _deploy(self, artifact: Artifact, arguments: tuple[Any, ...] = ()) -> Deployed:
        receipt = self._mine(self.admin, artifact.creation_code(arguments), None, f"deploying {artifact.name}")
        return Deployed(artifact, receipt["contractAddress"])

    def _mine(self, sender: str, data: bytes, to: str | None, what: str) -> dict[str, Any]:
        call = {"from": sender, "data": "0x" + data.hex(), "gas": hex(GAS_LIMIT)}
        if to is not None:
            call["to"] = to
        signer = self._signers.get(sender)
        tx_hash = self.chain.request("eth_sendTransaction", [call]) if signer is None else self._sign(signer, call)
        receipt: dict[str, Any] = self.chain.request("eth_getTransactionReceipt", [tx_hash])
        if receipt["status"] != "0x1":
            raise SystemExit(f"{what} reverted: the figures would mean nothing.")
        return receipt

    def _sign(self, signer: LocalAccount, call: dict[str, str]) -> Any:
        """Sends a call of an account that the chain has no key of."""
        priced = {
            "to": to_checksum_address(call["to"]),
            "data": call["data"],
            "gas": call["gas"],
            "nonce": self.chain.request("eth_getTransactionCount", [signer.address, "latest"]),
            "chainId": self.chain.request("eth_chainId", []),
            "maxFeePerGas": hex(10**10),
            "maxPriorityFeePerGas": hex(10**9),
        }
        return self.chain.request(
            "eth_sendRawTransaction", [signer.sign_transaction(priced).raw_transaction.to_0x_hex()]
        )


def _gas(receipt: dict[str, Any]) -> int:
    return int(receipt["gasUsed"], 16)


def _created_ids(receipt: dict[str, Any]) -> list[bytes]:
    topic = "0x" + CREATED.hex()
    return [bytes.fromhex(log["topics"][1][2:]) for log in receipt["logs"] if log["topics"][0] == topic]
