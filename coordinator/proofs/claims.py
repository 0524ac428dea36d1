"""What a link claims, read strictly: every field is there, of its form, and there is no other.

Names are those of `coordinator.proofs.parts`, and within `delta` those of the guard's verdicts. Amounts become ints.
Addresses stay as they are written: two spellings are compared by `same`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, StrictBool, StrictStr, ValidationError
from pydantic.alias_generators import to_camel

from coordinator.proofs.reporting import Path
from coordinator.types import ETH, IntentType, RiskTier, Ruling, Stage

__all__ = [
    "AllowanceClaim",
    "BlockClaim",
    "Delta",
    "Deltas",
    "EffectsClaim",
    "Execution",
    "FinalizedHead",
    "Head",
    "Holdings",
    "IntentClaim",
    "LogClaim",
    "Misshapen",
    "MovementClaim",
    "PolicyClaim",
    "ProofClaim",
    "ProofHead",
    "ReceiptClaim",
    "ReopenedHead",
    "SimulationClaim",
    "read_head",
    "read_proof",
    "same",
]

Holdings = dict[tuple[str, str], int]
"""Changes by (account, asset), both in lower case."""

_LARGEST = 2**53 - 1
_Model = TypeVar("_Model", bound=BaseModel)


class Misshapen(Exception):
    """What a link has at this path is not what a proof has there."""

    def __init__(self, path: Path, message: str) -> None:
        super().__init__(message)
        self.path = path
        self.message = message


def _text(pattern: str, what: str) -> Callable[[Any], str]:
    matching = re.compile(pattern, re.ASCII)

    def read(value: Any) -> str:
        if not isinstance(value, str) or not matching.fullmatch(value):
            raise ValueError(f"This is not {what}")
        return value

    return read


def _digits(pattern: str) -> Callable[[Any], int]:
    read = _text(pattern, "an amount in decimal digits")
    return lambda value: int(read(value))


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _LARGEST:
        raise ValueError("This is not a number from 0")
    return value


_Whole = Annotated[int, PlainValidator(_whole)]
_Amount = Annotated[int, PlainValidator(_digits(r"0|[1-9][0-9]{0,77}"))]
_Change = Annotated[int, PlainValidator(_digits(r"0|-?[1-9][0-9]{0,77}"))]
_Hash = Annotated[str, PlainValidator(_text(r"0x[0-9a-fA-F]{64}", "32 bytes in 0x hex"))]
_Address = Annotated[str, PlainValidator(_text(r"0x[0-9a-fA-F]{40}", "an address"))]
_Asset = Annotated[str, PlainValidator(_text(rf"{ETH}|0x[0-9a-fA-F]{{40}}", f"{ETH} or a token's address"))]
_Bytes = Annotated[str, PlainValidator(_text(r"0x(?:[0-9a-fA-F]{2})*", "bytes in 0x hex"))]
Deltas = dict[_Asset, dict[_Address, _Change]]
"""Changes by asset, and by account within it."""


class _Claim(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class _Camel(_Claim):
    model_config = ConfigDict(alias_generator=to_camel)


class BlockClaim(_Claim):
    number: _Whole
    hash: _Hash


# -------------------------------------------------------------------- heads


class Head(_Camel):
    """What the head of every link says."""

    format: StrictStr
    kind: StrictStr
    chain_id: _Whole
    genesis: _Hash
    wallet: _Address
    seq: Annotated[int, Field(strict=True, ge=1, le=_LARGEST)]
    previous: _Hash
    made_at: _Whole
    signer: _Address


class ProofHead(Head):
    """How an operation ended."""

    kind: Literal["proof"]
    operation: _Amount
    trace_id: StrictStr
    agent: StrictStr
    key: StrictStr
    type: IntentType
    outcome: Literal[Stage.CONFIRMED, Stage.FAILED]
    failed_at: Stage | None
    code: StrictStr | None
    reason: StrictStr | None
    transaction_id: _Hash | None
    tx_hash: _Hash | None
    block: BlockClaim | None
    verdict: Literal["ok", "breach", "incomplete"] | None
    intent_hash: _Hash | None
    policy_hash: _Hash | None
    simulation_hash: _Hash | None
    execution_hash: _Hash | None


class ReopenedHead(Head):
    """That a proof is taken back, because its block is gone."""

    kind: Literal["reopened"]
    proof: _Hash
    block: BlockClaim


class FinalizedHead(Head):
    """That the blocks of proofs are final, as this one is."""

    kind: Literal["finalized"]
    proofs: tuple[_Hash, ...]
    block: BlockClaim


# -------------------------------------------------------------------- intent, policy, simulation


class IntentClaim(_Camel):
    agent: StrictStr
    key: StrictStr
    body: dict[str, Any]
    body_hash: _Hash
    texts: dict[_Hash, StrictStr]


class ReasonClaim(_Camel):
    rule: StrictStr
    message: StrictStr
    decision: Ruling
    limit: _Change | None
    used: _Change | None


class PolicyClaim(_Camel):
    decision: Ruling
    risk_tier: RiskTier
    policy_version: StrictStr
    approved_by: StrictStr | None
    reasons: tuple[ReasonClaim, ...]


class LogClaim(_Camel):
    address: _Address
    topics: tuple[_Hash, ...]
    data: _Bytes

    @property
    def event(self) -> tuple[str, str, str, int] | None:
        """(first topic, the account in the second, the account in the third, the number in the data), in lower case;
        None for logs of another form.
        """
        if len(self.topics) != 3 or len(self.data) != 66:
            return None
        kind, first, second = (topic.lower() for topic in self.topics)
        return kind, "0x" + first[26:], "0x" + second[26:], int(self.data, 16)


class SimulationClaim(_Camel):
    ok: StrictBool
    block: BlockClaim
    on_chain: StrictBool | None
    gas: _Amount | None
    has_logs: StrictBool
    logs: tuple[LogClaim, ...]
    code: StrictStr | None
    reason: StrictStr | None


# -------------------------------------------------------------------- execution


class CallClaim(_Camel):
    to: _Address
    value: _Amount
    data_hash: _Hash


class MovementClaim(_Camel):
    asset: _Asset
    source: _Address
    target: _Address
    amount: _Amount
    creditable: StrictBool


class AllowanceClaim(_Camel):
    token: _Address
    owner: _Address
    spender: _Address
    to: _Amount | None
    used: _Amount


class EffectsClaim(_Camel):
    movements: tuple[MovementClaim, ...]
    allowances: tuple[AllowanceClaim, ...]


class ReceiptClaim(_Camel):
    tx_hash: _Hash
    succeeded: StrictBool
    block: BlockClaim
    sender: Annotated[_Address, Field(alias="from")]
    to: _Address | None
    gas_used: _Amount
    effective_gas_price: _Amount
    l1_fee: _Amount | None
    operator_fee: _Amount | None
    logs: tuple[LogClaim, ...]


class ExpectedClaim(_Claim):
    deltas: Deltas
    allowances: tuple[AllowanceClaim, ...]


class ReceivedClaim(_Claim):
    status: Literal["succeeded", "reverted"]
    fee: _Amount | None
    l1_fee: _Amount | None
    operator_fee: _Amount | None
    deltas: Deltas


class BalancesClaim(_Claim):
    before: _Whole
    after: _Whole
    deltas: Deltas
    residual: Deltas


class Delta(_Claim):
    """The delta guard's verdict with E (`expected`), R (`receipt`) and B (`balances`)."""

    operation_id: _Whole | None
    sender: _Address
    nonce: _Whole | None
    tx_hash: _Hash
    block: BlockClaim
    verdict: Literal["ok", "breach", "incomplete"]
    scope: Literal["block", "span"]
    succeeded: StrictBool
    expected: ExpectedClaim
    receipt: ReceivedClaim
    balances: BalancesClaim
    variance_bps: _Whole
    notes: tuple[StrictStr, ...]


