"""A ledger in a file, as a coordinator has left it, and what commands say about it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from actp.engine.store import Store, open_store
from actp.units import to_checksum
from coordinator.authority import Authority
from coordinator.budget.words import Answer
from coordinator.canonical import canonical, sha256
from coordinator.intents import body, parse
from coordinator.store import Ledger, open_ledger, operations, wallets
from coordinator.store import approvals as approval_rows
from coordinator.store.accounts import Account
from coordinator.store.moving import Move, Step, move
from coordinator.store.operations import Draft
from coordinator.types import IntentType, Stage
from tests.coordinator.authority.support import TOKEN, USDC, WALLET, agent, ask, book, fund

ACCOUNT = Account(31_337, to_checksum(WALLET))
GENESIS = "0x" + "ab" * 32


@dataclass(frozen=True)
class Said:
    """What a command has printed, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def lines(self) -> list[Any]:
        """One JSON object per line."""
        return [json.loads(line) for line in self.out.splitlines()]


class Shop:
    """A treasury with rules, in a database."""

    def __init__(self, url: str) -> None:
        self.url = url

    def furnish(self) -> Shop:
        """Gives the treasury 10,000 USDC, and rules for ann (50 USDC without asking) and boss."""
        with self.authority() as authority:
            senior = agent("boss", role="senior", spending_limit=500 * USDC)
            authority.apply(book(agent("ann"), senior), "test")
            fund(authority)
        return self

    @contextmanager
    def store(self) -> Iterator[Store]:
        store = open_store(self.url)
        try:
            yield store
        finally:
            store.close()

    @contextmanager
    def ledger(self) -> Iterator[Ledger]:
        with self.store() as store:
            yield open_ledger(store)

    @contextmanager
    def authority(self) -> Iterator[Authority]:
        with self.ledger() as ledger, Authority(ledger, ACCOUNT, token=TOKEN) as authority:
            yield authority

    def ask(self, amount: int = 10, **more: Any) -> Answer:
        """Ann asks for so many USDC."""
        with self.authority() as authority:
            return authority.request(ask(amount=amount * USDC, **more))

    def operation_that_waits(self, agent: str = "ann") -> int:
        """An operation that the treasury's policy holds up, as a lifecycle writes it; its number."""
        with self.ledger() as ledger:
            ledger.store.bind(ACCOUNT.chain_id, GENESIS)
            now = ledger.now()
            written = canonical(body(parse("transfer_erc20", {"to": "0x" + "05" * 20, "amount": "7"})))
            draft = Draft("trace", agent, "key", IntentType.TRANSFER_ERC20, written.decode(), sha256(written))
            with ledger.write() as connection:
                wallets.require(connection, ACCOUNT)
                (made,) = operations.add(connection, ACCOUNT, [draft], now)
                stages = (Stage.SIMULATING, Stage.POLICY_EVAL, Stage.APPROVAL_GATE)
                steps = tuple(Step(stage, "went on") for stage in stages)
                move(connection, ACCOUNT, [Move(made, steps, {"code": "approval", "reason": "It is large."})], now)
                approval_rows.ask(connection, ACCOUNT, [made.id], now=now, expires_at=now + 3600)
        return made.id
