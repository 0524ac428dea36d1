"""The fault kit under the names that these tests have for it."""

from __future__ import annotations

from actp.testing import Fault as Handler
from actp.testing import FaultyTransport

__all__ = ["FaultyTransport", "Handler"]
