"""Carrying out what was built, and comparing what happened with what it had to do."""

from __future__ import annotations

from collections import Counter
from typing import Any

from actp import artifacts
from actp.client import ACTPClient
from actp.engine import Sender
from actp.types import Receipt
from actp.units import keccak, to_checksum
from coordinator.intents import Built, World, build, parse
from coordinator.types import ETH

_GAS = 1_000_000
"""Enough for any call here; finding out takes longer than the call."""
_TRANSFER = "0x" + keccak(b"Transfer(address,address,uint256)").hex()


def built(client: ACTPClient, type: str, **fields: Any) -> Built:
    """What an intent becomes for this wallet, in the state that the chain is in now."""
    return build(parse(type, fields), World(client))


def carry_out(client: ACTPClient, type: str, **fields: Any) -> Built:
    """Builds an intent, sends it, and fails unless the chain shows exactly the effects that it was built with: in the
    receipt's transfers, in the balances of everybody concerned, and in the vault's allowance.
    """
    what = built(client, type, **fields)
    world = World(client)
    movements = what.effects.movements
    parties = {client.address, world.vault}
    parties |= {account for each in movements for account in (each.source, each.target)}
    tokens = {world.token, *(each.asset for each in movements if each.asset != ETH)}
    before = _balances(client, parties, tokens)
    allowed = client.token.allowance(world.vault)

    receipt = deliver(client, what)

    assert _transfers(receipt) == Counter(
        (each.asset, each.source, each.target, each.amount) for each in movements if each.asset != ETH
    )
    expected = Counter(before)
    for each in movements:
        expected[each.asset, each.source] -= each.amount
        expected[each.asset, each.target] += each.amount
    expected[ETH, client.address] -= receipt.gas_used * receipt.effective_gas_price
    assert _balances(client, parties, tokens) == dict(expected)
    for change in what.effects.allowances:
        assert (change.token, change.owner, change.spender) == (world.token, client.address, world.vault)
        allowed = allowed - change.used if change.to is None else change.to
    assert client.token.allowance(world.vault) == allowed
    return what


def deliver(client: ACTPClient, what: Built) -> Receipt:
    """Sends a built call with the client's own engine."""
    return _sender(client).send(what.call.to, what.call.data, value=what.call.value, gas=_GAS)


def _sender(client: ACTPClient) -> Sender:
    return client._session.sender


def _balances(client: ACTPClient, accounts: set[str], tokens: set[str]) -> dict[tuple[str, str], int]:
    found = {}
    for account in accounts:
        found[ETH, account] = int(client.transport.request("eth_getBalance", [account, "latest"]), 16)
        data = "0x" + artifacts.load("TestUSDC").call_data("balanceOf", (account,)).hex()
        for token in tokens:
            answer = client.transport.request("eth_call", [{"to": token, "data": data}, "latest"])
            found[token, account] = int(answer, 16)
    return found


def _transfers(receipt: Receipt) -> Counter[tuple[str, str, str, int]]:
    return Counter(
        (log.address, *(to_checksum("0x" + topic[-40:]) for topic in log.topics[1:3]), int(log.data, 16))
        for log in receipt.logs
        if log.topics[0] == _TRANSFER
    )
