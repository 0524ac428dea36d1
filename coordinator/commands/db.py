"""`coordinator db`: the versions of a store's tables."""

from __future__ import annotations

import argparse

from actp.command_line import ExitCode
from coordinator.commands._opening import add_json, add_store
from coordinator.commands._printing import print_fields, print_json

__all__ = ["HELP", "configure"]

HELP = "show and upgrade the version of a store's tables"


def configure(noun: argparse.ArgumentParser) -> None:
    """Adds the verbs."""
    verbs = noun.add_subparsers(title="verbs", metavar="VERB", required=True)
    text = "show which versions the tables have, and change nothing; exit code 1 if they are not this program's"
    showing = verbs.add_parser("version", help=text, description=text, allow_abbrev=False)
    add_store(showing)
    add_json(showing)
    showing.set_defaults(run=_version)

    text = "bring the tables to this program's version; a program of an earlier one cannot use them then"
    upgrading = verbs.add_parser("upgrade", help=text, description=text, allow_abbrev=False)
    add_store(upgrading)
    upgrading.set_defaults(run=_upgrade)


def _version(arguments: argparse.Namespace) -> int:
    found = _versions(arguments)
    current = all(has == needs for has, needs in found.values())
    if arguments.json:
        named = {name: {"database": has, "program": needs} for name, (has, needs) in found.items()}
        print_json({**named, "current": current})
    else:
        print_fields((name, _described(has, needs)) for name, (has, needs) in found.items())
    return ExitCode.OK if current else ExitCode.FAILED


def _upgrade(arguments: argparse.Namespace) -> int:
    from actp.engine.store.existing import open_existing
    from coordinator.store import open_ledger

    before = _versions(arguments)
    open_ledger(open_existing(arguments.store))
    for name, (has, needs) in before.items():
        print(f"{name}: {needs}" + (", as before" if has == needs else f", was {has or 'not there'}"))
    return ExitCode.OK


def _versions(arguments: argparse.Namespace) -> dict[str, tuple[str | None, str]]:
    """What the tables of engine and coordinator are, and what this program has. Raises ConfigError, StoreError."""
    from actp.engine.store.existing import named_store
    from actp.engine.store.peeking import peeking
    from actp.engine.store.schema import HEAD as ENGINE
    from coordinator.store.schema import HEAD, VERSION_TABLE

    with peeking(named_store(arguments.store)) as peek:
        return {"engine": (peek.revision, ENGINE), "coordinator": (peek.revision_in(VERSION_TABLE), HEAD)}


def _described(has: str | None, needs: str) -> str:
    if has == needs:
        return has
    if has is None:
        return f"not there; `coordinator db upgrade` makes {needs}"
    if has > needs:
        return f"{has}, and this program knows {needs} only: use a newer one"
    return f"{has}; `coordinator db upgrade` makes it {needs}"
