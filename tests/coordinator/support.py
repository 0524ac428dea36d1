"""Scenarios for tests, as text that a user could have written."""

from __future__ import annotations

from pathlib import Path

from coordinator.crew.loading import load_scenario
from coordinator.crew.scenario import Scenario

ALL_ENDINGS = Path(__file__).with_name("all_endings.toml")

SMALL = """\
title = "One purchase"

[treasury]
funding = "100"

[[agents]]
id = "ann"
name = "Ann"

[[providers]]
id = "pia"
name = "Pia"

[[purchases]]
id = "one"
agent = "ann"
provider = "pia"
amount = "10"
purpose = "A thing"
deadline = "1d"
ending = "accepted"
"""

DISPUTED = """\

[purchases.ending]
kind = "disputed"
reason = "broken"
requester_gets = "4"
provider_gets = "6"
provider_at_fault = true
"""


def small(*replacements: tuple[str, str], more: str = "") -> str:
    """SMALL with pieces of its text replaced, each of which must be there, and more text at its end."""
    text = SMALL
    for old, new in replacements:
        assert old in text, old
        text = text.replace(old, new)
    return text + more


def load_text(folder: Path, text: str) -> Scenario:
    """The scenario in this text."""
    path = folder / "scenario.toml"
    path.write_text(text, encoding="utf-8")
    return load_scenario(path)
