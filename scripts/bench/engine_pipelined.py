"""Whole purchases on a node with a block every two seconds: the durable engine against a pipeline by hand.

Both send the same calls in the same order: all payments of a requester, all deliveries of the provider, all
settlements. By hand they were signed before the clock starts, with consecutive nonces, and nothing is remembered; the
engine stores, signs, sends and confirms them while it runs.
"""

from __future__ import annotations

import secrets
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from actp import artifacts
from actp.chain import AnvilProcess
from actp.client import ACTPClient
from actp.engine.intents import Intent
from actp.engine.outbox import Outbox
from actp.engine.policy import Policy
from actp.engine.store import open_store
from actp.engine.store.schema import IntentStatus
from actp.engine.worker import Worker
from actp.orders import Order, salted_id
from actp.rpc import HttpTransport
from actp.types import EthTransaction, State
from actp.units import ZERO_HASH, usdc
from scripts.bench.engine_ceiling import BATCH, wait_until_mined
from scripts.bench.engine_lifecycle import traders

__all__ = ["BLOCK_SECONDS", "Pipelined", "pipelined", "seconds"]

BLOCK_SECONDS = 2
_PRICE = usdc(1)
_GAS = 250_000
"""The same limit for all: what does not fit into a block leaves no room for a later step of the same purchase."""
_MAX_FEE = 100 * 10**9
_TIP = 10**9
_PATIENCE = Policy(batch=BATCH, most_open=1_000_000, resend_after=60, stuck_after=600, final_check=3_600)
_OPEN = frozenset({IntentStatus.QUEUED, IntentStatus.OPEN})


@dataclass(frozen=True, slots=True)
class Taken:
    """How long all of a round took until it was sealed, in seconds, and in blocks."""

    seconds: float
    blocks: int


@dataclass(frozen=True, slots=True)
class Pipelined:
    """The rounds of both, as they were run in turns."""

    by_hand: tuple[Taken, ...]
    ours: tuple[Taken, ...]

    @property
    def hand_seconds(self) -> float:
        return statistics.median(one.seconds for one in self.by_hand)

    @property
    def our_seconds(self) -> float:
        return statistics.median(one.seconds for one in self.ours)

    @property
    def ratio(self) -> float:
        """Our time by that of the pipeline by hand."""
        return self.our_seconds / self.hand_seconds

    @property
    def most(self) -> float:
        """The highest ratio that is no slower: what is sealed is sealed in whole blocks, so that a few milliseconds
        before or after the end of one make a difference of one block.
        """
        return 1 + BLOCK_SECONDS / self.hand_seconds


def pipelined(purchases: int, rounds: int, folder: Path) -> Pipelined:
    """Runs both in turns. Raises RuntimeError if not all was settled and paid."""
    # In the order of arrival, because the steps of a purchase are from two accounts.
    with AnvilProcess(block_time=BLOCK_SECONDS, extra_args=("--order", "fifo")) as anvil:
        transport = HttpTransport(anvil.url)
        with traders(anvil, transport, folder) as (buyer, seller):
            by_hand, ours = [], []
            for _ in range(rounds):
                by_hand.append(_checked(_Round(anvil, transport, buyer, seller, purchases), None))
                ours.append(_checked(_Round(anvil, transport, buyer, seller, purchases), folder))
    return Pipelined(tuple(by_hand), tuple(ours))


def _checked(one: _Round, folder: Path | None) -> Taken:
    before = one.seller.token.balance_of()
    taken = one.by_hand() if folder is None else one.by_engine(folder)
    if any(one.buyer.kernel.get_transaction(each).state is not State.SETTLED for each in one.ids):
        raise RuntimeError("not all purchases were settled")
    if not before < one.seller.token.balance_of() < before + len(one.ids) * _PRICE:
        raise RuntimeError("the provider was not paid")
    return taken


