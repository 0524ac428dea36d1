"""What cannot be built says which state, role or kernel is missing, before anything is sent."""

from __future__ import annotations

from typing import Any

import pytest

from actp.chain import DevAccount, EmbeddedChain
from actp.client import ACTPClient
from actp.errors import (
    ActpError,
    InvalidInput,
    NoCode,
    RpcError,
    RpcUnavailable,
    UnacceptedClauses,
    UnknownTransaction,
    UnsupportedByKernel,
)
from actp.networks import Endpoint
from actp.orders import Milestone
from actp.rpc import genesis_hash
from actp.signers import LocalSigner
from actp.testing import Disconnect, FaultyTransport, fail
from actp.units import usdc
from coordinator.errors import InvalidIntent, MissingRole, UnsupportedProtocol, WrongState
from coordinator.intents import Built, World, build, build_all, parse
from tests.client.g1 import deploy_g1
from tests.client.support import DAY, HOUR, NOBODY, PRICE, delivered, disputed, started, terms
from tests.coordinator.intents.support import built

PLENTY = usdc(900)


@pytest.fixture
def committed(requester: ACTPClient, provider: ACTPClient) -> str:
    return paid(requester, provider)


def paid(requester: ACTPClient, provider: ACTPClient, /, **more: Any) -> str:
    return requester.pay(**{**terms(requester, provider), **more}).transaction_id


def opening(client: ACTPClient, provider: str, /, **more: Any) -> dict[str, Any]:
    usual = {"escrow_numeric_id": 1, "provider": provider, "amount": PRICE, "deadline": client.now() + DAY}
    return {**usual, **more}


def refused(client: ACTPClient, kind: type[ActpError], type: str, code: str | None = None, **fields: Any) -> ActpError:
    with pytest.raises(kind) as caught:
        built(client, type, **fields)
    error = caught.value
    assert error.outcome == "not_sent"
    assert error.hint
    assert code in (None, error.code)
    return error


# -------------------------------------------------------------------- payments


def test_payments_to_where_money_is_lost_are_refused(requester: ACTPClient) -> None:
    lost = (requester.kernel.address, requester.escrow.address, requester.token.address, requester.address)
    for account in lost:
        for type in ("transfer_eth", "transfer_erc20"):
            refused(requester, InvalidIntent, type, to=account, amount=1)


def test_a_token_without_code_is_refused(requester: ACTPClient, stranger: ACTPClient) -> None:
    """A call to such an address would succeed, and move nothing."""
    refused(requester, NoCode, "transfer_erc20", to=stranger.address, amount=1, token="0x" + "77" * 20)


def test_nobody_but_the_vault_is_ever_approved(requester: ACTPClient, stranger: ACTPClient) -> None:
    refused(requester, InvalidIntent, "approve_erc20", "other_spender", amount=1, spender=stranger.address)
    refused(requester, InvalidIntent, "approve_erc20", "other_token", amount=1, token=requester.kernel.address)


# -------------------------------------------------------------------- opening


def test_terms_that_the_kernel_would_refuse(requester: ACTPClient, provider: ACTPClient) -> None:
    now = requester.now()
    for change in (
        {"provider": requester.address},
        {"provider": requester.escrow.address},
        {"amount": 49_999},
        {"amount": 2**62},
        {"deadline": now},
        {"deadline": now + 367 * DAY},
        {"dispute_window": HOUR - 1},
        {"arbiter": provider.address},
        {"arbiter": requester.address},
    ):
        refused(requester, InvalidInput, "create_escrow", **opening(requester, provider.address, **change))
    for change in ({"provider": requester.address}, {"amount": 49_999}, {"deadline": now}):
        good = opening(requester, provider.address)
        both = [good, {**good, "escrow_numeric_id": 2, **change}]
        refused(requester, InvalidInput, "create_escrow_batch", orders=both)
    for part in ({"deadline": now + 2 * DAY}, {"deadline": now}):
        fields = opening(requester, provider.address, milestones=[{"amount": PRICE, **part}])
        refused(requester, InvalidInput, "create_milestone_escrow", **fields)


def test_another_fee_recipient_or_creator_is_refused(
    requester: ACTPClient, provider: ACTPClient, stranger: ACTPClient, committed: str
) -> None:
    other = {"fee_recipient": stranger.address}
    refused(requester, InvalidIntent, "create_escrow", "fee_recipient", **opening(requester, provider.address, **other))
    refused(requester, InvalidIntent, "release_escrow", "fee_recipient", transaction_id=committed, **other)
    fields = opening(requester, provider.address, creator=stranger.address)
    refused(requester, MissingRole, "create_escrow", **fields)


