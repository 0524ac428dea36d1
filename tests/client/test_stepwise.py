"""Paying on kernels without salts: an idempotency key is found among the account's own events."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from actp import artifacts, stepwise
from actp.artifacts import Artifact
from actp.chain import DevAccount, EmbeddedChain
from actp.client import ACTPClient
from actp.errors import (
    IdempotencyConflict,
    InvalidInput,
    OutcomeUnknown,
    RpcError,
    RpcUnavailable,
    UnsupportedByKernel,
)
from actp.intents import Payment, PaymentOrder
from actp.kernel_views import Generation
from actp.networks import Endpoint
from actp.orders import Milestone, bound_service_hash, salt_of
from actp.rpc import genesis_hash
from actp.signers import LocalSigner
from actp.types import State
from tests.client import g1
from tests.client.support import DAY, NOBODY, PRICE, PURSE, in_threads, nonce, refused, state, terms
from tests.engine.faults import FaultyTransport
from tests.engine.helpers import SEND, answers, raises

KEY = "order 4711"
RECEIPT = "eth_getTransactionReceipt"


@pytest.fixture
def chain() -> EmbeddedChain:
    """A chain for one test: some of these leave eth transactions behind whose outcome stays unknown."""
    return EmbeddedChain()


@pytest.fixture
def endpoint(chain: EmbeddedChain) -> Endpoint:
    return Endpoint(chain, chain.chain_id, genesis_hash(chain, chain.chain_id), g1.deploy_g1(chain), chain=chain)


def created(client: ACTPClient) -> list[str | None]:
    return [event.transaction_id for event in client.events.created_by(client.address)]


def test_a_payment_takes_two_steps_and_is_found_by_its_key(
    requester: ACTPClient, provider: ACTPClient, endpoint: Endpoint, accounts: tuple[DevAccount, ...]
) -> None:
    wanted = {**terms(requester, provider), "metadata": "a report"}
    first = requester.pay(**wanted, idempotency_key=KEY)
    assert (first.found, first.state) == (False, State.COMMITTED)
    assert requester.token.allowance(requester.escrow.address) == 0
    before = nonce(requester.chain, requester.address)
    twin = ACTPClient(endpoint, LocalSigner(accounts[1].private_key))
    for client in (requester, twin):
        again = client.pay(**wanted, idempotency_key=KEY)
        assert (again.transaction_id, again.found, again.state) == (first.transaction_id, True, State.COMMITTED)
    assert nonce(requester.chain, requester.address) == before
    assert requester.balances().usdc == PURSE - PRICE
    record = requester.kernel.get_transaction(first.transaction_id)
    from actp.units import hash_or_keccak

    assert record.service_hash == bound_service_hash(salt_of(KEY), hash_or_keccak("a report"))


def test_without_a_key_every_call_pays_and_the_service_hash_is_left_alone(
    requester: ACTPClient, provider: ACTPClient
) -> None:
    wanted = {**terms(requester, provider), "metadata": "0x" + "5e" * 32}
    ids = {requester.pay(**wanted).transaction_id for _ in range(2)}
    assert len(ids) == 2
    assert {requester.kernel.get_transaction(each).service_hash for each in ids} == {"0x" + "5e" * 32}


def test_other_keys_are_other_payments_and_other_terms_a_conflict(
    requester: ACTPClient, provider: ACTPClient, endpoint: Endpoint
) -> None:
    wanted = terms(requester, provider)
    first = requester.pay(**wanted, idempotency_key=KEY)
    assert requester.pay(**wanted, idempotency_key="another").transaction_id != first.transaction_id
    with refused(IdempotencyConflict, requester, endpoint) as refusal:
        requester.pay(**{**wanted, "amount": PRICE + 1}, idempotency_key=KEY)
    assert isinstance(refusal.error, IdempotencyConflict)
    assert refusal.error.differing == ("amount",)


@pytest.mark.slow
def test_a_payment_that_was_only_created_is_continued(
    buyer: ACTPClient, faulty: FaultyTransport, provider: ACTPClient
) -> None:
    wanted = terms(buyer, provider)
    real: Callable[[Callable[[], Any], list[Any]], Any] = lambda go_on, params: go_on()  # noqa: E731
    faulty.once(SEND, real, raises(RpcError(-32000, "insufficient funds for gas * price + value")))
    with pytest.raises(Exception, match="is created and not funded"):
        buyer.pay(**wanted, idempotency_key=KEY)
    (only,) = created(buyer)
    assert state(buyer, str(only)) is State.INITIATED
    payment = buyer.pay(**wanted, idempotency_key=KEY)
    assert (payment.transaction_id, payment.found, payment.state) == (only, True, State.COMMITTED)
    assert created(buyer) == [only]


@pytest.mark.slow
def test_a_create_whose_outcome_was_unknown_is_found(
    buyer: ACTPClient, faulty: FaultyTransport, provider: ACTPClient
) -> None:
    wanted = terms(buyer, provider)
    faulty.always(RECEIPT, answers(None))
    with pytest.raises(OutcomeUnknown):
        buyer.pay(**wanted, idempotency_key=KEY)
    faulty.clear()
    payment = buyer.pay(**wanted, idempotency_key=KEY)
    assert (payment.found, payment.state) == (True, State.COMMITTED)
    assert len(created(buyer)) == 1


def test_a_create_that_is_mined_late_is_the_one_that_is_funded(
    buyer: ACTPClient, requester: ACTPClient, faulty: FaultyTransport, provider: ACTPClient
) -> None:
    """The search sees nothing, and another create with this key is mined before the one of this call."""
    wanted = terms(buyer, provider)
    late: list[str] = []

    def somebody_is_faster(go_on: Callable[[], Any], params: list[Any]) -> Any:
        estimate = go_on()
        intent = requester._payments._intents.build(**wanted, idempotency_key=KEY)
        bound = bound_service_hash(intent.order.salt, intent.order.service_hash)
        order = {**wanted, "metadata": bound, "requester": requester.address}
        late.append(requester.kernel.create_transaction(**order))
        return estimate

    faulty.once("eth_estimateGas", somebody_is_faster)
    payment = buyer.pay(**wanted, idempotency_key=KEY)
    assert (payment.transaction_id, payment.found) == (late[0], True)
    assert [state(buyer, str(each)) for each in created(buyer)] == [State.COMMITTED, State.INITIATED]
    assert buyer.pay(**wanted, idempotency_key=KEY).transaction_id == late[0]
    assert buyer.balances().usdc == PURSE - PRICE


@pytest.mark.slow
def test_a_link_whose_outcome_was_unknown_is_found(
    buyer: ACTPClient, faulty: FaultyTransport, provider: ACTPClient
) -> None:
    wanted = terms(buyer, provider)
    real: Callable[[Callable[[], Any], list[Any]], Any] = lambda go_on, params: go_on()  # noqa: E731

    def only_until_it_is_created(go_on: Callable[[], Any], params: list[Any]) -> Any:
        return go_on() if not created(buyer) or faulty.count(SEND) < sent + 2 else None

    sent = faulty.count(SEND)
    faulty.always(RECEIPT, only_until_it_is_created)
    with pytest.raises(OutcomeUnknown, match="may be funded"):
        buyer.pay(**wanted, idempotency_key=KEY)
    faulty.once(RECEIPT, real)
    payment = buyer.pay(**wanted, idempotency_key=KEY)
    assert (payment.found, payment.result, payment.state) == (True, None, State.COMMITTED)
    assert buyer.balances().usdc == PURSE - PRICE


@pytest.mark.slow
def test_a_node_that_hides_events_pays_nothing_twice(
    buyer: ACTPClient, faulty: FaultyTransport, provider: ACTPClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stepwise, "_LAG_SECONDS", 0.3)
    wanted = terms(buyer, provider)
    buyer.pay(**wanted)
    before = nonce(faulty, buyer.address)
    faulty.always("eth_getLogs", answers([]))
    with pytest.raises(RpcUnavailable, match="shows 0 of 1 transactions") as caught:
        buyer.pay(**wanted, idempotency_key=KEY)
    assert caught.value.outcome == "not_sent"
    assert nonce(faulty, buyer.address) == before


def test_threads_with_one_key_make_one_payment(
    requester: ACTPClient, provider: ACTPClient, endpoint: Endpoint, accounts: tuple[DevAccount, ...]
) -> None:
    twin = ACTPClient(endpoint, LocalSigner(accounts[1].private_key))
    wanted = terms(requester, provider)
    payments: list[Payment] = []

    def buy(client: ACTPClient, key: str) -> None:
        payments.append(client.pay(**wanted, idempotency_key=key))

    steps = [partial(buy, client, key) for client in (requester, twin) for key in ("a", "b", "a")]
    assert in_threads(steps) == []
    assert len({payment.transaction_id for payment in payments}) == 2
    assert len(created(requester)) == 2
    assert requester.balances().usdc == PURSE - 2 * PRICE


def test_its_deadline_may_have_passed_when_it_is_found(requester: ACTPClient, provider: ACTPClient) -> None:
    wanted = terms(requester, provider)
    first = requester.pay(**wanted, idempotency_key=KEY)
    requester.chain.time_travel(2 * DAY)
    assert requester.pay(**wanted, idempotency_key=KEY).transaction_id == first.transaction_id
    with pytest.raises(InvalidInput, match="in the past"):
        requester.pay(**wanted, idempotency_key="another")


def lacking(client: ACTPClient, other: str) -> list[tuple[str, Callable[[], object]]]:
    wanted: dict[str, Any] = {"provider": other, "amount": PRICE, "deadline": client.now() + DAY}
    order = PaymentOrder(other, PRICE, client.now() + DAY)
    schedule = [Milestone(PRICE, client.now() + DAY)]
    return [
        ("milestones", lambda: client.pay(**wanted, milestones=schedule)),
        ("clauses", lambda: client.pay(**wanted, arbiter="0x" + "88" * 20)),
        ("clauses", lambda: client.pay(**wanted, timeout_requester_bps=0)),
        ("permit", lambda: client.pay(**wanted, funding="permit")),
        ("open_payment", lambda: client.open_payment(**wanted)),
        ("pay_many", lambda: client.pay_many([order])),
        ("deliver_many", lambda: client.deliver_many([NOBODY])),
        ("settle_many", lambda: client.settle_many([NOBODY])),
        ("authorize_payment", lambda: client.authorize_payment(**wanted)),
        ("submit_authorization", lambda: client.submit_authorization(object())),  # type: ignore[arg-type]
        ("sign_split", lambda: client.sign_split(NOBODY, 1, 1, client.now() + DAY)),
        ("settle_by_consent", lambda: client.settle_by_consent()),
        ("pay_milestone", lambda: client.pay_milestone(NOBODY, 0)),
        ("refund_milestone", lambda: client.refund_milestone(NOBODY, 0)),
        ("milestones", lambda: client.milestones(NOBODY)),
        ("clauses", lambda: client.clauses(NOBODY)),
    ]


def test_what_g1_lacks_is_named(requester: ACTPClient, provider: ACTPClient, endpoint: Endpoint) -> None:
    for name, step in lacking(requester, provider.address):
        with refused(UnsupportedByKernel, requester, endpoint) as refusal:
            step()
        assert name in refusal.error.message
        assert "G1" in refusal.error.message


def of_version_1(artifact: Artifact) -> Artifact:
    named, wanted = b"actp-escrow/2", b"actp-escrow/1"
    assert artifact.bytecode.count(named) == 1
    return replace(artifact, bytecode=artifact.bytecode.replace(named, wanted))


def test_our_first_kernels_pay_stepwise_too_and_name_what_they_lack(
    chain: EmbeddedChain, accounts: tuple[DevAccount, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    older = of_version_1(artifacts.load("ACTPKernel"))
    monkeypatch.setattr(g1, "g1_creation_code", older.creation_code)
    endpoint = Endpoint(chain, chain.chain_id, genesis_hash(chain, chain.chain_id), g1.deploy_g1(chain), chain=chain)
    client = ACTPClient(endpoint, LocalSigner(accounts[1].private_key))
    client.token.mint(PURSE)
    other = ACTPClient(endpoint, LocalSigner(accounts[2].private_key))
    assert (client.kernel.generation, client.kernel.version) == (Generation.OURS, "actp-escrow/1")
    assert client.balances().credit == 0
    payment = client.pay(**terms(client, other), idempotency_key=KEY)
    assert client.pay(**terms(client, other), idempotency_key="another").transaction_id != payment.transaction_id
    assert len(created(client)) == 2
    other.kernel.start(payment.transaction_id)
    for name, step in lacking(client, other.address):
        with refused(UnsupportedByKernel, client, endpoint) as refusal:
            step()
        assert name in refusal.error.message
        assert "actp-escrow/1" in refusal.error.message