class Execution(_Camel):
    call: CallClaim
    effects: EffectsClaim
    raw: _Bytes
    nonce: _Whole
    receipt: ReceiptClaim
    delta: Delta | None


class _Parts(_Claim):
    intent: IntentClaim
    policy: PolicyClaim | None
    simulation: SimulationClaim | None
    execution: Execution | None


@dataclass(frozen=True, slots=True)
class ProofClaim:
    """A link that proves how an operation ended: the `index`-th of its file, from 0."""

    index: int
    proof_hash: str
    head: ProofHead
    intent: IntentClaim
    policy: PolicyClaim | None
    simulation: SimulationClaim | None
    execution: Execution | None


_HEADS: dict[str, type[Head]] = {"proof": ProofHead, "reopened": ReopenedHead, "finalized": FinalizedHead}


def read_head(head: Mapping[str, Any]) -> Head:
    """What a head claims. Raises Misshapen."""
    kind = head.get("kind")
    model = _HEADS.get(kind) if isinstance(kind, str) else None
    if model is None:
        raise Misshapen(("head", "kind"), f"There are links of the kinds {', '.join(_HEADS)}")
    return _read(model, head, "head")


def read_proof(index: int, link: Mapping[str, Any], head: ProofHead) -> ProofClaim:
    """What a proof with this head claims. Raises Misshapen."""
    parts = _read(_Parts, link.get("parts"), "parts")
    return ProofClaim(index, link["proofHash"], head, parts.intent, parts.policy, parts.simulation, parts.execution)


def same(one: str | None, other: str | None) -> bool:
    """Whether two texts are one address or hash, however it is spelled."""
    return (one is None) == (other is None) and (one or "").lower() == (other or "").lower()


def _read(model: type[_Model], value: Any, name: str) -> _Model:
    try:
        return model.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        path = (name, *first["loc"])
        said = first["msg"].removeprefix("Value error, ")
        raise Misshapen(path, f"{'.'.join(map(str, path))}: {said}") from None
