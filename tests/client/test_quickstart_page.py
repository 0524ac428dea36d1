"""A program written like the quick-start page of the public SDK runs with only its import line changed."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field

import pytest

from actp import ACTPClient, Network, State

API_PROVIDER = "0x" + "a1" * 20
DATASET_PROVIDER = "0x" + "d2" * 20


@dataclass
class Purse:
    """The page's coordinator in small: one treasury, a limit, and a list of what was bought."""

    client: ACTPClient
    limit: int
    spending: dict[str, int] = field(default_factory=dict)

    def buy(self, provider: str, amount: int) -> str:
        if amount > self.limit:
            return "Exceeds per-tx limit"
        try:
            tx_id = self.client.kernel.create_transaction(
                requester=self.client.address,
                provider=provider,
                amount=amount,
                deadline=int(time.time()) + 3600,
                dispute_window=3600,
                metadata="0x",
            )
            self.client.fund_transaction(tx_id)
        except Exception as error:  # noqa: BLE001  # as the page does it
            return f"Execution failed: {error!s}"
        self.spending[tx_id] = amount
        return tx_id

    def buy_or_cancel(self, provider: str, amount: int) -> str:
        """The page's advice for failures: cancel what could not be funded."""
        tx_id = self.client.kernel.create_transaction(
            requester=self.client.address,
            provider=provider,
            amount=amount,
            deadline=int(time.time()) + 3600,
            dispute_window=3600,
        )
        try:
            self.client.escrow.fund(tx_id)
        except Exception as fund_error:
            self.client.kernel.transition_state(tx_id, State.CANCELLED, "0x")
            fund_error.args += (tx_id,)
            raise
        return tx_id


@pytest.fixture
def purse(monkeypatch: pytest.MonkeyPatch) -> Purse:
    monkeypatch.setenv("TREASURY_PRIVATE_KEY", "0x" + os.urandom(32).hex())
    client = ACTPClient.create(network=Network.LOCAL, private_key=os.environ["TREASURY_PRIVATE_KEY"])
    return Purse(client, limit=200_000_000)


def test_purchases_are_funded_and_recorded(purse: Purse) -> None:
    held = purse.client.balances().usdc
    bought = [purse.buy(API_PROVIDER, 25_000_000), purse.buy(DATASET_PROVIDER, 150_000_000)]
    assert list(purse.spending) == bought
    assert [purse.client.kernel.get_transaction(tx_id).state for tx_id in bought] == [State.COMMITTED] * 2
    assert purse.client.balances().usdc == held - 175_000_000


def test_a_failure_reads_like_a_sentence_and_shows_no_key(purse: Purse) -> None:
    reason = purse.buy("0xAPIProvider...", 25_000_000)
    assert reason.startswith("Execution failed: provider '0xAPIProvider...' is not an address.")
    assert os.environ["TREASURY_PRIVATE_KEY"][2:] not in reason
    assert purse.spending == {}


def test_what_cannot_be_funded_is_cancelled(purse: Purse) -> None:
    amount = purse.client.balances().usdc + 1
    with pytest.raises(Exception, match="base units of USDC") as caught:
        purse.buy_or_cancel(API_PROVIDER, amount)
    assert purse.client.kernel.get_transaction(caught.value.args[-1]).state is State.CANCELLED


def test_the_public_networks_name_works_as_on_the_page() -> None:
    assert Network("base-sepolia") is Network.BASE_SEPOLIA
