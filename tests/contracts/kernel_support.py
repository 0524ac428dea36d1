"""A kernel, its vault and a token on a chain of their own, with named people and short verbs.

After every call that a `World` makes, it checks that the vault's balance equals what is owed plus what somebody sent
on their own; so each test of money is also a test of the books.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum
from itertools import accumulate
from types import SimpleNamespace
from typing import Any

from eth_abi.abi import encode

from actp.chain import EmbeddedChain
from actp.errors import RpcError
from tests.contracts.kernel_codec import Coder, Receipt, Refusal, artifact, canonical, event, refusal

GENESIS = 1_800_000_000
HOUR = 3_600
DAY = 24 * HOUR
USDC = 1_000_000
AMOUNT = 100 * USDC
ZERO = "0x" + "00" * 20
ZERO32 = bytes(32)
SERVICE = b"\x5e" * 32
PLENTY = 5_000_000
"""Gas that is enough for any call, so that nothing has to be estimated."""


class State(IntEnum):
    INITIATED = 0
    QUOTED = 1
    COMMITTED = 2
    IN_PROGRESS = 3
    DELIVERED = 4
    SETTLED = 5
    DISPUTED = 6
    CANCELLED = 7


@dataclass(frozen=True)
class Economics:
    """The kernel's last constructor argument, with the numbers of the public deployments."""

    fee_bps: int = 100
    penalty_bps: int = 500
    bond_bps: int = 500
    min_fee: int = 50_000
    min_bond: int = 1_000_000

    def words(self) -> tuple[int, ...]:
        return (self.fee_bps, self.penalty_bps, self.bond_bps, self.min_fee, self.min_bond)


USUAL = Economics()
FREE = Economics(0, 0, 0, 0, 0)


class Refused(AssertionError):
    """A call that had to succeed reverted."""

    def __init__(self, function: str, why: Refusal) -> None:
        super().__init__(f"{function} reverted with {why.name}({vars(why.values)})")
        self.why = why


class Contract:
    """One deployed contract."""

    def __init__(self, chain: EmbeddedChain, name: str, address: str) -> None:
        self.chain = chain
        self.address = address.lower()
        self.coder = Coder(artifact(name)["abi"])

    def data(self, function: str, *args: Any) -> str:
        return self.coder.data(function, args)

    def read(self, function: str, *args: Any, sender: str = ZERO, gas: int = PLENTY) -> Any:
        """The answer of a call that changes nothing; raises Refused."""
        call = {"from": sender, "to": self.address, "data": self.data(function, *args), "gas": hex(gas)}
        try:
            output = self.chain.request("eth_call", [call, "latest"])
        except RpcError as error:
            data = error.data if isinstance(error.data, str) else "0x"
            raise Refused(function, refusal(bytes.fromhex(data[2:]))) from error
        return self.coder.answer(function, output)

    def refusal(self, function: str, *args: Any, sender: str, gas: int = PLENTY) -> Refusal | None:
        """Why the call would revert now, None if it would not."""
        try:
            self.read(function, *args, sender=sender, gas=gas)
        except Refused as refused:
            return refused.why
        return None

    def send(self, function: str, *args: Any, sender: str, gas: int = PLENTY) -> Receipt:
        """Mines a call; raises Refused, with the chain as it was before, if it reverts."""
        before = self.chain.snapshot()
        at = self.chain.now()
        receipt = transact(self.chain, sender, self.address, self.data(function, *args), gas)
        if receipt["status"] != "0x1":
            self.chain.revert(before)
            self.chain.request("evm_setNextBlockTimestamp", [hex(at)])
            why = self.refusal(function, *args, sender=sender, gas=gas)
            raise Refused(function, why or refusal(b""))
        return Receipt(
            gas_used=int(receipt["gasUsed"], 16),
            timestamp=at,
            events=tuple(event(log) for log in receipt["logs"]),
        )


def transact(chain: EmbeddedChain, sender: str, to: str | None, data: str, gas: int) -> dict[str, Any]:
    call = {"from": sender, "data": data, "gas": hex(gas)} | ({"to": to} if to else {})
    tx_hash = chain.request("eth_sendTransaction", [call])
    receipt: dict[str, Any] = chain.request("eth_getTransactionReceipt", [tx_hash])
    return receipt


