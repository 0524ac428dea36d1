"""Which tracker's budgets: flags, and the breakdown of what is used."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from actp.command_line import STORE_HELP
from actp.errors import ConfigError, InvalidInput
from coordinator.commands._printing import print_table

if TYPE_CHECKING:
    from coordinator.tracker import Reservation, Tracker, Usage
    from coordinator.tracker.opening import Place

__all__ = [
    "Budgeted",
    "add_session",
    "add_tracker",
    "as_json",
    "existing",
    "in_session",
    "place_of",
    "print_breakdown",
    "reservation_as_json",
    "shared",
    "used_by",
]

_KINDS = ("local", "redis", "sqlite", "postgresql")
_COLUMNS = ("limit", "spent", "reserved", "remaining", "open", "overruns", "scope")
_COUNTS = ("late", "lost")
_REDIS_SCHEMES = ("redis://", "rediss://", "unix://")


class Budgeted(NamedTuple):
    """A session that has a limit."""

    tracker: Tracker
    scope: str
    label: str


def add_tracker(parser: argparse.ArgumentParser) -> None:
    """`--budget-tracker` and where its ledger is."""
    parser.add_argument(
        "--budget-tracker", choices=_KINDS, metavar="KIND",
        help=f"{', '.join(_KINDS[:-1])} or {_KINDS[-1]} (default: ACTP_BUDGET_TRACKER, or what the URL is)",
    )  # fmt: skip
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--budget-redis-url", metavar="URL", help="redis://user:password@host:6379/0 (default: ACTP_BUDGET_URL)"
    )
    where.add_argument("--budget-store", metavar="STORE", help=STORE_HELP.replace("ACTP_STORE_URL", "ACTP_BUDGET_URL"))
    parser.add_argument("--budget-root", metavar="NAME", help="which fleet's budgets (default: ACTP_BUDGET_ROOT)")


def add_session(parser: argparse.ArgumentParser) -> None:
    """`--budget-session-id` and `--budget-session-limit`, beside what `add_tracker` adds."""
    parser.add_argument(
        "--budget-session-id", metavar="NAME", help="everything counts in the scope session:NAME, whoever else does"
    )
    parser.add_argument(
        "--budget-session-limit",
        metavar="AMOUNT",
        help="what it may spend in all; replaces an earlier limit",
    )


def place_of(arguments: argparse.Namespace) -> Place:
    """Where the ledger is that the flags or the environment name. Raises ConfigError."""
    from coordinator.tracker.opening import Place

    url = arguments.budget_redis_url
    if url and not url.lower().startswith(_REDIS_SCHEMES):
        raise ConfigError(
            "--budget-redis-url is no URL of a Redis.",
            hint="It looks like redis://user:password@host:6379/0, rediss:// for TLS, or unix:///path. "
            "A database is named with --budget-store.",
        )
    return Place.of(arguments.budget_tracker, url or arguments.budget_store, arguments.budget_root)


def shared(place: Place) -> Place:
    """`place`, unless a command of its own could not see what is in it. Raises ConfigError."""
    if place.kind == "local":
        raise ConfigError(
            "A local tracker lives in the memory of one process, which no command sees.",
            hint="Name a ledger that processes share, with --budget-redis-url or --budget-store.",
        )
    return place


@contextmanager
def in_session(arguments: argparse.Namespace) -> Iterator[Budgeted | None]:
    """The session that the flags of `add_session` name, with its limit set, for as long as it is open; None if they
    name none. Raises ConfigError, InvalidInput, TrackerError.
    """
    name, limit = arguments.budget_session_id, arguments.budget_session_limit
    if name is None:
        given = (arguments.budget_tracker, arguments.budget_redis_url, arguments.budget_store, limit)
        if any(one is not None for one in given):
            raise InvalidInput("It is not said whose budget it is.", hint="Give --budget-session-id.")
        yield None
        return
    from coordinator.tracker.naming import session_scope

    place, scope = place_of(arguments), session_scope(name)
    with place.open() as tracker:
        if limit is not None:
            tracker.set_budget(scope, limit)
        elif tracker.get_budget(scope) is None:
            raise ConfigError(f"{scope} has no limit.", hint="Give --budget-session-limit.")
        yield Budgeted(tracker, scope, place.label)


def existing(place: Place) -> Place:
    """`shared`, for what only looks: it makes no file. Raises ConfigError."""
    file = shared(place).file
    if file is not None and not file.exists():
        raise ConfigError(f"There are no budgets at {file}.", hint="Check the path. `coordinator budget set` makes it.")
    return place


def used_by(tracker: Tracker, names: Sequence[str] = (), *, ended: bool = True) -> list[Usage]:
    """What is used of these scopes, or of all: those of grants that have ended only if `ended`. Raises InvalidInput for
    a scope that nobody has used.
    """
    from coordinator.tracker.naming import is_ended_grant

    found = {one.scope: one for one in tracker.scopes()}
    for name in names:
        if name not in found:
            raise InvalidInput(f"There is no scope {name[:80]!r}.", hint="`coordinator budget status --all` shows all.")
    if names:
        return [found[name] for name in names]
    return [one for one in found.values() if ended or not is_ended_grant(one)]


def print_breakdown(usages: Sequence[Usage]) -> None:
    """One row for each scope: the unit is dollars unless it says otherwise."""
    counts = [name for name in _COUNTS if any(getattr(one, name) for one in usages)]
    rows = [
        (
            *(_money(one, amount) for amount in (one.limit, one.spent, one.reserved, one.remaining)),
            one.reservations, one.overruns, *(getattr(one, name) for name in counts), one.scope,
        )
        for one in usages
    ]  # fmt: skip
    print_table((*_COLUMNS[:-1], *counts, _COLUMNS[-1]), rows, nothing="Nothing has a budget here.")


def as_json(one: Usage) -> dict[str, Any]:
    """Amounts as the tracker takes them: dollars as decimal texts, USDC as base units."""
    return {
        "scope": one.scope,
        "unit": one.unit.value,
        "limit": _plain(one.limit),
        "spent": _plain(one.spent),
        "reserved": _plain(one.reserved),
        "remaining": _plain(one.remaining),
        "reservations": one.reservations,
        "overruns": one.overruns,
        "late": one.late,
        "lost": one.lost,
    }


def reservation_as_json(one: Reservation) -> dict[str, Any]:
    """An open reservation."""
    return {
        "id": one.token.id,
        "unit": one.token.unit.value,
        "amount": _plain(one.amount),
        "scopes": list(one.token.scopes),
        "expires_at": datetime.fromtimestamp(one.token.expires_at, UTC).isoformat(timespec="seconds"),
        "expires_in_seconds": round(one.expires_in_seconds, 3),
    }


def _plain(amount: object) -> str | None:
    return None if amount is None else f"{amount:f}"


def _money(usage: Usage, amount: object) -> str:
    if amount is None:
        return "-"
    return f"{amount:,f}" if usage.unit == "usd" else f"{amount:f} units of USDC"
