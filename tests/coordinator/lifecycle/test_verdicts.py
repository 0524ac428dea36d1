"""What the delta guard finds stops whoever spends, in the commit of its verdict; a reorganisation turns it back."""

from __future__ import annotations

import contextlib

import pytest

from actp.chain import dev_accounts
from actp.engine.store import StoreBusy, open_store
from coordinator.errors import AgentPaused
from coordinator.store import losses, pauses, verdicts
from coordinator.types import Stage
from tests.coordinator.lifecycle.support import DAY, PAYEE, House

ATTACKER = dev_accounts()[5]


def settle(lifecycle, rounds=4):
    for _ in range(rounds):
        lifecycle.step()


def test_an_attackers_transfer_on_an_allowance_of_ours_pauses_the_treasury(house):
    owner = house.client_of(house.account)
    owner.token.approve(ATTACKER.address, 3)
    lifecycle = house.lifecycle()
    settle(lifecycle)
    assert lifecycle.paused() == []
    house.client_of(ATTACKER).token._binding.send("transferFrom", house.wallet, ATTACKER.address, 3)
    settle(lifecycle)
    (pause,) = lifecycle.paused()
    assert (pause.agent, pause.by) == (None, "delta guard")
    assert "outflow" in {one.kind for one in house.findings(lifecycle)}
    with pytest.raises(AgentPaused):
        house.pay(lifecycle, 1)
    lifecycle.resume(by="me", reason="allowance taken away")
    assert house.done(lifecycle, house.pay(lifecycle, 1)).stage is Stage.CONFIRMED


def test_our_key_used_outside_the_engine_pauses_the_treasury(house):
    lifecycle = house.lifecycle()
    settle(lifecycle)
    house.client_of(house.account).token.transfer(PAYEE, 1)
    settle(lifecycle)
    assert [one.agent for one in lifecycle.paused()] == [None]
    assert "key_used" in {one.kind for one in house.findings(lifecycle)}


def test_without_auto_pause_a_breach_is_only_written_down(house):
    lifecycle = house.lifecycle(auto_pause_on_breach=False)
    settle(lifecycle)
    house.client_of(house.account).token.transfer(PAYEE, 1)
    settle(lifecycle)
    assert lifecycle.paused() == []
    assert house.findings(lifecycle) != []


def test_a_gift_is_written_down_and_stops_nobody(house):
    lifecycle = house.lifecycle()
    settle(lifecycle)
    house.client_of(dev_accounts()[4]).token.mint(1, house.wallet)
    settle(lifecycle)
    assert lifecycle.paused() == []
    assert house.findings(lifecycle) == []
    assert len(house.findings(lifecycle, "notice")) == 1


def test_an_operation_that_did_something_else_fails_and_pauses_its_agent_in_one_commit(house, monkeypatch):
    lifecycle = house.lifecycle()
    settle(lifecycle)
    operation = house.pay(lifecycle, 7)
    lifecycle.decide()
    # What was decided says 7, and what is signed pays 7: only what must happen was written down wrongly.
    tamper(house, lifecycle, operation)
    monkeypatch.setattr(pauses, "add", failing(pauses.add))
    for _ in range(4):
        with contextlib.suppress(StoreBusy):
            lifecycle.step()
    assert lifecycle.find(operation.id).stage is Stage.SUBMITTING, "no verdict without its pause"
    assert house.verdicts(lifecycle) == []
    monkeypatch.undo()
    done = house.done(lifecycle, operation)
    assert (done.stage, done.failed_at, done.code) == (Stage.FAILED, Stage.SUBMITTING, "delta_breach")
    assert done.tx_hash is not None
    assert [(one.agent, one.by) for one in lifecycle.paused()] == [("ann", "delta guard")]
    (proof,) = lifecycle.proofs_of(done.id)
    assert b'"verdict":"breach"' in proof.parts
    assert lifecycle.response(done)["data"]["deltaGuard"]["ok"] is False


def failing(original):
    def add(*arguments, **named):
        original(*arguments, **named)
        raise StoreBusy("The store is locked.", retryable=True)

    return add


def tamper(house, lifecycle, operation):
    """Changes what the store says must happen."""
    house.truthful = False
    with lifecycle.ledger.write() as connection:
        changed = connection.exec_driver_sql(
            "UPDATE co_decisions SET effects = replace(effects, '\"7\"', '\"6\"') WHERE operation_id = "
            + str(operation.id)
        )
        assert changed.rowcount == 1
    lifecycle._recent.forget([operation.id])


def test_a_reverted_eth_transaction_fails_with_the_contracts_words_and_its_fee_counts(house, monkeypatch):
    lifecycle = house.lifecycle(auto_pause_on_breach=False)
    settle(lifecycle)
    operation = house.pay(lifecycle, 10**9)
    monkeypatch.setattr("coordinator.lifecycle.cases.gas_limit", lambda simulation: 200_000)
    lifecycle.decide()
    # It is not simulated again so soon, and the money goes elsewhere in a block before it.
    house.client_of(house.account).token.transfer("0x" + "06" * 20, 1)
    done = house.done(lifecycle, operation)
    assert (done.stage, done.failed_at, done.code) == (Stage.FAILED, Stage.SUBMITTING, "reverted")
    assert "ERC20InsufficientBalance" in done.reason
    (proof,) = lifecycle.proofs_of(done.id)
    assert b'"succeeded":false' in proof.parts
    with lifecycle.ledger.read() as connection:
        assert list(losses.since(connection, house.key, 0)) == ["ETH"]


@pytest.fixture
def unfinished(faulty):
    """A chain that does not call its newest block final."""
    faulty.always(
        "eth_getBlockByNumber", lambda forward, params: None if params[0] in ("safe", "finalized") else forward()
    )


