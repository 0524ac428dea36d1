"""What purchases cost in gas, one by one and in batches, and how large the contracts are."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from actp import artifacts
from actp.artifacts import Artifact
from scripts.bench.gas_world import ALLOWANCE, UNLIMITED, GasWorld

PUBLIC_PLAIN = 703_060
"""Gas of the five calls on the public kernel, warm, on a plain ERC-20."""
PUBLIC_USDC = 728_829
"""The same on Circle's USDC behind its proxy."""
BATCH = 50
CONTRACTS = {"ACTPKernel": "kernel_bytes", "KernelExtension": "extension_bytes", "EscrowVault": "vault_bytes"}
MAX_CODE_BYTES = 24_576
"""EIP-170: the largest contract that a chain accepts."""
AT_MOST = {
    "g1_five": 298_800,
    "create_fund_deliver_settle": 232_009,
    "create_fund_deliver_settle_testusdc": 262_378,
    "per_escrow_batch_50": 105_459,
    "net_settle_batch_50": 16_000,
    "net_settle_batch_50_testusdc": 16_000,
}
"""0.425, 0.33, 0.36 (of USDC's) and 0.15 of the public kernel's five calls, and 16,000 for the payout of one escrow."""

LEGEND = f"""\
Gas of one purchase when all accounts were used before. The columns differ in the token and in what the vault may take:
plain ERC-20         a minimal token, a large allowance that is not unlimited
unlimited allowance  the same token, which then does not write the allowance back: one storage write less
TestUSDC             the token of test networks, which can pause and block accounts; a large allowance
"of the public kernel" compares with five calls for one purchase on the kernel that AGIRAILS runs on Base Sepolia:
{PUBLIC_PLAIN:,} on a plain ERC-20, {PUBLIC_USDC:,} on USDC. A batch has {BATCH} escrows; its gas is given for one.
"""


Gas = Mapping[str, float]
"""Gas by step."""


@dataclass(frozen=True)
class Column:
    """What one purchase costs over one token, for each way to make it."""

    five: Gas
    three: Gas
    one_payee: Gas
    many_payees: Gas

    def ways(self) -> dict[str, Gas]:
        return {
            "Five calls, as clients of G1 make them": self.five,
            "Three calls: created and funded at once, delivered without a start": self.three,
            f"Batches of {BATCH} for one payee, settled by a stranger": self.one_payee,
            f"Batches of {BATCH} for {BATCH} payees, each of whom delivers by itself": self.many_payees,
        }


def weigh(token: Artifact, allowance: int) -> Column:
    world = GasWorld(token)
    world.allow(allowance)
    payees = world.payees(BATCH)
    return Column(world.five_calls(), world.three_calls(), world.batch([world.provider] * BATCH), world.batch(payees))


def print_table(columns: dict[str, Column]) -> None:
    print(LEGEND)
    print(f"{'gas, everything warm':<22}" + "".join(f"{name:>22}" for name in columns))
    public = [PUBLIC_USDC if name == "TestUSDC" else PUBLIC_PLAIN for name in columns]
    for title in next(iter(columns.values())).ways():
        ways = [column.ways()[title] for column in columns.values()]
        print(f"\n{title}")
        for step in ways[0]:
            print(f"{step:<22}" + "".join(f"{gas[step]:>22,.0f}" for gas in ways))
        totals = [sum(gas.values()) for gas in ways]
        print(f"{'together':<22}" + "".join(f"{total:>22,.0f}" for total in totals))
        shares = [total / whole for total, whole in zip(totals, public, strict=True)]
        print(f"{'of the public kernel':<22}" + "".join(f"{share:>22.3f}" for share in shares))
    print()


def figures(plain: Column, unlimited: Column, usdc: Column) -> dict[str, float]:
    found: dict[str, float] = {
        "g1_five": sum(plain.five.values()),
        "g1_five_ratio": round(sum(plain.five.values()) / PUBLIC_PLAIN, 4),
        "g1_five_unlimited_allowance": sum(unlimited.five.values()),
        "g1_five_testusdc": sum(usdc.five.values()),
    }
    for suffix, column in (("", plain), ("_testusdc", usdc)):
        found |= {
            f"create_fund_deliver_settle{suffix}": sum(column.three.values()),
            f"per_escrow_batch_50{suffix}": round(sum(column.one_payee.values())),
            f"per_escrow_batch_50_payees{suffix}": round(sum(column.many_payees.values())),
            f"net_settle_batch_50{suffix}": round(column.one_payee["net settlement"]),
            f"net_settle_batch_50_payees{suffix}": round(column.many_payees["net settlement"]),
        }
    return found


def main() -> int:
    plain = artifacts.parse((artifacts.folder() / "test" / "PlainERC20.json").read_text(), "PlainERC20")
    columns = {
        "plain ERC-20": weigh(plain, ALLOWANCE),
        "unlimited allowance": weigh(plain, UNLIMITED),
        "TestUSDC": weigh(artifacts.load("TestUSDC"), ALLOWANCE),
    }
    print_table(columns)
    found = figures(*columns.values())
    sizes = {name: len(artifacts.load(name).deployed_bytecode) for name in CONTRACTS}
    for name, size in sizes.items():
        print(f"{name:<22}{size:>16,} bytes")

    failures = [f"{name} is {found[name]:,}, above {most:,}" for name, most in AT_MOST.items() if found[name] > most]
    failures += [
        f"{name} has {size:,} bytes, not under {MAX_CODE_BYTES:,}"
        for name, size in sizes.items()
        if size >= MAX_CODE_BYTES
    ]
    for failure in failures:
        print(f"FAILED: {failure}", file=sys.stderr)
    found |= {CONTRACTS[name]: size for name, size in sizes.items()}
    print(json.dumps(found))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
