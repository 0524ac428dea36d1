"""What others do to an escrow in the very block of our step, just before it, or what the token refuses there: ours to
explain to the last unit, and never a reason to pause.
"""

from __future__ import annotations

import pytest

from actp import artifacts
from actp.chain import dev_accounts
from actp.client import ACTPClient
from actp.errors import RpcError
from actp.signers import LocalSigner
from actp.types import EthTransaction, State
from coordinator.lifecycle import Lifecycle
from coordinator.store import verdicts
from coordinator.types import Stage
from tests.client.support import BOND, FEE, HOUR, PRICE, act, delivered, started
from tests.coordinator.lifecycle.support import HASTY

pytestmark = pytest.mark.slow

STRANGER, OTHER = dev_accounts()[5], dev_accounts()[2]


@pytest.fixture
def other(house) -> ACTPClient:
    """The other party, with 1,000 USDC."""
    return rich(house, OTHER)


@pytest.fixture
def stranger(house) -> ACTPClient:
    return rich(house, STRANGER)


def rich(house, account):
    client = house.client_of(account)
    client.token.mint(10 * PRICE)
    client.token.approve(client.escrow.address, 10 * PRICE)
    return client


def in_one_block(house, lifecycle, operation, by, function, *arguments):
    """Mines the operation in one block with a call of the kernel by somebody else, which comes first."""
    lifecycle.decide()
    assert lifecycle.find(operation.id).stage is Stage.SIGNING, lifecycle.find(operation.id)
    house.chain.request("evm_setAutomine", [False])
    nonce = int(house.chain.request("eth_getTransactionCount", [by.address, "latest"]), 16)
    data = artifacts.load("ACTPKernel").call_data(function, arguments)
    first = EthTransaction(31_337, nonce, house.client.kernel.address, 0, data, 1_000_000, 10**12, 10**11)
    raw = LocalSigner(by.private_key).sign_transaction(first)
    house.chain.request("eth_sendRawTransaction", ["0x" + raw.hex()])
    for _ in range(4):
        lifecycle.step()
    house.chain.request("evm_mine", [])
    house.chain.request("evm_setAutomine", [True])
    done = house.done(lifecycle, operation)
    block = house.chain.request("eth_getBlockByNumber", [hex(done.block.number), False])
    assert (len(block["transactions"]), block["transactions"][1]) == (2, done.tx_hash)
    statuses = [house.chain.request("eth_getTransactionReceipt", [each])["status"] for each in block["transactions"]]
    assert statuses == ["0x1", "0x1"]
    return done


def explained(house, lifecycle, done, *, derived_again=True):
    """Every unit of it is explained, for the allowance too. Its proof is right by the chain; what it had to do, if that
    is derived again, only whoever derives it once more can check.
    """
    assert not_checked(house, done.wallet) == ({"E"} if derived_again else set())
    assert (done.stage, done.reason) == (Stage.CONFIRMED, None)
    assert [(one.kind, one.detail["message"]) for one in house.findings(lifecycle)] == []
    assert lifecycle.paused() == []
    return house.verdicts(lifecycle)[0].evidence["expected"]["deltas"].get(house.usdc, {})


def not_checked(house, wallet):
    """What verifying the wallet's proofs leaves open, who wrote them aside. Nothing in them is wrong."""
    report = house.reports()[wallet]
    assert report.wrong == ()
    return {one.name for one in report.not_checked} - {"whose key", "final"}


@pytest.fixture
def owner(house):
    """The treasury's key before the lifecycle has it, with an allowance for the vault."""
    client = house.client_of(house.account)
    client.token.approve(client.escrow.address, 5 * PRICE)
    return client


def begun(house):
    """A lifecycle that takes everything up to now as it is."""
    lifecycle = house.lifecycle()
    lifecycle.step()
    return lifecycle


def tx(number):
    return bytes.fromhex(number[2:])


def disputing(lifecycle, number):
    return lifecycle.submit("dispute_escrow", {"transaction_id": number, "evidence": "nothing came"}, agent="ann")


def test_a_strangers_bond_just_before_our_dispute_pauses_nobody(house, owner, other, stranger):
    number = delivered(owner, other)
    lifecycle, before = begun(house), owner.token.balance_of(house.wallet)
    dispute = disputing(lifecycle, number)
    done = in_one_block(house, lifecycle, dispute, STRANGER, "postBond", tx(number), house.wallet)
    assert explained(house, lifecycle, done) == {}
    assert owner.token.balance_of(house.wallet) == before
    assert owner.kernel.bonds_of(number).requester.poster == stranger.address


def test_a_strangers_bond_for_the_other_party_leaves_us_ours_to_post(house, owner, other, stranger):
    number = delivered(owner, other)
    lifecycle = begun(house)
    dispute = disputing(lifecycle, number)
    done = in_one_block(house, lifecycle, dispute, STRANGER, "postBond", tx(number), other.address)
    paid = explained(house, lifecycle, done, derived_again=False)
    assert paid == {house.wallet: str(-BOND), owner.escrow.address: str(BOND)}


