"""Where the money went, for people and for programs. Start in README.md."""

from __future__ import annotations

from coordinator.reports.overtime import Timeline, over_time
from coordinator.reports.summary import Summary, report

__all__ = ["Summary", "Timeline", "over_time", "report"]
