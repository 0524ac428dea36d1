"""What agents ask for: random intents of every type, most of them sensible, and steps of the escrows that there are."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from actp.errors import Reverted
from actp.kernel_views import transaction_of
from actp.reads import Read, read_all
from actp.types import State, Transaction
from coordinator.lifecycle.submitting import Request
from coordinator.store import operations
from coordinator.types import Operation, Stage
from scripts.soak.siege.field import HONEST, LARGEST, MOODY, Field, House

__all__ = ["Asked", "Asking", "Escrow"]

_HOUR = 3_600
_MOST_ESCROWS = 120
_LOOKED_AT = 60
_ENDED = (Stage.CONFIRMED, Stage.FAILED)


@dataclass(frozen=True, slots=True)
class Asked:
    """A request, and of whom."""

    house: House
    request: Request


@dataclass(slots=True)
class Escrow:
    """One that somebody has asked for. `step` is the operation that is on its way, (house, number)."""

    requester: House
    provider: House
    parts: int
    transaction_id: str | None
    step: tuple[House, int] | None
    record: Transaction | None = None
    left_alone: bool = False


class Asking:
    """Invents requests, and remembers the escrows that follow from them."""

    def __init__(self, field: Field, dice: random.Random) -> None:
        self._field = field
        self._dice = dice
        self._number = 0
        self.escrows: list[Escrow] = []
        self._waiting: dict[tuple[str, str, str], Escrow] = {}
        """Escrows whose step was asked for and is not known by number yet, by (house, agent, key)."""

    # ---------------------------------------------------------------- requests

    def some(self, count: int) -> list[Asked]:
        """The next requests, about so many."""
        dice, now = self._dice, self._field.now()
        asked = self._steps(count // 2)
        kinds: list[tuple[int, Callable[[House, int], Asked | None]]] = [
            (34, self._ether),
            (22, self._usdc),
            (14, self._tokens),
            (16, self._open),
            (4, self._batch),
            (3, self._question),
            (3, self._gated),
            (4, self._doomed),
        ]
        weights, makers = [weight for weight, _ in kinds], [make for _, make in kinds]
        while len(asked) < count:
            make = dice.choices(makers, weights)[0]
            one = make(dice.choice(self._field.houses), now)
            if one is not None:
                asked.append(one)
        dice.shuffle(asked)
        return asked

    def ask(self, house: House, kind: str, agent: str | None = None, **fields: Any) -> Asked:
        """One request of this type."""
        self._number += 1
        who = self._dice.choice(house.agents) if agent is None else agent
        return Asked(house, Request(kind, fields, who, f"wish-{self._number}"))

    def _payee(self) -> str:
        return self._dice.choice(self._field.payees)

    def _ether(self, house: House, now: int) -> Asked:
        return self.ask(house, "transfer_eth", to=self._payee(), amount=str(self._dice.randint(1, 10**12)))

    def _usdc(self, house: House, now: int) -> Asked:
        return self.ask(house, "transfer_erc20", to=self._payee(), amount=str(self._dice.randint(1, LARGEST)))

    def _tokens(self, house: House, now: int) -> Asked:
        token = self._field.tokens[self._dice.choice((*HONEST, *MOODY))]
        amount = str(self._dice.randint(1, LARGEST))
        return self.ask(house, "transfer_erc20", to=self._payee(), amount=amount, token=token)

    def _question(self, house: House, now: int) -> Asked:
        return self.ask(house, self._dice.choice(("query_balance", "query_positions")))

    def _gated(self, house: House, now: int) -> Asked:
        if self._dice.random() < 0.5:
            return self.ask(house, "transfer_eth", to=self._payee(), amount="7", require_approval=True)
        return self.ask(house, "transfer_erc20", to=self._payee(), amount=str(9 * LARGEST))

    def _doomed(self, house: House, now: int) -> Asked:
        """What must fail, each at another stage, and is no breach."""
        unknown = "0x" + self._dice.randbytes(32).hex()
        makers: list[Callable[[], Asked]] = [
            lambda: self.ask(house, "transfer_eth", to=self._payee(), amount=str(10**20)),
            lambda: self.ask(house, "transfer_erc20", to=self._payee(), amount=str(20 * LARGEST)),
            lambda: self.ask(house, "release_escrow", transaction_id=unknown),
            lambda: self.ask(house, "transfer_erc20", to=self._payee(), amount="5", token=self._payee()),
        ]
        return self._dice.choice(makers)()

    # ---------------------------------------------------------------- escrows

    def _open(self, house: House, now: int) -> Asked | None:
        if not house.can_create or len(self.escrows) >= _MOST_ESCROWS:
            return None
        dice = self._dice
        provider = next(one for one in self._field.houses if one.can_create and one is not house)
        self._number += 1
        parts = [dice.randint(60_000, LARGEST // 4) for _ in range(dice.randint(2, 4))] if dice.random() < 0.3 else []
        fields: dict[str, Any] = {
            "escrow_numeric_id": str(self._number),
            "provider": provider.wallet,
            "amount": str(sum(parts) if parts else dice.randint(50_000, LARGEST)),
            "deadline": now + dice.randint(2 * _HOUR, 72 * _HOUR),
            "dispute_window": dice.randint(_HOUR, 3 * _HOUR),
            "terms": f"work {self._number}",
        }
        if parts:
            fields["milestones"] = [{"amount": str(part)} for part in parts]
        if dice.random() < 0.3:
            fields["arbiter"] = self._field.houses[2].wallet
        asked = self.ask(house, "create_milestone_escrow" if parts else "create_escrow", **fields)
        escrow = Escrow(house, provider, len(parts), None, None)
        self._remember(asked, escrow)
        self.escrows.append(escrow)
        return asked

    def _batch(self, house: House, now: int) -> Asked | None:
        if not house.can_create:
            return None
        provider = next(one for one in self._field.houses if one.can_create and one is not house)
        orders = []
        for _ in range(self._dice.randint(2, 5)):
            self._number += 1
            orders.append(
                {
                    "escrow_numeric_id": str(self._number),
                    "provider": provider.wallet,
                    "amount": str(self._dice.randint(50_000, LARGEST)),
                    "deadline": now + 48 * _HOUR,
                    "dispute_window": _HOUR,
                }
            )
        return self.ask(house, "create_escrow_batch", orders=orders)

    def _remember(self, asked: Asked, escrow: Escrow) -> None:
        self._waiting[asked.house.treasury.name, asked.request.agent, str(asked.request.key)] = escrow

    def note(self, house: House, found: list[Operation]) -> None:
        """What was asked for has numbers now."""
        for one in found:
            escrow = self._waiting.pop((house.treasury.name, one.agent, one.key), None)
            if escrow is not None:
                escrow.step = (house, one.id)

    def look(self) -> None:
        """Which steps have ended, and what state the escrows are in."""
        for house in self._field.houses:
            under_way = [one for one in self.escrows if one.step is not None and one.step[0] is house]
            with house.treasury.lifecycle.ledger.read() as connection:
                found = operations.by_ids(connection, [one.step[1] for one in under_way if one.step is not None])
            for one in under_way:
                operation = found[one.step[1]] if one.step is not None else None
                if operation is not None and operation.stage in _ENDED:
                    one.step = None
                    one.transaction_id = one.transaction_id or operation.transaction_id
                    if one.transaction_id is None:
                        one.left_alone = True
        chosen = [one for one in self.escrows if one.transaction_id is not None]
        chosen = self._dice.sample(chosen, min(_LOOKED_AT, len(chosen)))
        kernel = self._field.deployment.kernel
        reads = [
            Read("ACTPKernel", kernel, "getTransaction", (bytes.fromhex((one.transaction_id or "")[2:]),))
            for one in chosen
        ]
        for one, answer in zip(chosen, read_all(self._field.node, reads), strict=True):
            one.record = None if isinstance(answer, Reverted) else transaction_of(answer)
        self.escrows = [
            one
            for one in self.escrows
            if one.step is not None
            or (one.transaction_id is None and not one.left_alone)
            or (one.transaction_id is not None and not (one.record is not None and one.record.state.final))
        ]

    def _steps(self, most: int) -> list[Asked]:
        ready = [one for one in self.escrows if one.step is None and one.record is not None and not one.left_alone]
        self._dice.shuffle(ready)
        asked = []
        for escrow in ready[:most]:
            step = self._step(escrow)
            if step is None:
                escrow.left_alone = True
                continue
            self._remember(step, escrow)
            escrow.record = None
            asked.append(step)
        return asked

    def _step(self, escrow: Escrow) -> Asked | None:
        """What somebody might do next; None if it is left to strangers."""
        assert escrow.record is not None
        choices = self._choices(escrow, escrow.record.state)
        if not choices:
            return None
        weights = [weight for weight, *_ in choices]
        _, house, kind, fields = self._dice.choices(choices, weights)[0]
        if kind == "":
            return None
        return self.ask(house, kind, transaction_id=escrow.transaction_id, **fields)

    def _choices(self, escrow: Escrow, state: State) -> list[tuple[int, House, str, dict[str, Any]]]:
        ours, theirs, court = escrow.requester, escrow.provider, self._field.houses[2]
        if state is State.COMMITTED:
            return [
                (60, theirs, "accept_escrow", {}),
                (10, theirs, "deliver_escrow", {}),
                (8, theirs, "refund_escrow", {}),
                (6, ours, "refund_escrow", {}),
                (4, ours, "", {}),
            ]
        if state is State.IN_PROGRESS:
            part = {"index": self._dice.randrange(escrow.parts)} if escrow.parts else {"amount": "60000"}
            return [
                (40, theirs, "deliver_escrow", {}),
                (30, ours, "release_milestone", part),
                (12, ours, "release_escrow", {}),
                (6, theirs, "refund_escrow", {}),
                (4, ours, "", {}),
            ]
        if state is State.DELIVERED:
            return [
                (40, ours, "release_escrow", {}),
                (16, ours, "dispute_escrow", {"evidence": "not as agreed"}),
                (6, theirs, "dispute_escrow", {"evidence": "it is fine"}),
                (12, ours, "", {}),
                (4, theirs, "release_escrow", {}),
            ]
        if state is State.DISPUTED:
            record = escrow.record
            assert record is not None
            left = self._left(escrow)
            share = self._dice.randint(0, left)
            split = {
                "decision": "split",
                "requester_amount": str(share),
                "provider_amount": str(left - share),
                "provider_at_fault": self._dice.random() < 0.5,
            }
            return [
                (30, court, "resolve_dispute", {"decision": "release"}),
                (30, court, "resolve_dispute", {"decision": "refund"}),
                (30, court, "resolve_dispute", split),
                (5, ours, "resolve_dispute", {"decision": "refund"}),
            ]
        return []

    def _left(self, escrow: Escrow) -> int:
        """What lies in it: base units."""
        read = Read(
            "ACTPKernel", self._field.deployment.kernel, "escrowOf", (bytes.fromhex((escrow.transaction_id or "")[2:]),)
        )
        (answer,) = read_all(self._field.node, [read])
        if isinstance(answer, Reverted) or escrow.record is None:
            return 0
        return escrow.record.amount - int(answer[3])
