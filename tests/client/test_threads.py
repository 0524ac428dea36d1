"""One client, fifty threads: every transaction is created and funded once, and none is lost."""

from __future__ import annotations

from functools import partial

import pytest

from actp import ACTPClient, Network
from actp.units import usdc
from tests.client.support import HOUR, assert_each_was_paid_once, buy_in_threads, in_threads

MANY = 50
SOME = 15
PRICE = usdc(2)


class TestInThisProcess:
    @pytest.mark.slow
    def test_threads_that_need_approvals_pay_once_each(self) -> None:
        client = ACTPClient.create(network=Network.LOCAL)
        held = client.balances().usdc
        ids = buy_in_threads(client, "0x" + "11" * 20, SOME)
        assert_each_was_paid_once(client, ids, held)
        assert client.token.allowance(client.escrow.address) == 0

    @pytest.mark.slow
    def test_fifty_threads_share_a_standing_allowance(self) -> None:
        client = ACTPClient.create(network=Network.LOCAL)
        held = client.balances().usdc
        client.token.approve(client.escrow.address, usdc(1_000))
        before = client.events.since().cursor
        ids = buy_in_threads(client, "0x" + "11" * 20, MANY)
        assert_each_was_paid_once(client, ids, held)
        spent = held - client.balances().usdc
        assert client.token.allowance(client.escrow.address) == usdc(1_000) - spent
        page = client.events.since(before, names="TransactionCreated")
        assert {event.transaction_id for event in page} == set(ids)

    @pytest.mark.slow
    def test_clients_of_one_key_share_nonces_and_allowances(self) -> None:
        key = "0x" + "d8" * 32
        clients = [ACTPClient.create(private_key=key) for _ in range(5)]
        held = clients[0].balances().usdc

        def buy(client: ACTPClient) -> None:
            tx_id = client.kernel.create_transaction(
                requester=client.address, provider="0x" + "11" * 20, amount=PRICE, deadline=client.now() + HOUR
            )
            client.fund_transaction(tx_id)

        assert in_threads(partial(buy, client) for client in clients * 2) == []
        assert clients[0].balances().usdc == held - 10 * PRICE
        assert clients[0].token.allowance(clients[0].escrow.address) == 0

    def test_threads_that_start_together_deploy_once(self) -> None:
        clients: list[ACTPClient] = []
        assert in_threads((lambda: clients.append(ACTPClient.create()),) * 10) == []
        assert len({client.kernel.address for client in clients}) == 1
        assert len({client.address for client in clients}) == 10
        assert {client.balances().usdc for client in clients} == {usdc(10_000)}
