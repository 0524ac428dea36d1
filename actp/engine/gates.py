"""What may stop a send from outside: two small protocols. Who implements them is none of the engine's business."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import Protocol

from sqlalchemy import Connection

from actp.engine.intents import Job
from actp.errors import ActpError, ConfigError

__all__ = ["Decision", "Gate", "Hold", "HoldMissing", "Paused", "Refusal", "Stopped"]


class Decision(Enum):
    """What a gate says to a job."""

    ALLOW = auto()
    HOLD = auto()
    """Not before somebody approves it: it waits as HELD until `Outbox.retry`."""
    DENY = auto()
    """Never: it becomes a dead letter."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A decision, and why."""

    decision: Decision
    reason: str = ""


class Gate(Protocol):
    """Asked just before each job is simulated, again after every time that it had to wait."""

    def decide(self, job: Job) -> Refusal:
        """Whether the job may be sent now. An ActpError is "not now": the job is tried again later."""


class Hold(Protocol):
    """Asked within the commit that stores signed bytes, so that a pause that is committed before stops them."""

    def reason(self, connection: Connection, job: Job) -> str | None:
        """Why this job may not go out, None if it may. Reads through `connection`, and writes nothing."""


class Stopped(ActpError):
    """A gate holds or denies the call; nothing was sent."""

    default_code = "stopped"
    default_outcome = "not_sent"


class Paused(ActpError):
    """Sends are paused; nothing was sent, and nothing that was signed for it will be."""

    default_code = "paused"
    default_outcome = "not_sent"


class HoldMissing(ConfigError):
    """The account's pauses bind whoever signs for it, and this worker or sender does not ask for them. Nothing was
    signed.
    """

    default_code = "hold_missing"

    def __init__(self, address: str) -> None:
        super().__init__(
            f"What {address} sends can be paused, and this worker or sender would not notice: it has no hold.",
            hint="Send through the coordinator's Lifecycle of this account, or give the Worker or Sender a `hold` "
            "that reads the same pauses.",
        )
