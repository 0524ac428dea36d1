"""What the coordinator remembers, in tables beside the engine's. Start in README.md.

ledger = open_ledger(open_store("sqlite:///outbox.db"))
with ledger.write() as connection:
    moving.move(connection, moves, ledger.now())
"""

from __future__ import annotations

from coordinator.store.database import Ledger, open_ledger

__all__ = ["Ledger", "open_ledger"]
