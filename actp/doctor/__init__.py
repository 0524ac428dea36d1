"""Looks whether everything that a client needs is in place, and says what to do where it is not. Sends nothing.

report = examine(Subject(Network.BASE_SEPOLIA, account="0x..."))
for check in report.checks: print(check.status.value, check.name, check.detail, check.hint)
"""

from __future__ import annotations

from actp.doctor.examination import examine
from actp.doctor.report import Check, Database, Lease, Report, Setting, Status, Subject

__all__ = ["Check", "Database", "Lease", "Report", "Setting", "Status", "Subject", "examine"]
