"""slither: every finding is explained in tests/assurance/slither_findings.json, and every explanation has a finding."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from scripts.assure.workspace import ASSURANCE, Failed, Workspace, python_tool

EXPLAINED = ASSURANCE / "slither_findings.json"


def run() -> str:
    workspace = Workspace.make("assure-slither", tests=())
    workspace.fresh("out")
    workspace.fresh("cache")
    workspace.build("--build-info")
    report = workspace.fresh("slither.json")
    config = ASSURANCE / "slither.config.json"
    command: list[str | Path] = [
        python_tool("slither"),
        ".",
        "--ignore-compile",
        "--config-file",
        config,
        "--json",
        report.name,
    ]
    done = workspace.run(command, show=False)
    if not report.is_file():
        raise Failed(f"slither did not finish\n{done.stderr}")
    answer = json.loads(report.read_text(encoding="utf-8"))
    if not answer["success"]:
        raise Failed(f"slither failed: {answer['error']}")

    explained = {
        (entry["check"], place): entry["why"]
        for entry in json.loads(EXPLAINED.read_text(encoding="utf-8"))
        for place in entry["where"]
    }
    found = {(item["check"], _place(item)): item for item in answer["results"].get("detectors", [])}
    problems = [
        f"not explained: {check} ({item['impact']}) at {place}\n{item['description'].rstrip()}"
        for (check, place), item in found.items()
        if (check, place) not in explained
    ]
    problems += [f"explained, but not found any more: {check} at {place}" for check, place in explained.keys() - found]
    problems += [f"explained by nothing: {key}" for key, why in explained.items() if len(why) < 20]
    if problems:
        raise Failed("\n".join(problems))
    return f"{len(found)} findings, all explained"


def _place(item: dict[str, Any]) -> str:
    """Contract and member, which stay when lines move."""
    element = item["elements"][0]
    parent = element.get("type_specific_fields", {}).get("parent", {})
    names = [element["name"]]
    while parent and parent["type"] in {"function", "contract"}:
        names.insert(0, parent["name"])
        parent = parent.get("type_specific_fields", {}).get("parent", {})
    return ".".join(names)
