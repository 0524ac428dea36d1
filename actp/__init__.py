"""Escrowed payments between agents on an EVM chain: the protocol client.

    from actp import ACTPClient, Network, State

    client = ACTPClient.create(network=Network.LOCAL, private_key=...)

Names load on first use, because web3 takes seconds to import and most command lines do not need it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from actp.batches import BatchResult as BatchResult
    from actp.batches import ItemOutcome as ItemOutcome
    from actp.client import ACTPClient as ACTPClient
    from actp.errors import ActpError as ActpError
    from actp.errors import ArtifactMismatch as ArtifactMismatch
    from actp.errors import ConfigError as ConfigError
    from actp.errors import FeeTooHigh as FeeTooHigh
    from actp.errors import IdempotencyConflict as IdempotencyConflict
    from actp.errors import InsufficientFunds as InsufficientFunds
    from actp.errors import InvalidInput as InvalidInput
    from actp.errors import NoCode as NoCode
    from actp.errors import OutcomeUnknown as OutcomeUnknown
    from actp.errors import PartialBatch as PartialBatch
    from actp.errors import Reverted as Reverted
    from actp.errors import RpcError as RpcError
    from actp.errors import RpcUnavailable as RpcUnavailable
    from actp.errors import SendError as SendError
    from actp.errors import SignatureRefused as SignatureRefused
    from actp.errors import UnacceptedClauses as UnacceptedClauses
    from actp.errors import UnknownTransaction as UnknownTransaction
    from actp.errors import UnsupportedByKernel as UnsupportedByKernel
    from actp.errors import UnsupportedByToken as UnsupportedByToken
    from actp.errors import WrongChain as WrongChain
    from actp.events import StaleCursor as StaleCursor
    from actp.intents import Payment as Payment
    from actp.intents import PaymentOrder as PaymentOrder
    from actp.orders import AgreedClauses as AgreedClauses
    from actp.orders import Milestone as Milestone
    from actp.orders import MilestoneStatus as MilestoneStatus
    from actp.orders import MilestoneView as MilestoneView
    from actp.signed import PaymentAuthorization as PaymentAuthorization
    from actp.signed import SplitConsent as SplitConsent
    from actp.signers import LocalSigner as LocalSigner
    from actp.signers import Signer as Signer
    from actp.token import MissingAllowance as MissingAllowance
    from actp.types import Network as Network
    from actp.types import Receipt as Receipt
    from actp.types import State as State
    from actp.types import Transaction as Transaction
    from actp.units import format_usdc as format_usdc
    from actp.units import usdc as usdc

_HOMES = {
    "actp.client": ("ACTPClient",),
    "actp.errors": (
        "ActpError",
        "ArtifactMismatch",
        "ConfigError",
        "FeeTooHigh",
        "IdempotencyConflict",
        "PartialBatch",
        "SignatureRefused",
        "UnacceptedClauses",
        "UnsupportedByToken",
        "InsufficientFunds",
        "InvalidInput",
        "NoCode",
        "OutcomeUnknown",
        "Reverted",
        "RpcError",
        "RpcUnavailable",
        "SendError",
        "UnknownTransaction",
        "UnsupportedByKernel",
        "WrongChain",
    ),
    "actp.batches": ("BatchResult", "ItemOutcome"),
    "actp.intents": ("Payment", "PaymentOrder"),
    "actp.orders": ("AgreedClauses", "Milestone", "MilestoneStatus", "MilestoneView"),
    "actp.signed": ("PaymentAuthorization", "SplitConsent"),
    "actp.events": ("StaleCursor",),
    "actp.signers": ("LocalSigner", "Signer"),
    "actp.token": ("MissingAllowance",),
    "actp.types": ("Network", "Receipt", "State", "Transaction"),
    "actp.units": ("format_usdc", "usdc"),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [*_HOME_OF]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
