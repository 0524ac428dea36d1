"""The field: a chain with our contracts and tokens of every kind, three treasuries, and a crowd of strangers."""

from __future__ import annotations

import os
import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from actp.chain import AnvilProcess, dev_accounts
from actp.deploy import deploy_contracts
from actp.deployments import FOLDER_VARIABLE, AddressBook, Deployment
from actp.engine import Sender
from actp.rpc import HttpTransport, genesis_hash
from actp.signers import LocalSigner
from actp.units import keccak, to_checksum
from coordinator.types import ETH
from scripts.soak.siege.crowd import Crowd, Party
from scripts.soak.siege.miner import Miner
from scripts.soak.siege.treasury import CHAIN_ID, Plan, Treasury

__all__ = ["DISHONEST", "HONEST", "LARGEST", "MOODY", "Field", "House"]

HONEST = ("NoReturnToken", "RevertOnZeroToken", "PlainERC20")
"""Tokens that do what they say, in unusual ways."""
MOODY = ("GasBurningToken", "ReturnBombToken", "ReentrantToken")
"""Tokens that strangers can make refuse transfers, or do something else besides them."""
DISHONEST = ("FeeOnTransferToken", "LyingToken", "SilentExtraToken", "FalseReturnToken")
"""Tokens that do something else than what they are told."""

LARGEST = 5_000_000
"""Base units of any token in one operation."""
LARGEST_ETHER = 10**15
_PURSE = 10**13
_STANDING_ALLOWANCE = 60_000_000
_PAYEES = 24
_DEPLOYER, _STRANGERS = 3, (4, 5, 6, 7, 8, 9)


@dataclass(slots=True)
class House:
    """A treasury as the harness has it: it hands in, answers, resumes, and never signs for the engine."""

    treasury: Treasury
    party: Party
    """Its key, as a thief would use it."""
    agents: tuple[str, ...]
    can_create: bool

    @property
    def wallet(self) -> str:
        return self.treasury.wallet


@dataclass(slots=True)
class Field:
    """Everything there is when the soak begins."""

    node: HttpTransport
    miner: Miner
    folder: Path
    crowd: Crowd
    deployment: Deployment
    tokens: dict[str, str]
    """Address by artifact, TestUSDC among them."""
    houses: list[House]
    strangers: list[Party]
    thieves: list[Party]
    """Strangers with an allowance that each treasury gave long ago."""
    payees: list[str]
    first_block: int = 0
    start: dict[tuple[str, str], int] = field(default_factory=dict)
    """Balances after that block, of everyone in `accounts`."""

    @property
    def usdc(self) -> str:
        return self.tokens["TestUSDC"]

    @property
    def accounts(self) -> list[str]:
        """Whose balances must be explained in the end."""
        return [*(one.wallet for one in self.houses), *self.payees, self.deployment.vault]

    def head(self) -> int:
        return int(self.node.request("eth_blockNumber", []), 16)

    def now(self) -> int:
        """The chain's time."""
        return int(self.node.request("eth_getBlockByNumber", ["latest", False])["timestamp"], 16)

    def bury(self, blocks: int = 8) -> None:
        """Mines so many blocks that no reorganisation of ours reaches what is mined by now."""
        self.miner.mine(blocks)

    def balances(self, block: dict[str, Any]) -> dict[tuple[str, str], int]:
        """What everyone in `accounts` has of everything."""
        keys, calls = [], []
        for account in self.accounts:
            keys.append((account, ETH))
            calls.append(("eth_getBalance", [account, block]))
            for token in self.tokens.values():
                keys.append((account, token))
                data = "0x70a08231" + account[2:].lower().rjust(64, "0")
                calls.append(("eth_call", [{"to": token, "data": data}, block]))
        answers: list[Any] = []
        for first in range(0, len(calls), 200):
            answers += self.node.batch(calls[first : first + 200])
        return {key: int(answer, 16) for key, answer in zip(keys, answers, strict=True)}


