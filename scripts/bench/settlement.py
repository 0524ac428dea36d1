"""What settling costs in eth transactions, questions to the node, and queries: `make bench NAME=settlement`.

Of 10,000 escrows 1,000 are due for one provider at once, and some for others. A bot with the settings that everybody
has settles them in net batches of 50, on an anvil with a block every two seconds (by clocks that this program moves, so
that how fast the machine is changes no count). Prints a table and, as the last line,
one JSON object; exits with 1 if a figure misses its bound, or if any escrow was left, or paid twice.

`rpc_calls_per_escrow`: methods asked of the node, each within a batch too, from the pass that finds the escrows due
to the last proof, for each escrow that was settled. `gas_per_escrow_50`: gas of a batch of 50 for one provider, by
escrow. `index_ratio` and `idle_pass_queries`: see `scripts/bench/settlement_index.py`.
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from sqlalchemy import event

from actp.chain import AnvilProcess, dev_accounts
from actp.client import ACTPClient
from actp.engine import open_store
from actp.engine.fees import FeePolicy
from actp.engine.store import Store
from actp.networks import Endpoint
from actp.signers import LocalSigner
from actp.testing import FakeClock
from coordinator.index import Index
from coordinator.lifecycle import Lifecycle
from coordinator.proofs import Proof
from coordinator.settlement import EVERYONE, Served, SettlementBot, SettlementSettings
from coordinator.store import index_escrows, operations
from coordinator.store import proofs as proof_rows
from coordinator.store.accounts import Account
from coordinator.store.index_escrows import Filters
from coordinator.types import Operation, Stage
from scripts.bench import settlement_index
from scripts.bench.settlement_world import NET, PROVIDERS, WINDOW, CountingTransport, World
from scripts.verdicts import conclude

AT_MOST = {"rpc_calls_per_escrow": 0.1, "gas_per_escrow_50": 16_000}
AT_LEAST = {"index_ratio": 0.5}
CHAIN_ID = 84_532
_BLOCK_SECONDS = 2
_BOT = 9
_FOR_OTHERS = 20
_MOST_BLOCKS, _MOST_ROUNDS = 10, 100


def measure(count: int, due: int, folder: Path) -> dict[str, Any]:
    """The figures of settling `due` of `count` escrows. Raises AssertionError if any was not settled exactly once."""
    with AnvilProcess(chain_id=CHAIN_ID) as anvil:
        world = World(anvil.url, CHAIN_ID)
        owed = _prepare(world, count, due)
        clock = FakeClock(wall=time.time())
        store = open_store(folder / "settlement.db", clock=clock)
        try:
            return _settle(world, store, clock, owed)
        finally:
            store.close()


def _prepare(world: World, count: int, due: int) -> Mapping[int, list[str]]:
    """By provider, the escrows that are due; the others of `count` are not delivered."""
    world.fund(10**15)
    many, *others = PROVIDERS
    # Their windows outlast the time that the bot takes to warm up.
    owed = {many: world.open_escrows(due, many, window=2 * WINDOW)}
    owed |= {one: world.open_escrows(_FOR_OTHERS, one, window=2 * WINDOW) for one in others}
    world.open_escrows(count - sum(map(len, owed.values())), many)
    for provider, ids in owed.items():
        world.deliver(ids, provider)
    return owed


def _settle(world: World, store: Store, clock: FakeClock, owed: Mapping[int, list[str]]) -> dict[str, Any]:
    node = CountingTransport(world.node)
    client = ACTPClient(world.endpoint(node), LocalSigner(world.accounts[_BOT].private_key))
    lifecycle = Lifecycle(client, store=store, fee_policy=FeePolicy())
    index = Index(lifecycle.ledger, client)
    bot = SettlementBot(lifecycle, [Served(client, index)], SettlementSettings(whom=EVERYONE), fee_policy=FeePolicy())
    world.node.request("evm_setAutomine", [False])
    _warm_up(world, bot, clock)
    before = {provider: world.balance(provider) for provider in owed}
    world.travel(WINDOW + 1)
    settled = sum(map(len, owed.values()))
    account = Account(CHAIN_ID, client.address)

    def left() -> int:
        """Escrows that no operation has settled yet, as far as it is proved."""
        with store.read() as connection:
            ended = operations.listed(connection, account, stages=[Stage.CONFIRMED], limit=1_000)[:-1]
            return settled - sum(len(one.intent["transaction_ids"]) for one in ended)

    node.counts.clear()
    start = time.monotonic()
    for _ in range(_MOST_BLOCKS):
        _work(bot)
        if left() <= 0:
            break
        _next_block(world, clock)
    seconds, calls = time.monotonic() - start, dict(node.counts)
    assert left() <= 0, f"{left()} escrows were not settled"
    _next_block(world, clock)
    _work(bot)
    made = _made(store, account)
    _check(world, store, owed, before, made, _proofs(store, account))
    full = [one for one in made if set(one.intent["transaction_ids"]) <= set(owed[PROVIDERS[0]])]
    gas = [world.gas_used(one.tx_hash) / 50 for one in full if one.tx_hash and len(one.intent["transaction_ids"]) == 50]
    return {
        "settled": settled,
        "operations": len(made),
        "seconds": round(seconds, 1),
        "calls": calls,
        "rpc_calls": sum(calls.values()),
        "rpc_calls_per_escrow": round(sum(calls.values()) / settled, 4),
        "gas_per_escrow_50": max(gas),
    }


def _warm_up(world: World, bot: SettlementBot, clock: FakeClock) -> None:
    """Two escrows are settled, so that the bot knows the node and the kernel as one does that runs for a while."""
    first = world.open_escrows(2, PROVIDERS[-1], window=WINDOW)
    world.travel(1)
    world.deliver(first, PROVIDERS[-1])
    world.travel(1)
    _work(bot)
    world.travel(WINDOW + 1)
    for _ in range(_MOST_BLOCKS):
        clock.advance(_BLOCK_SECONDS)
        _work(bot)
        _next_block(world, clock)


def _next_block(world: World, clock: FakeClock) -> None:
    """Two seconds pass, by the clocks of the chain and of the bot."""
    clock.advance(_BLOCK_SECONDS)
    world.travel(_BLOCK_SECONDS)


def _work(bot: SettlementBot) -> None:
    """Until the bot waits for time to pass. How long that takes on this machine changes no figure."""
    for _ in range(_MOST_ROUNDS):
        if not bot.step():
            return
    raise AssertionError("the bot finds no end")


def _measure_index(figures: dict[str, Any], count: int, indexed: int, folder: Path) -> bool:
    """Adds the index's own figures; whether an idle pass costs the same over many escrows as over few."""
    with settlement_index.anvil_market() as endpoint:
        made = settlement_index.make_escrows(endpoint, count)
        settlement_index.deliver_escrows(endpoint, made[: count // 10])
        figures["index_ratio"] = settlement_index.index_ratio(endpoint, folder)
        store = open_store(folder / "idle.db")
        try:
            few, many = _idle_passes(endpoint, store, indexed)
        finally:
            store.close()
    figures |= {"idle_pass_queries": many[0], "idle_pass_rpc_calls": many[1]}
    return few == many


def _idle_passes(endpoint: Endpoint, store: Store, indexed: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """(queries, methods asked of the node) of a bot's pass that finds nothing: over few escrows, and over many more."""
    node = CountingTransport(endpoint.transport)
    client = ACTPClient(replace(endpoint, transport=node), LocalSigner(dev_accounts()[_BOT].private_key))
    lifecycle = Lifecycle(client, store=store, fee_policy=FeePolicy())
    index = Index(lifecycle.ledger, client)
    bot = SettlementBot(
        lifecycle, [Served(client, index)], SettlementSettings(whom=EVERYONE), fee_policy=FeePolicy(), every=0.0,
        verify_every=math.inf,
    )  # fmt: skip
    bot.step()
    few = _idle_pass(bot, store, node)
    settlement_index.fill(lifecycle.ledger, index, indexed)
    return few, _idle_pass(bot, store, node)


def _idle_pass(bot: SettlementBot, store: Store, node: CountingTransport) -> tuple[int, int]:
    bot.step()
    queries = 0

    def count(*_: Any) -> None:
        nonlocal queries
        queries += 1

    node.counts.clear()
    event.listen(store.engine, "before_cursor_execute", count)
    try:
        assert not bot.step(), "the pass was not idle"
    finally:
        event.remove(store.engine, "before_cursor_execute", count)
    return queries, sum(node.counts.values())


def _made(store: Store, account: Account) -> list[Operation]:
    """The operations of the pass that is measured."""
    with store.read() as connection:
        return operations.listed(connection, account, limit=1_000)[:-1]


def _proofs(store: Store, account: Account) -> list[Proof]:
    with store.read() as connection:
        return proof_rows.read(connection, account)


def _check(
    world: World,
    store: Store,
    owed: Mapping[int, list[str]],
    before: Mapping[int, int],
    made: list[Operation],
    proofs: list[Proof],
) -> None:
    """All of them settled, once, and every operation proved."""
    begun = [one for operation in made for one in operation.intent["transaction_ids"]]
    assert sorted(begun) == sorted(one for ids in owed.values() for one in ids), "some were begun twice, or never"
    for provider, ids in owed.items():
        paid = world.balance(provider) - before[provider]
        assert paid == NET * len(ids), f"provider {provider} was paid {paid} for {len(ids)} escrows"
    with store.read() as connection:
        rows = index_escrows.listed(connection, Filters(), limit=100_000)
    ended = {one.transaction_id for one in rows if not one.open}
    assert len(ended - set(begun)) == 2, "the index does not know of all that was settled, or of too many"
    assert {one.id for one in made} <= {one.operation_id for one in proofs}, "operations without proof"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10_000, help="escrows")
    parser.add_argument("--due", type=int, default=1_000, help="of them due for one provider")
    parser.add_argument("--indexed", type=int, default=1_000_000, help="escrows in the index of the idle pass")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(arguments.count, arguments.due, Path(folder))
        print("asked of the node:", ", ".join(f"{name} {number}" for name, number in figures.pop("calls").items()))
        constant = _measure_index(figures, arguments.count, arguments.indexed, Path(folder))
    failures = [f"{name} is {figures[name]}, above {most}" for name, most in AT_MOST.items() if figures[name] > most]
    failures += [
        f"{name} is {figures[name]}, below {least}" for name, least in AT_LEAST.items() if figures[name] < least
    ]
    failures += [] if constant else ["idle_pass_queries is not constant"]
    return conclude(figures, failures)


if __name__ == "__main__":
    sys.exit(main())
