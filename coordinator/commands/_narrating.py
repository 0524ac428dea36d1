"""Entries of the journal as sentences. What an entry does not say is left out: the journal may be another version's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import Connection

from actp.units import format_ether, format_usdc
from coordinator.alerts.wording import scope_name
from coordinator.budget.wording import EXCEEDABLE, exceeded
from coordinator.budget.words import LARGEST, Period, Scope, ScopeKind
from coordinator.store import scopes
from coordinator.store.accounts import Account
from coordinator.store.journal import DISPUTE_OPENED, Entry
from coordinator.store.purposes import ERASED
from coordinator.types import ETH

__all__ = ["sentence", "treasury_units"]

_Detail = Mapping[str, Any]


def treasury_units(connection: Connection, account: Account) -> dict[int, str]:
    """The units (of the token and of ETH) of the scopes of what lies in the wallet, by their numbers."""
    rows = scopes.listed(connection, account)
    return {row.id: row.scope.unit for row in rows if row.scope.kind is ScopeKind.TREASURY}


def sentence(entry: Entry, treasury: Mapping[int, str]) -> str:
    """What happened. `treasury` is what `treasury_units` finds."""
    if entry.event == "observed":
        return _observed(entry.detail, treasury)
    says = _SAYS.get(entry.event)
    said = "" if says is None else says(entry.detail)
    return said or entry.event.replace("_", " ")


def _observed(detail: _Detail, treasury: Mapping[int, str]) -> str:
    block = detail.get("block") or ["?"]
    held = [_amount(limit, treasury[scope]) for scope, _, limit, _ in detail.get("limits", ()) if scope in treasury]
    seen = f"the worker saw block {block[0]}"
    numbers = detail.get("reservations", ())
    paid = f"what it paid for request{'' if len(numbers) == 1 else 's'} {_listed(numbers)}" if numbers else ""
    shows = [one for one in (f"{' and '.join(held)} in the treasury" if held else "", paid) if one]
    return f"{seen}: {', '.join(shows)}" if shows else seen


def _decided(what: str) -> Callable[[_Detail], str]:
    def says(detail: _Detail) -> str:
        category = f" for {detail['category']}" if detail.get("category") else ""
        return f"{what} {_usdc(detail.get('amount'))}{category}, by rules of version {detail.get('rulebook', '?')}"

    return says


def _denied(detail: _Detail) -> str:
    if "denial" not in detail:
        return _failed("the policy denied it")(detail)  # an operation's
    rule, limit, used = detail["denial"]
    why = rule if rule not in EXCEEDABLE or limit is None else exceeded(rule, used or 0, limit)
    return f"{_decided('denied')(detail)}: {why}"


def _voted(detail: _Detail) -> str:
    given = f"{len(detail.get('yes', ()))} of {detail.get('required', '?')}"
    return f"{detail.get('by', 'somebody')} said yes{_because(detail)}; it has {given}"


def _approved(detail: _Detail) -> str:
    return f"{detail.get('by', 'somebody')} said yes{_because(detail)}, and it was decided again"


def _noted(detail: _Detail) -> str:
    """What the worker has learned of a request whose state is the same."""
    parts = []
    if "operation_id" in detail:
        number = detail["operation_id"]
        parts.append("waits to be handed on again" if number is None else f"is carried out by operation {number}")
    parts += [f"its fee was {format_ether(detail['gas_actual'])} ETH"] if "gas_actual" in detail else []
    parts += ["nothing more will come back of it"] if detail.get("settled") else []
    parts += [detail["reason"]] if detail.get("reason") else []
    return "the worker noted: " + (", ".join(parts) or "its budget has moved")


def _returned(detail: _Detail) -> str:
    return f"{_usdc(detail.get('returned'))} came back in all" + (", and that was all" if detail.get("settled") else "")


def _committed(detail: _Detail) -> str:
    fee = f", with a fee of {format_ether(detail['gas_actual'])} ETH" if "gas_actual" in detail else ""
    return f"{_usdc(detail.get('actual'))} are spent for good{fee}"


def _applied(detail: _Detail) -> str:
    return f"{detail.get('by', 'somebody')} made the rules of version {detail.get('version', '?')} hold"


def _froze(what: str) -> Callable[[_Detail], str]:
    def says(detail: _Detail) -> str:
        parts = detail.get("scope")
        if not parts:
            return f"a budget {what}{_because(detail)}"
        kind, key, period, unit = parts
        return f"the {scope_name(Scope(ScopeKind(kind), key, Period(period), unit))} {what}{_because(detail)}"

    return says


def _by(what: str) -> Callable[[_Detail], str]:
    return lambda detail: f"{detail.get('by') or 'somebody'} {what}{_because(detail)}"


def _failed(what: str) -> Callable[[_Detail], str]:
    return lambda detail: f"{what}{_because(detail) or (': ' + str(detail['code']) if detail.get('code') else '')}"


def _mined(detail: _Detail) -> str:
    block = detail.get("block")
    return f"it was mined in block {block['number']}, and did what was signed" if block else ""


_SAYS: Mapping[str, Callable[[_Detail], str]] = {
    "granted": _decided("granted"),
    "approval_wanted": _decided("somebody has to approve"),
    "denied": _denied,
    "voted": _voted,
    "approved": _approved,
    "submitting": _failed("what pays for it is signed, and only the chain can end it"),
    "on_chain": _failed("it lies in escrow"),
    "held": _failed("it waits to be tried once more"),
    "committed": _committed,
    "released": _failed("its budget is free again"),
    "expired": _failed("its budget is free again"),
    "returned": _returned,
    "noted": _noted,
    ERASED: _by("erased what it was for"),
    DISPUTE_OPENED: _by("opened a dispute"),
    "rules_applied": _applied,
    "frozen": _froze("is frozen"),
    "unfrozen": _froze("can be charged again"),
    "paused": _by("paused it"),
    "resumed": _by("let it go on"),
    "submitted": _failed("it was handed in"),
    "building": _failed("it is being built"),
    "built": _failed("it is built, and being simulated"),
    "simulated": _failed("it was simulated, and the policy judges it"),
    "allowed": _failed("the policy allowed it, and it is being signed"),
    "approval_asked": _failed("somebody has to approve it"),
    "signed": _failed("its bytes are signed and stored"),
    "outdated": _failed("it waited too long, and is judged again"),
    "confirmed": _mined,
    "failed": _failed("it failed"),
    "answered": _failed("the question is answered"),
    "reopened": _failed("its block is gone from the chain"),
    "rejected": _by("said no"),
    "approval_expired": _failed("nobody has approved it in time"),
}


def _because(detail: _Detail) -> str:
    return f": {detail['reason']}" if detail.get("reason") else ""


def _usdc(amount: int | None) -> str:
    return "?" if amount is None else f"{format_usdc(amount)} USDC"


def _amount(amount: int | None, unit: str) -> str:
    most = "at least " if amount == LARGEST else ""
    return most + (f"{format_ether(amount or 0)} ETH" if unit == ETH else f"{format_usdc(amount or 0)} USDC")


def _listed(numbers: Any) -> str:
    shown = ", ".join(map(str, numbers[:5]))
    return shown if len(numbers) <= 5 else f"{shown} and {len(numbers) - 5} more"
