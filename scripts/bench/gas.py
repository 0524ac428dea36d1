"""What a purchase costs in gas. Deterministic: fixed clock, fixed accounts, committed artifacts.

Five calls (create, link, start, deliver, settle) with everything warm: requester, provider, vault and fee account have
been used before, and the allowance stands and is far larger than the amount, but not unlimited. The same calls with an
unlimited allowance cost one storage write less.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import Any

from actp import artifacts
from actp.artifacts import Artifact
from actp.chain import EmbeddedChain

PUBLIC_KERNEL_G1_FIVE = 703_060
"""Gas of the same five calls on the public kernel, warm, on a plain ERC-20."""
G1_FIVE_AT_MOST = 298_800
"""0.425 of the public kernel's."""
MAX_CODE_BYTES = 24_576
"""EIP-170: the largest contract that a chain accepts."""

CLOCK = 1_800_000_000
AMOUNT = 25_000_000
ALLOWANCE = 10**15
UNLIMITED = 2**256 - 1
HOUR = 3_600
LEGEND = f"""\
Gas of one purchase when all accounts were used before. The columns differ in the token and in what the vault may take:
plain ERC-20         a minimal token, a large allowance that is not unlimited (five calls: at most {G1_FIVE_AT_MOST:,})
unlimited allowance  the same token, which then does not write the allowance back: one storage write less
TestUSDC             the token of test networks, which can pause and block accounts; a large allowance
"of the public kernel" compares the five calls with the same ones on the kernel that AGIRAILS runs on Base Sepolia.
"""
STEPS = ("create", "link", "start", "deliver", "settle")


@dataclass(frozen=True)
class Deployed:
    artifact: Artifact
    address: str


class Bench:
    """A chain of its own with kernel and vault over one token; gas is what the receipts say."""

    def __init__(self, token: Artifact) -> None:
        self.chain = EmbeddedChain(clock=lambda: CLOCK)
        self.admin, self.requester, self.provider, self.fee_recipient = (
            account.address for account in self.chain.accounts[:4]
        )
        self.token = self._deploy(token)
        economics = (100, 500, 500, 50_000, 1_000_000)
        nobody = "0x" + "00" * 20
        self.kernel = self._deploy(
            artifacts.load("ACTPKernel"),
            (self.admin, nobody, self.fee_recipient, nobody, self.token.address, economics),
        )
        self.vault = self._deploy(artifacts.load("EscrowVault"), (self.token.address, self.kernel.address))
        self.send(self.admin, self.kernel, "approveEscrowVault", self.vault.address, True)
        for holder in (self.requester, self.provider):
            self.send(self.admin, self.token, "mint", holder, ALLOWANCE)

    def send(self, sender: str, target: Deployed, function: str, *arguments: Any) -> dict[str, Any]:
        """The receipt of a mined call; a revert ends the benchmark."""
        return self._mine(sender, target.artifact.call_data(function, arguments), target.address, function)

    def purchase(self) -> dict[str, int]:
        """Gas of one purchase, by step."""
        deadline = self.chain.now() + 24 * HOUR
        terms = (self.provider, self.requester, AMOUNT, deadline, 48 * HOUR, b"\x5e" * 32, 0, 0)
        created = self.send(self.requester, self.kernel, "createTransaction", *terms)
        transaction_id = bytes.fromhex(created["logs"][0]["topics"][1][2:])
        link = (transaction_id, self.vault.address, transaction_id)
        receipts = (
            created,
            self.send(self.requester, self.kernel, "linkEscrow", *link),
            self.send(self.provider, self.kernel, "transitionState", transaction_id, 3, b""),
            self.send(self.provider, self.kernel, "transitionState", transaction_id, 4, b""),
            self.send(self.requester, self.kernel, "transitionState", transaction_id, 5, b""),
        )
        return {step: int(receipt["gasUsed"], 16) for step, receipt in zip(STEPS, receipts, strict=True)}

    def warm_purchase(self, allowance: int) -> dict[str, int]:
        """The second of two purchases under one standing allowance."""
        self.send(self.requester, self.token, "approve", self.vault.address, allowance)
        self.purchase()
        return self.purchase()

    def _deploy(self, artifact: Artifact, arguments: tuple[Any, ...] = ()) -> Deployed:
        receipt = self._mine(self.admin, artifact.creation_code(arguments), None, f"deploying {artifact.name}")
        return Deployed(artifact, receipt["contractAddress"])

    def _mine(self, sender: str, data: bytes, to: str | None, what: str) -> dict[str, Any]:
        call = {"from": sender, "data": "0x" + data.hex(), "gas": hex(8_000_000)}
        if to is not None:
            call["to"] = to
        tx_hash = self.chain.request("eth_sendTransaction", [call])
        receipt: dict[str, Any] = self.chain.request("eth_getTransactionReceipt", [tx_hash])
        if receipt["status"] != "0x1":
            raise SystemExit(f"{what} reverted: the figures would mean nothing.")
        return receipt


def main() -> int:
    plain = artifacts.parse((artifacts.folder() / "test" / "PlainERC20.json").read_text(), "PlainERC20")
    columns = {
        "plain ERC-20": Bench(plain).warm_purchase(ALLOWANCE),
        "unlimited allowance": Bench(plain).warm_purchase(UNLIMITED),
        "TestUSDC": Bench(artifacts.load("TestUSDC")).warm_purchase(ALLOWANCE),
    }
    print(LEGEND)
    print(f"{'gas, everything warm':<22}" + "".join(f"{name:>22}" for name in columns))
    for step in STEPS:
        print(f"{step:<22}" + "".join(f"{gas[step]:>22,}" for gas in columns.values()))
    totals = [sum(gas.values()) for gas in columns.values()]
    print(f"{'five calls':<22}" + "".join(f"{total:>22,}" for total in totals))
    print(f"{'of the public kernel':<22}" + "".join(f"{total / PUBLIC_KERNEL_G1_FIVE:>22.3f}" for total in totals))

    sizes = {name: len(artifacts.load(name).deployed_bytecode) for name in ("ACTPKernel", "EscrowVault")}
    for name, size in sizes.items():
        print(f"{name:<22}{size:>16,} bytes")

    failures = []
    if totals[0] > G1_FIVE_AT_MOST:
        failures.append(f"g1_five is {totals[0]:,}, above {G1_FIVE_AT_MOST:,}")
    failures += [
        f"{name} has {size:,} bytes, not under {MAX_CODE_BYTES:,}"
        for name, size in sizes.items()
        if size >= MAX_CODE_BYTES
    ]
    for failure in failures:
        print(f"FAILED: {failure}", file=sys.stderr)
    figures = {
        "g1_five": totals[0],
        "g1_five_ratio": round(totals[0] / PUBLIC_KERNEL_G1_FIVE, 4),
        "g1_five_unlimited_allowance": totals[1],
        "g1_five_testusdc": totals[2],
        "kernel_bytes": sizes["ACTPKernel"],
        "vault_bytes": sizes["EscrowVault"],
    }
    print(json.dumps(figures))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
