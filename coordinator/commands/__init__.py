"""The nouns of the `coordinator` command line, one module each; modules that begin with an underscore are what they
share.

A module has `HELP` (one sentence) and `configure(parser)`, which adds its arguments or verbs and sets `run` as default.
All of them are imported to show the help, so whatever takes time to import is imported where it runs: the node's
libraries, which take longest, only by commands that speak to one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

__all__ = ["GROUPS"]

GROUPS: Mapping[str, Sequence[str]] = {
    "spending": ("request", "requests", "approvals", "report", "budget"),
    "escrows": ("escrows", "positions"),
    "rules": ("policy", "agents"),
    "emergencies": ("stop", "pause", "resume"),
    "records": ("operations", "proof", "journal", "reconcile"),
    "service": ("run", "alerts", "metrics", "db"),
}
