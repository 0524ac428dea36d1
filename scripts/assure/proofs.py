"""halmos: properties that hold for all values, not for some."""

from __future__ import annotations

import json

from scripts.assure.workspace import Failed, Workspace, python_tool

PROPERTIES_AT_LEAST = 20


def run() -> str:
    workspace = Workspace.make("assure")
    workspace.build("--ast", "--extra-output", "storageLayout", "metadata")
    report = workspace.fresh("halmos.json")
    halmos = python_tool("halmos")
    limits = ["--function", "check_", "--solver-timeout-assertion", "60s"]
    done = workspace.run([halmos, *limits, "--json-output", report.name])
    if not report.is_file():
        raise Failed(f"halmos did not finish\n{done.stderr}")
    answers = json.loads(report.read_text(encoding="utf-8"))
    results = [test for tests in answers["test_results"].values() for test in tests]
    # Timeouts, incomplete loops and tests in which every path reverts have codes other than zero as well.
    unproved = [test["name"] for test in results if test["exitcode"] != 0]
    if unproved or done.returncode != 0 or answers["exitcode"] != 0:
        raise Failed(f"not proved: {', '.join(unproved) or 'see above'}\n{done.stderr}")
    if len(results) < PROPERTIES_AT_LEAST:
        raise Failed(f"only {len(results)} properties were found, {PROPERTIES_AT_LEAST} are expected")
    return f"{len(results)} properties proved"
