"""`coordinator agents`: who may spend, and how much."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from actp.command_line import ExitCode
from actp.errors import InvalidInput
from coordinator.commands._opening import add_account, add_by, add_json, authority, opened
from coordinator.commands._parsing import NEVER, amount, threshold
from coordinator.commands._printing import print_fields, print_json, print_lines, print_table, usdc, when

if TYPE_CHECKING:
    from coordinator.budget.rulebook import AgentRules, RuleBook
    from coordinator.store.pauses import Pause

__all__ = ["HELP", "configure"]

HELP = "list, show, add and remove agents, each with its limits"

_COLUMNS = ("agent", "role", "a request", "a day", "approval above", "state", "name")
_LIMITS = {
    "spending_limit": "the most of one request",
    "daily_limit": "the most of a UTC day",
    "requires_approval": "above this somebody has to say yes, or: never",
    "weekly_limit": "the most of a week",
    "monthly_limit": "the most of a month",
    "budget": "the most in all",
}
_THRESHOLD = "requires_approval"
_NEEDED = ("spending_limit", "daily_limit", _THRESHOLD)


def configure(noun: argparse.ArgumentParser) -> None:
    """Adds the verbs."""
    verbs = noun.add_subparsers(title="verbs", metavar="VERB", required=True)
    text = "list the agents"
    listing = verbs.add_parser("list", help=text, description=text, allow_abbrev=False)
    add_account(listing)
    add_json(listing, lines=True)
    listing.set_defaults(run=_list)

    text = "show an agent's limits, and how much of them is used"
    showing = verbs.add_parser("show", help=text, description=text, allow_abbrev=False)
    add_account(showing)
    showing.add_argument("id", metavar="ID")
    add_json(showing)
    showing.set_defaults(run=_show)

    text = 'register an agent; amounts are "25.50 USDC", or base units'
    adding = verbs.add_parser("add", help=text, description=text, allow_abbrev=False)
    add_account(adding)
    add_by(adding)
    adding.add_argument("id", metavar="ID")
    adding.add_argument("--name", help="for people (default: the id)")
    adding.add_argument("--address", default="", help="for people; nothing is paid to it")
    adding.add_argument("--role", help="whose limits apply where none are given: junior, senior, admin, or your own")
    for name, what in _LIMITS.items():
        kind = threshold if name == _THRESHOLD else amount
        adding.add_argument(f"--{name.replace('_', '-')}", type=kind, metavar="AMOUNT", help=what)
    adding.add_argument("--categories", metavar="NAME,NAME", help="the only ones that it may spend in")
    adding.add_argument("--providers", metavar="ADDRESS,ADDRESS", help="the only ones that it may pay")
    adding.add_argument(
        "--replace", action="store_true", help="give an agent that there is these limits instead of its own"
    )
    adding.set_defaults(run=_add)

    text = "take an agent off the list: what it asks for from now on is denied, what it was granted stays"
    removing = verbs.add_parser("remove", help=text, description=text, allow_abbrev=False)
    add_account(removing)
    add_by(removing)
    removing.add_argument("id", metavar="ID")
    removing.set_defaults(run=_remove)


def _list(arguments: argparse.Namespace) -> int:
    book, paused = _standing(arguments)
    agents = sorted(book.agents.values(), key=lambda one: one.id)
    if arguments.json:
        print_lines(_json(one, paused) for one in agents)
    else:
        rows = [
            (
                one.id, one.role or "-", usdc(one.spending_limit) or "none", usdc(one.daily_limit) or "none",
                usdc(one.requires_approval) or "never", _state(one.id, paused), one.name,
            )
            for one in agents
        ]  # fmt: skip
        print_table(_COLUMNS, rows, nothing="No agents.")
    return ExitCode.OK


def _show(arguments: argparse.Namespace) -> int:
    from coordinator.reports import report

    ledger, account = opened(arguments)
    book, paused = _standing(arguments)
    agent = book.agents.get(arguments.id)
    if agent is None:
        raise _unknown(arguments.id)
    summary = report(ledger, account)
    line = next((one for one in summary.agents if one.name == agent.id), None)
    spent, reserved = (0, 0) if line is None else (line.spent, line.reserved)
    windows = () if line is None else line.windows
    if arguments.json:
        used = [{"period": one.period.value, "used": one.used, "limit": one.limit} for one in windows]
        print_json({**_json(agent, paused), "spent": spent, "reserved": reserved, "windows": used})
        return ExitCode.OK
    pause = paused.get(agent.id) or paused.get("")
    print_fields(
        [
            ("agent", agent.id),
            ("name", agent.name),
            ("state", _state(agent.id, paused)),
            ("why", None if pause is None else f"{pause.by}, {when(pause.at)} UTC: {pause.reason}"),
            ("role", agent.role),
            ("address", agent.address),
            ("a request", _most(agent.spending_limit)),
            ("approval", "never" if agent.requires_approval is None else f"above {usdc(agent.requires_approval)} USDC"),
            ("categories", None if agent.categories is None else ", ".join(sorted(agent.categories)) or "none"),
            ("providers", None if agent.providers is None else ", ".join(sorted(agent.providers)) or "none"),
            *((f"a {one.period.value.replace('_', ' ')}", _used(one.used, one.limit)) for one in windows),
            ("in all", None if agent.budget is None else _used(spent + reserved, agent.budget)),
            ("spent", f"{usdc(spent)} USDC"),
            ("reserved", f"{usdc(reserved)} USDC"),
        ]
    )
    return ExitCode.OK


def _add(arguments: argparse.Namespace) -> int:
    from coordinator.commands._ruling import amend

    ledger, account = opened(arguments)

    def change(book: RuleBook) -> RuleBook:
        if arguments.id in book.agents and not arguments.replace:
            raise InvalidInput(f"There is an agent {arguments.id} already.", hint="--replace gives it other limits.")
        return book.with_agent(_rules_of(arguments, book))

    with authority(ledger, account) as made:
        book = amend(made, change, arguments.by)
    agent = book.agents[arguments.id]
    print(f"{agent.id} is registered: {_most(agent.spending_limit)} a request, {_most(agent.daily_limit)} a day.")
    if book.total_budget is None:
        print("There is no total budget, so everything is denied: see `coordinator policy apply`.")
    return ExitCode.OK


def _rules_of(arguments: argparse.Namespace, book: RuleBook) -> AgentRules:
    from coordinator.budget.contradictions import Written, contradictions
    from coordinator.budget.rulebook import AgentRules

    limits = {name: getattr(arguments, name) for name in _LIMITS}
    if arguments.role is not None:
        preset = book.roles.get(arguments.role)
        if preset is None:
            raise InvalidInput(f"There is no role {arguments.role}.", hint=f"Roles are {', '.join(book.roles)}.")
        for name in _NEEDED:
            if limits[name] is None:
                limits[name] = getattr(preset, name)
    missing = [f"--{name.replace('_', '-')}" for name in _NEEDED if limits[name] is None]
    if missing:
        raise InvalidInput(f"An agent needs {' and '.join(missing)}, or a --role.")
    given = frozenset(name for name in _LIMITS if getattr(arguments, name) is not None)
    if limits[_THRESHOLD] == NEVER:
        limits[_THRESHOLD] = None
    unknown = sorted(set(_listed(arguments.categories) or ()) - book.categories.keys())
    if unknown:
        raise InvalidInput(f"There is no category {unknown[0]}.", hint=f"Categories are {', '.join(book.categories)}.")
    agent = AgentRules(
        id=arguments.id,
        name=arguments.name or arguments.id,
        address=arguments.address,
        role=arguments.role,
        categories=_listed(arguments.categories),
        providers=_listed(arguments.providers),
        **limits,
    )
    for problem in contradictions(book.with_agent(agent), Written({agent.id: given})):
        if problem.startswith(f"agents.{agent.id}."):
            raise InvalidInput(f"{problem.removeprefix(f'agents.{agent.id}.')}.")
    return agent


def _remove(arguments: argparse.Namespace) -> int:
    from coordinator.commands._ruling import amend

    ledger, account = opened(arguments)

    def change(book: RuleBook) -> RuleBook:
        if arguments.id not in book.agents:
            raise _unknown(arguments.id)
        return replace(book, agents={name: one for name, one in book.agents.items() if name != arguments.id})

    with authority(ledger, account) as made:
        amend(made, change, arguments.by)
    print(f"{arguments.id} is removed.")
    return ExitCode.OK


def _standing(arguments: argparse.Namespace) -> tuple[RuleBook, Mapping[str, Pause]]:
    from coordinator.budget.rulebook import RuleBook
    from coordinator.store import pauses, rulebooks, treasuries

    ledger, account = opened(arguments)
    with ledger.read() as connection:
        treasury = treasuries.read(connection, account)
        enacted = None if treasury is None else rulebooks.read(connection, account, treasury.rulebook)
        return RuleBook() if enacted is None else enacted.book, pauses.active(connection, account)


def _state(agent: str, paused: Mapping[str, Pause]) -> str:
    if "" in paused:
        return "everything is paused"
    return "paused" if agent in paused else "active"


def _json(agent: AgentRules, paused: Mapping[str, Pause]) -> dict[str, Any]:
    return {
        "id": agent.id,
        "name": agent.name,
        "address": agent.address,
        "role": agent.role,
        **{name: getattr(agent, name) for name in _LIMITS},
        "daily_period": agent.daily_period.value,
        "categories": None if agent.categories is None else sorted(agent.categories),
        "providers": None if agent.providers is None else sorted(agent.providers),
        "rate": {period.value: most for period, most in agent.rate.items()},
        "paused": agent.id in paused or "" in paused,
    }


def _most(limit: int | None) -> str:
    return "no limit, so everything is denied" if limit is None else f"at most {usdc(limit)} USDC"


def _used(used: int, limit: int) -> str:
    return f"{usdc(used)} of {usdc(limit)} USDC"


def _listed(text: str | None) -> frozenset[str] | None:
    return None if text is None else frozenset(one.strip() for one in text.split(",") if one.strip())


def _unknown(agent: str) -> InvalidInput:
    return InvalidInput(f"There is no agent {agent}.", hint="`coordinator agents list` shows those that there are.")
