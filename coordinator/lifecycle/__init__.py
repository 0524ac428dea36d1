"""From an intent to its proof. Start in README.md.

lifecycle = Lifecycle(client, policy=PolicySettings(...))
operation = lifecycle.submit("transfer_erc20", {"to": payee, "amount": "1000000"}, agent="ann", key="order-1")
operation = lifecycle.wait(operation.id, timeout=60)
"""

from __future__ import annotations

from coordinator.lifecycle.lifecycle import Lifecycle
from coordinator.lifecycle.submitting import KeyTaken, Request

__all__ = ["KeyTaken", "Lifecycle", "Request"]
