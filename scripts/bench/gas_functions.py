"""What every function of the kernel that changes something costs in gas, on TestUSDC, everything warm."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from eth_abi.abi import encode
from eth_account import Account
from eth_utils.crypto import keccak

from actp import artifacts
from actp.chain import DevAccount
from actp.errors import RpcError
from actp.types import State
from scripts.bench.gas_world import AMOUNT, CREATED, GAS_LIMIT, HOUR, SERVICE, GasWorld

BATCH = 50
DAY = 24 * HOUR
MOST_PARTS = 64
"""Parts that a schedule may have."""
TRANSITION_LIMIT = 200_000
"""Gas that clients of G1 give a call, unless it creates or funds."""
OPENING_LIMIT = 350_000
"""Gas that clients of G1 give a call that creates or funds."""
OPENINGS = frozenset(
    {
        "createTransaction", "linkEscrow", "createFunded", "createSalted", "createFundedWith",
        "createFundedWithPermit", "createFundedWithAuthorization",
    }
)  # fmt: skip
BATCHES = frozenset({"createFundedBatch", "deliverBatch", "settleBatch"})

NOBODY = "0x" + "00" * 20
USUAL = (NOBODY, 5_000, 0, 0, ())
ORDER = "(address,uint256,uint256,uint256,bytes32,bytes32)"
CLAUSES = "(address,uint256,uint256,uint256,(uint256,uint256,bytes32)[])"
FOREVER = 2**64
Fields = dict[str, tuple[str, Any]]
"""The fields of a signed struct: Solidity type and value."""
LEGEND = """\
Gas on TestUSDC when all accounts were used before. "Refused" is the same call when the token blocks those whom the
call pays, so that each gets a first credit (or the disputer, so that the bond is owed). "Limit" is a gas limit with
which the dearer of the two succeeds, at most 1.5 % above the least: a refusal is believed only if the token had 70,000
gas.
"""


class G1Limit(Enum):
    """What has to fit into the gas that clients of G1 give a call."""

    ALWAYS = "always"
    UNLESS_REFUSED = "unless refused"
    """G1 knows neither bonds of strangers nor credits; where many payees are refused at once, more gas is due."""
    NEVER = "never"
    """The gas grows with what the caller puts in."""


@dataclass(frozen=True)
class Row:
    """One call: what was called when, its gas, its gas if the payees are blocked, and the limit that it needs."""

    function: str
    situation: str
    gas: int
    limit: int
    refused: int | None
    refused_limit: int
    g1: G1Limit

    def markdown(self) -> str:
        refused = "" if self.refused is None else f"{self.refused:,}"
        limit = max(self.limit, self.refused_limit)
        return f"| `{self.function}` | {self.situation} | {self.gas:,} | {refused} | {limit:,} |"

    def failure(self) -> str | None:
        most = OPENING_LIMIT if self.function in OPENINGS else TRANSITION_LIMIT
        needed = self.limit if self.g1 is G1Limit.UNLESS_REFUSED else max(self.limit, self.refused_limit)
        if self.g1 is G1Limit.NEVER or needed <= most:
            return None
        return f"{self.function} ({self.situation}) needs {needed:,} gas, above {most:,}"


class Scales:
    """Weighs calls of the kernel. A weighed call leaves no trace, so that no figure depends on the ones before it."""

    def __init__(self) -> None:
        self.world = GasWorld(artifacts.load("TestUSDC"))
        world = self.world
        self.requester, self.provider, self.admin, self.stranger = (
            world.requester, world.provider, world.admin, world.stranger,
        )  # fmt: skip
        self.arbiter, self.mediator, self.poster, self.ally = (a.address for a in world.chain.accounts[5:9])
        self.keys: dict[str, DevAccount] = {account.address: account for account in world.chain.accounts}
        self.rows: list[Row] = []
        self._salts = 0x0101
        for holder in (self.arbiter, self.mediator, self.poster, self.ally, self.stranger, world.fee_recipient):
            world.send(self.admin, world.token, "mint", holder, 10**12)
        for payer in (self.provider, self.poster, self.ally):
            world.send(payer, world.token, "approve", world.vault.address, 10**15)
        self.do(self.admin, "approveMediator", self.mediator, True)
        self.wait(3 * DAY)

    # ---------------------------------------------------------------- calls

    def do(self, sender: str, function: str, *arguments: Any) -> dict[str, Any]:
        return self.world.send(sender, self.world.kernel, function, *arguments)

    def wait(self, seconds: int) -> None:
        self.world.chain.time_travel(seconds)
        self.world.chain.mine()

    def block(self, accounts: Sequence[str]) -> None:
        for account in accounts:
            self.world.send(self.admin, self.world.token, "blacklist", account)

    def weigh(
        self,
        function: str,
        situation: str,
        sender: str,
        *arguments: Any,
        payees: Sequence[str] = (),
        g1: G1Limit = G1Limit.ALWAYS,
    ) -> None:
        """Adds a row; with `payees` also its gas when the token refuses them all."""
        gas, limit = self._measured(function, sender, arguments, ())
        refused, refused_limit = self._measured(function, sender, arguments, payees) if payees else (None, 0)
        if function in BATCHES:
            g1 = G1Limit.NEVER
        self.rows.append(Row(function, situation, gas, limit, refused, refused_limit, g1))

    def weigh_step(
        self,
        old: State,
        new: State,
        sender: str,
        tx_id: bytes,
        proof: bytes = b"",
        note: str = "",
        payees: Sequence[str] = (),
        g1: G1Limit = G1Limit.ALWAYS,
    ) -> None:
        """Adds a row for one step of the state machine."""
        situation = f"{old.name} to {new.name}" + (f", {note}" if note else "")
        self.weigh("transitionState", situation, sender, tx_id, int(new), proof, payees=payees, g1=g1)

    def _measured(
        self, function: str, sender: str, arguments: Sequence[Any], blocked: Sequence[str]
    ) -> tuple[int, int]:
        chain, kernel = self.world.chain, self.world.kernel
        before = chain.snapshot()
        self.block(blocked)
        data = "0x" + kernel.artifact.call_data(function, arguments).hex()
        call = {"from": sender, "to": kernel.address, "data": data, "gas": hex(GAS_LIMIT)}
        try:
            limit = int(chain.request("eth_estimateGas", [call]), 16)
        except RpcError as error:
            raise SystemExit(f"{function} reverted: {error}") from error
        gas = int(self.do(sender, function, *arguments)["gasUsed"], 16)
        chain.revert(before)
        return gas, limit

    # ---------------------------------------------------------------- transactions

    def order(self, provider: str | None = None) -> tuple[Any, ...]:
        self._salts += 1
        salt = self._salts.to_bytes(2, "big").rjust(32, b"\xa7")
        return (provider or self.provider, AMOUNT, self.world.chain.now() + DAY, 2 * DAY, SERVICE, salt)

    def terms(self, agents: tuple[int, int] = (0, 0)) -> tuple[Any, ...]:
        deadline = self.world.chain.now() + DAY
        return (self.provider, self.requester, AMOUNT, deadline, 2 * DAY, SERVICE, *agents)

    def opened(self) -> bytes:
        return _ids(self.do(self.requester, "createTransaction", *self.terms()))[0]

    def funded(self, clauses: tuple[Any, ...] = USUAL) -> bytes:
        return _ids(self.do(self.requester, "createFundedWith", self.order(), clauses))[0]

    def step(self, sender: str, tx_id: bytes, state: State, proof: bytes = b"") -> None:
        self.do(sender, "transitionState", tx_id, int(state), proof)

    def started(self, clauses: tuple[Any, ...] = USUAL) -> bytes:
        tx_id = self.funded(clauses)
        self.step(self.provider, tx_id, State.IN_PROGRESS)
        return tx_id

    def delivered(self, clauses: tuple[Any, ...] = USUAL) -> bytes:
        tx_id = self.funded(clauses)
        self.step(self.provider, tx_id, State.DELIVERED)
        return tx_id

    def disputed(self, clauses: tuple[Any, ...] = USUAL, *, posted: bool = False) -> bytes:
        """A dispute of the requester; `posted`: strangers posted the bonds of both parties ahead."""
        tx_id = self.delivered(clauses)
        if posted:
            self.do(self.poster, "postBond", tx_id, self.requester)
            self.do(self.ally, "postBond", tx_id, self.provider)
        self.step(self.requester, tx_id, State.DISPUTED)
        return tx_id

    def schedule(self, count: int) -> tuple[Any, ...]:
        """Clauses with `count` equal parts, due an hour from now."""
        due = self.world.chain.now() + HOUR
        part = AMOUNT // count
        amounts = [part] * (count - 1) + [AMOUNT - part * (count - 1)]
        return (NOBODY, 5_000, 0, 0, [(amount, due, SERVICE) for amount in amounts])

    def batch(self, providers: Sequence[str]) -> list[bytes]:
        orders = [self.order(provider) for provider in providers]
        return _ids(self.do(self.requester, "createFundedBatch", orders))

    # ---------------------------------------------------------------- signatures

    def sign(self, signer: str, name: str, version: str, contract: str, kind: str, fields: Fields) -> bytes:
        """65 bytes r, s, v of an EIP-712 message."""
        domain = {
            "name": name, "version": version,
            "chainId": self.world.chain.chain_id, "verifyingContract": contract,
        }  # fmt: skip
        types = {kind: [{"name": field, "type": type_} for field, (type_, _) in fields.items()]}
        values = {field: value for field, (_, value) in fields.items()}
        return bytes(Account.sign_typed_data(self.keys[signer].private_key, domain, types, values).signature)

    def sign_for_token(self, kind: str, fields: Fields) -> bytes:
        return self.sign(self.requester, "USD Coin (test)", "2", self.world.token.address, kind, fields)

    def permit(self) -> tuple[Any, ...]:
        fields: Fields = {
            "owner": ("address", self.requester), "spender": ("address", self.world.vault.address),
            "value": ("uint256", 2 * AMOUNT), "nonce": ("uint256", 0), "deadline": ("uint256", FOREVER),
        }  # fmt: skip
        signature = self.sign_for_token("Permit", fields)
        return (2 * AMOUNT, FOREVER, signature[64], signature[:32], signature[32:64])

    def authorization(self, order: tuple[Any, ...], clauses: tuple[Any, ...]) -> tuple[Any, ...]:
        words = (self.world.chain.chain_id, self.world.kernel.address, self.requester, order, clauses)
        fields: Fields = {
            "from": ("address", self.requester), "to": ("address", self.world.vault.address),
            "value": ("uint256", AMOUNT), "validAfter": ("uint256", 0), "validBefore": ("uint256", FOREVER),
            "nonce": ("bytes32", keccak(encode(["uint256", "address", "address", ORDER, CLAUSES], words))),
        }  # fmt: skip
        return (0, FOREVER, self.sign_for_token("ReceiveWithAuthorization", fields))

    def split(self, tx_id: bytes, to_requester: int) -> tuple[Any, ...]:
        fields: Fields = {
            "transactionId": ("bytes32", tx_id), "requesterAmount": ("uint256", to_requester),
            "providerAmount": ("uint256", AMOUNT - to_requester), "validUntil": ("uint256", FOREVER),
        }  # fmt: skip
        kernel = self.world.kernel.address
        signatures = [
            self.sign(who, "ACTP Kernel", "1", kernel, "Split", fields) for who in (self.requester, self.provider)
        ]
        return (*(value for _, value in fields.values()), *signatures)


def openings(on: Scales) -> None:
    on.weigh("createTransaction", "no agent ids", on.requester, *on.terms())
    on.weigh("createTransaction", "both agent ids", on.requester, *on.terms((7, 8)))
    on.weigh("createSalted", "usual clauses", on.requester, on.order(), USUAL)
    on.weigh("createFunded", "", on.requester, on.order())
    named = (on.arbiter, 5_000, 0, 0, ())
    on.weigh("createFundedWith", "usual clauses", on.requester, on.order(), USUAL)
    on.weigh("createFundedWith", "named arbiter", on.requester, on.order(), named)
    on.weigh("createFundedWith", "two milestones", on.requester, on.order(), on.schedule(2))
    many = on.schedule(MOST_PARTS)
    on.weigh("createFundedWith", f"{MOST_PARTS} milestones", on.requester, on.order(), many, g1=G1Limit.NEVER)
    on.weigh("createFundedWithPermit", "usual clauses", on.requester, on.order(), USUAL, on.permit())
    for situation, clauses in (("usual clauses", USUAL), ("named arbiter", named)):
        order = on.order()
        signed = (on.requester, order, clauses, on.authorization(order, clauses))
        on.weigh("createFundedWithAuthorization", situation, on.stranger, *signed)
    tx_id, vault = on.opened(), on.world.vault.address
    on.weigh("linkEscrow", "the transaction id", on.requester, tx_id, vault, tx_id)
    on.weigh("linkEscrow", "an id of the caller's", on.requester, tx_id, vault, keccak(text="an alias"))


def steps(on: Scales) -> None:
    tx_id = on.opened()
    on.weigh_step(State.INITIATED, State.QUOTED, on.provider, tx_id, SERVICE)
    on.weigh_step(State.INITIATED, State.CANCELLED, on.requester, tx_id)
    on.step(on.provider, tx_id, State.QUOTED, SERVICE)
    on.weigh_step(State.QUOTED, State.CANCELLED, on.requester, tx_id)
    on.weigh("acceptQuote", "same rates", on.requester, tx_id, AMOUNT - 1)
    on.do(on.admin, "updateDisputeBondBps", 400)
    on.weigh("acceptQuote", "rates changed since the creation", on.requester, tx_id, AMOUNT - 1)
    on.do(on.admin, "updateDisputeBondBps", 500)
    tx_id = on.funded()
    on.weigh_step(State.COMMITTED, State.IN_PROGRESS, on.provider, tx_id)
    on.weigh_step(State.COMMITTED, State.DELIVERED, on.provider, tx_id)
    on.weigh_step(State.COMMITTED, State.CANCELLED, on.provider, tx_id, payees=[on.requester])
    on.step(on.provider, tx_id, State.IN_PROGRESS)
    on.weigh_step(State.IN_PROGRESS, State.DELIVERED, on.provider, tx_id, (3 * DAY).to_bytes(32, "big"))
    on.wait(2 * DAY)
    on.weigh_step(State.IN_PROGRESS, State.CANCELLED, on.requester, tx_id, payees=[on.requester])
    tx_id = on.started()
    on.do(on.requester, "releaseMilestone", tx_id, AMOUNT)
    on.weigh_step(State.IN_PROGRESS, State.SETTLED, on.stranger, tx_id, note="paid in full by milestones")


def settlements(on: Scales) -> None:
    tx_id = on.delivered()
    on.weigh_step(State.DELIVERED, State.SETTLED, on.requester, tx_id, payees=[on.provider])
    on.weigh("releaseEscrow", "by the requester", on.requester, tx_id, payees=[on.provider])
    on.weigh("anchorAttestation", "", on.provider, tx_id, SERVICE)
    on.do(on.poster, "postBond", tx_id, on.requester)
    on.do(on.ally, "postBond", tx_id, on.provider)
    on.wait(3 * DAY)
    on.weigh("releaseEscrow", "two bonds to give back", on.stranger, tx_id, payees=[on.provider])


def disputes(on: Scales) -> None:
    tx_id = on.delivered()
    on.weigh("postBond", "ahead, by a stranger", on.poster, tx_id, on.requester)
    on.weigh_step(State.DELIVERED, State.DISPUTED, on.requester, tx_id, b"evidence", payees=[on.requester])
    on.step(on.requester, tx_id, State.DISPUTED)
    everybody = [on.requester, on.provider]
    for new in (State.SETTLED, State.CANCELLED):
        on.weigh_step(State.DISPUTED, new, on.admin, tx_id, note="empty proof", payees=everybody)
    posted = on.disputed(posted=True)
    tenth = AMOUNT // 10
    ruling = encode(
        ["uint256", "uint256", "bool", "address", "uint256"], [tenth, AMOUNT - 2 * tenth, True, on.mediator, tenth]
    )
    everyone: dict[str, Any] = {"payees": [*everybody, on.mediator], "g1": G1Limit.UNLESS_REFUSED}
    most: dict[str, Any] = {"payees": [*everybody, on.mediator, on.poster], "g1": G1Limit.UNLESS_REFUSED}
    for new in (State.SETTLED, State.CANCELLED):
        on.weigh_step(State.DISPUTED, new, on.mediator, tx_id, ruling, "160-byte proof", everybody)
        on.weigh_step(
            State.DISPUTED, new, on.mediator, tx_id, ruling, "160-byte proof, mediator refused too", **everyone
        )
        on.weigh_step(State.DISPUTED, new, on.mediator, posted, ruling, "160-byte proof, bonds by strangers", **most)
    on.weigh("settleByConsent", "DISPUTED, bonds by strangers", on.stranger, *on.split(posted, tenth), **most)
    split = on.split(tx_id, tenth)
    on.weigh("settleByConsent", "DISPUTED, two signatures", on.stranger, *split, payees=everybody)
    split = on.split(on.funded(), tenth)
    on.weigh("settleByConsent", "COMMITTED, two signatures", on.stranger, *split, payees=everybody)
    on.weigh("settleByConsent", "COMMITTED, by a party", on.provider, *split[:5], b"", payees=everybody)
    owed = on.delivered()
    on.block([on.requester])
    on.step(on.requester, owed, State.DISPUTED)
    on.world.send(on.admin, on.world.token, "unBlacklist", on.requester)
    on.weigh("postBond", "owed, by a stranger", on.poster, owed, on.requester)
    on.weigh_step(State.DISPUTED, State.SETTLED, on.admin, owed, note="bond owed and lost", payees=everybody)
    on.wait(31 * DAY)
    on.weigh("closeTimedOutDispute", "bond by the requester", on.stranger, tx_id, payees=everybody)
    on.weigh("closeTimedOutDispute", "bonds by strangers", on.stranger, posted, **most)


def milestones(on: Scales) -> None:
    tx_id = on.started()
    on.weigh("releaseMilestone", "first", on.requester, tx_id, AMOUNT // 2, payees=[on.provider])
    on.do(on.requester, "releaseMilestone", tx_id, AMOUNT // 2)
    on.weigh("releaseMilestone", "a later one", on.requester, tx_id, AMOUNT // 4, payees=[on.provider])
    tx_id = on.started(on.schedule(2))
    on.weigh("payMilestone", "", on.requester, tx_id, 0, payees=[on.provider])
    on.wait(2 * HOUR)
    on.weigh("refundMilestone", "", on.requester, tx_id, 0, payees=[on.requester])


def walking_away(on: Scales) -> None:
    tx_id = on.funded()
    on.weigh("announceCancellation", "", on.requester, tx_id)
    on.do(on.requester, "announceCancellation", tx_id)
    on.wait(2 * HOUR)
    on.weigh("cancelEarly", "with a penalty", on.requester, tx_id, payees=[on.requester, on.provider])


def batches(on: Scales) -> None:
    others = on.world.payees(BATCH)
    on.weigh("createFundedBatch", f"{BATCH} escrows", on.requester, [on.order() for _ in range(BATCH)])
    one, many = on.batch([on.provider] * BATCH), on.batch(others)
    on.weigh("deliverBatch", f"{BATCH} escrows", on.provider, one)
    on.do(on.provider, "deliverBatch", one)
    for provider, tx_id in zip(others, many, strict=True):
        on.do(provider, "deliverBatch", [tx_id])
    on.wait(3 * DAY)
    on.weigh("settleBatch", f"{BATCH} escrows, one payee", on.stranger, one, payees=[on.provider])
    on.weigh("settleBatch", f"{BATCH} escrows, {BATCH} payees", on.stranger, many, payees=others)


def withdrawals(on: Scales) -> None:
    on.weigh("withdrawFees", "", on.world.fee_recipient)
    on.block([on.provider])
    on.step(on.requester, on.delivered(), State.SETTLED)
    on.world.send(on.admin, on.world.token, "unBlacklist", on.provider)
    on.weigh("withdrawCredit", "", on.stranger, on.provider)


def governance(on: Scales) -> None:
    on.weigh("pause", "", on.admin)
    on.do(on.admin, "pause")
    on.weigh("unpause", "", on.admin)
    on.weigh("updatePauser", "", on.admin, on.stranger)
    on.weigh("updateFeeRecipient", "fees accrued", on.admin, on.stranger)
    on.weigh("transferAdmin", "", on.admin, on.stranger)
    on.do(on.admin, "transferAdmin", on.stranger)
    on.weigh("acceptAdmin", "", on.stranger)
    on.weigh("approveEscrowVault", "withdrawn", on.admin, on.world.vault.address, False)
    on.weigh("approveMediator", "a new one", on.admin, on.ally, True)
    on.weigh("approveMediator", "revoked", on.admin, on.mediator, False)
    on.weigh("updateDisputeBondBps", "", on.admin, 400)
    on.weigh("scheduleEconomicParams", "", on.admin, 90, 400)
    on.do(on.admin, "scheduleEconomicParams", 90, 400)
    on.weigh("cancelEconomicParamsUpdate", "", on.admin)
    on.wait(3 * DAY)
    on.weigh("executeEconomicParamsUpdate", "", on.stranger)


SCENES: tuple[Callable[[Scales], None], ...] = (
    openings, steps, settlements, disputes, milestones, walking_away, batches, withdrawals, governance,
)  # fmt: skip


def _ids(receipt: dict[str, Any]) -> list[bytes]:
    topic = "0x" + CREATED.hex()
    return [bytes.fromhex(log["topics"][1][2:]) for log in receipt["logs"] if log["topics"][0] == topic]


def _unweighed(on: Scales) -> list[str]:
    """Functions of the kernel that change something and have no row."""
    abi = on.world.kernel.artifact.abi
    changing = {
        entry["name"]
        for entry in abi
        if entry["type"] == "function" and entry["stateMutability"] not in ("view", "pure")
    }
    return sorted(changing - {row.function for row in on.rows})


def main() -> int:
    on = Scales()
    for scene in SCENES:
        before = on.world.chain.snapshot()
        scene(on)
        on.world.chain.revert(before)
    print(LEGEND)
    print("| function | situation | gas | refused | limit |")
    print("|---|---|---:|---:|---:|")
    figures: dict[str, int] = {}
    for row in on.rows:
        print(row.markdown())
        name = f"{row.function}: {row.situation}" if row.situation else row.function
        figures[name] = row.gas
        if row.refused is not None:
            figures[f"{name} (refused)"] = row.refused
    failures = [failure for row in on.rows if (failure := row.failure())]
    failures += [f"{function} was not weighed" for function in _unweighed(on)]
    for failure in failures:
        print(f"FAILED: {failure}", file=sys.stderr)
    print(json.dumps(figures))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
