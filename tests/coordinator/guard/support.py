"""A node on which the tests decide what is in a block, and a guard that watches one account of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from actp import artifacts
from actp.chain import DevAccount
from actp.rpc import Transport
from actp.signers import LocalSigner
from actp.types import EthTransaction
from actp.units import keccak, to_checksum
from coordinator.guard import DeltaGuard, Due, Examination, Point, Sent, Watched
from coordinator.types import ETH, AllowanceChange, Effects, Movement

GAS = 300_000
ZERO = "0x" + "00" * 20


@dataclass
class Party:
    """An account and its next nonce."""

    account: DevAccount
    nonce: int
    signer: LocalSigner = field(init=False)

    def __post_init__(self) -> None:
        self.signer = LocalSigner(self.account.private_key)

    @property
    def address(self) -> str:
        return self.account.address


@dataclass(frozen=True)
class Signed:
    raw: bytes

    @property
    def hash(self) -> str:
        return "0x" + keccak(self.raw).hex()


class World:
    """`us` is watched, `payee` is paid, `thief` and `friend` are strangers, `vault` is a spender."""

    def __init__(self, node: Transport, accounts: Sequence[DevAccount], token: str = "test/PlainERC20") -> None:
        self.node = node
        self.chain_id = int(node.request("eth_chainId", []), 16)
        node.request("evm_setAutomine", [False])
        self.us, self.payee, self.thief, self.friend, self.vault, self.deployer = (
            Party(one, int(node.request("eth_getTransactionCount", [one.address, "latest"]), 16))
            for one in accounts[1:7]
        )
        self.artifact = artifacts.load(token)
        self.token = self.deploy(self.artifact.creation_code())
        self.mine(
            *(self.call(self.deployer, "mint", one.address, 10**12) for one in (self.us, self.thief, self.friend))
        )
        self.sent: list[Sent] = []
        self.transport: Transport = node
        self.watched = Watched((self.us.address,), (self.token,), (self.vault.address,))
        self.point = self.guard().start()

    def guard(self) -> DeltaGuard:
        return DeltaGuard(self.transport, self.chain_id, self.watched)

    def look(self, point: Point | None = None, due: Due | None = None) -> Examination:
        """One examination; the point moves on unless another one was given."""
        examination = self.guard().advance(self.point if point is None else point, lambda: self.sent, due)
        if point is None:
            self.point = Point.from_json(examination.point.as_json())
        return examination

    # ---- signing

    def sign(
        self, party: Party, to: str | None, data: bytes = b"", value: int = 0, *, nonce: int | None = None, tip: int = 1
    ) -> Signed:
        """An eth transaction with the party's next nonce, or again with another one."""
        if nonce is None:
            nonce, party.nonce = party.nonce, party.nonce + 1
        fields = EthTransaction(
            self.chain_id, nonce, to, value, data, 3 * GAS if to is None else GAS, 10**11 * tip, 10**9 * tip
        )
        return Signed(party.signer.sign_transaction(fields))

    def call(self, party: Party, function: str, *arguments: Any, nonce: int | None = None, tip: int = 1) -> Signed:
        return self.sign(party, self.token, self.artifact.call_data(function, list(arguments)), nonce=nonce, tip=tip)

    # ---- what the engine would note

    def note(self, *signed: Signed, effects: Effects | None = None, **more: Any) -> Sent:
        """The signatures of one nonce, signed last of all by us."""
        one = Sent(
            len(self.sent) + 1, self.us.address, self.us.nonce - 1, tuple(each.hash for each in signed),
            Effects() if effects is None else effects, **more,
        )  # fmt: skip
        self.sent.append(one)
        return one

    def pay(self, amount: int, *, to: str | None = None, effects: Effects | None = None) -> Signed:
        """Tokens to the payee, noted."""
        target = self.payee.address if to is None else to
        signed = self.call(self.us, "transfer", target, amount)
        self.note(signed, effects=self.moving(amount, to=target) if effects is None else effects)
        return signed

    def approve(self, spender: str, amount: int) -> Signed:
        """An allowance, noted."""
        signed = self.call(self.us, "approve", spender, amount)
        change = AllowanceChange(self.token, self.us.address, spender, to=amount)
        self.note(signed, effects=Effects(allowances=(change,)))
        return signed

    def pay_ether(self, amount: int, *, to: str | None = None, carried: bool = False) -> Signed:
        """Ether to the payee, noted; if `carried`, with what the signed bytes say of it."""
        target = self.payee.address if to is None else to
        signed = self.sign(self.us, target, value=amount)
        values = {signed.hash: amount} if carried else {}
        self.note(signed, effects=Effects((Movement(ETH, self.us.address, target, amount),)), values=values)
        return signed

    def moving(self, amount: int, *, to: str | None = None) -> Effects:
        return Effects((Movement(self.token, self.us.address, to or self.payee.address, amount),))

    # ---- the chain

    def mine(self, *signed: Signed) -> str:
        """One block that holds exactly these; its hash."""
        for one in signed:
            self.node.request("eth_sendRawTransaction", ["0x" + one.raw.hex()])
        self.node.request("evm_mine", [])
        block = self.node.request("eth_getBlockByNumber", ["latest", False])
        assert set(block["transactions"]) == {one.hash for one in signed}
        return str(block["hash"])

    def empty(self, blocks: int = 1) -> None:
        for _ in range(blocks):
            self.node.request("evm_mine", [])

    def deploy(self, code: bytes, value: int = 0) -> str:
        signed = self.sign(self.deployer, None, code, value)
        for_gas = EthTransaction(self.chain_id, self.deployer.nonce - 1, None, value, code, 3_000_000, 10**11, 10**9)
        signed = Signed(self.deployer.signer.sign_transaction(for_gas))
        self.mine(signed)
        receipt = self.node.request("eth_getTransactionReceipt", [signed.hash])
        assert receipt["status"] == "0x1"
        return to_checksum(receipt["contractAddress"])


def kinds(examination: Examination) -> list[str]:
    """The kinds of what was found, sorted."""
    return sorted(finding.kind.value for finding in examination.findings)


def verdicts(examination: Examination) -> list[str]:
    return [one.verdict.value for one in examination.verdicts]


Make = Callable[..., World]
