"""What the client's tests share: steps of a transaction's life, and the machinery to look at a refusal."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest

from actp import artifacts
from actp.chain import dev_accounts
from actp.client import ACTPClient
from actp.errors import ActpError
from actp.networks import Endpoint
from actp.rpc import Transport
from actp.types import State
from actp.units import usdc

PURSE = usdc(1_000)
"""Base units that each of the clients starts with."""
PRICE = usdc(100)
FEE = usdc(1)
"""One per cent of PRICE."""
BOND = usdc(5)
"""Five per cent of PRICE."""
HOUR = 3_600
DAY = 24 * HOUR
SMALL = usdc(2)
"""What each of many purchases costs at least."""
NOBODY = "0x" + "ab" * 32
"""A transaction id that nobody has."""


def open_transaction(requester: ACTPClient, provider: ACTPClient, /, **terms: Any) -> str:
    """Creates a transaction over PRICE with a deadline in a day and a window of an hour, unless `terms` differ."""
    usual = {
        "requester": requester.address,
        "provider": provider.address,
        "amount": PRICE,
        "deadline": requester.now() + DAY,
        "dispute_window": HOUR,
    }
    return requester.kernel.create_transaction(**{**usual, **terms})


def terms(requester: ACTPClient, provider: ACTPClient) -> dict[str, Any]:
    """Terms of `pay` over PRICE, with a deadline in a day and a window of an hour."""
    return {
        "provider": provider.address,
        "amount": PRICE,
        "deadline": requester.now() + DAY,
        "dispute_window": HOUR,
    }


def funded(requester: ACTPClient, provider: ACTPClient, /, **terms: Any) -> str:
    tx_id = open_transaction(requester, provider, **terms)
    requester.fund_transaction(tx_id)
    return tx_id


def started(requester: ACTPClient, provider: ACTPClient, /, **terms: Any) -> str:
    tx_id = funded(requester, provider, **terms)
    provider.kernel.start(tx_id)
    return tx_id


def delivered(requester: ACTPClient, provider: ACTPClient, /, **terms: Any) -> str:
    tx_id = started(requester, provider, **terms)
    provider.kernel.deliver(tx_id)
    return tx_id


def disputed(requester: ACTPClient, provider: ACTPClient, /, **terms: Any) -> str:
    tx_id = delivered(requester, provider, **terms)
    requester.kernel.dispute(tx_id, b"not what was asked for")
    return tx_id


def state(client: ACTPClient, tx_id: str) -> State:
    return client.kernel.get_transaction(tx_id).state


def act(endpoint: Endpoint, index: int, contract: str, function: str, *arguments: Any) -> None:
    """A call by a development account, for what the client has no verb for. Fails if it reverts."""
    deployment = endpoint.deployment
    address = deployment.token if contract == "TestUSDC" else deployment.address_of(contract)
    fields = {
        "from": dev_accounts()[index].address,
        "to": address,
        "data": "0x" + artifacts.load(contract).call_data(function, arguments).hex(),
    }
    tx_hash = endpoint.transport.request("eth_sendTransaction", [fields])
    for _ in range(100):
        receipt = endpoint.transport.request("eth_getTransactionReceipt", [tx_hash])
        if receipt is not None:
            break
        time.sleep(0.02)  # a real node answers before it has mined
    assert receipt["status"] == "0x1"


def nonce(transport: Transport, account: str) -> int:
    """How many eth transactions an account has sent, those that wait included."""
    return int(transport.request("eth_getTransactionCount", [account, "pending"]), 16)


class Refusal:
    """What a `refused` block caught."""

    error: ActpError


@contextmanager
def refused(kind: type[ActpError], client: ACTPClient, endpoint: Endpoint) -> Iterator[Refusal]:
    """The block must raise exactly `kind`, saying what to do, before anything was sent."""
    before = nonce(endpoint.transport, client.address)
    refusal = Refusal()
    with pytest.raises(kind) as caught:
        yield refusal
    refusal.error = caught.value
    assert type(caught.value) is kind
    assert caught.value.outcome == "not_sent"
    assert caught.value.hint or " must be " in caught.value.message, "the error does not say what to do"
    assert nonce(endpoint.transport, client.address) == before, "something was sent"


def assert_no_secret(secrets: list[str], caplog: pytest.LogCaptureFixture, *values: object) -> None:
    """None of the secrets is in the logs or in any text that a value can be turned into, tracebacks included."""
    shown = [caplog.text, *(str(value) for value in values), *(repr(value) for value in values)]
    for value in values:
        if isinstance(value, BaseException):
            shown.append(logging.Formatter().formatException((type(value), value, value.__traceback__)))
    for secret in secrets:
        bare = secret.removeprefix("0x").lower()
        assert not any(bare in text.lower() for text in shown), "a secret was shown"


def in_threads(steps: Iterable[Callable[[], object]]) -> list[ActpError]:
    """Runs every step in a thread of its own, and returns the errors that they raised."""
    failures: list[ActpError] = []

    def run(step: Callable[[], object]) -> None:
        try:
            step()
        except ActpError as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(step,)) for step in steps]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert not any(thread.is_alive() for thread in threads)
    return failures


def buy_in_threads(client: ACTPClient, provider: str, threads: int) -> list[str]:
    """Each thread creates and funds a transaction of its own; returns their ids."""
    ids: list[str] = []

    def buy(number: int) -> None:
        tx_id = client.kernel.create_transaction(
            requester=client.address,
            provider=provider,
            amount=SMALL + number,
            deadline=client.now() + HOUR,
            dispute_window=HOUR,
        )
        client.fund_transaction(tx_id)
        ids.append(tx_id)

    assert in_threads(partial(buy, number) for number in range(threads)) == []
    assert len(ids) == threads
    return ids


def assert_each_was_paid_once(client: ACTPClient, ids: list[str], held_before: int) -> None:
    assert len(set(ids)) == len(ids)
    records = [client.kernel.get_transaction(tx_id) for tx_id in ids]
    assert {record.state for record in records} == {State.COMMITTED}
    assert sorted(record.amount for record in records) == [SMALL + number for number in range(len(ids))]
    assert client.balances().usdc == held_before - sum(record.amount for record in records)
