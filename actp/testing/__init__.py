"""A kit of faults: nodes, networks, clocks and processes that fail as told, for tests of what sends money.

    from actp.testing import FaultProxy, lose_reply

Nothing in `actp` imports it. Start in README.md of this folder; its table says which fault is set how.
"""

from __future__ import annotations

from actp.testing.clock import FakeClock
from actp.testing.crashes import CrashPoint, crash_at
from actp.testing.faults import (
    Disconnect,
    Fault,
    HttpFailure,
    answer,
    delay,
    drop_before,
    duplicate,
    fail,
    http_error,
    lose_reply,
    pass_on,
    rate_limited,
    sometimes,
)
from actp.testing.jammed import JammedPool
from actp.testing.proxy import FaultProxy
from actp.testing.transport import FaultyTransport
from actp.testing.views import OpStackFees, OtherChain, Preconfirmed, StaleHead, View

__all__ = [
    "CrashPoint",
    "Disconnect",
    "FakeClock",
    "Fault",
    "FaultProxy",
    "FaultyTransport",
    "HttpFailure",
    "JammedPool",
    "OpStackFees",
    "OtherChain",
    "Preconfirmed",
    "StaleHead",
    "View",
    "answer",
    "crash_at",
    "delay",
    "drop_before",
    "duplicate",
    "fail",
    "http_error",
    "lose_reply",
    "pass_on",
    "rate_limited",
    "sometimes",
]
