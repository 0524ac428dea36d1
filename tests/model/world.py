"""The real contracts on the embedded chain, spoken to in the words of the model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from actp import artifacts
from actp.chain import EmbeddedChain
from actp.errors import RpcError
from actp.units import keccak
from tests.contracts.kernel_codec import ARTIFACTS
from tests.model.batch import View, read
from tests.model.facts import BondFacts, EscrowFacts, Facts, TransactionFacts
from tests.model.governance_model import Economics, GovernanceFacts, PendingRates, Rates
from tests.model.kernel_model import NO_DATA, Id, KernelModel, State, Transaction
from tests.model.token_model import TOKEN, VAULT, ZERO, Account, TokenModel

START = 1_800_000_000
KERNEL = "kernel"
ACTORS = (
    "issuer",
    "admin",
    "pauser",
    "treasury",
    "requester_a",
    "requester_b",
    "provider_a",
    "provider_b",
    "mediator",
    "stranger",
)
HOLDERS = (*ACTORS, VAULT, KERNEL, TOKEN)
"""Every account that can come to hold tokens or credits."""
AMPLE_GAS = 1_000_000

_MINTED = {
    "requester_a": 9 * 10**15,
    "requester_b": 10**14,
    "provider_a": 10**14,
    "provider_b": 10**9,
    "stranger": 10**14,
}
_APPROVED = {"requester_a": 8 * 10**15, "requester_b": 10**15, "provider_a": 10**14, "stranger": 10**14}
_CONTRACTS = {KERNEL: "ACTPKernel", VAULT: "EscrowVault", TOKEN: "TestUSDC"}
_ROLES = ("admin", "pendingAdmin", "pauser", "feeRecipient")
_SETTINGS = ("paused", "platformFeeBps", "requesterPenaltyBps", "disputeBondBps")


@dataclass(frozen=True)
class Call:
    """A call in the model's words: accounts by name, ids as bytes."""

    caller: Account
    contract: Account
    function: str
    arguments: tuple[Any, ...] = ()


