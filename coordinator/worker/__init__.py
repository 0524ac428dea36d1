"""From a grant to a funded escrow, and back to the budget. Start in README.md.

worker = Worker(client, authority, lifecycle)
worker.run(stop)  # or step(), or wait(reservation_id)
"""

from __future__ import annotations

from coordinator.worker.sessions import Session
from coordinator.worker.worker import Worker

__all__ = ["Session", "Worker"]
