"""The command line itself: its help, what it loads, and a reader that leaves early."""

from __future__ import annotations

import importlib
import os
import pkgutil
import subprocess
import sys

import pytest

from coordinator import commands

NOUNS = sorted(one.name for one in pkgutil.iter_modules(commands.__path__) if not one.name.startswith("_"))
HEAVY = ("web3", "eth_tester", "eth_account", "pydantic", "alembic", "matplotlib", "apprise")
WITHOUT_A_NODE = [
    ["approvals", "approve"],
    ["stop"],
    *(
        pytest.param(one, marks=pytest.mark.slow)  # each is a process of its own
        for one in (
            ["approvals", "list"],
            ["requests", "list"],
            ["agents", "add", "carl", "--role", "junior"],
            ["operations", "list"],
            ["report"],
            ["policy", "show"],
            ["pause", "--all"],
            ["resume", "--frozen"],
            ["journal", "verify"],
            ["alerts", "list"],
            ["db", "upgrade"],
        )
    ),
]


def test_the_help_shows_every_command_once_with_what_it_is_for(run):
    said = run("--help")
    assert said.code == 0
    assert sorted(name for names in commands.GROUPS.values() for name in names) == NOUNS
    shown = [line.split(maxsplit=1) for line in said.out.splitlines() if line.startswith("  ")]
    for name in NOUNS:
        assert [name, importlib.import_module(f"coordinator.commands.{name}").HELP] in shown
    for title in commands.GROUPS:
        assert f"\n{title}:\n" in said.out


@pytest.mark.parametrize("noun", NOUNS)
def test_every_command_and_verb_has_help(noun, run):
    said = run(noun, "--help")
    assert said.code == 0
    assert len(said.out) > 100


@pytest.mark.parametrize("arguments", WITHOUT_A_NODE, ids=" ".join)
@pytest.mark.slow
def test_a_command_that_needs_no_node_loads_nothing_that_does(arguments, shop):
    """These libraries take seconds, and an emergency stop must not."""
    extra = [shop.ask(80).approval_id] if arguments == ["approvals", "approve"] else []
    program = (
        "import sys; from coordinator.cli import main; code = main(sys.argv[1:]); "
        f"print(*sorted(set(sys.modules) & set({HEAVY!r})), file=sys.stderr); sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments, *extra, "--store", shop.url],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.stderr.splitlines()[-1] == "", done.stderr


@pytest.mark.parametrize("limit", ["1", pytest.param("1000", marks=pytest.mark.slow)])
@pytest.mark.slow
def test_a_reader_that_leaves_early_is_no_error_whether_little_or_much_is_left(limit, shop):
    for _ in range(30):
        shop.ask(1)
    child = subprocess.Popen(
        [sys.executable, "-m", "coordinator.cli", "journal", "list", "--json", "--limit", limit, "--store", shop.url],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONUNBUFFERED": ""},
    )  # fmt: skip
    assert child.stdout is not None
    assert child.stderr is not None
    child.stdout.close()  # before it has written anything
    assert child.stderr.read() == ""
    assert child.wait(30) == 141