class _Round:
    """Some purchases that nobody has made yet."""

    def __init__(
        self, anvil: AnvilProcess, transport: HttpTransport, buyer: ACTPClient, seller: ACTPClient, purchases: int
    ) -> None:
        self.buyer, self.seller = buyer, seller
        self._transport = transport
        self._chain_id = anvil.chain_id
        kernel = artifacts.load("ACTPKernel")
        deadline = buyer.now() + 3_600
        orders = [
            Order(seller.address, _PRICE, deadline, 3_600, ZERO_HASH, "0x" + secrets.token_hex(32))
            for _ in range(purchases)
        ]
        self.ids = [salted_id(anvil.chain_id, buyer.kernel.address, buyer.address, one.salt) for one in orders]
        self._steps: list[tuple[ACTPClient, list[bytes]]] = [
            (buyer, [kernel.call_data("createFunded", (order.fields(),)) for order in orders]),
            (seller, self._moves(State.DELIVERED)),
            (buyer, self._moves(State.SETTLED)),
        ]

    def _moves(self, state: State) -> list[bytes]:
        kernel = artifacts.load("ACTPKernel")
        return [kernel.call_data("transitionState", (bytes.fromhex(each[2:]), state.value, b"")) for each in self.ids]

    def by_hand(self) -> Taken:
        """Signs everything, then sends it as fast as the node takes it."""
        nonces = {one.address: self._nonce(one.address) for one in (self.buyer, self.seller)}
        raw: list[str] = []
        for client, calls in self._steps:
            for data in calls:
                raw.append(self._signed(client, nonces[client.address], data))
                nonces[client.address] += 1
        first = self._new_block()
        start = time.perf_counter()
        for index in range(0, len(raw), BATCH):
            answers = self._transport.batch([("eth_sendRawTransaction", [one]) for one in raw[index : index + BATCH]])
            if not all(isinstance(answer, str) for answer in answers):
                raise RuntimeError(f"the node refused something: {answers}")
        for address, nonce in nonces.items():
            wait_until_mined(self._transport, address, nonce)
        return self._taken(start, first)

    def by_engine(self, folder: Path) -> Taken:
        """Puts the same calls into outboxes over a file, and lets a worker for each account send and confirm them."""
        store = open_store(folder / f"pipelined-{time.time_ns()}.db")
        boxes: dict[str, tuple[Outbox, Worker]] = {}
        for client in (self.buyer, self.seller):
            worker = Worker(self._transport, client.signer, chain_id=self._chain_id, store=store, policy=_PATIENCE)
            boxes[client.address] = Outbox(store, self._chain_id, client.address), worker
        first = self._new_block()
        start = time.perf_counter()
        for number, (client, calls) in enumerate(self._steps):
            box, worker = boxes[client.address]
            box.submit_all([(f"{number}-{index}", self._intent(data)) for index, data in enumerate(calls)])
            while worker.step():
                pass
        while any(not box.count().keys().isdisjoint(_OPEN) for box, _ in boxes.values()):
            for _, worker in boxes.values():
                worker.step()
            time.sleep(0.01)
        taken = self._taken(start, first)
        counted = [box.count() for box, _ in boxes.values()]
        if counted != [{IntentStatus.MINED: 2 * len(self.ids)}, {IntentStatus.MINED: len(self.ids)}]:
            raise RuntimeError(f"not all were mined: {counted}")
        for _, worker in boxes.values():
            worker.release()
        store.close()
        return taken

    def _intent(self, data: bytes) -> Intent:
        return Intent(self.buyer.kernel.address, data, 0, _GAS)

    def _signed(self, client: ACTPClient, nonce: int, data: bytes) -> str:
        fields = EthTransaction(self._chain_id, nonce, self.buyer.kernel.address, 0, data, _GAS, _MAX_FEE, _TIP)
        return "0x" + client.signer.sign_transaction(fields).hex()

    def _nonce(self, address: str) -> int:
        return int(self._transport.request("eth_getTransactionCount", [address, "latest"]), 16)

    def _new_block(self) -> int:
        """Waits for the next block, so that all begin with a whole one ahead of them; returns its number."""
        before = number = self._block()
        while number == before:
            time.sleep(0.005)
            number = self._block()
        return number

    def _block(self) -> int:
        return int(self._transport.request("eth_blockNumber", []), 16)

    def _taken(self, start: float, first: int) -> Taken:
        return Taken(time.perf_counter() - start, self._block() - first)


def seconds(rounds: Sequence[Taken]) -> str:
    """The rounds for a table: seconds, and blocks in brackets."""
    return ", ".join(f"{one.seconds:.2f} s ({one.blocks} blocks)" for one in rounds)
