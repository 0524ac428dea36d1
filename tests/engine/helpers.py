"""What the tests of sending share: a token to pay with, and things a node may do to a request."""

from __future__ import annotations

import sqlite3
from typing import Any

from actp import artifacts
from actp.engine import Sender
from actp.engine.store import Store
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


def lose_next_commit(store: Store) -> None:
    """The next commit is done, and the connection breaks before its answer: as when PostgreSQL fails over."""
    dialect = store.engine.dialect
    real = dialect.do_commit

    def commit(connection: Any) -> None:
        dialect.do_commit = real  # type: ignore[method-assign]
        real(connection)
        raise sqlite3.OperationalError("server closed the connection unexpectedly")

    dialect.do_commit = commit  # type: ignore[method-assign]
