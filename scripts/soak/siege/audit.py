"""The audit at the end: what the treasuries say, against what the chain says. It reads blocks and receipts for itself,
and believes neither engine nor guard.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from coordinator.proofs import Proof
from coordinator.proofs.documents import write_document
from coordinator.proofs.verifying import verify
from coordinator.store import breaches, decisions, journal, operations, proofs, verdicts
from coordinator.store.journal import Written
from coordinator.types import ETH, Operation, Stage
from scripts.soak.siege.crowd import Deed
from scripts.soak.siege.field import Field, House
from scripts.soak.siege.mined import Mined, mined_since
from scripts.soak.siege.plants import Plant, belongs, signed_while_paused
from scripts.soak.siege.wanted import jobs_without_operation, wanted

__all__ = ["Audit"]

_ZERO = "0x" + "00" * 20
_GUARD = "delta guard"
_PAGE = 1_000
_ALL = 10_000_000
_SAMPLE = 12
_SHOWN = 5
_ENDED = (Stage.CONFIRMED, Stage.FAILED)

_Deltas = Counter[tuple[str, str]]
_T = TypeVar("_T")


class Audit:
    """Compares everything with everything. `wrong` says what does not fit."""

    def __init__(self, field: Field, plants: list[Plant]) -> None:
        self._field = field
        self._plants = plants
        self.wrong: list[str] = []
        self.figures: dict[str, int] = {}
        self._end = field.node.request("eth_getBlockByNumber", ["latest", False])
        self._explained: Counter[tuple[str, str]] = Counter(field.start)
        self._counts: Counter[str] = Counter()

    def run(self) -> None:
        """All of it."""
        mined = mined_since(self._field, int(self._end["number"], 16))
        self._counts["eth_transactions"] = len(mined)
        engine: dict[str, tuple[House, int]] = {}
        for house in self._field.houses:
            engine.update({tx_hash: (house, intent) for tx_hash, intent in _attempts(house)})
        carried_out: dict[str, Counter[int]] = {house.wallet: Counter() for house in self._field.houses}
        by_intent = {house.wallet: self._operations(house) for house in self._field.houses}
        effects = self._signed_effects(by_intent)
        for one in mined:
            self._explain_fee(one)
            deed = self._field.crowd.deeds.get(one.tx_hash)
            if one.tx_hash in engine:
                house, intent = engine[one.tx_hash]
                operation = by_intent[house.wallet].get(intent)
                if operation is not None:
                    carried_out[house.wallet][operation.id] += 1
                self._explain_ours(one, operation, effects)
            elif deed is not None:
                self._explain_deed(one, deed)
            else:
                self._wrong("Nobody knows the eth transaction", f"{one.tx_hash} of {one.sender} in block {one.block}")
        self._compare_balances()
        by_hash = {one.tx_hash: one for one in mined}
        for house in self._field.houses:
            self._audit_operations(house, carried_out[house.wallet], by_hash)
            self._audit_guard(house)
            self._audit_proofs(house)
        self.figures |= {name: self._counts[name] for name in sorted(self._counts)}

    # ---------------------------------------------------------------- what explains the balances

    def _move(self, asset: str, source: str, target: str, amount: int) -> None:
        self._explained[source, asset] -= amount
        self._explained[target, asset] += amount

    def _explain_fee(self, one: Mined) -> None:
        self._explained[one.sender, ETH] -= one.fee

    def _explain_deed(self, one: Mined, deed: Deed) -> None:
        """What others did is a known gift or a planted loss, as its receipt says: no deed uses a lying token."""
        self._counts["deeds_mined"] += 1
        if not one.succeeded:
            return
        if deed.gift is not None:
            account, amount = deed.gift
            self._explained[one.sender, ETH] -= amount
            self._explained[account, ETH] += amount
        elif one.value and one.to is not None:
            self._move(ETH, one.sender, one.to, one.value)
        for transfer in one.transfers:
            self._move(*transfer)

    def _explain_ours(self, one: Mined, operation: Operation | None, effects: dict[tuple[str, int], _Deltas]) -> None:
        if not one.succeeded:
            self._counts["mined_reverted"] += 1
            return
        if operation is None:
            self._counts["fills_mined"] += 1
            return
        key = (operation.wallet, operation.id)
        if operation.stage is Stage.CONFIRMED:
            for holding, change in effects[key].items():
                self._explained[holding] += change
        elif operation.code == "delta_breach":
            self._explain_dishonest(one, operation)
        # A token that mints to us in the middle of a payment has made a gift.
        token = str(operation.intent.get("token", ""))
        if token == self._field.tokens["ReentrantToken"]:
            for asset, source, target, amount in one.transfers:
                if source == _ZERO:
                    self._explained[target, asset] += amount
                    self._counts["gifts_within"] += 1

    def _explain_dishonest(self, one: Mined, operation: Operation) -> None:
        """What the contracts of dishonest tokens do, whatever they say."""
        token, amount = str(operation.intent.get("token", "")), int(operation.intent.get("amount", 0))
        names = {address: name for name, address in self._field.tokens.items()}
        payer, payee = operation.wallet, str(operation.intent.get("to", ""))
        match names.get(token):
            case "FeeOnTransferToken":
                self._explained[payer, token] -= amount
                self._explained[payee, token] += amount - amount // 100
            case "SilentExtraToken":
                self._explained[payer, token] -= amount
                self._explained[payee, token] += amount + 1
            case "LyingToken" | "FalseReturnToken":
                pass
            case _:
                self._wrong("A breach without a dishonest token", f"operation {operation.id} in {one.tx_hash}")

    def _compare_balances(self) -> None:
        actual = self._field.balances({"blockHash": self._end["hash"]})
        self._counts["balances_compared"] = len(actual)
        for (account, asset), has in actual.items():
            explained = self._explained[account, asset]
            if has != explained:
                self._wrong(
                    "A balance is not explained",
                    f"{account} has {has} of {asset}, of which {has - explained:+} is not explained",
                )

    # ---------------------------------------------------------------- operations

    def _operations(self, house: House) -> dict[int, Operation]:
        """By the engine's number."""
        return {one.outbox_id: one for one in _all_operations(house) if one.outbox_id is not None}

    def _signed_effects(self, by_intent: dict[str, dict[int, Operation]]) -> dict[tuple[str, int], _Deltas]:
        """What confirmed operations had to do: as decided, or as the guard derived again because others were faster."""
        found: dict[tuple[str, int], _Deltas] = {}
        for house in self._field.houses:
            confirmed = {one.id: one for one in by_intent[house.wallet].values() if one.stage is Stage.CONFIRMED}
            ids = list(confirmed)
            with house.treasury.lifecycle.ledger.read() as connection:
                decided = decisions.latest(connection, ids)
                judged = verdicts.latest(connection, ids)
            for number in ids:
                deltas: _Deltas = Counter()
                for movement in decided[number].effects.movements:
                    deltas[movement.source, movement.asset] -= movement.amount
                    deltas[movement.target, movement.asset] += movement.amount
                evidence: Mapping[str, Any] = judged[number].evidence if number in judged else {}
                if evidence.get("notes"):
                    told: _Deltas = Counter()
                    for asset, by_account in evidence["expected"]["deltas"].items():
                        for account, change in by_account.items():
                            told[account, asset] += int(change)
                    self._counts["derived_again"] += told != deltas
                    deltas = told
                found[house.wallet, number] = deltas
                words = wanted(confirmed[number], self._field)
                if words is not None and words != deltas:
                    self._wrong("Not what was asked for", f"operation {number} of {house.treasury.name}: {deltas}")
        return found

    def _audit_operations(self, house: House, carried_out: Counter[int], mined: dict[str, Mined]) -> None:
        """Each has ended exactly once, and is on the chain exactly as often as that says."""
        name = house.treasury.name
        with house.treasury.lifecycle.ledger.read() as connection:
            known = _pages(lambda after: journal.listed(connection, house.treasury.account, after=after), _seq)
        ends: Counter[int] = Counter()
        for written in known:
            entry = written.entry
            if entry.operation_id is not None:
                ends[entry.operation_id] += (entry.after in _ENDED) - (entry.before in _ENDED)
        for one in _all_operations(house):
            self._counts["operations"] += 1
            self._counts[f"ended_{one.stage.value}"] += 1
            if one.stage is Stage.FAILED:
                self._counts[f"code_{one.code}"] += 1
            what = f"operation {one.id} of {name} ({one.type.value}, {one.stage.value}, {one.code})"
            if one.stage not in _ENDED:
                self._wrong("Not ended", what)
                continue
            if ends[one.id] != 1:
                self._wrong("Not ended exactly once", f"{what}: {ends[one.id]} times")
            on_chain = (one.stage is Stage.CONFIRMED and not one.type.query) or one.block is not None
            if carried_out[one.id] != int(on_chain):
                self._wrong("Not mined as often as it says", f"{what}: {carried_out[one.id]} times")
            elif on_chain:
                found = mined.get(str(one.tx_hash))
                if found is None or one.block is None or found.block_hash.lower() != one.block.hash.lower():
                    self._wrong("Not mined where it says", f"{what}: {one.tx_hash} in {one.block}")
                elif found.succeeded != (one.stage is Stage.CONFIRMED or one.code != "reverted"):
                    self._wrong("It did not end as the chain says", what)
            if one.code == "unverified":
                self._wrong("Left unverified", what)

    # ---------------------------------------------------------------- guard and proofs

    def _audit_guard(self, house: House) -> None:
        """No breach and no pause but for what was planted, nothing left incomplete, nothing signed while paused."""
        name, account = house.treasury.name, house.treasury.account
        plants = [one for one in self._plants if one.house is house]
        with house.treasury.lifecycle.ledger.read() as connection:
            found = breaches.listed(connection, account, limit=_ALL)
            known = _pages(lambda after: journal.listed(connection, account, after=after), _seq)
            judged = verdicts.latest(connection, [one.id for one in _all_operations(house)])
        self._counts["reopened"] += sum(one.entry.event == "reopened" for one in known)
        expected = set()
        for one in found:
            if one.severity != "breach":
                self._counts[f"noticed_{one.kind}"] += 1
                if one.kind == "incomplete" and self._is_canonical(one.block):
                    self._wrong("An incomplete finding", f"{name}: {one.detail['message']}")
            elif any(belongs(plant, one) for plant in plants):
                self._counts["findings_of_breaches"] += 1
                expected.add(one.detail["message"])
            else:
                self._wrong("A breach that nobody planted", f"{name}: {json.dumps(dict(one.detail))}")
        for number, verdict in judged.items():
            if verdict.verdict == "incomplete":
                self._wrong("An incomplete verdict", f"operation {number} of {name}: {verdict.evidence['notes']}")
        for written in known:
            entry = written.entry
            if entry.event == "paused" and entry.detail["by"] == _GUARD:
                self._counts["pauses"] += 1
                if entry.detail["reason"] not in expected:
                    self._counts["false_pauses"] += 1
                    self._wrong("A false pause", f"{entry.agent or 'all'} of {name}: {entry.detail['reason']}")
        self._counts["false_pauses"] += 0
        handed = {one.outbox_id for one in _all_operations(house) if one.outbox_id is not None}
        for key in jobs_without_operation(house, handed):
            self._wrong("The engine was handed what nobody asked for", f"{name}: {key}")
        for row in signed_while_paused(house):
            self._wrong("Signed while paused", f"{name}: (attempt, intent, nonce, kind, earlier) {row}")

    def _is_canonical(self, block: Any) -> bool:
        if block is None:
            return True
        there = self._field.node.request("eth_getBlockByHash", [block.hash, False])
        if not isinstance(there, dict):
            return False
        now = self._field.node.request("eth_getBlockByNumber", [there["number"], False])
        return bool(now["hash"].lower() == block.hash.lower())

    def _audit_proofs(self, house: House) -> None:
        """Each operation has one proof that was not taken back, and the chain of all links verifies."""
        name, account, lifecycle = house.treasury.name, house.treasury.account, house.treasury.lifecycle
        with lifecycle.ledger.read() as connection:
            links = _pages(lambda after: proofs.read(connection, account, after=after), _proof_seq)
        stand: Counter[int] = Counter()
        for link in links:
            self._counts[f"links_{link.kind}"] += 1
            if link.operation_id is not None:
                stand[link.operation_id] += {"proof": 1, "reopened": -1}.get(link.kind, 0)
        for one in _all_operations(house):
            # A question moves nothing, and so there is nothing to prove.
            wanted = int(not one.type.query)
            if one.stage in _ENDED and stand[one.id] != wanted:
                self._wrong(
                    "Not exactly one proof stands", f"operation {one.id} of {name} ({one.type.value}): {stand[one.id]}"
                )
        report = verify(write_document(links), signer=lifecycle.proof_address)
        if not report.ok:
            self._wrong("The chain of proofs does not verify", f"{name}: {report.wrong[0]}")
        self._verify_on_chain(house, links)

    def _verify_on_chain(self, house: House, links: list[Proof]) -> None:
        """The proofs that hold and are about something unusual, and a sample of the others."""
        gone = {json.loads(link.head)["proof"] for link in links if link.kind == "reopened"}
        standing = [link for link in links if link.kind == "proof" and link.proof_hash not in gone]
        usual = [link for link in standing if not _noted(link)]
        noted = [link for link in standing if _noted(link)]
        self._counts["proofs_noted"] += len(noted)
        for link in [*noted, *usual[:: max(1, len(usual) // _SAMPLE)]]:
            report = verify(write_document([link]), self._field.node, signer=house.treasury.lifecycle.proof_address)
            self._counts["proofs_on_chain"] += 1
            if not report.ok:
                self._wrong("A proof is not what the chain says", f"{house.treasury.name}: {report.wrong[0]}")

    def _wrong(self, what: str, detail: str) -> None:
        """Says it, a few times of each sort."""
        self._counts[f"WRONG {what}"] += 1
        if self._counts[f"WRONG {what}"] <= _SHOWN:
            self.wrong.append(f"{what}: {detail}.")


def _noted(link: Proof) -> bool:
    """Whether the guard had something to say about it: a breach, or that E was derived again."""
    execution = json.loads(link.parts or b"{}").get("execution") or {}
    return bool((execution.get("delta") or {}).get("notes"))


def _attempts(house: House) -> list[tuple[str, int]]:
    """(hash, the engine's number) of everything that the engine ever signed."""
    with sqlite3.connect(house.treasury.plan.database, timeout=30) as connection:
        return list(connection.execute("SELECT tx_hash, intent_id FROM attempts"))


def _all_operations(house: House) -> list[Operation]:
    with house.treasury.lifecycle.ledger.read() as connection:
        return operations.listed(connection, house.treasury.account, limit=_ALL)


def _pages(read: Callable[[int], list[_T]], number: Callable[[_T], int]) -> list[_T]:
    found: list[_T] = []
    while page := read(number(found[-1]) if found else 0):
        found += page
    return found


def _seq(one: Written) -> int:
    return one.seq


def _proof_seq(one: Proof) -> int:
    return one.seq