@pytest.mark.usefixtures("unfinished")
def test_a_reorganisation_reopens_verdict_and_proof_and_the_operation_is_mined_again(house):
    lifecycle = house.lifecycle()
    settle(lifecycle)
    before = house.chain.snapshot()
    operation = house.pay(lifecycle, 7)
    first = house.done(lifecycle, operation)
    assert first.stage is Stage.CONFIRMED
    house.chain.revert(before)
    # Another block takes the place of the one that is gone.
    house.client_of(dev_accounts()[4]).token.mint(1, PAYEE)
    assert house.paid() == 1
    settle(lifecycle, 1)
    assert lifecycle.find(operation.id).stage in (Stage.SUBMITTING, Stage.CONFIRMED)
    again = house.done(lifecycle, operation)
    assert again.stage is Stage.CONFIRMED
    assert again.block != first.block
    assert house.paid() == 8, "paid once on the chain that there is"
    assert ("confirmed", "submitting") in house.journal(lifecycle, operation)
    kinds = [one.kind for one in lifecycle.proofs_of(operation.id)]
    assert kinds == ["proof", "reopened", "proof"]
    with lifecycle.ledger.read() as connection:
        history = verdicts.listed(connection, house.key)
    assert [one.reopened_at is None for one in history] == [True, False]
    assert lifecycle.paused() == []


@pytest.mark.usefixtures("unfinished")
def test_what_was_found_in_blocks_that_are_examined_again_stands_once(house):
    lifecycle = house.lifecycle()
    settle(lifecycle)
    donor = house.client_of(dev_accounts()[4])
    donor.token.mint(1, house.wallet)
    before = house.chain.snapshot()
    donor.token.mint(2, house.wallet)
    settle(lifecycle)  # one examination of both blocks
    assert [one.detail["amount"] for one in house.findings(lifecycle, "notice")] == ["3"]
    house.chain.revert(before)
    donor.token.mint(4, house.wallet)
    settle(lifecycle)
    assert [one.detail["amount"] for one in house.findings(lifecycle, "notice")] == ["5"]
    assert [one.severity for one in house.findings(lifecycle, None)] == ["notice", "void"]


@pytest.mark.usefixtures("unfinished")
def test_a_reorganisation_is_noticed_without_a_guard_too(house):
    lifecycle = house.lifecycle(guard=False)
    settle(lifecycle)
    before = house.chain.snapshot()
    operation = house.pay(lifecycle, 7)
    first = house.done(lifecycle, operation)
    house.chain.revert(before)
    house.client_of(dev_accounts()[4]).token.mint(1, PAYEE)
    for _ in range(40):
        lifecycle.step()
        now = lifecycle.find(operation.id)
        if now.stage is Stage.CONFIRMED and now.block != first.block:
            break
    assert now.block != first.block
    assert house.paid() == 8
    assert [one.kind for one in lifecycle.proofs_of(operation.id)] == ["proof", "reopened", "proof"]


def test_what_the_chain_calls_final_is_proved_to_be_and_never_touched_again(house):
    lifecycle = house.lifecycle()
    operation = house.pay(lifecycle, 7)
    done = house.done(lifecycle, operation)
    for _ in range(10):
        lifecycle._worker.step()
        lifecycle._keeping._finalize()
    kinds = [one.kind for one in house.proofs(lifecycle)]
    assert kinds == ["proof", "finalized"], "once, and not again in every round"
    assert lifecycle.proofs_of(done.id)[0].proof_hash.encode() in house.proofs(lifecycle)[-1].head


@pytest.mark.slow
def test_what_others_did_to_an_escrow_before_our_step_was_mined_is_no_breach(house):
    requester, lifecycle = house.client_of(dev_accounts()[4]), house.lifecycle()
    requester.token.mint(10**8)
    requester.token.approve(requester.escrow.address, 10**8)
    receipt = requester.pay(
        provider=house.wallet, amount=10**8, deadline=requester.now() + DAY, dispute_window=3_600, idempotency_key="1"
    )
    number = receipt.transaction_id
    settle(lifecycle)
    assert house.done(lifecycle, lifecycle.submit("accept_escrow", {"transaction_id": number}, agent="ann")).stage is (
        Stage.CONFIRMED
    )
    refund = lifecycle.submit("refund_escrow", {"transaction_id": number}, agent="ann")
    lifecycle.decide()
    assert lifecycle.find(refund.id).stage is Stage.SIGNING
    requester.kernel.release_milestone(number, 10**7)
    done = house.done(lifecycle, refund)
    assert (done.stage, done.reason) == (Stage.CONFIRMED, None)
    assert house.findings(lifecycle) == []
    assert lifecycle.paused() == []


@pytest.mark.usefixtures("unfinished")
def test_on_a_development_chain_that_is_set_back_what_was_mined_is_undone_and_not_sent_again(
    chain, faulty, deployed, accounts
):
    store = open_store("sqlite://")
    house = House(chain, faulty, deployed, accounts[1], store)
    lifecycle = house.lifecycle()
    settle(lifecycle)
    before = chain.snapshot()
    operation = house.pay(lifecycle, 7)
    assert house.done(lifecycle, operation).stage is Stage.CONFIRMED
    settle(lifecycle)  # until the engine has seen it too
    chain.revert(before)
    house.client_of(dev_accounts()[4]).token.mint(1, PAYEE)
    settle(lifecycle)
    done = house.done(lifecycle, operation)
    assert (done.stage, done.code, done.block) == (Stage.FAILED, "undone", None)
    assert house.paid() == 1
    assert [one.kind for one in lifecycle.proofs_of(operation.id)] == ["proof", "reopened", "proof"]
    assert house.done(lifecycle, house.pay(lifecycle, 2)).stage is Stage.CONFIRMED
    store.close()