def test_a_bond_that_the_token_refuses_is_owed_and_pauses_nobody(house, owner, other):
    number = delivered(owner, other)
    lifecycle = begun(house)
    act(house.client.endpoint, 0, "TestUSDC", "blacklist", house.wallet)
    done = house.done(lifecycle, disputing(lifecycle, number))
    assert explained(house, lifecycle, done, derived_again=False) == {}
    assert owner.kernel.bonds_of(number).owed == BOND


def test_a_milestone_that_is_paid_just_before_our_refund_pauses_nobody(house, other):
    number = started(other, house.client_of(house.account))
    lifecycle = begun(house)
    refund = lifecycle.submit("refund_escrow", {"transaction_id": number}, agent="ann")
    done = in_one_block(house, lifecycle, refund, OTHER, "releaseMilestone", tx(number), PRICE // 4)
    left = PRICE - PRICE // 4
    assert explained(house, lifecycle, done) == {other.escrow.address: str(-left), other.address: str(left)}


def test_where_nobody_can_tell_what_others_changed_it_is_unverified_and_its_proof_says_no_more(house, faulty, other):
    number = started(other, house.client_of(house.account))
    lifecycle = begun(house)
    refund = lifecycle.submit("refund_escrow", {"transaction_id": number}, agent="ann")

    def silent(forward, params):
        if params[0]["address"] == house.client.kernel.address:
            raise RpcError(-32_000, "no logs of this contract")
        return forward()

    faulty.always("eth_getLogs", silent)
    done = in_one_block(house, lifecycle, refund, OTHER, "releaseMilestone", tx(number), PRICE // 4)
    assert (done.stage, done.code) == (Stage.FAILED, "unverified")
    assert "cannot be derived again: no logs of this contract" in done.reason
    assert lifecycle.paused() == []
    assert not_checked(house, house.wallet) == set()


def test_a_bond_just_before_a_split_by_consent_pauses_nobody(house, owner, other, stranger):
    number = delivered(owner, other)
    split, until = (PRICE // 2, PRICE // 2), owner.now() + HOUR
    signature = other.sign_split(number, *split, until).signature
    lifecycle = begun(house)
    consent = {
        "transaction_id": number,
        "requester_amount": str(split[0]),
        "provider_amount": str(split[1]),
        "valid_until": until,
        "provider_signature": signature,
    }
    operation = lifecycle.submit("settle_by_consent", consent, agent="ann")
    done = in_one_block(house, lifecycle, operation, STRANGER, "postBond", tx(number), house.wallet)
    paid = explained(house, lifecycle, done)
    assert (paid[house.wallet], paid[stranger.address]) == (str(split[0]), str(BOND))


def test_a_dispute_just_before_a_split_by_consent_pauses_nobody(house, owner, other):
    number = delivered(owner, other)
    split, until = (PRICE // 2, PRICE // 2), owner.now() + HOUR
    signature = other.sign_split(number, *split, until).signature
    lifecycle = begun(house)
    consent = {
        "transaction_id": number,
        "requester_amount": str(split[0]),
        "provider_amount": str(split[1]),
        "valid_until": until,
        "provider_signature": signature,
    }
    operation = lifecycle.submit("settle_by_consent", consent, agent="ann")
    dispute = (tx(number), State.DISPUTED.value, b"")
    done = in_one_block(house, lifecycle, operation, OTHER, "transitionState", *dispute)
    paid = explained(house, lifecycle, done)
    assert paid[other.address] == str(split[1] - FEE // 2 + BOND)


@pytest.mark.parametrize("parts", [None, (PRICE // 4, PRICE - PRICE // 4)])
def test_an_owed_bond_that_is_posted_just_before_our_ruling_pauses_nobody(house, other, stranger, parts):
    requester = rich(house, dev_accounts()[3])
    number = delivered(requester, other)
    act(house.client.endpoint, 0, "TestUSDC", "blacklist", requester.address)
    requester.kernel.dispute(number)
    act(house.client.endpoint, 0, "TestUSDC", "unBlacklist", requester.address)
    assert requester.kernel.bonds_of(number).owed == BOND
    judge = Lifecycle(house.client_of(dev_accounts()[0], house.store), engine_policy=HASTY)
    judge.step()
    words = {"transaction_id": number, "decision": "release"}
    if parts is not None:
        words |= {"decision": "split", "requester_amount": str(parts[0]), "provider_amount": str(parts[1])}
        words["provider_at_fault"] = False
    ruling = judge.submit("resolve_dispute", words, agent="ann")
    done = in_one_block(house, judge, ruling, STRANGER, "postBond", tx(number), requester.address)
    assert (done.stage, done.reason, judge.paused()) == (Stage.CONFIRMED, None, [])
    assert not_checked(house, judge.wallet) == {"E"}
    given, kept = parts or (0, PRICE)
    paid = {other.address: kept - kept // 100 + BOND} | ({requester.address: given} if given else {})
    with judge.ledger.read() as connection:
        (verdict,) = verdicts.listed(connection, judge._desk.account)
    deltas = verdict.evidence["expected"]["deltas"][house.usdc]
    assert {one: int(more) for one, more in deltas.items() if int(more) > 0} == paid
