"""What somebody who has the proof key can make a file say, and what finds it. Every check has a lie that it finds."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from eth_account import Account
from eth_account.typed_transactions.typed_transaction import TypedTransaction
from hexbytes import HexBytes

from actp.chain import DevAccount, EmbeddedChain, dev_accounts
from actp.deployments import Deployment
from coordinator.canonical import digest
from coordinator.guard.happenings import OWED
from coordinator.guard.wording import DERIVED_AGAIN
from coordinator.lifecycle import Lifecycle
from coordinator.policy import PolicySettings
from coordinator.proofs.documents import write_document
from coordinator.proofs.reporting import Result
from coordinator.proofs.verifying import verify
from coordinator.types import Stage
from tests.client.support import BOND, PRICE, act, delivered
from tests.coordinator.lifecycle.conftest import faulty, house
from tests.coordinator.lifecycle.support import House
from tests.coordinator.proofs.support import KEY, denied, paid, proved, resigned

__all__ = ["faulty", "house"]

Link = dict[str, Any]
Change = Callable[[Link], Any]
STRANGER = "0x" + "bb" * 20
HASH = "0x" + "33" * 32


@pytest.fixture
def payer(accounts: tuple[DevAccount, ...]) -> DevAccount:
    return accounts[3]


@pytest.fixture
def ether(chain: EmbeddedChain, payer: DevAccount) -> bytes:
    """A payment of ether."""
    return write_document(proved(chain, payer, [paid(chain, payer)]))


@pytest.fixture
def refused(chain: EmbeddedChain, payer: DevAccount) -> bytes:
    """What the policy denied."""
    return write_document(proved(chain, payer, [denied(chain, payer)]))


@pytest.fixture
def tokens(house: House) -> bytes:
    """An approved payment of tokens, through the whole lifecycle."""
    lifecycle = house.lifecycle(proof_signer=KEY, policy=PolicySettings(approval_over={house.usdc: 5}))
    operation = house.pay(lifecycle, 7)
    lifecycle.decide()
    lifecycle.approve(operation.id, by="pia")
    assert house.done(lifecycle, operation).stage is Stage.CONFIRMED
    return write_document(lifecycle.proofs_of(operation.id))


@pytest.fixture
def escrow(house: House) -> bytes:
    """A new escrow, and before it the allowance that it draws on."""
    lifecycle = house.lifecycle(proof_signer=KEY)
    wanted = {
        "escrow_numeric_id": "1",
        "provider": dev_accounts()[5].address,
        "amount": "1000000",
        "deadline": house.client.now() + 86_400,
        "terms": "a report",
    }
    operation = house.done(lifecycle, lifecycle.submit("create_escrow", wanted, agent="ann"))
    assert operation.stage is Stage.CONFIRMED, operation.reason
    return write_document(lifecycle.proofs_of(operation.id))


@pytest.fixture
def refund(house: House) -> bytes:
    """An escrow that its provider has given back: how much that is, the body does not say."""
    requester = house.lifecycle(proof_signer=KEY)
    provider = Lifecycle(house.client_of(dev_accounts()[5]), proof_signer=KEY)
    wanted = {
        "escrow_numeric_id": "1",
        "provider": provider.wallet,
        "amount": "1000000",
        "deadline": house.client.now() + 86_400,
    }
    opened = house.done(requester, requester.submit("create_escrow", wanted, agent="ann"))
    named = {"transaction_id": opened.transaction_id}
    done = house.done(provider, provider.submit("refund_escrow", named, agent="bob"))
    assert done.stage is Stage.CONFIRMED, done.reason
    return write_document(provider.proofs_of(done.id))


@pytest.fixture
def owed(house: House) -> bytes:
    """A dispute whose bond the token refuses to move, so that it is owed."""
    ours, provider = house.client_of(house.account), house.client_of(dev_accounts()[2])
    house.client_of(dev_accounts()[4]).token.mint(PRICE, house.wallet)
    number = delivered(ours, provider)
    lifecycle = house.lifecycle(proof_signer=KEY)
    act(house.client.endpoint, 0, "TestUSDC", "blacklist", house.wallet)
    asked = lifecycle.submit("dispute_escrow", {"transaction_id": number, "evidence": "nothing came"}, agent="ann")
    done = house.done(lifecycle, asked)
    assert done.stage is Stage.CONFIRMED, done.reason
    return write_document(lifecycle.proofs_of(done.id))


def execution(link: Link) -> dict[str, Any]:
    found: dict[str, Any] = link["parts"]["execution"]
    return found


def delta(link: Link) -> dict[str, Any]:
    found: dict[str, Any] = execution(link)["delta"]
    return found


def put(*path: str | int) -> Callable[[Any], Change]:
    """A lie that puts another value there."""

    def of(value: Any) -> Change:
        def change(link: Link) -> None:
            at: Any = link
            for step in path[:-1]:
                at = at[step]
            at[path[-1]] = value

        return change

    return of


def another(link: Link) -> None:
    """The same call under the same key, with another fee: other bytes, and so another hash."""
    fields = TypedTransaction.from_bytes(HexBytes(execution(link)["raw"])).as_dict()
    unsigned = {name: value for name, value in fields.items() if name not in ("v", "r", "s", "yParity")}
    unsigned["maxFeePerGas"] += 1
    raw = Account.sign_transaction(unsigned, dev_accounts()[3].private_key).raw_transaction
    execution(link)["raw"] = "0x" + bytes(raw).hex()


def body(**changed: Any) -> Change:
    """The intent asked for something else, and was hashed."""

    def change(link: Link) -> None:
        link["parts"]["intent"]["body"].update(changed)
        link["parts"]["intent"]["bodyHash"] = digest(link["parts"]["intent"]["body"])

    return change


def breach(link: Link) -> None:
    """A breach that nothing shows, told consistently."""
    delta(link)["verdict"] = link["head"]["verdict"] = "breach"
    link["head"].update(outcome="failed", failedAt="submitting", code="delta_breach", reason="gone")


def gone(link: Link) -> None:
    """Something is missing, and all is said to be well."""
    (asset, changes), *_ = delta(link)["balances"]["deltas"].items()
    delta(link)["balances"]["residual"] = {asset: dict.fromkeys(list(changes)[:1], "-5")}


def moved_elsewhere(link: Link) -> None:
    """Everything but the balances says that somebody else was paid."""
    effect, told = execution(link)["effects"]["movements"][0], delta(link)
    effect["target"] = STRANGER
    asset, source, amount = effect["asset"], effect["source"], effect["amount"]
    told["expected"]["deltas"] = {asset: {source: f"-{amount}", STRANGER: amount}}


def granted(link: Link) -> None:
    """An allowance that the receipt shows, and nobody signed."""
    execution(link)["receipt"]["logs"].append(
        {
            "address": execution(link)["call"]["to"],
            "topics": [
                "0x8c5be1e5ebec7d5bd14f71427d1e84f3dd0314c0f7b2291e5b200ac8c7c3b925",
                "0x" + "00" * 12 + link["head"]["wallet"][2:].lower(),
                "0x" + "00" * 12 + STRANGER[2:],
            ],
            "data": "0x" + "00" * 31 + "09",
        }
    )


def changed_by_others(link: Link, expected: str) -> None:
    """What was decided is no longer what had to happen, and the guard has noticed it."""
    (movement,) = execution(link)["effects"]["movements"]
    asset, source, target = movement["asset"], movement["source"], movement["target"]
    movement["amount"] = "9999"
    delta(link)["notes"] = [DERIVED_AGAIN]
    delta(link)["expected"]["deltas"] = {asset: {source: f"-{expected}", target: expected}}


def short_by(link: Link, amount: int) -> None:
    """Others changed what it does, and whom it paid has got less than that."""
    changed_by_others(link, "1000000")
    (movement,) = execution(link)["effects"]["movements"]
    delta(link)["balances"]["residual"] = {movement["asset"]: {movement["target"]: str(-amount)}}


def nothing_owed(link: Link) -> None:
    """The kernel has noted no debt."""
    logs = execution(link)["receipt"]["logs"]
    logs[:] = [one for one in logs if one["topics"][0] != OWED]


def owed_instead(link: Link) -> None:
    """The kernel has noted a smaller debt."""
    (log,) = (one for one in execution(link)["receipt"]["logs"] if one["topics"][0] == OWED)
    log["data"] = f"0x{BOND - 1:064x}"


def posted(link: Link) -> None:
    """The bond had to be moved."""
    (movement,) = execution(link)["effects"]["movements"]
    asset, source, target, amount = (movement[name] for name in ("asset", "source", "target", "amount"))
    delta(link)["expected"]["deltas"] = {asset: {source: f"-{amount}", target: amount}}


def refusal(link: Link) -> None:
    link["parts"]["simulation"].update(ok=False)


def swap_reason(decision: str) -> Change:
    def change(link: Link) -> None:
        link["parts"]["policy"]["reasons"] = [
            {"rule": "max_amount", "message": "much", "decision": decision, "limit": "5", "used": "7"}
        ]

    return change


def denied_too(link: Link) -> None:
    """Somebody approved what no approval is enough for."""
    policy = link["parts"]["policy"]
    policy["reasons"].append({**policy["reasons"][0], "decision": "deny"})
    policy["riskTier"] = "high"


RECEIPT, DELTA = ("parts", "execution", "receipt"), ("parts", "execution", "delta")

LIES: dict[str, list[tuple[str, str, Change]]] = {
    "ether": [
        ("chain", "another first block", put("head", "genesis")("0x" + "00" * 32)),
        ("chain", "another chain", put("head", "chainId")(1)),
        ("format", "another format", put("head", "format")("actp-proof/9")),
        ("shape", "a field too many", put(*DELTA, "zzz")(1)),
        ("shape", "a number for an amount", put(*DELTA, "receipt", "fee")(1)),
        ("shape", "a kind of its own", put("head", "kind")("gift")),
        ("shape", "a field too few", lambda link: delta(link).pop("notes")),
        ("asked by", "another agent", put("head", "agent")("zoe")),
        ("asked by", "another key", put("head", "key")("order 2")),
        ("bodyHash", "another body", put("parts", "intent", "body", "amount")("8")),
        ("bodyHash", "another hash of it", put("parts", "intent", "bodyHash")(HASH)),
        ("type", "another type", put("head", "type")("create_escrow")),
        ("body", "a body that is none", body(amount="0")),
        ("texts", "a text that nobody wrote", put("parts", "intent", "texts")({HASH: "terms"})),
        ("asked for", "less was asked for", body(amount="999")),
        ("asked for", "another payee was asked for", body(to="0x" + "00" * 19 + "bb")),
        ("transactionId", "an escrow that it is not about", put("head", "transactionId")(HASH)),
        ("effects", "less had to happen", put("parts", "execution", "effects", "movements", 0, "amount")("999")),
        ("effects", "nothing had to happen", put("parts", "execution", "effects", "movements")([])),
        ("decision", "denied, and sent", put("parts", "policy", "decision")("deny")),
        ("policy", "denied for a reason, and sent", put("parts", "policy")(None)),
        ("risk tier", "another risk", put("parts", "policy", "riskTier")("high")),
        ("policyVersion", "by no policy", put("parts", "policy", "policyVersion")("")),
        ("simulation", "refused, and sent", refusal),
        ("simulation", "never simulated, and sent", put("parts", "simulation")(None)),
        ("refusal", "refused for nothing", refusal),
        ("logs", "logs of a node that has none", lambda link: link["parts"]["simulation"]["logs"].append(
            {"address": STRANGER, "topics": [], "data": "0x"})),
        ("simulated on", "simulated where it was mined", lambda link: link["parts"]["simulation"].update(
            block=execution(link)["receipt"]["block"])),
        ("simulated on", "simulated on a block that never was", put("parts", "simulation", "block", "hash")(HASH)),
        ("simulated on", "simulated on a block that was replaced", put("parts", "simulation", "onChain")(False)),
        ("onChain", "simulated nobody knows where", put("parts", "simulation", "onChain")(None)),
        ("code", "confirmed, and failed", put("head", "code")("reverted")),
        ("ended", "mined, and never signed", lambda link: link["head"].update(
            outcome="failed", failedAt="signing", code="x")),
        ("ended", "confirmed, and never mined", put("parts", "execution")(None)),
        ("not mined", "mined, without a receipt", put("parts", "execution")(None)),
        ("txHash", "another eth transaction", put("head", "txHash")(HASH)),
        ("mined in", "another block", put("head", "block")({"number": 1, "hash": HASH})),
        ("verdict", "another verdict", put("head", "verdict")("breach")),
        ("verdict", "no verdict", put(*DELTA)(None)),
        ("outcome", "failed, though all is well", lambda link: link["head"].update(
            outcome="failed", failedAt="submitting", code="reverted")),
        ("outcome", "confirmed, though it is a breach", put(*DELTA, "verdict")("breach")),
        ("hash of the bytes", "other bytes", another),
        ("signed bytes", "no bytes", put("parts", "execution", "raw")("0x02")),
        ("signed by", "another wallet", put("head", "wallet")(STRANGER)),
        ("signed for", "another chain", put("head", "chainId")(1)),
        ("nonce", "another nonce", put("parts", "execution", "nonce")(77)),
        ("sent to", "another payee", put("parts", "execution", "call", "to")(STRANGER)),
        ("value", "another value", put("parts", "execution", "call", "value")("999")),
        ("data", "other data", put("parts", "execution", "call", "dataHash")(HASH)),
        ("receipt's accounts", "another sender", put(*RECEIPT, "from")(STRANGER)),
        ("receipt's accounts", "another recipient", put(*RECEIPT, "to")(STRANGER)),
        ("receipt", "other gas", put(*RECEIPT, "gasUsed")("20999")),
        ("receipt", "an eth transaction that never was", put(*RECEIPT, "txHash")(HASH)),
        *[
            (f"verdict's {name}", f"a verdict on another {name}", put(*DELTA, name)(value))
            for name, value in (
                ("operation_id", 9), ("sender", STRANGER), ("nonce", 9), ("tx_hash", HASH),
                ("block", {"number": 1, "hash": HASH}), ("succeeded", False),
            )
        ],
        ("verdict's blocks", "balances of another time", put(*DELTA, "balances", "after")(10**6)),
        ("E", "nothing was expected", put(*DELTA, "expected", "deltas")({})),
        ("R: status", "it was refused", put(*DELTA, "receipt", "status")("reverted")),
        ("R: fee", "a smaller fee", put(*DELTA, "receipt", "fee")("1")),
        ("R: parts of the fee", "a fee for the layer below", put(*DELTA, "receipt", "l1_fee")("1")),
        ("R: what moved", "nothing moved", put(*DELTA, "receipt", "deltas")({})),
        ("R is E", "somebody else had to be paid", moved_elsewhere),
        ("B: nothing gone", "a loss that is no breach", gone),
        ("B: complete", "no balances", put(*DELTA, "balances", "deltas")({})),
        ("B: complete", "no fee that is known", put(*DELTA, "receipt", "fee")(None)),
        ("cause of a breach", "a breach without a cause", breach),
        ("variance", "nearly", put(*DELTA, "variance_bps")(1)),
        ("residual", "a gift that nobody made", lambda link: delta(link)["balances"].update(
            residual={"ETH": {link["head"]["wallet"]: "5"}})),
    ],
    "tokens": [
        ("texts", "a text that nobody wrote", put("parts", "intent", "texts")({HASH: "terms"})),
        ("asked for", "more was asked for", body(amount="8")),
        ("asked for", "another token was asked for", body(token=dev_accounts()[7].address)),
        ("effects", "another amount", put("parts", "execution", "effects", "movements", 0, "amount")("9")),
        ("approval", "nobody approved it", put("parts", "policy", "approvedBy")(None)),
        ("decision", "denied, and sent", swap_reason("deny")),
        ("decision", "denied by one rule, approved for another, and sent", denied_too),
        ("allowances", "an allowance that nobody signed", granted),
        ("E", "another amount", put("parts", "execution", "effects", "movements", 0, "amount")("9")),
        ("R: what moved", "nothing moved", put(*DELTA, "receipt", "deltas")({})),
        ("B: complete", "no balances", put(*DELTA, "balances", "deltas")({})),
        ("B: nothing gone", "a loss that is no breach", gone),
        ("residual", "a loss that is a breach", gone),
    ],
    "escrow": [
        ("asked for", "other terms", body(terms="two reports")),
        ("texts", "other terms", body(terms="two reports")),
        ("texts", "no terms", put("parts", "intent", "texts")({})),
        ("asked for", "another deadline", body(deadline=2_000_000_000)),
        ("asked for", "another provider", body(provider=dev_accounts()[6].address)),
        ("asked for", "another arbiter", body(arbiter=dev_accounts()[6].address)),
        ("asked for", "another number", body(escrow_numeric_id="2")),
        ("transactionId", "another number", body(escrow_numeric_id="2")),
        ("effects", "no allowance was used", put("parts", "execution", "effects", "allowances")([])),
        ("E", "another allowance was used", put(*DELTA, "expected", "allowances")([])),
    ],
    "refund": [
        ("asked for", "another escrow", body(transaction_id=HASH)),
        ("transactionId", "another escrow", put("head", "transactionId")(HASH)),
        ("E", "another amount", put("parts", "execution", "effects", "movements", 0, "amount")("9")),
        ("E", "others changed it, and more was paid", lambda link: changed_by_others(link, "9")),
        ("B: nothing gone", "others changed it, and less has come", lambda link: short_by(link, 5)),
    ],
    "owed": [
        ("asked for", "other evidence", body(evidence="all came")),
        ("E", "the bond had to be moved", posted),
        ("E", "nothing is owed", nothing_owed),
        ("E", "less is owed", owed_instead),
        ("E", "a movement that no debt stands for", put("parts", "execution", "effects", "movements", 0, "creditable")(
            False)),
        ("E", "the bond has used up an allowance", lambda link: delta(link)["expected"].update(
            allowances=execution(link)["effects"]["allowances"])),
        ("receipt", "nothing is owed", nothing_owed),
    ],
    "refused": [
        ("decision", "allowed, and not sent", put("parts", "policy", "decision")("allow")),
        ("policy", "nobody decided", put("parts", "policy")(None)),
        ("policy", "it waited for an approval", put("head", "failedAt")("approval_gate")),
        ("policy", "it was never judged", put("head", "failedAt")("simulating")),
        ("simulation", "it was never simulated", put("head", "failedAt")("simulating")),
        ("ended", "it happened", lambda link: link["head"].update(
            outcome="confirmed", failedAt=None, code=None)),
        ("not mined", "it was mined", put("head", "txHash")(HASH)),
    ],
}  # fmt: skip
"""The name of the check that finds it, what is said, and how it is said: by the proof that it is about."""

BY_OTHERS = {
    "file", "signature", "whose key", "order", "hash", "valid", "block", "blockchain",
    "intentHash", "policyHash", "simulationHash", "executionHash",
    "whose chain", "time", "one proof", "one nonce", "takes back", "covers", "final",
}  # fmt: skip
"""Checks of which other tests say what they find."""


@pytest.fixture
def honest(request: pytest.FixtureRequest, deployed: Deployment, chain: EmbeddedChain) -> tuple[str, bytes]:
    """What is proved, and the file, which is right."""
    file: bytes = request.getfixturevalue(request.param)
    assert verify(resigned(file, lambda link: None), chain, signer=KEY.address).wrong == ()
    return request.param, file


@pytest.mark.slow
@pytest.mark.parametrize("honest", LIES, indirect=True)
def test_every_signed_lie_is_found_by_the_check_that_is_named(honest: tuple[str, bytes], chain: EmbeddedChain) -> None:
    name, file = honest
    believed = {}
    for check, lie, change in LIES[name]:
        wrong = verify(resigned(file, change), chain, signer=KEY.address).wrong
        if check not in (found := [one.name for one in wrong]):
            believed[check, lie] = found
    assert believed == {}


@pytest.mark.parametrize("honest", LIES, indirect=True)
@pytest.mark.slow
def test_every_check_has_a_lie_that_it_finds(honest: tuple[str, bytes], chain: EmbeddedChain) -> None:
    _, file = honest
    lied = {check for lies in LIES.values() for check, _, _ in lies}
    done = {check.name for check in verify(file, chain, signer=KEY.address).checks if check.result is Result.OK}
    assert {name for name in done if not name.startswith("change of")} - lied - BY_OTHERS == set()


def changed(value: Any) -> Any:
    """Something else of the same kind."""
    match value:
        case None:
            return "0x" + "00" * 32
        case bool():
            return not value
        case int():
            return value + 1
        case str() if value.startswith("0x"):
            return value[:-1] + ("1" if value[-1] == "0" else "0") if len(value) > 2 else "0x00"
        case str() if value.lstrip("-").isdigit():
            return str(int(value) + 1)
        case _:
            return f"{value}x"


def leaves(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The way to everything in it that holds nothing else."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, one in inside:
        yield from leaves(one, (*path, step))
    if not inside and not isinstance(value, dict | list):
        yield path


STATED = {
    ("head", "traceId"),
    ("head", "madeAt"),
    ("head", "reason"),
    ("parts", "policy", "approvedBy"),
    ("parts", "policy", "policyVersion"),
    ("parts", "policy", "reasons", 0, "rule"),
    ("parts", "policy", "reasons", 0, "message"),
    ("parts", "policy", "reasons", 0, "limit"),
    ("parts", "policy", "reasons", 0, "used"),
    ("parts", "simulation", "hasLogs"),
    ("parts", "simulation", "code"),
    ("parts", "simulation", "reason"),
}
"""What nobody but the signer knows."""


@pytest.mark.slow
@pytest.mark.parametrize("honest", ["tokens"], indirect=True)
def test_only_what_the_signer_alone_knows_can_be_changed_unseen(
    honest: tuple[str, bytes], chain: EmbeddedChain
) -> None:
    _, file = honest
    paths = [path for path in leaves(json.loads(file)["links"][0]) if path[0] in ("head", "parts")]
    assert len(paths) > 90
    unseen = set()
    for path in paths:
        if path[0] == "head" and str(path[-1]).endswith("Hash") and path[-1] != "txHash":
            continue  # hashed anew below
        at: Any = json.loads(file)["links"][0]
        for step in path:
            at = at[step]
        change = put(*path)(changed(at))
        if verify(resigned(file, change), chain, signer=KEY.address).ok:
            unseen.add(path)
    assert unseen == STATED


@pytest.mark.parametrize("honest", ["refund"], indirect=True)
def test_what_others_changed_before_it_was_mined_is_not_called_a_lie(
    honest: tuple[str, bytes], chain: EmbeddedChain
) -> None:
    _, file = honest
    report = verify(resigned(file, lambda link: changed_by_others(link, "1000000")), chain, signer=KEY.address)
    assert report.wrong == ()
    assert "E" in {check.name for check in report.not_checked}


@pytest.mark.parametrize("honest", ["refund"], indirect=True)
def test_a_breach_in_what_others_changed_before_it_was_mined_is_not_called_a_lie(honest: tuple[str, bytes]) -> None:
    def change(link: Link) -> None:
        short_by(link, 5)
        breach(link)

    assert verify(resigned(honest[1], change), signer=KEY.address).wrong == ()


@pytest.mark.parametrize("honest", ["ether"], indirect=True)
def test_what_the_node_did_not_tell_the_guard_is_not_called_a_lie(
    honest: tuple[str, bytes], chain: EmbeddedChain
) -> None:
    _, file = honest

    def unsure(link: Link) -> None:
        delta(link)["verdict"] = link["head"]["verdict"] = "incomplete"
        link["head"].update(outcome="failed", failedAt="submitting", code="unverified", reason="not all is known")

    def spanning(link: Link) -> None:
        delta(link)["scope"] = "span"

    def replaced(link: Link) -> None:
        link["parts"]["simulation"].update(onChain=False, block={"number": 1, "hash": HASH})

    for change, check in ((unsure, "incomplete"), (spanning, "residual"), (replaced, "simulated on")):
        report = verify(resigned(file, change), chain, signer=KEY.address)
        assert report.wrong == ()
        assert check in {one.name for one in report.not_checked}
