"""pytest plugin that ends a run with one line for each reason to skip, instead of one for each place; -v keeps them."""

from __future__ import annotations

from pathlib import Path

import pytest

_TESTS = str(Path(__file__).parents[1])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    # The summary folds reports of one place and reason; by now the other reports, such as JUnit's, have theirs.
    if terminalreporter.verbosity <= 0:
        for report in terminalreporter.stats.get("skipped", []):
            if isinstance(report.longrepr, tuple):
                report.longrepr = (_TESTS, None, report.longrepr[2])
