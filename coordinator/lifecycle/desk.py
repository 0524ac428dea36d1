"""What all parts of the lifecycle work with: one wallet, its store, its node and its policy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from actp.client import ACTPClient
from actp.engine import Outbox
from actp.rpc import Transport
from coordinator.policy import PolicySettings
from coordinator.store import Ledger
from coordinator.store.accounts import Account

__all__ = ["TREASURY_AGENT", "Desk", "Records", "Reference"]

TREASURY_AGENT = "treasury"
"""The agent on whose behalf the lifecycle itself asks for something."""

Reference = Callable[[str], int | None]
"""What a service usually costs in base units, None if that is not known. Asks nobody; where it raises, the operation is
denied."""


class Records(Protocol):
    """The part of a desk that writes, and neither signs nor builds: for answers of people it is enough."""

    @property
    def account(self) -> Account:
        """Whose operations they are."""

    @property
    def ledger(self) -> Ledger:
        """Where they are written."""

    @property
    def genesis(self) -> str:
        """Hash of the chain's first block, which proofs name."""

    @property
    def transport(self) -> Transport | None:
        """The way to a node, if there is one."""


@dataclass(frozen=True, slots=True)
class Desk:
    """One wallet on one chain."""

    client: ACTPClient
    ledger: Ledger
    account: Account
    outbox: Outbox
    settings: PolicySettings
    reference: Reference | None = None
    others: tuple[ACTPClient, ...] = ()
    """The same wallet at further kernels of the chain."""

    @property
    def clients(self) -> tuple[ACTPClient, ...]:
        """The wallet at each of its kernels."""
        return (self.client, *self.others)

    @property
    def wallet(self) -> str:
        """The account that signs."""
        return self.account.wallet

    @property
    def transport(self) -> Transport:
        """The way to the node."""
        return self.client.transport

    @property
    def genesis(self) -> str:
        """Hash of the chain's first block."""
        return self.client.genesis

    @property
    def token(self) -> str:
        """The token that escrows hold."""
        return self.client.token.address

    @property
    def vault(self) -> str:
        """The contract that holds them."""
        return self.client.escrow.address
