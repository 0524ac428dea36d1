"""Data that flows between the modules: frozen, typed, no I/O.

Amounts are base units (USDC: 6 decimals), chain times are unix seconds as the chain counts them, `bytes32` values and
hashes are 0x hex strings of 66 characters, addresses carry their EIP-55 checksum.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, IntEnum

from actp.errors import InvalidInput
from actp.units import shown

__all__ = ["EthTransaction", "Log", "Network", "Receipt", "State", "Transaction"]


class State(IntEnum):
    """Where a transaction stands. SETTLED and CANCELLED are final."""

    INITIATED = 0
    QUOTED = 1
    COMMITTED = 2
    IN_PROGRESS = 3
    DELIVERED = 4
    SETTLED = 5
    DISPUTED = 6
    CANCELLED = 7

    @property
    def final(self) -> bool:
        """Whether no step leads out of this state."""
        return self in (State.SETTLED, State.CANCELLED)


class Network(Enum):
    """Where the contracts live. `Network.parse` takes the member or its name as users write it."""

    LOCAL = "local"
    ANVIL = "anvil"
    BASE_SEPOLIA = "base-sepolia"

    @classmethod
    def parse(cls, value: Network | str) -> Network:
        """The network of this name: "local", "anvil" or "base-sepolia", in any case, `_` for `-`."""
        if isinstance(value, cls):
            return value
        if isinstance(value, str):
            wanted = value.strip().lower().replace("_", "-")
            for network in cls:
                if network.value == wanted:
                    return network
        names = ", ".join(repr(network.value) for network in cls)
        raise InvalidInput(
            f"There is no network {shown(value, 20)}.",
            hint=f"Use one of {names}. A key goes into private_key, a URL into rpc_url.",
        )

    @property
    def chain_id(self) -> int:
        """The chain id that this network has unless the user names another one (anvil --chain-id)."""
        return 84532 if self is Network.BASE_SEPOLIA else 31337

    @property
    def live(self) -> bool:
        """Whether sending costs something, or is seen by others."""
        return self is Network.BASE_SEPOLIA


@dataclass(frozen=True, slots=True)
class Transaction:
    """One ACTP transaction: the 21 fields of the kernel's `getTransaction`, in its order."""

    transaction_id: str
    requester: str
    provider: str
    state: State
    amount: int
    created_at: int
    updated_at: int
    deadline: int
    service_hash: str
    escrow_contract: str
    escrow_id: str
    attestation_uid: str
    dispute_window: int
    metadata: str
    platform_fee_bps_locked: int
    requester_penalty_bps_locked: int
    dispute_bond_bps_locked: int
    agent_id: int
    requester_agent_id: int
    dispute_initiator: str
    dispute_bond: int

    @property
    def window_ends(self) -> int | None:
        """Last second of the dispute window, None before delivery (and if there was none)."""
        # The kernel reports a duration (at most 30 days) until delivery and a point in time after it, in one field.
        # A cancelled transaction may show either, so the value decides and not the state.
        return self.dispute_window if self.dispute_window >= self.created_at else None

    @property
    def funded(self) -> bool:
        """Whether the vault holds money for it."""
        return self.state in (State.COMMITTED, State.IN_PROGRESS, State.DELIVERED, State.DISPUTED)


@dataclass(frozen=True, slots=True)
class EthTransaction:
    """An EIP-1559 eth transaction before it is signed. `to` is None when it creates a contract; fees are in wei."""

    chain_id: int
    nonce: int
    to: str | None
    value: int
    data: bytes
    gas: int
    max_fee_per_gas: int
    max_priority_fee_per_gas: int


@dataclass(frozen=True, slots=True)
class Log:
    """One event as a node reports it: `topics` and `data` are 0x hex."""

    address: str
    topics: tuple[str, ...]
    data: str
    block_number: int
    block_hash: str
    tx_hash: str
    log_index: int


@dataclass(frozen=True, slots=True)
class Receipt:
    """A mined eth transaction. `succeeded` is its status, prices are in wei.

    `l1_fee` and `operator_fee` are what OP-stack chains took on top of `gas_used * effective_gas_price`. None means
    that the node did not tell: 0 on a chain that has no such fees, and unknown on one that has.
    """

    tx_hash: str
    succeeded: bool
    block_number: int
    block_hash: str
    sender: str
    to: str | None
    contract_address: str | None
    gas_used: int
    effective_gas_price: int
    logs: tuple[Log, ...]
    l1_fee: int | None = None
    operator_fee: int | None = None