def creation_code(name: str, *args: Any) -> str:
    """Bytecode of a contract with its constructor arguments."""
    made = artifact(name)
    shape = [entry for entry in made["abi"] if entry["type"] == "constructor"]
    types = [canonical(part) for part in shape[0]["inputs"]] if shape else []
    return str(made["bytecode"]["object"]) + encode(types, args).hex()


def gated_token_code(implementation: str, least_gas: int) -> str:
    """Creation code of a proxy, as USDC has one, that refuses at once what comes with less than `least_gas`.

    It stands for a token that needs much gas: a caller who gives too little makes it fail and has gas left.
    """
    gate = f"5a62{least_gas:06x}1160{{refuse:02x}}57"  # if gas < least_gas: refuse
    forward = f"365f5f375f5f365f73{implementation[2:]}5af43d5f5f3e60{{answer:02x}}573d5ffd"
    answer, refuse = "5b3d5ff3", "5b5f5ffd"
    starts = [0, *accumulate(len(part.format(refuse=0, answer=0)) // 2 for part in (gate, forward, answer))]
    runtime = (gate + forward + answer + refuse).format(answer=starts[2], refuse=starts[3])
    size = len(runtime) // 2
    return f"0x60{size:02x}600b5f3960{size:02x}5ff300" + runtime


class World:
    """One kernel with its vault and token, and the people who use it.

    `token` is the name of an artifact, or "gated N" for a proxied token that needs N gas.
    """

    def __init__(self, token: str = "TestUSDC", economics: Economics = USUAL) -> None:
        self.chain = EmbeddedChain(clock=lambda: GENESIS)
        names = "admin pauser fee_recipient requester provider mediator stranger payer other_requester other_provider"
        people = zip(names.split(), self.chain.accounts, strict=True)
        self.people = {name: account.address.lower() for name, account in people}
        (self.admin, self.pauser, self.fee_recipient, self.requester, self.provider,
         self.mediator, self.stranger, self.payer, self.other_requester, self.other_provider,
        ) = self.people.values()  # fmt: skip
        self.economics = economics
        self.token = self._gated_token(token) if token.startswith("gated ") else self.deploy(token)
        self.kernel = self.deploy_kernel(self.token.address)
        self.vault = self.deploy("EscrowVault", self.token.address, self.kernel.address)
        self.kernel.send("approveEscrowVault", self.vault.address, True, sender=self.admin)
        self.kernel.send("approveMediator", self.mediator, True, sender=self.admin)
        for owner in (self.requester, self.provider, self.stranger, self.payer, self.other_requester):
            self.give(owner)
        # From here on the mediator is in office.
        self.warp(self.now() + 2 * DAY)
        self.chain.mine()
        self._reset()

    # ---------------------------------------------------------------- set-up

    def deploy(self, name: str, *args: Any, sender: str | None = None) -> Contract:
        return Contract(self.chain, name, self.deploy_code(creation_code(name, *args), sender))

    def deploy_code(self, code: str, sender: str | None = None) -> str:
        receipt = transact(self.chain, sender or self.admin, None, code, 10_000_000)
        assert receipt["status"] == "0x1", "a deployment reverted"
        return str(receipt["contractAddress"]).lower()

    def _gated_token(self, name: str) -> Contract:
        code = gated_token_code(self.deploy("PlainERC20").address, int(name.split()[1]))
        return Contract(self.chain, "PlainERC20", self.deploy_code(code))

    def deploy_kernel(self, token: str) -> Contract:
        """Another kernel with the economics of this world, not bound to a vault yet."""
        return self.deploy(
            "ACTPKernel", self.admin, self.pauser, self.fee_recipient, ZERO, token, self.economics.words()
        )

    def give(self, owner: str, amount: int = 2 * 10**15) -> None:
        """Tokens for an account, and its allowance to the vault."""
        self.token.send("mint", owner, amount, sender=self.admin)
        self.token.send("approve", self.vault.address, amount, sender=owner)

    def _reset(self) -> None:
        self.ids: list[bytes] = []
        self.creditors: set[str] = set()
        self.unsolicited = 0
        self.audit = True

    def begin(self) -> str:
        """A snapshot for `end`."""
        return self.chain.snapshot()

    def end(self, before: str) -> None:
        """Forgets everything since `begin`."""
        self.chain.revert(before)
        self._reset()

    @contextmanager
    def undone(self) -> Iterator[None]:
        """Whatever happens inside is forgotten afterwards."""
        before, now = self.chain.snapshot(), self.now()
        kept = (list(self.ids), set(self.creditors), self.unsolicited, self.audit)
        try:
            yield
        finally:
            self.chain.revert(before)
            self.warp(now)
            self.ids, self.creditors, self.unsolicited, self.audit = kept

    # ---------------------------------------------------------------- time

    def now(self) -> int:
        """The timestamp of the next block, and of what is read now."""
        return self.chain.now()

    def warp(self, timestamp: int) -> None:
        """The next block, and what is read until then, happens at exactly this time; it may lie before `now()`."""
        self.chain.request("evm_setNextBlockTimestamp", [hex(timestamp)])

    def pass_time(self, seconds: int) -> None:
        self.warp(self.now() + seconds)

    # ---------------------------------------------------------------- calls

    def send(self, function: str, *args: Any, sender: str, gas: int = PLENTY, on: Contract | None = None) -> Receipt:
        """A call of the kernel (or of another contract) that must succeed, followed by a look into the books."""
        receipt = (on or self.kernel).send(function, *args, sender=sender, gas=gas)
        self.creditors |= {values.payee for values in receipt.of("CreditAccrued")}
        self.ids += [values.transactionId for values in receipt.of("TransactionCreated")]
        if self.audit:
            self.check_books()
        return receipt

    def refuse(self, error: str, function: str, *args: Any, sender: str, on: Contract | None = None, **expected: Any
    ) -> None:  # fmt: skip
        """The call must revert with this error, and its arguments must be the expected ones as far as given."""
        why = (on or self.kernel).refusal(function, *args, sender=sender)
        assert why is not None, f"{function} did not revert with {error}"
        assert why.name == error, f"{function} reverted with {why.name}({vars(why.values)}), not with {error}"
        actual = {name: getattr(why.values, name) for name in expected}
        assert actual == expected

    def view(self, transaction_id: bytes) -> SimpleNamespace:
        view: SimpleNamespace = self.kernel.read("getTransaction", transaction_id)
        return view

    def state(self, transaction_id: bytes) -> State:
        return State(self.view(transaction_id).state)

    def balance(self, owner: str) -> int:
        return int(self.token.read("balanceOf", owner))

    def balances(self, *owners: str) -> list[int]:
        return [self.balance(owner) for owner in owners]

    def gains(self, *owners: str) -> Callable[[], list[int]]:
        """A function that tells what each account has more than it has now."""
        before = self.balances(*owners)
        return lambda: [after - was for after, was in zip(self.balances(*owners), before, strict=True)]

    def credit(self, payee: str) -> int:
        return int(self.kernel.read("credits", payee))

    # ---------------------------------------------------------------- books

    def liabilities(self) -> int:
        """What the vault owes: escrows, bonds, credits and fees."""
        total = int(self.kernel.read("accruedFees"))
        for transaction_id in self.ids:
            _, _, amount, released, _ = self.kernel.read("escrowOf", transaction_id)
            requester_bond, provider_bond, _ = self.kernel.read("bondsOf", transaction_id)
            total += amount - released + requester_bond.amount + provider_bond.amount
        return total + sum(map(self.credit, self.creditors))

    def check_books(self) -> None:
        held, owed = self.balance(self.vault.address), self.liabilities()
        assert held == owed + self.unsolicited, f"the vault holds {held}, owes {owed} and was sent {self.unsolicited}"

    def donate(self, amount: int) -> None:
        """Somebody sends tokens to the vault without being asked."""
        self.token.send("transfer", self.vault.address, amount, sender=self.stranger)
        self.unsolicited += amount
        self.check_books()

    # ---------------------------------------------------------------- the lifecycle

    def create(
        self,
        amount: int = AMOUNT,
        *,
        work: int = 10 * DAY,
        window: int = 2 * DAY,
        provider: str = "",
        requester: str = "",
        service: bytes = SERVICE,
        agent: int = 0,
        requester_agent: int = 0,
    ) -> bytes:
        """Opens a transaction whose deadline is `work` seconds away."""
        payer = requester or self.requester
        args = (provider or self.provider, payer, amount, self.now() + work, window, service, agent, requester_agent)
        created = self.send("createTransaction", *args, sender=payer).one("TransactionCreated")
        return bytes(created.transactionId)

    def move(self, transaction_id: bytes, to: State, proof: bytes = b"", *, sender: str, gas: int = PLENTY) -> Receipt:
        return self.send("transitionState", transaction_id, to, proof, sender=sender, gas=gas)

    def fund(self, transaction_id: bytes, escrow_id: bytes | None = None, *, sender: str = "", gas: int = PLENTY
    ) -> Receipt:  # fmt: skip
        args = (transaction_id, self.vault.address, escrow_id or transaction_id)
        return self.send("linkEscrow", *args, sender=sender or self.requester, gas=gas)

    def start(self, transaction_id: bytes) -> Receipt:
        return self.move(transaction_id, State.IN_PROGRESS, sender=self.provider)

    def deliver(self, transaction_id: bytes, window: int | None = None) -> Receipt:
        proof = b"" if window is None else word(window)
        return self.move(transaction_id, State.DELIVERED, proof, sender=self.provider)

    def settle(self, transaction_id: bytes, *, sender: str = "", gas: int = PLENTY) -> Receipt:
        return self.move(transaction_id, State.SETTLED, sender=sender or self.requester, gas=gas)

    def dispute(self, transaction_id: bytes, *, sender: str = "", gas: int = PLENTY) -> Receipt:
        return self.move(transaction_id, State.DISPUTED, b"evidence", sender=sender or self.requester, gas=gas)

    def rule(
        self, transaction_id: bytes, proof: bytes = b"", *, to: State = State.SETTLED, sender: str = ""
    ) -> Receipt:
        return self.move(transaction_id, to, proof, sender=sender or self.admin)

    def cancel(self, transaction_id: bytes, *, sender: str) -> Receipt:
        return self.move(transaction_id, State.CANCELLED, sender=sender)

    def milestone(self, transaction_id: bytes, amount: int) -> Receipt:
        return self.send("releaseMilestone", transaction_id, amount, sender=self.requester)

    def reach(self, state: State, amount: int = AMOUNT, **terms: Any) -> bytes:
        """A new transaction of the usual parties in this state."""
        audit, self.audit = self.audit, False
        transaction_id = self.create(amount, **terms)
        if state is State.QUOTED:
            self.move(transaction_id, State.QUOTED, b"\x07" * 32, sender=self.provider)
        elif state is State.CANCELLED:
            self.cancel(transaction_id, sender=self.requester)
        elif state is not State.INITIATED:
            self.fund(transaction_id)
            path = [State.IN_PROGRESS, State.DELIVERED]
            for step in path[: max(0, state - State.COMMITTED)]:
                self.move(transaction_id, step, sender=self.provider)
            if state is State.SETTLED:
                self.settle(transaction_id)
            if state is State.DISPUTED:
                self.dispute(transaction_id)
        self.audit = audit
        if audit:
            self.check_books()
        assert self.state(transaction_id) is state
        return transaction_id

    def deadline(self, transaction_id: bytes) -> int:
        return int(self.view(transaction_id).deadline)

    def window_end(self, transaction_id: bytes) -> int:
        """Last second for a dispute of a delivered transaction."""
        return int(self.view(transaction_id).disputeWindow)

    # ---------------------------------------------------------------- what may change around it

    def change_rates(self, fee_bps: int, penalty_bps: int, bond_bps: int | None = None) -> None:
        """The admin's way to new rates, time-lock included."""
        self.send("scheduleEconomicParams", fee_bps, penalty_bps, sender=self.admin)
        self.pass_time(2 * DAY)
        self.send("executeEconomicParamsUpdate", sender=self.stranger)
        if bond_bps is not None:
            self.send("updateDisputeBondBps", bond_bps, sender=self.admin)

    def block(self, account: str) -> None:
        self.token.send("blacklist", account, sender=self.admin)

    def unblock(self, account: str) -> None:
        self.token.send("unBlacklist", account, sender=self.admin)


def word(value: int | bool | str) -> bytes:
    """One ABI word of a number, a truth value or an address."""
    number = int(value, 16) if isinstance(value, str) else int(value)
    return number.to_bytes(32, "big")


def words(*values: int | bool | str) -> bytes:
    return b"".join(map(word, values))
