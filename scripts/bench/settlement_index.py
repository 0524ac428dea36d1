"""What the settlement bench measures about the escrow index. By itself: `python -m scripts.bench.settlement_index`.

`index_ratio` compares catching up with raw `eth_getLogs` and decoding over the same blocks, in turns on the same node.
`idle_pass_queries` are the SQL statements of a pass that finds nothing new and nothing due, over a number of escrows;
`idle_pass_rpc` its RPC calls, a call being one method, also inside a batch.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sqlalchemy import event, text

from actp import artifacts
from actp.chain import AnvilProcess, dev_accounts
from actp.decoding import EventDecoder
from actp.deploy import deploy_contracts
from actp.deployments import AddressBook
from actp.engine import Sender, open_store
from actp.engine.receipts import parse_log
from actp.networks import Endpoint
from actp.orders import salted_id
from actp.rpc import HttpTransport, Transport, genesis_hash
from actp.signers import LocalSigner
from coordinator.index import Index
from coordinator.store import Ledger, index_escrows, open_ledger
from coordinator.store.index_words import Due

__all__ = [
    "Counting",
    "Idle",
    "anvil_market",
    "deliver_escrows",
    "fill",
    "idle_pass",
    "index_ratio",
    "make_escrows",
    "market",
]

AMOUNT = 1_000_000
"""Base units of each escrow."""
PER_BATCH = 150
_DELIVERED_PER_BATCH = 1_000
_GAS = hex(29_000_000)
_DAY = 86_400


class Counting:
    """A node whose calls are counted: each method is one, also inside a batch."""

    def __init__(self, inner: Transport) -> None:
        self._inner = inner
        self.calls = 0

    @property
    def label(self) -> str:
        return self._inner.label

    def request(self, method: str, params: list[Any]) -> Any:
        self.calls += 1
        return self._inner.request(method, params)

    def batch(self, calls: Sequence[tuple[str, list[Any]]]) -> list[Any]:
        self.calls += len(calls)
        return self._inner.batch(calls)


@dataclass(frozen=True, slots=True)
class Idle:
    """What a pass that finds nothing to do has cost."""

    queries: int
    rpc_calls: int
    seconds: float


@contextmanager
def anvil_market() -> Iterator[Endpoint]:
    """anvil with the contracts on it, mining each eth transaction at once."""
    with AnvilProcess(extra_args=("--gas-limit", "30000000")) as anvil:
        yield market(HttpTransport(anvil.url), anvil.chain_id)


def market(transport: Transport, chain_id: int) -> Endpoint:
    """The contracts on a development node, and a requester (account 1) with an allowance for all that it has."""
    genesis = genesis_hash(transport, chain_id)
    book = AddressBook(chain_id, genesis, in_memory=True, development=True)
    sender = Sender(transport, LocalSigner(dev_accounts()[0].private_key), chain_id=chain_id)
    endpoint = Endpoint(transport, chain_id, genesis, deploy_contracts(sender, book))
    requester, deployment = dev_accounts()[1].address, endpoint.deployment
    assert deployment.token is not None
    _call(endpoint, requester, deployment.token, "TestUSDC", "mint", (requester, 10**15))
    _call(endpoint, requester, deployment.token, "TestUSDC", "approve", (deployment.vault, 10**15))
    return endpoint


def make_escrows(
    endpoint: Endpoint, count: int, *, first: int = 0, providers: Sequence[int] = (2,), seconds: int = _DAY
) -> list[str]:
    """Funds so many escrows of the requester by `createFundedBatch`, with salts from `first` on, for providers in turn
    (numbers of development accounts), and a deadline in `seconds`. Their ids.
    """
    requester, kernel = dev_accounts()[1].address, endpoint.deployment.kernel
    newest = endpoint.transport.request("eth_getBlockByNumber", ["latest", False])
    deadline = int(newest["timestamp"], 16) + seconds
    orders = [
        (
            dev_accounts()[providers[number % len(providers)]].address, AMOUNT, deadline, 3_600, b"\x01" * 32,
            (first + number).to_bytes(32, "big"),
        )
        for number in range(count)
    ]  # fmt: skip
    for start in range(0, count, PER_BATCH):
        _call(endpoint, requester, kernel, "ACTPKernel", "createFundedBatch", (orders[start : start + PER_BATCH],))
    return [salted_id(endpoint.chain_id, kernel, requester, "0x" + order[5].hex()) for order in orders]


def deliver_escrows(endpoint: Endpoint, transaction_ids: Sequence[str], *, provider: int = 2) -> None:
    """Delivers escrows of one provider, by `deliverBatch`."""
    account, kernel = dev_accounts()[provider].address, endpoint.deployment.kernel
    for start in range(0, len(transaction_ids), _DELIVERED_PER_BATCH):
        part = [bytes.fromhex(one[2:]) for one in transaction_ids[start : start + _DELIVERED_PER_BATCH]]
        _call(endpoint, account, kernel, "ACTPKernel", "deliverBatch", (part,))


def index_ratio(endpoint: Endpoint, folder: Path, rounds: int = 5) -> float:
    """The speed of catching up over that of raw reading and decoding: the median of so many rounds, each with a new
    index in a file. Raises RuntimeError if the two do not find as many events.
    """
    ratios = []
    for number in range(rounds):
        start = time.perf_counter()
        events = _raw(endpoint)
        raw = time.perf_counter() - start
        store = open_store(folder / f"index-{number}-{time.time_ns()}.db")
        ledger = open_ledger(store)
        start = time.perf_counter()
        progress = Index(ledger, endpoint).catch_up()
        ours = time.perf_counter() - start
        store.close()
        if progress.events != events:
            raise RuntimeError(f"the index has read {progress.events} events, and there are {events}")
        ratios.append(raw / ours)
        print(f"index, round {number + 1}: raw {events / raw:,.0f} events a second, indexed {events / ours:,.0f}")
    return round(statistics.median(ratios), 3)


def fill(ledger: Ledger, index: Index, count: int) -> None:
    """So many more open escrows in the index, of other parties, that are due in a year: copies of one that is there."""
    with ledger.write() as connection:
        names = [name for name in index_escrows.columns_of(_any(ledger, index)) if name != "transaction_id"]
        columns = ", ".join(names)
        mine = f"kernel_id = {index.kernel.id} AND due_kind IS NOT NULL"
        source = f"SELECT {columns} FROM co_index_escrows WHERE {mine} LIMIT 1"
        numbers = (
            f"WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {count}), "
            f"source AS ({source})"
        )
        made = "'0xfe' || substr('" + "0" * 62 + "', 1, 62 - length(CAST(n AS TEXT))) || CAST(n AS TEXT)"
        connection.execute(
            text(
                f"INSERT INTO co_index_escrows (transaction_id, {columns}) "
                f"{numbers} SELECT {made}, {columns} FROM source, numbers"
                if connection.dialect.name == "sqlite"
                else f"{numbers} INSERT INTO co_index_escrows (transaction_id, {columns}) "
                f"SELECT {made}, {columns} FROM source, numbers"
            )
        )
        connection.execute(
            text(
                "UPDATE co_index_escrows SET requester = :nobody, provider = :nobody, due_at = due_at + 31536000 "
                "WHERE transaction_id LIKE '0xfe0%'"
            ),
            {"nobody": "0x" + "fe" * 20},
        )


def idle_pass(ledger: Ledger, endpoint: Endpoint, chain_now: int) -> Idle:
    """A pass of an index and of whoever asks it what is due, when there is nothing new and nothing due."""
    node = Counting(endpoint.transport)
    index = Index(ledger, replace(endpoint, transport=node))
    index.catch_up()
    queries = 0

    def count(*arguments: Any) -> None:
        nonlocal queries
        queries += 1

    engine = ledger.store.engine
    event.listen(engine, "before_cursor_execute", count)
    before, start = node.calls, time.perf_counter()
    try:
        progress = index.catch_up()
        with ledger.read() as connection:
            due = index_escrows.due(connection, index.kernel.id, Due, chain_now=chain_now, now=ledger.now())
    finally:
        event.remove(engine, "before_cursor_execute", count)
    if progress.blocks or due:
        raise RuntimeError(f"the pass was not idle: {progress.blocks} blocks, {len(due)} escrows are due")
    return Idle(queries, node.calls - before, time.perf_counter() - start)


def _any(ledger: Ledger, index: Index) -> index_escrows.Escrow:
    with ledger.read() as connection:
        return index_escrows.listed(connection, index_escrows.Filters(kernel_ids=(index.kernel.id,)), limit=1)[0]


def _raw(endpoint: Endpoint) -> int:
    """Reads and decodes every event of the kernel, as a script would that keeps nothing."""
    decoder = EventDecoder({endpoint.deployment.kernel: "ACTPKernel"})
    fields = {
        "address": list(decoder.addresses),
        "topics": [],
        "fromBlock": hex(endpoint.start_block),
        "toBlock": "latest",
    }
    return len(decoder.decode_all([parse_log(one) for one in endpoint.transport.request("eth_getLogs", [fields])]))


def _call(endpoint: Endpoint, sender: str, to: str, contract: str, function: str, arguments: tuple[Any, ...]) -> None:
    data = "0x" + artifacts.load(contract).call_data(function, arguments).hex()
    fields = {"from": sender, "to": to, "data": data, "gas": _GAS}
    tx_hash = endpoint.transport.request("eth_sendTransaction", [fields])
    give_up_at = time.monotonic() + 60
    while (receipt := endpoint.transport.request("eth_getTransactionReceipt", [tx_hash])) is None:
        if time.monotonic() > give_up_at:
            raise RuntimeError(f"{function} is not mined")
        time.sleep(0.01)
    if receipt["status"] != "0x1":
        raise RuntimeError(f"{function} failed")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000, help="escrows on the chain")
    parser.add_argument("--indexed", type=int, default=1_000_000, help="escrows in the index of the idle pass")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, anvil_market() as endpoint:
        made = make_escrows(endpoint, arguments.count)
        deliver_escrows(endpoint, made[: arguments.count // 10])
        found: dict[str, float] = {"index_ratio": index_ratio(endpoint, Path(name), arguments.rounds)}
        store = open_store(Path(name) / "idle.db")
        ledger = open_ledger(store)
        index = Index(ledger, endpoint)
        index.catch_up()
        few = idle_pass(ledger, endpoint, 0)
        fill(ledger, index, arguments.indexed)
        now = int(endpoint.transport.request("eth_getBlockByNumber", ["latest", False])["timestamp"], 16)
        many = idle_pass(ledger, endpoint, now)
        store.close()
    if (few.queries, few.rpc_calls) != (many.queries, many.rpc_calls):
        print("FAILED: an idle pass costs more with more escrows", file=sys.stderr)
    found |= {"idle_pass_queries": many.queries, "idle_pass_rpc": many.rpc_calls, "idle_pass_s": round(many.seconds, 4)}
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
