"""From what a caller wrote to an intent, and from an intent to the plain data that is stored and hashed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from actp.units import shown
from coordinator.errors import InvalidIntent, UnsupportedProtocol
from coordinator.intents.models import MODELS, Intent
from coordinator.types import IntentType

__all__ = ["body", "intent_type", "parse"]

_ELSEWHERE = {
    "swap": "Nothing is traded here.",
    "stake": "Nothing is staked here.",
    "unstake": "Nothing is staked here.",
    "lend": "Nothing is lent here.",
    "lend_supply": "Nothing is lent here.",
    "lend_borrow": "Nothing is lent here.",
    "borrow": "Nothing is lent here.",
    "x402_pay": "Payments by x402 come later; until then pay by create_escrow.",
    "transfer_sol": "This is an EVM chain: use transfer_eth.",
    "transfer_spl": "This is an EVM chain: use transfer_erc20.",
}
_SERVED = frozenset(kind.value for kind in IntentType)
_MOST_SHOWN = 3


def intent_type(name: object) -> IntentType:
    """The type of this name. Raises UnsupportedProtocol."""
    if isinstance(name, str) and name in _SERVED:
        return IntentType(name)
    hint = _ELSEWHERE.get(name) if isinstance(name, str) else None
    raise UnsupportedProtocol(
        f"No intent of the type {shown(name)} is served here.",
        hint=hint or f"There are {', '.join(IntentType)}.",
    )


def parse(type: IntentType | str, body: Mapping[str, Any]) -> Intent:
    """The intent of this type with these fields, under their own names or in camelCase. A `type` among them must be the
    same. Asks nobody, and knows no clock. Raises UnsupportedProtocol, InvalidIntent.
    """
    kind = intent_type(type)
    if not isinstance(body, Mapping):
        raise InvalidIntent(f"The body of {kind} is {shown(body)}.", hint="Give an object with the intent's fields.")
    fields = dict(body)
    named = fields.pop("type", kind)
    if named != kind:
        raise InvalidIntent(f"The body says that it is a {shown(named)}, not a {kind}.", hint="Name one type.")
    try:
        return MODELS[kind].model_validate(fields)
    except ValidationError as error:
        raise _refusal(kind, error) from None


def body(intent: Intent) -> dict[str, Any]:
    """Type and fields as plain data: amounts as decimal digits, defaults left out. `parse` reads it back; equal intents
    give equal bodies, whatever names and notations they were written in.
    """
    return {"type": intent.type.value, **intent.model_dump(mode="json", exclude_defaults=True)}


def _refusal(kind: IntentType, error: ValidationError) -> InvalidIntent:
    # Inputs are left out: what a caller sent by mistake may be a secret.
    found = error.errors(include_url=False, include_context=False, include_input=False)
    problems = [_sentence(each) for each in found[:_MOST_SHOWN]]
    if len(found) > _MOST_SHOWN:
        problems.append(f"and {len(found) - _MOST_SHOWN} more")
    return InvalidIntent(f"{kind}: {'; '.join(problems)}", hint="Correct the intent and submit it again.")


def _sentence(problem: ErrorDetails) -> str:
    place = ".".join(str(part) for part in problem["loc"])
    text = problem["msg"].removeprefix("Value error, ")
    return f"{shown(place)}: {text}" if place else text
