"""What intents have in common: strict records that take each field under several names, and never ignore one."""

from __future__ import annotations

from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, model_validator

from actp.errors import InvalidInput
from coordinator.intents.fields import Account, AnyAmount, Name, NumericId, Text, Time, TransactionId
from coordinator.types import IntentType

__all__ = ["Intent", "OfEscrow", "Spending", "Strict"]

# Names that other systems use, besides each field's own name in camelCase.
_OTHER_NAMES = {
    "destination": "to",
    "counterparty": "provider",
    "deadlineUnixSec": "deadline",
    "quoteTimestamp": "quoted_at",
    "reason": "evidence",
    "milestoneIndex": "index",
    "requireApprovalOnDemand": "require_approval",
    "dispute_window_seconds": "dispute_window",
    "disputeWindowSeconds": "dispute_window",
}


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


class Strict(BaseModel):
    """A record that takes each field under its own name, in camelCase, or under one of the other names above."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)

    _names: ClassVar[dict[str, str]] = {}

    @classmethod
    def __pydantic_init_subclass__(cls, **_: Any) -> None:
        fields = cls.model_fields
        own = {_camel(name): name for name in fields if _camel(name) != name}
        cls._names = own | {other: name for other, name in _OTHER_NAMES.items() if name in fields}

    @model_validator(mode="before")
    @classmethod
    def _renamed(cls, given: Any) -> Any:
        names = cls._names
        if not isinstance(given, dict) or names.keys().isdisjoint(given):
            return given
        renamed: dict[Any, Any] = {}
        for name, value in given.items():
            own = names.get(name, name)
            if own in renamed:
                raise InvalidInput(f"{own} is given twice, once as {name}.")
            renamed[own] = value
        return renamed


class Intent(Strict):
    """Base of all intents."""

    type: ClassVar[IntentType]


class Spending(Intent):
    """What ends in an eth transaction, if policy and people allow it.

    `quoted_amount` is what was offered at `quoted_at`, in base units of the asset that is spent; `service` is the name
    by which a reference price is found, `memo` is for the journal only, `require_approval` asks for a person's yes.
    `max_fee_wei` is the most that the eth transaction may cost in fees, besides what the policy says. `kernel` is the
    one that it is about, where a treasury works with several; the first of them unless it is named.
    """

    quoted_amount: AnyAmount | None = None
    quoted_at: Time | None = None
    service: Name | None = None
    memo: Text | None = None
    require_approval: bool = False
    max_fee_wei: AnyAmount | None = None
    kernel: Account | None = None


class OfEscrow(Spending):
    """A step of an escrow, which is named by its `transaction_id`, or by who created it under which number.

    `provider` and `fee_recipient` may be named, and are then compared with the escrow's.
    """

    transaction_id: TransactionId | None = None
    creator: Account | None = None
    escrow_numeric_id: NumericId | None = None
    provider: Account | None = None
    fee_recipient: Account | None = None

    @model_validator(mode="after")
    def _named_once(self) -> Self:
        if (self.transaction_id is None) == (self.escrow_numeric_id is None):
            raise InvalidInput("Name the escrow by transaction_id, or by creator and escrow_numeric_id.")
        if self.escrow_numeric_id is not None and self.creator is None:
            raise InvalidInput("An escrow_numeric_id needs its creator: each account has numbers of its own.")
        return self
