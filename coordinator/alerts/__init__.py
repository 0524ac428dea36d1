"""What people are to be told, and telling them. Start in README.md."""

from __future__ import annotations

from coordinator.alerts.noticing import notice

__all__ = ["notice"]
