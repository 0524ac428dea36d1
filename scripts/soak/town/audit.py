"""What the store of the bots says at the end, against what the chain says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from sqlalchemy import func, select

from actp.engine.store import Store
from actp.types import State
from coordinator.proofs.documents import write_document
from coordinator.proofs.verifying import verify
from coordinator.store import breaches, index_escrows, operations, pauses, proofs
from coordinator.store.accounts import Account
from coordinator.store.database import has_ledger
from coordinator.store.index_escrows import Filters
from coordinator.store.index_schema import actions
from coordinator.store.index_words import ActionState
from coordinator.types import Operation, Stage
from scripts.bench.settlement_world import World

__all__ = ["Audit"]

_ENDED = (Stage.CONFIRMED, Stage.FAILED)
_ALL = 1_000_000


class Audit:
    """Compares operations, proofs, claims and index with the chain. `wrong` says what does not fit."""

    def __init__(self, world: World, store: Store, bots: Sequence[int]) -> None:
        self._world = world
        self._store = store
        self._wallets = [Account(world.chain_id, world.accounts[one].address) for one in bots]
        self.wrong: list[str] = []
        self.figures: dict[str, int] = {}

    def under_way(self) -> int:
        """Operations and claims that have not ended."""
        if not has_ledger(self._store):
            return 1
        with self._store.read() as connection:
            claimed = select(func.count()).select_from(actions).where(actions.c.state == ActionState.CLAIMED.value)
            open_claims = int(connection.execute(claimed).scalar_one())
        return open_claims + sum(one.stage not in _ENDED for one in self._operations())

    def run(self, states: Mapping[str, State]) -> None:
        """All of it."""
        made = self._operations()
        stages = Counter(one.stage.value for one in made)
        self.figures = {"operations": len(made), **{f"operations_{name}": n for name, n in sorted(stages.items())}}
        if self.under_way():
            self.wrong.append(f"{self.under_way()} operations or claims have not ended.")
        self._index(states)
        self._claims()
        for wallet in self._wallets:
            self._wallet(wallet)

    def _operations(self) -> list[Operation]:
        with self._store.read() as connection:
            return [one for wallet in self._wallets for one in operations.listed(connection, wallet, limit=_ALL)]

    def _index(self, states: Mapping[str, State]) -> None:
        with self._store.read() as connection:
            rows = {one.transaction_id: one for one in index_escrows.listed(connection, Filters(), limit=_ALL)}
        differing = [one for one, state in states.items() if one not in rows or rows[one].state is not state]
        if differing:
            self.wrong.append(f"The index is wrong about {len(differing)} escrows, such as {differing[0]}.")
        ended = [one for one in rows.values() if one.ended_at is not None and one.window_ends_at is not None]
        early = [one for one in ended if (one.ended_at or 0) <= (one.window_ends_at or 0) and not one.disputed_at]
        if early:
            self.wrong.append(f"{len(early)} escrows were settled before their windows ended.")

    def _claims(self) -> None:
        with self._store.read() as connection:
            query = select(actions.c.state, func.count()).group_by(actions.c.state)
            found = {state: int(number) for state, number in connection.execute(query)}
        self.figures |= {f"claims_{state}": number for state, number in sorted(found.items())}

    def _wallet(self, wallet: Account) -> None:
        with self._store.read() as connection:
            links = proofs.read(connection, wallet)
            found = breaches.listed(connection, wallet, severity="breach")
            paused = pauses.active(connection, wallet)
            ended = [one for one in operations.listed(connection, wallet, limit=_ALL) if one.stage in _ENDED]
        if found or paused:
            self.wrong.append(f"{wallet.wallet} was paused, or found {len(found)} breaches: {found[:1]}")
        unproved = {one.id for one in ended} - {one.operation_id for one in links}
        if unproved:
            self.wrong.append(f"{len(unproved)} operations of {wallet.wallet} have no proof.")
        if links:
            report = verify(write_document(links), self._world.node)
            self.wrong += [f"A proof of {wallet.wallet} is wrong: {one}" for one in report.wrong[:5]]
            self.figures["proofs"] = self.figures.get("proofs", 0) + len(links)
