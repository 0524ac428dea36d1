"""What the tests of sending share: a token to pay with, and things a node may do to a request."""

from __future__ import annotations

from typing import Any

from actp import artifacts
from actp.engine import Sender
from actp.rpc import Transport
from actp.testing import answer, fail
from tests.engine.faults import Handler

TOKEN = artifacts.load("TestUSDC")
SEND = "eth_sendRawTransaction"
PAYEE = "0x" + "05" * 20


def nonce_of(chain: Transport, sender: Sender) -> int:
    return int(chain.request("eth_getTransactionCount", [sender.address, "latest"]), 16)


def balance_of(chain: Transport, token: str, holder: str) -> int:
    data = "0x" + TOKEN.call_data("balanceOf", [holder]).hex()
    return int(chain.request("eth_call", [{"to": token, "data": data}, "latest"]), 16)


def mint(to: str, amount: int = 1_000_000) -> bytes:
    return TOKEN.call_data("mint", [to, amount])


def raises(error: BaseException) -> Handler:
    """The node does nothing but fail."""
    return fail(error)


def taken_but_raises(error: BaseException) -> Handler:
    """A node takes the request, and something on the way back fails."""
    return fail(error, accepted=True)


def answers(value: Any) -> Handler:
    """The node answers this without doing anything."""
    return answer(value)
