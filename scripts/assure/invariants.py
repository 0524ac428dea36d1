"""forge: unit tests, and the fuzzed calls after each of which the books must balance."""

from __future__ import annotations

import json
import re
from collections import Counter

from scripts.assure.workspace import Failed, Workspace, forge

CALLS_AT_LEAST = 25_600
SUCCESSES_AT_LEAST = 20
"""Of each function, over all runs: fewer would mean that the handler does not really try it."""
SUCCESS_RATIO_AT_LEAST = 0.3
TRIED = (
    "createTransaction",
    "createFunded",
    "createFundedBatch",
    "createSalted",
    "createFundedWith",
    "createFundedWithAuthorization",
    "acceptQuote",
    "linkEscrow",
    "transitionState",
    "releaseEscrow",
    "deliverBatch",
    "settleBatch",
    "releaseMilestone",
    "payMilestone",
    "refundMilestone",
    "announceCancellation",
    "cancelEarly",
    "postBond",
    "closeTimedOutDispute",
    "settleByConsent",
    "withdrawCredit",
    "withdrawFees",
    "pause",
    "updateFeeRecipient",
    "updateDisputeBondBps",
    "scheduleEconomicParams",
    "executeEconomicParamsUpdate",
    "approveEscrowVault",
)


def run() -> str:
    workspace = Workspace.make("assure")
    workspace.build("--ast", "--extra-output", "storageLayout", "metadata")
    unit = workspace.run([forge(), "test", "--no-match-contract", "Invariants"])
    if unit.returncode != 0:
        raise Failed(f"unit tests failed\n{unit.stderr}")
    tallies = workspace.fresh("tallies")
    tallies.mkdir()
    done = workspace.run([forge(), "test", "--match-contract", "Invariants"])
    if done.returncode != 0:
        raise Failed(f"an invariant does not hold\n{done.stderr}")
    campaign = re.search(r"runs: (\d+), calls: (\d+), reverts: (\d+)", done.stdout)
    if campaign is None or int(campaign[2]) < CALLS_AT_LEAST:
        raise Failed(f"fewer than {CALLS_AT_LEAST:,} calls")

    lines = (tallies / "invariants.jsonl").read_text(encoding="utf-8").splitlines()
    sums: Counter[str] = Counter()
    for line in lines:
        sums.update(json.loads(line))
    names = _names(workspace)
    counts = {names[key]: count for key, count in sums.items() if key in names}
    print(", ".join(f"{name} {counts.get(name, 0):,}" for name in TRIED))
    rare = [name for name in TRIED if counts.get(name, 0) < SUCCESSES_AT_LEAST]
    if rare:
        raise Failed(f"these functions hardly ever succeeded, so the runs say nothing of them: {', '.join(rare)}")
    ratio = sums["successes"] / sums["attempts"]
    if ratio < SUCCESS_RATIO_AT_LEAST:
        raise Failed(f"only {ratio:.0%} of the calls to the kernel succeeded")
    passed = re.findall(r"(\d+) tests passed", unit.stdout)
    return (
        f"{passed[-1] if passed else 0} unit tests; {int(campaign[2]):,} calls in {int(campaign[1])} runs, "
        f"{sums['attempts']:,} of them and of the exits after each run reached the kernel, {ratio:.0%} succeeded"
    )


def _names(workspace: Workspace) -> dict[str, str]:
    """Function names of the kernel by selector, as the tally writes it."""
    artifact = workspace.folder / "out" / "ACTPKernel.sol" / "ACTPKernel.json"
    identifiers = json.loads(artifact.read_text(encoding="utf-8"))["methodIdentifiers"]
    return {str(int(selector, 16)): signature.split("(")[0] for signature, selector in identifiers.items()}