# -------------------------------------------------------------------- states and roles


def test_an_escrow_that_nobody_made(requester: ACTPClient) -> None:
    refused(requester, UnknownTransaction, "release_escrow", transaction_id=NOBODY)
    refused(requester, UnknownTransaction, "accept_escrow", creator=requester.address, escrow_numeric_id=7)


def test_an_escrow_of_somebody_else_than_was_said(
    requester: ACTPClient, provider: ACTPClient, stranger: ACTPClient, committed: str
) -> None:
    for said in ({"provider": stranger.address}, {"creator": provider.address}):
        refused(provider, InvalidIntent, "accept_escrow", "other_party", transaction_id=committed, **said)


def test_work_is_the_providers(requester: ACTPClient, provider: ACTPClient, committed: str) -> None:
    for type in ("accept_escrow", "deliver_escrow"):
        error = refused(requester, MissingRole, type, transaction_id=committed)
        assert "provider" in error.message
    refused(provider, InvalidIntent, "deliver_escrow", transaction_id=committed, dispute_window=31 * DAY)
    requester.chain.time_travel(DAY + 2)
    for type in ("accept_escrow", "deliver_escrow"):
        refused(provider, WrongState, type, "deadline_passed", transaction_id=committed)


def test_a_provider_that_accepts_no_arbiters_starts_nothing(
    requester: ACTPClient, arbiter: ACTPClient, endpoint: Endpoint, accounts: tuple[DevAccount, ...]
) -> None:
    careful = ACTPClient(endpoint, LocalSigner(accounts[2].private_key))
    tx_id = paid(requester, careful, arbiter=arbiter.address)
    for type in ("accept_escrow", "deliver_escrow"):
        refused(careful, UnacceptedClauses, type, transaction_id=tx_id)


def test_each_step_names_the_state_that_it_needs(
    requester: ACTPClient, provider: ACTPClient, resolver: ACTPClient, committed: str
) -> None:
    running = started(requester, provider)
    done = delivered(requester, provider)
    ended = delivered(requester, provider)
    requester.release_escrow(ended)
    for client, type, tx_id, need, more in (
        (provider, "accept_escrow", running, "COMMITTED", {}),
        (provider, "deliver_escrow", done, "IN_PROGRESS or COMMITTED", {}),
        (requester, "release_escrow", committed, "DELIVERED or IN_PROGRESS", {}),
        (requester, "release_escrow", ended, "DELIVERED or IN_PROGRESS", {}),
        (requester, "release_milestone", committed, "IN_PROGRESS", {"amount": PRICE}),
        (requester, "refund_escrow", done, "COMMITTED or IN_PROGRESS", {}),
        (requester, "dispute_escrow", running, "DELIVERED", {}),
        (resolver, "resolve_dispute", done, "DISPUTED", {"decision": "refund"}),
    ):
        error = refused(client, WrongState, type, "wrong_state", transaction_id=tx_id, **more)
        assert f"needs {need}." in error.message


def test_who_may_release(requester: ACTPClient, provider: ACTPClient, stranger: ACTPClient) -> None:
    running, done = started(requester, provider), delivered(requester, provider)
    for client in (provider, stranger):
        for tx_id in (running, done):
            refused(client, MissingRole, "release_escrow", transaction_id=tx_id)
        refused(client, MissingRole, "release_milestone", transaction_id=running, amount=PRICE)


def test_parts_that_cannot_be_paid(requester: ACTPClient, provider: ACTPClient) -> None:
    free = started(requester, provider)
    for amount in (PRICE + 1, 49_999):
        fields = {"transaction_id": free, "amount": amount}
        refused(requester, InvalidIntent, "release_milestone", "milestone_out_of_bounds", **fields)
    refused(requester, InvalidIntent, "release_milestone", "unknown_milestone", transaction_id=free, index=0)

    parts = [Milestone(usdc(40), requester.now() + HOUR), Milestone(usdc(60), requester.now() + HOUR)]
    fixed = paid(requester, provider, milestones=parts)
    provider.kernel.start(fixed)
    refused(requester, InvalidIntent, "release_milestone", "schedule_agreed", transaction_id=fixed, amount=usdc(40))
    error = refused(requester, WrongState, "release_escrow", "schedule_open", transaction_id=fixed)
    assert "0, 1" in error.hint
    requester.kernel.pay_milestone(fixed, 0)
    refused(requester, WrongState, "release_milestone", "milestone_not_locked", transaction_id=fixed, index=0)
    refused(requester, InvalidIntent, "release_milestone", "unknown_milestone", transaction_id=fixed, index=2)


