"""pytest plugin that turns every skip into a failure: `pytest -p tests.plugins.no_skips`.

A test skips where a tool is missing. CI installs the tools, so a skip there means that something was not tested.
"""

from __future__ import annotations

from collections.abc import Generator

import pytest


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    longrepr = report.longrepr
    return longrepr[2] if isinstance(longrepr, tuple) else str(longrepr)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    # An expected failure is reported as skipped too, but it did run.
    if report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"Skipping is not allowed in this run. {_reason(report)}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Modules skip as a whole, for example through pytest.importorskip."""
    report = yield
    if report.skipped:
        report.outcome = "failed"
        report.longrepr = f"Skipping is not allowed in this run. {_reason(report)}"
    return report
