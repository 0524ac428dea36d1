"""From a TOML file to a scenario, or to a message that says where the file is wrong and what is allowed there."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from actp.errors import InvalidInput
from coordinator.crew.fields import Contradiction
from coordinator.crew.plan import make_plan
from coordinator.crew.scenario import TABLES, Scenario

__all__ = ["BUNDLED_SCENARIO", "ScenarioError", "load_scenario"]

BUNDLED_SCENARIO = Path(__file__).parent / "research_crew.toml"
"""The scenario that runs when none is named; it also shows every key that a scenario may have."""

_MAX_BYTES = 1_000_000
_SHOWN_PROBLEMS = 10


_SAYINGS = {
    "missing": "missing",
    "model_type": "must be a table",
    "tuple_type": "must be a list",
    "too_short": "must not be empty",
    "string_type": "must be text in quotes",
    "bool_type": "must be true or false",
}
"""What pydantic's kinds of errors mean in a file; others say it well enough themselves."""


class ScenarioError(InvalidInput):
    """A scenario that cannot be run. Nothing has happened on any chain."""

    default_code = "scenario"

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}"


def load_scenario(path: Path) -> Scenario:
    """The scenario in this file. Raises ScenarioError with one line for each thing that is wrong."""
    try:
        with path.open("rb") as file:
            raw = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise ScenarioError(f"Cannot read {path}: {error.strerror or error}.", hint=_hint()) from None
    if len(raw) > _MAX_BYTES:
        raise _refusal(path, [f"larger than {_MAX_BYTES:,} bytes"])
    try:
        data = tomllib.loads(raw.decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _refusal(path, [f"not TOML: {error}"]) from None
    if not data:
        raise _refusal(path, ["the file is empty"])
    try:
        scenario = Scenario.model_validate(data)
        make_plan(scenario)
    except ValidationError as error:
        raise _refusal(path, _lines(error, data)) from None
    except Contradiction as error:
        raise _refusal(path, [f"{error.at}: {error}"]) from None
    return scenario


def _refusal(path: Path, problems: Sequence[str]) -> ScenarioError:
    shown = [f"  {problem}" for problem in problems[:_SHOWN_PROBLEMS]]
    if len(problems) > _SHOWN_PROBLEMS:
        shown.append(f"  and {len(problems) - _SHOWN_PROBLEMS} more")
    return ScenarioError("\n".join([f"{path} is not a scenario that can be run:", *shown]), hint=_hint())


def _hint() -> str:
    here = Path.cwd()
    example = BUNDLED_SCENARIO.relative_to(here) if BUNDLED_SCENARIO.is_relative_to(here) else BUNDLED_SCENARIO
    return f"A complete example with every key is {example}"


def _lines(error: ValidationError, data: Mapping[str, Any]) -> list[str]:
    lines = []
    for item in error.errors(include_url=False):
        if item["type"] == "too_short" and item["input"]:
            continue  # a list that is short only because its entries were refused, each by an error of its own
        path, text = _key_path(item["loc"], data), _SAYINGS.get(item["type"])
        cause = item.get("ctx", {}).get("error")
        if isinstance(cause, Contradiction):
            path, text = ".".join(part for part in (path, cause.at) if part), str(cause)
        elif item["type"] == "extra_forbidden":
            text = _unknown_key(item["loc"])
        lines.append(f"{path or 'the file'}: {text or item['msg'][:1].lower() + item['msg'][1:]}")
    return lines


def _unknown_key(location: Sequence[int | str]) -> str:
    *where, key = location
    keys = TABLES[".".join(part for part in where if isinstance(part, str))].keys()
    near = difflib.get_close_matches(str(key), keys, n=1)
    return f"unknown key{f', did you mean {near[0]}?' if near else ';'} known keys are {', '.join(keys)}"


def _key_path(location: Sequence[int | str], data: object) -> str:
    """`("purchases", 1, "ending", "disputed", "reason")` as "purchases[1].ending.reason".

    pydantic puts the chosen kind of an ending into the location, which is no key of the file.
    """
    path = ""
    for position, part in enumerate(location):
        if isinstance(part, int):
            path += f"[{part}]"
            data = data[part] if isinstance(data, Sequence) and part < len(data) else None
        elif isinstance(data, Mapping) and part not in data and position < len(location) - 1:
            continue
        else:
            path += f".{part}" if path else part
            data = data.get(part) if isinstance(data, Mapping) else None
    return path