def test_refunds_before_their_time(
    requester: ACTPClient, provider: ACTPClient, stranger: ACTPClient, committed: str
) -> None:
    refused(requester, WrongState, "refund_escrow", "refund_not_due", transaction_id=committed)
    refused(stranger, MissingRole, "refund_escrow", transaction_id=committed)
    requester.chain.time_travel(DAY + 2)
    refused(stranger, MissingRole, "refund_escrow", transaction_id=committed)
    assert built(requester, "refund_escrow", transaction_id=committed).effects.movements
    opened = requester.open_payment(**terms(requester, provider)).transaction_id
    refused(provider, MissingRole, "refund_escrow", transaction_id=opened)


def test_what_was_paid_in_full_is_not_refunded(requester: ACTPClient, provider: ACTPClient) -> None:
    tx_id = started(requester, provider)
    requester.kernel.release_milestone(tx_id, PRICE)
    refused(provider, WrongState, "refund_escrow", "nothing_left", transaction_id=tx_id)


def test_disputes_of_others_and_after_the_window(
    requester: ACTPClient, provider: ACTPClient, stranger: ACTPClient
) -> None:
    tx_id = delivered(requester, provider)
    refused(stranger, MissingRole, "dispute_escrow", transaction_id=tx_id)
    refused(requester, InvalidInput, "dispute_escrow", transaction_id=tx_id, evidence="0xzz")
    requester.chain.time_travel(HOUR + 2)
    refused(requester, WrongState, "dispute_escrow", "window_closed", transaction_id=tx_id)


def test_who_may_rule(
    requester: ACTPClient, provider: ACTPClient, resolver: ACTPClient, arbiter: ACTPClient, stranger: ACTPClient
) -> None:
    plain = disputed(requester, provider)
    for client in (requester, provider, stranger, arbiter):
        refused(client, MissingRole, "resolve_dispute", transaction_id=plain, decision="release")
    named = paid(requester, provider, arbiter=arbiter.address)
    provider.kernel.deliver(named)
    requester.kernel.dispute(named)
    for client in (requester, resolver):
        error = refused(client, MissingRole, "resolve_dispute", transaction_id=named, decision="release")
        assert arbiter.address in error.message
    split = {"decision": "split", "requester_amount": 1, "provider_amount": PRICE, "provider_at_fault": True}
    refused(arbiter, InvalidIntent, "resolve_dispute", "split_mismatch", transaction_id=named, **split)


def test_splits_that_are_no_consent(requester: ACTPClient, provider: ACTPClient, stranger: ACTPClient) -> None:
    tx_id = delivered(requester, provider)
    until = requester.now() + HOUR
    fields = {
        "transaction_id": tx_id,
        "requester_amount": 1,
        "provider_amount": PRICE - 1,
        "valid_until": until,
        "provider_signature": provider.sign_split(tx_id, 1, PRICE - 1, until).signature,
    }
    for client, code, change in (
        (requester, "split_mismatch", {"requester_amount": 2}),
        (requester, "consent_missing", {"provider_signature": None}),
        (stranger, "consent_missing", {}),
    ):
        refused(client, InvalidIntent, "settle_by_consent", code, **{**fields, **change})
    forged = built(requester, "settle_by_consent", **{**fields, "provider_signature": "0x" + "1b" * 65}).call
    with pytest.raises(RpcError):
        requester.transport.request(
            "eth_call", [{"from": requester.address, "to": forged.to, "data": "0x" + forged.data.hex()}, "latest"]
        )
    requester.chain.time_travel(HOUR + 2)
    requester.chain.mine()
    refused(requester, WrongState, "settle_by_consent", "consent_expired", **fields)
    requester.kernel.settle(tx_id)
    refused(requester, WrongState, "settle_by_consent", "wrong_state", **fields)


def test_questions_are_not_built(requester: ACTPClient) -> None:
    refused(requester, UnsupportedProtocol, "query_balance")


# -------------------------------------------------------------------- older kernels


