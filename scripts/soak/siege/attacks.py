"""Planted breaches: each is done, must be found where it happened and stop whoever it concerns, and is then undone as a
person would: repair, resume with a reason.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any

from actp import artifacts
from coordinator.errors import AgentPaused, LedgerConflict
from coordinator.guard import Kind
from coordinator.store import breaches, operations
from coordinator.store.breaches import Found
from coordinator.types import Operation, Stage
from scripts.soak.siege.asking import Asked, Asking
from scripts.soak.siege.crowd import Deed, Party
from scripts.soak.siege.field import DISHONEST, Field, House
from scripts.soak.siege.plants import Plant, belongs, guarded_up_to

__all__ = ["Attacks"]

_FOUND_WITHIN = 60.0
_QUIET_WITHIN = 45.0
_HELD = 0.7
"""For how many seconds it is watched that nothing is signed."""
_TIP = 5 * 10**9
_STOLEN = 12_345


class Attacks:
    """Plants breaches, one after the other. `turn` keeps everything else going while something is waited for."""

    def __init__(self, field: Field, asking: Asking, dice: random.Random, turn: Callable[[], None]) -> None:
        self._field = field
        self._asking = asking
        self._dice = dice
        self._turn = turn
        self._next = 0
        self.plants: list[Plant] = []
        self.wrong: list[str] = []
        self.kinds: tuple[Callable[[House], Plant | None], ...] = (
            self._transfer_from,
            self._key_used,
            self._approval_drain,
            self._hidden_fee,
            self._delegation,
            self._false_token,
        )

    def plant(self) -> None:
        """The next breach, of the next kind, on any treasury: from the deed to the resumption."""
        attack = self.kinds[self._next % len(self.kinds)]
        self._next += 1
        house = self._dice.choice(self._field.houses)
        plant = attack(house)
        if plant is None:
            self.wrong.append(f"The attack {attack.__name__.strip('_')} could not be carried out.")
        self._field.bury()

    # ---------------------------------------------------------------- the attacks

    def _transfer_from(self, house: House) -> Plant | None:
        """A thief uses an allowance of long ago."""
        thief = self._dice.choice(self._field.thieves)
        name = self._dice.choice(("TestUSDC", "PlainERC20"))
        plant = Plant("transfer_from", house, (Kind.OUTFLOW,))
        if not self._steal(plant, thief, name):
            return None
        return self._see_through(plant)

    def _key_used(self, house: House) -> Plant | None:
        """Somebody has our key, and signs with it while the engine does."""
        plant = Plant("key_used", house, (Kind.KEY_USED,), (Kind.OUTFLOW, Kind.EFFECTS_DIFFER))
        if self._dice.random() < 0.5:
            self._quiet(house)
        if not self._as_us(plant, "theft", self._field.strangers[0].address, value=_STOLEN):
            return None
        return self._see_through(plant)

    def _approval_drain(self, house: House) -> Plant | None:
        """An approval that we never signed in the engine, and what is taken by it; then it is revoked."""
        thief, usdc = self._field.strangers[-1], self._field.usdc
        plant = Plant("approval_drain", house, (Kind.KEY_USED, Kind.APPROVAL, Kind.OUTFLOW))
        if not self._as_us(plant, "drain", usdc, "approve", thief.address, 10 * _STOLEN):
            return None
        if not self._steal(plant, thief, "TestUSDC"):
            return None

        def revoke() -> bool:
            return self._as_us(plant, "revoke", usdc, "approve", thief.address, 0)

        return self._see_through(plant, revoke)

    def _delegation(self, house: House) -> Plant | None:
        """A stranger brings a delegation of our account (EIP-7702) to the chain; then it is ended."""
        plant = Plant("delegation", house, (Kind.KEY_USED, Kind.CODE_CHANGED))
        self._quiet(house)
        if not self._delegate(plant, self._field.tokens["PlainERC20"]):
            return None

        def end() -> bool:
            return self._delegate(plant, "0x" + "00" * 20)

        return self._see_through(plant, end)

    def _hidden_fee(self, house: House) -> Plant | None:
        """A token that burns 1 % of what we pay."""
        return self._pay_in(house, "FeeOnTransferToken", Kind.EFFECTS_DIFFER)

    def _false_token(self, house: House) -> Plant | None:
        """A token that tells of a payment which it did not make, makes another one, or says no in a whisper."""
        name = self._dice.choice([one for one in DISHONEST if one != "FeeOnTransferToken"])
        return self._pay_in(house, name, Kind.RECEIVED_LESS if name == "LyingToken" else Kind.EFFECTS_DIFFER)

    # ---------------------------------------------------------------- deeds

    def _steal(self, plant: Plant, thief: Party, name: str) -> bool:
        field = self._field
        artifact = "TestUSDC" if name == "TestUSDC" else f"test/{name}"
        for _ in range(5):
            tx_hash = field.crowd.call(
                thief, "theft", artifact, field.tokens[name], "transferFrom", plant.house.wallet, thief.address, _STOLEN
            )
            if self._mined(plant, tx_hash):
                return True
        return False

    def _as_us(self, plant: Plant, what: str, to: str, function: str = "", *arguments: Any, value: int = 0) -> bool:
        """An eth transaction that our key signs outside of the engine, with whatever nonce comes first."""
        data = artifacts.load("TestUSDC").call_data(function, list(arguments)) if function else b""
        for _ in range(8):
            tx_hash = self._field.crowd.send(plant.house.party, what, to, data, value, tip=_TIP)
            if self._mined(plant, tx_hash):
                return True
        return False

    def _delegate(self, plant: Plant, to: str) -> bool:
        from eth_account import Account

        crowd, house = self._field.crowd, plant.house
        us, stranger = Account.from_key(house.party.private_key), self._field.strangers[0]
        for _ in range(8):
            signed = us.sign_authorization(
                {"chainId": crowd.chain_id, "address": to, "nonce": crowd.nonce(house.party)}
            )
            fields: dict[str, Any] = {
                "chainId": crowd.chain_id, "nonce": crowd.nonce(stranger), "to": stranger.address, "value": 0,
                "gas": 200_000, "maxFeePerGas": 200 * 10**9, "maxPriorityFeePerGas": _TIP, "data": "0x",
                "accessList": [], "authorizationList": [signed],
            }  # fmt: skip
            raw = bytes(Account.from_key(stranger.private_key).sign_transaction(fields).raw_transaction)
            receipt = self._receipt(crowd.send_raw(raw, Deed("delegation", to=stranger.address)))
            wanted = "0x" if int(to, 16) == 0 else "0xef0100" + to[2:].lower()
            code = self._field.node.request("eth_getCode", [house.wallet, "latest"])
            if receipt is not None and str(code).lower() == wanted:
                plant.hashes.append(receipt["transactionHash"])
                plant.blocks.append(int(receipt["blockNumber"], 16))
                return True
        return False

    def _pay_in(self, house: House, name: str, kind: Kind) -> Plant | None:
        field = self._field
        agent = self._dice.choice(house.agents)
        asked = self._asking.ask(
            house, "transfer_erc20", agent, to=self._dice.choice(field.payees),
            amount=str(self._dice.randint(1_000, 1_000_000)), token=field.tokens[name],
        )  # fmt: skip
        operation = self._submit(asked)
        if operation is None:
            return None
        may = (Kind.RECEIVED_LESS,) if kind is Kind.EFFECTS_DIFFER else ()
        plant = Plant(f"token {name}", house, (kind,), may, agent, operation_id=operation.id)
        until = time.monotonic() + _FOUND_WITHIN
        while time.monotonic() < until:
            known = house.treasury.lifecycle.find(operation.id)
            if known.stage is Stage.FAILED and known.block is not None:
                plant.blocks.append(known.block.number)
                plant.hashes.append(str(known.tx_hash))
                return self._see_through(plant)
            self._turn()
        self.plants.append(plant)
        return None

    def _receipt(self, tx_hash: str | None) -> dict[str, Any] | None:
        until = time.monotonic() + 5.0
        while tx_hash is not None and time.monotonic() < until:
            receipt = self._field.crowd.receipt(tx_hash, 0.2)
            if receipt is not None:
                return receipt
            self._turn()
        return None

    def _mined(self, plant: Plant, tx_hash: str | None) -> bool:
        receipt = self._receipt(tx_hash)
        if receipt is None or receipt["status"] != "0x1":
            self._turn()
            return False
        plant.hashes.append(receipt["transactionHash"])
        plant.blocks.append(int(receipt["blockNumber"], 16))
        return True

    # ---------------------------------------------------------------- what must follow

    def _see_through(self, plant: Plant, repair: Callable[[], bool] | None = None) -> Plant | None:
        """Waits until it is found and stopped, repairs it, and resumes."""
        self.plants.append(plant)
        planted = list(plant.blocks)
        name = f"{plant.what} on {plant.house.treasury.name}"
        if not self._until(lambda: self._is_found(plant, planted), _FOUND_WITHIN):
            kinds = [one.kind for one in self._findings(plant)]
            self.wrong.append(f"{name} in block {planted} was not found: findings {kinds}.")
        elif not self._is_paused(plant):  # it is one commit
            paused = [one.agent for one in plant.house.treasury.lifecycle.paused()]
            self.wrong.append(f"{name} was found, and paused are {paused} instead of {plant.agent or 'everything'}.")
        else:
            plant.found = True
        self._watch_pause(plant)
        if repair is not None:
            if not repair():
                self.wrong.append(f"{name} cannot be repaired.")
            elif not self._until(lambda: self._is_found(plant, plant.blocks[-1:]), _FOUND_WITHIN):
                self.wrong.append(f"The repair of {name} in block {plant.blocks[-1]} was not found.")
        self._field.bury()
        self._until_examined(plant.house)
        lifecycle = plant.house.treasury.lifecycle
        for pause in lifecycle.paused():
            lifecycle.resume(pause.agent, by="harness", reason=f"{plant.what} is dealt with")
        return plant

    def _watch_pause(self, plant: Plant) -> None:
        """While it is paused nothing is taken in, and what was decided before waits."""
        house = plant.house
        agent = plant.agent or house.agents[0]
        try:
            house.treasury.lifecycle.submit("transfer_eth", {"to": self._field.payees[0], "amount": "1"}, agent=agent)
        except AgentPaused:
            pass
        else:
            self.wrong.append(f"{agent} can ask for something after {plant.what}.")
        until = time.monotonic() + _HELD
        while time.monotonic() < until:
            self._turn()
        with house.treasury.lifecycle.ledger.read() as connection:
            plant.held = operations.count_in(connection, house.treasury.account, Stage.SIGNING)

    def _findings(self, plant: Plant) -> list[Found]:
        with plant.house.treasury.lifecycle.ledger.read() as connection:
            listed = breaches.listed(connection, plant.house.treasury.account, severity="breach", limit=200)
        return [one for one in listed if belongs(plant, one)]

    def _is_found(self, plant: Plant, blocks: list[int]) -> bool:
        found = self._findings(plant)
        covered = {
            one.kind
            for one in found
            if one.block is not None and any(one.detail["since"] < block <= one.block.number for block in blocks)
        }
        # A repair uses the key once more; that is all that has to be seen of it.
        must = plant.must if blocks[0] == plant.blocks[0] else (Kind.KEY_USED,)
        return covered >= {one.value for one in must}

    def _is_paused(self, plant: Plant) -> bool:
        return any(one.agent in (None, plant.agent) for one in plant.house.treasury.lifecycle.paused())

    def _until_examined(self, house: House) -> None:
        """Waits until the guard is beyond what is buried now."""
        head = self._field.head()

        def reached() -> bool:
            return guarded_up_to(house) >= head

        if not self._until(reached, _FOUND_WITHIN):
            self.wrong.append(f"The guard of {house.treasury.name} does not get to block {head}.")

    def _quiet(self, house: House) -> None:
        """Waits until nothing of this treasury is on its way."""

        def quiet() -> bool:
            with house.treasury.lifecycle.ledger.read() as connection:
                stages = operations.count(connection, house.treasury.account)
            return not any(
                stages.get(one, 0) for one in (Stage.PENDING, Stage.SIMULATING, Stage.SIGNING, Stage.SUBMITTING)
            )

        self._until(quiet, _QUIET_WITHIN)

    def _until(self, done: Callable[[], bool], seconds: float) -> bool:
        until = time.monotonic() + seconds
        while not done():
            if time.monotonic() > until:
                return False
            self._turn()
        return True

    def _submit(self, asked: Asked) -> Operation | None:
        request = asked.request
        try:
            return asked.house.treasury.lifecycle.submit(
                request.type, request.intent, agent=request.agent, key=request.key
            )
        except (AgentPaused, LedgerConflict):
            return None
