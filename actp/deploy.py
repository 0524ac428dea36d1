"""Puts token, kernel and vault on a chain, so that it can be interrupted anywhere and run again.

Before each eth transaction is handed over, the address book gets its bytes, its nonce and the address that follows from
it; after it is confirmed, it gets the contract. A run that finds a plan brings these very bytes home before it signs
others, unless something else has used their nonce, and a run that finds everything in place sends nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from actp import artifacts
from actp.artifacts import Artifact
from actp.deployments import (
    DEFAULT_NAME,
    AddressBook,
    Contract,
    Deployment,
    Planned,
    code_at,
    code_hash,
    require_artifact,
)
from actp.engine import Sender, Submission, lookup, receipts
from actp.errors import (
    ArtifactMismatch,
    ConfigError,
    InsufficientFunds,
    InvalidInput,
    NoCode,
    OutcomeUnknown,
    RpcError,
    RpcUnavailable,
)
from actp.rpc import quantity, require_chain
from actp.types import Receipt
from actp.units import ZERO_ADDRESS, describe_base_units, keccak, require_address, to_checksum

__all__ = ["Deployer", "DeploymentPlan", "Economics", "Forecast", "Step", "contract_address", "deploy_contracts"]

_CALL_GAS = 150_000
_CONSTRUCTOR_GAS = 400_000
_CODE_LAG_SECONDS = 20.0
_MINING_SECONDS = 120.0
_POLL_SECONDS = 0.5


_HIGHEST = {
    "platform_fee_bps": 500,
    "requester_penalty_bps": 5_000,
    "dispute_bond_bps": 2_000,
    "min_fee": 10**15,
    "min_dispute_bond": 10**15,
}
_AMOUNTS = frozenset({"min_fee", "min_dispute_bond"})


@dataclass(frozen=True, slots=True)
class Economics:
    """The kernel's economic numbers: rates in basis points, minima in base units. Zero minima are allowed.

    Raises InvalidInput for what the kernel's constructor would refuse, before anything is paid for.
    """

    platform_fee_bps: int = 100
    requester_penalty_bps: int = 500
    dispute_bond_bps: int = 500
    min_fee: int = 50_000
    min_dispute_bond: int = 1_000_000

    def __post_init__(self) -> None:
        for name, highest in _HIGHEST.items():
            value = getattr(self, name)
            if not 0 <= value <= highest:
                show = describe_base_units if name in _AMOUNTS else str
                raise InvalidInput(
                    f"{name} is {show(value)}, and the kernel takes 0 to {show(highest)}.",
                    hint=f"Choose another value (--{name.replace('_', '-')}).",
                )


@dataclass(frozen=True, slots=True)
class DeploymentPlan:
    """What to deploy. Roles that are None go to the deployer; without `token` a TestUSDC is deployed."""

    name: str = DEFAULT_NAME
    token: str | None = None
    admin: str | None = None
    pauser: str | None = None
    fee_recipient: str | None = None
    agent_registry: str | None = None
    economics: Economics = field(default_factory=Economics)


@dataclass(frozen=True, slots=True)
class Step:
    """One eth transaction that a deployment still needs, and the most gas that it should use."""

    name: str
    gas: int


@dataclass(frozen=True, slots=True)
class Forecast:
    """What is left to do and what it costs at most, in wei. On OP-stack chains the fee for L1 data comes on top."""

    steps: tuple[Step, ...]
    gas: int
    max_fee_per_gas: int
    cost: int
    balance: int


Report = Callable[[str], None]
"""Takes one line of progress."""


def deploy_contracts(
    sender: Sender,
    book: AddressBook,
    plan: DeploymentPlan | None = None,
    *,
    confirm: Callable[[Forecast], bool] | None = None,
    report: Report | None = None,
) -> Deployment:
    """Deploys whatever of `plan` is not on the chain yet, and returns the complete deployment.

    `confirm` sees the forecast before the first eth transaction and may decline it; it is not asked when nothing is
    left to do. Raises WrongChain, InsufficientFunds, ArtifactMismatch, NoCode, ConfigError (roles or token differ from
    the recorded ones, or declined), and what `Sender.send` raises.
    """
    deployer = Deployer(sender, book, plan or DeploymentPlan(), report=report)
    forecast = deployer.forecast()
    if forecast.steps:
        if forecast.balance < forecast.cost:
            raise InsufficientFunds(sender.address, asset="ETH", has=forecast.balance, needs=forecast.cost)
        if confirm is not None and not confirm(forecast):
            raise ConfigError("The deployment was declined.", code="declined", hint="Nothing was sent.")
    return deployer.run()


class Deployer:
    """One deployment on one chain, by one account."""

    def __init__(
        self, sender: Sender, book: AddressBook, plan: DeploymentPlan, *, report: Report | None = None
    ) -> None:
        require_chain(sender.transport, book.chain_id)
        book.require_writable()
        self._sender = sender
        self._transport = sender.transport
        self._book = book
        self._plan = plan
        self._report = report or (lambda line: None)
        self._admin = _role(plan.admin, sender.address, "admin")
        self._pauser = _role(plan.pauser, self._admin, "pauser")
        self._fee_recipient = _role(plan.fee_recipient, sender.address, "fee recipient")
        self._registry = _role(plan.agent_registry, ZERO_ADDRESS, "agent registry")
        self._token = None if plan.token is None else require_address(plan.token, "token")
        self._state = self._recorded()

    def forecast(self) -> Forecast:
        """The steps that are left and what they cost at most. Sends nothing, but completes the book from the chain."""
        for name, planned in self._state.planned.items():
            self._take_home(name, self._receipt_of(planned))
        missing = [name for name in self._contract_names() if self._lacks(name)]
        steps = [Step(name, _creation_gas(artifacts.load(name))) for name in missing]
        if self._admin == self._sender.address and not self._approved():
            steps.append(Step("approveEscrowVault", _CALL_GAS))
        gas = sum(step.gas for step in steps)
        fees = self._sender.fees()
        return Forecast(tuple(steps), gas, fees.max_fee, fees.most_for(gas), self._sender.balance())

    def run(self) -> Deployment:
        """Does what is left, step by step. Returns the deployment as it is in the book."""
        if self._token is None:
            self._deploy("TestUSDC", ())
        self._deploy("ACTPKernel", self._kernel_args(self._state.token))
        self._deploy("EscrowVault", (self._state.token, self._state.kernel))
        self._name_generation()
        self._approve()
        return self._state

    def _contract_names(self) -> list[str]:
        return ["ACTPKernel", "EscrowVault"] if self._token else ["TestUSDC", "ACTPKernel", "EscrowVault"]

    def _lacks(self, name: str) -> bool:
        return name not in self._state.contracts

    def _kernel_args(self, token: str | None) -> tuple[Any, ...]:
        rates = self._plan.economics
        economics = (
            rates.platform_fee_bps,
            rates.requester_penalty_bps,
            rates.dispute_bond_bps,
            rates.min_fee,
            rates.min_dispute_bond,
        )
        return (self._admin, self._pauser, self._fee_recipient, self._registry, token, economics)

    def _recorded(self) -> Deployment:
        """What the book has of this deployment, once it is clear that it is the one asked for and of this version."""
        if self._token is not None:
            code_at(self._transport, self._token, "the token")
        state = self._book.find(self._plan.name)
        if state is not None and self._book.development:
            # Development chains are set back to snapshots.
            for name in [name for name, contract in state.contracts.items() if not self._has_code(contract.address)]:
                state = state.without(name)
            for name in [name for name, planned in state.planned.items() if planned.nonce > self._count(planned)]:
                state = state.without(name)
        if state is None or not (state.contracts or state.planned):
            return Deployment(self._plan.name, "", self._token)
        own_token = "TestUSDC" in {*state.contracts, *state.planned}
        if own_token != (self._token is None) or not (own_token or state.token == self._token):
            raise self._differs("token", state.token, self._token or "a TestUSDC of its own")
        for name, contract in state.contracts.items():
            code = code_at(self._transport, contract.address, name)
            if contract.code_hash is not None and code_hash(code) != contract.code_hash:
                raise ArtifactMismatch(f"The code of {name} at {contract.address} is not the code that was deployed.")
            require_artifact(name, contract.address, code)
        kernel = state.contracts.get("ACTPKernel") or state.planned.get("ACTPKernel")
        wanted = self._kernel_args(state.token)
        if kernel is not None and kernel.args != wanted:
            raise self._differs("set of kernel arguments", kernel.args, wanted)
        return state

    def _differs(self, what: str, recorded: object, wanted: object) -> ConfigError:
        return ConfigError(
            f"The deployment {self._plan.name!r} was made with another {what}: {recorded}, not {wanted}.",
            hint="Give the same options as then, or another name (--name) for a deployment of its own.",
        )

    def _receipt_of(self, planned: Planned) -> Receipt | None:
        found = (receipts.fetch(self._transport, tx_hash) for tx_hash in planned.tx_hashes)
        return next((receipt for receipt in found if receipt is not None), None)

    def _take_home(self, name: str, receipt: Receipt | None) -> None:
        """Confirms a contract that was signed for by a run that was interrupted, if its creation is mined."""
        if receipt is None or not receipt.succeeded:
            return
        planned = self._state.planned[name]
        self._confirm(name, planned.address, planned.args, receipt)
        self._report(f"{name} found at {planned.address}, where an interrupted run has put it.")

    def _has_code(self, address: str) -> bool:
        return bool(self._transport.request("eth_getCode", [address, "latest"]) != "0x")

    def _count(self, planned: Planned) -> int:
        return quantity(self._transport, "eth_getTransactionCount", [planned.deployer, "pending"])

    def _bring_home(self, planned: Planned) -> Receipt | None:
        """The receipt of what was signed for a plan; None once its nonce was used for something else.

        That there is code at the address proves nothing: another run may have used the nonce.
        """
        for tx_hash in planned.tx_hashes:
            handed_over = self._sender.find_open(tx_hash)
            if handed_over is not None:
                return self._sender.wait(handed_over)
        until = time.monotonic() + _MINING_SECONDS
        answer = ""
        while True:
            receipt = self._receipt_of(planned)
            if receipt is not None:
                return receipt
            user = lookup.who_used(self._transport, planned.deployer, planned.nonce)
            if user is not None and user not in planned.tx_hashes:
                return None
            if time.monotonic() > until:
                break
            # A plan that was dropped could still be mined later, next to the one that took its place.
            answer = self._broadcast(planned.signed[-1])
            time.sleep(_POLL_SECONDS)
        if user is None and self._count(planned) > planned.nonce:
            return None  # by something that was mined too long ago to be found
        raise OutcomeUnknown(
            f"What an earlier run signed with nonce {planned.nonce} of {planned.deployer} is not mined.{answer}",
            tx_hashes=planned.tx_hashes,
            nonce=planned.nonce,
            hint="Run this again later, or use this nonce of the account for something else first.",
        )

    def _broadcast(self, raw: str) -> str:
        """Hands signed bytes over again and returns what the node has against it, which decides nothing."""
        try:
            self._transport.request("eth_sendRawTransaction", [raw])
        except (RpcError, RpcUnavailable) as error:
            return f" The node's last answer: {error.message}"
        return ""

    def _deploy(self, name: str, args: tuple[Any, ...]) -> None:
        if not self._lacks(name):
            return
        planned = self._state.planned.get(name)
        if planned is not None:
            self._take_home(name, self._bring_home(planned))
            if not self._lacks(name):
                return
            self._save(self._state.without(name))

        def record_plan(submission: Submission) -> None:
            self._plan_creation(name, submission, args)

        creation = artifacts.load(name).creation_code(args)
        receipt = self._sender.send(None, creation, before_broadcast=record_plan)
        address = self._state.planned[name].address
        self._confirm(name, address, args, receipt)
        self._report(f"{name} deployed at {address} (block {receipt.block_number}, {receipt.gas_used} gas).")

    def _plan_creation(self, name: str, submission: Submission, args: tuple[Any, ...]) -> None:
        address = contract_address(submission.sender, submission.nonce)
        before = self._state.planned.get(name)
        signed = before.signed if before is not None and before.address == address else ()
        raw = "0x" + submission.raw.hex()
        plan = Planned(submission.sender, submission.nonce, address, args, (*signed, raw))
        self._save(replace(self._state, planned={**self._state.planned, name: plan}))

    def _confirm(self, name: str, address: str, args: tuple[Any, ...], receipt: Receipt) -> None:
        code = self._await_code(name, address)
        require_artifact(name, address, code)
        contract = Contract(address, receipt.tx_hash, receipt.block_number, args, code_hash(code))
        state = self._state.with_contract(name, contract)
        self._save(replace(state, token=address) if name == "TestUSDC" else state)

    def _await_code(self, name: str, address: str) -> bytes:
        # Behind one URL there may be several nodes, and not all have the block of the receipt yet.
        until = time.monotonic() + _CODE_LAG_SECONDS
        while True:
            try:
                return code_at(self._transport, address, name)
            except NoCode:
                if time.monotonic() > until:
                    raise
            time.sleep(_POLL_SECONDS)

    def _name_generation(self) -> None:
        if not self._state.generation:
            (version,) = self._ask_kernel("kernelVersion")
            self._save(replace(self._state, generation=version))

    def _approved(self) -> bool:
        if self._lacks("ACTPKernel") or self._lacks("EscrowVault"):
            return False
        (approved,) = self._ask_kernel("approvedEscrowVaults", self._state.vault)
        return bool(approved)

    def _approve(self) -> None:
        if self._approved():
            return
        if self._admin != self._sender.address:
            self._report(f"Left to do for the admin {self._admin}: approveEscrowVault({self._state.vault}, true).")
            return
        data = artifacts.load("ACTPKernel").call_data("approveEscrowVault", [self._state.vault, True])
        receipt = self._sender.send(self._state.kernel, data)
        self._report(f"Vault approved (block {receipt.block_number}, {receipt.gas_used} gas).")

    def _ask_kernel(self, function: str, *arguments: Any) -> tuple[Any, ...]:
        kernel = artifacts.load("ACTPKernel")
        call = {"to": self._state.kernel, "data": "0x" + kernel.call_data(function, arguments).hex()}
        answer = self._transport.request("eth_call", [call, "latest"])
        return kernel.decode_result(function, bytes.fromhex(answer[2:]))

    def _save(self, state: Deployment) -> None:
        self._book.put(state)
        self._state = state


def contract_address(deployer: str, nonce: int) -> str:
    """Where the contract will be that `deployer` creates with this nonce."""
    counted = nonce.to_bytes((nonce.bit_length() + 7) // 8, "big")
    item = counted if 0 < nonce < 0x80 else bytes([0x80 + len(counted)]) + counted
    payload = b"\x94" + bytes.fromhex(deployer[2:]) + item
    return to_checksum("0x" + keccak(bytes([0xC0 + len(payload)]) + payload)[12:].hex())


def _role(value: str | None, default: str, name: str) -> str:
    return default if value is None else require_address(value, name)


def _creation_gas(artifact: Artifact) -> int:
    """An upper bound, from EIP-7623 (40 gas per byte that is not zero), EIP-3860 and the code deposit. An estimate by
    the node is not possible before the contracts that the constructor calls are there.
    """
    code = artifact.bytecode
    data = 40 * (len(code) - code.count(0)) + 10 * code.count(0)
    words = 2 * ((len(code) + 31) // 32)
    return 53_000 + data + words + 200 * len(artifact.deployed_bytecode) + _CONSTRUCTOR_GAS