def test_on_kernels_without_salts_escrows_are_unsupported_and_payments_are_not(
    chain: EmbeddedChain, accounts: tuple[DevAccount, ...]
) -> None:
    old = Endpoint(chain, chain.chain_id, genesis_hash(chain, chain.chain_id), deploy_g1(chain), chain=chain)
    client = ACTPClient(old, LocalSigner(accounts[1].private_key))
    refused(client, UnsupportedByKernel, "create_escrow", **opening(client, accounts[2].address))
    refused(client, UnsupportedByKernel, "accept_escrow", transaction_id=NOBODY)
    assert built(client, "transfer_erc20", to=accounts[2].address, amount=1).call.to == client.token.address


# -------------------------------------------------------------------- batches


def over(faulty: FaultyTransport, endpoint: Endpoint, account: DevAccount) -> ACTPClient:
    there = Endpoint(faulty, endpoint.chain_id, endpoint.genesis, endpoint.deployment, chain=endpoint.chain)
    return ACTPClient(there, LocalSigner(account.private_key))


def test_one_bad_intent_does_not_hold_up_the_others(
    requester: ACTPClient, provider: ACTPClient, committed: str
) -> None:
    intents = [
        parse("transfer_eth", {"to": provider.address, "amount": 1}),
        parse("accept_escrow", {"transaction_id": committed}),
        parse("release_escrow", {"transaction_id": NOBODY}),
        parse("create_escrow", opening(requester, provider.address)),
    ]
    answers = build_all(intents, World(requester))
    assert [type(answer) for answer in answers] == [Built, MissingRole, UnknownTransaction, Built]


def test_two_steps_of_one_escrow_are_not_built_at_once(requester: ACTPClient, provider: ACTPClient) -> None:
    """What the second must do depends on the first."""
    tx_id = started(requester, provider)
    step = parse("release_milestone", {"transaction_id": tx_id, "amount": usdc(10)})
    create = parse("create_escrow", opening(requester, provider.address))
    both = [opening(requester, provider.address, escrow_numeric_id=number) for number in (2, 1)]
    batch = parse("create_escrow_batch", {"orders": both})
    first, second, third, fourth, fifth = build_all([step, step, create, create, batch], World(requester))
    assert isinstance(first, Built)
    assert isinstance(third, Built)
    for busy in (second, fourth, fifth):
        assert isinstance(busy, WrongState)
        assert (busy.code, busy.retryable) == ("escrow_busy", True)


def test_a_batch_is_read_in_one_exchange_and_creates_ask_nothing_more(
    endpoint: Endpoint, requester: ACTPClient, provider: ACTPClient, accounts: tuple[DevAccount, ...]
) -> None:
    ids = [started(requester, provider) for _ in range(3)]
    faulty = FaultyTransport(endpoint.transport)
    world = World(over(faulty, endpoint, accounts[1]))
    intents = [parse("release_escrow", {"transaction_id": tx_id}) for tx_id in ids]
    intents += [parse("create_escrow", opening(requester, provider.address, escrow_numeric_id=n)) for n in range(20)]
    build_all(intents, world)  # the kernel's constants are read once in a client's life
    exchanges: list[list[str]] = []
    batch = faulty.batch

    def counting(calls: Any) -> list[Any]:
        exchanges.append([method for method, _ in calls])
        return batch(calls)

    faulty.batch = counting  # type: ignore[method-assign]
    world.prepare(intents)
    assert [len(calls) for calls in exchanges] == [2, 1], "the newest block, and all nine views"
    exchanges.clear()
    assert all(isinstance(build(intent, world), Built) for intent in intents)
    assert exchanges == []


def test_a_node_that_is_gone_is_no_refusal(
    endpoint: Endpoint, requester: ACTPClient, provider: ACTPClient, accounts: tuple[DevAccount, ...]
) -> None:
    tx_id = started(requester, provider)
    faulty = FaultyTransport(endpoint.transport)
    world = World(over(faulty, endpoint, accounts[1]))
    intents = [parse("release_escrow", {"transaction_id": tx_id})]
    for fault in (fail(RpcError(-32000, "header not found")), fail(RpcError(-32005, "limit exceeded")), _gone):
        faulty.always("eth_call", fault)
        with pytest.raises(RpcUnavailable):
            build_all(intents, world)
        assert not world.knows(intents[0])
    faulty.clear()
    faulty.once("eth_getBlockByNumber", _gone)
    with pytest.raises(RpcUnavailable):
        build_all(intents, world)
    assert isinstance(build_all(intents, world)[0], Built)


def _gone(forward: Any, params: list[Any]) -> Any:
    raise Disconnect