class World:
    """One deployment of token, kernel and vault on a chain whose clock stands still unless it is told to move."""

    def __init__(self, economics: Economics) -> None:
        self.economics = economics
        self.chain = EmbeddedChain(clock=lambda: START)
        self._artifacts = {name: _artifact(contract) for name, contract in _CONTRACTS.items()}
        self._error_names = _error_names(artifact.abi for artifact in self._artifacts.values())
        self._inputs = {
            (name, entry["name"]): [item["type"] for item in entry["inputs"]]
            for name, artifact in self._artifacts.items()
            for entry in artifact.abi
            if entry["type"] == "function"
        }
        self._addresses = {ZERO: bytes(20)}
        for name, account in zip(ACTORS, self.chain.accounts, strict=True):
            self._addresses[name] = bytes.fromhex(account.address[2:])
        self._deploy()
        self._names = {address: name for name, address in self._addresses.items()}
        self._fresh = self.chain.snapshot()

    def _deploy(self) -> None:
        rates = self.economics.rates
        numbers = (rates.fee_bps, rates.penalty_bps, rates.bond_bps, self.economics.min_fee, self.economics.min_bond)
        admin, pauser, treasury = (self._hex(name) for name in ("admin", "pauser", "treasury"))
        self._create(TOKEN, ())
        self._create(KERNEL, (admin, pauser, treasury, self._hex(ZERO), self._hex(TOKEN), numbers))
        self._create(VAULT, (self._hex(TOKEN), self._hex(KERNEL)))
        calls = [Call("admin", KERNEL, "approveEscrowVault", (VAULT, True))]
        calls += [Call(name, TOKEN, "mint", (name, amount)) for name, amount in _MINTED.items()]
        calls += [Call(name, TOKEN, "approve", (VAULT, amount)) for name, amount in _APPROVED.items()]
        for call in calls:
            assert self.send(call) is not None, f"{call} fails"

    def _create(self, name: Account, arguments: tuple[Any, ...]) -> None:
        code = self._artifacts[name].creation_code(arguments)
        receipt = self._mine({"from": self._hex("issuer"), "gas": hex(10_000_000), "data": "0x" + code.hex()})
        assert receipt["status"] == "0x1", f"{name} cannot be deployed"
        self._addresses[name] = bytes.fromhex(receipt["contractAddress"][2:])

    # ---------------------------------------------------------------- beginning anew

    def reset(self) -> None:
        """Back to how it was when everything had just been deployed."""
        self.chain.revert(self._fresh)
        self._fresh = self.chain.snapshot()

    def model(self) -> KernelModel:
        """A model of this deployment as `reset` leaves it."""
        token = TokenModel(issuer="issuer", balances=dict(_MINTED), allowances=dict(_APPROVED))
        token.supply = sum(_MINTED.values())
        return KernelModel(
            self.economics,
            token,
            admin="admin",
            pauser="pauser",
            fee_recipient="treasury",
            account_of=lambda address: self._names.get(address.to_bytes(20, "big"), hex(address)),
        )

    # ---------------------------------------------------------------- calls

    def number(self, account: Account) -> int:
        """The account's address, as a proof carries it."""
        return int.from_bytes(self._addresses[account], "big")

    def refusal(self, call: Call) -> str | None:
        """Name of the custom error that the call would meet in the next block, None if it would succeed."""
        return self._simulate(call)[0]

    def answer(self, call: Call) -> bytes:
        """What the call would return in the next block; empty if it would revert."""
        return self._simulate(call)[1]

    def send(self, call: Call, gas: int = AMPLE_GAS) -> Mapping[str, Any] | None:
        """Mine the call in a block of its own; its receipt, or None if it reverted."""
        receipt = self._mine(self._fields(call) | {"gas": hex(gas)})
        return receipt if receipt["status"] == "0x1" else None

    def go_to(self, timestamp: int) -> None:
        """Let the next block carry `timestamp`, if that is not in the past."""
        self.chain.time_travel(max(timestamp - self.chain.now(), 0))

    def _simulate(self, call: Call) -> tuple[str | None, bytes]:
        try:
            answer = self.chain.request("eth_call", [self._fields(call) | {"gas": hex(AMPLE_GAS)}, "latest"])
        except RpcError as error:
            if error.rpc_code != 3:
                return error.message, b""
            data = bytes.fromhex(str(error.data)[2:])
            return self._error_names.get(data[:4], data.hex()) if data else NO_DATA, b""
        return None, bytes.fromhex(answer[2:])

    def _fields(self, call: Call) -> dict[str, Any]:
        data = self._encode(call.contract, call.function, call.arguments)
        return {"from": self._hex(call.caller), "to": self._hex(call.contract), "data": "0x" + data.hex()}

    def _encode(self, contract: Account, function: str, arguments: tuple[Any, ...]) -> bytes:
        types = self._inputs[contract, function]
        if function == "transitionState" and arguments[1] > max(State):
            # No encoder lets a number through that is none of the enumeration; a caller may still send it.
            encoded = self._artifacts[contract].call_data(function, (arguments[0], 0, arguments[2]))
            return encoded[:36] + arguments[1].to_bytes(32, "big") + encoded[68:]
        values = [
            self._hex(value) if kind == "address" else value for kind, value in zip(types, arguments, strict=True)
        ]
        return self._artifacts[contract].call_data(function, values)

    def _mine(self, fields: dict[str, Any]) -> Mapping[str, Any]:
        tx_hash = self.chain.request("eth_sendTransaction", [fields])
        receipt: Mapping[str, Any] = self.chain.request("eth_getTransactionReceipt", [tx_hash])
        return receipt

    def _hex(self, account: Account) -> str:
        return "0x" + self._addresses[account].hex()

    # ---------------------------------------------------------------- views

    def facts(self, transactions: Sequence[Transaction], accounts: Sequence[Account]) -> Facts:
        """Everything about these transactions, balances and credits of these accounts, and the totals, in one call."""
        views = []
        for tx in transactions:
            views += [
                self._view(KERNEL, "getTransaction", (tx.id,), 21),
                self._view(KERNEL, "bondsOf", (tx.id,), 5),
                self._view(KERNEL, "requiredBond", (tx.id,), 1),
                self._view(KERNEL, "cancellationEffectiveAt", (tx.id,), 1),
                self._view(VAULT, "escrows", (tx.id,), 5),
            ]
            if tx.escrow_id not in (None, tx.id):
                views.append(self._view(VAULT, "escrows", (tx.escrow_id,), 5))
        views += [self._view(TOKEN, "balanceOf", (account,), 1) for account in accounts]
        views += [self._view(KERNEL, "credits", (account,), 1) for account in accounts]
        views += [self._view(KERNEL, "accruedFees", (), 1), self._view(TOKEN, "totalSupply", (), 1)]
        answers = iter(read(self.chain, views))
        return Facts(
            transactions={
                tx.id: self._transaction(*(next(answers) for _ in range(5 if tx.escrow_id in (None, tx.id) else 6)))
                for tx in transactions
            },
            balances={account: next(answers)[0] for account in accounts},
            credits={account: next(answers)[0] for account in accounts},
            fees=next(answers)[0],
            supply=next(answers)[0],
        )

    def governance_facts(self) -> GovernanceFacts:
        views = [self._view(KERNEL, name, (), 1) for name in _ROLES + _SETTINGS]
        views += [self._view(KERNEL, "approvedEscrowVaults", (VAULT,), 1)]
        views += [self._view(KERNEL, "getPendingEconomicParams", (), 4)]
        views += [self._view(KERNEL, "approvedMediators", (account,), 1) for account in HOLDERS]
        answers = iter(read(self.chain, views))
        admin, pending_admin, pauser, fee_recipient = (self._name(next(answers)[0]) for _ in _ROLES)
        paused, *rates, approved = (next(answers)[0] for _ in range(5))
        fee_bps, penalty_bps, execute_after, active = next(answers)
        return GovernanceFacts(
            admin=admin,
            pending_admin=pending_admin,
            pauser=pauser,
            fee_recipient=fee_recipient,
            paused=bool(paused),
            vault_approved=bool(approved),
            rates=Rates(*rates),
            pending=PendingRates(fee_bps, penalty_bps, execute_after) if active else None,
            mediators=frozenset(account for account in HOLDERS if next(answers)[0]),
        )

    def _view(self, contract: Account, function: str, arguments: tuple[Any, ...], words: int) -> View:
        return View(self._addresses[contract], self._encode(contract, function, arguments), words)

    def _transaction(self, view: tuple[int, ...], bonds: tuple[int, ...], *rest: tuple[int, ...]) -> TransactionFacts:
        (required,), (cancellation_at,), escrow = rest[:3]
        return TransactionFacts(
            transaction_id=_id(view[0]),
            requester=self._name(view[1]),
            provider=self._name(view[2]),
            state=State(view[3]),
            amount=view[4],
            created_at=view[5],
            updated_at=view[6],
            deadline=view[7],
            service_hash=_id(view[8]),
            escrow_contract=self._name(view[9]),
            escrow_id=_id(view[10]),
            attestation_uid=_id(view[11]),
            dispute_window=view[12],
            metadata=_id(view[13]),
            platform_fee_bps_locked=view[14],
            requester_penalty_bps_locked=view[15],
            dispute_bond_bps_locked=view[16],
            agent_id=view[17],
            requester_agent_id=view[18],
            dispute_initiator=self._name(view[19]),
            dispute_bond=view[20],
            requester_bond=self._bond(bonds[0], bonds[1]),
            provider_bond=self._bond(bonds[2], bonds[3]),
            bond_owed=bonds[4],
            bond_required=required,
            cancellation_at=cancellation_at,
            escrow=self._escrow(escrow),
            escrow_by_alias=self._escrow(rest[-1]),
        )

    def _escrow(self, words: tuple[int, ...]) -> EscrowFacts:
        requester, provider, amount, released, active = words
        return EscrowFacts(self._name(requester), self._name(provider), amount, released, active=bool(active))

    def _bond(self, poster: int, amount: int) -> BondFacts:
        """Who posted a bond that is not held any more is nobody's business."""
        return BondFacts(self._name(poster) if amount else ZERO, amount)

    def _name(self, address: int) -> Account:
        return self._names.get(address.to_bytes(20, "big"), hex(address))


def _artifact(contract: str) -> artifacts.Artifact:
    return artifacts.parse((ARTIFACTS / f"{contract}.json").read_text(encoding="utf-8"), contract)


def _id(word: int) -> Id:
    return word.to_bytes(32, "big")


def _error_names(abis: Iterable[Iterable[dict[str, Any]]]) -> dict[bytes, str]:
    entries = [entry for abi in abis for entry in abi if entry["type"] == "error"]
    names = {keccak(artifacts.signature_of(entry).encode())[:4]: str(entry["name"]) for entry in entries}
    return names | {bytes.fromhex("4e487b71"): "Panic", bytes.fromhex("08c379a0"): "Error"}