def build(anvil: AnvilProcess, miner: Miner, folder: Path, dice: random.Random) -> Field:
    """Deploys, mints and allows; nobody works anything yet."""
    node = HttpTransport(anvil.url)
    os.environ[FOLDER_VARIABLE] = str(folder)
    accounts = dev_accounts()
    crowd = Crowd(node, CHAIN_ID)
    # Whoever deploys is the kernel's admin, who may rule on disputes: so the third treasury does.
    book = AddressBook(CHAIN_ID, genesis_hash(node, CHAIN_ID), development=True)
    deployment = deploy_contracts(Sender(node, LocalSigner(accounts[2].private_key), chain_id=CHAIN_ID), book)
    if deployment.token is None:
        raise RuntimeError("the deployment has no token")
    deployer = Party(accounts[_DEPLOYER])
    tokens = {name: crowd.deploy(deployer, f"test/{name}") for name in (*HONEST, *MOODY, *DISHONEST)}
    tokens["TestUSDC"] = deployment.token
    parties = [Party(one) for one in accounts[:3]]
    strangers = [Party(accounts[index]) for index in _STRANGERS]
    thieves = strangers[:2]
    _equip(crowd, tokens, parties, strangers, thieves, deployment.vault)
    policy = {
        "max_amount": {ETH: LARGEST_ETHER, **dict.fromkeys(tokens.values(), 10 * LARGEST)},
        "approval_over": {ETH: LARGEST_ETHER, **dict.fromkeys(tokens.values(), 8 * LARGEST)},
        "max_fee_wei": 10**17,
        "max_daily_loss": {ETH: 10**21},
        "max_drawdown_bps": 9_000,
        "wallet_rate": {"day": 1_000_000},
    }
    houses = []
    for index, (name, party) in enumerate(zip(("north", "south", "court"), parties, strict=True)):
        watched = tuple(tokens[one] for one in (*HONEST, *MOODY, *DISHONEST))
        plan = Plan(name, anvil.url, str(folder), watched, policy, _STANDING_ALLOWANCE)
        treasury = Treasury(plan, party.private_key)
        agents = tuple(f"{name}-{agent}" for agent in ("ann", "bob", "cleo", "dan"))
        houses.append(House(treasury, party, agents, can_create=index < 2))
    payees = [to_checksum("0x" + keccak(f"payee {dice.random()}".encode())[-20:].hex()) for _ in range(_PAYEES)]
    made = Field(node, miner, folder, crowd, deployment, tokens, houses, strangers, thieves, payees)
    made.bury()  # what has been prepared stays; all that follows may be taken back, the guards' first points too
    miner.freeze()
    made.first_block = made.head()
    made.start = made.balances({"blockNumber": hex(made.first_block)})
    miner.freeze(False)
    return made


def _equip(
    crowd: Crowd, tokens: dict[str, str], parties: list[Party], strangers: list[Party], thieves: list[Party],
    vault: str,
) -> None:  # fmt: skip
    """Everybody has some of every token, treasuries have allowed the thieves a lot, dishonest tokens begin to lie."""
    last: list[str | None] = []
    for name, token in tokens.items():
        artifact = "TestUSDC" if name == "TestUSDC" else f"test/{name}"
        minter = strangers[-1]
        for one in (*parties, *strangers):
            last.append(crowd.call(minter, "mint", artifact, token, "mint", one.address, _PURSE))
        if name in ("TestUSDC", "PlainERC20"):
            for party in parties:
                for thief in thieves:
                    last.append(crowd.call(party, "allow", artifact, token, "approve", thief.address, 10**12))
    for stranger in strangers:
        last.append(crowd.call(stranger, "allow", "TestUSDC", tokens["TestUSDC"], "approve", vault, 10**12))
    last.append(crowd.call(strangers[-1], "lie", "test/LyingToken", tokens["LyingToken"], "setLying", True))
    last.append(
        crowd.call(strangers[-1], "refuse", "test/FalseReturnToken", tokens["FalseReturnToken"], "setRefusing", True)
    )
    for tx_hash in last:
        receipt = crowd.receipt(tx_hash, 30)
        if receipt is None or receipt["status"] != "0x1":
            raise RuntimeError("the field cannot be prepared")
