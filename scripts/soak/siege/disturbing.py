"""Strangers who do no harm: dust, payments, settlements and refunds of our escrows, bonds, and moods of tokens."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from actp import artifacts
from actp.types import State
from scripts.soak.siege.asking import Escrow
from scripts.soak.siege.crowd import Party
from scripts.soak.siege.field import HONEST, Field

__all__ = ["Disturbing"]

_ZERO = "0x" + "00" * 20


class Disturbing:
    """Does something to our treasuries that must not stop them."""

    def __init__(self, field: Field, dice: random.Random) -> None:
        self._field = field
        self._dice = dice
        self.done: dict[str, int] = {}

    def some(self, count: int, escrows: Sequence[Escrow]) -> None:
        """So many acts of strangers."""
        acts: list[tuple[int, Callable[[Party, Sequence[Escrow]], str | None]]] = [
            (20, self._dust),
            (20, self._token_dust),
            (8, self._forced_ether),
            (10, self._nothing_in_our_name),
            (30, self._end_escrow),
            (10, self._bond),
            (12, self._mood),
        ]
        weights, doers = [weight for weight, _ in acts], [do for _, do in acts]
        for _ in range(count):
            do = self._dice.choices(doers, weights)[0]
            if do(self._dice.choice(self._field.strangers[2:]), escrows) is not None:
                name = do.__name__.strip("_")
                self.done[name] = self.done.get(name, 0) + 1

    def calm(self) -> None:
        """Tokens do as they are told again."""
        field, party = self._field, self._field.strangers[-1]
        for name, function, arguments in (
            ("GasBurningToken", "setBurning", (False,)),
            ("ReturnBombToken", "setBomb", (0, False)),
            ("ReentrantToken", "arm", (_ZERO, b"")),
        ):
            field.crowd.call(party, "calm", f"test/{name}", field.tokens[name], function, *arguments)

    def _wallet(self) -> str:
        return self._dice.choice(self._field.houses).wallet

    def _dust(self, party: Party, escrows: Sequence[Escrow]) -> str | None:
        return self._field.crowd.send(party, "dust", self._wallet(), value=self._dice.randint(1, 1_000))

    def _token_dust(self, party: Party, escrows: Sequence[Escrow]) -> str | None:
        name = self._dice.choice((*HONEST, "TestUSDC"))
        artifact = "TestUSDC" if name == "TestUSDC" else f"test/{name}"
        amount = self._dice.randint(1, 1_000)
        return self._field.crowd.call(
            party, "token dust", artifact, self._field.tokens[name], "transfer", self._wallet(), amount
        )

    def _forced_ether(self, party: Party, escrows: Sequence[Escrow]) -> str | None:
        """A contract that gives us its ether in its constructor: no receipt shows it."""
        wallet, amount = self._wallet(), self._dice.randint(1, 1_000)
        code = b"\x73" + bytes.fromhex(wallet[2:]) + b"\xff"
        return self._field.crowd.send(party, "forced ether", None, code, amount, gift=(wallet, amount))

    def _nothing_in_our_name(self, party: Party, escrows: Sequence[Escrow]) -> str | None:
        """A transferFrom of zero, which takes nobody's leave."""
        field = self._field
        return field.crowd.call(
            party, "nothing", "TestUSDC", field.usdc, "transferFrom", self._wallet(), party.address, 0
        )

    def _end_escrow(self, party: Party, escrows: Sequence[Escrow]) -> str | None:
        """Settles what is delivered, refunds what is overdue: whoever is too early is refused by the kernel."""
        now = self._field.now()
        due = []
        for one in escrows:
            record = one.record
            if record is None or one.transaction_id is None:
                continue
            if record.state is State.DELIVERED and record.window_ends is not None and now > record.window_ends:
                due.append((one.transaction_id, State.SETTLED))
            elif record.state in (State.COMMITTED, State.IN_PROGRESS) and now > record.deadline + 7 * 86_400:
                due.append((one.transaction_id, State.CANCELLED))
        if not due:
            return None
        transaction_id, state = self._dice.choice(due)
        return self._kernel(party, "transitionState", bytes.fromhex(transaction_id[2:]), int(state), b"")

    def _bond(self, party: Party, escrows: Sequence[Escrow]) -> str | None:
        """Somebody posts the bond of a dispute for one of the parties."""
        delivered = [
            one
            for one in escrows
            if one.record is not None and one.record.state is State.DELIVERED and one.transaction_id is not None
        ]
        if not delivered:
            return None
        one = self._dice.choice(delivered)
        house = self._dice.choice((one.requester, one.provider))
        return self._kernel(party, "postBond", bytes.fromhex((one.transaction_id or "")[2:]), house.wallet)

    def _kernel(self, party: Party, function: str, *arguments: object) -> str | None:
        field = self._field
        name = "IKernelExtension" if function == "postBond" else "ACTPKernel"
        data = artifacts.load(name).call_data(function, list(arguments))
        return field.crowd.send(party, function, field.deployment.kernel, data)

    def _mood(self, party: Party, escrows: Sequence[Escrow]) -> str | None:
        """A token begins, or stops, to refuse transfers, or gives us something in the middle of one."""
        field, dice = self._field, self._dice
        name = dice.choice(("GasBurningToken", "ReturnBombToken", "ReentrantToken"))
        token, artifact = field.tokens[name], f"test/{name}"
        if name == "GasBurningToken":
            return field.crowd.call(party, "mood", artifact, token, "setBurning", dice.random() < 0.3)
        if name == "ReturnBombToken":
            size = dice.choice((0, 0, 64, 10_000))
            return field.crowd.call(party, "mood", artifact, token, "setBomb", size, dice.random() < 0.3)
        payload = artifacts.load(artifact).call_data("mint", [self._wallet(), dice.randint(1, 9)])
        return field.crowd.call(party, "mood", artifact, token, "arm", token, payload)
