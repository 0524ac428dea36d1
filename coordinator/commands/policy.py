"""`coordinator policy`: files of rules, explained, compared and applied."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from actp.command_line import ExitCode
from coordinator.commands._opening import add_account, add_by, add_json, authority, opened
from coordinator.commands._printing import print_json

if TYPE_CHECKING:
    from coordinator.budget.rulebook import RuleBook

__all__ = ["HELP", "configure"]

HELP = "show the rules that hold; explain a file of rules, compare it with them, or apply it"


def configure(noun: argparse.ArgumentParser) -> None:
    """Adds the verbs."""
    verbs = noun.add_subparsers(title="verbs", metavar="VERB", required=True)
    text = "show the rules that hold, in sentences"
    showing = verbs.add_parser("show", help=text, description=text, allow_abbrev=False)
    add_account(showing)
    add_json(showing)
    showing.set_defaults(run=_show)

    text = "say what a file of rules means, or everything that is wrong in it; needs no store"
    checking = verbs.add_parser("check", help=text, description=text, allow_abbrev=False)
    checking.add_argument("file", type=Path, metavar="FILE")
    add_json(checking)
    checking.set_defaults(run=_check)

    text = "show what applying a file would change: + is new, - is gone, ~ is different"
    comparing = verbs.add_parser("diff", help=text, description=text, allow_abbrev=False)
    add_account(comparing)
    comparing.add_argument("file", type=Path, metavar="FILE")
    add_json(comparing)
    comparing.set_defaults(run=_diff)

    text = "make the rules of a file hold, instead of all that hold now"
    applying = verbs.add_parser("apply", help=text, description=text, allow_abbrev=False)
    add_account(applying)
    add_by(applying)
    applying.add_argument("file", type=Path, metavar="FILE")
    add_json(applying)
    applying.set_defaults(run=_apply)


def _show(arguments: argparse.Namespace) -> int:
    from coordinator.budget.explaining import explain

    book = _standing(arguments)
    if arguments.json:
        print_json({"version": book.version, "content_hash": book.content_hash, "rules": book.to_json()})
        return ExitCode.OK
    print(
        f"Rules of version {book.version}" if book.version else "No rules were ever applied, so everything is denied."
    )
    if book.version:
        print("\n".join(explain(book)))
    return ExitCode.OK


def _check(arguments: argparse.Namespace) -> int:
    from coordinator.budget.document import RulesError, load
    from coordinator.budget.explaining import explain

    try:
        book = load(arguments.file)
    except RulesError as error:
        if not arguments.json:
            raise
        print_json({"ok": False, "problems": list(error.problems)})
        return ExitCode.FAILED
    if arguments.json:
        print_json({"ok": True, "content_hash": book.content_hash, "rules": book.to_json(), "says": explain(book)})
    else:
        print("\n".join(explain(book)))
    return ExitCode.OK


def _diff(arguments: argparse.Namespace) -> int:
    from coordinator.budget.document import load
    from coordinator.budget.explaining import diff

    book = load(arguments.file)
    changes = diff(_standing(arguments), book)
    if arguments.json:
        print_json({"changes": changes})
    else:
        print("\n".join(changes) or "Nothing would change.")
    return ExitCode.OK


def _apply(arguments: argparse.Namespace) -> int:
    from coordinator.budget.document import load
    from coordinator.budget.explaining import diff

    book = load(arguments.file)
    ledger, account = opened(arguments)
    with authority(ledger, account) as made:
        before = made.book()
        version = made.apply(book, arguments.by)
    changes = diff(before, book)
    if arguments.json:
        print_json({"version": version, "changed": version != before.version, "changes": changes})
    elif version == before.version:
        print(f"Nothing has changed: these are the rules of version {version} already.")
    else:
        print("\n".join([*changes, f"These rules hold now, as version {version}."]))
    return ExitCode.OK


def _standing(arguments: argparse.Namespace) -> RuleBook:
    from coordinator.budget.rulebook import RuleBook
    from coordinator.store import rulebooks, treasuries

    ledger, account = opened(arguments)
    with ledger.read() as connection:
        treasury = treasuries.read(connection, account)
        enacted = None if treasury is None else rulebooks.read(connection, account, treasury.rulebook)
    return RuleBook() if enacted is None else enacted.book
