"""The sentences of alerts. What a request is for is not among them: it may be erased here, and not in a channel."""

from __future__ import annotations

from datetime import UTC, datetime

from actp.units import format_ether, format_usdc
from coordinator.budget.words import FOR_EVER, Period, Scope, ScopeKind
from coordinator.store.accounts import Account
from coordinator.store.alerts import AlertKind, Draft
from coordinator.types import ETH

__all__ = ["asked", "breach", "budget", "dispute", "drift", "operation_waits", "scope_name"]

_LONGEST = 60
_PERIODS = {
    Period.EVER: "",
    Period.HOUR: " for the hour",
    Period.DAY: " for the day",
    Period.WEEK: " for the week",
    Period.MONTH: " for the month",
    Period.ROLLING_DAY: " for 24 hours",
}


def scope_name(scope: Scope) -> str:
    """A scope as people call it: "budget of agent research for the day"."""
    whose = {
        ScopeKind.TOTAL: "total budget",
        ScopeKind.AGENT: f"budget of agent {_name(scope.key)}",
        ScopeKind.CATEGORY: f"budget of category {_name(scope.key)}",
        ScopeKind.GAS: "gas budget",
        ScopeKind.TREASURY: "treasury",
    }[scope.kind]
    return whose + _PERIODS[scope.period]


def budget(scope: Scope, window: int, used: int, limit: int, percent: int) -> tuple[str, str]:
    """Title and body about a budget that is used up to a threshold."""
    name = scope_name(scope)
    since = "" if window == FOR_EVER else f" since {_time(window)}"
    share = f" ({used * 100 // limit} %)" if limit else ""
    body = f"{_amount(used, scope.unit)} of {_amount(limit, scope.unit)} are spent or reserved{share}{since}."
    return f"{percent} % of the {name} used", body


def asked(
    approval_id: str, required: int, expires_at: float, agent: str, amount: int, provider: str, category: str
) -> Draft:
    """About a request that waits for a yes."""
    of = f" of category {_name(category)}" if category else ""
    wanted = "a yes" if required == 1 else f"{required} yeses"
    body = f"Approval {approval_id}: agent {_name(agent)} wants to pay {_amount(amount)}{of} to {provider}, and needs "
    body += f"{wanted} before {_time(expires_at)}."
    title = f"{_amount(amount)} for agent {_name(agent)} waits for approval"
    return Draft(AlertKind.APPROVAL, approval_id, title, body)


def operation_waits(operation_id: int, agent: str, kind: str, expires_at: float) -> Draft:
    """About an operation that waits for a yes."""
    title = f"Operation {operation_id} of agent {_name(agent)} waits for approval"
    body = f"It is a {kind}, and needs a yes before {_time(expires_at)}."
    return Draft(AlertKind.APPROVAL, f"operation-{operation_id}", title, body)


def dispute(account: Account, transaction_id: str, by: str | None, agent: str, operation_id: int | None) -> Draft:
    """About a dispute that was opened, to whoever has to rule on it."""
    opened = f" by {by}" if by is not None else ""
    how = "" if operation_id is None else f" (operation {operation_id})"
    body = f"Transaction {transaction_id} on chain {account.chain_id} is disputed{opened}{how}. The treasury "
    body += f"{account.wallet} is a party of it, for agent {_name(agent)}. The arbiter has to rule on it."
    return Draft(AlertKind.DISPUTE, transaction_id, "A dispute was opened", body)


def breach(
    account: Account, number: int, kind: str, operation_id: int | None, tx_hash: str | None, block: int | None
) -> Draft:
    """About a finding of the delta guard."""
    where = [] if operation_id is None else [f"operation {operation_id}"]
    where += [] if tx_hash is None else [f"eth transaction {tx_hash}"]
    where += [] if block is None else [f"block {block}"]
    body = f"The delta guard found {kind} at the treasury {account.wallet} on chain {account.chain_id}"
    body += (": " + ", ".join(where) if where else "") + ". What it concerns is paused until somebody resumes it."
    return Draft(AlertKind.BREACH, str(number), f"Breach: {kind}", body)


def drift(account: Account, number: int, amount: str, action: str, block: int) -> Draft:
    """About a ledger and a chain that do not agree."""
    much = _amount(int(amount)) if amount.lstrip("-").isdecimal() else amount
    body = f"At block {block} ledger and chain differ by {much} for the treasury {account.wallet} on "
    body += f"chain {account.chain_id} (reconciliation {number}: {action})."
    return Draft(AlertKind.DRIFT, str(number), "Ledger and chain do not agree", body)


def _amount(amount: int, unit: str | None = None) -> str:
    return f"{format_ether(amount)} ETH" if unit == ETH else f"{format_usdc(amount)} USDC"


def _time(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M} UTC"


def _name(text: str) -> str:
    """A name that others have chosen: on one line, and not too long."""
    clean = "".join(one if one.isprintable() else "?" for one in text)
    return clean if len(clean) <= _LONGEST else clean[: _LONGEST - 1] + "…"
